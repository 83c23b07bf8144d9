"""ccore compiles without a warning, everywhere it says it does, and includes little."""

import re

import pytest

from kanji_np.deploy.kernels import needed

from .driver import CORES, INCLUDES, ROUNDINGS, SOURCES, STRICT, WARNINGS, compile_c


def name(parameter) -> str:
    """Of a file, as part of a test's name; of other parameters the text."""
    return getattr(parameter, "name", str(parameter))


FOLDERS = {api: [f"-I{folder}" for folder in INCLUDES[api]] for api in INCLUDES}
#: Every way that the sources may be compiled: API, core class, rounding.
WAYS = [(a, c, r) for a in INCLUDES for c in CORES[a] for r in ROUNDINGS[a]]
HEADERS = sorted(
    (api, header)
    for api, folders in INCLUDES.items()
    for header in folders[0].glob("*.h")
)
ALL_SOURCES = sorted({source for sources in SOURCES.values() for source in sources})


@pytest.mark.parametrize(("api", "core", "rounding"), WAYS, ids="-".join)
@pytest.mark.parametrize("compiler", ("gcc", "clang"))
def test_sources_compile_without_warnings(compiler, api, core, rounding, tmp_path):
    flags = [*STRICT, *CORES[api][core], *ROUNDINGS[api][rounding], *FOLDERS[api]]
    for source in SOURCES[api]:
        output = tmp_path / source.with_suffix(".o").name
        compile_c(compiler, [*flags, "-O2", "-c", source, "-o", output])


@pytest.mark.parametrize("compiler", ("gcc", "clang"))
@pytest.mark.parametrize(("api", "header"), HEADERS, ids=name)
def test_header_stands_alone_in_c_and_cpp(api, header, compiler, tmp_path):
    source = tmp_path / "only.c"
    source.write_text(f'#include "{header.name}"\nint only;\n', encoding="utf-8")
    for language in (["-std=c99"], ["-x", "c++", "-std=c++11"]):
        flags = [*language, *WARNINGS, *FOLDERS[api]]
        compile_c(compiler, [*flags, "-fsyntax-only", source])


@pytest.mark.parametrize("source", ALL_SOURCES, ids=name)
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


@pytest.mark.parametrize("path", [*(h for _, h in HEADERS), *ALL_SOURCES], ids=name)
def test_file_includes_little_and_names_its_licence(path):
    text = path.read_text(encoding="utf-8")
    allowed = {"stdint.h", "stddef.h", "string.h"}
    assert set(re.findall(r"#include <(.+)>", text)) <= allowed
    assert text.startswith("/* SPDX-License-Identifier: Apache-2.0")
    assert not re.search(r"\b(malloc|free|float|double|goto)\b", code_of(text))


def test_own_kernels_need_no_header_of_a_library():
    """Exports bring the private one along."""
    (header,) = (path for _, path in HEADERS if path.name == "kanji_nn.h")
    declared = re.findall(r"\b(kanji_\w+)\(", header.read_text())
    sources = [p for p in SOURCES["s8"] if p.stem in declared]
    assert re.findall(r"#include (.+)", header.read_text()) == [
        "<stdint.h>",
        '"kanji_config.h"',
    ]
    for source in sources:
        included = re.findall(r'#include "(.+)"', source.read_text())
        assert included[0] == "kanji_nn.h" and included[1:] in ([], ["kanji_support.h"])
    assert len(sources) == len(declared)


def test_a_wrapper_draws_no_kernel_by_name_into_a_firmware():
    """Programs of others call those; what is exported calls the wrappers."""
    wrappers = [
        s.stem for s in SOURCES["s8"] if "wrapper_s" in s.stem and "conv" in s.stem
    ]
    sizes = [f"{wrapper}_get_buffer_size" for wrapper in wrappers]
    drawn = {source.stem for source in needed(SOURCES["s8"], [*wrappers, *sizes])}
    tables = {
        s.stem for s in SOURCES["s8"] if "_conv" in s.stem and "_sizes_" in s.stem
    }
    assert len(wrappers) == len(tables) == 4
    assert {s for s in drawn if not s.startswith("kanji_")} == {*wrappers, *tables}


@pytest.mark.parametrize(
    ("defines", "dsp"),
    (
        ([], False),
        (["ARM_MATH_DSP"], True),
        (["ARM_MATH_DSP", "KANJI_NN_PLAIN_C"], False),
        (["ARM_MATH_DSP", "ARM_MATH_MVEI"], False),
        (["__ARM_FEATURE_DSP=1"], True),
        (["__ARM_FEATURE_DSP=1", "ARM_MATH_DSP=1"], True),
        (["__ARM_FEATURE_DSP=1", "KANJI_NN_PLAIN_C"], False),
        (["__ARM_FEATURE_DSP=1", "__ARM_FEATURE_MVE=0"], True),
        (["__ARM_FEATURE_DSP=1", "__ARM_FEATURE_MVE=3"], False),
    ),
    ids=str,
)
def test_legacy_core_class_follows_the_macros_of_the_library(defines, dsp, tmp_path):
    source = tmp_path / "core.c"
    check = f"typedef int ok[KANJI_NN_DSP == {int(dsp)} ? 1 : -1];"
    source.write_text(f'#include "kanji_q7.h"\n{check}\n', encoding="utf-8")
    # A host may be an Arm itself.
    undefined = ["-U__ARM_FEATURE_DSP", "-U__ARM_FEATURE_MVE"]
    macros = [f"-D{define}" for define in defines]
    compile_c("gcc", [*undefined, *macros, *FOLDERS["q7"], "-fsyntax-only", source])


def code_of(text: str) -> str:
    return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
