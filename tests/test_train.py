"""The training loop: same call same bytes, killed runs that end alike, refusals."""

import csv
import io
import math
import os
import re
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import numba
import numpy as np
import pytest
from small import small_layers, small_net, stripes

import kanji_np as kj
from kanji_np import archive
from kanji_np.errors import (
    DataError,
    FileFormatError,
    OptionError,
    RangeError,
    ShapeError,
)
from kanji_np.loops.threads import limited
from kanji_np.train import EpochRecord, Recipe, checkpoint
from kanji_np.train.checkpoint import CHECKPOINT, HISTORY, MODEL
from kanji_np.train.progress import COMPILING
from kanji_np.train.run import CALIBRATION_IMAGES, RANGE_OPTIMIZER, Run

HERE = Path(__file__).parent
DATA = stripes(48)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Quicker on networks this small; that it changes no byte is tested below."""
    with limited(1):
        yield


def settings(**options):
    return {
        "epochs": 3,
        "batch_size": 20,
        "optimizer": kj.Adam(lr=0.01),
        "augment": kj.Augment(crop_padding=1),
        "label_smoothing": 0.1,
        "fp32_epochs": 1,
        "validation": DATA,
        "show": False,
    } | options


def weights(net):
    return b"".join(p.data.tobytes() for p in net.parameters())


def trained(target="cmsis-nn", core="dsp", **options):
    net = small_net(target=target, core=core)
    history = kj.fit(net, DATA, **settings(**options))
    return net, history


@pytest.fixture(scope="module")
def model_bytes(tmp_path_factory):
    """model.npz of a run that nobody disturbed."""
    directory = tmp_path_factory.mktemp("undisturbed")
    trained(directory=directory)
    return (directory / MODEL).read_bytes()


# ------------------------------------------------------------------ reproducibility


def test_the_same_call_gives_the_same_bytes():
    (one, history), (other, again) = trained(), trained()
    assert weights(one) == weights(other)
    assert one.snapshot()[0] == other.snapshot()[0]
    without_time = [
        [(r.train_loss, r.train_accuracy, r.validation_accuracy) for r in h.epochs]
        for h in (history, again)
    ]
    assert without_time[0] == without_time[1]


@pytest.mark.parametrize(
    "option",
    [
        {"seed": 1},
        {"batch_size": 19},
        {"augment": None},
        {"label_smoothing": 0.0},
        {"averaging": 0.0},
        {"averaging": 0.1},
        {"fp32_epochs": 0},
        {"precision": "fp32"},
        {"optimizer": kj.Adam(lr=0.02)},
        {"schedule": kj.Constant()},
        {"loss": lambda logits, labels: kj.cross_entropy(logits, labels) * 2.0},
    ],
    ids=lambda option: next(iter(option)),
)
def test_every_setting_decides_the_weights(option):
    assert weights(trained(**option)[0]) != weights(trained()[0])


def test_training_is_in_the_targets_arithmetic():
    s8, q7 = (weights(trained(target)[0]) for target in ("cmsis-nn", "cmsis-nn-q7"))
    assert s8 != q7
    assert weights(trained(core="mve")[0]) == s8
    # their average pools differ
    assert weights(trained("cmsis-nn-q7", core="c")[0]) != q7
    assert weights(trained("cmsis-nn-q7", core="mve")[0]) == weights(
        trained("cmsis-nn-q7", core="c")[0]
    )


def test_freezing_on_the_way_changes_nothing():
    net = small_net()
    net.freeze()
    kj.fit(net, DATA, **settings())
    assert weights(net) == weights(trained()[0])


#: Trains as this file does; dies at the `deadly`-th loss, fsync or replace.
CHILD = """
import os, signal, sys
import kanji_np as kj
from small import small_net
from test_train import DATA, settings

directory, deadly = sys.argv[1], int(sys.argv[2])
events = 0

def mortal(function):
    def wrapper(*arguments, **options):
        global events
        events += 1
        if events == deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)
    return wrapper

def loss(logits, labels):
    return kj.cross_entropy(logits, labels, label_smoothing=0.1)

