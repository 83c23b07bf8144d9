/* SPDX-License-Identifier: Apache-2.0
 *
 * What the kernels of both APIs share. It needs no type of either, so that it stands beside
 * the headers of both. Private to the kernels.
 *
 * >> of a negative number is taken to be arithmetic, as every compiler in use has it.
 */
#ifndef KANJI_SUPPORT_H
#define KANJI_SUPPORT_H

#include <stdint.h>

#include "kanji_config.h"

/* Largest spatial extent, stride, padding and dilation: their products stay within int32. */
#define KANJI_MAX_EXTENT 32767

/* Most products in one sum: |x + offset| <= 255 and |w| <= 128 keep it within int32. */
#define KANJI_MAX_DEPTH 65535

/* --------------------------------------------------------------------------- arithmetic */

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

static inline int32_t kanji_add_saturated(int32_t a, int32_t b)
{
    if (a > 0 && b > INT32_MAX - a)
    {
        return INT32_MAX;
    }
    return a < 0 && b < INT32_MIN - a ? INT32_MIN : a + b;
}

/* a * b / 2^31 to the nearest integer, halves up; (-2^31)^2 saturates. */
static inline int32_t kanji_doubling_high_mult(int32_t a, int32_t b)
{
    if (a == INT32_MIN && b == INT32_MIN)
    {
        return INT32_MAX;
    }
    return (int32_t)(((int64_t)a * b + ((int64_t)1 << 30)) >> 31);
}

/* value / 2^exponent to the nearest integer, halves away from zero; 0 <= exponent <= 31. */
static inline int32_t kanji_divide_by_power_of_two(int32_t value, int32_t exponent)
{
    const int32_t mask = (int32_t)(((uint32_t)1 << exponent) - 1);
    const int32_t threshold = (mask >> 1) + (value < 0);

    return (value >> exponent) + ((value & mask) > threshold);
}

/* value * multiplier * 2^(shift - 31), rounded twice, after the multiplication half up and
 * after the right shift half away from zero, or once, half up.
 * multiplier >= 0; -31 <= shift <= 30. */
static inline int32_t
kanji_rescale(int32_t value, int32_t multiplier, int32_t shift, int32_t rounds_once)
{
    if (rounds_once != 0)
    {
        const int64_t product = (int64_t)value * multiplier;

        return kanji_saturate_s32(((product >> (30 - shift)) + 1) >> 1);
    }

    const int32_t left = kanji_max(shift, 0);
    const int32_t right = kanji_max(-shift, 0);
    const int32_t shifted = kanji_saturate_s32(value * ((int64_t)1 << left));
    const int64_t high = ((int64_t)shifted * multiplier + ((int64_t)1 << 30)) >> 31;
    const int64_t mask = ((int64_t)1 << right) - 1;

    return kanji_saturate_s32((high >> right) + ((high & mask) > (mask >> 1) + (high < 0)));
}

/* Whether an operand is broadcast beside one of outer * size * inner elements. */
static inline int kanji_blocks_ok(int32_t outer, int32_t size, int32_t inner)
{
    return outer >= 1 && size >= 1 && inner >= 1 && size <= INT32_MAX / outer &&
           inner <= INT32_MAX / (outer * size);
}

static inline int kanji_byte_range_ok(int32_t low, int32_t high)
{
    return low >= INT8_MIN && low <= high && high <= INT8_MAX;
}

static inline int kanji_offset_ok(int32_t offset)
{
    return offset >= INT8_MIN && offset <= -INT8_MIN;
}

static inline int kanji_factor_ok(int32_t multiplier, int32_t shift, int32_t most_shift)
{
    return multiplier >= 0 && shift >= -31 && shift <= most_shift;
}

/* ----------------------------------------------------------------------------- products */

/* Filters whose products are summed together, so that they share the loads of the input. */
#define KANJI_FILTERS 4

/* Blocks of constant length and 16-bit factors are what GCC turns into vector multiply-adds
 * at -O2. */
#define KANJI_BLOCK 16

/* A part of the input, `rows` rows of `length` neighbours, and the weights over it: element
 * `w` and those after it, in the first of the filters. Pitches lead from one row to the next. */
typedef struct
{
    const int8_t *x;
    int32_t x_pitch;
    int32_t w, w_pitch;
    int32_t rows, length;
} kanji_patch;

