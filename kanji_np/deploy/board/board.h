/* SPDX-License-Identifier: Apache-2.0
 *
 * What start-up and runner share.
 */
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

/* What goes to the host file "failure" before the emulator is ended. */
enum
{
    FAILURE_CHECK = 1, /* value: the layer that wants more scratch memory */
    FAILURE_RUN = 2,   /* value: what the network's run returned */
    FAILURE_FAULT = 3, /* value: the number of the exception; the rest is set too */
    FAILURE_STACK = 4, /* as FAILURE_FAULT, but the stack has left its memory: no pc */
    FAILURE_FILE = 5,  /* value: 0 */
    FAILURE_GUARD = 6  /* value: the layer that changed a guard byte, or 0 for the network;
                        * cause: a GUARD_..., address: bytes between the guards */
};

/* Where the guard byte lies. */
enum
{
    GUARD_BEFORE = 1,
    GUARD_SCRATCH = 2 /* else the arena */
};

typedef struct
{
    int32_t kind;
    int32_t image;
    int32_t value;
    uint32_t pc;      /* of the instruction that faulted */
    uint32_t cause;   /* Configurable Fault Status Register */
    uint32_t address; /* that could not be reached, if `cause` says it is valid */
} failure_t;

/* The image that is being run, from 0. */
extern int32_t board_image;

/* Reports and ends. */
void board_fail(const failure_t *failure);

/* Starts the clock that board_ticks reads, at the core's frequency. */
void board_start_clock(void);
uint64_t board_ticks(void);

/* Limits of the stack, from the linker script. */
extern uint32_t board_stack[], board_stack_end[];

/* Guard bytes, the arena, guard bytes; and the memory that is left. */
extern uint8_t board_guarded[], board_free[], board_free_end[];

int main(void);

#endif
