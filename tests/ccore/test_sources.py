"""ccore compiles without a warning, everywhere it says it does, and includes little."""

import re

import pytest

from .driver import HEADERS, SOURCES, STRICT, WARNINGS, compile_c

INCLUDE = f"-I{HEADERS[0].parent}"
ROUNDINGS = ([], ["-DCMSIS_NN_USE_SINGLE_ROUNDING"])


@pytest.mark.parametrize("rounding", ROUNDINGS, ids=("double", "single"))
@pytest.mark.parametrize("compiler", ("gcc", "clang"))
def test_sources_compile_without_warnings(compiler, rounding, tmp_path):
    for source in SOURCES:
        output = tmp_path / source.with_suffix(".o").name
        compile_c(
            compiler,
            [*STRICT, *rounding, "-O2", INCLUDE, "-c", source, "-o", output],
        )


@pytest.mark.parametrize("compiler", ("gcc", "clang"))
@pytest.mark.parametrize("header", HEADERS, ids=lambda path: path.name)
def test_header_stands_alone_in_c_and_cpp(header, compiler, tmp_path):
    source = tmp_path / "only.c"
    source.write_text(f'#include "{header.name}"\nint only;\n', encoding="utf-8")
    for language in (["-std=c99"], ["-x", "c++", "-std=c++11"]):
        compile_c(compiler, [*language, *WARNINGS, INCLUDE, "-fsyntax-only", source])


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_source_is_named_after_its_function(source):
    defined = re.findall(
        r"^(?!static)\w+ ((?:arm|kanji)_\w+)\(", source.read_text(), re.MULTILINE
    )
    if "_get_buffer_sizes_" in source.stem:
        kernel = source.stem.split("_get_buffer_sizes_")[0]
        assert defined
        assert all(n.startswith(kernel) and "_get_buffer_size" in n for n in defined)
    else:
        assert defined == [source.stem]


@pytest.mark.parametrize("path", (*HEADERS, *SOURCES), ids=lambda path: path.name)
def test_file_includes_little_and_names_its_licence(path):
    text = path.read_text(encoding="utf-8")
    allowed = {"stdint.h", "stddef.h", "string.h"}
    assert set(re.findall(r"#include <(.+)>", text)) <= allowed
    assert text.startswith("/* SPDX-License-Identifier: Apache-2.0")
    assert not re.search(r"\b(malloc|free|float|double|goto)\b", code_of(text))


def code_of(text: str) -> str:
    return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
