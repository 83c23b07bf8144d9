/* SPDX-License-Identifier: Apache-2.0
 *
 * CMSIS-NN's wrapper picks a kernel by shape; most of them need no scratch.
 */
#include "arm_nnfunctions.h"
#include "arm_nnsupportfunctions.h"

static int is_3x3(const cmsis_nn_dw_conv_params *params, const cmsis_nn_dims *filter)
{
    return filter->h == 3 && filter->w == 3 && params->padding.h <= 1 && params->padding.w <= 1;
}

int32_t arm_depthwise_conv_wrapper_s8_get_buffer_size(
    const cmsis_nn_dw_conv_params *dw_conv_params,
    const cmsis_nn_dims *input_dims,
    const cmsis_nn_dims *filter_dims,
    const cmsis_nn_dims *output_dims)
{
#if defined(KANJI_CORE_MVE)
    return arm_depthwise_conv_wrapper_s8_get_buffer_size_mve(
        dw_conv_params, input_dims, filter_dims, output_dims);
#elif defined(KANJI_CORE_DSP)
    return arm_depthwise_conv_wrapper_s8_get_buffer_size_dsp(
        dw_conv_params, input_dims, filter_dims, output_dims);
#else
    if (!kanji_dw_conv_dims_ok(dw_conv_params, input_dims, filter_dims, output_dims))
    {
        return ARM_CMSIS_NN_ARG_ERROR;
    }
    return 0;
#endif
}

int32_t arm_depthwise_conv_wrapper_s8_get_buffer_size_dsp(
    const cmsis_nn_dw_conv_params *dw_conv_params,
    const cmsis_nn_dims *input_dims,
    const cmsis_nn_dims *filter_dims,
    const cmsis_nn_dims *output_dims)
{
    if (!kanji_dw_conv_dims_ok(dw_conv_params, input_dims, filter_dims, output_dims))
    {
        return ARM_CMSIS_NN_ARG_ERROR;
    }
    if (!kanji_dw_has_own_kernel(dw_conv_params, input_dims) ||
        is_3x3(dw_conv_params, filter_dims))
    {
        return 0;
    }
    return kanji_dw_window_size(filter_dims, input_dims->c, (int32_t)sizeof(int16_t));
}

int32_t arm_depthwise_conv_wrapper_s8_get_buffer_size_mve(
    const cmsis_nn_dw_conv_params *dw_conv_params,
    const cmsis_nn_dims *input_dims,
    const cmsis_nn_dims *filter_dims,
    const cmsis_nn_dims *output_dims)
{
    if (!kanji_dw_conv_dims_ok(dw_conv_params, input_dims, filter_dims, output_dims))
    {
        return ARM_CMSIS_NN_ARG_ERROR;
    }
    if (input_dims->c == 1 && output_dims->c > 1)
    {
        /* A convolution computes it, and its weights, transposed, lie behind its scratch. */
        const cmsis_nn_conv_params conv_params = {dw_conv_params->input_offset,
                                                  dw_conv_params->output_offset,
                                                  dw_conv_params->stride,
                                                  dw_conv_params->padding,
                                                  dw_conv_params->dilation,
                                                  dw_conv_params->activation};
        const cmsis_nn_dims conv_filter = {output_dims->c, filter_dims->h, filter_dims->w, 1};
        const int32_t size = arm_convolve_wrapper_s8_get_buffer_size_mve(
            &conv_params, input_dims, &conv_filter, output_dims);

        return kanji_saturate_s32((int64_t)size +
                                  kanji_dw_window_size(filter_dims, output_dims->c, 1));
    }
    return kanji_dw_has_own_kernel(dw_conv_params, input_dims)
               ? kanji_dw_window_size(filter_dims, KANJI_DW_MVE_BLOCK, 4)
               : 0;
}
