/* SPDX-License-Identifier: Apache-2.0
 *
 * Integer neural-network kernels in portable C99, under the names and signatures of
 * CMSIS-NN v7.0.0: link that library on a Cortex-M and this one anywhere else.
 *
 * For every function here
 * - tensors are dense, channels innermost (NHWC); input, weights and output do not overlap;
 * - the answer equals that of CMSIS-NN v7.0.0 byte for byte, on all of its core classes
 *   (plain C, DSP, MVE), built with the same rounding (CMSIS_NN_USE_SINGLE_ROUNDING, unset
 *   by default: see arm_nn_requantize), as long as no intermediate value leaves int32.
 *   Where one would, the library's result is undefined and this one saturates;
 * - arguments are checked before anything is written: a call that is refused returns
 *   ARM_CMSIS_NN_ARG_ERROR and leaves the output alone. Refused are NULL pointers (except
 *   where allowed below), extents or strides below 1, negative padding, tensors above
 *   INT32_MAX elements, spatial extents, strides, paddings or dilations above 32,767,
 *   dilations below 1, activation limits that are not -128 <= min <= max <= 127, an
 *   input_offset outside -127 .. 128, an output_offset outside -32,768 .. 32,767,
 *   multipliers below 0, and shifts outside -31 .. 30;
 * - fields that CMSIS-NN does not read on any core class are not read here either, and may be
 *   unset: "Not read" lists them. Where a filter has one tap along an axis, that includes
 *   the dilation of the axis;
 * - ctx and bias_dims are there for the signature only and may be NULL: nothing here needs
 *   scratch memory. CMSIS-NN does, and the *_get_buffer_size functions tell how much.
 */
#ifndef ARM_NNFUNCTIONS_H
#define ARM_NNFUNCTIONS_H

#include "arm_nn_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Convolution.
 *
 *     y = clamp(requantize(sum((x + input_offset) * w) + bias, multiplier[o], shift[o])
 *               + output_offset, activation.min, activation.max)
 *
 * over the part of the window that lies on the input. Shapes: input (n, h, w, c), filter
 * (n = output channels, h, w, c), output (n, h, w, c). Padding is what lies above and to
 * the left of the input; output_dims decide how far windows reach beyond the other two
 * edges. bias_data may be NULL: all zero. Not read: filter n, output n.
 *
 * Where filter c is less than input c, it divides it, and input and output channels are in
 * input c / filter c groups, which divide output c: the filters of a group see its channels.
 *
 * filter h * w * input c <= 65,535, so that the sum fits int32 whatever the data.
 *
 * CMSIS-NN is wrong, and this one right,
 * - on all cores, for filters 1x1 without padding before, where a window begins beyond the
 *   input;
 * - on all cores, for groups without bias: from the second on it reads one, near address 0;
 * - on Helium, for one row of input where stride.w * c is a multiple of 4: where the output has
 *   more rows or there is padding above, and where the first window to leave the row leaves it
 *   by more than one cell. It refuses such a row, with ARM_CMSIS_NN_FAILURE, where there is
 *   neither as much padding after it as before nor one cell more.
 */
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
                                            int8_t *output_data);

/* Scratch, in bytes, of CMSIS-NN's arm_convolve_wrapper_s8, so that an arena planned on the
 * host suffices on the device:
 *
 *     arm_convolve_wrapper_s8_get_buffer_size      the core that is compiled for
 *     arm_convolve_wrapper_s8_get_buffer_size_dsp  DSP extension (M4, M7, M33)
 *     arm_convolve_wrapper_s8_get_buffer_size_mve  Helium (M55, M85)
 *
 * The first answers for plain C (Cortex-M0, M3) where the compiler's target has neither
 * extension, as a host.
 *
 * _dsp counts what a stride-1 1x1 convolution takes when the library is built with Arm
 * Compiler 6; built with GCC it takes none. Dimensions that the convolution would refuse
 * give ARM_CMSIS_NN_ARG_ERROR, which is negative.
 */
int32_t arm_convolve_wrapper_s8_get_buffer_size(const cmsis_nn_conv_params *conv_params,
                                                const cmsis_nn_dims *input_dims,
                                                const cmsis_nn_dims *filter_dims,
                                                const cmsis_nn_dims *output_dims);
