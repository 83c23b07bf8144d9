/* SPDX-License-Identifier: Apache-2.0
 *
 * The functions of CMSIS-NN v7's API.
 */
#include "runner.h"

#include "arm_nnfunctions.h"

static cmsis_nn_dims dims_at(const int32_t *v)
{
    const cmsis_nn_dims dims = {v[0], v[1], v[2], v[3]};
    return dims;
}

static cmsis_nn_tile tile_at(const int32_t *v)
{
    const cmsis_nn_tile tile = {v[0], v[1]};
    return tile;
}

static cmsis_nn_activation activation_at(const int32_t *v)
{
    const cmsis_nn_activation activation = {v[0], v[1]};
    return activation;
}

static cmsis_nn_conv_params conv_params_at(const int32_t *v)
{
    const cmsis_nn_conv_params params = {v[0],           v[1],           tile_at(v + 2),
                                         tile_at(v + 4), tile_at(v + 6), activation_at(v + 8)};
    return params;
}

typedef arm_cmsis_nn_status (*conv_t)(const cmsis_nn_context *,
                                      const cmsis_nn_conv_params *,
                                      const cmsis_nn_per_channel_quant_params *,
                                      const cmsis_nn_dims *,
                                      const int8_t *,
                                      const cmsis_nn_dims *,
                                      const int8_t *,
                                      const cmsis_nn_dims *,
                                      const int32_t *,
                                      const cmsis_nn_dims *,
                                      int8_t *);

static int32_t run_conv(const call_t *call, conv_t convolve)
{
    const cmsis_nn_context ctx = {NULL, 0};
    const cmsis_nn_dims input = dims_at(call->ints);
    const cmsis_nn_dims filter = dims_at(call->ints + 4);
    const cmsis_nn_dims output = dims_at(call->ints + 8);
    const cmsis_nn_conv_params params = conv_params_at(call->ints + 12);
    const cmsis_nn_dims bias = {1, 1, 1, output.c};
    const cmsis_nn_per_channel_quant_params quant = {NULLED(call->arrays[3], 3),
                                                     NULLED(call->arrays[4], 4)};

    return convolve(NULLED(&ctx, 0),
                    NULLED(&params, 1),
                    NULLED(&quant, 2),
                    NULLED(&input, 5),
                    NULLED(call->arrays[0], 6),
                    NULLED(&filter, 7),
                    NULLED(call->arrays[1], 8),
                    NULLED(&bias, 9),
                    NULLED(call->arrays[2], 10),
                    NULLED(&output, 11),
                    NULLED(call->output, 12));
}

static int32_t run_conv_s8(const call_t *call)
{
    return run_conv(call, arm_convolve_wrapper_s8);
}

static int32_t run_conv_s4(const call_t *call)
{
    return run_conv(call, arm_convolve_wrapper_s4);
}

