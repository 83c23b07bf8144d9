/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"
#include "arm_nnsupportfunctions.h"

arm_cmsis_nn_status arm_depthwise_conv_3x3_s8(const cmsis_nn_context *ctx,
                                              const cmsis_nn_dw_conv_params *dw_conv_params,
                                              const cmsis_nn_per_channel_quant_params *quant_params,
                                              const cmsis_nn_dims *input_dims,
                                              const int8_t *input_data,
                                              const cmsis_nn_dims *filter_dims,
                                              const int8_t *filter_data,
                                              const cmsis_nn_dims *bias_dims,
                                              const int32_t *bias_data,
                                              const cmsis_nn_dims *output_dims,
                                              int8_t *output_data)
{
    cmsis_nn_dw_conv_params params;
    cmsis_nn_dims input;

    if (!kanji_dw_as_one_image(dw_conv_params, input_dims, &params, &input) ||
        filter_dims == NULL || filter_dims->h != 3 || filter_dims->w != 3 || params.padding.w > 1)
    {
        return ARM_CMSIS_NN_ARG_ERROR;
    }

    return arm_depthwise_conv_wrapper_s8(ctx,
                                         &params,
                                         quant_params,
                                         &input,
                                         input_data,
                                         filter_dims,
                                         filter_data,
                                         bias_dims,
                                         bias_data,
                                         output_dims,
                                         output_data);
}
