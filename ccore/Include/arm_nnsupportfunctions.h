/* SPDX-License-Identifier: Apache-2.0
 *
 * What the s8 kernels share: fixed-point arithmetic under the names CMSIS-NN gives it, and
 * our own helpers under kanji_. Private to Source/; applications include arm_nnfunctions.h.
 */
#ifndef ARM_NNSUPPORTFUNCTIONS_H
#define ARM_NNSUPPORTFUNCTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "arm_nn_types.h"
#include "kanji_support.h"

/* The core class the compiler targets, if not plain C: what CMSIS-NN would be built for. */
#if defined(__ARM_FEATURE_MVE)
#if __ARM_FEATURE_MVE & 1
#define KANJI_CORE_MVE
#endif
#endif
#if defined(__ARM_FEATURE_DSP) && !defined(KANJI_CORE_MVE)
#if __ARM_FEATURE_DSP
#define KANJI_CORE_DSP
#endif
#endif

/* -------------------------------------------------------------- fixed-point arithmetic */

/* value * multiplier * 2^(shift - 31), rounded as the library's build rounds: by default
 * twice (after the multiplication, half up, and after the right shift, half away from zero),
 * under CMSIS_NN_USE_SINGLE_ROUNDING once, half up.
 * multiplier >= 0; -31 <= shift <= 30. */
static inline int32_t arm_nn_requantize(int32_t value, int32_t multiplier, int32_t shift)
{
#ifdef CMSIS_NN_USE_SINGLE_ROUNDING
    const int64_t product = (int64_t)value * multiplier;

    return kanji_saturate_s32(((product >> (30 - shift)) + 1) >> 1);
#else
    if (shift > 0)
    {
        const int32_t shifted = kanji_saturate_s32(value * ((int64_t)1 << shift));

        return kanji_doubling_high_mult(shifted, multiplier);
    }
    return kanji_divide_by_power_of_two(kanji_doubling_high_mult(value, multiplier), -shift);
#endif
}

/* From the sum of products to the output byte. */
static inline int8_t kanji_output_s8(int32_t sum,
                                     int32_t bias,
                                     int32_t multiplier,
                                     int32_t shift,
                                     int32_t offset,
                                     cmsis_nn_activation activation)
{
    const int32_t acc = kanji_add_saturated(sum, bias);
    const int32_t scaled = arm_nn_requantize(acc, multiplier, shift);

    /* The offset comes last: scaled may be as large as int32 goes. */
    return (int8_t)(
        kanji_clamp(scaled, activation.min - offset, activation.max - offset) + offset);
}

/* ------------------------------------------------------------------------------- checks */

static inline int kanji_same_dims(const cmsis_nn_dims *a, const cmsis_nn_dims *b)
{
    return a->n == b->n && a->h == b->h && a->w == b->w && a->c == b->c;
}

static inline int kanji_activation_ok(cmsis_nn_activation activation)
{
    return activation.min >= INT8_MIN && activation.max <= INT8_MAX &&
           activation.min <= activation.max;
}

/* -input_offset is a zero point, hence int8: sums count on it. Only the last addition sees
 * output_offset, which leaves it more room. */
static inline int kanji_offsets_ok(int32_t input_offset, int32_t output_offset)
{
    return input_offset >= -INT8_MAX && input_offset <= -INT8_MIN &&
           output_offset >= INT16_MIN && output_offset <= INT16_MAX;
}

static inline int kanji_scale_ok(int32_t multiplier, int32_t shift)
{
    return multiplier >= 0 && shift >= -31 && shift <= 30;
}

/* Scales of so many channels. */
static inline int
kanji_scales_ok(const cmsis_nn_per_channel_quant_params *quant_params, int32_t channels)
{
    if (quant_params == NULL || quant_params->multiplier == NULL || quant_params->shift == NULL)
    {
        return 0;
    }
    for (int32_t i = 0; i < channels; i++)
    {
        if (!kanji_scale_ok(quant_params->multiplier[i], quant_params->shift[i]))
        {
            return 0;
        }
    }
    return 1;
}

/* Both spatial axes of a convolution or a pool. */
static inline int kanji_axes_ok(const cmsis_nn_dims *input,
                                const cmsis_nn_dims *filter,
                                const cmsis_nn_dims *output,
                                cmsis_nn_tile stride,
                                cmsis_nn_tile padding,
                                cmsis_nn_tile dilation)
{
    return kanji_axis_ok(input->h, filter->h, output->h, stride.h, padding.h, dilation.h) &&
           kanji_axis_ok(input->w, filter->w, output->w, stride.w, padding.w, dilation.w);
}

/* Elements of a window over all channels, and whether they are no more than a sum takes. */
static inline int32_t kanji_conv_depth(const cmsis_nn_dims *input, const cmsis_nn_dims *filter)
{
    return filter->h * filter->w * input->c;
}

