"""Where kernels are found, and what they are compiled with."""

import pytest

from kanji_np.deploy.kernels import (
    KERNELS,
    ccore_directory,
    ccore_files,
    check_scratch,
    class_of,
    defines,
    find,
    folders_beside,
    host_macros,
    needed,
)
from kanji_np.errors import OptionError, UnsupportedOp
from kanji_np.targets import target_spec

S8 = target_spec("cmsis-nn")
Q7 = target_spec("cmsis-nn-q7")


@pytest.mark.parametrize(
    ("library", "core", "rounding", "ccore", "real"),
    [
        ("cmsis-nn", "dsp", "double", (), ()),
        ("cmsis-nn", "mve", "single", ("CMSIS_NN_USE_SINGLE_ROUNDING",), None),
        ("cmsis-nn-q7", "dsp", "half_up", ("ARM_MATH_DSP",), ()),
        ("cmsis-nn-q7", "c", "half_up", ("KANJI_NN_PLAIN_C",), ()),
        ("cmsis-nn-q7", "mve", "half_up", ("KANJI_NN_PLAIN_C",), ()),
        (
            "cmsis-nn-q7",
            "c",
            "truncate",
            ("ARM_NN_TRUNCATE", "KANJI_NN_PLAIN_C"),
            ("ARM_NN_TRUNCATE",),
        ),
    ],
)
def test_macros_of_a_target(library, core, rounding, ccore, real):
    target = target_spec(library, core=core, rounding=rounding)
    assert defines(target, "ccore") == ccore
    assert defines(target, "cmsis-nn") == (ccore if real is None else real)


def test_scratch_that_the_legacy_api_cannot_be_asked_for():
    c, mve = (target_spec(Q7, core=core) for core in ("c", "mve"))
    for target, core_class in [
        (Q7, "dsp"),
        (Q7, "c"),
        (c, "c"),
        (mve, "c"),
        (S8, "mve"),
    ]:
        check_scratch(target, core_class, "here")
    assert class_of("mve", Q7) == "c" and class_of("mve", S8) == "mve"
    with pytest.raises(OptionError, match=r"^here: .* class c has no scratch .* dsp;"):
        check_scratch(c, "dsp", "here")


def test_ccore_files_of_a_firmware():
    functions = ["arm_softmax_s8", "kanji_normalize_u8_s8"]
    files = ccore_files(functions, S8, "ccore")
    assert {f for f in files if f.endswith(".c")} == {
        "ccore/Source/arm_softmax_s8.c",
        "ccore/Source/kanji_normalize_u8_s8.c",
        "ccore/Source/kanji_softmax_s8.c",
    }
    assert "ccore/Include/arm_nnfunctions.h" in files
    assert set(ccore_files(functions, S8, "cmsis-nn")) == {
        "ccore/Include/kanji_config.h",
        "ccore/Include/kanji_nn.h",
        "ccore/Source/kanji_normalize_u8_s8.c",
    }


def test_beside_the_real_library_kernels_have_the_header_they_share():
    for function, expected in (("kanji_add_s8", True), ("kanji_lookup_s8", False)):
        files = ccore_files([function], S8, "cmsis-nn")
        assert f"ccore/Source/{function}.c" in files
        assert ("ccore/Include/kanji_support.h" in files) == expected


def test_headers_of_a_legacy_firmware():
    """None of the other API's, whose header has the same name."""
    files = ccore_files(["arm_relu_q7"], Q7, "ccore")
    assert {f for f in files if f.startswith("ccore/Include")} == {
        "ccore/Include/kanji_config.h",
        "ccore/Include/kanji_nn.h",
        "ccore/Include/kanji_support.h",
    }


def test_folders_of_a_target():
    assert KERNELS["cmsis-nn"].includes == ("ccore/Include",)
    assert KERNELS["cmsis-nn-q7"].includes == ("ccore/legacy/Include", "ccore/Include")
    assert KERNELS["cmsis-nn-q7"].sources == ("ccore/legacy/Source", "ccore/Source")


def test_sources_are_followed_through_their_calls(tmp_path):
    texts = {
        "a": "static int twice(int x) { return b_function(x); }\nint a_function(int x)",
        "b": "int8_t *b_function(const int8_t *x,\n  int y)\n{ return c_function(x); }",
        "c": "extern int d_function(int);\nint *\nc_function(void)\n{}",
        "d": "int other(void) { }",
        "e": "__attribute__((weak)) void e_function(void) {}",
    }
    paths = {name: tmp_path / f"{name}.c" for name in texts}
    for name, text in texts.items():
        paths[name].write_text(text)
    chosen = needed(paths.values(), ["a_function", "not_there"])
    assert {path.stem for path in chosen} >= {"a", "b"}
    assert not {path.stem for path in chosen} & {"d", "e"}
    assert needed(paths.values(), ["not_there"]) == []


@pytest.fixture
def cmsis_5(tmp_path):
    """The folders of CMSIS 5, with one function."""
    cmsis = tmp_path / "CMSIS_5" / "CMSIS"
    for folder in ("Core/Include", "DSP/Include", "NN/Include", "NN/Source/Some"):
        (cmsis / folder).mkdir(parents=True)
    (cmsis / "NN" / "Include" / "arm_nnfunctions.h").touch()
    source = cmsis / "NN" / "Source" / "Some" / "arm_relu_q7.c"
    source.write_text("void arm_relu_q7(q7_t *data, uint16_t size)\n{\n}\n")
    return tmp_path / "CMSIS_5"


