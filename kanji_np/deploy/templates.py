"""Files of a firmware directory that are the same for every network but for names and
numbers: a `$word` is filled in by `contents`."""

from __future__ import annotations

SELFTEST_C = """\
/* Runs $name on images with known answers.
 *
 * Returns 0 if every output byte is right; prints what is not.
 */
#include <stdint.h>
#include <stdio.h>

#include "$name.h"
#include "guard.h"
#include "selftest_vectors.h"

int main(void)
{
    static int8_t output[${NAME}_OUTPUT_BYTES];
    const int32_t layer = ${name}_check();
    int image;

    if (layer != 0)
    {
        printf("layer %d wants more scratch memory than it has\\n", (int)layer);
        return 1;
    }
    for (image = 0; image < SELFTEST_IMAGES; image++)
    {
        const $input_type *input = &selftest_input[image * ${NAME}_INPUT_BYTES];
        const int8_t *expected = &selftest_output[image * ${NAME}_OUTPUT_BYTES];
        const int32_t status = ${name}_run(input, output, ARENA);
        int i;

        if (status != 0)
        {
            printf("image %d: ${name}_run returned %d\\n", image, (int)status);
            return 1;
        }
        for (i = 0; i < ${NAME}_OUTPUT_BYTES; i++)
        {
            if (output[i] != expected[i])
            {
                printf("image %d, output %d: got %d, expected %d\\n",
                       image, i, output[i], expected[i]);
                return 1;
            }
        }
    }
    printf("self-test passed\\n");
    return 0;
}
"""

HOST_RUNNER_C = """\
/* Runs $name over images from standard input; outputs go to standard output.
 *
 * For the computer that checks the network, not for the device. Compiled with
 * -D${NAME}_OBSERVE it writes, before each output, what every layer computed: the
 * layer's number and how many bytes follow, both int32, then the bytes.
 */
#include <stdint.h>
#include <stdio.h>

#include "$name.h"
#include "guard.h"

#ifdef ${NAME}_OBSERVE
void ${name}_observe(int32_t layer, const int8_t *data, int32_t bytes)
{
    fwrite(&layer, sizeof layer, 1, stdout);
    fwrite(&bytes, sizeof bytes, 1, stdout);
    fwrite(data, 1, (size_t)bytes, stdout);
}
#endif

int main(void)
{
    static $input_type input[${NAME}_INPUT_BYTES];
    static int8_t output[${NAME}_OUTPUT_BYTES];
    const int32_t layer = ${name}_check();

    if (layer != 0)
    {
        fprintf(stderr, "layer %d wants more scratch memory than it has\\n",
                (int)layer);
        return 1;
    }
    while (fread(input, 1, sizeof input, stdin) == sizeof input)
    {
        const int32_t status = ${name}_run(input, output, ARENA);

        if (status != 0)
        {
            fprintf(stderr, "${name}_run returned %d\\n", (int)status);
            return 1;
        }
        if (fwrite(output, 1, sizeof output, stdout) != sizeof output)
        {
            return 1;
        }
    }
    return 0;
}
"""

