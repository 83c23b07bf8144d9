/* SPDX-License-Identifier: Apache-2.0 */
#include "kanji_q7.h"

static int arguments_ok(const kanji_convolution_q7 *conv, int32_t depth)
{
    return conv->input != NULL && conv->weight != NULL && conv->bias != NULL &&
           conv->output != NULL && depth > 0 && depth <= KANJI_MAX_DEPTH &&
           kanji_shifts_q7_ok(conv->bias_shift, conv->out_shift) &&
           kanji_axis_q7_ok(conv->input_x,
                            conv->kernel_x,
                            conv->output_x,
                            conv->stride_x,
                            conv->padding_x) &&
           kanji_axis_q7_ok(conv->input_y,
                            conv->kernel_y,
                            conv->output_y,
                            conv->stride_y,
                            conv->padding_y) &&
           kanji_volume(1, conv->input_y, conv->input_x, conv->input_ch) > 0 &&
           kanji_volume(1, conv->output_y, conv->output_x, conv->output_ch) > 0 &&
           kanji_volume(conv->output_ch, depth, 1, 1) > 0;
}

arm_status kanji_convolve_q7(const kanji_convolution_q7 *conv,
                             int32_t depth,
                             kanji_window_sums_q7 window_sums)
{
    if (!arguments_ok(conv, depth))
    {
        return ARM_MATH_ARGUMENT_ERROR;
    }

    q7_t *output = conv->output;

    for (int32_t out_y = 0; out_y < conv->output_y; out_y++)
    {
        const kanji_window rows = kanji_window_at(
            out_y * conv->stride_y - conv->padding_y, conv->kernel_y, 1, conv->input_y);

        for (int32_t out_x = 0; out_x < conv->output_x; out_x++)
        {
            const kanji_window columns = kanji_window_at(
                out_x * conv->stride_x - conv->padding_x, conv->kernel_x, 1, conv->input_x);

            for (int32_t out_ch = 0; out_ch < conv->output_ch; out_ch += KANJI_FILTERS)
            {
                const int32_t filters = kanji_min(KANJI_FILTERS, conv->output_ch - out_ch);
                int32_t sums[KANJI_FILTERS] = {0};

                window_sums(conv, rows, columns, out_ch, filters, sums);
                for (int32_t k = 0; k < filters; k++)
                {
                    *output++ = kanji_output_q7(
                        sums[k], conv->bias[out_ch + k], conv->bias_shift, conv->out_shift);
                }
            }
        }
    }
    return ARM_MATH_SUCCESS;
}
