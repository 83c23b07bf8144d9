"""From a trained network to proven C: export, verify, results and vectors."""

import re
from pathlib import Path

import kanji_np
from kanji_np.results import Proof, read_result, results_table

from .commands import ok, run


def test_exported_c_has_no_differing_byte(firmware, images):
    output = ok("verify", firmware, "--data", images)
    assert output.startswith("0 differing bytes in 12 images")
    output = ok("verify", firmware, "--data", images, "--limit", "5")
    assert output.startswith("0 differing bytes in 5 images")
    assert "1,000" not in ok("verify", firmware, "--data", images, "--limit", "1000")


def test_a_target_is_trained_for_scored_and_exported(train, images):
    legacy = ("--target", "cmsis-nn-q7", "--core", "cortex-m4")
    ok(*train, "--epochs", "1", *legacy, "--pool", "average", "--name", "old")
    model = "runs/old/model.npz"
    assert "cmsis-nn-q7/5.9.0/dsp/half_up" in ok("report", model)
    assert "cmsis-nn-q7/5.9.0/c/truncate" in ok(
        "report", model, "--core", "c", "--rounding", "truncate"
    )
    single = ("--target", "cmsis-nn", "--rounding", "single")
    ok("evaluate", model, "--data", images, *single)
    for options in ((), ("--core", "cortex-m3"), ("--target", "cmsis-nn")):
        ok("export", model, "firmware", *options)
        output = ok("verify", "firmware", "--data", images)
        assert output.startswith("0 differing bytes in 12 images")


def test_an_emulated_core_is_measured(firmware, images):
    output = ok("verify", firmware, "--data", images, "--on", "m3", "--layers")
    table, _, rest = output.partition("\n\n")
    header, rule, *rows = table.splitlines()
    assert header.split("  ")[-1] == "instructions" and set(rule) == {"-", " "}
    assert [row.split()[1] for row in rows] == [
        "normalize1", "conv1", "pool1", "flatten1", "dense1",
    ]  # fmt: skip
    assert re.fullmatch(r"2 +conv1 +conv2d +[\d,]+ +0 +0 +[\d,]+", rows[1])
    verdict, device, note = rest.splitlines()
    assert verdict.startswith("0 differing bytes in 12 images")
    assert re.match(
        r"cortex-m3: [\d,]+( to [\d,]+)? instructions an inference; bytes: flash "
        r"[\d,]+, RAM [\d,]+ \+ 0, stack \d+ \(mps2-an385, arm-none-eabi-gcc ",
        device,
    )
    assert note == "the firmware is for core class dsp, cortex-m3 is c"


def test_flash_and_stack_of_a_board_or_core_are_predicted(train):
    ok(*train, "--epochs", "1")
    model, said = "runs/own/model.npz", "predicted for cortex-m4 with kernels of ccore"
    assert said in ok("export", model, "a", "--board", "nucleo-f446re")
    assert said in ok("export", model, "b", "--core", "cortex-m4")
    assert "predicted" not in ok("export", model, "c", "--core", "dsp")
    a, b, c = (Path(name, "own.h").read_text() for name in "abc")
    assert a == b and "OWN_STACK_BYTES" in a and "STACK" not in c


def test_layers_are_compared_on_the_host(firmware, images):
    output = ok("verify", firmware, "--data", images, "--layers")
    assert "host differs\n" in output and "instructions" not in output


def test_missing_tools_get_one_line(firmware, images, monkeypatch):
    monkeypatch.setenv("PATH", "")
    code, output = run("verify", firmware, "--data", images, "--on", "cortex-m4")
    assert (code, output.count("\n")) == (2, 1)
    assert "apt install gcc-arm-none-eabi" in output


def test_results_are_written_proven_and_shown(train, images):
    options = ("--epochs", "2", "--fp32-epochs", "1", "--directory", "run")
    output = ok(*train, *options, "--result", "results/a.json")
    result = read_result("results/a.json")
    assert f"int8 accuracy  {100 * result.int8_score:.2f} %" in output
    command = " ".join(["kanji-np", *train, *options, "--result results/a.json"])
    assert result.command == command
    assert list(result.options.items()) == [
        ("data", "own.npz"), ("channels", "2"), ("epochs", 2), ("batch", 8),
        ("fp32-epochs", 1), ("directory", "run"), ("result", "results/a.json"),
    ]  # fmt: skip
    assert (result.data, result.seed, result.epochs) == ("own", 0, 2)
    net = kanji_np.load("run/model.npz")
    assert result.digest == net.freeze().digest()
    assert result.target == str(net.target)
    assert result.fp32_score is None and result.seconds > 0

    ok("export", "run/model.npz", "firmware")
    verify = ("verify", "firmware", "--data", images, "--result")
    ok(*verify, "results/a.json", "--limit", "3")
    ok(*verify, "results/a.json")
    proven = result.with_proof(Proof("host", "ccore", 12, 0))
    assert read_result("results/a.json") == proven
    assert ok("results", "results") == f"{results_table([proven])}\n"

    ok(*train, "--epochs", "1", "--precision", "fp32", "--result", "results/b.json")
    other = read_result("results/b.json")
    assert other.fp32_score is not None
    code, output = run(*verify, "results/b.json")
    assert (code, output.count("\n")) == (2, 1)
    assert "results/b.json is not the result of the model in firmware" in output
    assert read_result("results/b.json") == other


def test_vectors(firmware, images):
    output = ok("vectors", firmware, "out", "--data", images, "--images", "2")
    assert output.split() == [f"out/own_vectors.{end}" for end in ("h", "c", "npz")]
    assert "OWN_VECTORS_IMAGES 2\n" in Path("out/own_vectors.h").read_text()


def test_an_altered_weight_is_found_and_its_layer_named(firmware, images):
    source = firmware / "own_data.c"
    altered, n = re.subn(
        r"(_conv1_weight\[\d+\] = \{\s*)(-?\d+),",
        lambda m: f"{m[1]}{-127 if int(m[2]) > 0 else 127},",
        source.read_text(),
    )
    assert n == 1
    source.write_text(altered)
    code, output = run("verify", firmware, "--data", images)
    assert code == 1
    assert re.match(r"[1-9]\d* differing bytes in 12 images", output)
    assert re.search(r"\nfirst: image \d+, layer 2 \(conv1\)", output)