int32_t arm_convolve_wrapper_s8_get_buffer_size_dsp(const cmsis_nn_conv_params *conv_params,
                                                    const cmsis_nn_dims *input_dims,
                                                    const cmsis_nn_dims *filter_dims,
                                                    const cmsis_nn_dims *output_dims);
int32_t arm_convolve_wrapper_s8_get_buffer_size_mve(const cmsis_nn_conv_params *conv_params,
                                                    const cmsis_nn_dims *input_dims,
                                                    const cmsis_nn_dims *filter_dims,
                                                    const cmsis_nn_dims *output_dims);

/* The kernels that CMSIS-NN's wrapper chooses from, for programs that call them by name: the
 * convolution above, except that
 *
 *     arm_convolve_s8           refuses upscale_dims (NULL where there are none) with h or w 2:
 *                               no transposed convolution here
 *     arm_convolve_1x1_s8       refuses padding; reads no filter_dims (the filter is 1x1, its c
 *                               the input's) and no dilation
 *     arm_convolve_1x1_s8_fast  the same, and refuses strides other than 1; of output_dims it
 *                               reads c, all else being the input's
 *     arm_convolve_1_x_n_s8     refuses more than one row of input, dilation.w other than 1, and
 *                               stride.w * c that is no multiple of 4
 */
arm_cmsis_nn_status arm_convolve_s8(const cmsis_nn_context *ctx,
                                    const cmsis_nn_conv_params *conv_params,
                                    const cmsis_nn_per_channel_quant_params *quant_params,
                                    const cmsis_nn_dims *input_dims,
                                    const int8_t *input_data,
                                    const cmsis_nn_dims *filter_dims,
                                    const int8_t *filter_data,
                                    const cmsis_nn_dims *bias_dims,
                                    const int32_t *bias_data,
                                    const cmsis_nn_dims *upscale_dims,
                                    const cmsis_nn_dims *output_dims,
                                    int8_t *output_data);
arm_cmsis_nn_status arm_convolve_1x1_s8(const cmsis_nn_context *ctx,
                                        const cmsis_nn_conv_params *conv_params,
                                        const cmsis_nn_per_channel_quant_params *quant_params,
                                        const cmsis_nn_dims *input_dims,
                                        const int8_t *input_data,
                                        const cmsis_nn_dims *filter_dims,
                                        const int8_t *filter_data,
                                        const cmsis_nn_dims *bias_dims,
                                        const int32_t *bias_data,
                                        const cmsis_nn_dims *output_dims,
                                        int8_t *output_data);
arm_cmsis_nn_status arm_convolve_1x1_s8_fast(const cmsis_nn_context *ctx,
                                             const cmsis_nn_conv_params *conv_params,
                                             const cmsis_nn_per_channel_quant_params *quant_params,
                                             const cmsis_nn_dims *input_dims,
                                             const int8_t *input_data,
                                             const cmsis_nn_dims *filter_dims,
                                             const int8_t *filter_data,
                                             const cmsis_nn_dims *bias_dims,
                                             const int32_t *bias_data,
                                             const cmsis_nn_dims *output_dims,
                                             int8_t *output_data);
arm_cmsis_nn_status arm_convolve_1_x_n_s8(const cmsis_nn_context *ctx,
                                          const cmsis_nn_conv_params *conv_params,
                                          const cmsis_nn_per_channel_quant_params *quant_params,
                                          const cmsis_nn_dims *input_dims,
                                          const int8_t *input_data,
                                          const cmsis_nn_dims *filter_dims,
                                          const int8_t *filter_data,
                                          const cmsis_nn_dims *bias_dims,
                                          const int32_t *bias_data,
                                          const cmsis_nn_dims *output_dims,
                                          int8_t *output_data);

/* Their scratch [bytes] on the core that is compiled for; arm_convolve_1x1_s8 takes none. */
int32_t arm_convolve_s8_get_buffer_size(const cmsis_nn_dims *input_dims,
                                        const cmsis_nn_dims *filter_dims);
int32_t arm_convolve_1x1_s8_fast_get_buffer_size(const cmsis_nn_dims *input_dims);
int32_t arm_convolve_1_x_n_s8_get_buffer_size(const cmsis_nn_conv_params *conv_params,
                                              const cmsis_nn_dims *input_dims,
                                              const cmsis_nn_dims *filter_dims,
                                              const cmsis_nn_dims *output_dims);

