/* SPDX-License-Identifier: Apache-2.0
 *
 * Plain C and DSP cores are the same here, and Helium's 1xN kernel copies nothing.
 */
#include "arm_nnfunctions.h"
#include "arm_nnsupportfunctions.h"

int32_t arm_convolve_wrapper_s4_get_buffer_size(const cmsis_nn_conv_params *conv_params,
                                                const cmsis_nn_dims *input_dims,
                                                const cmsis_nn_dims *filter_dims,
                                                const cmsis_nn_dims *output_dims)
{
#if defined(KANJI_CORE_MVE)
    return arm_convolve_wrapper_s4_get_buffer_size_mve(
        conv_params, input_dims, filter_dims, output_dims);
#else
    const cmsis_nn_dims filter = kanji_whole_filter(filter_dims, input_dims);

    if (!kanji_conv_dims_ok(conv_params, input_dims, &filter, output_dims))
    {
        return ARM_CMSIS_NN_ARG_ERROR;
    }
    return kanji_conv_is_1x1(conv_params, input_dims, filter_dims)
               ? 0
               : kanji_two_columns_s16(input_dims, filter_dims, 1);
#endif
}

int32_t arm_convolve_wrapper_s4_get_buffer_size_dsp(const cmsis_nn_conv_params *conv_params,
                                                    const cmsis_nn_dims *input_dims,
                                                    const cmsis_nn_dims *filter_dims,
                                                    const cmsis_nn_dims *output_dims)
{
    return arm_convolve_wrapper_s4_get_buffer_size(
        conv_params, input_dims, filter_dims, output_dims);
}

int32_t arm_convolve_wrapper_s4_get_buffer_size_mve(const cmsis_nn_conv_params *conv_params,
                                                    const cmsis_nn_dims *input_dims,
                                                    const cmsis_nn_dims *filter_dims,
                                                    const cmsis_nn_dims *output_dims)
{
    const cmsis_nn_dims filter = kanji_whole_filter(filter_dims, input_dims);

    if (!kanji_conv_dims_ok(conv_params, input_dims, &filter, output_dims))
    {
        return ARM_CMSIS_NN_ARG_ERROR;
    }
    if (kanji_conv_is_1x1(conv_params, input_dims, filter_dims))
    {
        return 0;
    }
    if (kanji_conv_is_1xn(conv_params, input_dims, filter_dims))
    {
        return kanji_row_ends_s4(conv_params, input_dims, filter_dims, output_dims);
    }
    return kanji_four_columns_s8(input_dims, filter_dims);
}
