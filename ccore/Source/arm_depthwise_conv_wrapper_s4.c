/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"
#include "kanji_linear.h"

static int32_t weight_at(const int8_t *filter, int32_t at)
{
    const int8_t pair = filter[at / 2];

    return at % 2 == 0 ? kanji_low_s4(pair) : kanji_high_s4(pair);
}

static int32_t window_sum(const int8_t *image,
                          const int8_t *filter,
                          int32_t channel,
                          kanji_window rows,
                          kanji_window columns,
                          const cmsis_nn_dims *input_dims,
                          const cmsis_nn_dims *filter_dims,
                          const cmsis_nn_dw_conv_params *params)
{
    int32_t sum = 0;

    for (int32_t row = 0; row < rows.count; row++)
    {
        const int32_t y = rows.input + row * params->dilation.h;
        const int32_t ky = rows.kernel + row;
        const int8_t *x = image + (y * input_dims->w + columns.input) * input_dims->c;
        const int32_t first = (ky * filter_dims->w + columns.kernel) * filter_dims->c + channel;

        for (int32_t column = 0; column < columns.count; column++)
        {
            const int32_t x_at = column * params->dilation.w * input_dims->c;
            const int32_t w_at = first + column * filter_dims->c;

            sum += (x[x_at] + params->input_offset) * weight_at(filter, w_at);
        }
    }
    return sum;
}

arm_cmsis_nn_status arm_depthwise_conv_wrapper_s4(
    const cmsis_nn_context *ctx,
    const cmsis_nn_dw_conv_params *dw_conv_params,
    const cmsis_nn_per_channel_quant_params *quant_params,
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

    return kanji_depthwise_conv(dw_conv_params,
                                quant_params,
                                input_dims,
                                input_data,
                                filter_dims,
                                filter_data,
                                bias_data,
                                output_dims,
                                output_data,
                                window_sum);
}
