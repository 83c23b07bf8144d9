/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"
#include "kanji_q7.h"

static void window_sums(const kanji_convolution_q7 *conv,
                        kanji_window rows,
                        kanji_window columns,
                        int32_t out_ch,
                        int32_t filters,
                        int32_t sums[KANJI_FILTERS])
{
    const int32_t channels = conv->input_ch;
    const kanji_dw_patch patch = {
        .x = conv->input + (rows.input * conv->input_x + columns.input) * channels + out_ch,
        .x_row = conv->input_x * channels,
        .x_column = channels,
        .w = (rows.kernel * conv->kernel_x + columns.kernel) * channels + out_ch,
        .w_row = conv->kernel_x * channels,
        .w_column = channels,
        .rows = rows.count,
        .columns = columns.count,
    };

    kanji_dw_products_s8(&patch, conv->weight, filters, 1, 0, sums);
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

    return kanji_convolve_q7(&conv, kanji_volume(1, dim_kernel_y, dim_kernel_x, 1), window_sums);
}
