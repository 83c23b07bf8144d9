/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "kanji_nn.h"
#include "kanji_support.h"

static int sign_ok(int32_t sign)
{
    return sign == 1 || sign == -1;
}

static int params_ok(const kanji_add_params *p)
{
    return sign_ok(p->input_1_sign) && sign_ok(p->input_2_sign) &&
           kanji_offset_ok(p->input_1_offset) && kanji_offset_ok(p->input_2_offset) &&
           kanji_offset_ok(p->out_offset) && p->left_shift >= 16 && p->left_shift <= 22 &&
           kanji_factor_ok(p->input_1_mult, p->input_1_shift, 0) &&
           kanji_factor_ok(p->input_2_mult, p->input_2_shift, 0) &&
           kanji_factor_ok(p->out_mult, p->out_shift, 0) &&
           kanji_byte_range_ok(p->out_activation_min, p->out_activation_max);
}

int32_t kanji_add_s8(const kanji_add_params *params,
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

    const kanji_add_params p = *params;
    const int32_t one = (int32_t)1 << p.left_shift;
    int32_t i = 0;

    for (int32_t o = 0; o < blocks->outer; o++)
    {
        for (int32_t k = 0; k < blocks->size; k++)
        {
            const int32_t x_2 = (input_2[k] + p.input_2_offset) * one;
            const int32_t v_2 =
                p.input_2_sign *
                kanji_rescale(x_2, p.input_2_mult, p.input_2_shift, p.rounds_once);

            for (int32_t end = i + blocks->inner; i < end; i++)
            {
                const int32_t x_1 = (input_1[i] + p.input_1_offset) * one;
                const int32_t v_1 =
                    p.input_1_sign *
                    kanji_rescale(x_1, p.input_1_mult, p.input_1_shift, p.rounds_once);
                const int32_t q = kanji_rescale(
                    kanji_add_saturated(v_1, v_2), p.out_mult, p.out_shift, p.rounds_once);

                output[i] = (int8_t)(kanji_clamp(q,
                                                 p.out_activation_min - p.out_offset,
                                                 p.out_activation_max - p.out_offset) +
                                     p.out_offset);
            }
        }
    }
    return 0;
}
