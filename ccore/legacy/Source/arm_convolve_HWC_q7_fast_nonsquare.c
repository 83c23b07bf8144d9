/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"

/* Whether every window that the library takes to lie on the input does: all but the first
 * and the last `padding` of an axis. */
static int padding_covers(
    int32_t input_size, int32_t kernel_size, int32_t output_size, int32_t stride, int32_t padding)
{
    const int32_t last = output_size - padding - 1;

    return padding <= output_size &&
           (last < padding || (int64_t)last * stride - padding + kernel_size <= input_size);
}

arm_status arm_convolve_HWC_q7_fast_nonsquare(const q7_t *Im_in,
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
    if (ch_im_in % 4 != 0 || ch_im_out % 2 != 0 ||
        !padding_covers(dim_im_in_x, dim_kernel_x, dim_im_out_x, stride_x, padding_x) ||
        !padding_covers(dim_im_in_y, dim_kernel_y, dim_im_out_y, stride_y, padding_y))
    {
        return ARM_MATH_SIZE_MISMATCH;
    }
    return arm_convolve_HWC_q7_basic_nonsquare(Im_in,
                                               dim_im_in_x,
                                               dim_im_in_y,
                                               ch_im_in,
                                               wt,
                                               ch_im_out,
                                               dim_kernel_x,
                                               dim_kernel_y,
                                               padding_x,
                                               padding_y,
                                               stride_x,
                                               stride_y,
                                               bias,
                                               bias_shift,
                                               out_shift,
                                               Im_out,
                                               dim_im_out_x,
                                               dim_im_out_y,
                                               bufferA,
                                               bufferB);
}
