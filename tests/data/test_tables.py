"""CSV files: headers, separators and labels as people have them, or one line."""

import re

import numpy as np
import pytest

from kanji_np.data import csv_table, load_dataset
from kanji_np.data.tables import label_columns, read_table
from kanji_np.errors import DataError, DataWarning, FileFormatError, OptionError


def write(tmp_path, text, name="t.csv"):
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def table(tmp_path, text):
    found = read_table(write(tmp_path, text))
    return found.names, found.rows, found.lines


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_separators_ends_of_lines_and_marks(tmp_path, mark, end, start):
    text = start + end.join(["a,b,label", "1,2.5,x", "", "3,4,y", ""])
    names, rows, lines = table(tmp_path, text.replace(",", mark))
    assert names == ("a", "b", "label")
    assert rows == [["1", "2.5", "x"], ["3", "4", "y"]]
    assert lines == [2, 4]


def test_spaces_quotes_comments_and_empty_ends(tmp_path):
    assert table(tmp_path, "  1  2 3\n4 5 6\n")[1] == [["1", "2", "3"], ["4", "5", "6"]]
    text = '# made by hand\n"a ""x""", b ,label,\n1, 2,"walk, slow",\n'
    assert table(tmp_path, text) == (
        ('a "x"', "b", "label"), [["1", "2", "walk, slow"]], [3],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a,b\n1,2\n", ("a", "b")),
        ("1,2\n3,4\n", ()),
        ("1,2,x\n3,4,y\n", ()),  # one text of three is a label
        ("0,1,label\n3,4,y\n", ("0", "1", "label")),
        ("a,b,sort\n3,4,y\n", ("a", "b", "sort")),
        ("nan,2,x\n3,4,y\n", ()),
        ("1,2\n", ()),
        ("x\n1\n", ("x",)),
    ],
)
def test_a_first_row_of_names(tmp_path, text, names):
    assert table(tmp_path, text)[0] == names


@pytest.mark.parametrize(
    ("text", "told", "columns"),
    [
        ("a,label,b\n1,2,3\n", (), [1]),
        ("a,Class,b\n1,2,3\n", (), [1]),
        ("y,a,b\n1,2,3\n", (), [0]),
        ("x,y,z,label\n1,2,3,4\n", (), [3]),
        ("x,y,z,activity\n1,2,3,run\n", (), [3]),
        ("activity,x,y,z\nrun,1,2,3\n", (), [0]),
        ("1,2,3\n", (), [2]),
        ("run,2,3\n1,2,3\n", (), [0]),
        ("a,b,c\n1,2,3\n", ("b",), [1]),
        ("a,b,c\n1,2,3\n", ("c", "a"), [2, 0]),
        ("1,2,3\n", ("1",), [0]),
    ],
)
def test_which_column_is_learned(tmp_path, text, told, columns):
    assert label_columns(read_table(write(tmp_path, text)), told)[0] == columns


def rows(n, *columns, header=""):
    lines = [",".join(str(column[i]) for column in columns) for i in range(n)]
    return "\n".join([header] * bool(header) + lines) + "\n"


