/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "kanji_nn.h"
#include "kanji_support.h"

int32_t kanji_maximum_s8(const kanji_blocks *blocks,
                         const int8_t *input_1,
                         const int8_t *table_1,
                         const int8_t *input_2,
                         const int8_t *table_2,
                         int8_t *output)
{
    if (blocks == NULL || input_1 == NULL || input_2 == NULL || output == NULL ||
        !kanji_blocks_ok(blocks->outer, blocks->size, blocks->inner))
    {
        return -1;
    }

    int32_t i = 0;

    for (int32_t o = 0; o < blocks->outer; o++)
    {
        for (int32_t k = 0; k < blocks->size; k++)
        {
            const int8_t x_2 = table_2 == NULL ? input_2[k] : table_2[input_2[k] + 128];

            for (int32_t end = i + blocks->inner; i < end; i++)
            {
                const int8_t x_1 = table_1 == NULL ? input_1[i] : table_1[input_1[i] + 128];

                output[i] = x_1 > x_2 ? x_1 : x_2;
            }
        }
    }
    return 0;
}
