/* SPDX-License-Identifier: Apache-2.0
 *
 * Kernels that CMSIS-NN lacks: from raw uint8 sensor data to int8, from one scale to
 * another, functions of one element by a table, means, tensors in another order, and
 * transposed convolution, in integers alone. They depend on no header but this one,
 * kanji_config.h and kanji_support.h, so a firmware that links CMSIS-NN, of either
 * generation, compiles these sources beside it.
 *
 * All return 0, or -1 and write nothing on NULL pointers and on arguments outside the
 * limits stated. Output and input of a call may be the same memory where nothing else is
 * said.
 */
#ifndef KANJI_NN_H
#define KANJI_NN_H

#include <stdint.h>

#include "kanji_config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Subtracts a mean per channel and divides by a power of two, halves rounded up.
 *
 *     y[i] = clamp((x[i] - mean[i mod mean_size] + ((1 << shift) >> 1)) >> shift, -128, 127)
 *
 * 1 <= mean_size, which divides size >= 1; 0 <= shift <= 7.
 */
int32_t kanji_normalize_u8_s8(const uint8_t *input,
                              int32_t size,
                              const uint8_t *mean,
                              int32_t mean_size,
                              int32_t shift,
                              int8_t *output);

/* Brings one sample to mean 0 and standard deviation 2^frac_bits.
 *
 *     S = sum(x), Q = sum(x^2), d = max(isqrt(size * Q - S^2), isqrt(size), 1)
 *     y = clamp((size * x - S) * 2^frac_bits / d, -128, 127)
 *
 * isqrt is the square root rounded down; the division rounds by adding d / 2, halves away
 * from zero, and truncating. d being at least isqrt(size) limits the gain on flat samples.
 * 1 <= size <= 2^20, so that every product fits 64 bits; 0 <= frac_bits <= 7.
 */
int32_t kanji_standardize_u8_s8(const uint8_t *input,
                                int32_t size,
                                int32_t frac_bits,
                                int8_t *output);

/* Brings rows to another scale and zero point, and writes them into longer rows: one part
 * of a concatenation.
 *
 *     y[r * output_row_size + first + i] = clamp(
 *         round((x[r * row_size + i] + input_offset) * multiplier * 2^(shift - 31))
 *         + output_offset, -128, 127)
 *
 * for 0 <= r < rows and 0 <= i < row_size, rounded once, halves up, in every build. The
 * rest of the output stays as it is; it does not overlap the input.
 * 1 <= rows, 1 <= row_size, 0 <= first <= output_row_size - row_size,
 * rows * output_row_size <= INT32_MAX; -127 <= input_offset <= 128,
 * -128 <= output_offset <= 127, 0 <= multiplier, -31 <= shift <= 30.
 */
int32_t kanji_requantize_s8(const int8_t *input,
                            int32_t rows,
                            int32_t row_size,
                            int32_t input_offset,
                            int32_t multiplier,
                            int32_t shift,
                            int32_t output_offset,
                            int8_t *output,
                            int32_t output_row_size,
                            int32_t first);

/* Looks every element up in a table of 256 bytes.
 *
 *     y[i] = table[x[i] + 128]
 *
 * 1 <= size.
 */
int32_t kanji_lookup_s8(const int8_t *input, int32_t size, const int8_t *table, int8_t *output);

/* The same of raw uint8 data, with one table in all or one for each channel, each of 256
 * bytes, one after the other.
 *
 *     y[i] = tables[256 * (i mod table_count) + x[i]]
 *
 * 1 <= table_count, which divides size >= 1.
 */
int32_t kanji_lookup_u8_s8(const uint8_t *input,
                           int32_t size,
                           const int8_t *tables,
                           int32_t table_count,
                           int8_t *output);

/* How one operand is read again and again beside another, as TFLite broadcasts it: the whole
 * one has outer * size * inner elements, the other one size, and
 *
 *     k(i) = (i / inner) mod size
 *
 * is what of it belongs to element i. For (H,W,C) and (C) that is outer = H * W, size = C,
 * inner = 1; for (H,W,C) and (H,W,1) it is 1, H * W, C. Two tensors of one shape have
 * outer = inner = 1.
 * 1 <= outer, size, inner; their product is at most INT32_MAX.
 */
typedef struct
{
    int32_t outer;
    int32_t size;
    int32_t inner;
} kanji_blocks;

/* What brings the two operands of a sum to a common scale, and their sum to that of the
 * output. rounds_once: as CMSIS_NN_USE_SINGLE_ROUNDING has it. */