os.fsync, os.replace = mortal(os.fsync), mortal(os.replace)
kj.fit(
    small_net(), DATA, loss=mortal(loss), directory=directory, resume=True, **settings()
)
"""


def child(directory, deadly=0, threads=2):
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", CHILD, str(directory), str(deadly)],
        env={
            **os.environ,
            "NUMBA_NUM_THREADS": str(threads),
            "PYTHONPATH": os.pathsep.join(map(str, (HERE, HERE.parent))),
        },
        capture_output=True,
        text=True,
        check=False,  # killed is what it should be
    )
    assert run.returncode in (0, -signal.SIGKILL), run.stderr
    return run.returncode


@pytest.mark.parametrize("threads", [1, 2])
def test_another_process_and_number_of_threads_gives_the_same_bytes(
    tmp_path, model_bytes, threads
):
    assert child(tmp_path, threads=threads) == 0
    assert (tmp_path / MODEL).read_bytes() == model_bytes


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bytes(
    tmp_path, model_bytes
):
    """An epoch is three losses, then fsync and replace of history and checkpoint."""
    epochs = []
    for deadly in (2, 6, 7, 9, 13, 5):  # before, in and after each file
        assert child(tmp_path, deadly) == -signal.SIGKILL
        if (tmp_path / CHECKPOINT).exists():
            header, _ = archive.read(tmp_path / CHECKPOINT, "kanji_np checkpoint")
            assert header["step"] == 3 * header["epoch"]
            epochs.append(header["epoch"])
        assert not (tmp_path / MODEL).exists()
    assert epochs == [1, 2, 2]
    assert child(tmp_path) == 0
    assert (tmp_path / MODEL).read_bytes() == model_bytes
    rows = list(csv.DictReader(io.StringIO((tmp_path / HISTORY).read_text())))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]


def test_an_error_in_a_step_or_a_batch_arrives_and_leaves_no_thread():
    def interrupted(logits, labels):
        raise KeyboardInterrupt

    before = threading.enumerate()
    with pytest.raises(KeyboardInterrupt):
        trained(loss=interrupted)
    with pytest.raises(ShapeError, match="fill has 2 values, images have 3 channels"):
        trained(augment=kj.Augment(fill=(1, 2)))
    assert threading.enumerate() == before


# ---------------------------------------------------------------------- averaging


def followed(**options):
    """A network, its history, and its weights after each step of training."""
    net, steps = small_net(), []

    def loss(logits, labels):
        steps.append([p.data.copy() for p in net.parameters()])
        return kj.cross_entropy(logits, labels, label_smoothing=0.1)

    history = kj.fit(net, DATA, loss=loss, **settings(**options))
    return net, history, steps[1:]  # before the first step they are as drawn


def test_the_network_ends_with_the_average_of_its_weights():
    raw, _, before_last = followed(averaging=0.0)
    last = [p.data for p in raw.parameters()]
    start = [p.data for p in small_net().parameters()]
    for averaging in (0.5, 0.998):
        net, _, steps = followed(averaging=averaging)
        # What is trained goes its way whether it is averaged or not.
        for a, b in zip(steps, before_last, strict=True):
            assert [x.tobytes() for x in a] == [x.tobytes() for x in b]
        expected = [p.astype(np.float64) for p in start]
        for count, weights_then in enumerate([*steps, last], 1):
            past = min(averaging, (1 + count) / (10 + count))
            expected = [
                past * mean + (1 - past) * p
                for mean, p in zip(expected, weights_then, strict=True)
            ]
        for p, mean in zip(net.parameters(), expected, strict=True):
            np.testing.assert_allclose(p.data, mean, rtol=1e-5, atol=1e-6)


def test_averaged_weights_are_quantized_over_their_own_range():
    net, _ = trained()
    for layer in net.layers:
        if layer.has_parameters:
            tracked = layer.weight_range
            weight = layer.weight.data
            assert (tracked.low, tracked.high) == (weight.min(), weight.max())


@pytest.mark.parametrize("averaging", [0.0, 0.5])
def test_every_epoch_scores_what_a_run_ended_there_would_save(tmp_path, averaging):
    options = {"schedule": kj.Constant(), "fp32_epochs": 0, "averaging": averaging}
    _, history = trained(**options)
    for epochs in (1, 2):
        directory = tmp_path / str(epochs)
        trained(**options, epochs=epochs, directory=directory)
        saved = kj.load(directory / MODEL)
        record = history.epochs[epochs - 1]
        assert record.validation_accuracy == saved.evaluate(DATA)


def test_scoring_leaves_the_training_alone():
    assert weights(trained(validation=None)[0]) == weights(trained()[0])


# -------------------------------------------------------------------- directories


class Stopped(Exception):
    pass


@pytest.fixture
def stop_before(monkeypatch):
    """Trainings end with an exception where a given epoch would begin; 0: never."""

    train = Run.one_epoch

    def stop_before(epoch):
        def one_epoch(run, report):
            if run.epoch == epoch - 1:
                raise Stopped
            return train(run, report)

        monkeypatch.setattr(Run, "one_epoch", one_epoch)

    return stop_before


@pytest.fixture
def run_directory(tmp_path, stop_before):
    """A run of two epochs of three, as if it had been stopped there."""
    stop_before(3)
    with pytest.raises(Stopped):
        trained(directory=tmp_path)
    stop_before(0)
    assert sorted(p.name for p in tmp_path.iterdir()) == [CHECKPOINT, HISTORY]
    return tmp_path


def test_a_stopped_run_goes_on_to_the_same_bytes(run_directory, model_bytes):
    _, history = trained(directory=run_directory, resume=True)
    assert (run_directory / MODEL).read_bytes() == model_bytes
    assert [record.epoch for record in history.epochs] == [1, 2, 3]
    # A finished run has nothing left to do.
    net, again = trained(directory=run_directory, resume=True)
    assert again == history
    assert (run_directory / MODEL).read_bytes() == model_bytes
    assert weights(net) == weights(kj.load(run_directory / MODEL))


@pytest.mark.parametrize(
    "options",
    [{}, {"scheme": "asymmetric", "ranges": "learned"}],
    ids=["pow2", "learned"],
)
def test_normalized_and_learned_runs_go_on_to_the_same_bytes(tmp_path, options):
    """Batch normalization is frozen after the second of three epochs."""

    class Stop(Exception):
        pass

    def train(directory, stop):
        steps = iter(range(100))

        def loss(logits, labels):
            if next(steps) == stop:
                raise Stop
            return kj.cross_entropy(logits, labels)

        layers = [
            kj.Normalize((120, 130, 110)),
            kj.Conv2D(8, 3, padding="same", batch_norm=True, activation="relu"),
            kj.Flatten(),
            kj.Dense(3),
        ]
        kj.fit(
            kj.Sequential(layers, (8, 8, 3), **options), DATA, loss=loss,
            directory=directory, resume=True, **settings(),
        )  # fmt: skip
        return (directory / MODEL).read_bytes()

    whole = train(tmp_path / "whole", None)
    for stop in (4, 4):  # after one epoch, then after the second
        with pytest.raises(Stop):
            train(tmp_path / "cut", stop)
    assert train(tmp_path / "cut", None) == whole


def test_learned_ranges_learn_at_a_rate_of_their_own():
    """They move by powers of two, whatever weights' steps and the loss's size are."""
    seen = []
    for size in (1.0, 2.0**-10):

        def loss(logits, labels, size=size):
            return kj.cross_entropy(logits, labels) * size

        net = small_net(ranges="learned")
        before = weights(net)
        history = kj.fit(
            net, DATA, loss=loss, **settings(optimizer=kj.SGD(lr=0.0), averaging=0)
        )
        steps = sum(record.precision == "int8" for record in history.epochs) * 3
        seen.append([t.item() for t in net.learned_ranges()])
        moved = np.abs(seen[-1])
        assert len(moved) == 2 * 4
        assert (moved > 0).all() and (moved <= steps * RANGE_OPTIMIZER.lr).all()
        for theta in net.learned_ranges():
            theta.data = np.zeros_like(theta.data)
        assert weights(net) == before
    np.testing.assert_allclose(*seen, rtol=1e-3)


@pytest.mark.parametrize("order", ["cycle", "sort"])
def test_every_class_is_in_the_sample_that_statistics_come_from(order):
    """Normalized layers get theirs from it; every fifth image would be of one class."""
    labels = np.arange(2500) % 5
    if order == "sort":
        labels.sort()
    images = np.broadcast_to(labels[:, None, None, None], (2500, 8, 8, 3))
    names = tuple("abcde")
    train = kj.Dataset(images.astype(np.uint8), labels, names, "stripes")
    run = Run(small_net(), Recipe(), kj.cross_entropy, train)
    counts = np.bincount(run.sample[:, 0, 0, 0])
    assert counts.sum() == CALIBRATION_IMAGES
    assert len(counts) == 5 and counts.min() > CALIBRATION_IMAGES // 10


def test_a_directory_with_a_run_is_not_overwritten(run_directory):
    before = (run_directory / CHECKPOINT).read_bytes()
    with pytest.raises(OptionError, match="holds a run already: resume it, or choose"):
        trained(directory=run_directory)
    assert (run_directory / CHECKPOINT).read_bytes() == before


def test_resuming_where_there_is_no_run_starts_one(tmp_path, model_bytes):
    trained(directory=tmp_path / "new" / "folder", resume=True)
    assert (tmp_path / "new" / "folder" / MODEL).read_bytes() == model_bytes


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("epochs", {"epochs": 4}),
        ("batch_size", {"batch_size": 21}),
        ("optimizer", {"optimizer": kj.SGD()}),
        ("schedule", {"schedule": kj.Cosine()}),
        ("precision", {"precision": "fp32"}),
        ("fp32_epochs", {"fp32_epochs": 2}),
        ("label_smoothing", {"label_smoothing": 0.2}),
        ("averaging", {"averaging": 0.0}),
        ("freeze_batch_norm", {"freeze_batch_norm": 1.0}),
        ("augment", {"augment": None}),
        ("seed", {"seed": 5}),
        ("loss", {"loss": kj.mean_squared_error}),
        ("loss", {"loss": partial(kj.cross_entropy, label_smoothing=0.2)}),
    ],
)
def test_resuming_with_another_setting_is_refused_by_its_name(
    run_directory, name, option
):
    before = (run_directory / CHECKPOINT).read_bytes()
    with pytest.raises(OptionError, match=f"is of a run with {name} .*, not "):
        trained(directory=run_directory, resume=True, **option)
    assert (run_directory / CHECKPOINT).read_bytes() == before


class Halves:
    """A schedule that is no dataclass, as a user may write one."""

    def factor(self, step, steps, steps_per_epoch):
        return 0.5


class Part(Halves):
    def __init__(self, part):
        self.part = part


def mean_loss(outputs, labels):
    return kj.cross_entropy(outputs, labels)


def test_a_schedule_and_a_loss_of_ones_own_are_resumed(tmp_path, stop_before, capsys):
    """In each process they lie at another address."""
    for epoch in (2, 3):
        stop_before(epoch)
        with pytest.raises(Stopped):
            trained(directory=tmp_path, resume=True, schedule=Halves(), loss=mean_loss)
    stop_before(0)
    assert capsys.readouterr().err == ""
    other = {"schedule": Part(0.5), "loss": mean_loss}
    with pytest.raises(OptionError, match=r"of a run with schedule .*Halves.*Part"):
        trained(directory=tmp_path, resume=True, **other)
    net, _ = trained(directory=tmp_path, resume=True, schedule=Halves(), loss=mean_loss)
    assert weights(net) == weights(trained(schedule=Halves(), loss=mean_loss)[0])


def test_what_cannot_be_compared_is_named(tmp_path, stop_before, capsys):
    def run(loss, part):
        trained(directory=tmp_path, resume=True, loss=loss, schedule=Part(part))

    stop_before(2)
    with pytest.raises(Stopped):
        run(lambda y, labels: kj.cross_entropy(y, labels), 0.5)
    stop_before(0)
    assert capsys.readouterr().err == ""
    run(lambda y, labels: kj.cross_entropy(y, labels), 0.5)
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert re.search(r"with schedule .*Part\(...\): whether .* cannot be told", told[0])
    assert re.search(r"with loss .*<lambda>\(...\): whether .* cannot be told", told[1])


def test_a_checkpoint_that_does_not_say_its_loss_is_resumed(
    run_directory, model_bytes, capsys
):
    header, arrays = archive.read(run_directory / CHECKPOINT, "kanji_np checkpoint")
    del header["settings"]["loss"]
    header["settings"]["averaging"] = "0.9980"
    archive.write(run_directory / CHECKPOINT, header, arrays)
    with pytest.raises(OptionError, match="averaging 0.9980, not 0.998"):
        trained(directory=run_directory, resume=True)
    header["settings"]["averaging"] = "0.998"
    archive.write(run_directory / CHECKPOINT, header, arrays)
    capsys.readouterr()
    trained(directory=run_directory, resume=True)
    assert (run_directory / MODEL).read_bytes() == model_bytes
    assert re.search("with loss unknown: .* cannot be told", capsys.readouterr().err)


def test_a_checkpoint_that_says_what_gradients_were_rounded_to(
    run_directory, model_bytes, capsys
):
    """As those of before do: a run goes on if they were as they are now."""
    header, arrays = archive.read(run_directory / CHECKPOINT, "kanji_np checkpoint")
    header["settings"]["gradients"] = "'bfloat16'"
    archive.write(run_directory / CHECKPOINT, header, arrays)
    with pytest.raises(OptionError, match="gradients 'bfloat16', not 'float32'$"):
        trained(directory=run_directory, resume=True)
    header["settings"]["gradients"] = "'float32'"
    archive.write(run_directory / CHECKPOINT, header, arrays)
    capsys.readouterr()
    trained(directory=run_directory, resume=True)
    assert (run_directory / MODEL).read_bytes() == model_bytes
    assert "gradients" not in capsys.readouterr().err


def test_a_checkpoint_with_the_former_name_of_a_setting(
    run_directory, model_bytes, capsys
):
    header, arrays = archive.read(run_directory / CHECKPOINT, "kanji_np checkpoint")
    del header["settings"]["reproduce_inputs"]
    header["settings"]["targets"] = "'inputs'"
    archive.write(run_directory / CHECKPOINT, header, arrays)
    with pytest.raises(OptionError, match="reproduce_inputs True, not False$"):
        trained(directory=run_directory, resume=True)
    header["settings"]["targets"] = "'labels'"
    archive.write(run_directory / CHECKPOINT, header, arrays)
    capsys.readouterr()
    trained(directory=run_directory, resume=True)
    assert (run_directory / MODEL).read_bytes() == model_bytes
    assert "targets" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: kj.Normalize((120, 130, 111)), "normalize1/mean"),
        (lambda x: kj.Normalize((120, 130, 110), shift=2), "is of a run with network"),
    ],
)
def test_resuming_another_network_is_refused(run_directory, change, message):
    net = kj.Sequential([change(None), *small_layers()[1:]], (8, 8, 3))
    before = weights(net)
    with pytest.raises(kj.KanjiError, match=message):
        kj.fit(net, DATA, directory=run_directory, resume=True, **settings())
    assert weights(net) == before


@pytest.mark.parametrize(
    "option", [("scheme", "symmetric"), ("ranges", "percentile"), ("target", "q7")]
)
def test_resuming_with_another_quantization_is_refused(run_directory, option):
    name, value = option
    net = small_net(**{name: value.replace("q7", "cmsis-nn-q7")})
    with pytest.raises(OptionError, match=f"is of a run with {name} .*, not .*{value}"):
        kj.fit(net, DATA, directory=run_directory, resume=True, **settings())


def test_resuming_with_other_data_is_refused(run_directory):
    message = r"run with training data 48 images \w{16}, not 4[78] images \w{16}"
    for other in (DATA.select(slice(47)), stripes(48, seed=1)):
        with pytest.raises(OptionError, match=message):
            kj.fit(
                small_net(), other, directory=run_directory, resume=True, **settings()
            )


def test_resuming_needs_a_directory():
    with pytest.raises(OptionError, match="resume needs the directory of the run"):
        kj.fit(small_net(), DATA, resume=True, **settings())


def test_fp32_alone_takes_its_ranges_from_the_training_images():
    net, _ = trained(precision="fp32", epochs=1)
    other = small_net()
    for mine, theirs in zip(net.parameters(), other.parameters(), strict=True):
        theirs.data = mine.data
    other.calibrate(DATA.images)
    assert net.is_calibrated
    assert net.freeze().digest() == other.freeze().digest()


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text", "model"])
def test_a_damaged_checkpoint_is_refused_and_left_as_it_is(run_directory, damage):
    path = run_directory / CHECKPOINT
    whole = path.read_bytes()
    middle = len(whole) // 2
    if damage == "model":
        small_net().save(run_directory / "other.npz")
        (run_directory / "other.npz").replace(path)
    else:
        path.write_bytes(
            {
                "cut": whole[:middle],
                "flip": whole[:middle]
                + bytes([whole[middle] ^ 1])
                + whole[middle + 1 :],
                "empty": b"",
                "text": b"text",
            }[damage]
        )
    damaged = path.read_bytes()
    with pytest.raises(FileFormatError, match=re.escape(str(path))) as caught:
        trained(directory=run_directory, resume=True)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == damaged


def test_a_checkpoint_of_another_version_is_refused(run_directory):
    path = run_directory / CHECKPOINT
    header, arrays = archive.read(path, "kanji_np checkpoint")
    for name in [name for name in arrays if name.startswith(("slot/", "average/"))]:
        archive.write(path, header, {k: v for k, v in arrays.items() if k != name})
        with pytest.raises(FileFormatError, match="not a checkpoint of this version"):
            trained(directory=run_directory, resume=True)
    del header["history"]
    archive.write(path, header, arrays)
    with pytest.raises(FileFormatError, match="not a checkpoint of this version"):
        trained(directory=run_directory, resume=True)


def test_a_finished_run_has_its_history_and_its_model(tmp_path):
    net, history = trained(directory=tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [CHECKPOINT, HISTORY, MODEL]
    text = (tmp_path / HISTORY).read_text()
    assert text == history.csv()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["precision"] for row in rows] == ["fp32", "int8", "int8"]
    assert float(rows[-1]["train_loss"]) == history.epochs[-1].train_loss
    assert float(rows[-1]["validation_accuracy"]) == net.evaluate(DATA)
    assert kj.load(tmp_path / MODEL).freeze().digest() == net.freeze().digest()


# ----------------------------------------------------------------------- learning


def test_a_tiny_int8_network_learns_a_tiny_problem():
    """Rows, columns and checks, light or dark: nothing for a linear classifier."""
    net, data, test = small_net(), stripes(240), stripes(150, seed=1)
    assert net.evaluate(test) < 0.6
    history = kj.fit(
        net, data, epochs=8, batch_size=16, optimizer=kj.Adam(lr=5e-3), validation=test,
        show=False,
    )  # fmt: skip
    assert history.epochs[-1].validation_accuracy == net.evaluate(test) > 0.95
    assert history.epochs[-1].train_loss < 0.3 * history.epochs[0].train_loss


def test_fp32_first_then_int8():
    net = small_net()
    data = stripes(240)
    history = kj.fit(
        net, data, epochs=8, fp32_epochs=6, batch_size=16, optimizer=kj.Adam(lr=5e-3),
        validation=data, show=False,
    )  # fmt: skip
    assert [r.precision for r in history.epochs] == ["fp32"] * 6 + ["int8"] * 2
    assert history.epochs[5].validation_accuracy > 0.9
    assert history.epochs[-1].validation_accuracy == net.evaluate(data) > 0.95
    updates = [x.output_range.updates for x in net.layers if x.has_parameters]
    assert updates == [2 * 15] * 4


def test_a_loss_of_ones_own():
    def mean_squared_error(outputs, labels):
        difference = outputs - np.eye(3, dtype=np.float32)[labels]
        return (difference**2).mean()

    net, data = small_net(), stripes(240)
    history = kj.fit(
        net, data, epochs=12, batch_size=16, optimizer=kj.Adam(lr=1e-2),
        loss=mean_squared_error, show=False,
    )  # fmt: skip
    assert net.evaluate(data) > 0.85
    outputs = net.logits(data.images).data
    expected = ((outputs - np.eye(3)[data.labels]) ** 2).mean()
    assert history.epochs[-1].train_loss == pytest.approx(expected, abs=0.03)


def test_records_are_means_over_the_epoch():
    """With a learning rate of nothing the fp32 network stays, and can be asked."""
    net = small_net()
    history = kj.fit(
        net, DATA, epochs=2, batch_size=20, precision="fp32", show=False,
        optimizer=kj.SGD(lr=0.0), schedule=kj.Constant(), label_smoothing=0.0,
    )  # fmt: skip
    logits = net.logits(DATA.images, precision="fp32")
    expected = kj.cross_entropy(logits, DATA.labels).item()
    for i, record in enumerate(history.epochs, 1):
        assert (record.epoch, record.precision, record.lr) == (i, "fp32", 0.0)
        assert record.train_loss == pytest.approx(expected, rel=1e-5)
        assert record.train_accuracy == net.evaluate(DATA, precision="fp32")
        assert math.isnan(record.validation_accuracy)
        assert record.seconds > 0


def test_the_learning_rate_follows_its_schedule():
    seen = []

    class Watched(kj.SGD):
        def step(self, parameters, slots, lr, count):
            seen.append((count, lr))

    kj.fit(
        small_net(), DATA, epochs=2, batch_size=20, optimizer=Watched(lr=0.5),
        schedule=kj.Cosine(), show=False,
    )  # fmt: skip
    expected = [0.25 * (1 + math.cos(math.pi * step / 6)) for step in range(6)]
    assert [count for count, _ in seen] == [1, 2, 3, 4, 5, 6]
    assert [lr for _, lr in seen] == pytest.approx(expected)


def test_nothing_told_is_the_recipe_told():
    told = Recipe()
    net, other = small_net(), small_net()
    data = replace(DATA, augment=kj.Augment(crop_padding=1))
    kj.fit(net, data, epochs=1, show=False)
    kj.fit(
        other, DATA, epochs=1, show=False, batch_size=told.batch_size,
        optimizer=kj.SGD(), schedule=kj.OneCycle(), averaging=told.averaging,
        label_smoothing=told.label_smoothing, augment=data.augment,
    )  # fmt: skip
    assert weights(net) == weights(other)
    kj.fit(other := small_net(), DATA, epochs=1, show=False)  # says nothing of itself
    assert weights(net) != weights(other)


@pytest.mark.parametrize(
    ("part", "frozen"), [(0.0, [0, 1, 2, 3]), (0.7, [3]), (0.5, [2, 3]), (1.0, [])]
)
def test_batch_normalization_is_frozen_after_its_part_of_the_epochs(part, frozen):
    recipe = Recipe(4, freeze_batch_norm=part)
    assert [e for e in range(4) if recipe.freezes_batch_norm(e)] == frozen


def normalized_net() -> kj.Sequential:
    layers = [
        kj.Normalize((125, 123, 114)),
        kj.Conv2D(4, 3, 2, batch_norm=True, activation="relu"),
        kj.Flatten(),
        kj.Dense(3),
    ]
    return kj.Sequential(layers, DATA.input_shape)


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_averaged_weights_are_normalized_by_statistics_of_their_own(precision):
    net = normalized_net()
    kj.fit(net, DATA, epochs=2, precision=precision, freeze_batch_norm=1.0, show=False)
    norm = net.layers[1].norm
    seen = norm.moving
    net.renew_batch_norm(DATA.images)  # few enough to be the sample
    for before, after in zip(seen, norm.moving, strict=True):
        np.testing.assert_array_equal(before, after)


def test_averages_begin_anew_when_normalization_is_frozen():
    """Those of before go with other statistics, and would weigh in for long."""
    nets = normalized_net(), normalized_net()
    for net, averaging in zip(nets, (0.999, 0), strict=True):
        kj.fit(
            net, DATA, epochs=4, freeze_batch_norm=0.5, averaging=averaging,
            optimizer=kj.SGD(lr=1e-9), show=False,
        )  # fmt: skip
    for averaged, last in zip(*(net.parameters() for net in nets), strict=True):
        np.testing.assert_allclose(averaged.data, last.data, atol=1e-5)


def dim(count: int = 240) -> kj.Dataset:
    """Pictures far from the mean and with little contrast: large once normalized."""
    data = stripes(count)
    return replace(data, images=data.images // 5 + 20)


def dim_net() -> kj.Sequential:
    layers = [
        kj.Normalize((128, 128, 128)),
        kj.Conv2D(8, 3, padding="same", batch_norm=True, activation="relu"),
        kj.MaxPool2D(2),
        kj.Conv2D(8, 3, padding="same", batch_norm=True, activation="relu"),
        kj.Flatten(),
        kj.Dense(3),
    ]
    return kj.Sequential(layers, (8, 8, 3))


def dim_settings(**options):
    return {"epochs": 8, "batch_size": 16, "freeze_batch_norm": 0.5, "show": False} | (
        options
    )


def folded(net):
    """Weights as they are multiplied, and what of each gradient reaches them."""
    norms = [
        (x._params().weight, x.norm) for x in net.layers if getattr(x, "norm", None)
    ]
    return [w for w, _ in norms], [
        norm.gamma.data * norm.moving.inverse for _, norm in norms
    ]


def test_frozen_normalization_makes_no_step_larger():
    """The weights trained then act through gamma / sqrt(var + epsilon), at most 1."""
    net = dim_net()
    for start in range(0, 240, 40):
        net.logits(dim().images[start : start + 40], precision="fp32", track=True)
    before, slopes = folded(net)
    outputs = net.predict(dim().images, precision="fp32")
    assert max(np.abs(k).max() for k in slopes) > 2
    changed = net.freeze_batch_norm()
    after, now = folded(net)
    for a, b in zip(before, after, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-5)
    for k, new in zip(slopes, now, strict=True):
        np.testing.assert_allclose(new, np.clip(k, -1, 1), rtol=1e-5)
    np.testing.assert_allclose(
        net.predict(dim().images, precision="fp32"), outputs, rtol=1e-3, atol=1e-4
    )
    assert [w is net.layers[i].weight for (w, _), i in zip(changed, (1, 3))] == [
        True
    ] * 2
    assert net.freeze_batch_norm() == []


@pytest.mark.parametrize("optimizer", [kj.SGD(), kj.AdamW()], ids=["SGD", "AdamW"])
def test_what_optimizers_remember_goes_with_weights_that_are_frozen(optimizer):
    net = dim_net()
    net.logits(dim().images, precision="fp32", track=True)
    _, (slopes, _) = folded(net)
    run = Run(net, Recipe(optimizer=optimizer), kj.cross_entropy, dim())
    for slot in run.slots:
        for array in slot:
            array[...] = 1
    run._freeze_batch_norm()
    _, parameters, slots = run.groups[0]
    for parameter, slot in zip(parameters, slots, strict=True):
        for power, array in enumerate(slot, 1):
            expected = np.ones_like(array)
            if parameter is net.layers[1].weight:
                expected /= np.maximum(slopes, 1).reshape(-1, 1, 1, 1) ** power
            if parameter is not net.layers[3].weight:
                np.testing.assert_allclose(array, expected, rtol=1e-5)


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_freezing_that_ruins_a_training_is_undone_and_said(precision, capsys):
    net = dim_net()
    history = kj.fit(
        net, dim(), **dim_settings(precision=precision, show=True, averaging=0.9)
    )
    notes = [(record.epoch, record.note) for record in history.epochs if record.note]
    ((epoch, note),) = notes
    assert epoch == 5
    assert re.fullmatch(
        r"the loss rose from 0\.\d+ to \d+\.\d+ in epoch 5; back to the end of epoch 4"
        ": batch normalization is not frozen, but goes on with batches",
        note,
    )
    assert capsys.readouterr().err.splitlines().count(note) == 1
    assert net.is_normalized
    assert [record.epoch for record in history.epochs] == list(range(1, 9))
    assert history.epochs[-1].train_loss < history.epochs[3].train_loss
    assert net.evaluate(dim(), precision=precision) > 0.95


def test_a_second_fit_of_a_frozen_network_is_safe():
    net = dim_net()
    kj.fit(net, dim(), **dim_settings(epochs=5, freeze_batch_norm=0.7))
    assert not net.is_normalized
    assert net.evaluate(dim()) > 0.95
    kj.fit(net, dim(), **dim_settings(epochs=2))
    assert not net.is_normalized
    assert net.evaluate(dim()) > 0.95
    net.thaw_batch_norm()
    kj.fit(net, dim(), **dim_settings(epochs=2, freeze_batch_norm=1.0))
    assert net.is_normalized
    assert net.evaluate(dim()) > 0.95


# --------------------------------------------------------------------- divergence

#: Rates at which small_net diverges: a loss far too large, or no gradient left.
TOO_FAST = {"far": kj.SGD(lr=0.3), "silent": kj.SGD(lr=1.0), "both": kj.SGD(lr=3.0)}


def steep(optimizer, **options):
    net = small_net()
    told = {"epochs": 6, "batch_size": 16, "show": False, "optimizer": optimizer}
    return net, kj.fit(net, stripes(96), **told | options)


@pytest.mark.parametrize("name", TOO_FAST)
def test_a_run_that_diverges_goes_back_and_on_with_a_lower_rate(name, capsys):
    net, history = steep(TOO_FAST[name], epochs=8, show=True)
    notes = [record.note for record in history.epochs if record.note]
    assert notes
    told = capsys.readouterr().err.splitlines()
    for line in "; back".join(notes).split("; back")[1:]:
        assert re.match(r" to the end of epoch \d: learning rate times 0\.\d+", line)
    went_back = [line for line in told if "; back to the end of epoch" in line]
    assert "; ".join(went_back) == "; ".join(notes)
    assert [record.epoch for record in history.epochs] == list(range(1, 9))
    lowered = 0.25 ** len(went_back)
    last = TOO_FAST[name].lr * kj.OneCycle().factor(47, 48, 6) * lowered
    assert history.epochs[-1].lr == pytest.approx(last)
    assert net.evaluate(stripes(96)) > 0.6


@pytest.mark.parametrize("name", TOO_FAST)
def test_a_diverging_run_that_is_stopped_goes_on_to_the_same_bytes(
    tmp_path, stop_before, name
):
    _, history = steep(TOO_FAST[name], directory=tmp_path / "whole")
    for epoch in (2, 3, 4, 5, 6):
        stop_before(epoch)
        with pytest.raises(Stopped):
            steep(TOO_FAST[name], directory=tmp_path / "cut", resume=True)
    stop_before(0)
    _, again = steep(TOO_FAST[name], directory=tmp_path / "cut", resume=True)
    whole, cut = ((tmp_path / x / MODEL).read_bytes() for x in ("whole", "cut"))
    assert whole == cut
    assert [r.note for r in again.epochs] == [r.note for r in history.epochs]


def test_a_run_that_is_stopped_while_it_goes_back_ends_with_the_same_bytes(
    tmp_path, monkeypatch
):
    """Its history is shorter by then, and its checkpoint of later."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    steep(TOO_FAST["far"], directory=whole)
    save = checkpoint.save

    def stopped(run, path):
        if run.setbacks:
            raise Stopped
        save(run, path)

    monkeypatch.setattr(checkpoint, "save", stopped)
    with pytest.raises(Stopped):
        steep(TOO_FAST["far"], directory=cut)
    header, _ = archive.read(cut / CHECKPOINT, "kanji_np checkpoint")
    assert header["epoch"] > 0 == (cut / HISTORY).read_text().count("\n") - 1
    monkeypatch.undo()
    steep(TOO_FAST["far"], directory=cut, resume=True)
    assert (whole / MODEL).read_bytes() == (cut / MODEL).read_bytes()