/* Convolution with int4 weights: arm_convolve_wrapper_s8 in everything else.
 *
 * filter_data holds weights of -8 .. 7, two a byte: element i of the tensor (n, h, w, c) is the
 * low nibble of byte i / 2 where i is even, the high one where it is odd. Rows are not padded,
 * so that one of them may begin in the middle of a byte. There are no groups: filter c is not
 * read, and is input c.
 *
 * CMSIS-NN is wrong, and this one right,
 * - on all cores, for filters 1x1 without padding before, where a window begins beyond the
 *   input;
 * - on Helium, for one row of input where stride.w * c is a multiple of 4: where the output has
 *   more rows or there is padding above, and for an odd number of channels. It refuses such a
 *   row, with ARM_CMSIS_NN_FAILURE, where there is neither as much padding after it as before
 *   nor one cell more, and where all windows reach into the padding;
 * - on Helium under CMSIS_NN_USE_SINGLE_ROUNDING, for up to three pixels at the end of a row or
 *   of an image: it rounds them twice.
 */
arm_cmsis_nn_status arm_convolve_wrapper_s4(const cmsis_nn_context *ctx,
                                            const cmsis_nn_conv_params *conv_params,
                                            const cmsis_nn_per_channel_quant_params *quant_params,
                                            const cmsis_nn_dims *input_dims,
                                            const int8_t *input_data,
                                            const cmsis_nn_dims *filter_dims,
                                            const int8_t *filter_data,
                                            const cmsis_nn_dims *bias_dims,
                                            const int32_t *bias_data,
                                            const cmsis_nn_dims *output_dims,
                                            int8_t *output_data);

/* Scratch of CMSIS-NN's arm_convolve_wrapper_s4 [bytes]; core classes as above. */
int32_t arm_convolve_wrapper_s4_get_buffer_size(const cmsis_nn_conv_params *conv_params,
                                                const cmsis_nn_dims *input_dims,
                                                const cmsis_nn_dims *filter_dims,
                                                const cmsis_nn_dims *output_dims);
int32_t arm_convolve_wrapper_s4_get_buffer_size_dsp(const cmsis_nn_conv_params *conv_params,
                                                    const cmsis_nn_dims *input_dims,
                                                    const cmsis_nn_dims *filter_dims,
                                                    const cmsis_nn_dims *output_dims);
int32_t arm_convolve_wrapper_s4_get_buffer_size_mve(const cmsis_nn_conv_params *conv_params,
                                                    const cmsis_nn_dims *input_dims,
                                                    const cmsis_nn_dims *filter_dims,
                                                    const cmsis_nn_dims *output_dims);

/* Its kernels by name, which read and refuse as those for int8 weights, and their scratch. */
arm_cmsis_nn_status arm_convolve_s4(const cmsis_nn_context *ctx,
                                    const cmsis_nn_conv_params *conv_params,
                                    const cmsis_nn_per_channel_quant_params *quant_params,
                                    const cmsis_nn_dims *input_dims,
                                    const int8_t *input_data,
                                    const cmsis_nn_dims *filter_dims,
                                    const int8_t *filter_data,
                                    const cmsis_nn_dims *bias_dims,
                                    const int32_t *bias_data,
                                    const cmsis_nn_dims *output_dims,
                                    int8_t *output_data);
arm_cmsis_nn_status arm_convolve_1x1_s4(const cmsis_nn_context *ctx,
                                        const cmsis_nn_conv_params *conv_params,
                                        const cmsis_nn_per_channel_quant_params *quant_params,
                                        const cmsis_nn_dims *input_dims,
                                        const int8_t *input_data,
                                        const cmsis_nn_dims *filter_dims,
                                        const int8_t *filter_data,
                                        const cmsis_nn_dims *bias_dims,
                                        const int32_t *bias_data,
                                        const cmsis_nn_dims *output_dims,
                                        int8_t *output_data);
