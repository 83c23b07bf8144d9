"""What every layer must compute, as C."""

import re

import numpy as np
import pytest

import kanji_np as kj
from kanji_np.deploy import vectors
from kanji_np.errors import DataError, FileFormatError, ShapeError

from .networks import STRICT, image, noise

CHECK = """
#include <stdio.h>
#include <string.h>
#include "image.h"
#include "image_vectors.h"

static int image_number, layers;
static int8_t output[IMAGE_OUTPUT_BYTES];
static uint8_t arena[IMAGE_ARENA_BYTES] __attribute__((aligned(16)));

void image_observe(int32_t layer, const int8_t *data, int32_t bytes)
{
    const image_vector_t *const golden = &image_vectors[layer - 1];

    layers++;
    if (golden->layer != layer || golden->bytes != bytes
        || memcmp(data, &golden->outputs[image_number * bytes], (size_t)bytes) != 0)
    {
        printf("layer %d (%s) differs\\n", (int)golden->layer, golden->name);
    }
}

int main(void)
{
    const uint8_t *input = image_vectors_input;

    for (; image_number < IMAGE_VECTORS_IMAGES; image_number++)
    {
        image_run(input, output, arena);
        input += IMAGE_INPUT_BYTES;
    }
    printf("%d layers\\n", layers);
    return 0;
}
"""


def test_vectors_compile_and_agree_with_the_c(image_firmware, run, tmp_path):
    here, out = image_firmware.directory, tmp_path / "out"
    vectors(here, noise(image(), 5), out, count=3)
    (tmp_path / "check.c").write_text(CHECK)
    program = tmp_path / "check"
    own = [tmp_path / "check.c", out / "image_vectors.c", *here.glob("image*.c")]
    run(
        "gcc", *STRICT, "-O1", "-DIMAGE_OBSERVE", f"-I{out}", f"-I{here}",
        f"-I{here / 'ccore/Include'}", *own, *here.glob("ccore/Source/*.c"), "-o",
        program,
    )  # fmt: skip
    works = sum(node.op != "flatten" for node in image().freeze().nodes)
    assert run(program) == f"{3 * works} layers\n"

    text = (out / "image_vectors.c").read_text()
    head, rest = text.split("conv2_outputs[504] = {\n")
    value = re.match(r"\s*(-?\d+),", rest)[1]
    changed = rest.replace(value, str(int(value) ^ 1), 1)
    (out / "image_vectors.c").write_text(f"{head}conv2_outputs[504] = {{\n{changed}")
    run(
        "gcc", "-O1", "-DIMAGE_OBSERVE", f"-I{out}", f"-I{here}",
        f"-I{here / 'ccore/Include'}", *own, *here.glob("ccore/Source/*.c"), "-o",
        program,
    )  # fmt: skip
    assert "layer 5 (conv2) differs\n" in run(program)


def test_arrays_hold_the_golden_bytes(image_firmware, tmp_path):
    images, graph = noise(image(), 4), image().freeze()
    dataset = kj.Dataset(images, np.zeros(4, np.int64), ("thing",), "things")
    files = vectors(image_firmware.directory, dataset, tmp_path / "a", count=2)
    assert [path.name for path in files] == [
        "image_vectors.h",
        "image_vectors.c",
        "image_vectors.npz",
    ]
    with np.load(files[2]) as arrays:
        assert np.array_equal(arrays["input"], images[:2])
        assert len(arrays.files) == 1 + len(graph.nodes)
        for i, y in enumerate(graph.layers(images[:2])):
            assert np.array_equal(arrays[f"{i + 1}_{graph.nodes[i].name}"], y)
    again = vectors(image_firmware.directory, images, tmp_path / "b", count=2)
    for first, second in zip(files, again, strict=True):
        assert first.read_bytes() == second.read_bytes()
    assert max(map(len, files[0].read_text().splitlines())) <= 88


def test_wrong_directories_and_images_are_refused(image_firmware, tmp_path):
    with pytest.raises(FileFormatError, match="not a firmware directory"):
        vectors(tmp_path, noise(image(), 1), tmp_path / "out")
    with pytest.raises(ShapeError, match="image takes uint8"):
        vectors(image_firmware.directory, np.zeros((2, 4), np.uint8), tmp_path / "out")
    with pytest.raises(DataError, match="no images"):
        vectors(image_firmware.directory, noise(image(), 1)[:0], tmp_path / "out")
    assert not (tmp_path / "out").exists()
