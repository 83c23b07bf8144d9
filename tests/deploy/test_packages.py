"""Exports for each build system: built as it does, by itself where it can be had.

CMake, Arduino's builder and PlatformIO build and run the example on this computer.
Zephyr's and ESP-IDF's own build takes more than a package index has: their files are
read by the tools that they use (Kconfig, the component manager) and built by CMake with
stand-ins for their functions. The pack's description is held to what PACK.xsd says of
the elements that it uses.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import kconfiglib
import platformio.dependencies
import pytest
from idf_component_tools.manager import ManifestManager

import kanji_np as kj
from kanji_np import choices
from kanji_np.deploy import export, verify
from kanji_np.deploy.contents import layout_of
from kanji_np.deploy.packages import PACKAGES
from kanji_np.deploy.project import read_manifest
from kanji_np.errors import OptionError, UnsupportedOp

from .networks import (
    STRICT,
    branches,
    c_flags,
    image,
    legacy,
    legacy_plain,
    noise,
    only_dense,
    only_flatten,
    residual,
)
from .test_project import contents
from .test_real_library import bundled

HERE = Path(__file__).parent
RIGHT = "every byte is as the model computes it\n"
CLASS = re.compile(r"class \d+, score -?\d+\n")
FLAT = [name for name, form in PACKAGES.items() if form.layout.flat]


def single() -> kj.Sequential:
    """Kernels that round otherwise than those of `image`, some of the same names."""
    layers = [
        kj.Normalize((125, 123, 114)),
        kj.Conv2D(4, 3, activation="relu"),
        kj.AvgPool2D(2),
        kj.Flatten(),
        kj.Dense(3),
    ]
    return kj.Sequential(layers, (9, 8, 3), rounding="single", name="single")


def sources(directory: Path, layout) -> list[Path]:
    """The C files of network and kernels, in a flat layout."""
    return sorted((directory / layout.code).glob("*.c"))


@pytest.fixture
def program(run, tmp_path):
    """Compiles C without a warning, each file with the folders of its own; the path."""

    def program(parts, compiler="gcc", macros=()):
        objects = []
        for files, folders in parts:
            flags = [*STRICT, *(f"-I{f}" for f in folders), *(f"-D{m}" for m in macros)]
            for file in files:
                objects.append(tmp_path / f"{len(objects)}.o")
                run(compiler, *flags, "-c", file, "-o", objects[-1])
        elf = tmp_path / "program"
        run(compiler, *objects, "-o", elf)
        return elf

    return program


def main_of_two(first: kj.Model, second: kj.Model, tmp_path: Path) -> Path:
    """A program that runs two networks, and prints what each answers."""
    calls = ""
    for net in (first, second):
        graph, name = net.freeze(), net.name
        x = noise(net, 1)
        values = ", ".join(map(str, x.ravel().tolist()))
        calls += f"""
    {{
        static const {x.dtype}_t input[] = {{{values}}};
        static int8_t output[{graph.output.size}];
        int i;

        printf("%d:", (int){name}_run(input, output, arena));
        for (i = 0; i < {graph.output.size}; i++)
        {{
            printf(" %d", output[i]);
        }}
        printf("\\n");
    }}
"""
    text = f"""\
