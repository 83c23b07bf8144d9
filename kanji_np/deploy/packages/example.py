"""The program that shows how an exported network is called: it runs an image with a
known answer, compares every byte, and prints how long that took.

`MAIN_C` is for a C program, `SKETCH` for Arduino; both count with `cycles.c` and take
the image from `golden.h`. A `$word` is filled in by `contents`.
"""

from __future__ import annotations

CYCLES_H = """\
/* Counts the cycles of the core that a program runs on. */
#ifndef CYCLES_H
#define CYCLES_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Starts the counter and returns what it counts: "cycles" of the core or, where they
 * cannot be counted, "ticks" of a timer or "us", microseconds. */
const char *cycles_start(void);

/* The counter, which begins again after 2^32: take differences. */
uint32_t cycles(void);

#ifdef __cplusplus
}
#endif

#endif
"""

CYCLES_C = """\
/* Counts cycles: with the DWT of a Cortex-M3 and above, with the SysTick of a Cortex-M0
 * or M0+, with the counter of an ESP32, and microseconds elsewhere. */
#include "cycles.h"

#if defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
#define IS_CORTEX_M 1
#else
#define IS_CORTEX_M 0
#endif

#if IS_CORTEX_M && __ARM_ARCH_ISA_THUMB >= 2

/* Armv7-M Architecture Reference Manual, C1.6.5 and C1.8; the same on Armv8-M. */
#define DEMCR (*(volatile uint32_t *)0xE000EDFCu)
#define DEMCR_TRCENA (1u << 24)
#define DWT_CTRL (*(volatile uint32_t *)0xE0001000u)
#define DWT_CTRL_CYCCNTENA 1u
#define DWT_CYCCNT (*(volatile uint32_t *)0xE0001004u)
#define DWT_LAR (*(volatile uint32_t *)0xE0001FB0u)
#define DWT_LAR_KEY 0xC5ACCE55u

const char *cycles_start(void)
{
    uint32_t first;

    DEMCR |= DEMCR_TRCENA;
    DWT_LAR = DWT_LAR_KEY; /* a Cortex-M7 locks the others */
    DWT_CYCCNT = 0;
    DWT_CTRL |= DWT_CTRL_CYCCNTENA;
    first = DWT_CYCCNT;
    return DWT_CYCCNT != first ? "cycles" : "cycles (this core has no counter)";
}

uint32_t cycles(void)
{
    return DWT_CYCCNT;
}

#elif defined(ESP_PLATFORM)

#include "esp_cpu.h"

const char *cycles_start(void)
{
    return "cycles";
}

uint32_t cycles(void)
{
    return (uint32_t)esp_cpu_get_cycle_count();
}

#elif defined(__ZEPHYR__)

#include <zephyr/kernel.h>

const char *cycles_start(void)
{
    return "ticks";
}

uint32_t cycles(void)
{
    return k_cycle_get_32();
}

#elif defined(ARDUINO)

#include <Arduino.h>

const char *cycles_start(void)
{
    return "us";
}

uint32_t cycles(void)
{
    return (uint32_t)micros();
}

#elif IS_CORTEX_M

/* Armv6-M Architecture Reference Manual, B3.3. The timer has 24 bits and counts down;
 * when it comes to 0 its interrupt counts the round. */
#define SYST_CSR (*(volatile uint32_t *)0xE000E010u)
#define SYST_CSR_CORE_CLOCK_INTERRUPT_ENABLE 7u
#define SYST_RVR (*(volatile uint32_t *)0xE000E014u)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018u)
#define SYST_BITS 24
#define SYST_MOST ((1u << SYST_BITS) - 1)

static volatile uint32_t rounds;

void SysTick_Handler(void);
void SysTick_Handler(void)
{
    rounds++;
}

const char *cycles_start(void)
{
    rounds = 0;
    SYST_RVR = SYST_MOST;
    SYST_CVR = 0;
    SYST_CSR = SYST_CSR_CORE_CLOCK_INTERRUPT_ENABLE;
    return "cycles";
}

uint32_t cycles(void)
{
    uint32_t before, now;

    do
    {
        before = rounds;
        now = SYST_CVR;
    } while (before != rounds);
    return (before << SYST_BITS) + ((0u - now) & SYST_MOST);
}

#else

#include <time.h>

const char *cycles_start(void)
{
    return "us";
}

uint32_t cycles(void)
{
    return (uint32_t)((double)clock() * 1e6 / (double)CLOCKS_PER_SEC);
}

#endif
"""

