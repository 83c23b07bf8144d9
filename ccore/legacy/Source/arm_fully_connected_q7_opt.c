/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"
#include "kanji_q7.h"

#define GROUP 4 /* rows that are interleaved, and columns of one block of them */

/* Sums of four interleaved rows. Bits 0 and 2 of the place in a block are its row, bits 3 and
 * 1 its column. */
static void group_sums(const q7_t *x, const q7_t *w, int32_t columns, int32_t sums[GROUP])
{
    int32_t column = 0;

    for (; column <= columns - GROUP; column += GROUP)
    {
        for (int32_t place = 0; place < GROUP * GROUP; place++)
        {
            const int32_t row = (place & 1) + (place >> 1 & 2);

            sums[row] += x[column + (place >> 3) + (place & 2)] * *w++;
        }
    }
    for (; column < columns; column++)
    {
        for (int32_t row = 0; row < GROUP; row++)
        {
            sums[row] += x[column] * *w++;
        }
    }
}

arm_status arm_fully_connected_q7_opt(const q7_t *pV,
                                      const q7_t *pM,
                                      const uint16_t dim_vec,
                                      const uint16_t num_of_rows,
                                      const uint16_t bias_shift,
                                      const uint16_t out_shift,
                                      const q7_t *bias,
                                      q7_t *pOut,
                                      q15_t *vec_buffer)
{
    (void)vec_buffer;

    if (!kanji_dense_q7_ok(pV, pM, dim_vec, num_of_rows, bias_shift, out_shift, bias, pOut))
    {
        return ARM_MATH_ARGUMENT_ERROR;
    }

    int32_t row = 0;

    for (; row <= num_of_rows - GROUP; row += GROUP)
    {
        int32_t sums[GROUP] = {0, 0, 0, 0};

        group_sums(pV, pM + row * dim_vec, dim_vec, sums);
        for (int32_t i = 0; i < GROUP; i++)
        {
            pOut[row + i] = kanji_output_q7(sums[i], bias[row + i], bias_shift, out_shift);
        }
    }
    for (; row < num_of_rows; row++)
    {
        const int32_t sum = kanji_dot_s8(pV, pM + row * dim_vec, dim_vec, 0);

        pOut[row] = kanji_output_q7(sum, bias[row], bias_shift, out_shift);
    }
    return ARM_MATH_SUCCESS;
}
