"""make: what is exported by default, with a CMakeLists.txt beside.

Kernels lie under `ccore/` as in this project, and a self-test runs on this computer.
"""

from __future__ import annotations

from collections.abc import Iterable

from kanji_np.deploy import templates
from kanji_np.deploy.kernels import (
    KERNELS,
    OWN_INCLUDE,
    defines,
    folders_beside,
    host_macros,
    own_class,
)
from kanji_np.deploy.layout import Layout
from kanji_np.deploy.packages import example
from kanji_np.deploy.packages.package import Package, Packed, Words
from kanji_np.graph import Graph

KERNELS_CCORE_MK = """\
INCLUDES := -I.$include_options
KERNELS := $$(wildcard$source_patterns)
$makefile_defines"""

KERNELS_CMSIS_NN_MK = """\
ifndef CMSIS_NN
$$(error say where $title_of_library is: make CMSIS_NN=<directory>)
endif
INCLUDES := -I. -I$$(CMSIS_NN)/Include$beside_options$include_options
KERNELS := $$(wildcard ccore/Source/*.c $$(CMSIS_NN)/Source/*/*.c)
$makefile_defines"""

MAKEFILE = """\
# make test      build and run the self-test
# make runner    build the program that runs images from standard input
# make example   build and run the example
# make lib       build lib$name.a, for a device with BUILD, CC, AR and CFLAGS
#
# The first two run here, with the scratch memory that kernels want here, between guard
# bytes; a device's is part of the arena.

CFLAGS ?= -O2
BUILD ?= build

$kernels_mk
SOURCES := $name.c ${name}_data.c $$(KERNELS)
OBJECTS := $$(patsubst %.c,$$(BUILD)/%.o,$$(notdir $$(SOURCES)))
LIBRARY := $$(BUILD)/lib$name.a
VPATH := $$(sort $$(dir $$(SOURCES)))

.PHONY: lib test runner example clean

lib: $$(LIBRARY)

test: $$(BUILD)/selftest
	$$(BUILD)/selftest

runner: $$(BUILD)/host_runner

example: $$(BUILD)/classify
	$$(BUILD)/classify

$$(BUILD)/classify: example/main.c example/cycles.c $$(LIBRARY)
	$$(CC) -std=c99 $$(CFLAGS) $$(LDFLAGS) -I. -o $$@ $$^

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
set(CMSIS_NN "" CACHE PATH "Where $title_of_library is")
if(NOT EXISTS "$${CMSIS_NN}/Include/arm_nnfunctions.h")
  message(FATAL_ERROR "say where $title_of_library is: -DCMSIS_NN=<directory>")
endif()
set(INCLUDES "$${CMSIS_NN}/Include"$beside_folders$includes)
file(GLOB KERNELS ccore/Source/*.c "$${CMSIS_NN}/Source/*/*.c")
"""

CMAKELISTS = """\
# The library ${name}_network for an application to link; as a project of its own also
# the self-test, which ctest runs.
cmake_minimum_required(VERSION 3.13)
project($name C)

$kernels_cmake
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
## Build and check

Compile `$name.c`, `${name}_data.c` and the kernels with the application$macros.

    make test$make_option$host_option

compiles everything for this machine and runs it on images with known answers;
`make example$make_option` runs `example/main.c`, which shows how the network is called
and timed. With CMake, `add_subdirectory` this directory and link `${name}_network`.
For a $Core:

    make lib$make_option BUILD=build-$core CC=arm-none-eabi-gcc \\
        AR=arm-none-eabi-ar CFLAGS="$core_flags -mthumb -O2"

Several exported networks can be linked into one program, each as its `lib<name>.a`: the
linker takes every kernel once.
"""


def words(packed: Packed) -> Words:
    target, name = packed.program.graph.target, packed.name
    own = packed.library == "ccore"
    kernels = KERNELS[target.library]
    macros = defines(target, packed.library)
    includes = kernels.includes if own else (OWN_INCLUDE,)
    return {
        "macros": f", all with{_each(' `-D{}`', macros)}" if macros else "",
        "host_option": "" if own else _host_option(packed.program.graph),
        "include_options": _each(" -I{}", includes),
        "includes": _each(" {}", includes),
        "source_patterns": _each(" {}/*.c", kernels.sources),
        "beside_options": _each(" -I$$(CMSIS_NN)/{}", folders_beside(target)),
        "beside_folders": _each(' "$${{CMSIS_NN}}/{}"', folders_beside(target)),
        "makefile_defines": f"DEFINES :={_each(' -D{}', macros)}\n" if macros else "",
        "makefile_use": " $$(DEFINES)" if macros else "",
        "cmake_defines": f"target_compile_definitions({name}_network PUBLIC"
        f"{_each(' {}', macros)})\n"
        if macros
        else "",
        "kernels_mk": KERNELS_CCORE_MK if own else KERNELS_CMSIS_NN_MK,
        "kernels_cmake": KERNELS_CCORE_CMAKE if own else KERNELS_CMSIS_NN_CMAKE,
    }


def _host_option(graph: Graph) -> str:
    """What the real library is told where it is compiled for this computer.

    It is plain C there, whereas ccore does as the firmware's core class.
    """
    macros = [*host_macros(graph.target)]
    if KERNELS[graph.target.library].classes and own_class(graph.target) != "c":
        macros.append(f"{graph.name.upper()}_ANY_CORE")
    return f' CFLAGS="-O2{_each(" -D{}", macros)}"' if macros else ""


def _each(pattern: str, items: Iterable[str]) -> str:
    return "".join(map(pattern.format, items))


MAKE = Package(
    title="make",
    layout=Layout(header="", code="", example="example", flat=False),
    files={
        "Makefile": MAKEFILE,
        "CMakeLists.txt": CMAKELISTS,
        "example/main.c": example.MAIN_C,
        "selftest.c": templates.SELFTEST_C,
        "host_runner.c": templates.HOST_RUNNER_C,
        "guard.h": templates.GUARD_H,
        "selftest_vectors.h": templates.SELFTEST_VECTORS_H,
    },
    entry=example.MAIN,
    readme=README,
    words=words,
)
