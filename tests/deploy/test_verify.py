import re
from dataclasses import replace

import numpy as np
import pytest

import kanji_np as kj
from kanji_np.deploy import Difference, export, verify
from kanji_np.errors import (
    FileFormatError,
    OptionError,
    ShapeError,
    ToolError,
    VerificationError,
)

from .networks import SANITIZE, image, noise, only_dense


def test_c_equals_the_model_under_sanitizers(net, firmware):
    before = sorted(firmware.directory.rglob("*"))
    images = noise(net, 40)
    result = verify(firmware.directory, images, compiler=f"gcc {SANITIZE}")
    assert result.ok and result.first is None
    assert (result.images, result.differing_bytes) == (40, 0)
    assert result.bytes == 40 * net.freeze().output.size
    assert sorted(firmware.directory.rglob("*")) == before


def test_c_equals_the_model_with_clang(image_firmware):
    images = noise(image(), 40)
    assert verify(image_firmware.directory, images, compiler=f"clang {SANITIZE}").ok


def test_verifies_a_dataset_and_reports_progress(image_firmware):
    images = noise(image(), 1300)
    dataset = kj.Dataset(images, np.zeros(1300, np.int64), ("thing",), "things")
    seen = []
    result = verify(
        image_firmware.directory, dataset, progress=lambda *n: seen.append(n)
    )
    assert result.ok and result.images == 1300
    assert seen == sorted(seen) and seen[-1] == (1300, 1300) and len(seen) > 1


def with_weight(graph, name, change):
    """The graph with other weights in one layer."""
    nodes = []
    for node in graph.nodes:
        if node.name == name:
            weight = change(node.ints.weight.copy())
            node = replace(node, ints=replace(node.ints, weight=weight))
        nodes.append(node)
    return replace(graph, nodes=tuple(nodes))


def test_changed_weight_is_found_and_named(image_firmware):
    here = image_firmware.directory
    path, net = here / "image_data.c", image()
    head, rest = path.read_text().split("image_conv2_weight[180] = {\n")
    old = re.match(r"\s*(-?\d+),", rest)
    new = -int(old[1]) or 99
    path.write_text(
        head + "image_conv2_weight[180] = {\n" + rest.replace(old[0], f"    {new},", 1)
    )

    def change(weight):
        assert weight.flat[0] == int(old[1])
        weight.flat[0] = new
        return weight

    images, golden = noise(net, 100), net.freeze()
    changed = with_weight(golden, "conv2", change)
    wrong = golden.run(images) != changed.run(images)
    number = int(wrong.any(1).argmax())
    ours, theirs = (
        list(g.layers(images[number : number + 1]))[4][0] for g in (golden, changed)
    )
    index = tuple(np.argwhere(ours != theirs)[0].tolist())

    result = verify(here, images)
    assert not result.ok
    assert result.differing_bytes == wrong.sum() > 0
    assert result.first == Difference(
        number, 5, "conv2", index, theirs[index], ours[index]
    )
    assert str(result.first) == (
        f"image {number}, layer 5 (conv2), h {index[0]}, w {index[1]}, c {index[2]}: "
        f"the C computes {theirs[index]}, the model {ours[index]}"
    )


def test_changed_pool_constant_is_found(image_firmware):
    path = image_firmware.directory / "image.c"
    head, rest = path.read_text().split("run_pool1(", 1)
    path.write_text(head + "run_pool1(" + rest.replace(".max = 127", ".max = 3", 1))
    result = verify(image_firmware.directory, noise(image(), 100))
    assert (result.first.layer, result.first.name) == (4, "pool1")
    assert result.first.device == 3 < result.first.golden


def test_last_layer_that_differs_is_named_by_its_index(tmp_path, edit):
    net = only_dense()
    export(net, tmp_path)
    edit(tmp_path / "only_dense.c", ".max = 127", ".max = -128")
    result = verify(tmp_path, noise(net, 3))
    assert "layer 1 (dense1), index " in str(result.first)
    assert result.first.device == -128


@pytest.mark.parametrize(
    ("index", "place"),
    [
        ((4,), "index 4"),
        ((4, 5), "t 4, c 5"),
        ((4, 5, 6), "h 4, w 5, c 6"),
        ((4, 5, 6, 7), "index (4, 5, 6, 7)"),
    ],
)
def test_a_difference_is_placed_in_a_layer_of_any_shape(index, place):
    text = "image 1, layer 2 (a), {}: the C{} computes 3, the model -3"
    found = Difference(1, 2, "a", index, 3, -3)
    assert str(found) == text.format(place, "")
    assert str(replace(found, on="cortex-m4")) == text.format(place, " on cortex-m4")


def two_axes():
    layers = [kj.Conv1D(3, 2, name="steps"), kj.Reshape((3, 12))]
    return kj.Sequential(layers, (13, 2), name="two_axes")


