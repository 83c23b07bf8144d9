/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"
#include "arm_nnsupportfunctions.h"

int32_t arm_depthwise_conv_s4_opt_get_buffer_size(const cmsis_nn_dims *input_dims,
                                                  const cmsis_nn_dims *filter_dims)
{
    if (input_dims == NULL || filter_dims == NULL)
    {
        return ARM_CMSIS_NN_ARG_ERROR;
    }
#if defined(KANJI_CORE_MVE)
    return kanji_dw_window_size(filter_dims, KANJI_DW_MVE_BLOCK, 4);
#else
    return kanji_dw_window_size(filter_dims, input_dims->c, (int32_t)sizeof(int16_t));
#endif
}