GUARD_H = """\
/* The arena of a program that checks $name.
 *
 * Compiled with -D${NAME}_GUARD arena and scratch memory lie between guard bytes, and a
 * layer has as much scratch memory as the linked kernels want on the machine that the
 * program runs on. The program ends with 1 if a layer has changed a guard byte.
 */
#include "$name.h"

#ifdef ${NAME}_GUARD
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GUARD_BYTES 64
#define GUARD_BYTE 0xA5

/* Memory with guard bytes on both sides; `whole` is all of it, as malloc gave it. */
typedef struct
{
    const char *what;
    void *whole;
    uint8_t *memory;
    int32_t bytes;
} guarded_t;

static guarded_t guarded_arena = {"the arena", NULL, NULL, 0};
static guarded_t guarded_scratch = {"its scratch memory", NULL, NULL, 0};

static void *guarded_take(guarded_t *area, int32_t bytes)
{
    const size_t all = (size_t)bytes + 2 * GUARD_BYTES + $alignment;

    free(area->whole);
    area->whole = malloc(all);
    area->bytes = bytes;
    if (area->whole == NULL)
    {
        fprintf(stderr, "%d bytes of memory could not be had\\n", (int)bytes);
        exit(1);
    }
    memset(area->whole, GUARD_BYTE, all);
    area->memory = (uint8_t *)area->whole + GUARD_BYTES;
    area->memory += -(uintptr_t)area->memory % $alignment;
    return area->memory;
}

static void guarded_check(const guarded_t *area, int32_t layer)
{
    int32_t i;

    for (i = 0; area->memory != NULL && i < GUARD_BYTES; i++)
    {
        const int before = area->memory[-1 - i] != GUARD_BYTE;

        if (before || area->memory[area->bytes + i] != GUARD_BYTE)
        {
            fprintf(stderr, "layer %d writes %s %s of %d bytes\\n", (int)layer,
                    before ? "before" : "beyond", area->what, (int)area->bytes);
            exit(1);
        }
    }
}

void *${name}_scratch(int32_t layer, int32_t bytes)
{
    (void)layer;
    return guarded_take(&guarded_scratch, bytes > 0 ? bytes : 0);
}

void ${name}_guard(int32_t layer)
{
    guarded_check(&guarded_arena, layer);
    guarded_check(&guarded_scratch, layer);
}

static void *guarded_whole_arena(void)
{
    if (guarded_arena.memory == NULL)
    {
        guarded_take(&guarded_arena, ${NAME}_ARENA_BYTES);
    }
    return guarded_arena.memory;
}

#define ARENA guarded_whole_arena()
#else
$plain_arena#endif
"""

SELFTEST_VECTORS_H = """\
/* Images with known answers for $name, one after the other. */
#include <stdint.h>

#define SELFTEST_IMAGES $selftest_images
$selftest_tables"""

PLAIN_ARENA = """\
static uint8_t arena[${NAME}_ARENA_BYTES] __attribute__((aligned($alignment)));

#define ARENA arena
"""

NO_PLAIN_ARENA = """\
#include <stddef.h>

#define ARENA NULL
"""

ARENA_DECLARATION = """
static uint8_t arena[${NAME}_ARENA_BYTES] __attribute__((aligned($alignment)));
"""

NO_ARENA_DECLARATION = """\
#include <stddef.h>
"""

README = """\
# $name

$input -> $output, in integers alone; kernels from $library.

| | |
|---|---|
| target | $target |
| library | $release |
| model | `$digest` |
| arena | $arena_text |
| constants | $const_bytes bytes of flash |
| work | $macs multiply-accumulates an inference |

## In an application

```c
#include "$name.h"
$arena_declaration
int32_t classify(const $input_type *image, int8_t *scores)
{
    return ${name}_run(image, scores, $arena);
}
```

`image` has $input_bytes bytes, `scores` $output_bytes; `$name.h` says how they lie in
memory, what they mean and what is returned.

$usage
$kernels_note

To compare any number of images with the model, byte by byte, on this machine and on an
emulated $Core that also counts instructions, flash, RAM and stack:

    kanji-np verify . --data SOURCE$verify_option
    kanji-np verify . --data SOURCE --on $core$verify_option

The same in Python is `kanji_np.verify`. `kanji-np vectors . DIRECTORY --data SOURCE`
writes every layer's output as C arrays, to compare on a board of your own.

## Memory

| layer | | output | at offset of the arena | scratch memory at |
|---|---|---|---|---|
$memory

## Generate again

    kanji-np export model.npz .$export_option

`model.npz` is the trained network. The next export replaces the files listed in
`firmware.json`, if they are as this one left them.
"""

NOTE_CCORE = """\
$kernels_place portable C under the function names of $title_of_library."""

NOTE_FASTER = """
For Arm's optimized kernels on a Cortex-M export with `--library cmsis-nn`; the C of the
network stays the same."""

NOTE_CMSIS_NN = """\
The kernels are those of $title_of_library: $release.
$kernels_place the kernels it lacks."""
