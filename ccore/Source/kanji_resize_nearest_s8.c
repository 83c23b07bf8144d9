/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <string.h>

#include "kanji_nn.h"

static int volume_ok(int32_t height, int32_t width, int32_t channels)
{
    return height >= 1 && width >= 1 && channels >= 1 &&
           (int64_t)height * width <= INT32_MAX &&
           (int64_t)height * width * channels <= INT32_MAX;
}

static int indices_ok(const int16_t *indices, int32_t count, int32_t size)
{
    for (int32_t i = 0; i < count; i++)
    {
        if (indices[i] < 0 || indices[i] >= size)
        {
            return 0;
        }
    }
    return 1;
}

int32_t kanji_resize_nearest_s8(const int8_t *input,
                                int32_t height,
                                int32_t width,
                                int32_t channels,
                                const int16_t *rows,
                                int32_t output_height,
                                const int16_t *columns,
                                int32_t output_width,
                                int8_t *output)
{
    if (input == NULL || rows == NULL || columns == NULL || output == NULL ||
        !volume_ok(height, width, channels) ||
        !volume_ok(output_height, output_width, channels) ||
        !indices_ok(rows, output_height, height) || !indices_ok(columns, output_width, width))
    {
        return -1;
    }

    for (int32_t y = 0; y < output_height; y++)
    {
        const int8_t *row = input + rows[y] * width * channels;

        for (int32_t x = 0; x < output_width; x++)
        {
            memcpy(output, row + columns[x] * channels, (size_t)channels);
            output += channels;
        }
    }
    return 0;
}
