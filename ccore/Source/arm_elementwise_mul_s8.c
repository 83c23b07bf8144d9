/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"
#include "arm_nnsupportfunctions.h"

arm_cmsis_nn_status arm_elementwise_mul_s8(const int8_t *input_1_vect,
                                           const int8_t *input_2_vect,
                                           const int32_t input_1_offset,
                                           const int32_t input_2_offset,
                                           int8_t *output,
                                           const int32_t out_offset,
                                           const int32_t out_mult,
                                           const int32_t out_shift,
                                           const int32_t out_activation_min,
                                           const int32_t out_activation_max,
                                           const int32_t block_size)
{
    const cmsis_nn_activation activation = {out_activation_min, out_activation_max};

    if (input_1_vect == NULL || input_2_vect == NULL || output == NULL || block_size < 1 ||
        !kanji_offsets_ok(input_1_offset, out_offset) ||
        !kanji_offsets_ok(input_2_offset, out_offset) || !kanji_scale_ok(out_mult, out_shift) ||
        !kanji_activation_ok(activation))
    {
        return ARM_CMSIS_NN_ARG_ERROR;
    }

    for (int32_t i = 0; i < block_size; i++)
    {
        const int32_t x_1 = input_1_vect[i] + input_1_offset;
        const int32_t x_2 = input_2_vect[i] + input_2_offset;

        output[i] = kanji_output_s8(x_1 * x_2, 0, out_mult, out_shift, out_offset, activation);
    }
    return ARM_CMSIS_NN_SUCCESS;
}
