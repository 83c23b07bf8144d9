"""A budget is kept or not; the advice that is given is true."""

import re
from dataclasses import replace

import pytest

import kanji_np as kj
from kanji_np.cost.advice import arena_peak
from kanji_np.cost.limits import notes, overruns
from kanji_np.cost.variants import Parts
from kanji_np.deploy.planner import lower, plan
from kanji_np.zoo import NETWORKS

BOARD = "nucleo-f446re"


def refusal(network, budget, **where):
    with pytest.raises(kj.BudgetError) as caught:
        kj.check(network, budget, **where)
    return str(caught.value)


def amount(text, change):
    """The bytes that a message promises for a change."""
    (found,) = re.findall(rf"  with {re.escape(change)}: ([\d,]+) bytes$", text, re.M)
    return int(found.replace(",", ""))


def net(*channels, pool="max", bits=8, size=32):
    return kj.paper_cnn(
        channels, pool=pool, weight_bits=bits, input_shape=(size, size, 3)
    )


def test_a_budget_that_is_just_kept():
    network = net(16, 16, 32)
    made = kj.estimate(network)
    budget = kj.Budget(made.flash_bytes, made.ram_bytes)
    assert kj.check(network, budget) == made == network.check(str(budget))
    with pytest.raises(kj.BudgetError, match=r"^cifar10 does not fit the budget on "):
        network.check(kj.Budget(made.flash_bytes, made.ram_bytes - 1))


def test_ram_names_the_layers_of_the_peak_and_what_helps():
    network = net(32, 32, 64)
    made = kj.estimate(network)
    limit = made.ram_bytes - 10000
    text = refusal(network, kj.Budget(ram_bytes=limit))
    assert text.splitlines()[1] == (
        f"RAM {made.ram_bytes:,} bytes; the budget allows {limit:,} bytes: 10,000 too "
        "many"
    )
    assert (
        "  pool1 makes the peak of the arena, 40,960 bytes: the output of conv1 "
        "32,768, the output of pool1 8,192; beside it stack " in text
    )
    found = re.search(r"with (\d+) output channels in conv1, not 32: ", text)
    count = int(found[1])
    narrow = kj.estimate(net(count, 32, 64)).ram_bytes
    wider = kj.estimate(net(count + 4, 32, 64)).ram_bytes
    assert amount(text, found[0][5:-2]) == narrow <= limit < wider
    small = re.search(r"an input of (\d+)x\1, not 32x32", text)
    assert amount(text, small[0]) == (
        kj.estimate(net(32, 32, 64, size=int(small[1]))).ram_bytes
    )
    assert "4 bits" not in text  # int4 weights take no less RAM
    assert "depthwise" not in text


def test_flash_names_the_largest_layer_and_what_helps():
    network = net(32, 32, 64)
    made = kj.estimate(network)
    text = refusal(network, kj.Budget(flash_bytes=made.flash_bytes - 30000))
    assert "  conv3 has most of it, 51,968 bytes of weights and tables; code " in text
    int4 = kj.estimate(net(32, 32, 64, bits=4)).flash_bytes
    assert amount(text, "weights of 4 bits") == int4
    found = re.search(r"with (\d+) output channels in conv3, not 64", text)
    assert amount(text, found[0][5:]) == (
        kj.estimate(net(32, 32, int(found[1]))).flash_bytes
    )
    separable = kj.Sequential(
        [
            kj.Normalize((125, 123, 114)),
            kj.Conv2D(32, 5, padding="same", activation="relu"),
            kj.MaxPool2D(3, 2),
            kj.Conv2D(32, 5, padding="same", activation="relu"),
            kj.MaxPool2D(3, 2),
            kj.DepthwiseConv2D(5, padding="same"),
            kj.Conv2D(64, 1, activation="relu"),
            kj.MaxPool2D(3, 2),
            kj.Flatten(),
            kj.Dense(10),
        ],
        (32, 32, 3),
    )
    change = "a depthwise and a 1x1 convolution in place of conv3"
    assert amount(text, change) == kj.estimate(separable).flash_bytes