#include <stdio.h>
#include "{first.name}.h"
#include "{second.name}.h"
static uint8_t arena[16384] __attribute__((aligned(16)));
int main(void)
{{{calls}
    return 0;
}}
"""
    path = tmp_path / "two.c"
    path.write_text(text)
    return path


def answers(*nets: kj.Model) -> str:
    """What such a program prints."""
    rows = [net.freeze().run(noise(net, 1)).ravel().tolist() for net in nets]
    return "".join(f"0: {' '.join(map(str, row))}\n" for row in rows)


# ------------------------------------------------- all of them


def test_names_are_those_of_the_table():
    assert choices.PACKAGE_NAMES == (*PACKAGES,)
    assert {form.kernels for form in PACKAGES.values()} <= {*choices.KERNEL_NAMES}


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("build", [image, legacy_plain, only_flatten])
def test_every_package_is_the_network(package, build, tmp_path):
    net = build()
    firmware = export(net, tmp_path, package=package)
    assert read_manifest(tmp_path).package == package
    assert {*firmware.files} == {path.as_posix() for path in contents(tmp_path)}
    assert verify(tmp_path, noise(net, 3)).differing_bytes == 0


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_is_the_same_bytes_again_and_replaces_another(package, tmp_path):
    for directory in (tmp_path / "a", tmp_path / "b"):
        export(image(), directory, package="make")
        export(image(), directory, package=package, images=noise(image(), 1))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert {*map(str, contents(tmp_path / "a"))} == {
        *export(image(), tmp_path / "c", package=package).files
    }


@pytest.mark.parametrize("package", FLAT)
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_one_include_folder_is_enough(package, compiler, program, run, tmp_path):
    """The example too, but those of Arduino and ESP-IDF, which begin elsewhere."""
    net, here = branches(), tmp_path / "firmware"
    export(net, here, package=package)
    layout = layout_of(package, net.name)
    example = here / layout.example
    files = [*sources(here, layout), example / "cycles.c"]
    main = example / "main.c"
    if package == "arduino":
        main = tmp_path / "main.c"
        export(net, tmp_path / "other", package="cmake")
        text = (tmp_path / "other" / "example" / "main.c").read_text()
        main.write_text(text)
    elif package == "esp-idf":
        text = main.read_text()
        assert "void app_main(void)" in text
        main = example / "entry.c"
        main.write_text(f"void app_main(void);\n{text}int main(void)\n" + ENTRY)
    folders = [here / layout.header, example]
    said = run(program([([*files, main], folders)], compiler))
    assert said.endswith(RIGHT)


ENTRY = "{\n    app_main();\n    return 0;\n}\n"


@pytest.mark.parametrize("net", [only_dense(), residual()], ids=["vector", "image"])
def test_the_example_of_make_names_the_class_if_there_is_one(net, run, tmp_path):
    export(net, tmp_path / "firmware")
    said = run("make", "-s", "-C", tmp_path / "firmware", "example", "CFLAGS=-O1")
    assert bool(CLASS.match(said)) == (net.name == "only_dense")
    assert re.search(rf"^\d+ us\n{RIGHT}$", said, re.MULTILINE)


def test_the_example_notices_a_wrong_byte(edit, run, tmp_path):
    export(only_dense(), tmp_path)
    golden = tmp_path / "example" / "golden.h"
    row = re.search(r"golden_output\[6\] = {\n    (-?\d+,)", golden.read_text())[0]
    edit(golden, row, re.sub(r"-?\d+,$", "99,", row))
    said = run("make", "-s", "-C", tmp_path, "build/classify", "CFLAGS=-O1")
    said = run(tmp_path / "build" / "classify", status=1)
    assert said.endswith("the output is not what the model computes\n")


def test_an_export_of_an_earlier_version_is_read_and_replaced(tmp_path):
    export(image(), tmp_path)
    manifest = tmp_path / "firmware.json"
    content = json.loads(manifest.read_text())
    del content["package"]
    for file in [name for name in content["files"] if name.startswith("example/")]:
        del content["files"][file]
        (tmp_path / file).unlink()
    (tmp_path / "example").rmdir()
    manifest.write_text(json.dumps(content))
    assert verify(tmp_path, noise(image(), 1)).ok
    assert export(image(), tmp_path, package="zephyr").files


def test_what_cannot_be_built_is_refused(tmp_path):
    with pytest.raises(OptionError, match="package must be one of make, cmake"):
        export(image(), tmp_path / "fw", package="uvision")
    with pytest.raises(OptionError, match="kernels must be one of shared, private"):
        export(image(), tmp_path / "fw", kernels="own")
    arm = {"library": "cmsis-nn"}
    with pytest.raises(OptionError, match="no Cortex-M"):
        export(image(), tmp_path / "fw", package="esp-idf", **arm)
    with pytest.raises(OptionError, match="say where it is, so that its sources"):
        export(image(), tmp_path / "fw", package="arduino", **arm)
    with pytest.raises(OptionError, match="Zephyr has no CMSIS 5"):
        export(legacy(), tmp_path / "fw", package="zephyr", **arm)
    padded = kj.Sequential([kj.ZeroPadding2D(1)], (3, 3, 2), name="padded")
    with pytest.raises(UnsupportedOp, match="leaves arm_pad_s8 out"):
        export(padded, tmp_path / "fw", package="zephyr", **arm)
    with pytest.raises(OptionError, match="CMSIS-NN needs CMSIS_NN_USE_SINGLE"):
        export(single(), tmp_path / "fw", package="arduino", cmsis_nn=bundled(), **arm)
    long = kj.Sequential([kj.Dense(2)], (3,), name="n" * 64)
    with pytest.raises(OptionError, match="at most 63 characters"):
        export(long, tmp_path / "fw", package="arduino")
    assert not (tmp_path / "fw").exists()


# ------------------------------------------------- two networks in one program


@pytest.mark.parametrize("second", [branches, single, legacy])
def test_private_kernels_of_two_networks_are_compiled_together(
    second, program, run, tmp_path
):
    first, second = image(), second()
    layout, files, folders = layout_of("cmake", ""), [], []
    for net in (first, second):
        here = tmp_path / net.name
        export(net, here, package="cmake", kernels="private")
        folders.append(here / "include")
        files += sources(here, layout)
    files.append(main_of_two(first, second, tmp_path))
    assert run(program([(files, folders)])) == answers(first, second)


@pytest.mark.parametrize("package", ["make", "cmake"])
@pytest.mark.parametrize("library", ["ccore", "cmsis-nn"])
def test_private_kernels_all_have_the_name_of_the_network(
    package, library, run, tmp_path
):
    net, here = branches(), tmp_path / "firmware"
    export(net, here, package=package, library=library, kernels="private")
    flags = c_flags(net, here) if package == "make" else []
    files = [
        path
        for path in here.rglob("*.c")
        if path.name.startswith(("arm_", "kanji_", "branches_data"))
    ]
    assert len(files) >= 3
    for file in files:
        run("gcc", *STRICT, *flags, "-c", file, "-o", tmp_path / "one.o")
        symbols = run("nm", "--defined-only", "-g", tmp_path / "one.o").split("\n")
        assert all(s.split()[-1].startswith("branches_") for s in symbols if s)


@pytest.mark.parametrize("second", [branches, single, legacy])
@pytest.mark.parametrize("package", ["make", "cmake"])
def test_libraries_of_two_networks_are_linked_together(package, second, run, tmp_path):
    first, second = image(), second()
    for net in (first, second):
        export(net, tmp_path / net.name, package=package)
    main_of_two(first, second, tmp_path)
    names = [first.name, second.name]
    targets = {"make": "{0}_network", "cmake": "{0}::{0}"}[package]
    added = "".join(f"add_subdirectory({name})\n" for name in names)
    linked = " ".join(map(targets.format, names))
    (tmp_path / "CMakeLists.txt").write_text(
        f"cmake_minimum_required(VERSION 3.13)\nproject(two C)\n{added}"
        f"add_executable(two two.c)\ntarget_link_libraries(two {linked})\n"
    )
    run("cmake", "-S", tmp_path, "-B", tmp_path / "build")
    run("cmake", "--build", tmp_path / "build")
    assert run(tmp_path / "build" / "two") == answers(first, second)
    symbols = run("nm", "--defined-only", "-g", tmp_path / "build" / "two")
    shared = [s.split()[-1] for s in symbols.splitlines()]
    assert shared.count("kanji_normalize_u8_s8") == 1
    other = "single_arm_fully_connected_s8" if second.name == "single" else "main"
    assert other in shared


# ------------------------------------------------- CMake


def test_cmake_builds_runs_and_installs(run, tmp_path):
    net, prefix = image(), tmp_path / "installed"
    export(net, tmp_path / "firmware", package="cmake")
    run("cmake", "-S", tmp_path / "firmware", "-B", tmp_path / "build")
    run("cmake", "--build", tmp_path / "build")
    run("ctest", "--test-dir", tmp_path / "build")
    assert run(tmp_path / "build" / "classify").endswith(RIGHT)
    run("cmake", "--install", tmp_path / "build", "--prefix", prefix)
    application = tmp_path / "application"
    application.mkdir()
    (application / "CMakeLists.txt").write_text("""\
