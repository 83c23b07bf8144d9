/* SPDX-License-Identifier: Apache-2.0
 *
 * Kernels that CMSIS-NN lacks: from raw uint8 sensor data to int8, in integers alone. They
 * depend on no other header, so a firmware that links CMSIS-NN, of either generation,
 * compiles these sources beside it.
 *
 * Both return 0, or -1 and write nothing on NULL pointers and on arguments outside the
 * limits stated. Output and input may be the same memory.
 */
#ifndef KANJI_NN_H
#define KANJI_NN_H

#include <stdint.h>

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

#ifdef __cplusplus
}
#endif

#endif
