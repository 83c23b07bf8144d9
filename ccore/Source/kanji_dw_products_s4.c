/* SPDX-License-Identifier: Apache-2.0 */
#include "kanji_support.h"

static int32_t weight_at(const int8_t *weights, int32_t at)
{
    const int8_t pair = weights[at >> 1];

    return (at & 1) == 0 ? kanji_low_s4(pair) : kanji_high_s4(pair);
}

static int32_t products_of_one(const kanji_dw_patch *patch,
                               const int8_t *x,
                               const int8_t *weights,
                               int32_t w,
                               int32_t offset)
{
    int32_t sum = 0;

    for (int32_t row = 0; row < patch->rows; row++)
    {
        for (int32_t column = 0; column < patch->columns; column++)
        {
            sum += (x[column * patch->x_column] + offset) *
                   weight_at(weights, w + column * patch->w_column);
        }
        x += patch->x_row;
        w += patch->w_row;
    }
    return sum;
}

/* Where the four weights of every tap fill two bytes. */
static void products_of_four(const kanji_dw_patch *patch,
                             const int8_t *weights,
                             int32_t x_step,
                             int32_t offset,
                             int32_t sums[KANJI_FILTERS])
{
    int32_t sum_0 = 0, sum_1 = 0, sum_2 = 0, sum_3 = 0;

    for (int32_t row = 0; row < patch->rows; row++)
    {
        const int8_t *x = patch->x + row * patch->x_row;
        const int8_t *pair = weights + (patch->w + row * patch->w_row) / 2;

        for (int32_t column = 0; column < patch->columns; column++)
        {
            sum_0 += (x[0] + offset) * kanji_low_s4(pair[0]);
            sum_1 += (x[x_step] + offset) * kanji_high_s4(pair[0]);
            sum_2 += (x[2 * x_step] + offset) * kanji_low_s4(pair[1]);
            sum_3 += (x[3 * x_step] + offset) * kanji_high_s4(pair[1]);
            x += patch->x_column;
            pair += patch->w_column / 2;
        }
    }
    sums[0] += sum_0;
    sums[1] += sum_1;
    sums[2] += sum_2;
    sums[3] += sum_3;
}

void kanji_dw_products_s4(const kanji_dw_patch *patch,
                          const int8_t *weights,
                          int32_t channels,
                          int32_t x_step,
                          int32_t offset,
                          int32_t sums[KANJI_FILTERS])
{
    if (channels == KANJI_FILTERS && patch->w % 2 == 0 && patch->w_row % 2 == 0 &&
        patch->w_column % 2 == 0)
    {
        products_of_four(patch, weights, x_step, offset, sums);
        return;
    }
    for (int32_t k = 0; k < channels; k++)
    {
        sums[k] +=
            products_of_one(patch, patch->x + k * x_step, weights, patch->w + k, offset);
    }
}
