"""The files of a training run, and how another process goes on from them."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import click

from kanji_np import archive, outputs, schema
from kanji_np.checks import line
from kanji_np.choices import PRECISIONS
from kanji_np.errors import FileFormatError, KanjiError, OptionError
from kanji_np.modelfile import HEADER, is_model
from kanji_np.recipe import Recipe
from kanji_np.settings import differ, text_of
from kanji_np.train.history import EpochRecord, History
from kanji_np.train.run import MOST_SETBACKS, Run

CHECKPOINT_KIND = "kanji_np checkpoint"
CHECKPOINT, MODEL, HISTORY = "checkpoint.npz", "model.npz", "history.csv"

_SCORE = schema.or_nan(schema.number(0, 1))

#: What training goes on from, beside arrays.
_STATE = {
    "model": HEADER,
    "epoch": schema.integer(),
    "step": schema.integer(),
    "first_loss": schema.nullable(schema.number()),
    "is_silent": schema.flag,
    "history": schema.array(
        schema.record(
            {
                "epoch": schema.integer(1),
                "precision": schema.one_of(PRECISIONS),
                "lr": schema.number(),
                "train_loss": schema.number(),
                "train_accuracy": _SCORE,
                "validation_accuracy": _SCORE,
                "seconds": schema.number(0),
                "note": schema.string,
            },
            optional=("note",),
        )
    ),
}
#: What a run that never went back does without, and files of before there was such.
_SETBACKS = {
    "setbacks": schema.integer(0, MOST_SETBACKS),
    "is_normalized": schema.flag,
    "is_thawed": schema.flag,
    "is_stopped": schema.flag,
    "notes": schema.array(schema.string),
    "went_to": schema.nullable(schema.integer()),
    "first": schema.nullable(schema.string),
    "good": schema.record(_STATE),
}
CHECKPOINT_HEADER = schema.record(
    {
        "kind": schema.text,
        "settings": schema.mapping(schema.string),
        **_STATE,
        **_SETBACKS,
    },
    optional=("first_loss", "is_silent", *_SETBACKS),
)
GOOD = "good/"

#: Settings that runs of before could choose, and what every run has now.
FORMER = {"gradients": text_of("float32")}
#: Settings that had another name and other values, and what they are now.
RENAMED = {
    "targets": (
        "reproduce_inputs",
        {text_of("labels"): text_of(False), text_of("inputs"): text_of(True)},
    )
}


def check_run(directory: Path, *, resume: bool) -> None:
    """OptionError unless a run may go to a directory: what it would replace is a run's.

    What its history holds is looked at when the run is there to be compared.
    """
    checkpoint, model, history = (
        directory / name for name in (CHECKPOINT, MODEL, HISTORY)
    )
    for path in (checkpoint, history):
        outputs.check_place(path)
    if checkpoint.exists() and not resume:
        raise OptionError(
            f"{directory} holds a run already: resume it, or choose another directory"
        )
    if not checkpoint.exists():
        # An interrupted run may have a history before its first checkpoint.
        for path in (model,) if resume else (model, history):
            if path.exists():
                raise OptionError(
                    f"{path}: is there without a {CHECKPOINT}, so it is of no run to "
                    "go on with: move it away, or choose another directory"
                )
    outputs.check(model, is_model, "a model", "choose another directory")


def is_history(path: Path) -> bool:
    """Whether a file is the history of the checkpoint beside it, as it was written."""
    try:
        header, _ = archive.read(path.with_name(CHECKPOINT), CHECKPOINT_KIND)
        records = tuple(EpochRecord(**record) for record in header["history"])
    except (FileFormatError, KeyError, TypeError):
        return False
    return History(records).is_in(path)


def settings(run: Run) -> dict[str, str]:
    """What must be equal for a checkpoint to be this run's."""
    net = run.net
    layers = [
        (x.name, x.op.name, x.attrs, wires, list(x.named_parameters()))
        for x, wires in zip(net.layers, net.wiring, strict=True)
    ]
    dropouts = [(x.name, x.rate) for x in net.dropouts]
    return {
        **{f.name: text_of(getattr(run.recipe, f.name)) for f in fields(Recipe)},
        "loss": text_of(run.loss),
        "network": repr((layers, dropouts, net.drops) if dropouts else layers),
        "target": str(net.target),
        "scheme": net.quantization.scheme.name,
        "ranges": net.quantization.ranges,
        "training data": run.data_digest,
    }


def _renamed(stored: dict[str, str]) -> dict[str, str]:
    """The settings of a checkpoint, by the names they have now."""
    settings = dict(stored)
    for old, (new, values) in RENAMED.items():
        if old in settings:
            value = settings.pop(old)
            settings[new] = values.get(value, value)
    return settings


def save(run: Run, path: Path) -> None:
    """Write where a run is, and what it may go back to."""
    header, arrays = run.state()
    header |= {
        "kind": CHECKPOINT_KIND,
        "settings": settings(run),
        "setbacks": run.setbacks,
        "is_normalized": run.is_normalized,
        "is_thawed": run.is_thawed,
        "is_stopped": run.is_stopped,
        "notes": run.notes,
        "went_to": run.went_to,
        "first": run.first and archive.digest(run.first[1]),
    }
    if not run.is_good:
        good, good_arrays = run.good
        header["good"] = good
        arrays |= {f"{GOOD}{name}": array for name, array in good_arrays.items()}
    archive.write(path, header, arrays)


def resume(run: Run, path: Path) -> None:
    """Take over a checkpoint if there is one."""
    if not path.exists():
        return
    header, arrays = archive.read(path, CHECKPOINT_KIND)
    with schema.refusing(f"{path}: not a checkpoint of this version"):
        header = CHECKPOINT_HEADER("", header)
    stored, mine = FORMER | _renamed(header["settings"]), FORMER | settings(run)
    of_recipe = {f.name for f in fields(Recipe)}
    for name in mine:
        theirs = stored.get(name)
        is_other = differ(theirs, mine[name])
        theirs = line(theirs or "unknown")
        if is_other:
            raise OptionError(
                f"{path} is of a run with {name} {theirs}, not {mine[name]}",
                arguments=(name,) if name in of_recipe else (),
            )
        if is_other is None:
            click.echo(
                f"{path} is of a run with {name} {theirs}: whether "
                f"{mine[name]} is the same cannot be told",
                err=True,
            )
    if header["model"]["name"] != run.net.name:
        raise OptionError(
            f"{path} is of a network with name {header['model']['name']}, not "
            f"{run.net.name}",
            arguments=("name",),
        )
    try:
        good = {n: a for n, a in arrays.items() if n.startswith(GOOD)}
        now = {n: a for n, a in arrays.items() if n not in good}
        if "good" in header:
            arrays = {n.removeprefix(GOOD): a for n, a in good.items()}
            run.restore(header["good"], arrays)
            run.good = run.state()
        else:
            archive.check_names(good, ())
        run.restore(header, now)
        if "good" not in header:
            run.good = run.state()
    except KanjiError as error:
        raise FileFormatError(
            f"{path}: not a checkpoint of this version: {error}"
        ) from None
    run.setbacks = header.get("setbacks", 0)
    run.is_normalized = header.get("is_normalized", run.is_normalized)
    run.is_thawed = header.get("is_thawed", False)
    run.is_stopped = header.get("is_stopped", False)
    run.notes = list(header.get("notes", ()))
    run.went_to = header.get("went_to")
    if run.first and header.get("first") != archive.digest(run.first[1]):
        run.first = None  # resumed with a network that begins otherwise
