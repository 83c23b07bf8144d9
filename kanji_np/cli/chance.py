"""Scores at chance: most often not the network is wrong, but what it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from kanji_np.data import Dataset
    from kanji_np.model import Model

#: Of the way from chance to a perfect score: what is below counts as chance.
MARGIN = 0.1
RGB = 3


def chance_of(data: Dataset) -> float:
    """The score, 0..1, of always answering the most frequent label."""
    import numpy as np

    return float(np.bincount(data.labels).max() / len(data))


def is_chance(score: float, data: Dataset) -> bool:
    """Whether an accuracy is hardly above that of one answer to everything."""
    chance = chance_of(data)
    return score < chance + MARGIN * (1 - chance)


def note_chance(net: Model, data: Dataset, score: float) -> None:
    """Where a network's accuracy is at chance, say on standard error what to look at.

    Parameters
    ----------
    net : Model
        As it is scored, with its layer for images.
    data : Dataset
    score : float
        Its accuracy, 0..1.
    """
    if not is_chance(score, data):
        return
    click.echo(
        f"note: {100 * score:.2f} % is at chance: always answering the most frequent "
        f"label gives {100 * chance_of(data):.2f} %. Look at",
        err=True,
    )
    for line in (_values(net, data), _classes(data), _layout(data)):
        click.echo(f"  {line}", err=True)


def note_classes(net: Model, data: Dataset) -> None:
    """Say so on standard error where a network has more outputs than there are
    classes."""
    outputs, classes = net.output_shape[-1], len(data.classes)
    if outputs > classes:
        click.echo(
            f"note: {net.name} has {outputs} outputs, {data.name} has {classes} "
            f"classes: outputs from number {classes} on are always wrong",
            err=True,
        )


def _values(net: Model, data: Dataset) -> str:
    from kanji_np.cli.pixels import given_text

    given = given_text(net)
    if given is not None:
        return (
            f"pixels:  the network is given {given}; --scale and --offset, or --mean "
            "and --std, must be those of its training"
        )
    return (
        f"values:  {data.name} holds {data.images.min():.6g} to "
        f"{data.images.max():.6g}; they must be scaled as in its training"
    )


def _classes(data: Dataset) -> str:
    from kanji_np.checks import listed

    names = listed(f"{i} {name}" for i, name in enumerate(data.classes))
    return f"classes: the outputs must be in the order of the data: {names}"


def _layout(data: Dataset) -> str:
    axes = {1: "(K,)", 2: "(time, channels)", 3: "(height, width, channels)"}
    shape = data.input_shape
    order = ", in the order red, green, blue" if shape[2:] == (RGB,) else ""
    return f"layout:  samples are {axes[len(shape)]}, {shape}{order}"