def test_time_and_energy_on_a_board():
    network = net(32, 32, 64)
    made = kj.estimate(network, board=BOARD)
    budget = kj.Budget(seconds=made.seconds.likely / 2, joules=made.joules.likely / 2)
    text = refusal(network, budget, board=BOARD)
    assert text.startswith("cifar10 does not fit the budget on NUCLEO-F446RE:\n")
    for resource, used, what in (
        ("latency", made.seconds.text("s"), "time"),
        ("energy", made.joules.text("J"), "energy"),
    ):
        start = f"\n{resource} {used}, estimated; the budget allows "
        assert start in text
        assert re.search(rf"\n{resource} .*: 2\.00 times as much\n", text)
        assert re.search(rf"\n  conv2 takes \d+ % of the {what}\n", text)
    assert "with a stride of 2 in conv2: " in text


def test_a_board_is_a_budget():
    board = replace(
        kj.board(BOARD),
        title="Own",
        flash_bytes=50_000,
        banks=(kj.Bank("RAM", 30_000),),
    )
    text = refusal(net(32, 32, 64), kj.Budget(), board=board)
    assert text.startswith("cifar10 does not fit Own:\nflash ")
    assert "; Own has 50,000 bytes: " in text
    assert "\narena 40,960 bytes; Own has 30,000 bytes of RAM in one piece: " in text
    # Of two limits the lower one counts.
    text = refusal(net(32, 32, 64), "flash=32K,ram=1M", board=board)
    assert "; the budget allows 32,768 bytes: " in text
    assert "RAM " in text and "1,048,576" not in text


def test_an_arena_needs_one_bank():
    banks = (kj.Bank("A", 30_000, 0), kj.Bank("B", 300_000 - 30_000, 2**20))
    board = replace(kj.board(BOARD), banks=banks)
    network = net(32, 32, 64)
    assert kj.check(network, kj.Budget(), board=board)
    split = tuple(kj.Bank(str(i), 30_000, i * 2**20) for i in range(10))
    text = refusal(network, kj.Budget(), board=replace(board, banks=split))
    assert "RAM in one piece" in text and "\nRAM " not in text
    assert "pool1 makes the peak" in text


def test_what_may_be_beyond_a_limit_is_noted():
    made = kj.estimate(net(8, 8), board=BOARD)
    budget = kj.Budget(seconds=(made.seconds.likely + made.seconds.high) / 2)
    assert overruns(made, budget) == ()
    (note,) = notes(made, budget)
    assert note.startswith(f"latency is estimated as {made.seconds.text('s')}: likely ")
    assert notes(made, kj.Budget(seconds=2 * made.seconds.high)) == ()


@pytest.mark.parametrize("budget", ["latency=1s", "energy=1J"])
def test_time_and_energy_need_a_board(budget):
    key = budget.partition("=")[0]
    with pytest.raises(kj.OptionError, match=rf"^board must be named to limit {key}: "):
        kj.check(net(2), budget)
    unknown = replace(kj.board(BOARD), clock_hz=None, power=())
    with pytest.raises(kj.OptionError, match=f"{key} cannot be limited on NUCLEO-F446"):
        kj.check(net(2), budget, board=unknown)


def test_a_graph_is_blamed_without_advice():
    graph = net(8, 8).outline()
    text = refusal(graph, "ram=1K")
    assert "makes the peak of the arena" in text and "  with " not in text


def test_nothing_helps_without_a_layer_to_change():
    network = kj.Sequential([kj.Normalize(128), kj.Flatten()], (40, 40, 1))
    assert "  with " not in refusal(network, "flash=1B")


@pytest.mark.parametrize("name", NETWORKS)
def test_parts_are_the_network_again(name):
    network = NETWORKS[name]()
    again = Parts.of(network).built()
    assert kj.estimate(again) == kj.estimate(network)


@pytest.mark.parametrize("name", ["resnet8", "ds-cnn"])
def test_a_peak_is_the_lower_bound(name):
    graph = NETWORKS[name]().outline()
    peak = arena_peak(graph)
    planned = plan(graph, lower(graph))
    assert 0 <= planned.lower_bound_bytes - peak.total_bytes < 64  # padding


def test_parts_change():
    parts = Parts.of(kj.resnet8())
    assert parts.with_channels(1, 8).built() is None  # what is added has other shapes
    assert parts.scaled(1, 2).built().output_shape == (10,)
    assert parts.strided(1).built().shapes[1] == (16, 16, 16)  # the last pool follows
    ops = [layer.op.name for layer in parts.separable(3).built().layers]
    assert ops.count("depthwise_conv2d") == 1 and len(ops) == len(parts.layers) + 1
