/* SPDX-License-Identifier: Apache-2.0
 *
 * exp(x - max) / sum(exp(x - max)) in fixed point, by TFLite's recipe. Qi.f stands for an
 * int32 of i integer and f fractional bits.
 */
#include <stddef.h>

#include "kanji_nn.h"
#include "kanji_support.h"

#define ONE_Q2_29 ((int32_t)1 << 29)

/* An exponential is added up as Q12.19, which leaves room for 2^12 of them. */
#define SUM_INTEGER_BITS 12

/* exp(x), x <= 0 as Q5.26, result as Q0.31. */
static int32_t exp_of_negative(int32_t x)
{
    /* exp(-2^k / 4), k = 0 .. 6, as Q0.31 */
    static const int32_t factors[7] = {
        1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242};
    const int32_t quarter = (int32_t)1 << 24;
    const int32_t exp_minus_eighth = 1895147668;
    const int32_t third = 715827883;

    if (x == 0)
    {
        return INT32_MAX;
    }

    /* x = rest - quarters / 4 with rest in [-1/4, 0). */
    const int32_t rest = (x & (quarter - 1)) - quarter;
    const int32_t quarters = (rest - x) / quarter;

    /* exp(rest) = exp(-1/8) * (1 + t + t^2/2 + t^3/6 + t^4/24), t = rest + 1/8 as Q0.31. */
    const int32_t t = rest * 32 + ((int32_t)1 << 28);
    const int32_t t2 = kanji_doubling_high_mult(t, t);
    const int32_t t3 = kanji_doubling_high_mult(t2, t);
    const int32_t t4 = kanji_doubling_high_mult(t2, t2);
    const int32_t t4_4_t3 = kanji_divide_by_power_of_two(t4, 2) + t3;
    const int32_t tail =
        kanji_divide_by_power_of_two(kanji_doubling_high_mult(t4_4_t3, third) + t2, 1);
    int32_t result = exp_minus_eighth + kanji_doubling_high_mult(exp_minus_eighth, t + tail);

    for (int32_t k = 0; k < 7; k++)
    {
        if ((quarters >> k & 1) != 0)
        {
            result = kanji_doubling_high_mult(result, factors[k]);
        }
    }
    return result;
}

/* 1 / (1 + x), x in [0, 1) and result as Q0.31, by three Newton steps. */
static int32_t reciprocal_of_one_plus(int32_t x)
{
    const int32_t half = (int32_t)(((int64_t)x + ((int64_t)1 << 31)) / 2); /* (1 + x) / 2 */

    /* The line 48/17 - 32/17 * half, as Q2.29. */
    int32_t y = 1515870810 + kanji_doubling_high_mult(half, -1010580540);

    for (int i = 0; i < 3; i++)
    {
        const int32_t error = ONE_Q2_29 - kanji_doubling_high_mult(half, y);
        y += kanji_doubling_high_mult(y, error) * 4; /* |error| <= 1/17: no overflow */
    }
    return kanji_saturate_s32((int64_t)y * 2); /* y / 2 as Q0.31 */
}

/* exp of a difference from the row's maximum, as Q0.31. */
static int32_t exp_of_difference(int32_t difference, int32_t mult, int32_t shift)
{
    const int32_t shifted = kanji_saturate_s32(difference * ((int64_t)1 << shift));

    return exp_of_negative(kanji_doubling_high_mult(shifted, mult));
}

static void softmax_row(const int8_t *input,
                        int32_t row_size,
                        int32_t mult,
                        int32_t shift,
                        int32_t diff_min,
                        int8_t *output)
{
    int32_t max = input[0];
    for (int32_t i = 1; i < row_size; i++)
    {
        max = kanji_max(max, input[i]);
    }

    int64_t total = 0;
    for (int32_t i = 0; i < row_size; i++)
    {
        const int32_t difference = input[i] - max;
        if (difference >= diff_min)
        {
            total += kanji_divide_by_power_of_two(exp_of_difference(difference, mult, shift),
                                                   SUM_INTEGER_BITS);
        }
    }

    /* sum = 2^(31 - headroom) * (1 + x). The maximum itself makes it at least 2^19, unless
     * diff_min > 0 leaves out every element: then any sum will do, except 0. */
    uint32_t sum = (uint32_t)kanji_max(kanji_saturate_s32(total), 1);
    int32_t headroom = 0;
    while (sum < (uint32_t)1 << 31)
    {
        sum <<= 1;
        headroom++;
    }
    const int32_t scale = reciprocal_of_one_plus((int32_t)(sum & INT32_MAX));
    const int32_t exponent = SUM_INTEGER_BITS + 23 - headroom; /* 23 .. 34 */

    for (int32_t i = 0; i < row_size; i++)
    {
        const int32_t difference = input[i] - max;
        int32_t y = INT8_MIN;
        if (difference >= diff_min)
        {
            const int32_t share =
                kanji_doubling_high_mult(scale, exp_of_difference(difference, mult, shift));
            /* share >= 0; beyond 31 it is less than half of 2^exponent. */
            y += exponent <= 31 ? kanji_divide_by_power_of_two(share, exponent) : 0;
        }
        output[i] = (int8_t)kanji_clamp(y, INT8_MIN, INT8_MAX);
    }
}

int32_t kanji_softmax_s8(const int8_t *input,
                         int32_t num_rows,
                         int32_t row_size,
                         int32_t mult,
                         int32_t shift,
                         int32_t diff_min,
                         int8_t *output)
{
    if (input == NULL || output == NULL || kanji_volume(num_rows, row_size, 1, 1) == 0 ||
        mult < 0 || shift < 0 || shift > 31)
    {
        return -1;
    }
    for (int32_t row = 0; row < num_rows; row++)
    {
        softmax_row(
            input + row * row_size, row_size, mult, shift, diff_min, output + row * row_size);
    }
    return 0;
}
