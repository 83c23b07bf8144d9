"""The settings of a training run are stated once."""

import inspect
from dataclasses import fields

import numpy as np
import pytest

import kanji_np as kj
from kanji_np.errors import OptionError
from kanji_np.recipe import Recipe, help_of, settings


def test_fit_takes_every_setting_with_its_default():
    takes = inspect.signature(kj.fit).parameters
    recipe = Recipe()
    for field in fields(Recipe):
        assert takes[field.name].kind is inspect.Parameter.KEYWORD_ONLY
        if field.name != "augment":
            assert takes[field.name].default == getattr(recipe, field.name)
    assert takes["augment"].default == "default"
    others = takes.keys() - {field.name for field in fields(Recipe)}
    assert others == {
        "net", "train", "validation", "loss", "directory", "resume", "show",
        "stop_after", "callbacks",
    }  # fmt: skip


def test_types_of_fit_are_those_of_the_settings():
    told = inspect.signature(kj.fit).parameters
    for name, setting in settings().items():
        assert told[name].annotation == setting.kind.__name__


def test_every_field_is_explained():
    for field in fields(Recipe):
        assert help_of(field.name).endswith("."), field.name
        assert help_of(field.name).count(". ") == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs must be an int of at least 1, got 0"),
        ({"batch_size": 2.0}, "batch_size must be an int of at least 1, got 2.0"),
        ({"fp32_epochs": -1}, "fp32_epochs must be an int of at least 0, got -1"),
        ({"seed": True}, "seed must be an int of at least 0, got True"),
        ({"precision": "int4"}, "precision must be one of int8, fp32; got 'int4'"),
        ({"reproduce_inputs": 1}, "reproduce_inputs must be True or False, got 1"),
        (
            {"averaging": 1},
            r"averaging must be a finite number in \[0, 1\), got 1",
        ),
        (
            {"label_smoothing": -0.1},
            r"label_smoothing must be a finite number in \[0, 1\), got -0.1",
        ),
        (
            {"freeze_batch_norm": 1.5},
            "freeze_batch_norm must be a finite number in 0 .. 1, got 1.5",
        ),
        (
            {"epochs": 2, "fp32_epochs": 3},
            r"fp32_epochs must be at most epochs \(2\), got 3",
        ),
        ({"optimizer": kj.SGD}, "optimizer must have the methods of kanji_np.optim.Op"),
        ({"schedule": 1}, "schedule must have the methods of kanji_np.optim.Schedule"),
        ({"augment": True}, "augment must be an Augment, a SignalAugment, None"),
    ],
)
def test_what_a_setting_may_not_be(options, message):
    with pytest.raises(OptionError, match=f"^{message}"):
        Recipe(**options)


def test_settings_are_held_as_plain_values():
    """So that a checkpoint says the same of a number, whatever its type was."""
    recipe = Recipe(
        epochs=np.int64(3), averaging=np.float32(0.5), freeze_batch_norm=1,
        reproduce_inputs=np.True_,
    )  # fmt: skip
    assert (type(recipe.epochs), type(recipe.averaging)) == (int, float)
    assert type(recipe.freeze_batch_norm) is int
    assert recipe.reproduce_inputs is True
