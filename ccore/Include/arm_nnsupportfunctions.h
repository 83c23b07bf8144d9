/* SPDX-License-Identifier: Apache-2.0
 *
 * What the kernels share: fixed-point arithmetic under the names CMSIS-NN gives it, and our
 * own helpers under kanji_. Private to Source/; applications include arm_nnfunctions.h.
 *
 * >> of a negative number is taken to be arithmetic, as every compiler in use has it.
 */
#ifndef ARM_NNSUPPORTFUNCTIONS_H
#define ARM_NNSUPPORTFUNCTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "arm_nn_types.h"

/* Largest spatial extent, stride, padding and dilation: their products stay within int32. */
#define KANJI_MAX_EXTENT 32767

/* Most products in one sum: |x + offset| <= 255 and |w| <= 128 keep it within int32. */
#define KANJI_MAX_DEPTH 65535

/* -------------------------------------------------------------- fixed-point arithmetic */

static inline int32_t kanji_min(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static inline int32_t kanji_max(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

static inline int32_t kanji_clamp(int32_t value, int32_t low, int32_t high)
{
    return kanji_min(kanji_max(value, low), high);
}

static inline int32_t kanji_saturate_s32(int64_t value)
{
    if (value > INT32_MAX)
    {
        return INT32_MAX;
    }
    return value < INT32_MIN ? INT32_MIN : (int32_t)value;
}

/* a * b / 2^31 to the nearest integer, halves up; (-2^31)^2 saturates. */
static inline int32_t arm_nn_doubling_high_mult(int32_t a, int32_t b)
{
    return kanji_saturate_s32(((int64_t)a * b + ((int64_t)1 << 30)) >> 31);
}

/* value / 2^exponent to the nearest integer, halves away from zero; 0 <= exponent <= 31. */
static inline int32_t arm_nn_divide_by_power_of_two(int32_t value, int32_t exponent)
{
    const int64_t mask = ((int64_t)1 << exponent) - 1;
    const int64_t threshold = (mask >> 1) + (value < 0);

    return (value >> exponent) + ((value & mask) > threshold);
}

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
    const int32_t left = kanji_max(shift, 0);
    const int32_t right = kanji_max(-shift, 0);
    const int32_t shifted = kanji_saturate_s32(value * ((int64_t)1 << left));

    return arm_nn_divide_by_power_of_two(arm_nn_doubling_high_mult(shifted, multiplier), right);
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
    const int32_t acc = kanji_saturate_s32((int64_t)sum + bias);
    const int32_t scaled = arm_nn_requantize(acc, multiplier, shift);

    /* The offset comes last: scaled may be as large as int32 goes. */
    return (int8_t)(
        kanji_clamp(scaled, activation.min - offset, activation.max - offset) + offset);
}

/* sum((x[i] + offset) * w[i]); length <= KANJI_MAX_DEPTH, -127 <= offset <= 128. */
static inline int32_t
kanji_dot_s8(const int8_t *x, const int8_t *w, int32_t length, int32_t offset)
{
    int32_t sum = 0;
    int32_t i = 0;

    /* Blocks of constant length and 16-bit factors are what GCC turns into vector
     * multiply-adds at -O2. */
    for (; i <= length - 16; i += 16)
    {
        int32_t block = 0;

        for (int32_t j = 0; j < 16; j++)
        {
            const int16_t x_j = (int16_t)(x[i + j] + offset);
            const int16_t w_j = w[i + j];

            block += (int32_t)x_j * w_j;
        }
        sum += block;
    }
    for (; i < length; i++)
    {
        sum += (x[i] + offset) * w[i];
    }
    return sum;
}

/* ------------------------------------------------------------------------------ windows */

/* The part of a kernel axis that lies on the input: `count` taps from tap `kernel` on, the
 * first of them over input element `input`. An empty part is all zero. */
typedef struct
{
    int32_t kernel;
    int32_t input;
    int32_t count;
} kanji_window;

/* start: where tap 0 lies, negative in the padding. Arguments passed kanji_axis_ok. */
static inline kanji_window
kanji_window_at(int32_t start, int32_t kernel_size, int32_t dilation, int32_t input_size)
{
    kanji_window window = {0, 0, 0};
    const int32_t first = start < 0 ? (dilation - 1 - start) / dilation : 0;
    const int32_t in_reach =
        start < input_size ? (input_size - start + dilation - 1) / dilation : 0;
    const int32_t end = kanji_min(kernel_size, in_reach);

    if (first < end)
    {
        window.kernel = first;
        window.input = start + first * dilation;
        window.count = end - first;
    }
    return window;
}

/* ------------------------------------------------------------------------------- checks */

/* n * h * w * c, or 0 where an extent is below 1 or the product above INT32_MAX. */
static inline int32_t kanji_volume(int32_t n, int32_t h, int32_t w, int32_t c)
{
    const int32_t extents[4] = {n, h, w, c};
    int64_t volume = 1;

    for (int i = 0; i < 4; i++)
    {
        if (extents[i] < 1)
        {
            return 0;
        }
        volume *= extents[i];
        if (volume > INT32_MAX)
        {
            return 0;
        }
    }
    return (int32_t)volume;
}

static inline int kanji_extent_ok(int32_t extent)
{
    return extent >= 1 && extent <= KANJI_MAX_EXTENT;
}

/* One spatial axis of a convolution or a pool. */
static inline int kanji_axis_ok(int32_t input_size,
                                int32_t kernel_size,
                                int32_t output_size,
                                int32_t stride,
                                int32_t padding,
                                int32_t dilation)
{
    return kanji_extent_ok(input_size) && kanji_extent_ok(kernel_size) &&
           kanji_extent_ok(output_size) && kanji_extent_ok(stride) &&
           kanji_extent_ok(dilation) && padding >= 0 && padding <= KANJI_MAX_EXTENT;
}

static inline int kanji_activation_ok(cmsis_nn_activation activation)
{
    return activation.min >= INT8_MIN && activation.max <= INT8_MAX &&
           activation.min <= activation.max;
}

/* -input_offset and output_offset are zero points, hence int8. */
static inline int kanji_offsets_ok(int32_t input_offset, int32_t output_offset)
{
    return input_offset >= -INT8_MAX && input_offset <= -INT8_MIN &&
           output_offset >= INT8_MIN && output_offset <= INT8_MAX;
}

static inline int kanji_scale_ok(int32_t multiplier, int32_t shift)
{
    return multiplier >= 0 && shift >= -31 && shift <= 30;
}

/* Shapes of a convolution: each in range, and fitting together. */
static inline int kanji_conv_dims_ok(const cmsis_nn_conv_params *params,
                                     const cmsis_nn_dims *input,
                                     const cmsis_nn_dims *filter,
                                     const cmsis_nn_dims *output)
{
    if (params == NULL || input == NULL || filter == NULL || output == NULL)
    {
        return 0;
    }
    const int32_t depth = kanji_volume(1, filter->h, filter->w, filter->c);

    return kanji_axis_ok(input->h, filter->h, output->h, params->stride.h, params->padding.h,
                         params->dilation.h) &&
           kanji_axis_ok(input->w, filter->w, output->w, params->stride.w, params->padding.w,
                         params->dilation.w) &&
           kanji_volume(input->n, input->h, input->w, input->c) > 0 &&
           kanji_volume(output->n, output->h, output->w, output->c) > 0 && depth > 0 &&
           depth <= KANJI_MAX_DEPTH && kanji_volume(filter->n, depth, 1, 1) > 0 &&
           input->c == filter->c && filter->n == output->c && input->n == output->n;
}

/* Arguments of a pool. A window between the first and the last is not empty if they are not. */
static inline int kanji_pool_ok(const cmsis_nn_pool_params *params,
                                const cmsis_nn_dims *input,
                                const cmsis_nn_dims *filter,
                                const cmsis_nn_dims *output)
{
    if (params == NULL || input == NULL || filter == NULL || output == NULL)
    {
        return 0;
    }
    return kanji_axis_ok(input->h, filter->h, output->h, params->stride.h, params->padding.h, 1) &&
           kanji_axis_ok(input->w, filter->w, output->w, params->stride.w, params->padding.w, 1) &&
           kanji_volume(input->n, input->h, input->w, input->c) > 0 &&
           kanji_volume(input->n, output->h, output->w, output->c) > 0 && input->c == output->c &&
           params->padding.h < filter->h && params->padding.w < filter->w &&
           (output->h - 1) * params->stride.h - params->padding.h < input->h &&
           (output->w - 1) * params->stride.w - params->padding.w < input->w &&
           kanji_activation_ok(params->activation);
}

#endif
