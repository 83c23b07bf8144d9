/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <string.h>

#include "kanji_nn.h"

/* 1 if all that is read lies inside the input and all that is written can be counted. */
static int axes_ok(int32_t input_size,
                   int32_t first,
                   const kanji_axes *extents,
                   const kanji_axes *steps)
{
    const int32_t extent[4] = {extents->n, extents->h, extents->w, extents->c};
    const int32_t step[4] = {steps->n, steps->h, steps->w, steps->c};
    int64_t last = first, size = 1;

    if (input_size < 1 || first < 0)
    {
        return 0;
    }
    for (int i = 0; i < 4; i++)
    {
        if (extent[i] < 1 || step[i] < 0)
        {
            return 0;
        }
        size *= extent[i];
        last += (int64_t)(extent[i] - 1) * step[i];
        if (size > INT32_MAX || last >= input_size)
        {
            return 0;
        }
    }
    return 1;
}

static void copy_row(const int8_t *input, int32_t count, int32_t step, int8_t *output)
{
    if (step == 1)
    {
        memcpy(output, input, (size_t)count);
        return;
    }
    for (int32_t i = 0; i < count; i++)
    {
        output[i] = input[i * step];
    }
}

int32_t kanji_copy_s8(const int8_t *input,
                      int32_t input_size,
                      int32_t first,
                      const kanji_axes *extents,
                      const kanji_axes *steps,
                      int8_t *output)
{
    if (input == NULL || extents == NULL || steps == NULL || output == NULL ||
        !axes_ok(input_size, first, extents, steps))
    {
        return -1;
    }

    for (int32_t n = 0; n < extents->n; n++)
    {
        for (int32_t h = 0; h < extents->h; h++)
        {
            const int8_t *plane = input + first + n * steps->n + h * steps->h;

            for (int32_t w = 0; w < extents->w; w++)
            {
                copy_row(plane + w * steps->w, extents->c, steps->c, output);
                output += extents->c;
            }
        }
    }
    return 0;
}