def test_freezing_that_was_undone_stays_undone_when_a_run_is_resumed(
    tmp_path, stop_before
):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    kj.fit(dim_net(), dim(), directory=whole, **dim_settings())
    for epoch in (5, 6, 8):
        stop_before(epoch)
        with pytest.raises(Stopped):
            kj.fit(dim_net(), dim(), directory=cut, resume=True, **dim_settings())
    stop_before(0)
    history = kj.fit(dim_net(), dim(), directory=cut, resume=True, **dim_settings())
    assert (whole / MODEL).read_bytes() == (cut / MODEL).read_bytes()
    assert [record.epoch for record in history.epochs if record.note] == [5]


def test_a_run_that_always_diverges_ends_with_an_error(tmp_path):
    with pytest.raises(RangeError, match="training diverged.* at 0.00098 of it, too$"):
        steep(kj.SGD(lr=1e30), directory=tmp_path)
    assert not (tmp_path / MODEL).exists()


def test_a_network_that_nothing_reaches_is_an_error():
    net = small_net()
    net.layers[1].bias.data[:] = -1e3
    with pytest.raises(RangeError, match="no gradient reaches the first layer"):
        kj.fit(net, stripes(96), epochs=1, show=False)


def test_a_run_that_learned_nothing_says_so(capsys):
    labels = np.random.default_rng(0).permutation(DATA.labels)
    data = replace(DATA, labels=labels)
    history = kj.fit(small_net(), data, epochs=2, optimizer=kj.SGD(lr=0.0))
    line = "the network has learned nothing: always naming the most frequent class is "
    line += "right for 33.33 % of the training images"
    assert [record.note for record in history.epochs] == ["", line]
    assert capsys.readouterr().err.splitlines()[-1] == line