cmake_minimum_required(VERSION 3.13)
project(application C)
find_package(image 1.0.0 CONFIG REQUIRED)
add_executable(application main.c)
target_link_libraries(application PRIVATE image::image)
""")
    (application / "main.c").write_text(
        '#include "image.h"\nint main(void)\n{\n    return (int)image_check();\n}\n'
    )
    where = f"-DCMAKE_PREFIX_PATH={prefix}"
    run("cmake", "-S", application, "-B", application / "build", where)
    run("cmake", "--build", application / "build")
    run(application / "build" / "application")


# ------------------------------------------------- Arduino


@pytest.fixture
def arduino(run, tmp_path):
    """Builds a sketch with Arduino's own builder; the program."""

    def arduino(sketch: Path) -> Path:
        build = tmp_path / "build"
        build.mkdir()
        run(
            "arduino-builder", "-compile", "-hardware", HERE / "arduino",
            "-tools", HERE / "arduino", "-libraries", tmp_path / "libraries",
            "-fqbn", "host:pc:pc", "-build-path", build, "-warnings", "all", sketch,
        )  # fmt: skip
        return build / f"{sketch.name}.elf"

    return arduino


def test_arduino_builds_and_runs_the_sketch(arduino, run, tmp_path):
    library = tmp_path / "libraries" / "legacy"
    export(legacy(), library, package="arduino")
    sketch = library / "examples" / "Classify" / "Classify.ino"
    said = run(arduino(sketch))
    assert re.fullmatch(rf"{CLASS.pattern}\d+ us\n{RIGHT}", said)