typedef struct
{
    int32_t input_1_sign;
    int32_t input_1_offset;
    int32_t input_1_mult;
    int32_t input_1_shift;
    int32_t input_2_sign;
    int32_t input_2_offset;
    int32_t input_2_mult;
    int32_t input_2_shift;
    int32_t left_shift;
    int32_t out_offset;
    int32_t out_mult;
    int32_t out_shift;
    int32_t out_activation_min;
    int32_t out_activation_max;
    int32_t rounds_once;
} kanji_add_params;

/* Sum or difference of two tensors, the second of which may be broadcast.
 *
 *     v_k = requantize((x_k + input_k_offset) * 2^left_shift, input_k_mult, input_k_shift)
 *     y[i] = clamp(requantize(input_1_sign * v_1 + input_2_sign * v_2, out_mult, out_shift)
 *                  + out_offset, out_activation_min, out_activation_max)
 *
 * with x_1 = input_1[i] and x_2 = input_2[k(i)]. Signs are 1 and -1; 16 <= left_shift <= 22;
 * -128 <= offsets <= 128; multipliers are not negative; -31 <= shifts of the inputs <= 0,
 * -31 <= out_shift <= 0; activations are in -128 .. 127. The output may be input_1.
 */
int32_t kanji_add_s8(const kanji_add_params *params,
                     const kanji_blocks *blocks,
                     const int8_t *input_1,
                     const int8_t *input_2,
                     int8_t *output);

/* Offsets of the operands of a product, and what brings it to the scale of the output. */
typedef struct
{
    int32_t input_1_offset;
    int32_t input_2_offset;
    int32_t out_offset;
    int32_t out_mult;
    int32_t out_shift;
    int32_t out_activation_min;
    int32_t out_activation_max;
    int32_t rounds_once;
} kanji_mul_params;

/* Product of two tensors, the second of which may be broadcast.
 *
 *     y[i] = clamp(requantize((input_1[i] + input_1_offset) *
 *                             (input_2[k(i)] + input_2_offset), out_mult, out_shift)
 *                  + out_offset, out_activation_min, out_activation_max)
 *
 * Limits as above, but for -31 <= out_shift <= 14. The output may be input_1.
 */
int32_t kanji_mul_s8(const kanji_mul_params *params,
                     const kanji_blocks *blocks,
                     const int8_t *input_1,
                     const int8_t *input_2,
                     int8_t *output);

/* The smaller and the larger of two tensors, the second of which may be broadcast, each
 * brought to the scale of the output by a table of 256 bytes.
 *
 *     y[i] = min(table_1[input_1[i] + 128], table_2[input_2[k(i)] + 128])
 *
 * A table that is NULL leaves its operand as it is. The output may be input_1.
 */
int32_t kanji_minimum_s8(const kanji_blocks *blocks,
                         const int8_t *input_1,
                         const int8_t *table_1,
                         const int8_t *input_2,
                         const int8_t *table_2,
                         int8_t *output);

int32_t kanji_maximum_s8(const kanji_blocks *blocks,
                         const int8_t *input_1,
                         const int8_t *table_1,
                         const int8_t *input_2,
                         const int8_t *table_2,
                         int8_t *output);
/* The mean over neighbouring axes, brought to a scale and zero point of its own. Output and
 * input do not overlap.
 *
 *     y[o * inner + i] = clamp(rescale(sum of (x[(o * count + k) * inner + i] + input_offset)
 *                                      over 0 <= k < count)
 *                              + output_offset, -128, 127)
 *
 * for 0 <= o < outer and 0 <= i < inner. rescale(v) = v * multiplier * 2^(shift - 31), which
 * contains 1 / count, rounded twice in every build: v * 2^max(shift, 0) * multiplier * 2^-31
 * to the nearest integer, halves up; that * 2^min(shift, 0) the same, halves away from zero.
 * 1 <= outer, 1 <= inner, 1 <= count <= 2^23, outer * count * inner <= INT32_MAX;
 * -127 <= input_offset <= 128, -128 <= output_offset <= 127, 0 <= multiplier,
 * -31 <= shift <= 21, 255 * count * 2^max(shift, 0) <= INT32_MAX.
 */
int32_t kanji_mean_s8(const int8_t *input,
                      int32_t outer,
                      int32_t count,
                      int32_t inner,
                      int32_t input_offset,
                      int32_t multiplier,
                      int32_t shift,
                      int32_t output_offset,
                      int8_t *output);

