/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "arm_nnfunctions.h"
#include "arm_nnsupportfunctions.h"

static int padding_ok(const cmsis_nn_dims *pad)
{
    return pad != NULL && pad->n >= 0 && pad->n <= KANJI_MAX_EXTENT && pad->h >= 0 &&
           pad->h <= KANJI_MAX_EXTENT && pad->w >= 0 && pad->w <= KANJI_MAX_EXTENT &&
           pad->c >= 0 && pad->c <= KANJI_MAX_EXTENT;
}

arm_cmsis_nn_status arm_pad_s8(const int8_t *input,
                               int8_t *output,
                               const int8_t pad_value,
                               const cmsis_nn_dims *input_size,
                               const cmsis_nn_dims *pre_pad,
                               const cmsis_nn_dims *post_pad)
{
    if (input == NULL || output == NULL || input_size == NULL || !padding_ok(pre_pad) ||
        !padding_ok(post_pad) || !kanji_extent_ok(input_size->n) ||
        !kanji_extent_ok(input_size->h) || !kanji_extent_ok(input_size->w) ||
        !kanji_extent_ok(input_size->c))
    {
        return ARM_CMSIS_NN_ARG_ERROR;
    }

    const int32_t n = pre_pad->n + input_size->n + post_pad->n;
    const int32_t h = pre_pad->h + input_size->h + post_pad->h;
    const int32_t w = pre_pad->w + input_size->w + post_pad->w;
    const int32_t c = pre_pad->c + input_size->c + post_pad->c;
    const int32_t size = kanji_volume(n, h, w, c);

    if (size == 0)
    {
        return ARM_CMSIS_NN_ARG_ERROR;
    }

    memset(output, pad_value, (size_t)size);
    for (int32_t i = 0; i < input_size->n; i++)
    {
        for (int32_t y = 0; y < input_size->h; y++)
        {
            const int32_t row = ((pre_pad->n + i) * h + pre_pad->h + y) * w + pre_pad->w;

            for (int32_t x = 0; x < input_size->w; x++)
            {
                memcpy(output + (row + x) * c + pre_pad->c, input, (size_t)input_size->c);
                input += input_size->c;
            }
        }
    }
    return ARM_CMSIS_NN_SUCCESS;
}
