/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs ccore kernels for driver.py: calls on stdin, answers on stdout, until stdin ends.
 * Numbers are int32 in the machine's byte order.
 *
 *     call:    name length, name, null mask,
 *              number of ints, ints,
 *              number of arrays, and for each its size [bytes] and bytes,
 *              size of the output [bytes]
 *     answer:  what the function returned (0 for void), the output
 *
 * Bit i of the null mask replaces the i-th pointer, counted as NULLED below counts them.
 * Every array is an allocation of exactly its size, so that AddressSanitizer sees each step
 * outside. The output is filled with 0x55 before the call.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arm_nnfunctions.h"
#include "kanji_nn.h"

#define MAX_NAME 64
#define MAX_INTS 32
#define MAX_ARRAYS 8

typedef struct
{
    char name[MAX_NAME];
    uint32_t null_mask;
    int32_t ints[MAX_INTS];
    void *arrays[MAX_ARRAYS];
    int32_t sizes[MAX_ARRAYS];
    void *output;
    int32_t output_size;
} call_t;

#define NULLED(pointer, i) ((call->null_mask >> (i) & 1u) != 0 ? NULL : (pointer))

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

static int32_t run_convolve(const call_t *call)
{
    const cmsis_nn_context ctx = {NULL, 0};
    const cmsis_nn_dims input = dims_at(call->ints);
    const cmsis_nn_dims filter = dims_at(call->ints + 4);
    const cmsis_nn_dims output = dims_at(call->ints + 8);
    const cmsis_nn_conv_params params = conv_params_at(call->ints + 12);
    const cmsis_nn_dims bias = {1, 1, 1, output.c};
    const cmsis_nn_per_channel_quant_params quant = {NULLED(call->arrays[3], 3),
                                                     NULLED(call->arrays[4], 4)};

    return arm_convolve_wrapper_s8(NULLED(&ctx, 0),
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

static int32_t run_conv_size_c(const call_t *call)
{
    return run_conv_size(call, arm_convolve_wrapper_s8_get_buffer_size);
}

static int32_t run_conv_size_dsp(const call_t *call)
{
    return run_conv_size(call, arm_convolve_wrapper_s8_get_buffer_size_dsp);
}

static int32_t run_conv_size_mve(const call_t *call)
{
    return run_conv_size(call, arm_convolve_wrapper_s8_get_buffer_size_mve);
}

static int32_t run_fully_connected(const call_t *call)
{
    const cmsis_nn_context ctx = {NULL, 0};
    const cmsis_nn_dims input = dims_at(call->ints);
    const cmsis_nn_dims filter = dims_at(call->ints + 4);
    const cmsis_nn_dims output = dims_at(call->ints + 8);
    const cmsis_nn_fc_params params = {
        call->ints[12], call->ints[13], call->ints[14], activation_at(call->ints + 15)};
    const cmsis_nn_per_tensor_quant_params quant = {call->ints[17], call->ints[18]};
    const cmsis_nn_dims bias = {1, 1, 1, output.c};

    return arm_fully_connected_s8(NULLED(&ctx, 0),
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

/* The operand of an in-place call: the output, holding the input. */
static void *in_place(const call_t *call)
{
    memcpy(call->output, call->arrays[0], (size_t)call->sizes[0]);
    return call->output;
}

static int32_t run_relu(const call_t *call)
{
    arm_relu_q7(NULLED(in_place(call), 0), (uint16_t)call->ints[0]);
    return 0;
}

static int32_t run_normalize(const call_t *call)
{
    const int32_t *v = call->ints;
    const void *input = v[3] != 0 ? in_place(call) : call->arrays[0];

    return kanji_normalize_u8_s8(NULLED(input, 0),
                                 v[0],
                                 NULLED(call->arrays[1], 1),
                                 v[1],
                                 v[2],
                                 NULLED(call->output, 2));
}

static int32_t run_standardize(const call_t *call)
{
    const int32_t *v = call->ints;
    const void *input = v[2] != 0 ? in_place(call) : call->arrays[0];

    return kanji_standardize_u8_s8(NULLED(input, 0), v[0], v[1], NULLED(call->output, 1));
}

static const struct
{
    const char *name;
    int32_t (*run)(const call_t *);
} functions[] = {
    {"arm_convolve_wrapper_s8", run_convolve},
    {"arm_convolve_wrapper_s8_get_buffer_size", run_conv_size_c},
    {"arm_convolve_wrapper_s8_get_buffer_size_dsp", run_conv_size_dsp},
    {"arm_convolve_wrapper_s8_get_buffer_size_mve", run_conv_size_mve},
    {"arm_fully_connected_s8", run_fully_connected},
    {"arm_fully_connected_s8_get_buffer_size", run_fc_size_c},
    {"arm_fully_connected_s8_get_buffer_size_dsp", run_fc_size_dsp},
    {"arm_fully_connected_s8_get_buffer_size_mve", run_fc_size_mve},
    {"arm_max_pool_s8", run_max_pool},
    {"arm_avgpool_s8", run_avgpool},
    {"arm_avgpool_s8_get_buffer_size", run_avgpool_size_c},
    {"arm_avgpool_s8_get_buffer_size_dsp", run_avgpool_size_dsp},
    {"arm_avgpool_s8_get_buffer_size_mve", run_avgpool_size_mve},
    {"arm_softmax_s8", run_softmax},
    {"arm_relu_q7", run_relu},
    {"kanji_normalize_u8_s8", run_normalize},
    {"kanji_standardize_u8_s8", run_standardize},
};

static void fail(const char *message)
{
    fprintf(stderr, "runner: %s\n", message);
    exit(2);
}

static void read_bytes(void *to, int32_t size)
{
    if (size < 0 || fread(to, 1, (size_t)size, stdin) != (size_t)size)
    {
        fail("call cut short");
    }
}

static int32_t read_number(int32_t limit)
{
    int32_t number;

    read_bytes(&number, (int32_t)sizeof number);
    if (number < 0 || number > limit)
    {
        fail("number out of range");
    }
    return number;
}

static void *allocate(int32_t size)
{
    void *memory = malloc((size_t)size);

    if (memory == NULL && size > 0)
    {
        fail("out of memory");
    }
    return memory;
}

static void read_call(call_t *call, int32_t name_length)
{
    memset(call, 0, sizeof *call);
    if (name_length < 0 || name_length >= MAX_NAME)
    {
        fail("name too long");
    }
    read_bytes(call->name, name_length);
    read_bytes(&call->null_mask, (int32_t)sizeof call->null_mask);
    read_bytes(call->ints, read_number(MAX_INTS) * (int32_t)sizeof(int32_t));

    const int32_t arrays = read_number(MAX_ARRAYS);
    for (int32_t i = 0; i < arrays; i++)
    {
        call->sizes[i] = read_number(INT32_MAX);
        call->arrays[i] = allocate(call->sizes[i]);
        read_bytes(call->arrays[i], call->sizes[i]);
    }
    call->output_size = read_number(INT32_MAX);
    call->output = allocate(call->output_size);
    memset(call->output, 0x55, (size_t)call->output_size);
}

static int32_t run(const call_t *call)
{
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
    {
        if (strcmp(functions[i].name, call->name) == 0)
        {
            return functions[i].run(call);
        }
    }
    fail(call->name);
    return 0;
}

int main(void)
{
    int32_t name_length;

    while (fread(&name_length, sizeof name_length, 1, stdin) == 1)
    {
        call_t call;
        read_call(&call, name_length);

        const int32_t status = run(&call);
        fwrite(&status, sizeof status, 1, stdout);
        fwrite(call.output, 1, (size_t)call.output_size, stdout);

        for (int32_t i = 0; i < MAX_ARRAYS; i++)
        {
            free(call.arrays[i]);
        }
        free(call.output);
    }
    return fflush(stdout) == 0 ? 0 : 2;
}