/* Four numbers, one of each axis of a tensor, the slowest axis first. */
typedef struct
{
    int32_t n;
    int32_t h;
    int32_t w;
    int32_t c;
} kanji_axes;

/* Copies elements in another order, or some of them: a transpose or a slice.
 *
 *     y[n][h][w][c] = x[first + n * steps.n + h * steps.h + w * steps.w + c * steps.c]
 *
 * for 0 <= n < extents.n and so on. Output and input do not overlap.
 * 1 <= input_size; every extent is at least 1 and their product at most INT32_MAX; every
 * step is at least 0; 0 <= first; the last element read is below input_size.
 */
int32_t kanji_copy_s8(const int8_t *input,
                      int32_t input_size,
                      int32_t first,
                      const kanji_axes *extents,
                      const kanji_axes *steps,
                      int8_t *output);

/* Softmax of each row: TFLite's, with scale 1/256 and zero point -128 at the output.
 *
 *     e = exp((x - max(x)) * mult * 2^(shift - 57)), 0 where x - max(x) < diff_min
 *     y = clamp(round(256 * e / sum(e)) - 128, -128, 127)
 *
 * in fixed point: e as Q0.31, their sum as Q12.19. Where no element is left, y is -128.
 * 1 <= num_rows, 1 <= row_size, num_rows * row_size <= INT32_MAX; 0 <= mult,
 * 0 <= shift <= 31. Output and input do not overlap.
 */
int32_t kanji_softmax_s8(const int8_t *input,
                         int32_t num_rows,
                         int32_t row_size,
                         int32_t mult,
                         int32_t shift,
                         int32_t diff_min,
                         int8_t *output);

/* Takes the pixels of an image that two tables name: resizing by the nearest pixel.
 *
 *     y[i][j][c] = x[rows[i]][columns[j]][c]
 *
 * for 0 <= i < output_height and 0 <= j < output_width, of an input of height x width pixels
 * of so many channels. Output and input do not overlap.
 * All sizes are at least 1 and neither image has more than INT32_MAX bytes;
 * 0 <= rows[i] < height, 0 <= columns[j] < width.
 */
int32_t kanji_resize_nearest_s8(const int8_t *input,
                                int32_t height,
                                int32_t width,
                                int32_t channels,
                                const int16_t *rows,
                                int32_t output_height,
                                const int16_t *columns,
                                int32_t output_width,
                                int8_t *output);

/* How a transposed convolution computes; ranges below. */
typedef struct
{
    int32_t input_offset;
    int32_t output_offset;
    int32_t act_min;
    int32_t act_max;
    int32_t roundings;
    int32_t stride_h;
    int32_t stride_w;
    int32_t pad_h;
    int32_t pad_w;
} kanji_transpose_conv;

/* Transposed convolution of one image: every input pixel adds a kernel to the output.
 *
 *     y[i][j][o] = clamp(rescale(bias[o] + sum of
 *                                (x[(i + pad_h - k) / stride_h][(j + pad_w - l) / stride_w][c]
 *                                 + input_offset) * filter[o][k][l][c])
 *                        + output_offset, act_min, act_max)
 *
 * over 0 <= k < filter h, 0 <= l < filter w and all c, where both quotients are whole numbers
 * inside the image. rescale(v) = v * multiplier[o] * 2^(shift[o] - 31): with `roundings` 2
 * v * 2^max(shift, 0) * multiplier * 2^-31 to the nearest integer, halves up, and that
 * * 2^min(shift, 0) to the nearest, halves away from zero; with `roundings` 1 once, halves up.
 * Output and input do not overlap. `input_dims.n` and `output_dims.n` are 1.
 *
 * Filter int8 (n,h,w,c): n = output_dims.c, c = input_dims.c. Heights, widths and strides are
 * 1 .. 32767; 0 <= pad < the filter's extent; h * w * c of the filter <= 65535; every tensor
 * has at most INT32_MAX bytes. -127 <= input_offset <= 128, -128 <= output_offset <= 127,
 * -128 <= act_min <= act_max <= 127. The caller sees to it that 0 <= multiplier,
 * -31 <= shift <= 30, and that no sum times 2^max(shift, 0) leaves int32.
 */
int32_t kanji_transpose_conv_s8(const kanji_transpose_conv *params,
                                const kanji_axes *input_dims,
                                const int8_t *input,
                                const kanji_axes *filter_dims,
                                const int8_t *filter,
                                const int32_t *bias,
                                const int32_t *multiplier,
                                const int32_t *shift,
                                const kanji_axes *output_dims,
                                int8_t *output);

#ifdef __cplusplus
}
#endif

#endif
