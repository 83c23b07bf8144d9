/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "arm_nnfunctions.h"
#include "arm_nnsupportfunctions.h"

void arm_concatenation_s8_x(const int8_t *input,
                            const uint16_t input_x,
                            const uint16_t input_y,
                            const uint16_t input_z,
                            const uint16_t input_w,
                            int8_t *output,
                            const uint16_t output_x,
                            const uint32_t offset_x)
{
    const int32_t rows = kanji_volume(1, input_y, input_z, input_w);

    if (input == NULL || output == NULL || rows == 0 ||
        kanji_volume(rows, 1, 1, output_x) == 0 || input_x < 1 || input_x > output_x ||
        offset_x > (uint32_t)(output_x - input_x))
    {
        return;
    }

    output += offset_x;
    for (int32_t row = 0; row < rows; row++)
    {
        memcpy(output + row * output_x, input + row * input_x, input_x);
    }
}
