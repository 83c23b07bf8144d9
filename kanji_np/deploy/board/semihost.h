/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of the host, by Arm semihosting: a breakpoint that the emulator answers. Paths are
 * relative to the directory the emulator was started in.
 */
#ifndef SEMIHOST_H
#define SEMIHOST_H

#include <stdint.h>

enum
{
    SYS_OPEN = 0x01,
    SYS_CLOSE = 0x02,
    SYS_WRITE = 0x05,
    SYS_READ = 0x06,
    SYS_EXIT = 0x18
};

/* The modes of fopen, "rb" and "wb". */
enum
{
    SEMIHOST_READ = 1,
    SEMIHOST_WRITE = 5
};

/* Reasons for SYS_EXIT; the emulator leaves with 0 for the first, 1 for the second. */
enum
{
    SEMIHOST_DONE = 0x20026,
    SEMIHOST_FAILED = 0x20024
};

static inline int32_t semihost(int32_t operation, uintptr_t argument)
{
    register int32_t r0 __asm("r0") = operation;
    register uintptr_t r1 __asm("r1") = argument;

    __asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

/* Returns a handle, or -1. */
static inline int32_t semihost_open(const char *path, uint32_t path_length, uint32_t mode)
{
    const uintptr_t block[3] = {(uintptr_t)path, mode, path_length};

    return semihost(SYS_OPEN, (uintptr_t)block);
}

/* Both return how many of the bytes were left over, 0 if none. */
static inline int32_t semihost_read(int32_t file, void *data, uint32_t bytes)
{
    const uintptr_t block[3] = {(uintptr_t)file, (uintptr_t)data, bytes};

    return semihost(SYS_READ, (uintptr_t)block);
}

static inline int32_t semihost_write(int32_t file, const void *data, uint32_t bytes)
{
    const uintptr_t block[3] = {(uintptr_t)file, (uintptr_t)data, bytes};

    return semihost(SYS_WRITE, (uintptr_t)block);
}

/* Ends the emulator. */
static inline void semihost_exit(uint32_t reason)
{
    for (;;)
    {
        semihost(SYS_EXIT, reason);
    }
}

#endif
