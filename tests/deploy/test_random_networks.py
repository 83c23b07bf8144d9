"""A few random networks on every road; `examples/fuzz.py` runs as many as one likes."""

from dataclasses import replace

import fuzz
import pytest
from fuzz import Fuzz, case_of, places
from random_networks import BLOCK, draw, target_of

from kanji_np.loops.products import VARIABLE
from kanji_np.ops import BUILT_IN, OPS


def first_of(library: str, core: str) -> int:
    """The first network of the first block that has a target."""
    wanted = (library, core)
    numbers = range(0, 100 * BLOCK, BLOCK)
    targets = ((n, target_of(n)) for n in numbers)
    return next(n for n, t in targets if (t.library, t.core) == wanted)


@pytest.fixture(autouse=True)
def same_products(monkeypatch):
    """The way of multiplying is chosen in the environment; this sets it back."""
    monkeypatch.setenv(VARIABLE, "float32")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs networks at some places; `Fuzz` has what came of it.

    Kernels are compiled once for all tests.
    """
    folder = tmp_path_factory.mktemp("fuzz")

    def run(numbers, compilers=(), cores=()) -> Fuzz:
        result = Fuzz(places(compilers, cores, {}), folder)
        result.block(numbers)
        return result

    return run


def test_a_number_gives_the_same_network_every_time():
    one, same = draw(5), draw(5)
    assert one.model.freeze().digest() == same.model.freeze().digest()
    assert one.images.tobytes() == same.images.tobytes()
    assert one.refused == same.refused


def test_fast_paths_equal_definitions(run):
    result = run(range(1000, 1060))
    assert result.failures == {}
    assert result.networks > 50
    assert {*result.layers} == {op.name for op in BUILT_IN}
    assert min(result.files[name] for name in ("tflite", "onnx")) > 30


def test_networks_for_runtimes_have_no_c(run):
    first = first_of("xnnpack", "c")
    result = run(range(first, first + 8), ["gcc"])
    assert result.failures == {}
    assert result.files["tflite"] > 4
    assert not result.compared


def test_a_file_that_holds_another_network_is_found(run, monkeypatch):
    tflite, onnx = fuzz.FORMATS
    altered = replace(tflite, read_back=lambda *given: tflite.read_back(*given) ^ 1)
    monkeypatch.setattr(fuzz, "FORMATS", [altered, onnx])
    found = run(range(1000, 1006)).failures
    assert len(found) > 3
    for (told,) in found.values():
        assert told.startswith("this computer: tflite and network: ")


@pytest.mark.parametrize(
    ("library", "core", "compiler", "board"),
    [
        ("cmsis-nn", "mve", "gcc", "cortex-m55"),
        ("cmsis-nn-q7", "dsp", "clang", "cortex-m4"),
    ],
)
def test_c_computes_the_same(run, library, core, compiler, board):
    first = first_of(library, core)
    result = run(range(first, first + 6), [compiler], [board])
    assert result.failures == {}
    assert [*result.compared] == [f"host, {compiler}", f"{board}, ccore"]


# That faults are found


def test_another_byte_of_the_c_is_found(run, monkeypatch):
    number = first_of("cmsis-nn", "mve")

    def altered(number, refused):
        case = case_of(number, refused)
        layers = [y.copy() for y in case.layers]
        layers[-1].flat[-1] ^= 1
        return replace(case, layers=tuple(layers))

    monkeypatch.setattr(fuzz, "case_of", altered)
    (told,) = run([number], ["gcc"]).failures[number]
    assert told.startswith("host, gcc: image ")
    assert " bytes differ, from " in told


@pytest.mark.parametrize(
    ("beyond", "told"), [(0, "writes behind arena or output"), (1, "AddressSan")]
)
def test_a_write_behind_the_output_is_found(run, monkeypatch, beyond, told):
    number = first_of("cmsis-nn", "mve")
    write = fuzz.write

    def damaged(p):
        texts, name = write(p), p.graph.name
        head, tail = texts[f"{name}.c"].split(f"int32_t {name}_run(")
        stray = f"    output[{p.graph.output.size + beyond}] = 7;\n    return 0;\n"
        tail = tail.replace("    return 0;\n", stray, 1)
        return texts | {f"{name}.c": f"{head}int32_t {name}_run({tail}"}

    monkeypatch.setattr(fuzz, "write", damaged)
    (found,) = run([number], ["gcc"]).failures[number]
    assert told in found


def test_an_operator_that_differs_from_its_definition_is_found(run, monkeypatch):
    dense = replace(OPS["dense"], forward_int=lambda attrs, ints, xs: xs[0][:, :0])
    monkeypatch.setitem(OPS, "dense", dense)
    result = run(range(1000, 1020))
    assert result.failures
    for (told,) in result.failures.values():
        assert told.startswith("this computer: dense")


def test_the_exit_code_says_whether_all_was_equal(monkeypatch, capsys):
    call = ["--networks", "1", "--compiler", "none"]
    assert fuzz.main(call) == 0
    assert " s: 0 with failures, 0 differing bytes\n" in capsys.readouterr().out

    def broken(number):
        raise ZeroDivisionError("by a window of none")

    monkeypatch.setattr(fuzz, "draw", broken)
    assert fuzz.main([*call, "--seed", "9"]) == 1
    told = capsys.readouterr().out
    assert "this computer: ZeroDivisionError (" in told
    assert "fuzz.py --seed 9 --networks 1 --compiler none\n" in told
