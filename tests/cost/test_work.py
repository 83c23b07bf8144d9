"""How much work kernel calls are: counts that can be made by hand."""

import importlib.util
import sys
from itertools import product
from pathlib import Path

import pytest

import kanji_np as kj
from kanji_np.cost.provider import core_class_of, provider_of
from kanji_np.cost.work import integers, work, work_of
from kanji_np.cost.work.loops import memset
from kanji_np.cost.work.windows import Axis
from kanji_np.deploy.planner import lower
from kanji_np.errors import UnsupportedOp

SHAPES = Path(__file__).parents[2] / "examples" / "layer_shapes.py"
CORES = {"c": "cortex-m3", "dsp": "cortex-m4", "mve": "cortex-m55"}


@pytest.fixture(scope="module")
def layer_shapes():
    spec = importlib.util.spec_from_file_location("layer_shapes", SHAPES)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.parametrize(
    ("library", "version", "core"),
    [
        *product(["cmsis-nn"], ["7.0.0", "4.0.0"], CORES),
        *product(["cmsis-nn-q7"], ["5.9.0"], ["c", "dsp"]),
    ],
)
def test_every_call_has_a_row_of_both_providers(layer_shapes, library, version, core):
    target = kj.target_spec(library, core=core, version=version)
    calls = [
        call
        for number in (0, 5, 1000, 2001, 3002)
        for made in lower(layer_shapes.network(number, target).outline())
        for call in made
    ]
    assert len({call.function for call in calls}) > 4
    core_class = core_class_of(CORES[core], target)
    for call, linked in product(calls, ["ccore", "cmsis-nn"]):
        done = work(call, provider_of(call, target, linked), core_class)
        assert min(done.counts.values()) >= 0
        assert max(done.counts.values()) > 0


def test_a_function_that_is_not_known_is_refused():
    with pytest.raises(UnsupportedOp, match="arm_none of ccore are not known"):
        work_of("arm_none", {}, "ccore", "c")


def calls_of(net):
    return [call for made in lower(net.outline()) for call in made]


def test_windows_reach_as_many_cells_as_lie_on_the_input():
    for size, kernel, stride, padding, dilation in product(
        [1, 2, 5, 8], [1, 2, 3, 5], [1, 2, 3], [0, 1, 3], [1, 2, 3]
    ):
        outputs = 1 + max(0, size + 2 * padding - dilation * (kernel - 1) - 1) // stride
        axis = Axis(size, kernel, outputs, stride, padding, dilation)
        for output, reach in enumerate(axis.reaches):
            start = output * stride - padding
            taps = [t for t in range(kernel) if 0 <= start + t * dilation < size]
            assert reach.count == len(taps)
            assert reach.first == (taps[0] if taps else 0)


def convolution(core, **options):
    """A 3x3 convolution with padding, of 4x4 cells, 20 channels, to 6 filters."""
    net = kj.Sequential(
        [kj.Conv2D(6, 3, padding="same", **options)],
        input_shape=(4, 4, 20),
        target=kj.target_spec("cmsis-nn", core=core),
    )
    (call,) = calls_of(net)
    return call