arm_cmsis_nn_status arm_convolve_1x1_s4_fast(const cmsis_nn_context *ctx,
                                             const cmsis_nn_conv_params *conv_params,
                                             const cmsis_nn_per_channel_quant_params *quant_params,
                                             const cmsis_nn_dims *input_dims,
                                             const int8_t *input_data,
                                             const cmsis_nn_dims *filter_dims,
                                             const int8_t *filter_data,
                                             const cmsis_nn_dims *bias_dims,
                                             const int32_t *bias_data,
                                             const cmsis_nn_dims *output_dims,
                                             int8_t *output_data);
arm_cmsis_nn_status arm_convolve_1_x_n_s4(const cmsis_nn_context *ctx,
                                          const cmsis_nn_conv_params *conv_params,
                                          const cmsis_nn_per_channel_quant_params *quant_params,
                                          const cmsis_nn_dims *input_dims,
                                          const int8_t *input_data,
                                          const cmsis_nn_dims *filter_dims,
                                          const int8_t *filter_data,
                                          const cmsis_nn_dims *bias_dims,
                                          const int32_t *bias_data,
                                          const cmsis_nn_dims *output_dims,
                                          int8_t *output_data);
int32_t arm_convolve_s4_get_buffer_size(const cmsis_nn_dims *input_dims,
                                        const cmsis_nn_dims *filter_dims);
int32_t arm_convolve_1x1_s4_fast_get_buffer_size(const cmsis_nn_dims *input_dims);
int32_t arm_convolve_1_x_n_s4_get_buffer_size(const cmsis_nn_conv_params *conv_params,
                                              const cmsis_nn_dims *input_dims,
                                              const cmsis_nn_dims *filter_dims,
                                              const cmsis_nn_dims *output_dims);

/* Depthwise convolution: the formula of the convolution, the sum of output channel o over
 * input channel o / ch_mult alone.
 *
 * Shapes: input (n, h, w, c), filter (1, h, w, output c), output (n, h, w,
 * c = input c * ch_mult). Padding, output_dims and bias_data as in the convolution. Not read:
 * filter n and c, output n; but CMSIS-NN reads the filter's on Helium for one input channel.
 *
 * filter h * w <= 65,535, so that the sum fits int32 whatever the data.
 *
 * CMSIS-NN has kernels of its own for ch_mult 1 and dilation 1. Two of them are wrong where
 * this one is right:
 * - on cores without Helium, filter 3x3 with padding of at most 1: if a window reaches more
 *   than one column beyond the right edge, it reads the next row instead of padding;
 * - on DSP cores, all other filters: if a window ends above or begins below the input by a
 *   row or more, it writes outside its scratch.
 * On all cores it holds channels in 16 bits, and where windows start in int16. On Helium it
 * reads, and ignores, up to three elements beyond filter, bias, multiplier and shift where
 * channels are not a multiple of 4.
 */
arm_cmsis_nn_status arm_depthwise_conv_wrapper_s8(
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
    int8_t *output_data);

/* Scratch of CMSIS-NN's arm_depthwise_conv_wrapper_s8 [bytes]; core classes as above. For
 * one input channel and several output channels, _mve counts what the library takes when
 * built with GCC; built with Arm Compiler 6 it takes none for up to 8 of them. */
int32_t arm_depthwise_conv_wrapper_s8_get_buffer_size(
    const cmsis_nn_dw_conv_params *dw_conv_params,
    const cmsis_nn_dims *input_dims,
    const cmsis_nn_dims *filter_dims,
    const cmsis_nn_dims *output_dims);
int32_t arm_depthwise_conv_wrapper_s8_get_buffer_size_dsp(
    const cmsis_nn_dw_conv_params *dw_conv_params,
    const cmsis_nn_dims *input_dims,
    const cmsis_nn_dims *filter_dims,
    const cmsis_nn_dims *output_dims);
int32_t arm_depthwise_conv_wrapper_s8_get_buffer_size_mve(
    const cmsis_nn_dw_conv_params *dw_conv_params,
    const cmsis_nn_dims *input_dims,
    const cmsis_nn_dims *filter_dims,
    const cmsis_nn_dims *output_dims);

/* The kernels that CMSIS-NN's wrapper chooses from: the depthwise convolution above, except that
 *
 *     arm_depthwise_conv_s8_opt  refuses an output c that is not the input's
 *     arm_depthwise_conv_3x3_s8  refuses the same, filters other than 3x3, and padding.w above 1;
 *                                reads no ch_mult, no dilation and no input n: all are 1
 */
