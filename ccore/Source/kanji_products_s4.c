/* SPDX-License-Identifier: Apache-2.0 */
#include "kanji_support.h"

/* Of four filters whose rows begin and end between bytes; sizes are bytes. */
static void products_of_four(const kanji_patch *patch,
                             const int8_t *pairs,
                             int32_t filter_size,
                             int32_t offset,
                             int32_t sums[KANJI_FILTERS])
{
    int32_t sum_0 = 0, sum_1 = 0, sum_2 = 0, sum_3 = 0;

    for (int32_t row = 0; row < patch->rows; row++)
    {
        const int8_t *x = patch->x + row * patch->x_pitch;
        const int8_t *w_0 = pairs + row * (patch->w_pitch / 2);
        const int8_t *w_2 = w_0 + 2 * filter_size;

        for (const int8_t *end = x + patch->length; x < end; x += 2)
        {
            const int32_t low = x[0] + offset;
            const int32_t high = x[1] + offset;

            sum_0 += low * kanji_low_s4(w_0[0]);
            sum_0 += high * kanji_high_s4(w_0[0]);
            sum_1 += low * kanji_low_s4(w_0[filter_size]);
            sum_1 += high * kanji_high_s4(w_0[filter_size]);
            sum_2 += low * kanji_low_s4(w_2[0]);
            sum_2 += high * kanji_high_s4(w_2[0]);
            sum_3 += low * kanji_low_s4(w_2[filter_size]);
            sum_3 += high * kanji_high_s4(w_2[filter_size]);
            w_0++;
            w_2++;
        }
    }
    sums[0] += sum_0;
    sums[1] += sum_1;
    sums[2] += sum_2;
    sums[3] += sum_3;
}

void kanji_products_s4(const kanji_patch *patch,
                       const int8_t *weights,
                       int32_t filters,
                       int32_t filter_size,
                       int32_t offset,
                       int32_t sums[KANJI_FILTERS])
{
    /* Any odd number among them is odd in their union. */
    const int32_t union_of_bits = patch->w | patch->w_pitch | patch->length | filter_size;

    if (filters == KANJI_FILTERS && (union_of_bits & 1) == 0)
    {
        products_of_four(patch, weights + patch->w / 2, filter_size / 2, offset, sums);
        return;
    }
    for (int32_t k = 0; k < filters; k++)
    {
        sums[k] += kanji_product_s4(patch, weights, patch->w + k * filter_size, offset);
    }
}
