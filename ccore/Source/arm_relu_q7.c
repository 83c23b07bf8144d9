/* SPDX-License-Identifier: Apache-2.0
 *
 * One meaning in both APIs: compiles with the headers of either.
 */
#include <stddef.h>

#include "arm_nnfunctions.h"

void arm_relu_q7(int8_t *data, uint16_t size)
{
    if (data == NULL)
    {
        return;
    }
    for (uint16_t i = 0; i < size; i++)
    {
        data[i] = data[i] < 0 ? 0 : data[i];
    }
}
