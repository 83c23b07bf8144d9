/* SPDX-License-Identifier: Apache-2.0
 *
 * CMSIS-NN's wrapper picks one of three kernels by shape, and each has its own scratch.
 */
#include "arm_nnfunctions.h"
#include "arm_nnsupportfunctions.h"

/* Helium's 1xN kernel copies the windows that reach into the padding at either end, unless
 * they are more than the row has; then it hands over to the general kernel. */
static int32_t padded_ends_s8(const cmsis_nn_conv_params *params,
                              const cmsis_nn_dims *input,
                              const cmsis_nn_dims *filter,
                              const cmsis_nn_dims *output)
{
    const kanji_row_ends ends = kanji_conv_row_ends(params, input, filter, output);

    if (ends.left + ends.right > output->w)
    {
        return kanji_four_columns_s8(input, filter);
    }
    const int32_t left = params->padding.w;
    const int32_t right = ends.odd != 0 ? ends.right : left;

    return kanji_max(filter->w + left, filter->w - 1 + right) * input->c;
}

int32_t arm_convolve_wrapper_s8_get_buffer_size(const cmsis_nn_conv_params *conv_params,
                                                const cmsis_nn_dims *input_dims,
                                                const cmsis_nn_dims *filter_dims,
                                                const cmsis_nn_dims *output_dims)
{
    if (!kanji_conv_dims_ok(conv_params, input_dims, filter_dims, output_dims))
    {
        return ARM_CMSIS_NN_ARG_ERROR;
    }
    return kanji_conv_is_1x1(conv_params, input_dims, filter_dims)
               ? 0
               : kanji_two_columns_s16(input_dims, filter_dims, 4);
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
        return padded_ends_s8(conv_params, input_dims, filter_dims, output_dims);
    }
    return kanji_four_columns_s8(input_dims, filter_dims);
}
