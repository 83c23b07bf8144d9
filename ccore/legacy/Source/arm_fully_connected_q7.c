/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"
#include "kanji_q7.h"

arm_status arm_fully_connected_q7(const q7_t *pV,
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

    for (int32_t row = 0; row < num_of_rows; row += KANJI_FILTERS)
    {
        const int32_t filters = kanji_min(KANJI_FILTERS, num_of_rows - row);
        const kanji_patch patch = {.x = pV, .w = row * dim_vec, .rows = 1, .length = dim_vec};
        int32_t sums[KANJI_FILTERS] = {0};

        kanji_products_s8(&patch, pM, filters, dim_vec, 0, sums);
        for (int32_t k = 0; k < filters; k++)
        {
            pOut[row + k] = kanji_output_q7(sums[k], bias[row + k], bias_shift, out_shift);
        }
    }
    return ARM_MATH_SUCCESS;
}