N = 40
REALS = np.random.default_rng(0).normal(0, 9, (N, 2)).round(3)
INTEGERS = np.random.default_rng(1).integers(-999, 999, (N, 2))
WORDS = ["run", "walk"] * (N // 2)


def whole(path, **options):
    """Both sets as one."""
    train, test = csv_table(path, test_fraction=0.25, **options)
    assert (train.task, train.classes) == (test.task, test.classes)
    images = np.concatenate([train.images, test.images])
    labels = np.concatenate([train.labels, test.labels])
    order = np.lexsort(images.reshape(len(images), -1).T)
    return train, images[order], labels[order]


def in_order(values, labels):
    order = np.lexsort(values.T)
    return values[order], np.asarray(labels)[order]


def test_text_is_classes_and_numbers_are_float32(tmp_path):
    path = write(tmp_path, rows(N, *REALS.T, WORDS, header="a,b,label"))
    train, images, labels = whole(path)
    values, words = in_order(REALS, WORDS)
    assert (train.name, train.task) == ("t", "classification")
    assert train.classes == ("run", "walk")
    assert images.dtype == np.float32 and np.array_equal(images, values.astype("f4"))
    assert [train.classes[k] for k in labels] == words.tolist()
    assert len(load_dataset(path)[1]) == 8


def test_integers_are_int16(tmp_path):
    path = write(tmp_path, rows(N, *INTEGERS.T, WORDS))
    _, images, _ = whole(path)
    assert images.dtype == np.int16
    assert np.array_equal(images, in_order(INTEGERS, WORDS)[0])
    large = INTEGERS.copy()
    large[3, 1] = 40_000
    assert whole(write(tmp_path, rows(N, *large.T, WORDS)))[1].dtype == np.float32


def test_whole_numbers_are_classes_by_their_names(tmp_path):
    labels = [3, 10, -2, 7] * (N // 4)
    train, _, found = whole(write(tmp_path, rows(N, *REALS.T, labels)))
    assert train.classes == ("-2", "3", "7", "10")
    expected = in_order(REALS, labels)[1]
    assert [int(train.classes[k]) for k in found] == expected.tolist()


def test_other_numbers_are_values_by_the_name_of_their_column(tmp_path):
    targets = REALS.sum(axis=1).round(3)
    text = rows(N, REALS[:, 0], targets, REALS[:, 1], header="a,target,b")
    train, _, found = whole(write(tmp_path, text))
    assert (train.task, train.classes) == ("regression", ("target",))
    expected = in_order(REALS, targets)[1].astype(np.float32)
    assert np.array_equal(found[:, 0], expected)


def test_whole_numbers_are_values_if_it_is_said(tmp_path):
    path = write(tmp_path, rows(N, *REALS.T, np.arange(N), header="a,b,age"))
    train, *_ = whole(path, task="regression", label="age")
    assert (train.task, train.classes) == ("regression", ("age",))
    with pytest.raises(
        DataError, match="column 'age' holds 40 different whole numbers"
    ):
        csv_table(path, label="age")


def test_several_columns_are_learned(tmp_path):
    path = write(tmp_path, rows(N, *REALS.T, *REALS.T, header="a,b,c,d"))
    train, *_ = whole(path, label="c,d")
    assert (train.task, train.classes) == ("regression", ("c", "d"))
    assert train.input_shape == (2,)
    flags = (REALS > 0).astype(int)
    path = write(tmp_path, rows(N, *REALS.T, *flags.T, header="a,b,dog,cat"))
    with pytest.warns(DataWarning, match="has rows of zeros and ones: taken as 2 lab"):
        train, *_ = whole(path, label=("dog", "cat"))
    assert (train.task, train.classes) == ("multilabel", ("dog", "cat"))
    whole(path, label=("dog", "cat"), task="multilabel")


def test_a_last_column_of_numbers_without_a_telling_name_is_noted(tmp_path):
    path = write(tmp_path, rows(N, *REALS.T, REALS[:, 0], header="a,b,price"))
    with pytest.warns(DataWarning) as caught:
        csv_table(path)
    assert str(caught[0].message) == (
        f"{path}: its last column, 'price', is what is learned; --label, or label=, "
        "names another"
    )


def test_the_index_that_pandas_writes_is_left_out(tmp_path):
    path = write(tmp_path, rows(N, range(N), *REALS.T, WORDS, header=",a,b,label"))
    with pytest.warns(DataWarning) as caught:
        train, _ = csv_table(path)
    assert train.input_shape == (2,)
    assert str(caught[0].message) == (
        f"{path}: left out by their names are the columns ''"
    )


def test_training_and_test_files(tmp_path):
    write(tmp_path, rows(N, *INTEGERS.T, WORDS, header="a,b,label"), "train.csv")
    path = write(tmp_path, "a,b,label\n1.5,2,walk\n", "test.csv")
    train, test = load_dataset(tmp_path)
    assert (len(train), len(test)) == (N, 1)
    assert train.images.dtype == test.images.dtype == np.float32
    assert test.labels.tolist() == [1]
    assert train.name == tmp_path.name
    path.write_text("a,c,label\n1.5,2,walk\n")
    with pytest.raises(DataError, match="test.csv: has the column 'c', where .* 'b'$"):
        load_dataset(tmp_path)
    path.write_text("1.5,walk\n")
    with pytest.raises(DataError, match="test.csv: has 2 columns, but .* has 3$"):
        load_dataset(tmp_path)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, ": holds no rows"),
        ("a,label\n", {}, ": names columns, but holds no rows"),
        ("a,label\n1,x\n2\n", {}, ": line 3 has 1 columns, line 1 has 2"),
        ("a,label\n1,x\nabc,y\n", {},
         ": line 3, column 'a': 'abc' is not a finite number"),
        ("a,label\n1,x\n,y\n", {}, ": line 3, column 'a': the cell is empty; give it a "
         "number, or leave out the row"),
        ("1;2,5;x\n", {}, ": line 1, column 2: '2,5' is not a number; numbers have a "
         "decimal point"),
        ("1,inf,x\n", {}, ": line 1, column 2: 'inf' is not a finite number"),
        ("1,1_0,x\n", {}, ": line 1, column 2: '1_0' is not a finite number"),
        ("a,label\n1,x\n2,\n", {}, ": line 3, column 'label': the label is missing"),
        ("a,target\n1,0.5\n2,NA\n3,1\n", {}, ": line 3, column 'target': 'NA' is not a "
         "finite number, as most labels are"),
        ("a,target\n1,x\n", {"task": "regression"},
         ": line 2, column 'target': 'x' is not a finite number"),
        ("a,target\n1,x\n", {"task": "multilabel"},
         ": column 'target': multilabel takes several columns of zeros and ones"),
        ("a,b\n1,2\n", {"label": "c"}, ": no column 'c'; it has a, b"),
        ("1,2\n", {"label": "c"}, ": no column 'c'; its columns have no names: give a "
         "number, 1 to 2"),
        ("a,a,label\n1,2,3\n", {"label": "a"}, ": 2 columns are named 'a'"),
        ("label\n1\n2\n", {}, ": holds no column beside that of the labels"),
    ],
)  # fmt: skip
def test_what_is_no_table(tmp_path, text, options, message):
    path = write(tmp_path, text)
    with pytest.raises(DataError, match=f"^{path}{re.escape(message)}$"):
        csv_table(path, **options)


