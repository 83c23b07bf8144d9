/* SPDX-License-Identifier: Apache-2.0
 *
 * CMSIS-NN's wrapper picks one of three kernels by shape, and each has its own scratch.
 */
#include "arm_nnfunctions.h"
#include "arm_nnsupportfunctions.h"

int32_t arm_convolve_wrapper_s8_get_buffer_size(const cmsis_nn_conv_params *conv_params,
                                                const cmsis_nn_dims *input_dims,
                                                const cmsis_nn_dims *filter_dims,
                                                const cmsis_nn_dims *output_dims)
{
#if defined(KANJI_CORE_MVE)
    return arm_convolve_wrapper_s8_get_buffer_size_mve(
        conv_params, input_dims, filter_dims, output_dims);
#elif defined(KANJI_CORE_DSP)
    return arm_convolve_wrapper_s8_get_buffer_size_dsp(
        conv_params, input_dims, filter_dims, output_dims);
#else
    if (!kanji_conv_dims_ok(conv_params, input_dims, filter_dims, output_dims))
    {
        return ARM_CMSIS_NN_ARG_ERROR;
    }
    return kanji_conv_is_1x1(conv_params, input_dims, filter_dims)
               ? 0
               : kanji_two_columns_s16(input_dims, filter_dims, 4);
#endif
}

int32_t arm_convolve_wrapper_s8_get_buffer_size_dsp(const cmsis_nn_conv_params *conv_params,
                                                    const cmsis_nn_dims *input_dims,
                                                    const cmsis_nn_dims *filter_dims,
                                                    const cmsis_nn_dims *output_dims)
{
    if (!kanji_conv_dims_ok(conv_params, input_dims, filter_dims, output_dims))
    {
        return ARM_CMSIS_NN_ARG_ERROR;
    }
    if (kanji_conv_is_1x1(conv_params, input_dims, filter_dims))
    {
        const int unit_stride = conv_params->stride.h == 1 && conv_params->stride.w == 1;

        return unit_stride ? 2 * input_dims->c * (int32_t)sizeof(int16_t) : 0;
    }
    return kanji_two_columns_s16(input_dims, filter_dims, 4);
}

int32_t arm_convolve_wrapper_s8_get_buffer_size_mve(const cmsis_nn_conv_params *conv_params,
                                                    const cmsis_nn_dims *input_dims,
                                                    const cmsis_nn_dims *filter_dims,
                                                    const cmsis_nn_dims *output_dims)
{
    if (!kanji_conv_dims_ok(conv_params, input_dims, filter_dims, output_dims))
    {
        return ARM_CMSIS_NN_ARG_ERROR;
    }
    if (kanji_conv_is_1x1(conv_params, input_dims, filter_dims))
    {
        return 0;
    }
    if (kanji_conv_is_1xn(conv_params, input_dims, filter_dims))
    {
        return kanji_row_ends_s8(conv_params, input_dims, filter_dims, output_dims);
    }
    return kanji_four_columns_s8(input_dims, filter_dims);
}
