"""Help, choices and defaults."""

import inspect
from dataclasses import replace

import numpy as np
import pytest

import kanji_np
from kanji_np import choices, cli, optim, paper_cnn
from kanji_np.bench import BATCH, STEPS
from kanji_np.data import Augment, Dataset
from kanji_np.quantize import SCHEMES
from kanji_np.ranges import TRACKERS
from kanji_np.recipe import Recipe, settings
from kanji_np.train import checkpoint
from kanji_np.zoo import NETWORKS

from .commands import MAIN, commands_in, ok, parse, process, run


def test_commands():
    assert set(cli.main.commands) == {
        "quickstart", "train", "evaluate", "export", "verify", "report", "datasets",
        "bench", "vectors", "results", "convert", "explain", "compare-runtimes",
        "import", "boards", "compare", "search", "predict",
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
    assert set(choices.OPTIMIZERS) == set(optim.OPTIMIZERS)
    assert set(choices.SCHEDULES) == set(optim.SCHEDULES)
    assert set(choices.RANGES) == set(TRACKERS)
    assert set(choices.NETWORKS) == set(NETWORKS)
    assert set(choices.SCHEMES) == set(SCHEMES)
    for name in ("MODEL", "CHECKPOINT", "HISTORY"):
        assert getattr(cli.run, name) == getattr(checkpoint, name)


def option(command, name):
    (found,) = [p for p in cli.main.commands[command].params if p.name == name]
    return found


def test_settings_of_a_run_are_options_of_train():
    """All but what depends on network and data."""
    recipe = Recipe()
    for name in settings().keys() - {"reproduce_inputs"}:
        own = option("train", name)
        assert own.default == getattr(recipe, name)
        assert own.help.endswith(".")
    assert option("train", "batch_size").type.min == 1
    assert option("train", "precision").type.choices == choices.PRECISIONS
    averaging = option("train", "averaging")
    assert averaging.help == (
        "Weight of the past in the moving average of all parameters that is scored and "
        "kept; 0 keeps the last weights."
    )
    kind = averaging.type
    assert (kind.min, kind.max, kind.min_open, kind.max_open) == (0, 1, False, True)
    optimizer = optim.OPTIMIZERS[option("train", "optimizer").default]
    schedule = optim.SCHEDULES[option("train", "schedule").default]
    assert (optimizer(), schedule()) == (recipe.optimizer, recipe.schedule)
    own = paper_cnn((2,)).quantization.ranges
    assert option("train", "ranges").show_default == own


def test_shown_defaults_are_those_of_the_tables():
    def shown(name, command="train"):
        return option(command, name).show_default

    def of_optimizers(name):
        """Such as "0.02 for sgd, 0.001 for adam and adamw"."""
        users = {}
        for key, kind in optim.OPTIMIZERS.items():
            users.setdefault(getattr(kind(), name), []).append(key)
        said = (f"{value:g} for {' and '.join(keys)}" for value, keys in users.items())
        return ", ".join(said)

    assert shown("lr") == of_optimizers("lr")
    assert shown("weight_decay") == of_optimizers("weight_decay")
    assert shown("momentum") == str(optim.SGD().momentum)
    assert shown("crop").startswith(f"{Augment().crop_padding} ")
    network = inspect.signature(paper_cnn).parameters
    channels = ",".join(map(str, network["channels"].default))
    assert shown("channels") == f"{channels} for paper-cnn"
    assert shown("pool") == network["pool"].default
    normalized = {
        name
        for name, make in NETWORKS.items()
        if (bn := inspect.signature(make).parameters.get("batch_norm")) and bn.default
    }
    assert shown("batch_norm") == f"of {' '.join(normalized)} alone"
    schemes = {
        name: inspect.signature(make).parameters["scheme"].default
        for name, make in NETWORKS.items()
    }
    pow2 = {"paper-cnn", "paper-vgg", "autoencoder"}
    assert {name for name in schemes if schemes[name] == "pow2"} == pow2
    assert {schemes[name] for name in schemes.keys() - pow2} == {"symmetric"}
    assert shown("scheme") == (
        "pow2 for the paper's networks and the autoencoder, symmetric for the others"
    )
    assert shown("weight_bits") == str(network["weight_bits"].default)
    assert shown("batch", "bench") == str(BATCH)
    assert shown("steps", "bench") == str(STEPS)


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
def test_a_dataset_is_augmented_as_it_says_by_default(options, expected):
    images, labels = np.zeros((1, 2, 2, 1), np.uint8), np.zeros(1, np.int64)
    photographs = Dataset(images, labels, ("a",), "photographs", Augment())
    figures = replace(photographs, augment=None)
    assert cli.train.augment_of(photographs, *options, mean=(1, 2)) == expected
    if options == (None, None, 0):
        expected = None
    elif options[0] is None:
        expected = replace(expected, flip=False)
    assert cli.train.augment_of(figures, *options, mean=(1, 2)) == expected
