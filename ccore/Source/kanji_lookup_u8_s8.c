/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "kanji_nn.h"

int32_t kanji_lookup_u8_s8(const uint8_t *input,
                           int32_t size,
                           const int8_t *tables,
                           int32_t table_count,
                           int8_t *output)
{
    if (input == NULL || tables == NULL || output == NULL || size < 1 || table_count < 1 ||
        size % table_count != 0)
    {
        return -1;
    }

    for (int32_t start = 0; start < size; start += table_count)
    {
        const int8_t *table = tables;

        for (int32_t i = 0; i < table_count; i++)
        {
            output[start + i] = table[input[start + i]];
            table += 256;
        }
    }
    return 0;
}