def test_a_run_that_learned_its_training_images_alone_says_so(capsys):
    labels = (DATA.labels + 1) % len(DATA.classes)
    others = replace(DATA, labels=labels)
    history = kj.fit(small_net(), DATA, **settings(validation=others, show=True))
    last = history.epochs[-1]
    assert last.train_accuracy > 0.4 > last.validation_accuracy
    line = "the network has learned nothing that holds for other images: always naming "
    line += "the most frequent class is right for 33.33 % of the validation images"
    assert last.note == line
    assert capsys.readouterr().err.splitlines()[-1] == line


def test_a_loss_of_nothing_is_no_divergence():
    """No gradient is left where there is nothing to learn any more."""
    history = kj.fit(
        small_net(), DATA, loss=lambda y, labels: (y * 0.0).sum(), epochs=2, show=False
    )
    assert len(history.epochs) == 2
    assert not any("learning rate" in record.note for record in history.epochs)


def normalized_dense(*, spatial: bool = False) -> kj.Sequential:
    """One value a channel and sample: of a dense layer, or of a convolution to 1x1."""
    hidden = [kj.Flatten(), kj.Dense(12, "relu", batch_norm=True)]
    if spatial:
        hidden = [kj.Conv2D(12, 8, activation="relu", batch_norm=True), kj.Flatten()]
    return kj.Sequential([kj.Normalize((128,) * 3), *hidden, kj.Dense(3)], (8, 8, 3))


