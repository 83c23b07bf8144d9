/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "arm_nnfunctions.h"
#include "arm_nnsupportfunctions.h"

arm_cmsis_nn_status arm_max_pool_s8(const cmsis_nn_context *ctx,
                                    const cmsis_nn_pool_params *pool_params,
                                    const cmsis_nn_dims *input_dims,
                                    const int8_t *input_data,
                                    const cmsis_nn_dims *filter_dims,
                                    const cmsis_nn_dims *output_dims,
                                    int8_t *output_data)
{
    (void)ctx;

    if (!kanji_pool_ok(pool_params, input_dims, filter_dims, output_dims) || input_data == NULL ||
        output_data == NULL)
    {
        return ARM_CMSIS_NN_ARG_ERROR;
    }

    const cmsis_nn_tile stride = pool_params->stride;
    const cmsis_nn_tile padding = pool_params->padding;
    const cmsis_nn_activation activation = pool_params->activation;
    const int32_t channels = input_dims->c;
    const int32_t image_size = input_dims->h * input_dims->w * channels;

    for (int32_t n = 0; n < input_dims->n; n++)
    {
        const int8_t *image = input_data + n * image_size;

        for (int32_t out_y = 0; out_y < output_dims->h; out_y++)
        {
            const kanji_window rows =
                kanji_window_at(out_y * stride.h - padding.h, filter_dims->h, 1, input_dims->h);

            for (int32_t out_x = 0; out_x < output_dims->w; out_x++)
            {
                const kanji_window columns =
                    kanji_window_at(out_x * stride.w - padding.w, filter_dims->w, 1, input_dims->w);

                memset(output_data, activation.min, (size_t)channels);
                for (int32_t row = 0; row < rows.count; row++)
                {
                    for (int32_t column = 0; column < columns.count; column++)
                    {
                        const int8_t *x = image + ((rows.input + row) * input_dims->w +
                                                   columns.input + column) *
                                                      channels;

                        for (int32_t c = 0; c < channels; c++)
                        {
                            output_data[c] = x[c] > output_data[c] ? x[c] : output_data[c];
                        }
                    }
                }
                for (int32_t c = 0; c < channels; c++)
                {
                    output_data[c] = (int8_t)kanji_min(output_data[c], activation.max);
                }
                output_data += channels;
            }
        }
    }
    return ARM_CMSIS_NN_SUCCESS;
}
