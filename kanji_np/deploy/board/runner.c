/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a network over the images of a host file, on an emulated board. "board_network.h" is made
 * for the network; it says what KANJI_NET_... are. Files of the host:
 *
 *     input    int32: whether to count instructions; then images, one after the other
 *     output   what the network computes; if observed, before each output what every
 *              layer computed: the layer's number and how many bytes follow, both int32,
 *              then the bytes
 *     report   a report_t for each layer that is observed and each image
 *     failure  a failure_t, if it comes to that
 */
#include "board.h"
#include "board_network.h"
#include "semihost.h"

#define PAINT 0xA5C35A3Cu
#define GUARD_BYTES 64
#define GUARD_BYTE 0xA5u

typedef struct
{
    int32_t layer;        /* 0: the whole network */
    uint32_t stack_bytes; /* of a whole network that is not counted, else 0 */
    uint64_t ticks;       /* if counted, else 0 */
} report_t;

#if KANJI_NET_ARENA_BYTES > 0
static uint8_t arena[KANJI_NET_ARENA_BYTES]
    __attribute__((aligned(16), section(".arena")));
#else
static uint8_t *const arena = 0;
#endif
static kanji_net_input_t input[KANJI_NET_INPUT_BYTES];
static int8_t output[KANJI_NET_OUTPUT_BYTES];

static int32_t counting, output_file, report_file;
static uint64_t mark, overhead; /* start of the interval; what reading the clock takes */

static void fail(int32_t kind, int32_t value)
{
    const failure_t failure = {kind, board_image, value, 0, 0, 0};

    board_fail(&failure);
}

static int32_t open(const char *path, uint32_t path_length, uint32_t mode)
{
    const int32_t file = semihost_open(path, path_length, mode);

    if (file < 0)
    {
        fail(FAILURE_FILE, 0);
    }
    return file;
}

static void write(int32_t file, const void *data, uint32_t bytes)
{
    if (semihost_write(file, data, bytes) != 0)
    {
        fail(FAILURE_FILE, 0);
    }
}

static uint64_t interval(void)
{
    return counting ? board_ticks() - mark - overhead : 0;
}

static void start_interval(void)
{
    if (counting)
    {
        mark = board_ticks();
    }
}

static void report(int32_t layer, uint32_t stack_bytes, uint64_t ticks)
{
    const report_t line = {layer, stack_bytes, ticks};

    write(report_file, &line, sizeof line);
}

static volatile uint8_t *scratch; /* with its guard bytes */
static uint32_t scratch_bytes;

/* `guarded` is guard bytes, so many bytes of memory, guard bytes. Volatile as in startup.c. */
static void set_guard(volatile uint8_t *guarded, uint32_t bytes)
{
    uint32_t i;

    for (i = 0; i < GUARD_BYTES; i++)
    {
        guarded[i] = GUARD_BYTE;
        guarded[GUARD_BYTES + bytes + i] = GUARD_BYTE;
    }
}

static void check_guard(
    const volatile uint8_t *guarded, uint32_t bytes, int32_t layer, uint32_t place)
{
    failure_t failure = {FAILURE_GUARD, board_image, layer, 0, place, bytes};
    uint32_t i;

    for (i = 0; i < GUARD_BYTES; i++)
    {
        if (guarded[i] != GUARD_BYTE)
        {
            failure.cause |= GUARD_BEFORE;
            board_fail(&failure);
        }
        if (guarded[GUARD_BYTES + bytes + i] != GUARD_BYTE)
        {
            board_fail(&failure);
        }
    }
}

static void check_guards(int32_t layer)
{
    check_guard(board_guarded, KANJI_NET_ARENA_BYTES, layer, 0);
    if (scratch != 0)
    {
        check_guard(scratch, scratch_bytes, layer, GUARD_SCRATCH);
    }
}

#ifdef KANJI_NET_GUARD
/* What the two take is not the network's. */
static uint64_t pause(void)
{
    return counting ? board_ticks() - mark : 0;
}

static void go_on(uint64_t elapsed)
{
    if (counting)
    {
        mark = board_ticks() - elapsed + overhead;
    }
}

void *KANJI_NET_SCRATCH(int32_t layer, int32_t bytes)
{
    const uint64_t elapsed = pause();
    const uint32_t room = (uint32_t)(board_free_end - board_free);

    scratch_bytes = bytes > 0 ? (uint32_t)bytes : 0;
    if (room < 2 * GUARD_BYTES || scratch_bytes > room - 2 * GUARD_BYTES)
    {
        fail(FAILURE_CHECK, layer);
    }
    scratch = board_free;
    set_guard(scratch, scratch_bytes);
    go_on(elapsed);
    return board_free + GUARD_BYTES;
}

void KANJI_NET_GUARD(int32_t layer)
{
    const uint64_t elapsed = pause();

    check_guards(layer);
    go_on(elapsed);
}
#endif

#ifdef KANJI_NET_OBSERVE
void KANJI_NET_OBSERVE(int32_t layer, const int8_t *data, int32_t bytes)
{
    const uint64_t ticks = interval();
    const int32_t head[2] = {layer, bytes};

    report(layer, 0, ticks);
    write(output_file, head, sizeof head);
    write(output_file, data, (uint32_t)bytes);
    start_interval();
}
#endif

/* Runs the network once; what it leaves of the paint below this function's own stack tells
 * how deep it went. */
__attribute__((noinline)) static void run(void)
{
    volatile uint32_t *top, *word;
    uint64_t ticks;
    int32_t status;

    __asm volatile("mov %0, sp" : "=r"(top));
    for (word = board_stack; word < top; word++)
    {
        *word = PAINT;
    }
    start_interval();
    status = KANJI_NET_RUN(input, output, arena);
    ticks = interval();
    if (status != 0)
    {
        fail(FAILURE_RUN, status);
    }
    for (word = board_stack; word < top && *word == PAINT; word++)
    {
    }
    report(0, counting ? 0 : (uint32_t)((uintptr_t)top - (uintptr_t)word), ticks);
    check_guards(0);
}

int main(void)
{
    const int32_t layer = KANJI_NET_CHECK();
    const int32_t input_file = open("input", 5, SEMIHOST_READ);

    output_file = open("output", 6, SEMIHOST_WRITE);
    report_file = open("report", 6, SEMIHOST_WRITE);
    if (layer != 0)
    {
        fail(FAILURE_CHECK, layer);
    }
    set_guard(board_guarded, KANJI_NET_ARENA_BYTES);
    if (semihost_read(input_file, &counting, sizeof counting) != 0)
    {
        fail(FAILURE_FILE, 0);
    }
    if (counting)
    {
        board_start_clock();
        start_interval();
        overhead = interval();
    }
    while (semihost_read(input_file, input, sizeof input) == 0)
    {
        run();
        write(output_file, output, sizeof output);
        board_image++;
    }
    return 0;
}
