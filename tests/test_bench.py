"""The benchmark measures what it says; its figures can be kept, read, shown and drawn.

No real time is asserted: where times matter, the clock is the test's.
"""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from kanji_np import Conv2D, Sequential, bench, cli, paper_cnn, plots
from kanji_np.bench import Bench, measure, measure_layers, read_measurements
from kanji_np.errors import FileFormatError, OptionError, ShapeError, ToolError
from kanji_np.loops import products
from kanji_np.loops.threads import MOST_THREADS, limit
from kanji_np.losses import cross_entropy
from kanji_np.plots import check_plot, plot_speed
from kanji_np.report import breakdown_table, cost_report, speed_table
from kanji_np.zoo import PAPER_SIZES, autoencoder, resnet8

SMALL = "paper-cnn 2,2", lambda: paper_cnn((2, 2))


def result(network="paper-cnn 2,2", batch=4, threads=1, ms=1.0):
    return Bench(network, batch, threads, "a CPU", ms, 2 * ms, ms / 4, ms / 2, 100.5)


def title(channels):
    return f"paper-cnn {','.join(map(str, channels))}"


TABLE = [
    result(title(channels), batch, threads, 1e-3 * sum(channels) * batch / threads)
    for threads in (1, 2)
    for channels in PAPER_SIZES
    for batch in (32, 64, 128, 256, 512)
]


def run(*args):
    """Exit code and everything that was printed."""
    outcome = CliRunner().invoke(cli.main, ["bench", *map(str, args)])
    assert isinstance(outcome.exception, SystemExit | None), outcome.exc_info
    return outcome.exit_code, outcome.output


@pytest.fixture
def rates(monkeypatch):
    rate = {np.int32: 3e11, np.float32: 7e10}
    monkeypatch.setattr(bench, "product_rate", lambda _, total: rate[total])


def test_the_limit_is_some_rate():
    ways = map(products.PRODUCTS.get, products.available_products())
    assert all(bench.product_rate(way, np.int32) > 0 for way in ways)


@pytest.fixture
def measured(monkeypatch):
    """What the command measures, in order; measuring takes no time."""
    cases = []

    def fake(name, make, *, batch, threads, steps):
        assert make().parameters()
        cases.append((name, batch, threads, steps))
        return result(name, batch, threads or 1)

    monkeypatch.setattr(bench, "measure", fake)
    return cases


# Measuring


def test_threads_are_as_told_and_then_as_before():
    before = limit()
    assert measure(*SMALL, batch=2, threads=1, steps=1).threads == 1
    assert limit() == before


@pytest.mark.parametrize("measure", [measure, measure_layers])
@pytest.mark.parametrize("count", [0, MOST_THREADS + 1])
def test_threads_that_are_not_there(measure, count):
    with pytest.raises(
        OptionError, match=rf"threads must be an int in 1 .*got {count}"
    ):
        measure(*SMALL, batch=2, threads=count, steps=1)


@pytest.mark.parametrize("make", [SMALL[1], resnet8, autoencoder])
def test_a_timed_step_trains_as_any_other(make):
    plain, timed = make(), make()
    x, labels = bench._random_batch(plain, 4)
    step = bench._training_step(plain, x, labels, "int8")
    slots = bench.OPTIMIZER.slots(timed.parameters())
    for _ in range(3):
        step()
        bench._timed_step(timed, x, labels, slots)
    for a, b in zip(plain.parameters(), timed.parameters(), strict=True):
        assert np.array_equal(a.data, b.data)
    assert plain.snapshot()[0] == timed.snapshot()[0]


@pytest.mark.usefixtures("rates")
def test_every_phase_gets_its_time(monkeypatch):
    now = 0.0

    def lasting(seconds, function):
        def slow(*args, **named):
            nonlocal now
            now += seconds
            return function(*args, **named)

        return slow

    net = paper_cnn((2, 2))
    for i, layer in enumerate(net.layers):
        op, fast = layer.op, layer.op.fast
        vjp = lasting(10 * i, fast.vjp or op.vjp)
        if fast.forward_train:
            forward = lasting(1 + i, fast.forward_train)
            fast = replace(fast, forward_train=forward, vjp=vjp)
        else:
            forward = lasting(1 + i, fast.forward_int or op.forward_int)
            fast = replace(fast, forward_int=forward, vjp=vjp)
        layer.op = replace(op, fast=fast)
    monkeypatch.setattr(bench, "cross_entropy", lasting(0.5, cross_entropy))
    monkeypatch.setattr(bench.time, "perf_counter", lambda: now)
    times = measure_layers("net", lambda: net, batch=2, steps=5)
    assert times.network == "net"
    n = len(net.layers)
    assert [t.forward_ms for t in times.layers] == [1e3 * (1 + i) for i in range(n)]
    assert [t.backward_ms for t in times.layers] == [1e4 * i for i in range(n)]
    assert (times.loss_ms, times.optimizer_ms, times.rest_ms) == (500, 0, 0)
    assert times.step_ms == sum(1e3 * (1 + i) + 1e4 * i for i in range(n)) + 500


