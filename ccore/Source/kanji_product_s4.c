/* SPDX-License-Identifier: Apache-2.0 */
#include "kanji_support.h"

static int32_t
row_product(const int8_t *x, const int8_t *weights, int32_t w, int32_t length, int32_t offset)
{
    const int8_t *pair = weights + w / 2;
    int32_t sum = 0;
    int32_t i = 0;

    if (w % 2 != 0 && length > 0)
    {
        sum += (x[i++] + offset) * kanji_high_s4(*pair++);
    }
    for (; i < length - 1; i += 2, pair++)
    {
        sum += (x[i] + offset) * kanji_low_s4(*pair);
        sum += (x[i + 1] + offset) * kanji_high_s4(*pair);
    }
    if (i < length)
    {
        sum += (x[i] + offset) * kanji_low_s4(*pair);
    }
    return sum;
}

int32_t kanji_product_s4(const kanji_patch *patch,
                         const int8_t *weights,
                         int32_t w,
                         int32_t offset)
{
    int32_t sum = 0;

    for (int32_t row = 0; row < patch->rows; row++)
    {
        const int8_t *x = patch->x + row * patch->x_pitch;

        sum += row_product(x, weights, w + row * patch->w_pitch, patch->length, offset);
    }
    return sum;
}