def test_arduino_links_two_networks(arduino, run, tmp_path):
    first, second = image(), single()
    for net in (first, second):
        export(net, tmp_path / "libraries" / net.name, package="arduino")
    text = main_of_two(first, second, tmp_path).read_text()
    sketch = tmp_path / "Two" / "Two.ino"
    sketch.parent.mkdir()
    loop = "void loop() {}\nvoid setup()"
    text = text.replace("int main(void)", loop).replace("    return 0;\n", "")
    sketch.write_text(text)
    assert run(arduino(sketch)) == answers(first, second)


def test_arduino_properties_are_complete(tmp_path):
    export(image(), tmp_path, package="arduino")
    lines = (tmp_path / "library.properties").read_text().splitlines()
    properties = dict(line.split("=", 1) for line in lines)
    assert {*properties} >= {
        "name", "version", "author", "maintainer", "sentence", "paragraph", "category",
        "url", "architectures",
    }  # fmt: skip
    assert all(properties.values())
    assert properties["dot_a_linkage"] == "true"  # networks share kernels


# ------------------------------------------------- PlatformIO


@pytest.fixture
def pio(run, tmp_path, monkeypatch):
    """PlatformIO with a platform for this computer, and nothing to fetch."""
    core = tmp_path / "core"
    shutil.copytree(HERE / "platformio", core / "platforms")
    tool = core / "packages" / "tool-scons"
    tool.mkdir(parents=True)
    version = platformio.dependencies.get_core_dependencies()["tool-scons"].strip("~")
    facts = {"name": "tool-scons", "version": version}
    (tool / "package.json").write_text(json.dumps(facts))
    spec = {"owner": "platformio", "name": "tool-scons"}
    installed = {"type": "tool", **facts, "spec": spec}
    (tool / ".piopm").write_text(json.dumps(installed))
    (tool / "scons.py").write_text("from SCons.Script import main\n\nmain()\n")
    monkeypatch.setenv("PLATFORMIO_CORE_DIR", str(core))
    monkeypatch.setenv("PLATFORMIO_SETTING_ENABLE_TELEMETRY", "No")
    return lambda *arguments: run(sys.executable, "-m", "platformio", *arguments)


def test_platformio_builds_and_runs_the_example(pio, tmp_path):
    here = tmp_path / "firmware"
    export(image(), here, package="platformio")
    project = here / "examples" / "classify"
    said = pio("run", "-d", project, "-e", "native", "-t", "exec")
    assert RIGHT in said and "[SUCCESS]" in said
    pio("pkg", "pack", here, "-o", tmp_path / "packed.tar.gz")


def test_platformio_links_two_networks(pio, tmp_path):
    first, second = image(), single()
    project = tmp_path / "project"
    for net in (first, second):
        export(net, project / "lib" / net.name, package="platformio")
    (project / "src").mkdir()
    shutil.move(main_of_two(first, second, tmp_path), project / "src")
    (project / "platformio.ini").write_text("[env:native]\nplatform = native\n")
    said = pio("run", "-d", project, "-t", "exec")
    assert answers(first, second) in said


