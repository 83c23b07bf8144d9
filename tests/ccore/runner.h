/* SPDX-License-Identifier: Apache-2.0
 *
 * What runner.c and the functions of one API, runner_s8.c or runner_q7.c, share.
 */
#ifndef RUNNER_H
#define RUNNER_H

#include <stdint.h>
#include <stdlib.h>

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

typedef struct
{
    const char *name;
    int32_t (*run)(const call_t *);
} function_t;

/* The functions of the API that the runner is compiled with; ends with a NULL name. */
extern const function_t api_functions[];

#endif
