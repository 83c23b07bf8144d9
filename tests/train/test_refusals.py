"""Settings, losses and data that are refused."""

import math

import pytest
from small import small_net

import kanji_np as kj
from kanji_np.errors import DataError, OptionError, RangeError

from .runs import DATA, settings, weights


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
        ({"augment": "flip"}, "augment must be an Augment, .* got 'flip'"),
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
