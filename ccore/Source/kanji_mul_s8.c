/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "kanji_nn.h"
#include "kanji_support.h"

#define MOST_SHIFT 14

static int params_ok(const kanji_mul_params *p)
{
    return kanji_offset_ok(p->input_1_offset) && kanji_offset_ok(p->input_2_offset) &&
           kanji_offset_ok(p->out_offset) &&
           kanji_factor_ok(p->out_mult, p->out_shift, MOST_SHIFT) &&
           kanji_byte_range_ok(p->out_activation_min, p->out_activation_max);
}

int32_t kanji_mul_s8(const kanji_mul_params *params,
                     const kanji_blocks *blocks,
                     const int8_t *input_1,
                     const int8_t *input_2,
                     int8_t *output)
{
    if (params == NULL || blocks == NULL || input_1 == NULL || input_2 == NULL ||
        output == NULL || !params_ok(params) ||
        !kanji_blocks_ok(blocks->outer, blocks->size, blocks->inner))
    {
        return -1;
    }

    const kanji_mul_params p = *params;
    int32_t i = 0;

    for (int32_t o = 0; o < blocks->outer; o++)
    {
        for (int32_t k = 0; k < blocks->size; k++)
        {
            const int32_t x_2 = input_2[k] + p.input_2_offset;

            for (int32_t end = i + blocks->inner; i < end; i++)
            {
                const int32_t product = (input_1[i] + p.input_1_offset) * x_2;
                const int32_t q =
                    kanji_rescale(product, p.out_mult, p.out_shift, p.rounds_once);

                output[i] = (int8_t)(kanji_clamp(q,
                                                 p.out_activation_min - p.out_offset,
                                                 p.out_activation_max - p.out_offset) +
                                     p.out_offset);
            }
        }
    }
    return 0;
}
