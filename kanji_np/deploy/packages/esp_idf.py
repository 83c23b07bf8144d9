"""ESP-IDF: a component, and an example project.

References
----------
ESP-IDF programming guide, Build system (idf_component_register); IDF Component Manager,
idf_component.yml manifest.
"""

from __future__ import annotations

from kanji_np.deploy.layout import Layout
from kanji_np.deploy.packages import example
from kanji_np.deploy.packages.package import VERSION, Package, Packed, Words

CMAKELISTS = """\
idf_component_register(
  SRCS
$listed
  INCLUDE_DIRS include
  PRIV_INCLUDE_DIRS src)
"""

MANIFEST = f"""\
version: "{VERSION}"
description: "$title"
dependencies:
  idf: ">=5.0"
examples:
  - path: examples/classify
"""

PROJECT_CMAKE = """\
cmake_minimum_required(VERSION 3.16)
set(EXTRA_COMPONENT_DIRS $${CMAKE_CURRENT_LIST_DIR}/../..)
include($$ENV{IDF_PATH}/tools/cmake/project.cmake)
project(classify)
"""

MAIN_CMAKE = """\
idf_component_register(SRCS main.c cycles.c INCLUDE_DIRS .)
"""

README = """\
## With ESP-IDF

Put this folder into `components` of your project and include `$name.h`. The example:

    cd examples/classify
    idf.py set-target esp32s3
    idf.py flash monitor

ESP-IDF links components as archives, so two exported networks in one project share
their kernels.
"""


def words(packed: Packed) -> Words:
    return {"listed": packed.listed("    {}\n").rstrip("\n")}


ESP_IDF = Package(
    title="ESP-IDF",
    layout=Layout(header="include", code="src", example="examples/classify/main"),
    files={
        "CMakeLists.txt": CMAKELISTS,
        "idf_component.yml": MANIFEST,
        "examples/classify/CMakeLists.txt": PROJECT_CMAKE,
        "examples/classify/main/CMakeLists.txt": MAIN_CMAKE,
        "examples/classify/main/main.c": example.MAIN_C,
    },
    entry=example.APP_MAIN,
    readme=README,
    takes_cmsis_nn=False,
    words=words,
)
