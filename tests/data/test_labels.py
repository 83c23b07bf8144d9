"""Labels as people have them: what becomes of each kind, and what is said of it."""

import re

import numpy as np
import pytest

from kanji_np.data.labels import labels_of
from kanji_np.errors import DataError, DataWarning

RNG = np.random.default_rng(0)


def made(*parts, **options):
    labels, classes = labels_of([np.array(p) for p in parts], name="f: y", **options)
    return [part.tolist() for part in labels], classes


def said(*parts, **options):
    """What is made of labels, and the one line that says so."""
    with pytest.warns(DataWarning) as caught:
        labels, classes = made(*parts, **options)
    (line,) = (str(warning.message) for warning in caught)
    assert line.startswith("f: y ")
    return labels[0], classes, line.removeprefix("f: y ")


@pytest.mark.parametrize("dtype", ["i1", "u1", "<i4", ">i8", "u8"])
@pytest.mark.parametrize("is_column", [False, True])
def test_numbers_from_0_are_classes(dtype, is_column):
    y = np.array([0, 2, 1, 2], dtype)
    assert made(y[:, None] if is_column else y) == ([[0, 2, 1, 2]], ("0", "1", "2"))
    assert made(y, classes=("a", "b", "c"))[1] == ("a", "b", "c")
    assert labels_of([y], name="y")[0][0].dtype == np.int64


def test_integers_of_two_types_stay_integers():
    y = np.array([0, 1], np.uint64), np.array([2], np.int8)
    labels, classes = labels_of(y, name="y")
    assert [part.dtype for part in labels] == [np.int64] * 2
    assert classes == ("0", "1", "2")


def test_training_and_test_labels_are_decided_together():
    assert made([0, 1], [4, 2]) == ([[0, 1], [4, 2]], ("0", "1", "2", "3", "4"))
    assert made(["b"], ["a", "b"]) == ([[1], [0, 1]], ("a", "b"))


def test_classes_from_1():
    assert said([1, 3, 2, 1]) == (
        [0, 2, 1, 0],
        ("1", "2", "3"),
        "counts from 1: classes 1 to 3 become the outputs 0 to 2",
    )
    assert said([1, 3, 2, 1], classes=("a", "b", "c")) == (
        [0, 2, 1, 0],
        ("a", "b", "c"),
        "counts 3 classes from 1: taken as from 0",
    )
    # Here 0 has a name, and no sample.
    assert made([1, 2], classes=("a", "b", "c")) == ([[1, 2]], ("a", "b", "c"))


@pytest.mark.parametrize("values", [(-1, 1), (3, 8), (0, 255), (10, 20, 30)])
def test_classes_of_any_numbers(values):
    labels, classes, line = said(values)
    assert labels == [*range(len(values))]
    assert classes == tuple(map(str, values))
    assert line == (
        f"holds the classes {', '.join(map(str, values))}: they become the outputs 0 "
        f"to {len(values) - 1}"
    )


def test_text_is_classes():
    assert made(["pear", "apple", "pear"]) == ([[1, 0, 1]], ("apple", "pear"))
    assert made([b"b", b"a"]) == ([[1, 0]], ("a", "b"))
    assert made(["b", "a"], classes=("b", "a", "c")) == ([[0, 1]], ("b", "a", "c"))


def test_bool_is_two_classes():
    assert made([True, False]) == ([[1, 0]], ("False", "True"))


def test_whole_numbers_of_a_floating_type_are_classes():
    assert said([0.0, 1.0, 1.0]) == (
        [0, 1, 1],
        ("0", "1"),
        "is float64 and holds whole numbers only: taken as classes; for values to "
        'predict: --task regression, or task="regression"',
    )
    assert made([0.0, 1.0], task="classification") == ([[0, 1]], ("0", "1"))
    assert made([0.0, 1.0], classes=("a", "b")) == ([[0, 1]], ("a", "b"))
    assert made([0.0, 1.0], task="regression") == ([[[0.0], [1.0]]], ())


