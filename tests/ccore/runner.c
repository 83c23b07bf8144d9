/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs ccore kernels for driver.py: calls on stdin, answers on stdout, until stdin ends.
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
#include <stdio.h>
#include <stdlib.h>
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

/* What is compiled with either API. */
static const function_t common_functions[] = {
    {"arm_relu_q7", run_relu},
    {"kanji_normalize_u8_s8", run_normalize},
    {"kanji_standardize_u8_s8", run_standardize},
    {"kanji_requantize_s8", run_requantize},
    {NULL, NULL},
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

static const function_t *find(const function_t *functions, const char *name)
{
    while (functions->name != NULL && strcmp(functions->name, name) != 0)
    {
        functions++;
    }
    return functions;
}

static int32_t run(const call_t *call)
{
    const function_t *function = find(api_functions, call->name);

    if (function->name == NULL)
    {
        function = find(common_functions, call->name);
    }
    if (function->name == NULL)
    {
        fail(call->name);
    }
    return function->run(call);
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
        if (call.sizes[0] > 0)
        {
            fwrite(call.arrays[0], 1, (size_t)call.sizes[0], stdout);
        }

        for (int32_t i = 0; i < MAX_ARRAYS; i++)
        {
            free(call.arrays[i]);
        }
        free(call.output);
    }
    return fflush(stdout) == 0 ? 0 : 2;
}
