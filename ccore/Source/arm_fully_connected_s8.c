/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"
#include "arm_nnsupportfunctions.h"

static int dims_ok(const cmsis_nn_dims *input,
                   const cmsis_nn_dims *filter,
                   const cmsis_nn_dims *output)
{
    if (input == NULL || filter == NULL || output == NULL)
    {
        return 0;
    }
    const int32_t depth = kanji_volume(1, input->h, input->w, input->c);

    return depth > 0 && depth <= KANJI_MAX_DEPTH && depth == filter->n &&
           kanji_volume(input->n, depth, 1, 1) > 0 && kanji_volume(filter->c, depth, 1, 1) > 0 &&
           kanji_volume(output->n, output->c, 1, 1) > 0 && filter->c == output->c &&
           input->n == output->n;
}

arm_cmsis_nn_status arm_fully_connected_s8(const cmsis_nn_context *ctx,
                                           const cmsis_nn_fc_params *fc_params,
                                           const cmsis_nn_per_tensor_quant_params *quant_params,
                                           const cmsis_nn_dims *input_dims,
                                           const int8_t *input_data,
                                           const cmsis_nn_dims *filter_dims,
                                           const int8_t *filter_data,
                                           const cmsis_nn_dims *bias_dims,
                                           const int32_t *bias_data,
                                           const cmsis_nn_dims *output_dims,
                                           int8_t *output_data)
{
    (void)ctx;
    (void)bias_dims;

    if (!dims_ok(input_dims, filter_dims, output_dims) || fc_params == NULL ||
        fc_params->filter_offset != 0 ||
        !kanji_offsets_ok(fc_params->input_offset, fc_params->output_offset) ||
        !kanji_activation_ok(fc_params->activation) || quant_params == NULL ||
        !kanji_scale_ok(quant_params->multiplier, quant_params->shift) || input_data == NULL ||
        filter_data == NULL || output_data == NULL)
    {
        return ARM_CMSIS_NN_ARG_ERROR;
    }

    const int32_t depth = filter_dims->n;

    for (int32_t n = 0; n < input_dims->n; n++)
    {
        const int8_t *x = input_data + n * depth;

        for (int32_t row = 0; row < filter_dims->c; row++)
        {
            const int32_t sum =
                kanji_dot_s8(x, filter_data + row * depth, depth, fc_params->input_offset);

            *output_data++ = kanji_output_s8(sum,
                                             bias_data == NULL ? 0 : bias_data[row],
                                             quant_params->multiplier,
                                             quant_params->shift,
                                             fc_params->output_offset,
                                             fc_params->activation);
        }
    }
    return ARM_CMSIS_NN_SUCCESS;
}
