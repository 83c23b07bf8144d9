/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs ccore kernels for driver.py: reads calls until there are no more, and answers each.
 * Numbers are int32 in the machine's byte order.
 *
 *     call:    name length, name, null mask,
 *              number of ints, ints,
 *              number of arrays, and for each its size [bytes] and bytes,
 *              size of the output [bytes]
 *     answer:  what the function returned (0 for void), the output, the first array
 *
 * Bit i of the null mask replaces the i-th pointer, counted as NULLED in runner.h counts.
 * Every array is an allocation of exactly its size, so that AddressSanitizer sees each step
 * outside. The output is filled with 0x55 before the call.
 */
#include <stdint.h>
#include <string.h>

#include "runner.h"

#include "arm_nnfunctions.h"
#include "kanji_nn.h"

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

static int32_t run_requantize(const call_t *call)
{
    const int32_t *v = call->ints;

    return kanji_requantize_s8(NULLED(call->arrays[0], 0),
                               v[0],
                               v[1],
                               v[2],
                               v[3],
                               v[4],
                               v[5],
                               NULLED(call->output, 1),
                               v[6],
                               v[7]);
}

static int32_t run_mean(const call_t *call)
{
    const int32_t *v = call->ints;

    return kanji_mean_s8(NULLED(call->arrays[0], 0),
                         v[0],
                         v[1],
                         v[2],
                         v[3],
                         v[4],
                         v[5],
                         v[6],
                         NULLED(call->output, 1));
}

static int32_t run_softmax(const call_t *call)
{
    const int32_t *v = call->ints;

    return kanji_softmax_s8(
        NULLED(call->arrays[0], 0), v[0], v[1], v[2], v[3], v[4], NULLED(call->output, 1));
}

static int32_t run_copy(const call_t *call)
{
    const int32_t *v = call->ints;
    const kanji_axes extents = {v[2], v[3], v[4], v[5]};
    const kanji_axes steps = {v[6], v[7], v[8], v[9]};

    return kanji_copy_s8(NULLED(call->arrays[0], 0),
                         v[0],
                         v[1],
                         NULLED(&extents, 1),
                         NULLED(&steps, 2),
                         NULLED(call->output, 3));
}

static int32_t run_lookup(const call_t *call)
{
    const int32_t *v = call->ints;
    const void *input = v[1] != 0 ? in_place(call) : call->arrays[0];

    return kanji_lookup_s8(
        NULLED(input, 0), v[0], NULLED(call->arrays[1], 1), NULLED(call->output, 2));
}

static int32_t run_lookup_u8(const call_t *call)
{
    const int32_t *v = call->ints;
    const void *input = v[2] != 0 ? in_place(call) : call->arrays[0];

    return kanji_lookup_u8_s8(
        NULLED(input, 0), v[0], NULLED(call->arrays[1], 1), v[1], NULLED(call->output, 2));
}

static kanji_blocks blocks_at(const int32_t *v)
{
    const kanji_blocks blocks = {v[0], v[1], v[2]};
    return blocks;
}

static int32_t run_add(const call_t *call)
{
    const int32_t *v = call->ints;
    const kanji_add_params params = {v[0], v[1], v[2],  v[3],  v[4],  v[5],  v[6], v[7],
                                     v[8], v[9], v[10], v[11], v[12], v[13], v[14]};
    const kanji_blocks blocks = blocks_at(v + 15);

    return kanji_add_s8(NULLED(&params, 0),
                        NULLED(&blocks, 1),
                        NULLED(call->arrays[0], 2),
                        NULLED(call->arrays[1], 3),
                        NULLED(call->output, 4));
}

static int32_t run_mul(const call_t *call)
{
    const int32_t *v = call->ints;
    const kanji_mul_params params = {v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]};
    const kanji_blocks blocks = blocks_at(v + 8);

    return kanji_mul_s8(NULLED(&params, 0),
                        NULLED(&blocks, 1),
                        NULLED(call->arrays[0], 2),
                        NULLED(call->arrays[1], 3),
                        NULLED(call->output, 4));
}

typedef int32_t (*extremum_t)(const kanji_blocks *,
                              const int8_t *,
                              const int8_t *,
                              const int8_t *,
                              const int8_t *,
                              int8_t *);

static int32_t run_extremum(const call_t *call, extremum_t extremum)
{
    const kanji_blocks blocks = blocks_at(call->ints);
    const int has_tables = call->ints[3] != 0;

    return extremum(NULLED(&blocks, 0),
                    NULLED(call->arrays[0], 1),
                    has_tables ? call->arrays[2] : NULL,
                    NULLED(call->arrays[1], 2),
                    has_tables ? call->arrays[3] : NULL,
                    NULLED(call->output, 3));
}

