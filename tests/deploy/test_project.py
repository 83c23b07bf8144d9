import json
import re
from pathlib import Path

import numpy as np
import pytest

import kanji_np as kj
from kanji_np.deploy import export
from kanji_np.deploy.kernels import defines
from kanji_np.deploy.names import TAKEN, check_network_name
from kanji_np.errors import (
    DataError,
    FileFormatError,
    OptionError,
    ShapeError,
    UnsupportedOp,
)
from kanji_np.targets import target_spec

from .networks import SANITIZE, STRICT, c_flags, image, noise, only_dense


def contents(directory):
    return {
        path.relative_to(directory): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("library", ["ccore", "cmsis-nn"])
def test_same_network_gives_the_same_bytes(net, library, tmp_path):
    first = export(net, tmp_path / "a", library=library)
    second = export(net, tmp_path / "b", library=library)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert (
        first.files == second.files == tuple(sorted(map(str, contents(tmp_path / "a"))))
    )
    export(kj.load(tmp_path / "a" / "model.npz"), tmp_path / "b", library=library)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_c_is_the_same_for_both_libraries(tmp_path):
    export(image(), tmp_path / "a")
    export(image(), tmp_path / "b", library="cmsis-nn")
    for name in ("image.h", "image.c", "image_data.h", "image_data.c", "selftest.c"):
        assert (tmp_path / "a" / name).read_bytes() == (
            tmp_path / "b" / name
        ).read_bytes()


@pytest.mark.parametrize("build", [image, only_dense])
def test_make_runs_the_selftest_and_cleans_up(build, run, tmp_path):
    firmware = export(build(), tmp_path)
    make = ("make", "-C", tmp_path, f"CFLAGS=-O1 {SANITIZE}")
    run(*make, "lib", "runner")
    assert "self-test passed" in run(*make, "test")
    run(*make, "clean")
    assert set(map(str, contents(tmp_path))) == set(firmware.files)


def test_rounding_is_a_macro_of_every_source(tmp_path, run):
    target = target_spec("cmsis-nn", rounding="single")
    net = kj.Sequential([kj.Dense(3)], (5,), name="single", target=target)
    firmware = export(net, tmp_path / "firmware")
    log = run("make", "-C", firmware.directory, "lib")
    compiled = [line for line in log.splitlines() if " -c " in line]
    assert len(compiled) >= 3
    assert all(" -DCMSIS_NN_USE_SINGLE_ROUNDING " in line for line in compiled)
    run("cmake", "-S", firmware.directory, "-B", tmp_path / "build")
    log = run("cmake", "--build", tmp_path / "build", "--verbose")
    compiled = [line for line in log.splitlines() if " -c " in line]
    assert all("-DCMSIS_NN_USE_SINGLE_ROUNDING" in line for line in compiled)


def test_cmake_builds_library_and_selftest(image_firmware, run, tmp_path):
    run("cmake", "-S", image_firmware.directory, "-B", tmp_path / "build")
    run("cmake", "--build", tmp_path / "build")
    assert run(tmp_path / "build" / "selftest") == "self-test passed\n"


def test_selftest_notices(image_firmware, edit, run):
    here = image_firmware.directory
    old = re.search(r"CONV1_SCRATCH_BYTES = \d+", (here / "image.c").read_text())
    edit(here / "image.c", old[0], "CONV1_SCRATCH_BYTES = 3")
    kernels = (here / "ccore" / "Source").glob("*.c")
    sources = [here / "selftest.c", *here.glob("image*.c"), *kernels]
    run("gcc", *c_flags(image(), here), *sources, "-o", here / "for_a_device")
    said = run(here / "for_a_device", status=1)
    assert said == "layer 2 wants more scratch memory than it has\n"
    edit(here / "image.c", "CONV1_SCRATCH_BYTES = 3", old[0])
    text = (here / "selftest_vectors.h").read_text()
    head, outputs = text.split("selftest_output")
    row = re.search(r"-?\d+, ", outputs.split("{")[1])[0]
    (here / "selftest_vectors.h").write_text(
        head + "selftest_output" + outputs.replace(row, "99, ", 1)
    )
    run("make", "-C", here, "build/selftest", "CFLAGS=-O1")
    said = run(here / "build" / "selftest", status=1)
    assert said == f"image 0, output 0: got {row[:-2]}, expected 99\n"


def test_selftest_takes_the_images_it_is_given(tmp_path):
    images = noise(image(), 9)
    export(image(), tmp_path / "fw", images=images)
    text = (tmp_path / "fw" / "selftest_vectors.h").read_text()
    inputs = re.search(r"selftest_input\[3432\] = {(.*?)}", text, re.DOTALL)[1]
    assert np.array_equal(
        np.array(inputs.split(","), int), images[:4].ravel().astype(int)
    )
    dataset = kj.Dataset(images, np.zeros(9, np.int64), ("thing",), "things")
    export(image(), tmp_path / "fw2", images=dataset)
    assert contents(tmp_path / "fw") == contents(tmp_path / "fw2")


def test_readme_snippet_compiles(net, firmware, run, tmp_path):
    here = firmware.directory
    macros = defines(net.freeze().target, "ccore")
    snippet = re.search(r"```c\n(.*?)```", (here / "README.md").read_text(), re.DOTALL)
    (tmp_path / "app.c").write_text(snippet[1])
    flags = [*STRICT, f"-I{here}", *(f"-D{m}" for m in macros)]
    run("gcc", *flags, "-c", tmp_path / "app.c", "-o", tmp_path / "app.o")


def test_no_path_of_the_machine_is_written(image_firmware):
    for path in image_firmware.directory.rglob("*"):
        if path.is_file():
            assert str(image_firmware.directory).encode() not in path.read_bytes()


def test_directory_with_other_files_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OptionError, match="not an earlier export"):
        export(only_dense(), tmp_path)
    assert list(contents(tmp_path).values()) == [b"mine"]
    export(only_dense(), tmp_path, force=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    with pytest.raises(OptionError, match="is a file"):
        export(only_dense(), tmp_path / "notes.txt")


def test_exporting_again_replaces_the_earlier_files_and_no_other(tmp_path):
    export(image(), tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    firmware = export(only_dense(), tmp_path)
    assert set(map(str, contents(tmp_path))) == {*firmware.files, "notes.txt"}


@pytest.mark.parametrize("files", [["../notes.txt"], "text", None])
def test_damaged_manifest_is_refused(files, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    here = tmp_path / "fw"
    export(only_dense(), here)
    content = json.loads((here / "firmware.json").read_text())
    content = {**content, "files": files}
    if files == "text":
        content = "text"
    (here / "firmware.json").write_text(json.dumps(content))
    with pytest.raises(FileFormatError, match="damaged"):
        export(only_dense(), here)
    assert (tmp_path / "notes.txt").exists()


def test_options_are_checked(tmp_path):
    with pytest.raises(OptionError, match="library must be one of"):
        export(only_dense(), tmp_path / "fw", library="cmsis")
    with pytest.raises(ShapeError, match="takes float32 or int8"):
        export(only_dense(), tmp_path / "fw", images=np.zeros((2, 9), np.int8))
    with pytest.raises(DataError, match="no images"):
        export(only_dense(), tmp_path / "fw", images=np.zeros((0, 17), np.int8))
    assert not (tmp_path / "fw").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("stdint", "a header of the C library"),
        ("stddef", "a header of the C library"),
        ("stdio", "a header of the C library"),
        ("features", "a header of the C library"),
        ("reent", "a header of the C library"),
        ("tz_context", "a header of CMSIS"),
        ("arduino", "a header of Arduino"),
        ("kernel", "a header of Zephyr"),
        ("queue", "a header of FreeRTOS"),
        ("sdkconfig", "a header of ESP-IDF"),
        ("com1", "a device of Windows"),
        ("guard", "a file of every export"),
        ("selftest", "a file of every export"),
        ("arm_math", "how names of CMSIS-NN begin"),
        ("kanji_nn", "how names of the kernels begin"),
        ("cmsis_gcc", "how names of CMSIS begin"),
    ],
)
def test_names_of_others_are_refused(name, said, tmp_path):
    net = kj.Sequential([kj.Dense(2)], (3,), name=name)
    with pytest.raises(OptionError, match=f"{name}' would clash .*: that is {said};"):
        export(net, tmp_path / "fw")
    assert not (tmp_path / "fw").exists()


def test_names_too_long_for_a_file_are_refused(tmp_path):
    net = kj.Sequential([kj.Dense(2)], (3,), name="n" * 101)
    with pytest.raises(
        OptionError, match=r"at most 100 characters .* n{20}... has 101$"
    ):
        export(net, tmp_path / "fw")


def test_every_header_that_the_compiler_opens_is_refused(tmp_path, run):
    """Beside those of the package, of whatever the C of a firmware includes."""
    firmware = export(image(), tmp_path)
    sources = [tmp_path / f for f in ("image.c", "image_data.c", "host_runner.c")]
    flags = [*c_flags(image(), tmp_path), "-DIMAGE_GUARD", "-DIMAGE_OBSERVE"]
    runs = [
        run(compiler, *flags, "-M", *sources)
        for compiler in ("gcc", "clang", "arm-none-eabi-gcc")
    ]
    opened = {Path(word) for said in runs for word in said.split()}
    stems = {
        path.stem
        for path in opened
        if path.suffix == ".h"
        and tmp_path not in path.parents
        # <bits/types.h> is never <types.h>
        and path.parent.name in ("include", "newlib")
    }
    assert stems >= {"stdint", "stdio", "string"}
    usable = {stem for stem in stems if re.fullmatch("[a-z][a-z0-9_]*", stem)}
    assert usable - {*TAKEN} == set()
    own = {
        path.stem for path in map(Path, firmware.files) if path.suffix in (".c", ".h")
    }
    for name in own - {"image", "image_data"}:
        with pytest.raises(OptionError, match="would clash"):
            check_network_name(name)


def test_cmsis_nn_is_looked_through(tmp_path):
    library = tmp_path / "library"
    with pytest.raises(OptionError, match="not CMSIS-NN"):
        export(only_dense(), tmp_path / "fw", library="cmsis-nn", cmsis_nn=library)
    sources = library / "Source" / "FullyConnectedFunctions"
    sources.mkdir(parents=True)
    (library / "Include").mkdir()
    (library / "Include" / "arm_nnfunctions.h").touch()
    (sources / "a.c").write_text(
        "arm_cmsis_nn_status arm_fully_connected_s8(int x)\n{}\n"
    )
    with pytest.raises(
        UnsupportedOp, match=r"no arm_fully_connected_s8_get_buffer_size$"
    ):
        export(only_dense(), tmp_path / "fw", library="cmsis-nn", cmsis_nn=library)
    (sources / "b.c").write_text(
        "int32_t arm_fully_connected_s8_get_buffer_size(int x)"
    )
    firmware = export(
        only_dense(), tmp_path / "fw", library="cmsis-nn", cmsis_nn=library
    )
    assert [f for f in firmware.files if f.startswith("ccore/")] == [
        "ccore/Include/kanji_config.h",
        "ccore/Include/kanji_nn.h",
    ]
