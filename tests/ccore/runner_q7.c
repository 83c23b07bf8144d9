/* SPDX-License-Identifier: Apache-2.0
 *
 * The functions of the legacy API. Scratch is NULL everywhere.
 */
#include "runner.h"

#include "arm_nnfunctions.h"

typedef arm_status (*square_t)(const q7_t *,
                               const uint16_t,
                               const uint16_t,
                               const q7_t *,
                               const uint16_t,
                               const uint16_t,
                               const uint16_t,
                               const uint16_t,
                               const q7_t *,
                               const uint16_t,
                               const uint16_t,
                               q7_t *,
                               const uint16_t,
                               q15_t *,
                               q7_t *);

typedef arm_status (*nonsquare_t)(const q7_t *,
                                  const uint16_t,
                                  const uint16_t,
                                  const uint16_t,
                                  const q7_t *,
                                  const uint16_t,
                                  const uint16_t,
                                  const uint16_t,
                                  const uint16_t,
                                  const uint16_t,
                                  const uint16_t,
                                  const uint16_t,
                                  const q7_t *,
                                  const uint16_t,
                                  const uint16_t,
                                  q7_t *,
                                  const uint16_t,
                                  const uint16_t,
                                  q15_t *,
                                  q7_t *);

typedef arm_status (*dense_t)(const q7_t *,
                              const q7_t *,
                              const uint16_t,
                              const uint16_t,
                              const uint16_t,
                              const uint16_t,
                              const q7_t *,
                              q7_t *,
                              q15_t *);

typedef void (*pool_t)(q7_t *,
                       const uint16_t,
                       const uint16_t,
                       const uint16_t,
                       const uint16_t,
                       const uint16_t,
                       const uint16_t,
                       q7_t *,
                       q7_t *);

/* The i-th integer of the call as the library takes them. */
#define INT(i) ((uint16_t)call->ints[i])

static int32_t run_square(const call_t *call, square_t convolve)
{
    return convolve(NULLED(call->arrays[0], 0),
                    INT(0),
                    INT(1),
                    NULLED(call->arrays[1], 1),
                    INT(2),
                    INT(3),
                    INT(4),
                    INT(5),
                    NULLED(call->arrays[2], 2),
                    INT(6),
                    INT(7),
                    NULLED(call->output, 3),
                    INT(8),
                    NULL,
                    NULL);
}

static int32_t run_nonsquare(const call_t *call, nonsquare_t convolve)
{
    return convolve(NULLED(call->arrays[0], 0),
                    INT(0),
                    INT(1),
                    INT(2),
                    NULLED(call->arrays[1], 1),
                    INT(3),
                    INT(4),
                    INT(5),
                    INT(6),
                    INT(7),
                    INT(8),
                    INT(9),
                    NULLED(call->arrays[2], 2),
                    INT(10),
                    INT(11),
                    NULLED(call->output, 3),
                    INT(12),
                    INT(13),
                    NULL,
                    NULL);
}

static int32_t run_dense(const call_t *call, dense_t dense)
{
    return dense(NULLED(call->arrays[0], 0),
                 NULLED(call->arrays[1], 1),
                 INT(0),
                 INT(1),
                 INT(2),
                 INT(3),
                 NULLED(call->arrays[2], 2),
                 NULLED(call->output, 3),
                 NULL);
}

static int32_t run_pool(const call_t *call, pool_t pool)
{
    pool(NULLED(call->arrays[0], 0),
         INT(0),
         INT(1),
         INT(2),
         INT(3),
         INT(4),
         INT(5),
         NULL,
         NULLED(call->output, 1));
    return 0;
}

static int32_t run_basic(const call_t *call)
{
    return run_square(call, arm_convolve_HWC_q7_basic);
}

static int32_t run_fast(const call_t *call)
{
    return run_square(call, arm_convolve_HWC_q7_fast);
}

static int32_t run_rgb(const call_t *call)
{
    return run_square(call, arm_convolve_HWC_q7_RGB);
}

static int32_t run_depthwise(const call_t *call)
{
    return run_square(call, arm_depthwise_separable_conv_HWC_q7);
}

static int32_t run_basic_nonsquare(const call_t *call)
{
    return run_nonsquare(call, arm_convolve_HWC_q7_basic_nonsquare);
}

static int32_t run_fast_nonsquare(const call_t *call)
{
    return run_nonsquare(call, arm_convolve_HWC_q7_fast_nonsquare);
}

static int32_t run_1x1(const call_t *call)
{
    return run_nonsquare(call, arm_convolve_1x1_HWC_q7_fast_nonsquare);
}

static int32_t run_depthwise_nonsquare(const call_t *call)
{
    return run_nonsquare(call, arm_depthwise_separable_conv_HWC_q7_nonsquare);
}

static int32_t run_fully_connected(const call_t *call)
{
    return run_dense(call, arm_fully_connected_q7);
}

static int32_t run_fully_connected_opt(const call_t *call)
{
    return run_dense(call, arm_fully_connected_q7_opt);
}

static int32_t run_maxpool(const call_t *call)
{
    return run_pool(call, arm_maxpool_q7_HWC);
}

static int32_t run_avepool(const call_t *call)
{
    return run_pool(call, arm_avepool_q7_HWC);
}

static int32_t run_softmax(const call_t *call)
{
    arm_softmax_q7(NULLED(call->arrays[0], 0), INT(0), NULLED(call->output, 1));
    return 0;
}

static int32_t run_softmax_with_batch(const call_t *call)
{
    arm_softmax_with_batch_q7(
        NULLED(call->arrays[0], 0), INT(0), INT(1), NULLED(call->output, 1));
    return 0;
}

const function_t api_functions[] = {
    {"arm_convolve_HWC_q7_basic", run_basic},
    {"arm_convolve_HWC_q7_fast", run_fast},
    {"arm_convolve_HWC_q7_RGB", run_rgb},
    {"arm_depthwise_separable_conv_HWC_q7", run_depthwise},
    {"arm_convolve_HWC_q7_basic_nonsquare", run_basic_nonsquare},
    {"arm_convolve_HWC_q7_fast_nonsquare", run_fast_nonsquare},
    {"arm_convolve_1x1_HWC_q7_fast_nonsquare", run_1x1},
    {"arm_depthwise_separable_conv_HWC_q7_nonsquare", run_depthwise_nonsquare},
    {"arm_fully_connected_q7", run_fully_connected},
    {"arm_fully_connected_q7_opt", run_fully_connected_opt},
    {"arm_maxpool_q7_HWC", run_maxpool},
    {"arm_avepool_q7_HWC", run_avepool},
    {"arm_softmax_q7", run_softmax},
    {"arm_softmax_with_batch_q7", run_softmax_with_batch},
    {NULL, NULL},
};