def test_ccore_sums_four_filters_together_and_the_rest_one_by_one():
    done = work(convolution("dsp"), "ccore", "dsp")
    assert done.kernel == "convolve"
    counts = done.counts
    # 16 windows, of which the columns at the edges are two taps wide: 40 bytes
    assert counts["windows"] == 16
    assert counts["outputs"] == 16 * 6
    assert counts["four_products"] == 16
    assert counts["one_products"] == 16 * 2
    rows = 2 + 3 + 3 + 2  # of windows one above the other
    assert counts["four_rows"] == rows * 4
    assert counts["four_blocks"] == rows * (2 * (40 // 16) + 2 * (60 // 16))
    assert counts["four_rest"] == rows * (2 * (40 % 16) + 2 * (60 % 16))
    assert counts["one_blocks"] == 2 * counts["four_blocks"]


def test_helium_copies_windows_and_multiplies_four_of_them_together():
    done = work(convolution("mve"), "cmsis-nn-7.0.0", "mve")
    assert done.kernel == "convolve"
    counts = done.counts
    inside = 10 * 10  # taps on the image
    assert counts["copied"] == inside
    assert counts["copied_vectors"] == inside * 2  # of 20 bytes
    assert counts["filled"] == 16 * 9 - inside
    assert counts["four_outputs"] == 4 * 6
    assert counts["four_vectors"] == 4 * 6 * 12  # of 180 bytes
    assert counts["one_outputs"] == 0


def test_helium_fills_registers_with_int4_weights_where_filters_are_whole_bytes():
    done = work(convolution("mve", weight_bits=4), "cmsis-nn-7.0.0", "mve")
    counts = done.counts
    assert done.kernel == "convolve_s4"
    # 180 weights: five times 32, once 16, and 4
    assert counts["fours"] == 4
    assert counts["even_four_pairs"] == 4 * 6 * 5
    assert counts["even_four_vectors"] == counts["even_four_tails"] == 4 * 6
    assert counts["reordered_pairs"] == 16 * 5


def test_helium_takes_int4_weights_by_16_where_filters_share_bytes():
    net = kj.Sequential(
        [kj.Conv2D(5, 1, weight_bits=4)],
        input_shape=(1, 7, 33),
        target=kj.target_spec("cmsis-nn", core="mve"),
    )
    (call,) = calls_of(net)
    counts = work(call, "cmsis-nn-7.0.0", "mve").counts
    assert counts["four_vectors"] == counts["three_vectors"] == 5 * 2
    assert counts["three_shared"] == 2  # the second and the fourth filter
    assert counts["three_tails"] == 3  # the one weight that is left of the others


def test_helium_convolves_several_filters_of_one_channel():
    net = kj.Sequential(
        [kj.DepthwiseConv2D(3, depth_multiplier=2)],
        input_shape=(5, 5, 1),
        target=kj.target_spec("cmsis-nn", core="mve"),
    )
    (call,) = calls_of(net)
    done = work(call, "cmsis-nn-7.0.0", "mve")
    assert done.kernel == "convolve"
    assert done.counts["transposed_weights"] == 18
    assert done.counts["windows"] == 9
    assert work(call, "cmsis-nn-4.0.0", "mve").kernel == "depthwise_by_tap"


@pytest.mark.parametrize("version", ["7.0.0", "4.0.0"])
def test_helium_takes_the_general_kernels_for_dilation_even_of_one_tap(version):
    target = kj.target_spec("cmsis-nn", core="mve", version=version)
    layers = [
        kj.Conv2D(8, (1, 2), dilation_rate=2, padding="same"),
        kj.DepthwiseConv2D(1, dilation_rate=2),
    ]
    net = kj.Sequential(layers, input_shape=(1, 8, 8), target=target)
    row, depthwise = (
        work(call, f"cmsis-nn-{version}", "mve") for call in calls_of(net)
    )
    assert row.counts["general"] == 1
    assert depthwise.kernel == "depthwise_by_tap"
    assert depthwise.counts["dilated_outputs"] == 2 * 8 * 8


def test_helium_of_4_multiplies_windows_with_padding_apart():
    net = kj.Sequential(
        [kj.Conv2D(5, 3, padding="same")],
        input_shape=(3, 7, 10),
        target=kj.target_spec("cmsis-nn", core="mve", version="4.0.0"),
    )
    (call,) = calls_of(net)
    counts = work(call, "cmsis-nn-4.0.0", "mve").counts
    # 21 windows, of which the second row has five without padding, from the second on
    assert (counts["whole"], counts["padded"], counts["rest"]) == (1, 4, 1)
    assert counts["padded_vectors"] == 4 * 5 * 12  # of eight int16 numbers
    assert counts["rest_outputs"] == 5


def test_how_memset_is_counted():
    counts = memset("fills", 8, 22)  # at even addresses: half of them are whole words
    assert counts["fills"] == 8
    assert counts["fills.first"] == 8 * (0 + 2) / 2
    assert counts["fills.blocks"] == counts["fills.words"] == 8
    assert counts["fills.singles"] == 8 * (2 + 0) / 2


def test_int4_weights_have_loops_of_their_own():
    counts = work(convolution("dsp", weight_bits=4), "ccore", "dsp").counts
    assert counts["s4_four_pairs"] == (2 + 3 + 3 + 2) * (2 * 20 + 2 * 30)
    assert "four_blocks" not in counts


def test_legacy_windows_are_multiplied_two_by_two_on_dsp_cores():
    net = kj.Sequential(
        [kj.Conv2D(5, 3, padding="same")],
        input_shape=(5, 5, 3),
        target=kj.target_spec("cmsis-nn-q7", core="dsp"),
    )
    (call,) = calls_of(net)
    counts = work(call, "cmsis-nn-q7-5.9.0", "dsp").counts
    assert counts["pixels"] == 13 * 13
    assert counts["two_by_two"] == 12 * 2
    assert counts["two_by_two_words"] == 12 * 2 * (27 // 4)
    assert counts["two_by_one"] == 12
    assert counts["one"] == 5
    plain = work(call, "cmsis-nn-q7-5.9.0", "c").counts
    # of the 15 taps along an axis one is before the image, one behind it
    assert plain["above"] == 5 * 1 * 15
    assert plain["left"] == 5 * (15 - 1) * 1
    assert plain["below"] == 5 * 1 * (15 - 1)
    assert plain["right"] == 5 * 13 * 1
    assert plain["inside"] == 5 * 13 * 13
    assert plain["products"] == 5 * 13 * 13 * 3


def copy_of(rows, size, source, pitch):
    """`kanji_copy_s8` of so many rows."""
    extents = {"extents.n": 1, "extents.h": 1, "extents.w": rows, "extents.c": size}
    steps = {"steps.n": 0, "steps.h": 0, "steps.w": pitch, "steps.c": 1}
    given = {"1": 4096, "2": source, **extents, **steps}
    return work_of("kanji_copy_s8", given, "ccore", "c").counts


def test_copies_are_told_apart_by_where_their_ends_lie():
    words = copy_of(3, 84, 0, 96)
    assert (words["moves"], words["aligned"], words["loose"]) == (3, 3, 0)
    assert (words["moved_lines"], words["moved_blocks"]) == (3, 3)
    assert (words["moved_words"], words["tails"], words["slow_blocks"]) == (3, 0, 0)
    # From bytes 6, 54 and 102 to 0, 18 and 36: the second lacks two bytes to a word.
    loose = copy_of(3, 18, 6, 48)
    assert (loose["aligned"], loose["loose"], loose["off"]) == (0, 3, 1)
    assert (loose["moved_blocks"], loose["slow_blocks"]) == (3, 3)
    assert (loose["moved_bytes"], loose["tails"]) == (6, 2)
    few = copy_of(3, 8, 0, 8)
    assert (few["aligned"], few["moved_words"], few["slow_words"]) == (0, 6, 6)


def test_padding_copies_pixels_to_where_the_image_begins():
    sizes = {"input_size": (1, 2, 3, 4), "pre_pad": (0, 1, 1, 0)}
    sizes["post_pad"] = (0, 0, 1, 1)
    given = {
        f"{part}.{axis}": n
        for part, extents in sizes.items()
        for axis, n in zip("nhwc", extents, strict=True)
    }
    counts = work_of("arm_pad_s8", given, "ccore", "c").counts
    assert (counts["padded"], counts["padded_rows"]) == (6, 2)
    assert counts["filled_blocks"] == 3 * 5 * 5 / 16
    # Pixels lie 5 bytes apart, from 30 and 55 on: two of six begin on a word.
    assert counts["loose"] == 4


def test_exponentials_have_a_product_for_each_bit_of_the_difference():
    """A difference of 1 is half a quarter, and 2 are below the least."""
    given = {"1": 3, "2": 4, "3": 2**30, "4": 24, "5": -1}
    counts = work_of("arm_softmax_s8", given, "ccore", "c").counts
    assert (counts["rows"], counts["values"], counts["factors"]) == (3, 12, 6)
    doubled = work_of("arm_softmax_s8", {**given, "4": 26, "5": -3}, "ccore", "c")
    # Quarters are 0, 2, 4 and 6: four bits of four differences.
    assert doubled.counts["factors"] == 12


def test_legacy_dense_layers_start_only_the_loops_that_run():
    def counts(inputs, outputs):
        given = {"2": inputs, "3": outputs}
        return work_of("arm_fully_connected_q7_opt", given, "ccore", "dsp").counts

    both = counts(5, 10)
    assert (both["fours"], both["four_words"], both["four_bytes"]) == (2, 2, 2)
    assert (both["ones"], both["one_products"], both["one_rest"]) == (1, 2, 10)
    few = counts(3, 8)
    assert (few["fours_with_words"], few["fours_with_bytes"]) == (0, 2)
    assert (few["ones"], few["one_products"]) == (0, 0)


def test_legacy_pools_on_dsp_cores_go_along_x_and_then_along_y():
    given = {"1": 6, "2": 5, "3": 2, "4": 0, "5": 2, "6": 3}
    counts = work_of("arm_avepool_q7_HWC", given, "ccore", "dsp").counts
    across, down = 6 * 3 * 5, 3 * 3 * 5
    assert counts["outputs"] == across + down
    assert counts["output_rows"] == across + 2 * down
    assert counts["added"] == 2 * across + 2 * down


def test_a_table_that_is_not_there_is_not_looked_up():
    x = kj.Input((4, 4, 3))
    net = kj.Model(x, kj.Maximum()(kj.ReLU()(x), kj.Sigmoid()(x)))
    names = {call.function: integers(call) for call in calls_of(net)}
    given = names["kanji_maximum_s8"]
    done = work_of("kanji_maximum_s8", given, "ccore", "dsp")
    assert done.counts["values"] == 48
    assert done.counts["values_looked_up"] == 48 * given["2"]