# ------------------------------------------------- Zephyr

# The functions of Zephyr that a module calls, and the order in which it calls modules:
# the application's library is there, and is linked whole.
ZEPHYR = """\
cmake_minimum_required(VERSION 3.20.0)
project(application C)
add_library(zephyr_interface INTERFACE)
add_library(app STATIC)
target_link_libraries(app PUBLIC zephyr_interface)
{modules}
target_sources(app PRIVATE {sources})
file(WRITE ${{CMAKE_BINARY_DIR}}/none.c "")
add_executable(final ${{CMAKE_BINARY_DIR}}/none.c)
target_link_libraries(final -Wl,--whole-archive app -Wl,--no-whole-archive)
"""


def test_zephyr_modules_share_kernels(run, tmp_path):
    first, second = image(), single()
    modules = ""
    for net in (first, second):
        export(net, tmp_path / net.name, package="zephyr")
        modules += f"set(CONFIG_{net.name.upper()}_NETWORK y)\n"
        modules += f"add_subdirectory({net.name}/zephyr)\n"
    main_of_two(first, second, tmp_path)
    text = ZEPHYR.format(modules=modules, sources="two.c")
    (tmp_path / "CMakeLists.txt").write_text(text)
    run("cmake", "-S", tmp_path, "-B", tmp_path / "build")
    run("cmake", "--build", tmp_path / "build")
    assert run(tmp_path / "build" / "final") == answers(first, second)


def test_zephyr_sample_runs(run, tmp_path):
    export(image(), tmp_path, package="zephyr")
    modules = "set(CONFIG_IMAGE_NETWORK y)\nadd_subdirectory(zephyr)"
    sample = "samples/classify/src"
    text = ZEPHYR.format(modules=modules, sources=f"{sample}/main.c {sample}/cycles.c")
    (tmp_path / "CMakeLists.txt").write_text(text)
    run("cmake", "-S", tmp_path, "-B", tmp_path / "build")
    run("cmake", "--build", tmp_path / "build")
    assert run(tmp_path / "build" / "final").endswith(RIGHT)


def kconfig(directory: Path, text: str, monkeypatch) -> kconfiglib.Kconfig:
    """A tree of Kconfig files with a module in it, as Zephyr's own reader reads it."""
    path = directory / "Kconfig"
    path.write_text(f'{text}\nrsource "zephyr/Kconfig"\n')
    monkeypatch.setenv("srctree", str(directory))
    return kconfiglib.Kconfig("Kconfig", warn_to_stderr=False)


def test_zephyr_kconfig_and_module(tmp_path, monkeypatch):
    export(image(), tmp_path, package="zephyr")
    found = kconfig(tmp_path, "", monkeypatch)
    found.load_config(str(tmp_path / "samples" / "classify" / "prj.conf"))
    assert found.syms["IMAGE_NETWORK"].str_value == "y"
    assert not found.warnings
    module = (tmp_path / "zephyr" / "module.yml").read_text()
    assert module == MODULE
    assert (tmp_path / "samples" / "classify" / "sample.yaml").is_file()


MODULE = """\
name: image
build:
  cmake: zephyr
  kconfig: zephyr/Kconfig
samples:
  - samples/classify
"""

CMSIS_NN = "config CPU_CORTEX_M\n\tbool\n\tdefault y\n\nconfig CMSIS_NN\n\tbool\n" + (
    "".join(
        f"\nconfig CMSIS_NN_{part}\n\tbool\n\tdepends on CMSIS_NN\n"
        for part in (
            "ACTIVATION", "BASICMATH", "CONCATENATION", "CONVOLUTION",
            "FULLYCONNECTED", "NNSUPPORT", "POOLING", "SOFTMAX",
        )
    )
)  # fmt: skip


def test_zephyr_selects_what_the_network_calls_of_cmsis_nn(tmp_path, monkeypatch):
    export(image(), tmp_path, package="zephyr", library="cmsis-nn")
    found = kconfig(tmp_path, CMSIS_NN, monkeypatch)
    found.syms["IMAGE_NETWORK"].set_value("y")
    chosen = [s.name for s in found.unique_defined_syms if s.str_value == "y"]
    assert {*chosen} == {
        "CPU_CORTEX_M", "IMAGE_NETWORK", "CMSIS_NN", "CMSIS_NN_ACTIVATION",
        "CMSIS_NN_CONVOLUTION", "CMSIS_NN_FULLYCONNECTED", "CMSIS_NN_NNSUPPORT",
        "CMSIS_NN_POOLING", "CMSIS_NN_SOFTMAX",
    }  # fmt: skip
    assert not found.warnings


