/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "kanji_nn.h"

int32_t kanji_requantize_s8(const int8_t *input,
                            int32_t rows,
                            int32_t row_size,
                            int32_t input_offset,
                            int32_t multiplier,
                            int32_t shift,
                            int32_t output_offset,
                            int8_t *output,
                            int32_t output_row_size,
                            int32_t first)
{
    if (input == NULL || output == NULL || rows < 1 || row_size < 1 ||
        output_row_size > INT32_MAX / rows || output_row_size < row_size || first < 0 ||
        first > output_row_size - row_size ||
        input_offset < -INT8_MAX || input_offset > -INT8_MIN || output_offset < INT8_MIN ||
        output_offset > INT8_MAX || multiplier < 0 || shift < -31 || shift > 30)
    {
        return -1;
    }

    for (int32_t row = 0; row < rows; row++)
    {
        const int8_t *x = input + row * row_size;
        int8_t *y = output + row * output_row_size + first;

        for (int32_t i = 0; i < row_size; i++)
        {
            const int64_t product = (int64_t)(x[i] + input_offset) * multiplier;
            int64_t value = (((product >> (30 - shift)) + 1) >> 1) + output_offset;

            value = value < INT8_MIN ? INT8_MIN : value;
            value = value > INT8_MAX ? INT8_MAX : value;
            y[i] = (int8_t)value;
        }
    }
    return 0;
}
