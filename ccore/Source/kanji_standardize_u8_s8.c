/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "kanji_nn.h"

#define MAX_SIZE ((int32_t)1 << 20)

/* Largest r with r * r <= value < 2^62, one bit at a time. */
static int64_t isqrt(int64_t value)
{
    int64_t root = 0;

    for (int64_t bit = (int64_t)1 << 30; bit > 0; bit >>= 1)
    {
        if ((root + bit) * (root + bit) <= value)
        {
            root += bit;
        }
    }
    return root;
}

static int64_t max_s64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

int32_t kanji_standardize_u8_s8(const uint8_t *input,
                                int32_t size,
                                int32_t frac_bits,
                                int8_t *output)
{
    if (input == NULL || output == NULL || size < 1 || size > MAX_SIZE || frac_bits < 0 ||
        frac_bits > 7)
    {
        return -1;
    }

    int64_t sum = 0;
    int64_t squares = 0;
    for (int32_t i = 0; i < size; i++)
    {
        sum += input[i];
        squares += (int32_t)input[i] * input[i];
    }

    /* sum < 2^28 and squares < 2^36, so the variance is below 2^56. isqrt(size) >= 1. */
    const int64_t deviation = max_s64(isqrt(size * squares - sum * sum), isqrt(size));

    for (int32_t i = 0; i < size; i++)
    {
        const int64_t a = ((int64_t)size * input[i] - sum) * ((int64_t)1 << frac_bits);
        int64_t y = (a > 0 ? a + deviation / 2 : a - deviation / 2) / deviation;
        y = y < INT8_MIN ? INT8_MIN : y;
        y = y > INT8_MAX ? INT8_MAX : y;
        output[i] = (int8_t)y;
    }
    return 0;
}