arm_cmsis_nn_status arm_depthwise_conv_s8(const cmsis_nn_context *ctx,
                                          const cmsis_nn_dw_conv_params *dw_conv_params,
                                          const cmsis_nn_per_channel_quant_params *quant_params,
                                          const cmsis_nn_dims *input_dims,
                                          const int8_t *input_data,
                                          const cmsis_nn_dims *filter_dims,
                                          const int8_t *filter_data,
                                          const cmsis_nn_dims *bias_dims,
                                          const int32_t *bias_data,
                                          const cmsis_nn_dims *output_dims,
                                          int8_t *output_data);
arm_cmsis_nn_status arm_depthwise_conv_s8_opt(const cmsis_nn_context *ctx,
                                              const cmsis_nn_dw_conv_params *dw_conv_params,
                                              const cmsis_nn_per_channel_quant_params *quant_params,
                                              const cmsis_nn_dims *input_dims,
                                              const int8_t *input_data,
                                              const cmsis_nn_dims *filter_dims,
                                              const int8_t *filter_data,
                                              const cmsis_nn_dims *bias_dims,
                                              const int32_t *bias_data,
                                              const cmsis_nn_dims *output_dims,
                                              int8_t *output_data);
arm_cmsis_nn_status arm_depthwise_conv_3x3_s8(const cmsis_nn_context *ctx,
                                              const cmsis_nn_dw_conv_params *dw_conv_params,
                                              const cmsis_nn_per_channel_quant_params *quant_params,
                                              const cmsis_nn_dims *input_dims,
                                              const int8_t *input_data,
                                              const cmsis_nn_dims *filter_dims,
                                              const int8_t *filter_data,
                                              const cmsis_nn_dims *bias_dims,
                                              const int32_t *bias_data,
                                              const cmsis_nn_dims *output_dims,
                                              int8_t *output_data);

/* Its scratch [bytes] on the core that is compiled for; the other two take none. */
int32_t arm_depthwise_conv_s8_opt_get_buffer_size(const cmsis_nn_dims *input_dims,
                                                  const cmsis_nn_dims *filter_dims);

/* Depthwise convolution with int4 weights: arm_depthwise_conv_wrapper_s8 in everything else, the
 * weights packed as for arm_convolve_wrapper_s4.
 *
 * CMSIS-NN is wrong, and this one right,
 * - on all cores, for ch_mult above 1 or dilation with an odd number of input channels;
 * - on cores without Helium, for ch_mult 1 and dilation 1, where a window ends above or begins
 *   below the input by a row or more: it writes outside its scratch;
 * - on Helium, for ch_mult 1 and dilation 1, as compiled with GCC 12: the odd channels.
 */
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
    int8_t *output_data);

/* Scratch of CMSIS-NN's arm_depthwise_conv_wrapper_s4 [bytes]; core classes as above. */
int32_t arm_depthwise_conv_wrapper_s4_get_buffer_size(
    const cmsis_nn_dw_conv_params *dw_conv_params,
    const cmsis_nn_dims *input_dims,
    const cmsis_nn_dims *filter_dims,
    const cmsis_nn_dims *output_dims);
int32_t arm_depthwise_conv_wrapper_s4_get_buffer_size_dsp(
    const cmsis_nn_dw_conv_params *dw_conv_params,
    const cmsis_nn_dims *input_dims,
    const cmsis_nn_dims *filter_dims,
    const cmsis_nn_dims *output_dims);
int32_t arm_depthwise_conv_wrapper_s4_get_buffer_size_mve(
    const cmsis_nn_dw_conv_params *dw_conv_params,
    const cmsis_nn_dims *input_dims,
    const cmsis_nn_dims *filter_dims,
    const cmsis_nn_dims *output_dims);

/* Its kernels by name: the first is the whole of it, the second refuses an output c that is not
 * the input's and reads no ch_mult, no dilation and no input n, which are all 1. */
arm_cmsis_nn_status arm_depthwise_conv_s4(const cmsis_nn_context *ctx,
                                          const cmsis_nn_dw_conv_params *dw_conv_params,
                                          const cmsis_nn_per_channel_quant_params *quant_params,
                                          const cmsis_nn_dims *input_dims,
                                          const int8_t *input_data,
                                          const cmsis_nn_dims *filter_dims,
                                          const int8_t *filter_data,
                                          const cmsis_nn_dims *bias_dims,
                                          const int32_t *bias_data,
                                          const cmsis_nn_dims *output_dims,
                                          int8_t *output_data);
