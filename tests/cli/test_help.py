"""Help, choices and defaults."""

from dataclasses import replace

import numpy as np
import pytest

import kanji_np
from kanji_np import cli, optim, paper_cnn
from kanji_np.data import Augment, Dataset
from kanji_np.deploy.kernels import LIBRARIES
from kanji_np.model import PRECISIONS
from kanji_np.quantize import SCHEMES
from kanji_np.ranges import TRACKERS
from kanji_np.train import Recipe
from kanji_np.zoo import NETWORKS

from .commands import MAIN, commands_in, ok, parse, process, run


def test_commands():
    assert set(cli.main.commands) == {
        "quickstart", "train", "evaluate", "export", "verify", "report", "datasets",
        "bench", "vectors", "results",
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(cli.main.commands))
def test_help_has_an_example_that_parses(name):
    output = ok(name, "--help")
    (example,) = commands_in(output.partition("Example:")[2])
    assert example[0] == name
    parse(example)


def test_without_a_command_comes_the_help():
    assert run() == run("--help")
    assert ok("--version") == f"kanji-np {kanji_np.__version__}\n"


@pytest.mark.parametrize("command", ["", "train", "verify"])
def test_help_loads_nothing_heavy(command):
    code = (
        "import atexit, sys\n"
        "heavy = {'numpy', 'numba', 'scipy', 'matplotlib'}\n"
        "atexit.register(lambda: print(heavy & set(sys.modules), file=sys.stderr))\n"
        + MAIN
    )
    help_ = process(code, *filter(None, [command]), "--help")
    output, loaded = help_.communicate()
    assert (help_.returncode, loaded) == (0, "set()\n")
    assert "Example:" in output


def test_choices_are_the_tables():
    assert set(cli.train.OPTIMIZERS) == set(optim.OPTIMIZERS)
    assert set(cli.train.SCHEDULES) == set(optim.SCHEDULES)
    assert set(cli.train.RANGES) == set(TRACKERS)
    assert cli.options.LIBRARIES == LIBRARIES
    assert cli.options.PRECISIONS == PRECISIONS
    assert set(cli.options.NETWORKS) == set(NETWORKS)
    assert set(cli.options.SCHEMES) == set(SCHEMES)


def test_defaults_are_the_recipes():
    told = {option.name: option.default for option in cli.main.commands["train"].params}
    recipe = Recipe()
    assert told["ranges"] == paper_cnn((2,)).quantization.ranges
    for name in (
        "epochs", "averaging", "freeze_batch_norm", "label_smoothing", "precision",
        "fp32_epochs", "seed",
    ):  # fmt: skip
        assert told[name] == getattr(recipe, name), name
    assert told["batch"] == recipe.batch_size
    assert isinstance(recipe.optimizer, optim.OPTIMIZERS[told["optimizer"]])
    assert isinstance(recipe.schedule, optim.SCHEDULES[told["schedule"]])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((None, None, 0), Augment(4, True, 0, (1, 2))),
        ((None, 2, 3), Augment(2, True, 3, (1, 2))),
        ((False, None, 0), None),
        ((False, 2, 0), Augment(2, False, 0, (1, 2))),
        ((True, None, 0), Augment(4, True, 0, (1, 2))),
    ],
)
def test_a_dataset_is_augmented_as_it_says_unless_told(options, expected):
    images, labels = np.zeros((1, 2, 2, 1), np.uint8), np.zeros(1, np.int64)
    photographs = Dataset(images, labels, ("a",), "photographs", Augment())
    figures = replace(photographs, augment=None)
    assert cli.train._augment(photographs, *options, mean=(1, 2)) == expected
    if options == (None, None, 0):
        expected = None
    elif options[0] is None:
        expected = replace(expected, flip=False)
    assert cli.train._augment(figures, *options, mean=(1, 2)) == expected
