"""Files of a firmware directory that are the same for every network but for names and
numbers: a `$word` is filled in by `project`."""

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

KERNELS_CCORE_MK = """\
INCLUDES := -I.$include_options
KERNELS := $$(wildcard$source_patterns)
$makefile_defines"""

KERNELS_CMSIS_NN_MK = """\
ifndef CMSIS_NN
$$(error say where $title is: make CMSIS_NN=<directory>)
endif
INCLUDES := -I. -I$$(CMSIS_NN)/Include$beside_options$include_options
KERNELS := $$(wildcard ccore/Source/*.c $$(CMSIS_NN)/Source/*/*.c)
$makefile_defines"""

MAKEFILE = """\
# make test      build and run the self-test
# make runner    build the program that runs images from standard input
# make lib       build lib$name.a, for a device with BUILD, CC, AR and CFLAGS
#
# The first two run here, with the scratch memory that kernels want here, between guard
# bytes; a device's is part of the arena.

CFLAGS ?= -O2
BUILD ?= build

$kernels
SOURCES := $name.c ${name}_data.c $$(KERNELS)
OBJECTS := $$(patsubst %.c,$$(BUILD)/%.o,$$(notdir $$(SOURCES)))
LIBRARY := $$(BUILD)/lib$name.a
VPATH := $$(sort $$(dir $$(SOURCES)))

.PHONY: lib test runner clean

lib: $$(LIBRARY)

test: $$(BUILD)/selftest
	$$(BUILD)/selftest

runner: $$(BUILD)/host_runner

$$(LIBRARY): $$(OBJECTS)
	$$(AR) rcs $$@ $$^

$$(BUILD)/selftest $$(BUILD)/host_runner: $$(BUILD)/%: $$(BUILD)/guarded/%.o \\
		$$(BUILD)/guarded/$name.o $$(LIBRARY)
	$$(CC) $$(CFLAGS) $$(LDFLAGS) -o $$@ $$^

$$(BUILD)/guarded/%.o: %.c | $$(BUILD)/guarded
	$$(CC) -std=c99 $$(CFLAGS)$makefile_use -D${NAME}_GUARD $$(INCLUDES) \\
		-MMD -c -o $$@ $$<

$$(BUILD)/%.o: %.c | $$(BUILD)
	$$(CC) -std=c99 $$(CFLAGS)$makefile_use $$(INCLUDES) -MMD -c -o $$@ $$<

$$(BUILD) $$(BUILD)/guarded:
	mkdir -p $$@

clean:
	rm -rf $$(BUILD)

-include $$(wildcard $$(BUILD)/*.d $$(BUILD)/guarded/*.d)
"""

KERNELS_CCORE_CMAKE = """\
set(INCLUDES$includes)
file(GLOB KERNELS$source_patterns)
"""

KERNELS_CMSIS_NN_CMAKE = """\
set(CMSIS_NN "" CACHE PATH "Where $title is")
if(NOT EXISTS "$${CMSIS_NN}/Include/arm_nnfunctions.h")
  message(FATAL_ERROR "say where $title is: -DCMSIS_NN=<directory>")
endif()
set(INCLUDES "$${CMSIS_NN}/Include"$beside_folders$includes)
file(GLOB KERNELS ccore/Source/*.c "$${CMSIS_NN}/Source/*/*.c")
"""

CMAKELISTS = """\
# The library ${name}_network for an application to link; as a project of its own also
# the self-test, which ctest runs.
cmake_minimum_required(VERSION 3.13)
project($name C)

$kernels
add_library(${name}_network STATIC $name.c ${name}_data.c $${KERNELS})
target_include_directories(${name}_network PUBLIC . $${INCLUDES})
${cmake_defines}set_target_properties(${name}_network PROPERTIES C_STANDARD 99)

if(CMAKE_SOURCE_DIR STREQUAL CMAKE_CURRENT_SOURCE_DIR)
  enable_testing()
  add_executable(selftest selftest.c $name.c)
  target_compile_definitions(selftest PRIVATE ${NAME}_GUARD)
  target_link_libraries(selftest ${name}_network)
  add_test(NAME selftest COMMAND selftest)
endif()
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
$predicted_rows
$predicted_note## In an application

```c
#include "$name.h"
$arena_declaration
int32_t classify(const $input_type *image, int8_t *scores)
{
    return ${name}_run(image, scores, $arena);
}
```

`image` has $input_bytes bytes, `scores` $output_bytes; `$name.h` says how they lie in
memory, what they mean and what is returned. Compile `$name.c`, `${name}_data.c` and the
kernels with the application$macros.

## Build and check

    make test$make_option$host_option

compiles everything for this machine and runs it on images with known answers. With
CMake, `add_subdirectory` this directory and link `${name}_network`. For a $Core:

    make lib$make_option BUILD=build-$core CC=arm-none-eabi-gcc \\
        AR=arm-none-eabi-ar CFLAGS="$core_flags -mthumb -O2"

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
`ccore/` holds portable C under the function names of $title.
For Arm's optimized kernels on a Cortex-M export with `--library cmsis-nn`; the C of the
network stays the same."""

NOTE_CMSIS_NN = """\
`CMSIS_NN` is the directory of $title: $release.
`ccore/` holds the kernels it lacks."""
