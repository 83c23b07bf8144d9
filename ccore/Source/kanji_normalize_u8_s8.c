/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "kanji_nn.h"

int32_t kanji_normalize_u8_s8(const uint8_t *input,
                              int32_t size,
                              const uint8_t *mean,
                              int32_t mean_size,
                              int32_t shift,
                              int8_t *output)
{
    if (input == NULL || mean == NULL || output == NULL || size < 1 || mean_size < 1 ||
        size % mean_size != 0 || shift < 0 || shift > 7)
    {
        return -1;
    }

    const int32_t half = ((int32_t)1 << shift) >> 1;

    for (int32_t start = 0; start < size; start += mean_size)
    {
        for (int32_t i = 0; i < mean_size; i++)
        {
            int32_t y = (input[start + i] - mean[i] + half) >> shift;
            y = y < INT8_MIN ? INT8_MIN : y;
            y = y > INT8_MAX ? INT8_MAX : y;
            output[start + i] = (int8_t)y;
        }
    }
    return 0;
}
