"""Settings as text: equal ones alike in every process, and what cannot be told."""

import enum
import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

import kanji_np as kj
from kanji_np.settings import differ, text_of


def named(outputs, labels):
    return outputs


@dataclass(frozen=True)
class Frozen:
    a: int
    b: object = None


@dataclass
class Changing:
    calls: int = 0


class Empty:
    pass


class Slots:
    __slots__ = ("a",)


class Kind(enum.Enum):
    ONE = 1


def closed_over(value):
    def inner():
        return value

    return inner


HERE = __name__


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (kj.SGD(), repr(kj.SGD())),
        (kj.OneCycle(), repr(kj.OneCycle())),
        (
            kj.Augment(crop_padding=1),
            "Augment(crop_padding=1, flip=True, cutout=0, fill=0)",
        ),
        (
            kj.Augment(rotation=5),
            "Augment(crop_padding=4, flip=True, cutout=0, fill=0, rotation=5)",
        ),
        (None, "None"),
        (np.float64(0.5), "0.5"),
        (np.int32(3), "3"),
        ((1, "a"), "(1, 'a')"),
        ((named,), f"({HERE}.named,)"),
        ([1.5, Kind.ONE], f"[1.5, {HERE}.Kind.ONE]"),
        (math.exp, "math.exp"),
        (named, f"{HERE}.named"),
        (Frozen(1, named), f"{HERE}.Frozen(a=1, b={HERE}.named)"),
        (Frozen(1, Changing()), f"{HERE}.Frozen(a=1, b={HERE}.Changing(...))"),
        (partial(named, 2, labels=3), f"{HERE}.named(2, labels=3)"),
        (
            partial(kj.cross_entropy, label_smoothing=0.1),
            "cross_entropy(label_smoothing=0.1)",
        ),
        (Empty(), f"{HERE}.Empty()"),
        (Empty, f"{HERE}.Empty"),
        (Slots(), f"{HERE}.Slots(...)"),
        (Changing(), f"{HERE}.Changing(...)"),
        (lambda: 1, f"{HERE}.<lambda>(...)"),
        (closed_over(1), f"{HERE}.closed_over.<locals>.inner(...)"),
        (np.random.default_rng(0), "numpy.random._generator.Generator(...)"),
    ],
)
def test_texts(value, text):
    assert text_of(value) == text


def test_what_an_object_holds_may_change_while_it_is_used():
    loss = Changing()
    before = text_of(loss)
    loss.calls += 1
    assert text_of(loss) == before


@pytest.mark.parametrize(
    ("stored", "mine", "answer"),
    [
        ("SGD(lr=1)", "SGD(lr=1.0)", False),
        ("SGD(lr=1)", "SGD(lr=1.05)", True),
        ("SGD(lr=0.02)", "Adam(lr=0.02)", True),
        ("a.loss", "a.loss", False),
        ("a.loss", "a.other", True),
        ("a.loss(...)", "a.loss(...)", None),
        ("a.loss(...)", "a.loss", True),
        ("__main__.loss", "a.b.loss", None),
        ("Own(a=1)", "a.Own(a=1)", None),
        ("Own(a=1)", "a.Own(a=2)", True),
        ("<a.Own object at 0x7f00>", "a.Own(...)", None),
        (None, "cross_entropy(label_smoothing=0.1)", None),
    ],
)
def test_texts_differ_alike_or_do_not_say(stored, mine, answer):
    assert differ(stored, mine) is answer
