/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"
#include "arm_nnsupportfunctions.h"

int32_t arm_fully_connected_s8_get_buffer_size(const cmsis_nn_dims *filter_dims)
{
    (void)filter_dims;
    return 0;
}

int32_t arm_fully_connected_s8_get_buffer_size_dsp(const cmsis_nn_dims *filter_dims)
{
    (void)filter_dims;
    return 0;
}

int32_t arm_fully_connected_s8_get_buffer_size_mve(const cmsis_nn_dims *filter_dims)
{
    const int32_t sum_size = (int32_t)sizeof(int32_t);

    if (filter_dims == NULL || kanji_volume(filter_dims->c, sum_size, 1, 1) == 0)
    {
        return ARM_CMSIS_NN_ARG_ERROR;
    }
    return filter_dims->c * sum_size;
}
