/* SPDX-License-Identifier: Apache-2.0
 *
 * What the legacy kernels share. Private to Source/; applications include arm_nnfunctions.h.
 */
#ifndef KANJI_Q7_H
#define KANJI_Q7_H

#include <stddef.h>

#include "arm_nn_math_types.h"
#include "kanji_support.h"

/* Which of the library's paths this build follows; see arm_nnfunctions.h. */
#if defined(ARM_MATH_DSP) && !defined(ARM_MATH_MVEI) && !defined(KANJI_NN_PLAIN_C)
#define KANJI_NN_DSP 1
#else
#define KANJI_NN_DSP 0
#endif

/* bias * 2^bias_shift <= 2^30, which is also the limit of KANJI_MAX_DEPTH products: their
 * sum fits int32. */
static inline int kanji_shifts_q7_ok(uint16_t bias_shift, uint16_t out_shift)
{
    return bias_shift <= 23 && out_shift <= 30;
}

/* From the sum of products to the output byte. */
static inline q7_t
kanji_output_q7(int32_t sum, q7_t bias, uint16_t bias_shift, uint16_t out_shift)
{
    const int32_t acc = sum + bias * ((int32_t)1 << bias_shift);
#ifdef ARM_NN_TRUNCATE
    const int32_t y = acc >> out_shift;
#else
    /* (acc + 2^(out_shift - 1)) >> out_shift in an order that cannot overflow. */
    const int32_t y = out_shift == 0 ? acc : ((acc >> (out_shift - 1)) + 1) >> 1;
#endif

    return (q7_t)kanji_clamp(y, INT8_MIN, INT8_MAX);
}

/* One spatial axis. The library counts up to the end of the last window in int16. */
static inline int kanji_axis_q7_ok(
    int32_t input_size, int32_t kernel_size, int32_t output_size, int32_t stride, int32_t padding)
{
    return kanji_axis_ok(input_size, kernel_size, output_size, stride, padding, 1) &&
           (output_size - 1) * stride - padding + kernel_size <= KANJI_MAX_EXTENT;
}

/* Arguments of a fully connected layer; dim_vec cannot exceed KANJI_MAX_DEPTH. */
static inline int kanji_dense_q7_ok(const q7_t *input,
                                    const q7_t *weight,
                                    int32_t columns,
                                    int32_t rows,
                                    uint16_t bias_shift,
                                    uint16_t out_shift,
                                    const q7_t *bias,
                                    const q7_t *output)
{
    return input != NULL && weight != NULL && bias != NULL && output != NULL &&
           kanji_volume(1, 1, rows, columns) > 0 && kanji_shifts_q7_ok(bias_shift, out_shift);
}

/* ------------------------------------------------------------------------- convolutions */

/* The arguments of a convolution, by axis where there are two. */
typedef struct
{
    const q7_t *input;
    const q7_t *weight;
    const q7_t *bias;
    q7_t *output;
    uint16_t input_x, input_y, input_ch;
    uint16_t kernel_x, kernel_y;
    uint16_t padding_x, padding_y;
    uint16_t stride_x, stride_y;
    uint16_t output_x, output_y, output_ch;
    uint16_t bias_shift, out_shift;
} kanji_convolution_q7;

/* sums[k] += products of output channel out_ch + k over one window, for `filters` of them. */
typedef void (*kanji_window_sums_q7)(const kanji_convolution_q7 *conv,
                                     kanji_window rows,
                                     kanji_window columns,
                                     int32_t out_ch,
                                     int32_t filters,
                                     int32_t sums[KANJI_FILTERS]);

/* Slides the window and brings the sums to the output. depth: products in one sum, 0 where
 * they are too many to count. Returns ARM_MATH_ARGUMENT_ERROR, before it writes, where an
 * argument is outside the limits that all convolutions have. */
arm_status kanji_convolve_q7(const kanji_convolution_q7 *conv,
                             int32_t depth,
                             kanji_window_sums_q7 window_sums);

/* -------------------------------------------------------------------------------- pools */

/* The arguments of a pool. */
typedef struct
{
    q7_t *input;
    q7_t *output;
    uint16_t input_size, channels;
    uint16_t kernel_size, padding, stride;
    uint16_t output_size;
} kanji_pooling_q7;

/* rows * columns vectors, the first at x. */
typedef struct
{
    const q7_t *x;
    int32_t rows, row_pitch;
    int32_t columns, column_pitch;
} kanji_block_q7;

/* Reduces the vectors of a block to one of `length` elements. y may be x or lie before it:
 * no element of the block is read after a y at or beyond it has been written. */
typedef void (*kanji_reduce_q7)(kanji_block_q7 block, int32_t length, q7_t *y);

/* Slides the window as this build's path does: over both axes at once, or along x in place
 * and then along y. Does nothing where an argument is outside the limits of every pool. */
void kanji_pool_q7(const kanji_pooling_q7 *pool, kanji_reduce_q7 reduce);

#endif
