/* SPDX-License-Identifier: Apache-2.0
 *
 * Plain C cores take what DSP cores do, and 3x3 windows are nothing special.
 */
#include "arm_nnfunctions.h"
#include "arm_nnsupportfunctions.h"

/* Windows of so many channels, `bytes` an element, where it is not the general kernel. */
static int32_t windows(const cmsis_nn_dw_conv_params *params,
                       const cmsis_nn_dims *input,
                       const cmsis_nn_dims *filter,
                       const cmsis_nn_dims *output,
                       int32_t channels,
                       int32_t bytes)
{
    if (!kanji_dw_conv_dims_ok(params, input, filter, output))
    {
        return ARM_CMSIS_NN_ARG_ERROR;
    }
    return kanji_dw_has_own_kernel(params, input) ? kanji_dw_window_size(filter, channels, bytes)
                                                  : 0;
}

int32_t arm_depthwise_conv_wrapper_s4_get_buffer_size(
    const cmsis_nn_dw_conv_params *dw_conv_params,
    const cmsis_nn_dims *input_dims,
    const cmsis_nn_dims *filter_dims,
    const cmsis_nn_dims *output_dims)
{
#if defined(KANJI_CORE_MVE)
    return arm_depthwise_conv_wrapper_s4_get_buffer_size_mve(
        dw_conv_params, input_dims, filter_dims, output_dims);
#else
    return windows(dw_conv_params,
                   input_dims,
                   filter_dims,
                   output_dims,
                   input_dims == NULL ? 0 : input_dims->c,
                   (int32_t)sizeof(int16_t));
#endif
}

int32_t arm_depthwise_conv_wrapper_s4_get_buffer_size_dsp(
    const cmsis_nn_dw_conv_params *dw_conv_params,
    const cmsis_nn_dims *input_dims,
    const cmsis_nn_dims *filter_dims,
    const cmsis_nn_dims *output_dims)
{
    return arm_depthwise_conv_wrapper_s4_get_buffer_size(
        dw_conv_params, input_dims, filter_dims, output_dims);
}

int32_t arm_depthwise_conv_wrapper_s4_get_buffer_size_mve(
    const cmsis_nn_dw_conv_params *dw_conv_params,
    const cmsis_nn_dims *input_dims,
    const cmsis_nn_dims *filter_dims,
    const cmsis_nn_dims *output_dims)
{
    return windows(
        dw_conv_params, input_dims, filter_dims, output_dims, KANJI_DW_MVE_BLOCK, 4);
}