@pytest.mark.usefixtures("rates")
def test_work_of_every_layer():
    times = measure_layers(*SMALL, batch=2, threads=1, steps=2)
    costs = cost_report(SMALL[1]()).layers
    assert [t.name for t in times.layers] == [c.name for c in costs]
    assert [t.forward_macs for t in times.layers] == [c.macs for c in costs]
    work = {
        t.name: t.backward_macs / t.forward_macs for t in times.layers if t.forward_macs
    }
    assert work == {"conv1": 1, "conv2": 2, "dense1": 2}
    parts = [t.forward_ms + t.backward_ms for t in times.layers]
    phases = times.loss_ms + times.optimizer_ms + times.rest_ms
    assert sum(parts) + phases == pytest.approx(times.step_ms)
    assert (times.int8_rate, times.fp32_rate) == (3e11, 7e10)
    assert times.threads == 1


# Results kept in a file


def test_results_are_read_as_written(tmp_path):
    results = [result(), replace(result("resnet8", 8), peak_rss_mb=None)]
    (tmp_path / "r.jsonl").write_text("".join(f"{r.json()}\n" for r in results))
    assert read_measurements(tmp_path / "r.jsonl") == results


def test_a_line_of_before_says_what_gradients_were_rounded_to(tmp_path):
    """Which the name tells where it is not what they are now."""
    told = json.loads(result("resnet8").json())
    lines = [told | {"gradients": kind} for kind in ("float32", "bfloat16")]
    (tmp_path / "r.jsonl").write_text("\n".join(map(json.dumps, lines)))
    names = [r.network for r in read_measurements(tmp_path / "r.jsonl")]
    assert names == ["resnet8", "resnet8 (bfloat16 gradients)"]


GOOD = json.loads(result().json())


@pytest.mark.parametrize(
    "line",
    [
        "",
        "ms a batch",
        "[]",
        "{}",
        json.dumps({**GOOD, "more": 1}),
        json.dumps({**GOOD, "batch": 0}),
        json.dumps({**GOOD, "network": 3}),
        json.dumps({**GOOD, "int8_train_ms": None}),
        json.dumps({**GOOD, "fp32_eval_ms": "1"}),
    ],
)
def test_a_line_that_is_no_result(tmp_path, line):
    path = tmp_path / "r.jsonl"
    path.write_text(f"{result().json()}\n{line}\n")
    with pytest.raises(FileFormatError, match="r.jsonl, line 2: not a line of"):
        read_measurements(path)


def test_a_file_without_results(tmp_path):
    (tmp_path / "r.jsonl").touch()
    with pytest.raises(FileFormatError, match="r.jsonl: holds no measurements"):
        read_measurements(tmp_path / "r.jsonl")


# Tables


def test_speed_table():
    results = [result(ms=1234.56), replace(result("resnet8"), peak_rss_mb=None)]
    cpu, _, _, _, first, second, *_ = speed_table(results).splitlines()
    assert cpu == "a CPU"
    assert first.split() == "paper-cnn 2,2 4 1 1,234.6 2,469.1 308.6 617.3 100".split()
    assert second.split() == "resnet8 4 1 1.0 2.0 0.2 0.5".split()


def test_breakdown_table():
    layers = (
        bench.LayerTimes("pool1", 0, 0, 1.0, 2.0),
        bench.LayerTimes("conv2", 1_000_000, 2_000_000, 2.0, 10.0),
    )
    times = bench.Breakdown(
        "resnet8", 100, 2, "a CPU", 17.0, layers, 1.0, 0.5, 0.5, 3e11, 7e10
    )
    title, _, _, _, *rows = breakdown_table(times).splitlines()
    assert title == "int8 training step, resnet8, batch 100, 2 threads, a CPU"
    assert [row.split() for row in rows[:7]] == [
        ["pool1", "1.00", "2.00", "3.00"],
        ["conv2", "1,000,000", "2.00", "10.00", "12.00", "50.0", "20.0"],
        ["loss", "1.00"],
        ["optimizer", "0.50"],
        ["rest", "0.50"],
        ["step", "17.00"],
        ["limit", "300.0", "70.0"],
    ]
    assert json.loads(times.json())["layers"][1]["backward_ms"] == 10.0


# Plots


@pytest.mark.parametrize("results", [TABLE, TABLE[:1]], ids=["a table", "one"])
def test_plot_is_a_picture(tmp_path, results):
    from PIL import Image

    plot_speed(results, tmp_path / "speed.png")
    with Image.open(tmp_path / "speed.png") as image:
        pixels = np.asarray(image.convert("L"))
    assert pixels.shape == (468, 1080)
    assert pixels.max() == 255 and 0.01 < (pixels < 200).mean() < 0.2