static inline int kanji_conv_window_ok(const cmsis_nn_dims *input, const cmsis_nn_dims *filter)
{
    const int32_t depth = kanji_volume(1, filter->h, filter->w, input->c);

    return depth > 0 && depth <= KANJI_MAX_DEPTH;
}

/* Shapes of a convolution: each in range, and fitting together. CMSIS-NN reads no n but the
 * input's, so that programs leave the others unset. */
static inline int kanji_conv_dims_ok(const cmsis_nn_conv_params *params,
                                     const cmsis_nn_dims *input,
                                     const cmsis_nn_dims *filter,
                                     const cmsis_nn_dims *output)
{
    if (params == NULL || input == NULL || filter == NULL || output == NULL)
    {
        return 0;
    }

    return kanji_axes_ok(
               input, filter, output, params->stride, params->padding, params->dilation) &&
           kanji_volume(input->n, input->h, input->w, input->c) > 0 &&
           kanji_volume(input->n, output->h, output->w, output->c) > 0 &&
           kanji_conv_window_ok(input, filter) &&
           (int64_t)output->c * kanji_conv_depth(input, filter) <= INT32_MAX &&
           filter->c >= 1 && input->c % filter->c == 0 &&
           output->c % (input->c / filter->c) == 0;
}

/* The same of a depthwise convolution, which knows the channels of the filter. */
static inline int kanji_dw_conv_dims_ok(const cmsis_nn_dw_conv_params *params,
                                        const cmsis_nn_dims *input,
                                        const cmsis_nn_dims *filter,
                                        const cmsis_nn_dims *output)
{
    if (params == NULL || input == NULL || filter == NULL || output == NULL)
    {
        return 0;
    }
    const int32_t depth = kanji_volume(1, 1, filter->h, filter->w);

    return kanji_axes_ok(
               input, filter, output, params->stride, params->padding, params->dilation) &&
           kanji_volume(input->n, input->h, input->w, input->c) > 0 &&
           kanji_volume(input->n, output->h, output->w, output->c) > 0 && depth > 0 &&
           depth <= KANJI_MAX_DEPTH && kanji_volume(depth, output->c, 1, 1) > 0 &&
           kanji_volume(input->c, params->ch_mult, 1, 1) == output->c;
}

/* The filter as kernels for int4 weights take it: over all channels, whatever its c is.
 * Extents of 0, which are refused, where there is none. */
static inline cmsis_nn_dims kanji_whole_filter(const cmsis_nn_dims *filter,
                                               const cmsis_nn_dims *input)
{
    cmsis_nn_dims whole = {0, 0, 0, 0};

    if (filter != NULL && input != NULL)
    {
        whole = *filter;
        whole.c = input->c;
    }
    return whole;
}

/* Arguments of a pool. */
static inline int kanji_pool_ok(const cmsis_nn_pool_params *params,
                                const cmsis_nn_dims *input,
                                const cmsis_nn_dims *filter,
                                const cmsis_nn_dims *output)
{
    if (params == NULL || input == NULL || filter == NULL || output == NULL)
    {
        return 0;
    }
    const cmsis_nn_tile dilation = {1, 1};

    return kanji_axes_ok(input, filter, output, params->stride, params->padding, dilation) &&
           kanji_volume(input->n, input->h, input->w, input->c) > 0 &&
           kanji_volume(input->n, output->h, output->w, input->c) > 0 &&
           kanji_windows_meet_input(
               input->h, filter->h, output->h, params->stride.h, params->padding.h) &&
           kanji_windows_meet_input(
               input->w, filter->w, output->w, params->stride.w, params->padding.w) &&
           kanji_activation_ok(params->activation);
}

/* --------------------------------------------------------------------- kernels by name */

/* CMSIS-NN's kernels for some shapes know what others read. These give the arguments of the
 * general kernel, or 0 where the special one refuses its own. */

/* 1x1 kernels read no filter_dims and no dilation. */
static inline int kanji_conv_as_1x1(const cmsis_nn_conv_params *conv_params,
                                    const cmsis_nn_dims *input,
                                    cmsis_nn_conv_params *params,
                                    cmsis_nn_dims *filter)
{
    const cmsis_nn_tile undilated = {1, 1};

    if (conv_params == NULL || input == NULL || conv_params->padding.h != 0 ||
        conv_params->padding.w != 0)
    {
        return 0;
    }
    *params = *conv_params;
    params->dilation = undilated;
    filter->n = filter->h = filter->w = 1;
    filter->c = input->c;
    return 1;
}

