"""CMake: a static library with an exported target, to add or to install."""

from __future__ import annotations

from kanji_np.deploy.layout import Layout
from kanji_np.deploy.packages import example
from kanji_np.deploy.packages.package import VERSION, Package, Packed, Words

CMAKELISTS = f"""\
# The static library $name::$name, for add_subdirectory or find_package; as a project of
# its own also the example, which ctest runs.
cmake_minimum_required(VERSION 3.13)
project($name VERSION {VERSION} LANGUAGES C)

include(CMakePackageConfigHelpers)
include(GNUInstallDirs)
$find_library
add_library(${{name}}_network STATIC
$listed)
add_library($name::$name ALIAS ${{name}}_network)
target_include_directories(${{name}}_network
  PUBLIC
    $$<BUILD_INTERFACE:$${{CMAKE_CURRENT_SOURCE_DIR}}/include>
    $$<INSTALL_INTERFACE:$${{CMAKE_INSTALL_INCLUDEDIR}}>
$private_folders)
${{cmake_macros}}set_target_properties(${{name}}_network PROPERTIES
  C_STANDARD 99
  EXPORT_NAME $name
  OUTPUT_NAME $name)

set(PACKAGE_DIR $${{CMAKE_INSTALL_LIBDIR}}/cmake/$name)
install(TARGETS ${{name}}_network EXPORT $name
  ARCHIVE DESTINATION $${{CMAKE_INSTALL_LIBDIR}})
install(FILES include/$name.h DESTINATION $${{CMAKE_INSTALL_INCLUDEDIR}})
install(EXPORT $name NAMESPACE $name:: FILE ${{name}}Config.cmake
  DESTINATION $${{PACKAGE_DIR}})
write_basic_package_version_file(${{name}}ConfigVersion.cmake
  COMPATIBILITY ExactVersion)
install(FILES $${{CMAKE_CURRENT_BINARY_DIR}}/${{name}}ConfigVersion.cmake
  DESTINATION $${{PACKAGE_DIR}})

if(CMAKE_SOURCE_DIR STREQUAL CMAKE_CURRENT_SOURCE_DIR)
  enable_testing()
  add_executable(classify example/main.c example/cycles.c)
  target_link_libraries(classify PRIVATE $name::$name)
  add_test(NAME classify COMMAND classify)
endif()
"""

FIND_CMSIS_NN = """\

set(CMSIS_NN "" CACHE PATH "Where $title_of_library is")
if(NOT EXISTS "$${CMSIS_NN}/Include/arm_nnfunctions.h")
  message(FATAL_ERROR "say where $title_of_library is: -DCMSIS_NN=<directory>")
endif()
file(GLOB ${name}_kernels "$${CMSIS_NN}/Source/*/*.c")
"""

README = """\
## With CMake

    add_subdirectory($name)
    target_link_libraries(application PRIVATE $name::$name)

or, after `cmake --install`, `find_package($name CONFIG REQUIRED)` and the same target.
As a project of its own it builds the example, which checks the network:

    cmake -S . -B build$cmake_option
    cmake --build build
    ctest --test-dir build

For another processor give CMake its toolchain file. Several exported networks can be
linked into one program.

Without CMake, as in STM32CubeIDE: copy `include` and `src` into the project and add
`include` to the include paths, no other folder.
"""


def words(packed: Packed) -> Words:
    own = packed.library == "ccore"
    macros = "".join(f" {macro}" for macro in packed.macros)
    folders = ["src"] if own else ['"$${CMSIS_NN}/Include"', "src"]
    listed = packed.listed("  {}\n")
    if not own:
        listed += f"  $${{{packed.name}_kernels}}\n"
    return {
        "listed": listed.rstrip("\n"),
        "find_library": "" if own else FIND_CMSIS_NN,
        "private_folders": "  PRIVATE\n" + "\n".join(f"    {f}" for f in folders),
        "cmake_macros": f"target_compile_definitions({packed.name}_network PRIVATE"
        f"{macros})\n"
        if macros
        else "",
    }


CMAKE = Package(
    title="CMake",
    layout=Layout(header="include", code="src", example="example"),
    files={"CMakeLists.txt": CMAKELISTS, "example/main.c": example.MAIN_C},
    entry=example.MAIN,
    readme=README,
    words=words,
)
