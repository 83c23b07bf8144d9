"""Instructions of layers: the tables, what they were fitted to, what they predict."""

import math
import re
from functools import partial

import layer_shapes
import measure_instructions
import numpy as np
import pytest
from deploy.test_real_library import bundled
from layer_shapes import FIRST, JOINS, KINDS, TABLES, Dice
from measure_instructions import Results, samples

import kanji_np as kj
from kanji_np.cost.instructions import TABLES as FOLDER
from kanji_np.cost.instructions import instructions, table, table_from, table_text
from kanji_np.cost.provider import COUNTED, LIKE, core_class_of, core_like, provider_of
from kanji_np.cost.work import work
from kanji_np.deploy.planner import lower
from kanji_np.errors import KanjiError, OptionError, UnsupportedOp
from kanji_np.graph import Graph
from kanji_np.ops import BUILT_IN
from kanji_np.targets import target_spec
from kanji_np.types import InputPtr, KernelCall

NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
VERSIONS = ("7.0.0", "4.0.0")


def split(name: str) -> tuple[str, str]:
    """Provider and core of a table's name."""
    found = re.fullmatch(r"(.+)-(cortex-m\w+)", name)
    assert found
    return found[1], found[2]


def target_of(provider: str, core: str) -> kj.TargetSpec:
    if provider == "ccore":
        return target_spec("cmsis-nn", core=core)
    library, version = provider.rsplit("-", 1)
    return target_spec(library, core=core, version=version)


# ------------------------------------------------- tables


def test_every_core_has_a_table_of_the_current_library():
    assert {f"cmsis-nn-7.0.0-{core}" for core in COUNTED} - {
        "cmsis-nn-7.0.0-cortex-m55"
    } <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_table_is_what_its_name_says_and_written_as_the_script_does(name):
    provider, core = split(name)
    text = (FOLDER / f"{name}.json").read_text()
    found = table_from(text)
    assert (found.provider, found.core) == (provider, core)
    assert table_text(found) == text
    for kernel in found.kernels.values():
        assert kernel.fitted and min(kernel.terms.values()) >= 0
        assert 0 <= kernel.median_error <= kernel.worst_error


@pytest.mark.parametrize("name", NAMES)
def test_a_table_is_as_good_as_it_says(name):
    """Beside what was counted, which is kept: its errors are those it states."""
    provider, core = split(name)
    target = target_of(provider, core)
    found = table(provider, core)
    results = Results.read(provider, core_class_of(core, target))
    held, errors = dict[str, list[float]](), []
    for sample in samples(results, core, target):
        kernels = {done.kernel for done in sample.works}
        if not sample.is_held_out or len(kernels) != 1:
            continue
        (kernel,) = kernels
        terms = found.kernels[kernel].terms
        assert all(set(done.counts) <= set(terms) for done in sample.works)
        predicted = measure_instructions.predicted(found, sample)
        error = abs(predicted / sample.counted - 1)
        held.setdefault(kernel, []).append(error)
        errors.append(error)
    assert len(errors) >= (60 if "7.0.0" in name else 40)
    assert np.median(errors) <= 0.05
    for kernel, found_errors in held.items():
        stated = found.kernels[kernel]
        if not stated.held_out:  # all networks that have it: then they are fitted
            continue
        assert stated.held_out == len(found_errors)
        assert stated.median_error == pytest.approx(np.median(found_errors), abs=1e-4)
        assert stated.worst_error == pytest.approx(max(found_errors), abs=1e-4)


def test_tables_of_another_format_are_refused():
    text = table_text(table("cmsis-nn-7.0.0", "cortex-m4"))
    with pytest.raises(ValueError, match="format 1"):
        table_from(text.replace('"format": 1', '"format": 2'))


# ------------------------------------------------- every operator


LACKING: dict[str, set[str]] = {"7.0.0": set(), "4.0.0": {"pad"}}
SHAPES = ((10, 8, 6), (12, 6), (24,), (1, 20, 8))