arm_cmsis_nn_status arm_depthwise_conv_s4_opt(const cmsis_nn_context *ctx,
                                              const cmsis_nn_dw_conv_params *dw_conv_params,
                                              const cmsis_nn_per_channel_quant_params *quant_params,
                                              const cmsis_nn_dims *input_dims,
                                              const int8_t *input_data,
                                              const cmsis_nn_dims *filter_dims,
                                              const int8_t *filter_data,
                                              const cmsis_nn_dims *bias_dims,
                                              const int32_t *bias_data,
                                              const cmsis_nn_dims *output_dims,
                                              int8_t *output_data);

/* Scratch of CMSIS-NN's arm_depthwise_conv_s4_opt [bytes] on the core that is compiled for. */
int32_t arm_depthwise_conv_s4_opt_get_buffer_size(const cmsis_nn_dims *input_dims,
                                                  const cmsis_nn_dims *filter_dims);

/* Fully connected layer, one multiplier and shift for the whole tensor.
 *
 *     y = clamp(requantize(sum((x + input_offset) * (w + filter_offset)) + bias, multiplier,
 *                          shift) + output_offset, activation.min, activation.max)
 *
 * Shapes: input (n of input_dims, columns), filter (rows, columns), output (n, rows), with n
 * of filter_dims for the columns and c of output_dims for the rows. Not read: all else of the
 * three. -127 <= filter_offset <= 128. bias_data may be NULL.
 *
 * At most 65,535 columns, or 32,767 where filter_offset is not 0, so that the sum fits int32
 * whatever the data.
 */
arm_cmsis_nn_status arm_fully_connected_s8(const cmsis_nn_context *ctx,
                                           const cmsis_nn_fc_params *fc_params,
                                           const cmsis_nn_per_tensor_quant_params *quant_params,
                                           const cmsis_nn_dims *input_dims,
                                           const int8_t *input_data,
                                           const cmsis_nn_dims *filter_dims,
                                           const int8_t *filter_data,
                                           const cmsis_nn_dims *bias_dims,
                                           const int32_t *bias_data,
                                           const cmsis_nn_dims *output_dims,
                                           int8_t *output_data);

/* Scratch of CMSIS-NN's arm_fully_connected_s8 [bytes]; core classes as above, but that the
 * first always answers for plain C: on MVE the scratch holds row sums, which the program
 * fills once with arm_vector_sum_s8, and which this library does without. */
int32_t arm_fully_connected_s8_get_buffer_size(const cmsis_nn_dims *filter_dims);
int32_t arm_fully_connected_s8_get_buffer_size_dsp(const cmsis_nn_dims *filter_dims);
int32_t arm_fully_connected_s8_get_buffer_size_mve(const cmsis_nn_dims *filter_dims);

/* The same with a multiplier and shift for each output. CMSIS-NN's takes the scratch of
 * arm_fully_connected_s8. */
arm_cmsis_nn_status arm_fully_connected_per_channel_s8(
    const cmsis_nn_context *ctx,
    const cmsis_nn_fc_params *fc_params,
    const cmsis_nn_per_channel_quant_params *quant_params,
    const cmsis_nn_dims *input_dims,
    const int8_t *input_data,
    const cmsis_nn_dims *filter_dims,
    const int8_t *filter_data,
    const cmsis_nn_dims *bias_dims,
    const int32_t *bias_data,
    const cmsis_nn_dims *output_dims,
    int8_t *output_data);

/* The one of the two that quant_params tells. */
arm_cmsis_nn_status arm_fully_connected_wrapper_s8(const cmsis_nn_context *ctx,
                                                   const cmsis_nn_fc_params *fc_params,
                                                   const cmsis_nn_quant_params *quant_params,
                                                   const cmsis_nn_dims *input_dims,
                                                   const int8_t *input_data,
                                                   const cmsis_nn_dims *filter_dims,
                                                   const int8_t *filter_data,
                                                   const cmsis_nn_dims *bias_dims,
                                                   const int32_t *bias_data,
                                                   const cmsis_nn_dims *output_dims,
                                                   int8_t *output_data);

