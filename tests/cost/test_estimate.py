"""What a network costs on a board, put together from its parts."""

from dataclasses import replace

import numpy as np
import pytest

import kanji_np as kj
from kanji_np.cost.range import sum_of
from kanji_np.cost.work.runtime import copy_instructions
from kanji_np.errors import OptionError, UnsupportedOp

NET = kj.ds_cnn()


def test_layers_and_sums():
    cost = kj.estimate(NET, board="nucleo-f446re", library="cmsis-nn")
    graph = NET.outline()
    assert [layer.name for layer in cost.layers] == [n.name for n in graph.nodes]
    assert cost.macs == sum(graph.cost(node).macs for node in graph.nodes)
    assert cost.cycles == sum_of(layer.cycles for layer in cost.layers)
    for layer in cost.layers:
        assert layer.seconds == layer.cycles.scaled(1 / 180e6)
        assert layer.joules == layer.seconds.scaled(cost.board.watts)
    assert cost.fits and not cost.shortages
    assert cost.memory.arena_bytes == 16_256
    # CMSIS-NN v7 takes 7.69 million instructions on an emulated M4, without Normalize.
    assert cost.instructions == pytest.approx(7.69e6, rel=0.05)


def activated(reads_twice: bool) -> kj.Model:
    """A convolution and a ReLU in place, which is the last to read it or not."""
    x = kj.Input((6, 5, 4))
    y = kj.Conv2D(4, 3, padding="same")(x)
    z = kj.ReLU()(y)
    return kj.Model(x, kj.Add()(y, z) if reads_twice else z)


def test_a_copy_before_a_layer_in_place_is_counted():
    alone, copying = (
        kj.estimate(activated(twice), core="cortex-m4", library="cmsis-nn").layers[1]
        for twice in (False, True)
    )
    copied = copy_instructions(6 * 5 * 4, "cortex-m4")
    assert copying.instructions == pytest.approx(alone.instructions + copied)
    assert copying.cycles.likely > alone.cycles.likely


def test_a_model_is_costed_for_the_class_of_the_board():
    before = NET.target
    for board, kind in (
        ("nucleo-f103rb", "c"), ("pico", "c"), ("esp32", "c"), ("pico-2-riscv", "c"),
        ("nucleo-l4r5zi", "dsp"), ("corstone-300", "mve"),
    ):  # fmt: skip
        cost = kj.estimate(NET, board=board)
        assert (cost.target.core, cost.board.core_class) == (kind, kind)
        assert cost.core == cost.board.core
    assert NET.target == before
    assert kj.estimate(NET).core == "cortex-m4"
    assert kj.estimate(NET, core="cortex-m7").target.core == "dsp"
    runtime = NET.for_target("tflm")
    assert kj.estimate(runtime, core="cortex-m55").target.library == "cmsis-nn"


def test_without_clock_or_power_there_is_no_time_or_energy():
    bare = kj.estimate(NET, core="cortex-m4")
    assert bare.seconds is bare.joules is None
    assert "time" not in str(bare) and "cycles" in str(bare)
    no_power = kj.estimate(NET, board="pico-2")
    assert no_power.seconds is not None and no_power.joules is None
    assert "no active power is known of Raspberry Pi Pico 2" in str(no_power)
    board = replace(kj.board("nucleo-f446re"), clock_hz=None)
    no_clock = kj.estimate(NET, board=board)
    assert no_clock.seconds is no_clock.joules is None
    assert "not estimated: no clock is known of NUCLEO-F446RE" in str(no_clock)


def test_the_text_says_what_is_estimated_and_what_is_short():
    text = str(kj.estimate(NET, board="nucleo-f446re"))
    assert "ms (" in text and "mJ (" in text and text.count("estimated") == 2
    assert "of 131,072" in text and "short" not in text
    small = kj.estimate(kj.resnet8(), board="nucleo-f103rb")
    assert not small.fits and len(small.shortages) == 2
    assert "RAM is short by" in str(small) and "20,480 on NUCLEO-F103RB" in str(small)


def test_an_arena_must_lie_in_one_bank():
    board = kj.board("nucleo-f446re")
    halves = replace(
        board, banks=(kj.Bank("A", 12_000, 0), kj.Bank("B", 12_000, 1 << 20))
    )
    cost = kj.estimate(NET, board=halves)
    assert halves.ram_bytes > cost.ram_bytes
    (short,) = cost.shortages
    assert short.startswith("RAM in one piece, for the arena, is short by 4,256 bytes")


def test_what_does_not_fit_together_is_refused():
    graph = NET.outline()
    with pytest.raises(UnsupportedOp, match="class dsp, cortex-m3 is of class c: take"):
        kj.estimate(graph, core="cortex-m3")
    assert kj.estimate(graph, board="nucleo-l4r5zi").macs == NET_MACS
    with pytest.raises(OptionError, match="CMSIS-NN is for Cortex-M; ESP32"):
        kj.estimate(NET, board="esp32", library="cmsis-nn")
    with pytest.raises(OptionError, match="CMSIS-NN is for Cortex-M"):
        kj.estimate(NET, core="hazard3", library="cmsis-nn")
    with pytest.raises(OptionError, match="'cortex-m3' and board .* cortex-m4: name"):
        kj.estimate(NET, board="nucleo-l4r5zi", core="cortex-m3")
    with pytest.raises(OptionError, match="core must be one of"):
        kj.estimate(NET, core="cortex-m9")
    with pytest.raises(OptionError, match="library must be one of ccore, cmsis-nn"):
        kj.estimate(NET, library="tflm")


NET_MACS = sum(NET.outline().cost(node).macs for node in NET.outline().nodes)


def test_what_a_network_has_learned_does_not_change_its_cost():
    trained = kj.ds_cnn()
    trained.calibrate(np.zeros((4, *trained.input.shape), np.uint8))
    a, b = (kj.estimate(net, board="nucleo-l4r5zi") for net in (NET, trained))
    assert (a.cycles, a.memory) == (b.cycles, b.memory)
