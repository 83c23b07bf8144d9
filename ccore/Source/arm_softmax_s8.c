/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"
#include "kanji_nn.h"

void arm_softmax_s8(const int8_t *input,
                    int32_t num_rows,
                    int32_t row_size,
                    int32_t mult,
                    int32_t shift,
                    int32_t diff_min,
                    int8_t *output)
{
    (void)kanji_softmax_s8(input, num_rows, row_size, mult, shift, diff_min, output);
}
