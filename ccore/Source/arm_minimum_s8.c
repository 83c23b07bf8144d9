/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"
#include "arm_nnsupportfunctions.h"

arm_cmsis_nn_status arm_minimum_s8(const cmsis_nn_context *ctx,
                                   const int8_t *input_1_data,
                                   const cmsis_nn_dims *input_1_dims,
                                   const int8_t *input_2_data,
                                   const cmsis_nn_dims *input_2_dims,
                                   int8_t *output_data,
                                   const cmsis_nn_dims *output_dims)
{
    (void)ctx;
    if (input_1_data == NULL || input_1_dims == NULL || input_2_data == NULL ||
        input_2_dims == NULL || output_data == NULL || output_dims == NULL ||
        !kanji_same_dims(input_1_dims, output_dims) ||
        !kanji_same_dims(input_2_dims, output_dims))
    {
        return ARM_CMSIS_NN_ARG_ERROR;
    }

    const int32_t size =
        kanji_volume(output_dims->n, output_dims->h, output_dims->w, output_dims->c);

    if (size == 0)
    {
        return ARM_CMSIS_NN_ARG_ERROR;
    }
    for (int32_t i = 0; i < size; i++)
    {
        const int8_t x_1 = input_1_data[i];
        const int8_t x_2 = input_2_data[i];

        output_data[i] = x_1 < x_2 ? x_1 : x_2;
    }
    return ARM_CMSIS_NN_SUCCESS;
}