static int32_t run_minimum(const call_t *call)
{
    return run_extremum(call, kanji_minimum_s8);
}

static int32_t run_maximum(const call_t *call)
{
    return run_extremum(call, kanji_maximum_s8);
}

static int32_t run_resize_nearest(const call_t *call)
{
    const int32_t *v = call->ints;

    return kanji_resize_nearest_s8(NULLED(call->arrays[0], 0),
                                   v[0],
                                   v[1],
                                   v[2],
                                   NULLED(call->arrays[1], 1),
                                   v[3],
                                   NULLED(call->arrays[2], 2),
                                   v[4],
                                   NULLED(call->output, 3));
}

static int32_t run_transpose_conv(const call_t *call)
{
    const int32_t *v = call->ints;
    const kanji_transpose_conv params = {v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8]};
    const kanji_axes input_dims = {v[9], v[10], v[11], v[12]};
    const kanji_axes filter_dims = {v[13], v[14], v[15], v[16]};
    const kanji_axes output_dims = {v[17], v[18], v[19], v[20]};

    return kanji_transpose_conv_s8(NULLED(&params, 0),
                                   NULLED(&input_dims, 1),
                                   NULLED(call->arrays[0], 2),
                                   NULLED(&filter_dims, 3),
                                   NULLED(call->arrays[1], 4),
                                   NULLED(call->arrays[2], 5),
                                   NULLED(call->arrays[3], 6),
                                   NULLED(call->arrays[4], 7),
                                   NULLED(&output_dims, 8),
                                   NULLED(call->output, 9));
}

/* What is compiled with either API. */
static const function_t common_functions[] = {
    {"arm_relu_q7", run_relu},
    {"kanji_normalize_u8_s8", run_normalize},
    {"kanji_standardize_u8_s8", run_standardize},
    {"kanji_requantize_s8", run_requantize},
    {"kanji_mean_s8", run_mean},
    {"kanji_softmax_s8", run_softmax},
    {"kanji_copy_s8", run_copy},
    {"kanji_resize_nearest_s8", run_resize_nearest},
    {"kanji_transpose_conv_s8", run_transpose_conv},
    {"kanji_lookup_s8", run_lookup},
    {"kanji_lookup_u8_s8", run_lookup_u8},
    {"kanji_add_s8", run_add},
    {"kanji_mul_s8", run_mul},
    {"kanji_minimum_s8", run_minimum},
    {"kanji_maximum_s8", run_maximum},
    {NULL, NULL},
};

static void read_bytes(void *to, int32_t size)
{
    if (size < 0 || runner_read(to, size) != size)
    {
        runner_fail("call cut short");
    }
}

static int32_t read_number(int32_t limit)
{
    int32_t number;

    read_bytes(&number, (int32_t)sizeof number);
    if (number < 0 || number > limit)
    {
        runner_fail("number out of range");
    }
    return number;
}

static void read_call(call_t *call, int32_t name_length)
{
    memset(call, 0, sizeof *call);
    if (name_length < 0 || name_length >= MAX_NAME)
    {
        runner_fail("name too long");
    }
    read_bytes(call->name, name_length);
    read_bytes(&call->null_mask, (int32_t)sizeof call->null_mask);
    read_bytes(call->ints, read_number(MAX_INTS) * (int32_t)sizeof(int32_t));

    const int32_t arrays = read_number(MAX_ARRAYS);
    for (int32_t i = 0; i < arrays; i++)
    {
        call->sizes[i] = read_number(INT32_MAX);
        call->arrays[i] = runner_allocate(call->sizes[i]);
        read_bytes(call->arrays[i], call->sizes[i]);
    }
    call->output_size = read_number(INT32_MAX);
    call->output = runner_allocate(call->output_size);
    memset(call->output, 0x55, (size_t)call->output_size);
}

static const function_t *find(const function_t *functions, const char *name)
{
    while (functions->name != NULL && strcmp(functions->name, name) != 0)
    {
        functions++;
    }
    return functions;
}

static const function_t *function_of(const call_t *call)
{
    const function_t *function = find(api_functions, call->name);

    if (function->name == NULL)
    {
        function = find(common_functions, call->name);
    }
    if (function->name == NULL)
    {
        runner_fail(call->name);
    }
    return function;
}

int main(void)
{
    int32_t name_length;

    while (runner_read(&name_length, (int32_t)sizeof name_length) ==
           (int32_t)sizeof name_length)
    {
        call_t call;
        read_call(&call, name_length);

        const function_t *function = function_of(&call);
        runner_start();
        const int32_t status = function->run(&call);
        runner_stop();
        runner_write(&status, (int32_t)sizeof status);
        runner_write(call.output, call.output_size);
        runner_write(call.arrays[0], call.sizes[0]);
        runner_free(&call);
    }
    return 0;
}
