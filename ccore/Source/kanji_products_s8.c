/* SPDX-License-Identifier: Apache-2.0 */
#include "kanji_support.h"

static void products_of_four(const kanji_patch *patch,
                             const int8_t *weights,
                             int32_t filter_size,
                             int32_t offset,
                             int32_t sums[KANJI_FILTERS])
{
    int32_t sum_0 = 0, sum_1 = 0, sum_2 = 0, sum_3 = 0;

    for (int32_t row = 0; row < patch->rows; row++)
    {
        const int8_t *x = patch->x + row * patch->x_pitch;
        const int8_t *w_0 = weights + row * patch->w_pitch;
        const int8_t *w_1 = w_0 + filter_size;
        const int8_t *w_2 = w_1 + filter_size;
        const int8_t *w_3 = w_2 + filter_size;
        int32_t i = 0;

        for (; i <= patch->length - KANJI_BLOCK; i += KANJI_BLOCK)
        {
            for (int32_t j = i; j < i + KANJI_BLOCK; j++)
            {
                const int16_t value = (int16_t)(x[j] + offset);

                sum_0 += value * w_0[j];
                sum_1 += value * w_1[j];
                sum_2 += value * w_2[j];
                sum_3 += value * w_3[j];
            }
        }
        for (; i < patch->length; i++)
        {
            const int32_t value = x[i] + offset;

            sum_0 += value * w_0[i];
            sum_1 += value * w_1[i];
            sum_2 += value * w_2[i];
            sum_3 += value * w_3[i];
        }
    }
    sums[0] += sum_0;
    sums[1] += sum_1;
    sums[2] += sum_2;
    sums[3] += sum_3;
}

void kanji_products_s8(const kanji_patch *patch,
                       const int8_t *weights,
                       int32_t filters,
                       int32_t filter_size,
                       int32_t offset,
                       int32_t sums[KANJI_FILTERS])
{
    if (filters == KANJI_FILTERS)
    {
        products_of_four(patch, weights + patch->w, filter_size, offset, sums);
        return;
    }
    for (int32_t k = 0; k < filters; k++)
    {
        sums[k] += kanji_product_s8(patch, weights, patch->w + k * filter_size, offset);
    }
}