def test_plot_shows_the_middle_of_a_table(tmp_path, monkeypatch):
    figure = plots._figure(9, 3.9)
    monkeypatch.setattr(plots, "_figure", lambda width, height: figure)
    plot_speed(TABLE[::-1], tmp_path / "speed.png")
    by_batch, by_network = figure.axes
    assert by_batch.get_title(loc="left") == "training step [ms], paper-cnn 32,32,64"
    assert by_network.get_title(loc="left") == "training step [ms], batch 128"
    for axes in figure.axes:
        labels = [line.get_label() for line in axes.lines]
        assert labels == [
            "fp32, 1 thread", "int8, 1 thread", "fp32, 2 threads", "int8, 2 threads",
        ]  # fmt: skip
    fp32, int8, *_ = by_batch.lines
    assert list(int8.get_xdata()) == [32, 64, 128, 256, 512]
    assert list(int8.get_ydata()) == [0.128 * n for n in (32, 64, 128, 256, 512)]
    assert list(fp32.get_ydata()) == [2 * y for y in int8.get_ydata()]
    int8 = by_network.lines[-1]
    assert list(int8.get_ydata()) == [0.064 * n for n in (64, 128, 192, 256)]


def test_plot_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    for draw in (check_plot, lambda path: plot_speed(TABLE, path)):
        with pytest.raises(ToolError, match=r"pip install 'kanji-np\[plot\]'"):
            draw(tmp_path / "speed.png")


# The command


def test_without_options_the_papers_sizes_are_measured(measured):
    code, output = run()
    assert code == 0
    assert measured == [(title(size), 128, None, 20) for size in PAPER_SIZES]
    assert output == f"{speed_table(first_memory(measured))}\n"


def test_all_combinations_are_measured(measured):
    most = MOST_THREADS
    options = ("--channels", "2", "--channels", "3,4", "--batch", 5, "--batch", 6)
    code, output = run(*options, "--threads", most, "--steps", 7, "--json")
    assert code == 0
    sizes = [(size, batch) for size in ("2", "3,4") for batch in (5, 6)]
    assert measured == [(f"paper-cnn {c}", b, most, 7) for c, b in sizes]
    assert output.splitlines() == [r.json() for r in first_memory(measured)]


def test_networks_are_measured_in_the_sizes_they_have(measured):
    options = ("--network", "resnet8", "--network", "paper-cnn")
    assert run(*options)[0] == 0
    names = ["resnet8", *map(title, PAPER_SIZES)]
    assert measured == [(name, 128, None, 20) for name in names]
    measured.clear()
    code, output = run("--network", "paper-cnn", "--channels", "2", *options)
    assert (code, measured) == (2, [])
    assert output == "--channels does not apply to resnet8\n"


def test_the_network_of_a_file_is_measured(measured, tmp_path):
    paper_cnn((2,), name="small").save(tmp_path / "net.npz")
    assert run(tmp_path / "net.npz", "--batch", 5, "--batch", 6)[0] == 0
    assert measured == [("small", 5, None, 20), ("small", 6, None, 20)]


@pytest.mark.parametrize("measure", [measure, measure_layers])
def test_a_network_without_scores_is_refused(measure):
    net = Sequential([Conv2D(3, 3)], (5, 4, 2), name="edges")
    with pytest.raises(ShapeError, match="^edges: .* the output is 3x2x3$"):
        measure("edges", lambda: net, batch=2, steps=1)


def first_memory(cases):
    """Their results; the memory of all but the first is not known."""
    first, *others = [result(c, b, t or 1) for c, b, t, _ in cases]
    return [first, *(replace(r, peak_rss_mb=None) for r in others)]


@pytest.mark.usefixtures("rates")
def test_layers(tmp_path):
    options = ("--layers", "--channels", "2", "--batch", 2, "--steps", 1)
    code, output = run(*options)
    assert code == 0
    assert output.startswith("int8 training step, paper-cnn 2, batch 2, ")
    code, output = run(*options, "--batch", 3, "--json")
    first, second = map(json.loads, output.splitlines())
    assert (code, first["batch"], second["batch"]) == (0, 2, 3)


def test_kept_results_are_shown_and_drawn(tmp_path, measured):
    path, plot = tmp_path / "r.jsonl", tmp_path / "plots" / "speed.png"
    path.write_text("".join(f"{r.json()}\n" for r in TABLE))
    assert run("--read", path, "--plot", plot) == (0, f"{speed_table(TABLE)}\n")
    assert plot.exists() and not measured


def test_nothing_is_measured_that_could_not_be_drawn(tmp_path, measured, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    code, output = run("--plot", tmp_path / "speed.png")
    assert (code, output.count("\n"), measured) == (2, 1, [])
    assert "needs matplotlib: pip install" in output
