"""Zephyr: a module, its Kconfig symbol, and a sample.

References
----------
Zephyr, Modules (External projects): zephyr/module.yml; modules/cmsis-nn/Kconfig, whose
symbols each build one folder of CMSIS-NN's sources.
"""

from __future__ import annotations

from kanji_np.deploy.layout import Layout
from kanji_np.deploy.packages import example
from kanji_np.deploy.packages.package import Package, Packed, Words
from kanji_np.errors import OptionError, UnsupportedOp

MODULE = """\
name: $name
build:
  cmake: zephyr
  kconfig: zephyr/Kconfig
samples:
  - samples/classify
"""

CMAKELISTS = """\
# Apart from the libraries that Zephyr links whole, so that the linker takes each kernel
# once if several networks bring it along.
if(CONFIG_${NAME}_NETWORK)
  add_library(${name}_network STATIC
$listed)
  target_include_directories(${name}_network PUBLIC ../include PRIVATE ../src)
${zephyr_macros}  target_link_libraries(${name}_network PRIVATE zephyr_interface)
  target_link_libraries(app PRIVATE ${name}_network)
endif()
"""

KCONFIG = """\
config ${NAME}_NETWORK
\tbool "Neural network $name"
${selects}\thelp
\t  $title
\t  $const_bytes bytes of flash for tables; the application gives $arena_bytes
\t  bytes of RAM.
"""

SAMPLE_CMAKE = """\
cmake_minimum_required(VERSION 3.20.0)
list(APPEND ZEPHYR_EXTRA_MODULES $${CMAKE_CURRENT_SOURCE_DIR}/../..)
find_package(Zephyr REQUIRED HINTS $$ENV{ZEPHYR_BASE})
project(classify LANGUAGES C)

target_sources(app PRIVATE src/main.c src/cycles.c)
"""

SAMPLE_CONF = """\
CONFIG_${NAME}_NETWORK=y
CONFIG_MAIN_STACK_SIZE=4096
"""

SAMPLE_YAML = """\
sample:
  name: $name
common:
  harness: console
  harness_config:
    type: one_line
    regex:
      - "every byte is as the model computes it"
tests:
  sample.$name.classify: {}
"""

README = """\
## With Zephyr

This folder is a module. Name it in your application's CMakeLists.txt, before
`find_package(Zephyr)`, or in your west manifest:

    list(APPEND ZEPHYR_EXTRA_MODULES /path/to/this/folder)

Set `CONFIG_${NAME}_NETWORK=y` in `prj.conf` and include `$name.h`. The sample:

    west build -b mps2/an386 samples/classify -t run

Several exported networks can be modules of one application.
"""

# The Kconfig symbol that builds a function, by how its name begins.
SYMBOLS = {
    "arm_relu": "ACTIVATION",
    "arm_elementwise": "BASICMATH",
    "arm_minimum": "BASICMATH",
    "arm_maximum": "BASICMATH",
    "arm_concatenation": "CONCATENATION",
    "arm_convolve": "CONVOLUTION",
    "arm_depthwise_conv": "CONVOLUTION",
    "arm_fully_connected": "FULLYCONNECTED",
    "arm_vector_sum": "FULLYCONNECTED",
    "arm_avgpool": "POOLING",
    "arm_max_pool": "POOLING",
    "arm_softmax": "SOFTMAX",
}


def called(packed: Packed) -> list[str]:
    """The functions of CMSIS-NN, if it is linked."""
    functions = packed.program.functions if packed.library == "cmsis-nn" else []
    return [f for f in functions if not f.startswith("kanji_")]


def symbol(function: str) -> str | None:
    found = [s for begin, s in SYMBOLS.items() if function.startswith(begin)]
    return found[0] if found else None


def check(packed: Packed) -> None:
    functions = called(packed)
    if functions and packed.program.graph.target.library != "cmsis-nn":
        raise OptionError(
            "Zephyr has no CMSIS 5, whose functions a network for cmsis-nn-q7 calls: "
            "export with library ccore"
        )
    for function in functions:
        if symbol(function) is None:
            raise UnsupportedOp(
                f"Zephyr's build of CMSIS-NN leaves {function} out: export with "
                "library ccore"
            )


def words(packed: Packed) -> Words:
    symbols = sorted({str(symbol(f)) for f in called(packed)})
    selects = ""
    if symbols:
        chosen = ["CMSIS_NN", *(f"CMSIS_NN_{s}" for s in (*symbols, "NNSUPPORT"))]
        selects = "\tdepends on CPU_CORTEX_M\n" + "".join(
            f"\tselect {each}\n" for each in chosen
        )
    macros = "".join(f" -D{macro}" for macro in packed.macros)
    return {
        "listed": packed.listed("    ../{}\n").rstrip("\n"),
        "selects": selects,
        # CMSIS-NN itself must be built with them, too
        "zephyr_macros": f"  zephyr_compile_definitions({macros.strip()})\n"
        if macros
        else "",
    }


ZEPHYR = Package(
    title="Zephyr",
    layout=Layout(header="include", code="src", example="samples/classify/src"),
    files={
        "zephyr/module.yml": MODULE,
        "zephyr/CMakeLists.txt": CMAKELISTS,
        "zephyr/Kconfig": KCONFIG,
        "samples/classify/CMakeLists.txt": SAMPLE_CMAKE,
        "samples/classify/prj.conf": SAMPLE_CONF,
        "samples/classify/sample.yaml": SAMPLE_YAML,
        "samples/classify/src/main.c": example.MAIN_C,
    },
    entry=example.MAIN,
    readme=README,
    words=words,
    check=check,
)