def test_what_is_no_text(tmp_path):
    path = write(tmp_path, "a,ö\n".encode("latin-1"))
    with pytest.raises(FileFormatError) as error:
        csv_table(path)
    assert str(error.value) == f"{path}: not text in UTF-8: byte 2 is 246"
    path.write_text('"' + "a" * 200_000 + ",1\n")
    with pytest.raises(FileFormatError, match="t.csv: line 1: field larger than"):
        csv_table(path)
    with pytest.raises(FileFormatError, match="none.csv: no such file"):
        load_dataset(tmp_path / "none.csv")


def test_most_labels_may_be_numbers_if_they_are_classes(tmp_path):
    path = write(tmp_path, rows(N, *REALS.T, ["1", "2", "3", "other"] * (N // 4)))
    train, *_ = whole(path, task="classification")
    assert train.classes == ("1", "2", "3", "other")


def test_options_out_of_range(tmp_path):
    path = write(tmp_path, rows(N, *REALS.T, WORDS))
    with pytest.raises(OptionError, match="step applies to windows: give window, too"):
        csv_table(path, step=3)
    with pytest.raises(OptionError, match="t.csv: window must be an int of at least 1"):
        csv_table(path, window=0)
    with pytest.raises(OptionError, match="task must be one of classification, regr"):
        csv_table(path, task="ranking")