/* sums[k] += sum((x + offset) * weight) over the patch, for 1 <= filters <= KANJI_FILTERS
 * filters of `filter_size` elements each. At most KANJI_MAX_DEPTH products in a sum;
 * -127 <= offset <= 128.
 *
 * Sources of their own, because registers are what these loops need: inlined into the loops
 * over the image, their operands are on the stack. */
typedef void (*kanji_products)(const kanji_patch *patch,
                               const int8_t *weights,
                               int32_t filters,
                               int32_t filter_size,
                               int32_t offset,
                               int32_t sums[KANJI_FILTERS]);

void kanji_products_s8(const kanji_patch *patch,
                       const int8_t *weights,
                       int32_t filters,
                       int32_t filter_size,
                       int32_t offset,
                       int32_t sums[KANJI_FILTERS]);

/* The same of one filter, which begins at element `w` of the weights. */
int32_t kanji_product_s8(const kanji_patch *patch,
                         const int8_t *weights,
                         int32_t w,
                         int32_t offset);

static inline int32_t kanji_low_s4(int8_t pair)
{
    return ((pair & 15) ^ 8) - 8;
}

static inline int32_t kanji_high_s4(int8_t pair)
{
    return pair >> 4;
}

/* The same of int4 weights, packed two a byte over the whole tensor, the low nibble first;
 * `w` and `filter_size` count nibbles, so a row may begin in the middle of a byte. */
void kanji_products_s4(const kanji_patch *patch,
                       const int8_t *weights,
                       int32_t filters,
                       int32_t filter_size,
                       int32_t offset,
                       int32_t sums[KANJI_FILTERS]);

int32_t kanji_product_s4(const kanji_patch *patch,
                         const int8_t *weights,
                         int32_t w,
                         int32_t offset);

/* A part of the input of a depthwise convolution, `rows` by `columns` taps, from the first
 * channel on, and the weights over it, from element `w` on. */
typedef struct
{
    const int8_t *x;
    int32_t x_row, x_column; /* pitches */
    int32_t w, w_row, w_column;
    int32_t rows, columns;
} kanji_dw_patch;

/* sums[k] += sum((x[k * x_step] + offset) * weight[k]) over the taps, for
 * 1 <= channels <= KANJI_FILTERS neighbouring output channels; limits as above. */
typedef void (*kanji_dw_products)(const kanji_dw_patch *patch,
                                  const int8_t *weights,
                                  int32_t channels,
                                  int32_t x_step,
                                  int32_t offset,
                                  int32_t sums[KANJI_FILTERS]);

void kanji_dw_products_s8(const kanji_dw_patch *patch,
                          const int8_t *weights,
                          int32_t channels,
                          int32_t x_step,
                          int32_t offset,
                          int32_t sums[KANJI_FILTERS]);

void kanji_dw_products_s4(const kanji_dw_patch *patch,
                          const int8_t *weights,
                          int32_t channels,
                          int32_t x_step,
                          int32_t offset,
                          int32_t sums[KANJI_FILTERS]);

/* ------------------------------------------------------------------------------ windows */

/* The part of a kernel axis that lies on the input: `count` taps from tap `kernel` on, the
 * first of them over input element `input`. An empty part is all zero. */
typedef struct
{
    int32_t kernel;
    int32_t input;
    int32_t count;
} kanji_window;

/* start: where tap 0 lies, negative in the padding. Arguments passed kanji_axis_ok, and
 * dilation is 1 or more. */
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

/* One spatial axis of a convolution or a pool. One tap knows no dilation. */
static inline int kanji_axis_ok(int32_t input_size,
                                int32_t kernel_size,
                                int32_t output_size,
                                int32_t stride,
                                int32_t padding,
                                int32_t dilation)
{
    return kanji_extent_ok(input_size) && kanji_extent_ok(kernel_size) &&
           kanji_extent_ok(output_size) && kanji_extent_ok(stride) &&
           (kernel_size == 1 || kanji_extent_ok(dilation)) && padding >= 0 &&
           padding <= KANJI_MAX_EXTENT;
}

/* No window of a pool is empty: none between the first and the last is if these are not.
 * Arguments passed kanji_axis_ok. */
static inline int kanji_windows_meet_input(
    int32_t input_size, int32_t kernel_size, int32_t output_size, int32_t stride, int32_t padding)
{
    return padding < kernel_size && (output_size - 1) * stride - padding < input_size;
}

#endif
