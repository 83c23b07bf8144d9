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
    const int32_t row_size = conv->kernel_x * channels;
    const int32_t filter_size = conv->kernel_y * row_size;
    /* The taps of one row are neighbours: one run of memory. */
    const kanji_patch patch = {
        .x = conv->input + (rows.input * conv->input_x + columns.input) * channels,
        .x_pitch = conv->input_x * channels,
        .w = out_ch * filter_size + rows.kernel * row_size + columns.kernel * channels,
        .w_pitch = row_size,
        .rows = rows.count,
        .length = columns.count * channels,
    };

    kanji_products_s8(&patch, conv->weight, filters, filter_size, 0, sums);
}

arm_status arm_convolve_HWC_q7_basic_nonsquare(const q7_t *Im_in,
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

    return kanji_convolve_q7(
        &conv, kanji_volume(1, dim_kernel_y, dim_kernel_x, ch_im_in), window_sums);
}