def drawn_graphs(target: kj.TargetSpec) -> list[Graph]:
    """A network of one layer of every kind that the target has."""
    dice = Dice(0, target)
    graphs = []
    for shape in SHAPES:
        fit = [kind for kind in KINDS if kind.shares[len(shape) - 1]]
        makes = [kind.draw(dice, shape) for kind in fit for _ in range(2)]
        makes += [*FIRST, *TABLES, *JOINS, partial(kj.Reshape, (math.prod(shape), 1))]
        for make in makes:
            x = kj.Input(shape)
            inputs = (x, x) if make in JOINS else (x,)
            try:
                net = kj.Model(x, make()(*inputs), target=target, scheme="asymmetric")
                graphs.append(net.outline())
                lower(graphs[-1])
            except KanjiError:
                continue
    return graphs


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4"])
def test_every_operator_has_work_and_instructions(core, version):
    target = target_spec("cmsis-nn", core=core, version=version)
    ops = set()
    for graph in drawn_graphs(target):
        for node, calls in zip(graph.nodes, lower(graph), strict=True):
            ops.add(node.op)
            for call in calls:
                provider = provider_of(call, target, "cmsis-nn")
                done = work(call, provider, target.core)
                assert all(count >= 0 for count in done.counts.values())
    wanted = {op.name for op in BUILT_IN if "cmsis-nn" in op.lowerings}
    assert ops == wanted - LACKING[version]


# ------------------------------------------------- what is asked for


def test_a_layer_of_several_calls_is_their_sum():
    target = target_spec("cmsis-nn")
    large, small = (
        KernelCall("arm_relu_q7", "arm.h", (InputPtr(), n)) for n in (900, 5)
    )
    both, *each = (
        instructions(calls, target, "cmsis-nn", "cortex-m4")
        for calls in ([large, small], [large], [small])
    )
    assert both.instructions == pytest.approx(sum(one.instructions for one in each))
    assert both.kernels == {"relu": both.instructions}
    assert both.error == pytest.approx(each[0].error)
    assert each[0].instructions > each[1].instructions > 0


def test_a_layer_without_a_call_costs_nothing():
    target = target_spec("cmsis-nn")
    nothing = instructions([], target, "cmsis-nn", "cortex-m4")
    assert (nothing.instructions, nothing.error) == (0, 0)


def test_cores_without_counts_are_counted_like_others():
    assert {core_like(core) for core in LIKE} <= set(COUNTED)
    assert all(core_like(core) == core for core in COUNTED)
    assert core_like("cortex-m35p") == "cortex-m33"
    with pytest.raises(OptionError, match="core must be one of .*cortex-m9"):
        core_like("cortex-m9")


def test_an_unknown_function_is_named_in_one_line():
    call = KernelCall("arm_new_kernel_s8", "arm.h", ())
    target = target_spec("cmsis-nn")
    with pytest.raises(UnsupportedOp) as raised:
        instructions([call], target, "cmsis-nn", "cortex-m4")
    assert str(raised.value) == (
        "the instructions of arm_new_kernel_s8 of cmsis-nn-7.0.0 are not known"
    )


def test_a_provider_that_was_not_counted_is_named():
    with pytest.raises(UnsupportedOp, match="cmsis-nn-9 on cortex-m4 were not counted"):
        table("cmsis-nn-9", "cortex-m4")


def test_unknown_libraries_are_refused():
    call = KernelCall("arm_relu_q7", "arm.h", ())
    with pytest.raises(OptionError, match="library"):
        provider_of(call, target_spec("cmsis-nn"), "mine")


# ------------------------------------------------- beside the emulator


def test_a_network_on_the_emulator_takes_what_is_predicted(tmp_path):
    """CMSIS-NN 4.0.0 on a Cortex-M4: the layers with weights, and a pool."""
    layers = [
        kj.Conv2D(6, 3, strides=2, padding="same", activation="relu"),
        kj.DepthwiseConv2D(3, padding="same"),
        kj.Conv2D(12, 1, activation="relu"),
        kj.MaxPool2D(2),
        kj.Flatten(),
        kj.Dense(7),
    ]
    target = target_spec("cmsis-nn", core="cortex-m4", version="4.0.0")
    net = kj.Sequential(layers, (15, 12, 4), target=target, name="small")
    kj.export(net, tmp_path / "firmware", library="cmsis-nn")
    images = np.random.default_rng(0).integers(-128, 128, (1, 15, 12, 4), np.int8)
    found = kj.verify(
        tmp_path / "firmware",
        images,
        on="cortex-m4",
        library="cmsis-nn",
        cmsis_nn=bundled(),
        layers=True,
    )
    graph = net.freeze()
    for layer, calls in zip(found.layers, lower(graph), strict=True):
        if not calls:
            continue
        count = instructions(calls, target, "cmsis-nn", "cortex-m4")
        assert layer.instructions
        error = abs(count.instructions / layer.instructions - 1)
        assert error <= max(count.error, 0.05), layer


def test_the_script_draws_the_same_network_again():
    target = target_spec("cmsis-nn", core="cortex-m4")
    one, two = (layer_shapes.network(5, target).outline() for _ in range(2))
    assert one.digest() == two.digest()