@pytest.mark.parametrize("spatial", [False, True])
def test_a_last_batch_of_few_does_not_ruin_a_normalized_dense_layer(spatial):
    """One has no variance: weights folded with it would be 31 times too large."""
    for count in (129, 130, 135, 136):
        net, data = normalized_dense(spatial=spatial), stripes(count)
        largest = []

        def loss(outputs, labels, net=net, largest=largest):
            layer = next(x for x in net.layers if getattr(x, "norm", None))
            largest.append(float(layer.weight_range.max_abs))
            return kj.cross_entropy(outputs, labels)

        kj.fit(net, data, epochs=4, batch_size=32, loss=loss, show=False)
        assert len(largest) == 4 * (4 + (count == 136))
        assert max(largest) < 3 * largest[0]
        assert net.evaluate(stripes(150, seed=1)) > 0.5


@pytest.mark.parametrize("spatial", [False, True])
def test_batches_of_one_are_refused_where_they_have_no_variance(spatial):
    net = normalized_dense(spatial=spatial)
    with pytest.raises(OptionError, match=r"layer '\w+1' .* batch_size .*2, got 1"):
        kj.fit(net, DATA, batch_size=1, show=False)
    with pytest.raises(OptionError, match="training images must be at least 2, got 1"):
        kj.fit(net, DATA.take(1), show=False)
    with pytest.raises(ShapeError, match="needs two values a channel"):
        net.logits(DATA.images[:1], track=True)
    with pytest.raises(ShapeError, match="needs two values a channel"):
        net.renew_batch_norm(DATA.images[:1])
    net.logits(DATA.images[:2], track=True)
    net.freeze_batch_norm()  # goes by the moving statistics
    kj.fit(net, DATA, epochs=1, batch_size=1, show=False)
    kj.fit(normalized_net(), DATA, epochs=1, batch_size=1, show=False)


