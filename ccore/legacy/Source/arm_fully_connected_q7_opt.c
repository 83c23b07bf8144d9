/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"
#include "kanji_q7.h"

#define GROUP 4 /* rows that are interleaved, and columns of one block of them */

/* Sums of four interleaved rows. Bits 0 and 2 of the place in a block are its row, bits 3 and
 * 1 its column. */
static void group_sums(const q7_t *x, const q7_t *w, int32_t columns, int32_t sums[GROUP])
{
    int32_t sum_0 = 0, sum_1 = 0, sum_2 = 0, sum_3 = 0;
    int32_t column = 0;

    for (; column <= columns - GROUP; column += GROUP)
    {
        for (int32_t half = 0; half < 2; half++, w += 8)
        {
            const int32_t x_0 = x[column + half];
            const int32_t x_2 = x[column + half + 2];

            sum_0 += x_0 * w[0] + x_2 * w[2];
            sum_1 += x_0 * w[1] + x_2 * w[3];
            sum_2 += x_0 * w[4] + x_2 * w[6];
            sum_3 += x_0 * w[5] + x_2 * w[7];
        }
    }
    for (; column < columns; column++, w += GROUP)
    {
        sum_0 += x[column] * w[0];
        sum_1 += x[column] * w[1];
        sum_2 += x[column] * w[2];
        sum_3 += x[column] * w[3];
    }
    sums[0] = sum_0;
    sums[1] = sum_1;
    sums[2] = sum_2;
    sums[3] = sum_3;
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
        int32_t sums[GROUP];

        group_sums(pV, pM + row * dim_vec, dim_vec, sums);
        for (int32_t i = 0; i < GROUP; i++)
        {
            pOut[row + i] = kanji_output_q7(sums[i], bias[row + i], bias_shift, out_shift);
        }
    }
    for (; row < num_of_rows; row++)
    {
        const kanji_patch patch = {.x = pV, .w = row * dim_vec, .rows = 1, .length = dim_vec};
        const int32_t sum = kanji_product_s8(&patch, pM, patch.w, 0);

        pOut[row] = kanji_output_q7(sum, bias[row], bias_shift, out_shift);
    }
    return ARM_MATH_SUCCESS;
}