# ------------------------------------------------- ESP-IDF

# What idf_component_register does with its arguments.
ESP_IDF = """\
cmake_minimum_required(VERSION 3.16)
project(esp C)
function(idf_component_register)
  cmake_parse_arguments(_ "" "" "SRCS;INCLUDE_DIRS;PRIV_INCLUDE_DIRS" ${{ARGN}})
  get_filename_component(name ${{CMAKE_CURRENT_SOURCE_DIR}} NAME)
  add_library(${{name}} STATIC ${{__SRCS}})
  target_include_directories(${{name}} PUBLIC ${{__INCLUDE_DIRS}}
    PRIVATE ${{__PRIV_INCLUDE_DIRS}})
endfunction()
{components}
add_executable(esp esp.c)
target_link_libraries(esp {linked})
"""


def test_esp_idf_components_share_kernels(run, tmp_path):
    first, second = image(), single()
    names = [first.name, second.name]
    for net in (first, second):
        export(net, tmp_path / net.name, package="esp-idf")
    shutil.move(main_of_two(first, second, tmp_path), tmp_path / "esp.c")
    components = "".join(f"add_subdirectory({name})\n" for name in names)
    text = ESP_IDF.format(components=components, linked=" ".join(names))
    (tmp_path / "CMakeLists.txt").write_text(text)
    run("cmake", "-S", tmp_path, "-B", tmp_path / "build")
    run("cmake", "--build", tmp_path / "build")
    assert run(tmp_path / "build" / "esp") == answers(first, second)


def test_esp_idf_manifest_is_one_to_the_component_manager(tmp_path):
    export(image(), tmp_path, package="esp-idf")
    manifest = ManifestManager(str(tmp_path), name="image").load()
    assert (manifest.name, str(manifest.version)) == ("image", "1.0.0")
    assert [*manifest.examples] == [{"path": "examples/classify"}]
    assert (tmp_path / "examples" / "classify" / "main" / "main.c").is_file()


# ------------------------------------------------- CMSIS-Pack

# PACK.xsd 1.7: which elements may be in another, in this order.
ORDER = {
    "package": [
        "vendor", "name", "description", "url", "license", "releases", "keywords",
        "conditions", "components",
    ],
    "condition": ["accept", "require"],
    "component": [
        "description", "RTE_Components_h", "Pre_Include_Global_h", "files",
    ],
}  # fmt: skip
CATEGORIES = {"doc", "header", "include", "sourceC"}


@pytest.mark.parametrize("library", ["ccore", "cmsis-nn"])
@pytest.mark.parametrize("build", [image, single])
def test_cmsis_pack_describes_its_files(build, library, tmp_path):
    net = build()
    export(net, tmp_path, package="cmsis-pack", library=library)
    root = ET.parse(tmp_path / f"kanji_np.{net.name}.pdsc").getroot()
    for element in root.iter():
        if element.tag in ORDER:
            places = [ORDER[element.tag].index(child.tag) for child in element]
            assert places == sorted(places)
    assert re.fullmatch(r"[-_A-Za-z0-9]+", root.findtext("name"))
    (component,) = root.iter("component")
    release = root.find("releases/release")
    assert component.get("Cversion") == release.get("version") == "1.0.0"
    conditions = {c.get("id"): c for c in root.iter("condition")}
    needs = [*conditions[component.get("condition")].iter("require")]
    macro = component.findtext("Pre_Include_Global_h") or ""
    if library == "ccore":
        assert (needs, macro) == ([], "")
    else:
        assert [n.attrib for n in needs] == [{"Cclass": "CMSIS", "Cgroup": "NN Lib"}]
        assert ("USE_SINGLE_ROUNDING" in macro) == (build is single)
    files = [*component.iter("file")]
    assert {file.get("category") for file in files} == CATEGORIES
    assert all((tmp_path / file.get("name")).exists() for file in files)
    listed = [f.get("name") for f in files if f.get("category") == "sourceC"]
    assert sorted(listed) == sorted(
        path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.c")
    )


