/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"
#include "arm_nnsupportfunctions.h"

int32_t arm_convolve_1x1_s8_fast_get_buffer_size(const cmsis_nn_dims *input_dims)
{
#if defined(KANJI_CORE_DSP)
    const cmsis_nn_dims filter = {1, 1, 1, 1};

    if (input_dims == NULL || !kanji_conv_window_ok(input_dims, &filter))
    {
        return ARM_CMSIS_NN_ARG_ERROR;
    }
    return kanji_two_columns_s16(input_dims, &filter, 1);
#else
    (void)input_dims;
    return 0;
#endif
}