#define RUN_CONV(function)                                                                        \
    static int32_t run_##function(const call_t *call)                                             \
    {                                                                                             \
        return run_conv(call, arm_##function);                                                    \
    }

RUN_CONV(convolve_1x1_s8)
RUN_CONV(convolve_1x1_s8_fast)
RUN_CONV(convolve_1_x_n_s8)
RUN_CONV(convolve_s4)
RUN_CONV(convolve_1x1_s4)
RUN_CONV(convolve_1x1_s4_fast)
RUN_CONV(convolve_1_x_n_s4)

/* Two more integers, h and w, tell how the input is scaled up. */
static int32_t run_convolve_s8_upscaled(const call_t *call)
{
    const cmsis_nn_dims upscale = {1, call->ints[22], call->ints[23], 1};
    const cmsis_nn_dims input = dims_at(call->ints);
    const cmsis_nn_dims filter = dims_at(call->ints + 4);
    const cmsis_nn_dims output = dims_at(call->ints + 8);
    const cmsis_nn_conv_params params = conv_params_at(call->ints + 12);
    const cmsis_nn_per_channel_quant_params quant = {call->arrays[3], call->arrays[4]};

    return arm_convolve_s8(NULL,
                           &params,
                           &quant,
                           &input,
                           call->arrays[0],
                           &filter,
                           call->arrays[1],
                           NULL,
                           call->arrays[2],
                           &upscale,
                           &output,
                           call->output);
}

static arm_cmsis_nn_status convolve_s8(const cmsis_nn_context *ctx,
                                       const cmsis_nn_conv_params *conv_params,
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
    return arm_convolve_s8(ctx,
                           conv_params,
                           quant_params,
                           input_dims,
                           input_data,
                           filter_dims,
                           filter_data,
                           bias_dims,
                           bias_data,
                           NULL,
                           output_dims,
                           output_data);
}

static int32_t run_convolve_s8(const call_t *call)
{
    return run_conv(call, convolve_s8);
}

static cmsis_nn_dw_conv_params dw_conv_params_at(const int32_t *v)
{
    const cmsis_nn_dw_conv_params params = {
        v[0], v[1], v[2], tile_at(v + 3), tile_at(v + 5), tile_at(v + 7), activation_at(v + 9)};
    return params;
}

typedef arm_cmsis_nn_status (*dw_conv_t)(const cmsis_nn_context *,
                                         const cmsis_nn_dw_conv_params *,
                                         const cmsis_nn_per_channel_quant_params *,
                                         const cmsis_nn_dims *,
                                         const int8_t *,
                                         const cmsis_nn_dims *,
                                         const int8_t *,
                                         const cmsis_nn_dims *,
                                         const int32_t *,
                                         const cmsis_nn_dims *,
                                         int8_t *);

static int32_t run_dw_conv(const call_t *call, dw_conv_t convolve)
{
    const cmsis_nn_context ctx = {NULL, 0};
    const cmsis_nn_dims input = dims_at(call->ints);
    const cmsis_nn_dims filter = dims_at(call->ints + 4);
    const cmsis_nn_dims output = dims_at(call->ints + 8);
    const cmsis_nn_dw_conv_params params = dw_conv_params_at(call->ints + 12);
    const cmsis_nn_dims bias = {1, 1, 1, output.c};
    const cmsis_nn_per_channel_quant_params quant = {NULLED(call->arrays[3], 3),
                                                     NULLED(call->arrays[4], 4)};

    return convolve(NULLED(&ctx, 0),
                    NULLED(&params, 1),
                    NULLED(&quant, 2),
                    NULLED(&input, 5),
                    NULLED(call->arrays[0], 6),
                    NULLED(&filter, 7),
                    NULLED(call->arrays[1], 8),
                    NULLED(&bias, 9),
                    NULLED(call->arrays[2], 10),
                    NULLED(&output, 11),
                    NULLED(call->output, 12));
}

static int32_t run_dw_conv_s8(const call_t *call)
{
    return run_dw_conv(call, arm_depthwise_conv_wrapper_s8);
}

static int32_t run_dw_conv_s4(const call_t *call)
{
    return run_dw_conv(call, arm_depthwise_conv_wrapper_s4);
}

#define RUN_DW_CONV(function)                                                                     \
    static int32_t run_##function(const call_t *call)                                             \
    {                                                                                             \
        return run_dw_conv(call, arm_##function);                                                 \
    }

RUN_DW_CONV(depthwise_conv_s8)
RUN_DW_CONV(depthwise_conv_s8_opt)
RUN_DW_CONV(depthwise_conv_3x3_s8)
RUN_DW_CONV(depthwise_conv_s4)
RUN_DW_CONV(depthwise_conv_s4_opt)

typedef int32_t (*conv_size_t)(const cmsis_nn_conv_params *,
                               const cmsis_nn_dims *,
                               const cmsis_nn_dims *,
                               const cmsis_nn_dims *);

static int32_t run_conv_size(const call_t *call, conv_size_t get_size)
{
    const cmsis_nn_dims input = dims_at(call->ints);
    const cmsis_nn_dims filter = dims_at(call->ints + 4);
    const cmsis_nn_dims output = dims_at(call->ints + 8);
    const cmsis_nn_conv_params params = conv_params_at(call->ints + 12);

    return get_size(
        NULLED(&params, 0), NULLED(&input, 1), NULLED(&filter, 2), NULLED(&output, 3));
}

static int32_t run_conv_size_s8_c(const call_t *call)
{
    return run_conv_size(call, arm_convolve_wrapper_s8_get_buffer_size);
}

static int32_t run_conv_size_s8_dsp(const call_t *call)
{
    return run_conv_size(call, arm_convolve_wrapper_s8_get_buffer_size_dsp);
}

static int32_t run_conv_size_s8_mve(const call_t *call)
{
    return run_conv_size(call, arm_convolve_wrapper_s8_get_buffer_size_mve);
}

static int32_t run_conv_size_s4_c(const call_t *call)
{
    return run_conv_size(call, arm_convolve_wrapper_s4_get_buffer_size);
}

static int32_t run_conv_size_s4_dsp(const call_t *call)
{
    return run_conv_size(call, arm_convolve_wrapper_s4_get_buffer_size_dsp);
}

static int32_t run_conv_size_s4_mve(const call_t *call)
{
    return run_conv_size(call, arm_convolve_wrapper_s4_get_buffer_size_mve);
}

static int32_t run_conv_1_x_n_size_s8(const call_t *call)
{
    return run_conv_size(call, arm_convolve_1_x_n_s8_get_buffer_size);
}

static int32_t run_conv_1_x_n_size_s4(const call_t *call)
{
    return run_conv_size(call, arm_convolve_1_x_n_s4_get_buffer_size);
}

/* Of the same integers, those that it is asked with. */
#define RUN_SIZE(function)                                                                        \
    static int32_t run_##function##_size(const call_t *call)                                      \
    {                                                                                             \
        const cmsis_nn_dims input = dims_at(call->ints);                                          \
        const cmsis_nn_dims filter = dims_at(call->ints + 4);                                     \
                                                                                                  \
        return arm_##function##_get_buffer_size(NULLED(&input, 1), NULLED(&filter, 2));           \
    }

RUN_SIZE(convolve_s8)
RUN_SIZE(convolve_s4)
RUN_SIZE(depthwise_conv_s8_opt)
RUN_SIZE(depthwise_conv_s4_opt)

static int32_t run_convolve_1x1_s8_fast_size(const call_t *call)
{
    const cmsis_nn_dims input = dims_at(call->ints);
    return arm_convolve_1x1_s8_fast_get_buffer_size(&input);
}

static int32_t run_convolve_1x1_s4_fast_size(const call_t *call)
{
    const cmsis_nn_dims input = dims_at(call->ints);
    return arm_convolve_1x1_s4_fast_get_buffer_size(&input);
}

typedef int32_t (*dw_conv_size_t)(const cmsis_nn_dw_conv_params *,
                                  const cmsis_nn_dims *,
                                  const cmsis_nn_dims *,
                                  const cmsis_nn_dims *);

static int32_t run_dw_conv_size(const call_t *call, dw_conv_size_t get_size)
{
    const cmsis_nn_dims input = dims_at(call->ints);
    const cmsis_nn_dims filter = dims_at(call->ints + 4);
    const cmsis_nn_dims output = dims_at(call->ints + 8);
    const cmsis_nn_dw_conv_params params = dw_conv_params_at(call->ints + 12);

    return get_size(
        NULLED(&params, 0), NULLED(&input, 1), NULLED(&filter, 2), NULLED(&output, 3));
}

static int32_t run_dw_conv_size_s8_c(const call_t *call)
{
    return run_dw_conv_size(call, arm_depthwise_conv_wrapper_s8_get_buffer_size);
}

static int32_t run_dw_conv_size_s8_dsp(const call_t *call)
{
    return run_dw_conv_size(call, arm_depthwise_conv_wrapper_s8_get_buffer_size_dsp);
}

static int32_t run_dw_conv_size_s8_mve(const call_t *call)
{
    return run_dw_conv_size(call, arm_depthwise_conv_wrapper_s8_get_buffer_size_mve);
}

static int32_t run_dw_conv_size_s4_c(const call_t *call)
{
    return run_dw_conv_size(call, arm_depthwise_conv_wrapper_s4_get_buffer_size);
}

static int32_t run_dw_conv_size_s4_dsp(const call_t *call)
{
    return run_dw_conv_size(call, arm_depthwise_conv_wrapper_s4_get_buffer_size_dsp);
}

static int32_t run_dw_conv_size_s4_mve(const call_t *call)
{
    return run_dw_conv_size(call, arm_depthwise_conv_wrapper_s4_get_buffer_size_mve);
}

typedef arm_cmsis_nn_status (*fc_t)(const cmsis_nn_context *,
                                    const cmsis_nn_fc_params *,
                                    const cmsis_nn_per_tensor_quant_params *,
                                    const cmsis_nn_dims *,
                                    const int8_t *,
                                    const cmsis_nn_dims *,
                                    const int8_t *,
                                    const cmsis_nn_dims *,
                                    const int32_t *,
                                    const cmsis_nn_dims *,
                                    int8_t *);

static cmsis_nn_fc_params fc_params_at(const int32_t *v)
{
    const cmsis_nn_fc_params params = {v[0], v[1], v[2], activation_at(v + 3)};
    return params;
}

static int32_t run_fc(const call_t *call, fc_t fully_connected)
{
    const cmsis_nn_context ctx = {NULL, 0};
    const cmsis_nn_dims input = dims_at(call->ints);
    const cmsis_nn_dims filter = dims_at(call->ints + 4);
    const cmsis_nn_dims output = dims_at(call->ints + 8);
    const cmsis_nn_fc_params params = fc_params_at(call->ints + 12);
    const cmsis_nn_per_tensor_quant_params quant = {call->ints[17], call->ints[18]};
    const cmsis_nn_dims bias = {1, 1, 1, output.c};

    return fully_connected(NULLED(&ctx, 0),
                           NULLED(&params, 1),
                           NULLED(&quant, 2),
                           NULLED(&input, 3),
                           NULLED(call->arrays[0], 4),
                           NULLED(&filter, 5),
                           NULLED(call->arrays[1], 6),
                           NULLED(&bias, 7),
                           NULLED(call->arrays[2], 8),
                           NULLED(&output, 9),
                           NULLED(call->output, 10));
}

static int32_t run_fc_s8(const call_t *call)
{
    return run_fc(call, arm_fully_connected_s8);
}

static int32_t run_fc_s4(const call_t *call)
{
    return run_fc(call, arm_fully_connected_s4);
}

static int32_t run_fc_per_channel(const call_t *call)
{
    const cmsis_nn_context ctx = {NULL, 0};
    const cmsis_nn_dims input = dims_at(call->ints);
    const cmsis_nn_dims filter = dims_at(call->ints + 4);
    const cmsis_nn_dims output = dims_at(call->ints + 8);
    const cmsis_nn_fc_params params = fc_params_at(call->ints + 12);
    const cmsis_nn_dims bias = {1, 1, 1, output.c};
    const cmsis_nn_per_channel_quant_params quant = {NULLED(call->arrays[3], 11),
                                                     NULLED(call->arrays[4], 12)};

    return arm_fully_connected_per_channel_s8(NULLED(&ctx, 0),
                                              NULLED(&params, 1),
                                              NULLED(&quant, 2),
                                              NULLED(&input, 3),
                                              NULLED(call->arrays[0], 4),
                                              NULLED(&filter, 5),
                                              NULLED(call->arrays[1], 6),
                                              NULLED(&bias, 7),
                                              NULLED(call->arrays[2], 8),
                                              NULLED(&output, 9),
                                              NULLED(call->output, 10));
}

/* The last integer tells which of the two: per tensor it takes the first scale. */
static int32_t run_fc_wrapper(const call_t *call)
{
    const cmsis_nn_context ctx = {NULL, 0};
    const cmsis_nn_dims input = dims_at(call->ints);
    const cmsis_nn_dims filter = dims_at(call->ints + 4);
    const cmsis_nn_dims output = dims_at(call->ints + 8);
    const cmsis_nn_fc_params params = fc_params_at(call->ints + 12);
    const cmsis_nn_dims bias = {1, 1, 1, output.c};
    const cmsis_nn_quant_params quant = {
        NULLED(call->arrays[3], 11), NULLED(call->arrays[4], 12), call->ints[17]};

    return arm_fully_connected_wrapper_s8(NULLED(&ctx, 0),
                                          NULLED(&params, 1),
                                          NULLED(&quant, 2),
                                          NULLED(&input, 3),
                                          NULLED(call->arrays[0], 4),
                                          NULLED(&filter, 5),
                                          NULLED(call->arrays[1], 6),
                                          NULLED(&bias, 7),
                                          NULLED(call->arrays[2], 8),
                                          NULLED(&output, 9),
                                          NULLED(call->output, 10));
}

static int32_t run_vector_sum(const call_t *call)
{
    const int32_t *v = call->ints;

    return arm_vector_sum_s8(NULLED(call->output, 0),
                             v[0],
                             v[1],
                             NULLED(call->arrays[0], 1),
                             v[2],
                             v[3],
                             NULLED(call->arrays[1], 2));
}

static int32_t run_fc_size_c(const call_t *call)
{
    const cmsis_nn_dims filter = dims_at(call->ints);
    return arm_fully_connected_s8_get_buffer_size(NULLED(&filter, 0));
}

static int32_t run_fc_size_dsp(const call_t *call)
{
    const cmsis_nn_dims filter = dims_at(call->ints);
    return arm_fully_connected_s8_get_buffer_size_dsp(NULLED(&filter, 0));
}

static int32_t run_fc_size_mve(const call_t *call)
{
    const cmsis_nn_dims filter = dims_at(call->ints);
    return arm_fully_connected_s8_get_buffer_size_mve(NULLED(&filter, 0));
}

typedef arm_cmsis_nn_status (*pool_t)(const cmsis_nn_context *,
                                      const cmsis_nn_pool_params *,
                                      const cmsis_nn_dims *,
                                      const int8_t *,
                                      const cmsis_nn_dims *,
                                      const cmsis_nn_dims *,
                                      int8_t *);

static int32_t run_pool(const call_t *call, pool_t pool)
{
    const cmsis_nn_context ctx = {NULL, 0};
    const cmsis_nn_dims input = dims_at(call->ints);
    const cmsis_nn_dims filter = dims_at(call->ints + 4);
    const cmsis_nn_dims output = dims_at(call->ints + 8);
    const cmsis_nn_pool_params params = {
        tile_at(call->ints + 12), tile_at(call->ints + 14), activation_at(call->ints + 16)};

    return pool(NULLED(&ctx, 0),
                NULLED(&params, 1),
                NULLED(&input, 2),
                NULLED(call->arrays[0], 3),
                NULLED(&filter, 4),
                NULLED(&output, 5),
                NULLED(call->output, 6));
}

static int32_t run_max_pool(const call_t *call)
{
    return run_pool(call, arm_max_pool_s8);
}

static int32_t run_avgpool(const call_t *call)
{
    return run_pool(call, arm_avgpool_s8);
}

static int32_t run_avgpool_size_c(const call_t *call)
{
    return arm_avgpool_s8_get_buffer_size(call->ints[0], call->ints[1]);
}

static int32_t run_avgpool_size_dsp(const call_t *call)
{
    return arm_avgpool_s8_get_buffer_size_dsp(call->ints[0], call->ints[1]);
}

static int32_t run_avgpool_size_mve(const call_t *call)
{
    return arm_avgpool_s8_get_buffer_size_mve(call->ints[0], call->ints[1]);
}

static int32_t run_softmax(const call_t *call)
{
    const int32_t *v = call->ints;

    arm_softmax_s8(
        NULLED(call->arrays[0], 0), v[0], v[1], v[2], v[3], v[4], NULLED(call->output, 1));
    return 0;
}

static int32_t run_add(const call_t *call)
{
    const int32_t *v = call->ints;

    return arm_elementwise_add_s8(NULLED(call->arrays[0], 0),
                                  NULLED(call->arrays[1], 1),
                                  v[0],
                                  v[1],
                                  v[2],
                                  v[3],
                                  v[4],
                                  v[5],
                                  v[6],
                                  NULLED(call->output, 2),
                                  v[7],
                                  v[8],
                                  v[9],
                                  v[10],
                                  v[11],
                                  v[12]);
}

static int32_t run_mul(const call_t *call)
{
    const int32_t *v = call->ints;

    return arm_elementwise_mul_s8(NULLED(call->arrays[0], 0),
                                  NULLED(call->arrays[1], 1),
                                  v[0],
                                  v[1],
                                  NULLED(call->output, 2),
                                  v[2],
                                  v[3],
                                  v[4],
                                  v[5],
                                  v[6],
                                  v[7]);
}

typedef arm_cmsis_nn_status (*extremum_t)(const cmsis_nn_context *,
                                          const int8_t *,
                                          const cmsis_nn_dims *,
                                          const int8_t *,
                                          const cmsis_nn_dims *,
                                          int8_t *,
                                          const cmsis_nn_dims *);

static int32_t run_extremum(const call_t *call, extremum_t extremum)
{
    const cmsis_nn_dims input_1 = dims_at(call->ints);
    const cmsis_nn_dims input_2 = dims_at(call->ints + 4);
    const cmsis_nn_dims output = dims_at(call->ints + 8);

    return extremum(NULL,
                    NULLED(call->arrays[0], 0),
                    NULLED(&input_1, 1),
                    NULLED(call->arrays[1], 2),
                    NULLED(&input_2, 3),
                    NULLED(call->output, 4),
                    NULLED(&output, 5));
}

static int32_t run_minimum(const call_t *call)
{
    return run_extremum(call, arm_minimum_s8);
}

static int32_t run_maximum(const call_t *call)
{
    return run_extremum(call, arm_maximum_s8);
}

static int32_t run_concatenation(const call_t *call)
{
    const int32_t *v = call->ints;

    arm_concatenation_s8_x(NULLED(call->arrays[0], 0),
                           (uint16_t)v[0],
                           (uint16_t)v[1],
                           (uint16_t)v[2],
                           (uint16_t)v[3],
                           NULLED(call->output, 1),
                           (uint16_t)v[4],
                           (uint32_t)v[5]);
    return 0;
}

static int32_t run_pad(const call_t *call)
{
    const cmsis_nn_dims input = dims_at(call->ints);
    const cmsis_nn_dims before = dims_at(call->ints + 4);
    const cmsis_nn_dims after = dims_at(call->ints + 8);

    return arm_pad_s8(NULLED(call->arrays[0], 0),
                      NULLED(call->output, 1),
                      (int8_t)call->ints[12],
                      NULLED(&input, 2),
                      NULLED(&before, 3),
                      NULLED(&after, 4));
}

const function_t api_functions[] = {
    {"arm_convolve_wrapper_s8", run_conv_s8},
    {"arm_convolve_wrapper_s8_get_buffer_size", run_conv_size_s8_c},
    {"arm_convolve_wrapper_s8_get_buffer_size_dsp", run_conv_size_s8_dsp},
    {"arm_convolve_wrapper_s8_get_buffer_size_mve", run_conv_size_s8_mve},
    {"arm_convolve_wrapper_s4", run_conv_s4},
    {"arm_convolve_wrapper_s4_get_buffer_size", run_conv_size_s4_c},
    {"arm_convolve_wrapper_s4_get_buffer_size_dsp", run_conv_size_s4_dsp},
    {"arm_convolve_wrapper_s4_get_buffer_size_mve", run_conv_size_s4_mve},
    {"arm_depthwise_conv_wrapper_s8", run_dw_conv_s8},
    {"arm_depthwise_conv_wrapper_s8_get_buffer_size", run_dw_conv_size_s8_c},
    {"arm_depthwise_conv_wrapper_s8_get_buffer_size_dsp", run_dw_conv_size_s8_dsp},
    {"arm_depthwise_conv_wrapper_s8_get_buffer_size_mve", run_dw_conv_size_s8_mve},
    {"arm_depthwise_conv_wrapper_s4", run_dw_conv_s4},
    {"arm_depthwise_conv_wrapper_s4_get_buffer_size", run_dw_conv_size_s4_c},
    {"arm_depthwise_conv_wrapper_s4_get_buffer_size_dsp", run_dw_conv_size_s4_dsp},
    {"arm_depthwise_conv_wrapper_s4_get_buffer_size_mve", run_dw_conv_size_s4_mve},
    {"arm_convolve_s8", run_convolve_s8},
    {"arm_convolve_1x1_s8", run_convolve_1x1_s8},
    {"arm_convolve_1x1_s8_fast", run_convolve_1x1_s8_fast},
    {"arm_convolve_1_x_n_s8", run_convolve_1_x_n_s8},
    {"arm_convolve_s4", run_convolve_s4},
    {"arm_convolve_1x1_s4", run_convolve_1x1_s4},
    {"arm_convolve_1x1_s4_fast", run_convolve_1x1_s4_fast},
    {"arm_convolve_1_x_n_s4", run_convolve_1_x_n_s4},
    {"arm_depthwise_conv_s8", run_depthwise_conv_s8},
    {"arm_depthwise_conv_s8_opt", run_depthwise_conv_s8_opt},
    {"arm_depthwise_conv_3x3_s8", run_depthwise_conv_3x3_s8},
    {"arm_depthwise_conv_s4", run_depthwise_conv_s4},
    {"arm_depthwise_conv_s4_opt", run_depthwise_conv_s4_opt},
    {"arm_convolve_s8_get_buffer_size", run_convolve_s8_size},
    {"arm_convolve_1x1_s8_fast_get_buffer_size", run_convolve_1x1_s8_fast_size},
    {"arm_convolve_s4_get_buffer_size", run_convolve_s4_size},
    {"arm_convolve_1x1_s4_fast_get_buffer_size", run_convolve_1x1_s4_fast_size},
    {"arm_depthwise_conv_s8_opt_get_buffer_size", run_depthwise_conv_s8_opt_size},
    {"arm_depthwise_conv_s4_opt_get_buffer_size", run_depthwise_conv_s4_opt_size},
    {"arm_convolve_1_x_n_s8_get_buffer_size", run_conv_1_x_n_size_s8},
    {"arm_convolve_1_x_n_s4_get_buffer_size", run_conv_1_x_n_size_s4},
    {"convolve_s8_upscaled", run_convolve_s8_upscaled},
    {"arm_fully_connected_s8", run_fc_s8},
    {"arm_fully_connected_wrapper_s8", run_fc_wrapper},
    {"arm_vector_sum_s8", run_vector_sum},
    {"arm_fully_connected_s4", run_fc_s4},
    {"arm_fully_connected_per_channel_s8", run_fc_per_channel},
    {"arm_fully_connected_s8_get_buffer_size", run_fc_size_c},
    {"arm_fully_connected_s8_get_buffer_size_dsp", run_fc_size_dsp},
    {"arm_fully_connected_s8_get_buffer_size_mve", run_fc_size_mve},
    {"arm_max_pool_s8", run_max_pool},
    {"arm_avgpool_s8", run_avgpool},
    {"arm_avgpool_s8_get_buffer_size", run_avgpool_size_c},
    {"arm_avgpool_s8_get_buffer_size_dsp", run_avgpool_size_dsp},
    {"arm_avgpool_s8_get_buffer_size_mve", run_avgpool_size_mve},
    {"arm_softmax_s8", run_softmax},
    {"arm_elementwise_add_s8", run_add},
    {"arm_elementwise_mul_s8", run_mul},
    {"arm_minimum_s8", run_minimum},
    {"arm_maximum_s8", run_maximum},
    {"arm_concatenation_s8_x", run_concatenation},
    {"arm_pad_s8", run_pad},
    {NULL, NULL},
};
