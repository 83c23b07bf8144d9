/* SPDX-License-Identifier: Apache-2.0
 *
 * Start-up of an emulated Cortex-M: vectors, memory, coprocessors, a clock, and an end for
 * every fault. For all cores from M0+ to M55; no interrupt but SysTick is ever enabled.
 */
#include "board.h"

#include "semihost.h"

#define CCR (*(volatile uint32_t *)0xE000ED14u)
#define CPACR (*(volatile uint32_t *)0xE000ED88u)
#define ICSR (*(volatile uint32_t *)0xE000ED04u)
#define CFSR (*(volatile uint32_t *)0xE000ED28u)
#define MMFAR (*(volatile uint32_t *)0xE000ED34u)
#define BFAR (*(volatile uint32_t *)0xE000ED38u)
#define SYST_CSR (*(volatile uint32_t *)0xE000E010u)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014u)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018u)

#define CCR_UNALIGN_TRP (1u << 3)
#define CPACR_FPU_AND_MVE (0xFu << 20)
#define ICSR_PENDSTSET (1u << 26)
#define CFSR_MMARVALID (1u << 7)
#define CFSR_BFARVALID (1u << 15)
#define SYST_ON 7u /* enabled, with interrupt, at the core's frequency */
#define SYST_LAST 0xFFFFFFu
#define SYST_BITS 24

extern uint32_t board_data[], board_data_end[], board_data_load[];
extern uint32_t board_bss[], board_bss_end[];
extern uint32_t board_fault_stack_end[];

int32_t board_image;

static volatile uint32_t wraps;

void board_reset(void);
void board_fault(void);
void board_report_fault(const uint32_t *frame);
void board_systick(void);

void board_fail(const failure_t *failure)
{
    const int32_t file = semihost_open("failure", 7, SEMIHOST_WRITE);

    semihost_write(file, failure, sizeof *failure);
    semihost_exit(SEMIHOST_FAILED);
}

/* Volatile: the compiler would call memcpy and memset, which count as the network's. */
void board_reset(void)
{
    const volatile uint32_t *load = board_data_load;
    volatile uint32_t *word;

#if defined(__ARM_FP)
    CPACR |= CPACR_FPU_AND_MVE;
    __asm volatile("dsb\n\tisb" ::: "memory");
#endif
#if !defined(__ARM_FEATURE_UNALIGNED)
    /* The emulated core may be able to do what the one compiled for is not. */
    CCR |= CCR_UNALIGN_TRP;
    __asm volatile("dsb\n\tisb" ::: "memory");
#endif
    for (word = board_data; word < board_data_end; word++)
    {
        *word = *load++;
    }
    for (word = board_bss; word < board_bss_end; word++)
    {
        *word = 0;
    }
    main();
    semihost_exit(SEMIHOST_DONE);
}

/* The stack may be what is wrong, so the report has one of its own. */
__attribute__((naked)) void board_fault(void)
{
    __asm volatile("mov r0, sp\n\t"
                   "ldr r1, =board_fault_stack_end\n\t"
                   "mov sp, r1\n\t"
                   "bl board_report_fault");
}

void board_report_fault(const uint32_t *frame)
{
    failure_t failure = {FAILURE_STACK, board_image, 0, 0, CFSR, 0};

    __asm volatile("mrs %0, ipsr" : "=r"(failure.value));
    if (frame >= board_stack && frame + 8 <= board_stack_end)
    {
        failure.kind = FAILURE_FAULT;
        failure.pc = frame[6];
    }
    if (failure.cause & CFSR_BFARVALID)
    {
        failure.address = BFAR;
    }
    else if (failure.cause & CFSR_MMARVALID)
    {
        failure.address = MMFAR;
    }
    board_fail(&failure);
}

void board_systick(void)
{
    wraps++;
}

void board_start_clock(void)
{
    SYST_RVR = SYST_LAST;
    SYST_CVR = 0;
    SYST_CSR = SYST_ON;
}

uint64_t board_ticks(void)
{
    uint32_t high, low;

    __asm volatile("cpsid i" ::: "memory");
    low = SYST_CVR;
    high = wraps;
    if (ICSR & ICSR_PENDSTSET)
    {
        /* It has just wrapped, and the interrupt could not count it. */
        low = SYST_CVR;
        high++;
    }
    __asm volatile("cpsie i" ::: "memory");
    return ((uint64_t)high << SYST_BITS) + (SYST_LAST - low);
}

__attribute__((section(".vectors"), used)) static const struct
{
    uint32_t *stack;
    void (*handlers[15])(void); /* from exception 1 on */
} vectors = {
    board_stack_end,
    {
        board_reset,
        board_fault, /* NMI */
        board_fault, /* HardFault */
        board_fault, /* MemManage */
        board_fault, /* BusFault */
        board_fault, /* UsageFault */
        board_fault, /* SecureFault */
        board_fault,
        board_fault,
        board_fault,
        board_fault, /* SVCall */
        board_fault, /* DebugMonitor */
        board_fault,
        board_fault, /* PendSV */
        board_systick,
    },
};