# ----------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"epochs": 0}, "epochs must be an int of at least 1, got 0"),
        ({"epochs": True}, "epochs must be an int of at least 1, got True"),
        ({"epochs": 1.5}, "epochs must be an int of at least 1, got 1.5"),
        ({"batch_size": 0}, "batch_size must be an int of at least 1, got 0"),
        ({"fp32_epochs": -1}, "fp32_epochs must be an int of at least 0, got -1"),
        ({"precision": "int4"}, "precision must be one of .* got 'int4'"),
        ({"fp32_epochs": 99}, r"fp32_epochs must be at most epochs \(3\), got 99"),
        ({"seed": -1}, "seed must be an int of at least 0, got -1"),
        ({"label_smoothing": 1.0}, r"label_smoothing must .* in \[0, 1\), got 1.0"),
        ({"averaging": 1.0}, r"averaging must .* in \[0, 1\), got 1.0"),
        ({"averaging": -0.1}, r"averaging must .* in \[0, 1\), got -0.1"),
        ({"averaging": "0.9"}, r"averaging must .* in \[0, 1\), got '0.9'"),
        ({"freeze_batch_norm": 1.1}, r"freeze_batch_norm must .* in 0 .. 1, got 1.1"),
        ({"optimizer": "sgd"}, r"optimizer must have .*SGD\(\), got 'sgd'"),
        ({"optimizer": kj.SGD}, r"optimizer must have .* such as SGD\(\), got <class"),
        ({"optimizer": kj.Cosine()}, r"optimizer must .* got Cosine\(final=0.0\)"),
        ({"schedule": "cosine"}, r"schedule must have .*OneCycle\(\), got 'cosine'"),
        ({"schedule": None}, "schedule must have the methods .* got None"),
        ({"loss": "cross_entropy"}, "loss must be a function .* got 'cross_entropy'"),
        ({"augment": "flip"}, "augment must be an Augment, None .* got 'flip'"),
    ],
)
def test_bad_options_are_named_and_change_nothing(tmp_path, option, message):
    net = small_net()
    before = weights(net)
    with pytest.raises(OptionError, match=message):
        kj.fit(net, DATA, directory=tmp_path, **settings(**option))
    assert weights(net) == before
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "value",
    [lambda y: y.data.mean(), lambda y: y, lambda y: None, lambda y: y.data[0, 0]],
    ids=["array", "many", "None", "number"],
)
def test_a_loss_that_is_not_one_number_on_the_tape_is_refused(value):
    message = "loss must return a Tensor of one number, got "
    with pytest.raises(OptionError, match=message):
        kj.fit(small_net(), DATA, loss=lambda y, labels: value(y), show=False)