/* Depthwise kernels for ch_mult 1 read neither it nor dilation, and compute one image. */
static inline int kanji_dw_as_one_image(const cmsis_nn_dw_conv_params *dw_conv_params,
                                        const cmsis_nn_dims *input_dims,
                                        cmsis_nn_dw_conv_params *params,
                                        cmsis_nn_dims *input)
{
    const cmsis_nn_tile undilated = {1, 1};

    if (dw_conv_params == NULL || input_dims == NULL)
    {
        return 0;
    }
    *params = *dw_conv_params;
    params->dilation = undilated;
    params->ch_mult = 1;
    *input = *input_dims;
    input->n = 1;
    return 1;
}

/* ----------------------------------------------------------------------------- scratch */

/* CMSIS-NN's wrappers choose kernels by shape, those for int4 weights as those for int8, and
 * each kernel has its own scratch. The shapes below passed the checks above. */

/* Channels that Helium's depthwise kernels take at a time. */
#define KANJI_DW_MVE_BLOCK 124

static inline int kanji_conv_is_1x1(const cmsis_nn_conv_params *params,
                                    const cmsis_nn_dims *input,
                                    const cmsis_nn_dims *filter)
{
    return filter->h == 1 && filter->w == 1 && params->padding.h == 0 && params->padding.w == 0 &&
           params->dilation.h == 1 && params->dilation.w == 1 && input->c == filter->c;
}

static inline int kanji_conv_takes_row(const cmsis_nn_conv_params *params,
                                       const cmsis_nn_dims *input)
{
    return input->h == 1 && params->dilation.w == 1 &&
           (int64_t)params->stride.w * input->c % 4 == 0;
}

static inline int kanji_conv_is_1xn(const cmsis_nn_conv_params *params,
                                    const cmsis_nn_dims *input,
                                    const cmsis_nn_dims *filter)
{
    return kanji_conv_takes_row(params, input) && filter->h == 1 && input->c == filter->c;
}

/* Two windows of int16, each a multiple of so many elements long. */
static inline int32_t
kanji_two_columns_s16(const cmsis_nn_dims *input, const cmsis_nn_dims *filter, int32_t multiple)
{
    const int32_t depth = kanji_conv_depth(input, filter);

    return 2 * ((depth + multiple - 1) / multiple * multiple) * (int32_t)sizeof(int16_t);
}

/* Four windows of int8, each a multiple of a vector register long. */
static inline int32_t kanji_four_columns_s8(const cmsis_nn_dims *input,
                                            const cmsis_nn_dims *filter)
{
    return 4 * ((kanji_conv_depth(input, filter) + 15) / 16 * 16);
}

/* How many windows of one row Helium's 1xN kernels take to reach into the padding. */
typedef struct
{
    int32_t left;
    int32_t right;
    int32_t odd; /* 1: one more cell after the row than before it; -1: one goes unused */
} kanji_row_ends;

static inline kanji_row_ends kanji_conv_row_ends(const cmsis_nn_conv_params *params,
                                                 const cmsis_nn_dims *input,
                                                 const cmsis_nn_dims *filter,
                                                 const cmsis_nn_dims *output)
{
    const int32_t stride = params->stride.w;
    const int32_t before = params->padding.w;
    const int32_t odd = ((output->w - 1) * stride + filter->w - input->w) % 2;
    const int32_t after = before + odd;
    const kanji_row_ends ends = {(before + stride - 1) / stride,
                                 after == 0 ? 0 : kanji_max(1, (after + stride - 1) / stride),
                                 odd};

    return ends;
}

/* Helium's 1xN kernel copies the windows that reach into the padding at either end, unless
 * they are more than the row has; then it hands over to the general kernel. */
static inline int32_t kanji_row_ends_s8(const cmsis_nn_conv_params *params,
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

/* The one for int4 weights copies nothing, but hands over just as well. */
static inline int32_t kanji_row_ends_s4(const cmsis_nn_conv_params *params,
                                        const cmsis_nn_dims *input,
                                        const cmsis_nn_dims *filter,
                                        const cmsis_nn_dims *output)
{
    const kanji_row_ends ends = kanji_conv_row_ends(params, input, filter, output);

    return ends.left + ends.right > output->w ? kanji_four_columns_s8(input, filter) : 0;
}

/* Whether depthwise convolution has more than the library's general kernel. */
static inline int kanji_dw_has_own_kernel(const cmsis_nn_dw_conv_params *params,
                                          const cmsis_nn_dims *input)
{
    return params->ch_mult == 1 && input->n == 1 && params->dilation.h == 1 &&
           params->dilation.w == 1;
}

/* `bytes` for each tap and channel; what no tensor can hold is refused. */
static inline int32_t
kanji_dw_window_size(const cmsis_nn_dims *filter, int32_t channels, int32_t bytes)
{
    const int32_t size = kanji_volume(filter->h, filter->w, channels, bytes);

    return size > 0 ? size : ARM_CMSIS_NN_ARG_ERROR;
}

#endif