def test_many_whole_numbers_may_be_values():
    years = np.arange(18, 78)
    with pytest.raises(DataError) as error:
        made(np.arange(60))
    assert str(error.value) == (
        "f: y holds 60 different whole numbers in 60 samples: values to predict? "
        'say so with --task regression, or task="regression"; or classification'
    )
    labels, classes, line = said(np.arange(240) % 60)
    assert len(classes) == 60
    assert line == (
        "holds 60 different whole numbers in 240 samples: taken as classes; for values "
        'to predict: --task regression, or task="regression"'
    )
    assert made(years, task="regression") == ([years[:, None].tolist()], ())
    assert len(made(np.arange(1000) % 60)[1]) == 60  # said nothing


def test_other_numbers_are_values():
    assert made([0.5, 2]) == ([[[0.5], [2.0]]], ())
    assert made([[0.5, 2], [1, 1]], classes=("a", "b")) == (
        [[[0.5, 2], [1, 1]]], ("a", "b"),
    )  # fmt: skip


@pytest.mark.parametrize("dtype", [bool, int, np.uint8, float])
def test_one_hot_rows_are_classes(dtype):
    rows = np.eye(3, dtype=dtype)[[2, 0, 1, 1]]
    assert said(rows) == (
        [2, 0, 1, 1], ("0", "1", "2"), "has one-hot rows: taken as 3 classes",
    )  # fmt: skip
    assert made(rows, task="classification", classes=("a", "b", "c")) == (
        [[2, 0, 1, 1]], ("a", "b", "c"),
    )  # fmt: skip
    assert made(rows, task="multilabel") == ([rows.astype(bool).tolist()], ())


def test_other_rows_of_zeros_and_ones_are_several_labels():
    rows = np.array([[1, 0, 1], [0, 0, 0]])
    labels, classes, line = said(rows)
    assert labels == [[True, False, True], [False] * 3]
    assert line == (
        "has rows of zeros and ones: taken as 3 labels, of which a sample has several"
    )
    assert made(rows.astype(bool)) == ([labels], ())


@pytest.mark.parametrize(
    ("y", "options", "message"),
    [
        ([-1, 0], {}, "holds -1; classes are numbered from 0"),
        ([[[0]]], {}, "is int64 (1, 1, 1); labels must be integers or text (N,), "
         "values of a floating type (N,) or (N, K), or zeros and ones (N, K)"),
        ([[1, 2], [3, 4]], {}, "is int64 (2, 2); classes are integers (N,), values to "
         "predict are of a floating type, and several labels are zeros and ones"),
        ([0.5, np.nan], {}, "[1] holds NaN or an infinity"),
        ([[0.5, 0], [0, np.inf]], {}, "[1] holds NaN or an infinity"),
        ([0.5], {"task": "classification"},
         "holds 0.5; classes are whole numbers or text"),
        ([[1, 1]], {"task": "classification"}, "is int64 (1, 2), and row 0 is not "
         "one-hot; labels of classes are integers (N,)"),
        ([1], {"task": "multilabel"},
         "is int64 (1,); multilabel takes zeros and ones (N, K)"),
        ([[2, 0]], {"task": "multilabel"},
         ": labels for multilabel are zeros and ones (N, K)"),
        (["a"], {"task": "regression"}, "is text, and no labels for regression"),
        (["a"], {"classes": ("b",)}, "holds 'a', which is not in classes"),
        ([["a", "b"]], {}, "is text (1, 2); labels of text are (N,)"),
        ([b"\xff"], {}, "is no text in UTF-8: "),
        (["\ud800"], {}, ": '\\ud800' is no text in UTF-8"),
        (np.zeros((3, 0)), {}, "is float64 (3, 0), which is empty"),
        (np.arange(70_000), {}, "holds 69999; at most 65535 classes are known"),
        ([0, 2**60], {}, f"holds {2**60}; at most 65535 classes are known"),
        ([1e300], {}, "holds numbers that are no labels of classes"),
    ],
)  # fmt: skip
def test_what_is_no_label(y, options, message):
    with pytest.raises(DataError, match="^f: y ?" + re.escape(message)):
        made(y, **options)


def test_training_and_test_labels_that_do_not_go_together():
    with pytest.raises(DataError, match="^f: y is text in one of training and test"):
        made([0], ["a"])
    with pytest.raises(DataError, match=r"test set have rows of \(2,\) and \(3,\)"):
        made([[0, 1]], [[0, 1, 0]])
