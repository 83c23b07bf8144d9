/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"

arm_status arm_convolve_1x1_HWC_q7_fast_nonsquare(const q7_t *Im_in,
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
    if (dim_kernel_x != 1 || dim_kernel_y != 1 || padding_x != 0 || padding_y != 0 ||
        stride_x != 1 || stride_y != 1)
    {
        return ARM_MATH_SIZE_MISMATCH;
    }
    return arm_convolve_HWC_q7_fast_nonsquare(Im_in,
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