def test_a_schedule_that_gives_no_number_is_refused():
    class Silent(kj.Constant):
        def factor(self, step, steps, steps_per_epoch):
            return None

    with pytest.raises(OptionError, match="factor must be a finite number, got None"):
        kj.fit(small_net(), DATA, schedule=Silent(), show=False)


def test_data_that_does_not_fit_is_refused():
    four = kj.Dataset(DATA.images, DATA.labels + 1, tuple("abcd"), "four")
    with pytest.raises(kj.KanjiError, match="four has 4 classes"):
        kj.fit(small_net(), four, epochs=1, show=False)
    with pytest.raises(kj.KanjiError, match="four has 4 classes"):
        kj.fit(small_net(), DATA, epochs=1, validation=four, show=False)
    with pytest.raises(DataError, match="stripes holds no images"):
        kj.fit(small_net(), DATA.select(slice(0)), epochs=1, show=False)
    with pytest.raises(DataError, match="label 3 .* outside"):
        kj.Dataset(DATA.images, DATA.labels + 1, DATA.classes, "beyond")


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_run_that_diverges_says_so(precision):
    with pytest.raises(kj.KanjiError, match="training diverged"):
        kj.fit(
            small_net(), DATA, epochs=20, batch_size=20, precision=precision,
            optimizer=kj.SGD(lr=1e6), schedule=kj.Constant(), show=False,
        )  # fmt: skip