/* What CMSIS-NN's fully connected layers want in their scratch on Helium, one number a row:
 *
 *     vector_sum_buf[r] = bias_data[r] + lhs_offset * sum(vector_data[r, i] + rhs_offset)
 *
 * for 0 <= r < vector_rows, 0 <= i < vector_cols <= 65,535. lhs_offset and rhs_offset are those of
 * input and filter; bias_data may be NULL. */
arm_cmsis_nn_status arm_vector_sum_s8(int32_t *vector_sum_buf,
                                      const int32_t vector_cols,
                                      const int32_t vector_rows,
                                      const int8_t *vector_data,
                                      const int32_t lhs_offset,
                                      const int32_t rhs_offset,
                                      const int32_t *bias_data);

/* The fully connected layer of arm_fully_connected_s8 with int4 weights, packed as for
 * arm_convolve_wrapper_s4; one scale for all outputs. Not read: filter_offset, which is 0.
 * CMSIS-NN's takes no scratch. */
arm_cmsis_nn_status arm_fully_connected_s4(const cmsis_nn_context *ctx,
                                           const cmsis_nn_fc_params *fc_params,
                                           const cmsis_nn_per_tensor_quant_params *quant_params,
                                           const cmsis_nn_dims *input_dims,
                                           const int8_t *input_data,
                                           const cmsis_nn_dims *filter_dims,
                                           const int8_t *filter_data,
                                           const cmsis_nn_dims *bias_dims,
                                           const int32_t *bias_data,
                                           const cmsis_nn_dims *output_dims,
                                           int8_t *output_data);

/* Pooling over the part of each window that lies on the input; that part must not be empty.
 *
 *     max:      y = clamp(max(x), activation.min, activation.max)
 *     average:  y = clamp(s / n, activation.min, activation.max)
 *
 * where n counts the elements of that part and s is their sum, plus n / 2 where the sum is
 * positive and minus n / 2 elsewhere; both divisions truncate. Shapes: input (n, h, w, c),
 * filter (h, w), output (h, w), which has n and c of the input. Not read: filter n and c,
 * output n and c. The average takes inputs of up to h * w = 2^23, so that its sum fits int32.
 */
arm_cmsis_nn_status arm_max_pool_s8(const cmsis_nn_context *ctx,
                                    const cmsis_nn_pool_params *pool_params,
                                    const cmsis_nn_dims *input_dims,
                                    const int8_t *input_data,
                                    const cmsis_nn_dims *filter_dims,
                                    const cmsis_nn_dims *output_dims,
                                    int8_t *output_data);
arm_cmsis_nn_status arm_avgpool_s8(const cmsis_nn_context *ctx,
                                   const cmsis_nn_pool_params *pool_params,
                                   const cmsis_nn_dims *input_dims,
                                   const int8_t *input_data,
                                   const cmsis_nn_dims *filter_dims,
                                   const cmsis_nn_dims *output_dims,
                                   int8_t *output_data);

/* Scratch of CMSIS-NN's arm_avgpool_s8 [bytes]; core classes as above. A number of channels
 * outside 1 .. INT32_MAX / 4 gives ARM_CMSIS_NN_ARG_ERROR. */
int32_t arm_avgpool_s8_get_buffer_size(int dim_dst_width, int ch_src);
int32_t arm_avgpool_s8_get_buffer_size_dsp(int dim_dst_width, int ch_src);
int32_t arm_avgpool_s8_get_buffer_size_mve(int dim_dst_width, int ch_src);

/* Softmax of each row: TFLite's, with scale 1/256 and zero point -128 at the output.
 *
 * mult * 2^shift encodes the scale of the input times 2^26 (0 <= mult, 0 <= shift <= 31);
 * elements more than -diff_min below the largest of their row give -128: all of them where
 * diff_min is above 0.
 * The status being void, a call with arguments outside these limits does nothing.
 *
 * Equals CMSIS-NN for rows of up to 511 elements, and for longer ones while
 * sum(exp(x - max)) < 512. Beyond that every share is below half a step and gives -128 here;
 * the library shifts an int32 by more than 31 bits, which is undefined.
 */
