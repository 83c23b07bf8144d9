/* SPDX-License-Identifier: Apache-2.0 */
#include "kanji_support.h"

int32_t kanji_product_s8(const kanji_patch *patch,
                         const int8_t *weights,
                         int32_t w,
                         int32_t offset)
{
    int32_t sum = 0;

    for (int32_t row = 0; row < patch->rows; row++)
    {
        const int8_t *x = patch->x + row * patch->x_pitch;
        const int8_t *filter = weights + w + row * patch->w_pitch;
        int32_t i = 0;

        for (; i <= patch->length - KANJI_BLOCK; i += KANJI_BLOCK)
        {
            for (int32_t j = i; j < i + KANJI_BLOCK; j++)
            {
                const int16_t value = (int16_t)(x[j] + offset);

                sum += value * filter[j];
            }
        }
        for (; i < patch->length; i++)
        {
            sum += (x[i] + offset) * filter[i];
        }
    }
    return sum;
}