def test_a_loss_that_is_not_finite_names_the_step():
    def loss(logits, labels):
        return kj.cross_entropy(logits, labels) * math.nan

    with pytest.raises(
        RangeError, match="the loss is nan at step 0: training diverged"
    ):
        kj.fit(small_net(), DATA, epochs=1, loss=loss, show=False)


# ----------------------------------------------------------------------- progress


def test_a_line_an_epoch_where_there_is_no_terminal(capsys):
    trained()  # compiles
    trained(show=True)
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 3
    assert re.fullmatch(
        r"epoch 1/3  fp32  loss \d\.\d{4}  accuracy \d+\.\d\d %  validation \d+\.\d\d %"
        r"  \d+ images/s  \d+:\d\d left",
        lines[0],
    )
    trained(show=False)
    assert capsys.readouterr() == ("", "")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_on_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    trained(show=True)
    text = sys.stderr.getvalue()
    assert "epoch 3/3" in text
    assert "100%" in text
    assert re.search(r"loss \d\.\d{3}  accuracy \d+\.\d %  \d+ images/s", text)


def compiling_loss(logits, labels):
    """A loss that compiles a function at every step."""
    numba.njit(lambda: 0)()
    return kj.cross_entropy(logits, labels)


def test_compilation_is_explained_once_an_epoch_and_only_then(capsys):
    trained(show=False, loss=compiling_loss)
    assert capsys.readouterr().err == ""
    trained(show=True, loss=compiling_loss)
    assert capsys.readouterr().err.splitlines()[::2] == [COMPILING] * 3
    trained(show=True)
    assert COMPILING not in capsys.readouterr().err


def test_compilation_is_explained_beside_the_bar(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    trained(show=True, loss=compiling_loss)
    assert re.search(rf"epoch 1/3 .*{re.escape(COMPILING)}", sys.stderr.getvalue())


def test_history_is_csv_with_a_header_line():
    record = EpochRecord(1, "int8", 0.05, 1.25, 0.5, math.nan, 2.0)
    text = kj.History((record,)).csv()
    assert text == (
        "epoch,precision,lr,train_loss,train_accuracy,validation_accuracy,seconds,note\n"
        "1,int8,0.05,1.25,0.5,nan,2.00,\n"
    )
    assert Recipe(5, fp32_epochs=2).precision_of(1) == "fp32"
    assert Recipe(5, fp32_epochs=2).precision_of(2) == "int8"
