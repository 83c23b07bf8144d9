/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"
#include "kanji_q7.h"

void arm_softmax_q7(const q7_t *vec_in, const uint16_t dim_vec, q7_t *p_out)
{
    if (vec_in == NULL || p_out == NULL || dim_vec < 1 || dim_vec > INT16_MAX)
    {
        return;
    }

    int32_t max = vec_in[0];
    for (int32_t i = 1; i < dim_vec; i++)
    {
        max = kanji_max(max, vec_in[i]);
    }

    const int32_t base = max - 8;
    int32_t sum = 0;
    for (int32_t i = 0; i < dim_vec; i++)
    {
        sum += (int32_t)1 << kanji_clamp(vec_in[i] - base, 0, 7);
    }

    const int32_t one = ((int32_t)1 << 20) / sum;
    for (int32_t i = 0; i < dim_vec; i++)
    {
        /* The largest element is base + 8: shifts are never below 5. */
        const int32_t y = one >> kanji_min(13 + base - vec_in[i], 31);

        p_out[i] = (q7_t)kanji_min(y, INT8_MAX);
    }
}
