/* SPDX-License-Identifier: Apache-2.0
 *
 * The legacy API: integer neural-network kernels whose scales are powers of two, in portable
 * C99, under the names and signatures of CMSIS 5.9.0 (CMSIS/NN): link that library on a
 * Cortex-M and this one anywhere else.
 *
 * For every function here
 * - tensors are dense, channels innermost (HWC), one image; input, weights and output do not
 *   overlap, except where allowed below;
 * - the answer equals that of CMSIS 5.9.0 byte for byte, built with the same rounding: half
 *   up by default, down under ARM_NN_TRUNCATE;
 * - arguments are checked before anything is written: a call that is refused leaves its
 *   arrays alone. Shapes that a convolution is not made for, as stated with it, return
 *   ARM_MATH_SIZE_MISMATCH on every core class. NULL pointers (except for scratch), extents
 *   or strides of 0, tensors above INT32_MAX elements, spatial extents, strides and paddings
 *   above 32,767, windows that end more than 32,767 after the first element, bias_shift above
 *   23 and out_shift above 30 return ARM_MATH_ARGUMENT_ERROR, and so do the limits of a sum.
 *   void functions do nothing instead;
 * - scratch arguments (bufferA, bufferB, vec_buffer) are there for the signature only and may
 *   be NULL. The library needs what is stated with each function on cores with the DSP
 *   extension, and none on the others.
 *
 * Core classes. The library has two paths: DSP (ARM_MATH_DSP defined and ARM_MATH_MVEI not:
 * Cortex-M4, M7, M33) and plain C (Cortex-M0, M3, and M55, M85 too: Helium is not used). Only
 * the two pools answer differently on them. This library takes the path that the library
 * takes on the compiler's target; -DARM_MATH_DSP selects the DSP path on a host, and
 * -DKANJI_NN_PLAIN_C the plain C path on a DSP core.
 */
#ifndef ARM_NNFUNCTIONS_H
#define ARM_NNFUNCTIONS_H

#include "arm_nn_math_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Convolution.
 *
 *     y = clamp((sum(x * w) + bias * 2^bias_shift + 2^out_shift / 2) >> out_shift, -128, 127)
 *
 * over the part of the window that lies on the input. Shapes: Im_in (y, x, ch_im_in), wt
 * (ch_im_out, kernel y, kernel x, ch_im_in), bias (ch_im_out), Im_out (y, x, ch_im_out);
 * square functions take one number for both axes. Padding is what lies above and to the left
 * of the input; dim_im_out decides how far windows reach beyond the other two edges.
 *
 * kernel y * kernel x * ch_im_in <= 65,535, so that sum and bias fit int32 whatever the data.
 *
 * Scratch on DSP cores: bufferA 2 * kernel y * kernel x * ch_im_in q15_t [elements], bufferB
 * none.
 */
arm_status arm_convolve_HWC_q7_basic(const q7_t *Im_in,
                                     const uint16_t dim_im_in,
                                     const uint16_t ch_im_in,
                                     const q7_t *wt,
                                     const uint16_t ch_im_out,
                                     const uint16_t dim_kernel,
                                     const uint16_t padding,
                                     const uint16_t stride,
                                     const q7_t *bias,
                                     const uint16_t bias_shift,
                                     const uint16_t out_shift,
                                     q7_t *Im_out,
                                     const uint16_t dim_im_out,
                                     q15_t *bufferA,
                                     q7_t *bufferB);
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
                                               q7_t *bufferB);

/* The same convolution for ch_im_in = 3. The library's DSP path reads one byte beyond the
 * last pixel of the input. */
arm_status arm_convolve_HWC_q7_RGB(const q7_t *Im_in,
                                   const uint16_t dim_im_in,
                                   const uint16_t ch_im_in,
                                   const q7_t *wt,
                                   const uint16_t ch_im_out,
                                   const uint16_t dim_kernel,
                                   const uint16_t padding,
                                   const uint16_t stride,
                                   const q7_t *bias,
                                   const uint16_t bias_shift,
                                   const uint16_t out_shift,
                                   q7_t *Im_out,
                                   const uint16_t dim_im_out,
                                   q15_t *bufferA,
                                   q7_t *bufferB);

/* The same convolution for ch_im_in a multiple of 4 and ch_im_out of 2.
 *
 * On each axis padding <= dim_im_out, and the windows from number `padding` to number
 * dim_im_out - padding - 1 must lie on the input: the library's DSP path takes that for
 * granted, and reads or writes elsewhere if it is not so. Where more padding is needed after
 * the input than before, as by "same" padding at stride 2, use basic.
 */
arm_status arm_convolve_HWC_q7_fast(const q7_t *Im_in,
                                    const uint16_t dim_im_in,
                                    const uint16_t ch_im_in,
                                    const q7_t *wt,
                                    const uint16_t ch_im_out,
                                    const uint16_t dim_kernel,
                                    const uint16_t padding,
                                    const uint16_t stride,
                                    const q7_t *bias,
                                    const uint16_t bias_shift,
                                    const uint16_t out_shift,
                                    q7_t *Im_out,
                                    const uint16_t dim_im_out,
                                    q15_t *bufferA,
                                    q7_t *bufferB);
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
                                              q7_t *bufferB);

