"""Successive halving: train many networks a little, and the best of them longer.

Each rung trains its networks anew, with a learning-rate schedule of the rung's own
length. A network is judged at the end of a whole schedule, as the last rung will judge
it: halfway through a long schedule, at a high learning rate, accuracies are noisy and
their order says less. With a factor of 3 that costs half as much again as training on
would, and only in the rungs after the first.

A rung waits for all of its networks. The asynchronous form (ASHA) keeps every worker
busy, but what it promotes depends on who finishes first. Here the same seed gives the
same networks, whatever the number of workers and their speed.

References
----------
Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter
Optimization", 2016.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kanji_np.checks import integer

FACTOR = 3
FINALISTS = 3


@dataclass(frozen=True)
class Rung:
    """One round of training.

    Parameters
    ----------
    number : int
        From 1.
    networks : int
        How many are trained.
    epochs : int
        Of each.
    is_last : bool
        The last one trains with all training images; those before hold some out.
    """

    number: int
    networks: int
    epochs: int
    is_last: bool


def plan(
    networks: int, epochs: int, *, factor: int = FACTOR, finalists: int = FINALISTS
) -> tuple[Rung, ...]:
    """The rungs of a search.

    Each rung keeps one in `factor` networks and trains them `factor` times as long, up
    to `epochs` in the last. There are as many rungs as it takes to come down to the
    finalists, but none of less than one epoch: the last but one then drops the rest.

    Parameters
    ----------
    networks : int
        In the first rung.
    epochs : int
        Of the last rung.
    factor : int
        At least 2.
    finalists : int
        Networks in the last rung, if there are as many.

    Returns
    -------
    tuple of Rung

    Raises
    ------
    OptionError
        A number is not positive, or `factor` is less than 2.
    """
    integer("train", networks, 1)
    integer("epochs", epochs, 1)
    integer("factor", factor, 2)
    integer("finalists", finalists, 1)
    counts = [networks]
    while counts[-1] > finalists:
        counts.append(max(finalists, -(-counts[-1] // factor)))
    lengths = [epochs]
    while len(lengths) < len(counts) and lengths[0] // factor >= 1:
        lengths.insert(0, lengths[0] // factor)
    if len(lengths) > 1:
        counts = [*counts[: len(lengths) - 1], counts[-1]]
    else:
        counts = [networks]
    return tuple(
        Rung(number, count, length, number == len(counts))
        for number, (count, length) in enumerate(
            zip(counts, lengths, strict=True), start=1
        )
    )


def best(accuracies: Mapping[str, float], count: int) -> tuple[str, ...]:
    """The names of the most accurate networks, the best first.

    Parameters
    ----------
    accuracies : mapping of name to float
        On held-out images, 0..1. Of equal ones the earlier is better.
    count : int
        How many at most.
    """
    places = {name: place for place, name in enumerate(accuracies)}
    order = sorted(accuracies, key=lambda name: (-accuracies[name], places[name]))
    return tuple(order[:count])
