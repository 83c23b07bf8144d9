"""Stopped runs that go on to the same bytes, and runs that must not go on."""

import re
from functools import partial

import pytest
from small import small_layers, small_net, stripes

import kanji_np as kj
from kanji_np.errors import OptionError
from kanji_np.train.checkpoint import CHECKPOINT, MODEL

from .runs import DATA, Stopped, settings, trained, weights


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


def test_a_run_in_parts_ends_with_the_same_bytes(tmp_path, model_bytes):
    for epochs in (1, 2, 3):
        assert not (tmp_path / MODEL).exists()
        _, history = trained(directory=tmp_path, resume=True, stop_after=1)
        assert [record.epoch for record in history.epochs] == [*range(1, epochs + 1)]
    assert (tmp_path / MODEL).read_bytes() == model_bytes
    with pytest.raises(OptionError, match="stop_after needs the directory of the run"):
        trained(stop_after=1)
    with pytest.raises(OptionError, match="stop_after must be an int of at least 1"):
        trained(directory=tmp_path, resume=True, stop_after=0)
