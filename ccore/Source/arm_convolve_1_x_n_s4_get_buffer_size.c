/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"
#include "arm_nnsupportfunctions.h"

int32_t arm_convolve_1_x_n_s4_get_buffer_size(const cmsis_nn_conv_params *conv_params,
                                              const cmsis_nn_dims *input_dims,
                                              const cmsis_nn_dims *filter_dims,
                                              const cmsis_nn_dims *output_dims)
{
#if defined(KANJI_CORE_MVE)
    const cmsis_nn_dims filter = kanji_whole_filter(filter_dims, input_dims);

    if (!kanji_conv_dims_ok(conv_params, input_dims, &filter, output_dims))
    {
        return ARM_CMSIS_NN_ARG_ERROR;
    }
    return kanji_row_ends_s4(conv_params, input_dims, &filter, output_dims);
#else
    (void)conv_params;
    (void)output_dims;

    return arm_convolve_s4_get_buffer_size(input_dims, filter_dims);
#endif
}