def test_a_layer_of_two_axes_that_differs_is_named(tmp_path, edit):
    export(two_axes(), tmp_path)
    edit(tmp_path / "two_axes.c", ".max = 127", ".max = -128")
    result = verify(tmp_path, noise(two_axes(), 3), layers=True)
    assert str(result.first).startswith("image 0, layer 1 (steps), t 0, c 0: the C ")


def test_other_model_is_refused(image_firmware):
    other = image()
    other.layers[1].weight.data[0] *= 1.5
    other.freeze()
    other.save(image_firmware.directory / "model.npz")
    with pytest.raises(VerificationError, match=r"image.h is of model .* export"):
        verify(image_firmware.directory, noise(other, 1))
    (image_firmware.directory / "image.h").unlink()
    with pytest.raises(FileFormatError, match=r"image\.h: missing"):
        verify(image_firmware.directory, noise(other, 1))


def test_missing_compiler(image_firmware, monkeypatch):
    images = noise(image(), 1)
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolError, match="install gcc or clang"):
        verify(image_firmware.directory, images)
    monkeypatch.setenv("CC", "nocc -O3")
    with pytest.raises(ToolError, match="'nocc -O3' is not installed"):
        verify(image_firmware.directory, images)


def test_compiler_errors_are_shown(image_firmware, edit):
    edit(image_firmware.directory / "image.c", "base = arena;", "base = zero;")
    with pytest.raises(ToolError, match=r"gcc failed:\n.*image.c:\d+.*zero"):
        verify(image_firmware.directory, noise(image(), 1), compiler="gcc")


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("__builtin_trap();", "was ended by SIG"),
        ("return 3;", "failed"),
        ("return 0;", "wrote 0 bytes, 10 expected"),
    ],
)
def test_failing_program_is_reported(statement, said, image_firmware, edit):
    runner = image_firmware.directory / "host_runner.c"
    edit(runner, "    while", f"    {statement}\n    while")
    with pytest.raises(VerificationError, match=said):
        verify(image_firmware.directory, noise(image(), 2))


def test_refused_arguments_name_the_layer(image_firmware):
    path = image_firmware.directory / "image.c"
    head, rest = path.read_text().split("run_pool2(", 1)
    path.write_text(head + "run_pool2(" + rest.replace(".n = 1", ".n = 0", 1))
    with pytest.raises(VerificationError, match="failed: image_run returned 6"):
        verify(image_firmware.directory, noise(image(), 2))


def test_images_must_fit(image_firmware):
    with pytest.raises(ShapeError, match="image takes uint8"):
        verify(image_firmware.directory, np.zeros((2, 4, 4, 3), np.uint8))


def test_other_directories_are_refused(tmp_path):
    with pytest.raises(FileFormatError, match="not a firmware directory"):
        verify(tmp_path, np.zeros((1, 1), np.int8))


def test_cmsis_nn_must_be_said(tmp_path):
    export(only_dense(), tmp_path, library="cmsis-nn")
    with pytest.raises(OptionError, match="say where it is: --cmsis-nn on the command"):
        verify(tmp_path, noise(only_dense(), 1))


def test_libraries_must_go_together(tmp_path):
    export(only_dense(), tmp_path)
    images = noise(only_dense(), 1)
    with pytest.raises(OptionError, match="library must be one of"):
        verify(tmp_path, images, library="tflm")
    with pytest.raises(OptionError, match="links ccore; cmsis_nn is for"):
        verify(tmp_path, images, cmsis_nn=tmp_path)
    with pytest.raises(OptionError, match="say where it is"):
        verify(tmp_path, images, library="cmsis-nn")
    with pytest.raises(OptionError, match="not CMSIS-NN"):
        verify(tmp_path, images, library="cmsis-nn", cmsis_nn=tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("fwrite(&layer, ", "layer = 9; fwrite(&layer, ", "layer 9 was observed with"),
        ("fwrite(data, 1, (size_t)bytes, stdout);", "", "wrote .* expected beside its"),
    ],
)
def test_layers_that_make_no_sense_are_refused(old, new, said, tmp_path, edit):
    export(only_dense(), tmp_path)
    edit(tmp_path / "host_runner.c", old, new)
    with pytest.raises(VerificationError, match=said):
        verify(tmp_path, noise(only_dense(), 5), layers=True)


def test_c_that_depends_on_more_than_its_input_is_told_apart(tmp_path, edit):
    export(only_dense(), tmp_path)
    flip = "#ifndef ONLY_DENSE_OBSERVE\n        output[0] ^= 1;\n#endif\n"
    edit(tmp_path / "host_runner.c", "        if (fwrite", flip + "        if (fwrite")
    with pytest.raises(VerificationError, match="image 0 differs, but not when"):
        verify(tmp_path, noise(only_dense(), 2))
