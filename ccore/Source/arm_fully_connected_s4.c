/* SPDX-License-Identifier: Apache-2.0 */
#include "arm_nnfunctions.h"
#include "kanji_linear.h"

arm_cmsis_nn_status arm_fully_connected_s4(const cmsis_nn_context *ctx,
                                           const cmsis_nn_fc_params *fc_params,
                                           const cmsis_nn_per_tensor_quant_params *quant_params,
                                           const cmsis_nn_dims *input_dims,
                                           const int8_t *input_data,
                                           const cmsis_nn_dims *filter_dims,
                                           const int8_t *filter_data,
                                           const cmsis_nn_dims *bias_dims,
                                           const int32_t *bias_data,
                                           const cmsis_nn_dims *output_dims,
                                           int8_t *output_data)
{
    (void)ctx;
    (void)bias_dims;

    if (!kanji_fc_ok(fc_params,
                     0,
                     input_dims,
                     input_data,
                     filter_dims,
                     filter_data,
                     output_dims,
                     output_data) ||
        quant_params == NULL || !kanji_scale_ok(quant_params->multiplier, quant_params->shift))
    {
        return ARM_CMSIS_NN_ARG_ERROR;
    }
    kanji_fully_connected(fc_params,
                          0,
                          &quant_params->multiplier,
                          &quant_params->shift,
                          0,
                          input_dims->n,
                          input_data,
                          filter_dims->n,
                          output_dims->c,
                          filter_data,
                          bias_data,
                          output_data,
                          kanji_products_s4);
    return ARM_CMSIS_NN_SUCCESS;
}