/* Within the limits of fast: kernel 1, stride 1, padding 0 on both axes. */
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
                                                  q7_t *bufferB);

/* Depthwise convolution: formula and limits of the convolution, each channel by itself.
 * ch_im_in = ch_im_out; wt has the shape (kernel y, kernel x, ch_im_in).
 *
 * Scratch on DSP cores: bufferA kernel y * kernel x * ch_im_in [bytes], aligned for q15_t,
 * bufferB none. The library's documentation says twice that; its code uses this much. */
arm_status arm_depthwise_separable_conv_HWC_q7(const q7_t *Im_in,
                                               const uint16_t dim_im_in,
                                               const uint16_t ch_im_in,
                                               const q7_t *wt,
                                               const uint16_t ch_im_out,
                                               const uint16_t dim_kernel,
                                               const uint16_t padding,
                                               const uint16_t stride,
                                               const q7_t *bias,
                                               const uint16_t bias_shift,
                                               const uint16_t out_shift,
                                               q7_t *Im_out,
                                               const uint16_t dim_im_out,
                                               q15_t *bufferA,
                                               q7_t *bufferB);
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
                                                         q7_t *bufferB);

/* Fully connected layer: the formula of the convolution. pV (dim_vec), pM (num_of_rows,
 * dim_vec), bias and pOut (num_of_rows).
 *
 * The _opt function takes the matrix interleaved. Four rows at a time, every four columns of
 * them are stored in the order (row, column)
 *
 *     00 10 02 12 20 30 22 32 01 11 03 13 21 31 23 33
 *
 * and the columns left over one after the other, each down the four rows; the rows left over
 * come last, as they are.
 *
 * Scratch on DSP cores: vec_buffer dim_vec q15_t [elements].
 */
arm_status arm_fully_connected_q7(const q7_t *pV,
                                  const q7_t *pM,
                                  const uint16_t dim_vec,
                                  const uint16_t num_of_rows,
                                  const uint16_t bias_shift,
                                  const uint16_t out_shift,
                                  const q7_t *bias,
                                  q7_t *pOut,
                                  q15_t *vec_buffer);
arm_status arm_fully_connected_q7_opt(const q7_t *pV,
                                      const q7_t *pM,
                                      const uint16_t dim_vec,
                                      const uint16_t num_of_rows,
                                      const uint16_t bias_shift,
                                      const uint16_t out_shift,
                                      const q7_t *bias,
                                      q7_t *pOut,
                                      q15_t *vec_buffer);

/* Pooling over the part of each window that lies on the input; that part must not be empty.
 * Images, windows, strides and paddings are square: one number for both axes.
 *
 *     max:              y = max(x)
 *     average, plain C: y = sum(x) / n, n elements in that part
 *     average, DSP:     y = sum(t) / rows,  t = sum(x) / columns for each row of that part
 *
 * Divisions truncate, so the averages of the two core classes differ.
 *
 * The DSP path works in place along x: it leaves the result for the row, dim_im_out pixels,
 * at the start of each row of Im_in. Do not use the input after the call; it is changed
 * here as it is there, so that a program that does is found out on the host. Plain C leaves
 * it alone. With padding >= stride the library's DSP path overwrites pixels that later
 * windows of the row need, and its answers are wrong: such a call does nothing here. The
 * plain C path is right and is not refused.
 *
 * dim_im_out * ch_im_in <= 65,535; for the average dim_kernel <= 256: the library's DSP path
 * holds both in 16 bits.
 *
 * Scratch on DSP cores: bufferA 2 * dim_im_out * ch_im_in [bytes], aligned for q15_t, for the
 * average; none for the maximum.
 */
void arm_maxpool_q7_HWC(q7_t *Im_in,
                        const uint16_t dim_im_in,
                        const uint16_t ch_im_in,
                        const uint16_t dim_kernel,
                        const uint16_t padding,
                        const uint16_t stride,
                        const uint16_t dim_im_out,
                        q7_t *bufferA,
                        q7_t *Im_out);
void arm_avepool_q7_HWC(q7_t *Im_in,
                        const uint16_t dim_im_in,
                        const uint16_t ch_im_in,
                        const uint16_t dim_kernel,
                        const uint16_t padding,
                        const uint16_t stride,
                        const uint16_t dim_im_out,
                        q7_t *bufferA,
                        q7_t *Im_out);

/* max(x, 0) in place. NULL is ignored. */
void arm_relu_q7(q7_t *data, uint16_t size);

/* Softmax to base 2, of one vector; input and output may be the same memory.
 *
 *     base = max(x) - 8,  s = clamp(x - base, 0, 7),  B = 2^20 / sum(2^s)
 *     y = min(B >> min(13 + base - x, 31), 127)
 *
 * The division truncates. 1 <= dim_vec <= 32,767: the library counts in int16.
 */
void arm_softmax_q7(const q7_t *vec_in, const uint16_t dim_vec, q7_t *p_out);

/* The same of nb_batches vectors, one after the other; 1 <= nb_batches. */
void arm_softmax_with_batch_q7(const q7_t *vec_in,
                               const uint16_t nb_batches,
                               const uint16_t dim_vec,
                               q7_t *p_out);

#ifdef __cplusplus
}
#endif

#endif