def test_cmsis_packs_are_compiled_into_one_project(program, run, tmp_path):
    """File by file, as their tools do."""
    first, second = image(), branches()
    files, folders = [main_of_two(first, second, tmp_path)], []
    for net in (first, second):
        here = tmp_path / net.name
        export(net, here, package="cmsis-pack")
        for file in ET.parse(here / f"kanji_np.{net.name}.pdsc").iter("file"):
            if file.get("attr") == "template":
                continue
            if file.get("category") == "sourceC":
                files.append(here / file.get("name"))
            elif file.get("category") == "include":
                folders.append(here / file.get("name"))
    assert run(program([(files, folders)])) == answers(first, second)


# ------------------------------------------------- CMSIS-NN and cores


@pytest.mark.parametrize("package", ["arduino", "platformio"])
def test_kernels_of_the_library_are_copied(package, run, tmp_path):
    """They compile with no folder but those of CMSIS Core, which boards have."""
    layers = [kj.Conv2D(5, 3), kj.MaxPool2D(2), kj.Flatten(), kj.Dense(3)]
    net = kj.Sequential(layers, (9, 8, 3), version="4.0.0", name="copied")
    library, here = bundled(), tmp_path / "firmware"
    export(net, here, package=package, library="cmsis-nn", cmsis_nn=library)
    layout = layout_of(package, net.name)
    core = library.parent / "cmsis_core" / "Include"
    assert (core / "cmsis_compiler.h").is_file()
    flags = ["-O2", "-mcpu=cortex-m4", "-mthumb", f"-I{here / layout.header}"]
    archive, objects = tmp_path / "copied.a", []
    for file in sources(here, layout):
        objects.append(tmp_path / f"{file.stem}.o")
        run("arm-none-eabi-gcc", *flags, f"-I{core}", "-c", file, "-o", objects[-1])
    run("arm-none-eabi-ar", "rcs", archive, *objects)
    symbols = run("arm-none-eabi-nm", archive)
    assert "arm_nn_mat_mult_kernel_s8_s16" in symbols  # Arm's, not ccore's
    again = verify(here, noise(net, 2), cmsis_nn=library, on="cortex-m4")
    assert again.differing_bytes == 0


VECTORS = """\
typedef void (*handler_t)(void);
typedef union
{
    unsigned long stack;
    handler_t handler;
} vector_t;

extern void _start(void);
extern void SysTick_Handler(void) __attribute__((weak));

__attribute__((section(".vectors"), used)) static const vector_t vectors[16] = {
    {0x20100000}, {.handler = _start}, [15] = {.handler = SysTick_Handler}};
"""


@pytest.mark.parametrize(
    ("core", "machine", "counted"),
    [
        # QEMU's M4 has no DWT; its M3 runs what is compiled for an M0+
        ("cortex-m4", "mps2-an386", r"0 cycles \(this core has no counter\)"),
        ("cortex-m0plus", "mps2-an385", r"[1-9]\d{5,6} cycles"),
    ],
)
def test_the_example_runs_on_a_core(core, machine, counted, run, tmp_path):
    net, here = image(), tmp_path / "firmware"
    export(net, here, package="cmake")
    (tmp_path / "vectors.c").write_text(VECTORS)
    files = [*(here / "src").glob("*.c"), *(here / "example").glob("*.c")]
    elf = tmp_path / "program"
    run(
        "arm-none-eabi-gcc", *STRICT, "-O2", f"-mcpu={core}", "-mthumb",
        f"-I{here / 'include'}", *files, tmp_path / "vectors.c",
        "--specs=rdimon.specs", "-Wl,--section-start=.vectors=0,-Tdata=0x20000000",
        "-Wl,--no-warn-rwx-segments", "-o", elf,
    )  # fmt: skip
    said = run(
        "qemu-system-arm", "-M", machine, "-kernel", elf, "-icount", "shift=6",
        "-display", "none", "-serial", "none", "-monitor", "none",
        "-semihosting-config", "enable=on,target=native",
    )  # fmt: skip
    assert re.fullmatch(rf"{CLASS.pattern}{counted}\n{RIGHT}", said)
