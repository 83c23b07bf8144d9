/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "kanji_nn.h"
#include "kanji_support.h"

#define MOST_VALUES 8388608 /* 255 times as many stay within int32 */
#define BLOCK 16            /* sums that are kept at a time */

static int volume_ok(int32_t outer, int32_t count, int32_t inner)
{
    if (outer < 1 || inner < 1 || count < 1 || count > MOST_VALUES)
    {
        return 0;
    }
    return (int64_t)count * inner <= INT32_MAX &&
           (int64_t)count * inner * outer <= INT32_MAX;
}

static int scaling_ok(
    int32_t count, int32_t input_offset, int32_t multiplier, int32_t shift, int32_t output_offset)
{
    if (input_offset < -127 || input_offset > 128 || output_offset < INT8_MIN ||
        output_offset > INT8_MAX || multiplier < 0 || shift < -31 || shift > 21)
    {
        return 0;
    }
    return shift <= 0 || (int64_t)255 * count * ((int64_t)1 << shift) <= INT32_MAX;
}

int32_t kanji_mean_s8(const int8_t *input,
                      int32_t outer,
                      int32_t count,
                      int32_t inner,
                      int32_t input_offset,
                      int32_t multiplier,
                      int32_t shift,
                      int32_t output_offset,
                      int8_t *output)
{
    if (input == NULL || output == NULL || !volume_ok(outer, count, inner) ||
        !scaling_ok(count, input_offset, multiplier, shift, output_offset))
    {
        return -1;
    }

    for (int32_t o = 0; o < outer; o++)
    {
        for (int32_t first = 0; first < inner; first += BLOCK)
        {
            const int32_t width = inner - first < BLOCK ? inner - first : BLOCK;
            int32_t sums[BLOCK];

            for (int32_t i = 0; i < width; i++)
            {
                sums[i] = count * input_offset;
            }
            for (int32_t k = 0; k < count; k++)
            {
                const int8_t *row = input + k * inner + first;

                for (int32_t i = 0; i < width; i++)
                {
                    sums[i] += row[i];
                }
            }
            for (int32_t i = 0; i < width; i++)
            {
                const int32_t mean = kanji_rescale(sums[i], multiplier, shift, 0);

                output[first + i] = (int8_t)kanji_clamp(mean + output_offset, INT8_MIN, INT8_MAX);
            }
        }
        input += count * inner;
        output += inner;
    }
    return 0;
}
