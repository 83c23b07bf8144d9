/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"
#include "kanji_q7.h"

static int32_t window_sum(const kanji_convolution_q7 *conv,
                          kanji_window rows,
                          kanji_window columns,
                          int32_t out_ch)
{
    const int32_t channels = conv->input_ch;
    int32_t sum = 0;

    for (int32_t row = 0; row < rows.count; row++)
    {
        const int32_t y = rows.input + row;
        const int32_t kernel_y = rows.kernel + row;
        const q7_t *x = conv->input + (y * conv->input_x + columns.input) * channels + out_ch;
        const q7_t *w = conv->weight +
                        (kernel_y * conv->kernel_x + columns.kernel) * channels + out_ch;

        for (int32_t column = 0; column < columns.count; column++)
        {
            sum += x[column * channels] * w[column * channels];
        }
    }
    return sum;
}

arm_status arm_depthwise_separable_conv_HWC_q7_nonsquare(const q7_t *Im_in,
                                                         const uint16_t dim_im_in_x,
                                                         const uint16_t dim_im_in_y,
                                                         const uint16_t ch_im_in,
                                                         const q7_t *wt,
                                                         const uint16_t ch_im_out,
                                                         const uint16_t dim_kernel_x,
                                                         const uint16_t dim_kernel_y,
                                                         const uint16_t padding_x,
                                                         const uint16_t padding_y,
                                                         const uint16_t stride_x,
                                                         const uint16_t stride_y,
                                                         const q7_t *bias,
                                                         const uint16_t bias_shift,
                                                         const uint16_t out_shift,
                                                         q7_t *Im_out,
                                                         const uint16_t dim_im_out_x,
                                                         const uint16_t dim_im_out_y,
                                                         q15_t *bufferA,
                                                         q7_t *bufferB)
{
    (void)bufferA;
    (void)bufferB;

    if (ch_im_in != ch_im_out)
    {
        return ARM_MATH_SIZE_MISMATCH;
    }

    const kanji_convolution_q7 conv = {
        .input = Im_in,
        .weight = wt,
        .bias = bias,
        .output = Im_out,
        .input_x = dim_im_in_x,
        .input_y = dim_im_in_y,
        .input_ch = ch_im_in,
        .kernel_x = dim_kernel_x,
        .kernel_y = dim_kernel_y,
        .padding_x = padding_x,
        .padding_y = padding_y,
        .stride_x = stride_x,
        .stride_y = stride_y,
        .output_x = dim_im_out_x,
        .output_y = dim_im_out_y,
        .output_ch = ch_im_out,
        .bias_shift = bias_shift,
        .out_shift = out_shift,
    };

    return kanji_convolve_q7(&conv, kanji_volume(1, dim_kernel_y, dim_kernel_x, 1), window_sum);
}
