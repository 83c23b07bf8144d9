/* SPDX-License-Identifier: Apache-2.0
 *
 * A runner on an emulated board: calls in the host's file "calls", answers in "answers", and
 * in "ticks" a uint64 for each call.
 */
#include "runner.h"

#include "board.h"
#include "semihost.h"

/* Of one call, all arrays and the output. */
#define MEMORY_BYTES 0x40000

static uint8_t memory[MEMORY_BYTES] __attribute__((aligned(16)));
static int32_t taken;
static int32_t calls = -1, answers = -1, ticks = -1;
static uint64_t mark, overhead; /* start of the interval; what reading the clock takes */

static void open_files(void)
{
    calls = semihost_open("calls", 5, SEMIHOST_READ);
    answers = semihost_open("answers", 7, SEMIHOST_WRITE);
    ticks = semihost_open("ticks", 5, SEMIHOST_WRITE);
    board_start_clock();
    mark = board_ticks();
    overhead = board_ticks() - mark;
}

int32_t runner_read(void *to, int32_t size)
{
    if (calls < 0)
    {
        open_files();
    }
    return size - semihost_read(calls, to, (uint32_t)size);
}

void runner_write(const void *from, int32_t size)
{
    if (size > 0 && semihost_write(answers, from, (uint32_t)size) != 0)
    {
        runner_fail("");
    }
}

void *runner_allocate(int32_t size)
{
    void *here = memory + taken;

    if (size > MEMORY_BYTES - taken)
    {
        runner_fail("");
    }
    taken += (size + 15) / 16 * 16;
    return here;
}

void runner_free(call_t *call)
{
    (void)call;
    taken = 0;
}

void runner_start(void)
{
    mark = board_ticks();
}

void runner_stop(void)
{
    const uint64_t interval = board_ticks() - mark - overhead;

    if (semihost_write(ticks, &interval, sizeof interval) != 0)
    {
        runner_fail("");
    }
}

/* The emulator leaves with an error; nothing else is said. */
void runner_fail(const char *message)
{
    (void)message;
    semihost_exit(SEMIHOST_FAILED);
}