LABEL = """
/* The class with the highest score. */
static int highest(const int8_t *scores)
{
    int best = 0;
    int i;

    for (i = 1; i < ${NAME}_OUTPUT_BYTES; i++)
    {
        best = scores[i] > scores[best] ? i : best;
    }
    return best;
}
"""

PRINT_LABEL = """\
    printf("class %d, score %d\\n", highest(output), output[highest(output)]);
"""

MAIN_C = """\
/* Runs $name on an image with a known answer, and prints how long it takes. */
#include <stdio.h>
#include <string.h>

#include "$name.h"
#include "cycles.h"
#include "golden.h"

${arena_memory}\
static int8_t output[${NAME}_OUTPUT_BYTES];
$label
/* Returns 0 if every byte of the output is right. */
static int run_golden(void)
{
    const int32_t layer = ${name}_check();
    const char *const unit = cycles_start();
    uint32_t start, elapsed;
    int32_t status;

    if (layer != 0)
    {
        printf("layer %d wants more scratch memory than it has\\n", (int)layer);
        return 1;
    }
    start = cycles();
    status = ${name}_run(golden_input, output, $arena);
    elapsed = cycles() - start;
    if (status != 0)
    {
        printf("${name}_run returned %d\\n", (int)status);
        return 1;
    }
${print_label}\
    printf("%lu %s\\n", (unsigned long)elapsed, unit);
    if (memcmp(output, golden_output, sizeof output) != 0)
    {
        printf("the output is not what the model computes\\n");
        return 1;
    }
    printf("every byte is as the model computes it\\n");
    return 0;
}

$entry"""

MAIN = """\
int main(void)
{
    return run_golden();
}
"""

APP_MAIN = """\
void app_main(void)
{
    (void)run_golden();
}
"""

SAY_LABEL = """\
    Serial.print("class ");
    Serial.print(highest(output));
    Serial.print(", score ");
    Serial.println(output[highest(output)]);
"""

SKETCH = """\
/* Runs $name on an image with a known answer, again and again, and prints how long it
 * takes. */
#include <Arduino.h>
#include <$name.h>
#include <string.h>

#include "cycles.h"
#include "golden.h"

${arena_memory}\
static int8_t output[${NAME}_OUTPUT_BYTES];
static const char *unit;
$label
static void run_golden()
{
    const uint32_t start = cycles();
    const uint32_t start_us = micros();
    const int32_t status = ${name}_run(golden_input, output, $arena);
    const uint32_t elapsed_us = micros() - start_us;
    const uint32_t elapsed = cycles() - start;

    if (status != 0)
    {
        Serial.print("${name}_run returned ");
        Serial.println(status);
        return;
    }
${say_label}\
    Serial.print(elapsed_us);
    Serial.print(" us");
    if (strcmp(unit, "cycles") == 0)
    {
        Serial.print(", ");
        Serial.print(elapsed);
        Serial.print(" cycles");
    }
    Serial.println();
    Serial.println(memcmp(output, golden_output, sizeof output) == 0
                       ? "every byte is as the model computes it"
                       : "the output is not what the model computes");
}

void setup()
{
    Serial.begin(115200);
    unit = cycles_start();
}

void loop()
{
    const int32_t layer = ${name}_check();

    if (layer == 0)
    {
        run_golden();
    }
    else
    {
        Serial.print("more scratch memory than it has is wanted by layer ");
        Serial.println(layer);
    }
    delay(2000);
}
"""

ARENA_MEMORY = """\
static uint8_t arena[${NAME}_ARENA_BYTES] __attribute__((aligned($alignment)));
"""

GOLDEN_H = """\
/* An image, and the output of $name for it as the model computes it. */
#include <stdint.h>
$golden_tables"""