@pytest.mark.parametrize("named", ["", "CMSIS", "CMSIS/NN"])
def test_cmsis_5_is_found_by_any_of_its_names(named, cmsis_5):
    found = find(cmsis_5 / named, Q7, ["arm_relu_q7", "kanji_normalize_u8_s8"])
    nn = cmsis_5 / "CMSIS" / "NN"
    assert [path.resolve() for path in found.includes] == [
        nn / "Include",
        cmsis_5 / "CMSIS" / "Core" / "Include",
        cmsis_5 / "CMSIS" / "DSP" / "Include",
    ]
    assert found.sources == (nn / "Source" / "Some" / "arm_relu_q7.c",)


def test_what_the_real_library_lacks_is_said(cmsis_5, tmp_path):
    with pytest.raises(
        UnsupportedOp, match=r"CMSIS 5's CMSIS/NN has no arm_softmax_q7$"
    ):
        find(cmsis_5, Q7, ["arm_relu_q7", "arm_softmax_q7"])
    with pytest.raises(OptionError, match="not CMSIS-NN"):
        find(tmp_path, S8, [])
    (cmsis_5 / "CMSIS" / "DSP" / "Include").rmdir()
    with pytest.raises(OptionError, match=r"needs .*CMSIS/DSP/Include, which is not"):
        find(cmsis_5, Q7, ["arm_relu_q7"])


@pytest.fixture
def library(tmp_path):
    """A folder like a library's, whose headers have these texts."""

    def library(**headers):
        (tmp_path / "NN" / "Include").mkdir(parents=True)
        for name, text in headers.items():
            (tmp_path / "NN" / "Include" / f"{name}.h").write_text(text)
        return tmp_path / "NN"

    return library


def test_the_legacy_library_is_told_from_the_current_one(library):
    there = library(arm_nnfunctions="void arm_convolve_HWC_q7_basic(void);")
    said = "is the legacy library, .* cmsis-nn 7.0.0 needs CMSIS-NN, .* cmsis-nn-q7$"
    for core in ("c", "mve"):
        with pytest.raises(OptionError, match=said):
            find(there, target_spec(S8, core=core), ["arm_convolve_wrapper_s4"])


def test_the_current_library_is_told_from_the_legacy_one(library):
    there = library(arm_nnfunctions="void arm_elementwise_add_s8(void);")
    with pytest.raises(OptionError, match="without the q7 functions, .* cmsis-nn$"):
        find(there, Q7, ["arm_convolve_HWC_q7_basic"])


def test_the_folder_of_cmsis_core_is_named_where_it_is_needed(library):
    first = target_spec("cmsis-nn", version="4.0.0")
    types = '#include "cmsis_compiler.h"\n#include <arm_acle.h>\n'
    there = library(arm_nnfunctions="", arm_nn_math_types=types)
    core = there.parent / "Core" / "Include"
    with pytest.raises(OptionError, match=f"CMSIS Core, and there is no {core}$"):
        find(there, first, [])
    core.mkdir(parents=True)
    with pytest.raises(OptionError, match="CMSIS Core"):
        find(there, first, [])
    (core / "cmsis_compiler.h").touch()
    found = find(there, first, [])
    assert found.includes[1].resolve() == core
    assert found.host_macros == ("__GNUC_PYTHON__", "__RESTRICT=__restrict")


def test_what_a_build_of_ones_own_is_given():
    first = target_spec("cmsis-nn", version="4.0.0")
    assert folders_beside(first) == KERNELS["cmsis-nn"].beside
    assert folders_beside(Q7) == ("../Core/Include", "../DSP/Include")
    assert folders_beside(S8) == host_macros(S8) == host_macros(Q7) == ()
    assert host_macros(first) == ("__GNUC_PYTHON__", "__RESTRICT=__restrict")


#: What generated C calls, and the functions of ccore that it does not call go on to.
FORWARDED_TO = {
    *(
        f"arm_{kind}_wrapper_s{n}"
        for kind in ("convolve", "depthwise_conv")
        for n in "84"
    ),
    *("arm_fully_connected_s8", "arm_fully_connected_per_channel_s8"),
    *(f"arm_convolve_s{n}_get_buffer_size" for n in "84"),
    "arm_depthwise_conv_s4_opt_get_buffer_size",
}


def test_every_function_of_ccore_is_found():
    sources = sorted((ccore_directory() / "Source").glob("*.c"))
    for source in sources:
        if "get_buffer_sizes" not in source.name:
            chosen = needed(sources, [source.stem])
            assert source in chosen
            others = {path.stem for path in chosen if path != source}
            public = {name for name in others if not name.startswith("kanji_")}
            assert public <= FORWARDED_TO
            assert not (public and source.stem in FORWARDED_TO)


@pytest.mark.parametrize(
    ("functions", "version", "said"),
    [
        ((), "4.0.0", None),
        ((), "7.0.0", "is not cmsis-nn 7.0.0, for want of arm_convolve_wrapper_s4"),
        (("arm_vector_sum_s8",), "4.0.0", "as it has arm_vector_sum_s8 .from 5.0.0 on"),
    ],
)
def test_another_version_is_told_where_it_matters(functions, version, said, tmp_path):
    (tmp_path / "Include").mkdir()
    header = "".join(f"void {name}(void);\n" for name in functions)
    (tmp_path / "Include" / "arm_nnfunctions.h").write_text(header)
    mve = target_spec("cmsis-nn", core="mve", version=version)
    find(tmp_path, target_spec(mve, core="dsp"), [])
    if said is None:
        find(tmp_path, mve, [])
    else:
        with pytest.raises(OptionError, match=said):
            find(tmp_path, mve, [])
