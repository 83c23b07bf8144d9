"""Families of networks: numbered combinations, built in or from a Python file."""

import itertools
import pickle
import textwrap

import numpy as np
import pytest

import kanji_np as kj
from kanji_np.errors import FileFormatError, OptionError, ShapeError
from kanji_np.search.family import Family, read_family
from kanji_np.search.images import IMAGE_SPACE, image_family

SPACE = {"width": [4, 8, 12], "pool": [True, False], "name": ["a", "b"]}

SMALL = """\
import kanji_np as kj

space = {"width": [4, 8], "kernel": [1, 3, 9]}


def build(width, kernel):
    layers = [kj.Conv2D(width, kernel, activation="relu"), kj.Flatten(), kj.Dense(2)]
    return kj.Sequential(layers, (6, 6, 1))
"""


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "family.py"
        path.write_text(textwrap.dedent(text))
        return path

    return write


def make(**choices):
    return kj.Sequential([kj.Dense(choices["width"])], (3,))


def test_candidates_are_numbered_as_nested_loops_meet_them():
    family = Family("small", SPACE, make)
    found = [tuple(family.candidate(i).choices.values()) for i in range(family.size)]
    assert found == [*itertools.product(*SPACE.values())]
    for number in range(family.size):
        candidate = family.candidate(number)
        assert family.number_of(candidate.choices) == number
        assert candidate.name == f"candidate_{number}"
    assert family.candidate(1).text == "width=4 pool=True name=b"
    with pytest.raises(OptionError, match=r"number must be an int in 0 \.\. 11"):
        family.candidate(12)


def test_a_small_family_is_drawn_as_a_whole_and_a_large_one_without_repetition():
    family = Family("small", SPACE, make)
    everything = family.draw(50, np.random.default_rng(0))
    assert [c.number for c in everything] == [*range(12)]
    some = family.draw(8, np.random.default_rng(3))
    assert len({c.number for c in some}) == 8
    assert some == family.draw(8, np.random.default_rng(3))
    assert some != family.draw(8, np.random.default_rng(4))
    huge = Family("huge", {f"c{i}": list(range(100)) for i in range(9)}, make)
    assert len({c.number for c in huge.draw(500, np.random.default_rng(0))}) == 500


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, "space must be a dict of choices"),
        ([1], "space must be a dict of choices"),
        ({"Width": [1]}, "the name of a choice must be a C identifier in lower case"),
        ({"width": []}, "width must be a list of values"),
        ({"width": "abc"}, "width must be a list of values"),
        ({"width": [1, 2, 1]}, "width has a value twice"),
        ({"width": [[1]]}, "values must be numbers, texts or flags"),
        ({"width": [float("nan")]}, "values must be numbers, texts or flags"),
        ({"width": list(range(2000))}, "more than 1000 values"),
        ({f"c{i}": list(range(100)) for i in range(10)}, r"more than 2\^62"),
    ],
)
def test_a_space_that_is_none_is_refused(space, message):
    with pytest.raises(OptionError, match=message):
        Family("mine", space, make)


def test_a_family_of_a_file_is_built_here_and_in_other_processes(written):
    family = read_family(written(SMALL))
    assert family.size == 6
    for copy in (family, pickle.loads(pickle.dumps(family))):
        network = copy.build(copy.candidate(4))
        assert network.layers[0].weight.shape == (8, 3, 3, 1)
    with pytest.raises(ShapeError):
        family.build(family.candidate(5))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("space = {", r"family\.py, line 1: "),
        ("space = {}\nimport nothing_at_all", r"line 2: ModuleNotFoundError"),
        ("def build(): pass", "must define space"),
        ("space = {'a': [1]}", "must define build"),
        ("space = {'a': [1]}\nbuild = 3", "build must be a function"),
        ("space = {'a': [1]}\nbuild = lambda a: a", "build must return a Model, got 1"),
        ("space = {'a': [1]}\ndef build(b): pass", "unexpected keyword argument 'a'"),
        (
            "space = {'a': [0]}\ndef build(a):\n    return 1 / a",
            r"family\.py, line 3: ZeroDivisionError: division by zero",
        ),
    ],
)
def test_an_error_in_a_file_is_one_line_that_names_the_line(written, text, message):
    with pytest.raises(FileFormatError, match=message) as caught:
        family = read_family(written(text))
        family.build(family.candidate(0))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(FileFormatError, match="No such file"):
        read_family(tmp_path / "none.py")


def test_every_choice_of_the_images_changes_the_network():
    """From one network each value of each choice makes another."""
    family = image_family((16, 16, 3), 5)
    base = family.candidate(0).choices | {"growth": 1.5, "depth": 2}
    seen = set()
    for name, values in family.space.items():
        for value in values:
            choices = base | {name: value}
            number = family.number_of(choices)
            network = family.build(family.candidate(number))
            assert network.output_shape == (5,)
            seen.add((tuple(network.shapes), tuple(x.op.name for x in network.layers)))
            seen.add(number)
    networks = 1 + sum(len(values) - 1 for values in family.space.values())
    # A larger kernel changes neither shapes nor operators.
    assert len(seen) == 2 * networks - 1


def test_images_halve_with_every_stage():
    family = image_family(
        (32, 24, 1), 3, {"stages": [3], "width": [8], "growth": [2.0], "depth": [2]}
    )
    assert family.space["resolution"] == (32,)  # not square: the resolution stays
    for choices in ({"shrink": "pool"}, {"shrink": "stride"}):
        base = dict.fromkeys(family.space, None)
        for name, values in family.space.items():
            base[name] = values[0]
        number = family.number_of(base | choices | {"head": "average"})
        network = family.build(family.candidate(number))
        assert (4, 3, 32) in network.shapes
        assert (1, 1, 32) in network.shapes


def test_real_inputs_have_no_image_layer():
    family = image_family((49, 10, 1), 12, mean=None)
    network = family.build(family.candidate(0))
    assert network.input.dtype == "int8"
    with pytest.raises(OptionError, match="only uint8 images are resized"):
        image_family((49, 10, 1), 12, {"resolution": [49, 24]}, mean=None)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"height": [3]}, "space has no choice 'height': it has resolution, block"),
        ({"width": [0]}, r"width must be an int in 1 \.\. 1024, got 0"),
        ({"width": [True]}, r"width must be an int in 1 \.\. 1024, got True"),
        ({"growth": [9.0]}, r"growth must be a number in 0\.25 \.\. 4\.0, got 9\.0"),
        ({"block": ["dense"]}, "block must be one of conv, depthwise, residual"),
    ],
)
def test_a_choice_of_images_that_is_out_of_range_is_refused(space, message):
    with pytest.raises(OptionError, match=message):
        image_family((32, 32, 3), 10, space)


def test_the_family_of_images_takes_images():
    with pytest.raises(ShapeError, match=r"takes inputs \(H, W, C\), not 640"):
        image_family((640,), 10)
    assert set(image_family((8, 8, 1), 2).space) == {"resolution", *IMAGE_SPACE}
