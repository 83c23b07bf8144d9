/* SPDX-License-Identifier: Apache-2.0
 *
 * A runner on this computer: calls on stdin, answers on stdout.
 */
#include <stdio.h>
#include <stdlib.h>

#include "runner.h"

int32_t runner_read(void *to, int32_t size)
{
    return (int32_t)fread(to, 1, (size_t)size, stdin);
}

void runner_write(const void *from, int32_t size)
{
    if (size > 0 && fwrite(from, 1, (size_t)size, stdout) != (size_t)size)
    {
        runner_fail("answer cut short");
    }
}

void *runner_allocate(int32_t size)
{
    void *memory = malloc((size_t)size);

    if (memory == NULL && size > 0)
    {
        runner_fail("out of memory");
    }
    return memory;
}

void runner_free(call_t *call)
{
    for (int32_t i = 0; i < MAX_ARRAYS; i++)
    {
        free(call->arrays[i]);
    }
    free(call->output);
    if (fflush(stdout) != 0)
    {
        runner_fail("answer cut short");
    }
}

void runner_start(void)
{
}

void runner_stop(void)
{
}

void runner_fail(const char *message)
{
    fprintf(stderr, "runner: %s\n", message);
    exit(2);
}
