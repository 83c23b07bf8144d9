/* SPDX-License-Identifier: Apache-2.0
 *
 * What a runner's three parts share: runner.c; the functions of one API, runner_s8.c or
 * runner_q7.c; where it runs, runner_host.c or runner_board.c.
 */
#ifndef RUNNER_H
#define RUNNER_H

#include <stddef.h>
#include <stdint.h>

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

/* Where the runner runs. Calls come and answers go by the first two; how many bytes came is
 * less than asked for at the end. */
int32_t runner_read(void *to, int32_t size);
void runner_write(const void *from, int32_t size);
/* Memory of exactly that size; what a call was given is freed together. */
void *runner_allocate(int32_t size);
void runner_free(call_t *call);
/* Before and after a kernel runs. */
void runner_start(void);
void runner_stop(void);
/* Ends the program. */
void runner_fail(const char *message);

#endif
