/* SPDX-License-Identifier: Apache-2.0
 *
 * CMSIS-NN's wrapper picks one of three kernels by shape, and each has its own scratch.
 */
#include "arm_nnfunctions.h"
#include "arm_nnsupportfunctions.h"

static int is_1x1(const cmsis_nn_conv_params *params, const cmsis_nn_dims *filter)
{
    return filter->h == 1 && filter->w == 1 && params->padding.h == 0 && params->padding.w == 0 &&
           params->dilation.h == 1 && params->dilation.w == 1;
}

static int is_1xn(const cmsis_nn_conv_params *params,
                  const cmsis_nn_dims *input,
                  const cmsis_nn_dims *filter)
{
    return input->h == 1 && filter->h == 1 && params->dilation.w == 1 &&
           (int64_t)params->stride.w * input->c % 4 == 0;
}

/* Two windows of int16, each a multiple of four elements long. */
static int32_t two_columns_s16(const cmsis_nn_dims *filter)
{
    const int32_t depth = filter->h * filter->w * filter->c;

    return 2 * ((depth + 3) / 4 * 4) * (int32_t)sizeof(int16_t);
}

/* Four windows of int8, each a multiple of a vector register long. */
static int32_t four_columns_s8(const cmsis_nn_dims *filter)
{
    const int32_t depth = filter->h * filter->w * filter->c;

    return 4 * ((depth + 15) / 16 * 16);
}

/* Helium's 1xN kernel copies the windows that reach into the padding at either end, unless
 * they are more than the row has; then it hands over to the general kernel. */
static int32_t padded_ends_s8(const cmsis_nn_conv_params *params,
                              const cmsis_nn_dims *input,
                              const cmsis_nn_dims *filter,
                              const cmsis_nn_dims *output)
{
    const int32_t stride = params->stride.w;
    const int32_t left = params->padding.w;
    const int32_t overhang = (output->w - 1) * stride + filter->w - input->w;
    const int32_t odd = overhang % 2; /* -1 where the last input columns go unused */
    const int32_t left_windows = (left + stride - 1) / stride;
    const int32_t right_windows =
        left + odd == 0 ? 0 : kanji_max(1, (left + odd + stride - 1) / stride);

    if (left_windows + right_windows > output->w)
    {
        return four_columns_s8(filter);
    }
    const int32_t right = odd != 0 ? right_windows : left;

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
    return is_1x1(conv_params, filter_dims) ? 0 : two_columns_s16(filter_dims);
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
    if (is_1x1(conv_params, filter_dims))
    {
        const int unit_stride = conv_params->stride.h == 1 && conv_params->stride.w == 1;

        return unit_stride ? 2 * input_dims->c * (int32_t)sizeof(int16_t) : 0;
    }
    return two_columns_s16(filter_dims);
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
    if (is_1x1(conv_params, filter_dims))
    {
        return 0;
    }
    if (is_1xn(conv_params, input_dims, filter_dims))
    {
        return padded_ends_s8(conv_params, input_dims, filter_dims, output_dims);
    }
    return four_columns_s8(filter_dims);
}