void arm_softmax_s8(const int8_t *input,
                    int32_t num_rows,
                    int32_t row_size,
                    int32_t mult,
                    int32_t shift,
                    int32_t diff_min,
                    int8_t *output);

/* max(x, 0) in place. NULL is ignored. */
void arm_relu_q7(int8_t *data, uint16_t size);

/* Sum of two tensors of block_size elements, each with a scale of its own.
 *
 *     v_k = requantize((x_k + input_k_offset) * 2^left_shift, input_k_mult, input_k_shift)
 *     y = clamp(requantize(v_1 + v_2, out_mult, out_shift) + out_offset,
 *               out_activation_min, out_activation_max)
 *
 * 16 <= left_shift <= 23: with less, CMSIS-NN loses the sign on DSP cores; with more, x
 * leaves int32.
 */
arm_cmsis_nn_status arm_elementwise_add_s8(const int8_t *input_1_vect,
                                           const int8_t *input_2_vect,
                                           const int32_t input_1_offset,
                                           const int32_t input_1_mult,
                                           const int32_t input_1_shift,
                                           const int32_t input_2_offset,
                                           const int32_t input_2_mult,
                                           const int32_t input_2_shift,
                                           const int32_t left_shift,
                                           int8_t *output,
                                           const int32_t out_offset,
                                           const int32_t out_mult,
                                           const int32_t out_shift,
                                           const int32_t out_activation_min,
                                           const int32_t out_activation_max,
                                           const int32_t block_size);

/* Product of two tensors of block_size elements.
 *
 *     y = clamp(requantize((x_1 + input_1_offset) * (x_2 + input_2_offset), out_mult,
 *                          out_shift) + out_offset,
 *               out_activation_min, out_activation_max)
 */
arm_cmsis_nn_status arm_elementwise_mul_s8(const int8_t *input_1_vect,
                                           const int8_t *input_2_vect,
                                           const int32_t input_1_offset,
                                           const int32_t input_2_offset,
                                           int8_t *output,
                                           const int32_t out_offset,
                                           const int32_t out_mult,
                                           const int32_t out_shift,
                                           const int32_t out_activation_min,
                                           const int32_t out_activation_max,
                                           const int32_t block_size);

/* The smaller and the larger of each two elements of tensors of one shape. The library's
 * broadcasting is refused: kanji_nn.h has functions for it. */
arm_cmsis_nn_status arm_minimum_s8(const cmsis_nn_context *ctx,
                                   const int8_t *input_1_data,
                                   const cmsis_nn_dims *input_1_dims,
                                   const int8_t *input_2_data,
                                   const cmsis_nn_dims *input_2_dims,
                                   int8_t *output_data,
                                   const cmsis_nn_dims *output_dims);

arm_cmsis_nn_status arm_maximum_s8(const cmsis_nn_context *ctx,
                                   const int8_t *input_1_data,
                                   const cmsis_nn_dims *input_1_dims,
                                   const int8_t *input_2_data,
                                   const cmsis_nn_dims *input_2_dims,
                                   int8_t *output_data,
                                   const cmsis_nn_dims *output_dims);

/* Copies a tensor into a slice of a larger one along the innermost axis, x: one call for
 * each part of a concatenation. A tensor (h, w, c) has x = c, y = w, z = h, w = 1.
 *
 *     output[r * output_x + offset_x + i] = input[r * input_x + i]
 *
 * for 0 <= r < input_y * input_z * input_w, 0 <= i < input_x. The status being void, a call
 * with NULL, with an extent of 0, or whose slice does not lie in the output does nothing.
 */
void arm_concatenation_s8_x(const int8_t *input,
                            const uint16_t input_x,
                            const uint16_t input_y,
                            const uint16_t input_z,
                            const uint16_t input_w,
                            int8_t *output,
                            const uint16_t output_x,
                            const uint32_t offset_x);

/* Puts pad_value around a tensor: pre_pad before and post_pad after it, along each axis.
 * All extents and paddings are 32,767 at most. */
arm_cmsis_nn_status arm_pad_s8(const int8_t *input,
                               int8_t *output,
                               const int8_t pad_value,
                               const cmsis_nn_dims *input_size,
                               const cmsis_nn_dims *pre_pad,
                               const cmsis_nn_dims *post_pad);

#ifdef __cplusplus
}
#endif

#endif
