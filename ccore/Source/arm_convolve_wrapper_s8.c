/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"
#include "arm_nnsupportfunctions.h"

/* Sum of products of one filter with one window of one image. */
static int32_t window_sum(const int8_t *image,
                          const int8_t *filter,
                          kanji_window rows,
                          kanji_window columns,
                          const cmsis_nn_dims *input_dims,
                          const cmsis_nn_dims *filter_dims,
                          const cmsis_nn_conv_params *params)
{
    /* Undilated taps of one row are neighbours: one run of memory instead of one a tap. */
    const int32_t runs = params->dilation.w == 1 ? 1 : columns.count;
    const int32_t run_taps = params->dilation.w == 1 ? columns.count : 1;
    const int32_t channels = input_dims->c;
    int32_t sum = 0;

    for (int32_t row = 0; row < rows.count; row++)
    {
        const int32_t y = rows.input + row * params->dilation.h;
        const int32_t ky = rows.kernel + row;

        for (int32_t run = 0; run < runs; run++)
        {
            const int32_t x = columns.input + run * params->dilation.w;
            const int32_t kx = columns.kernel + run;

            sum += kanji_dot_s8(image + (y * input_dims->w + x) * channels,
                                filter + (ky * filter_dims->w + kx) * channels,
                                run_taps * channels,
                                params->input_offset);
        }
    }
    return sum;
}

arm_cmsis_nn_status arm_convolve_wrapper_s8(const cmsis_nn_context *ctx,
                                            const cmsis_nn_conv_params *conv_params,
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

    if (!kanji_conv_dims_ok(conv_params, input_dims, filter_dims, output_dims) ||
        !kanji_offsets_ok(conv_params->input_offset, conv_params->output_offset) ||
        !kanji_activation_ok(conv_params->activation) || input_data == NULL ||
        filter_data == NULL || output_data == NULL ||
        !kanji_scales_ok(quant_params, output_dims->c))
    {
        return ARM_CMSIS_NN_ARG_ERROR;
    }

    const cmsis_nn_tile stride = conv_params->stride;
    const cmsis_nn_tile padding = conv_params->padding;
    const cmsis_nn_tile dilation = conv_params->dilation;
    const int32_t image_size = input_dims->h * input_dims->w * input_dims->c;
    const int32_t filter_size = filter_dims->h * filter_dims->w * filter_dims->c;

    for (int32_t n = 0; n < input_dims->n; n++)
    {
        const int8_t *image = input_data + n * image_size;

        for (int32_t out_y = 0; out_y < output_dims->h; out_y++)
        {
            const kanji_window rows = kanji_window_at(
                out_y * stride.h - padding.h, filter_dims->h, dilation.h, input_dims->h);

            for (int32_t out_x = 0; out_x < output_dims->w; out_x++)
            {
                const kanji_window columns = kanji_window_at(
                    out_x * stride.w - padding.w, filter_dims->w, dilation.w, input_dims->w);

                for (int32_t out_c = 0; out_c < output_dims->c; out_c++)
                {
                    const int32_t sum = window_sum(image,
                                                   filter_data + out_c * filter_size,
                                                   rows,
                                                   columns,
                                                   input_dims,
                                                   filter_dims,
                                                   conv_params);

                    *output_data++ = kanji_output_s8(sum,
                                                     bias_data == NULL ? 0 : bias_data[out_c],
                                                     quant_params->multiplier[out_c],
                                                     quant_params->shift[out_c],
                                                     conv_params->output_offset,
                                                     conv_params->activation);
                }
            }
        }
    }
    return ARM_CMSIS_NN_SUCCESS;
}
