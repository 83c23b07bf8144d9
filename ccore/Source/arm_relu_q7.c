/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"
#include "arm_nnsupportfunctions.h"

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
