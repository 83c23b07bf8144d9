/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"
#include "arm_nnsupportfunctions.h"

arm_cmsis_nn_status arm_vector_sum_s8(int32_t *vector_sum_buf,
                                      const int32_t vector_cols,
                                      const int32_t vector_rows,
                                      const int8_t *vector_data,
                                      const int32_t lhs_offset,
                                      const int32_t rhs_offset,
                                      const int32_t *bias_data)
{
    if (vector_sum_buf == NULL || vector_data == NULL || vector_cols > KANJI_MAX_DEPTH ||
        kanji_volume(vector_rows, vector_cols, 1, 1) == 0 || !kanji_offsets_ok(lhs_offset, 0) ||
        !kanji_offsets_ok(rhs_offset, 0))
    {
        return ARM_CMSIS_NN_ARG_ERROR;
    }

    for (int32_t row = 0; row < vector_rows; row++)
    {
        int32_t sum = vector_cols * rhs_offset;

        for (int32_t i = 0; i < vector_cols; i++)
        {
            sum += *vector_data++;
        }
        vector_sum_buf[row] = kanji_saturate_s32((bias_data == NULL ? 0 : bias_data[row]) +
                                                 (int64_t)sum * lhs_offset);
    }
    return ARM_CMSIS_NN_SUCCESS;
}
