/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "kanji_nn.h"

int32_t kanji_lookup_s8(const int8_t *input, int32_t size, const int8_t *table, int8_t *output)
{
    if (input == NULL || table == NULL || output == NULL || size < 1)
    {
        return -1;
    }

    const int8_t *zero = table + 128;

    for (int32_t i = 0; i < size; i++)
    {
        output[i] = zero[input[i]];
    }
    return 0;
}
