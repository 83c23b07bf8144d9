"""How well scores of untrained networks rank networks that were trained.

30 networks are drawn from the family for images, spread evenly over the logarithm of
their MACs, among those that fit 256 KiB of flash and 64 KiB of RAM. Each is trained
briefly on CIFAR-10 in int8. `results/rank_correlation.jsonl` keeps the accuracies:

    python examples/rank_correlation.py                      # compare with what is kept
    python examples/rank_correlation.py --train --data cifar10   # train what is missing

For every score it prints the rank correlations with accuracy and the interval that
holds Spearman's in 95 % of 2,000 bootstrap samples. Then it chooses the best score on
half of the networks and measures it on the other half, for 1,000 random halves. Last
come two checks of the score that the package uses.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from zero_cost import SCORES, Batch

import kanji_np as kj
from kanji_np.data import resized
from kanji_np.deploy.planner import lower, plan
from kanji_np.errors import KanjiError
from kanji_np.report import text_table
from kanji_np.search.family import Family
from kanji_np.search.images import image_family
from kanji_np.search.proxy import macs

RESULTS = Path(__file__).parent / "results" / "rank_correlation.jsonl"
COUNT, DRAWN, SEED = 30, 900, 17
MACS = 200_000, 12_000_000
FLASH_BYTES, RAM_BYTES = 230_000, 60_000  # tables; arena and input: the rest is code
EPOCHS, IMAGES, AVERAGING = 4, 10_000, 0.98
BATCH = 32
BOOTSTRAPS, HALVES = 2000, 1000
# The score of the package was chosen when this many networks had been trained.
CHOSEN_AFTER = 10
CHOSEN = "MACs x weights"
ALIKE = 2.0  # times as many MACs, at most


def family() -> Family:
    """The networks to choose from."""
    return image_family(
        (32, 32, 3), 10, {"resolution": (32, 24, 16)}, mean=(125, 123, 114)
    )


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0; equal values share the mean of theirs."""
    order = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(order[2])
    return (ends - (order[2] + 1) / 2)[order[1]]


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation; 0 if one is constant."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def kendall(a: np.ndarray, b: np.ndarray) -> float:
    """Kendall's tau-b."""
    i, j = np.triu_indices(len(a), 1)
    x, y = np.sign(a[i] - a[j]), np.sign(b[i] - b[j])
    return float((x * y).sum() / math.sqrt((x != 0).sum() * (y != 0).sum()))


@dataclass(frozen=True)
class Trained:
    """A network of the family and its accuracy on the test images."""

    number: int
    accuracy: float


def kept() -> list[Trained]:
    """What is trained, in the order of the file."""
    if not RESULTS.exists():
        return []
    rows = map(json.loads, RESULTS.read_text().splitlines())
    return [Trained(row["number"], row["accuracy"]) for row in rows]


def fits(network: kj.Model) -> bool:
    """Whether a network is small enough, and large enough to learn something."""
    if not MACS[0] <= macs(network) <= MACS[1]:
        return False
    graph = network.outline()
    flash = sum(graph.cost(node).flash_bytes for node in graph.nodes)
    arena = plan(graph, lower(graph)).arena_bytes
    # The camera's image counts at full resolution.
    return flash <= FLASH_BYTES and arena + math.prod((32, 32, 3)) <= RAM_BYTES


def draw(networks: Family) -> list[int]:
    """Numbers of the networks, spread over the logarithm of their MACs."""
    rng = np.random.default_rng(SEED)
    found = []
    for number in rng.permutation(networks.size)[:DRAWN].tolist():
        try:
            network = networks.build(networks.candidate(number))
        except KanjiError:
            continue
        if fits(network):
            found.append((macs(network), number))
    found.sort(key=lambda each: each[0])
    logs = np.log([each[0] for each in found])
    edges = np.linspace(logs[0], logs[-1], COUNT + 1)
    chosen: list[int] = []
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        inside = [
            i for i in range(len(found)) if low <= logs[i] <= high and i not in chosen
        ]
        chosen.append(int(rng.choice(inside or [int(np.abs(logs - low).argmin())])))
    order = rng.permutation(COUNT)
    return [found[chosen[i]][1] for i in order]


def train(networks: Family, source: str) -> None:
    """Train what is not kept yet; a line is added after each."""
    images, test = kj.load_dataset(source)
    images = images.take(IMAGES)
    done = {each.number for each in kept()}
    for number in draw(networks):
        if number in done:
            continue
        candidate = networks.candidate(number)
        network = networks.build(candidate)
        height, width, _ = network.input.shape
        size = height, width
        kj.fit(
            network, resized(images, size), epochs=EPOCHS, averaging=AVERAGING,
            show=False,
        )  # fmt: skip
        accuracy = network.evaluate(resized(test, size))
        row = {"number": number, "choices": candidate.choices, "accuracy": accuracy}
        with RESULTS.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(f"{candidate.text}: {100 * accuracy:.2f} %", flush=True)


def scored(networks: Family, numbers: list[int]) -> dict[str, np.ndarray]:
    """Every score of every network, from one batch of noise with random labels."""
    values: dict[str, list[float]] = {name: [] for name in SCORES}
    for number in numbers:
        rng = np.random.default_rng(SEED)
        for name, score in SCORES.items():
            network = networks.build(networks.candidate(number))
            shape = (BATCH, *network.input.shape)
            images = rng.integers(0, 256, shape, dtype=np.uint8)
            batch = Batch(images, rng.integers(0, 10, BATCH))
            values[name].append(score(network, batch))
    return {name: np.array(column) for name, column in values.items()}


def interval(values: np.ndarray, accuracy: np.ndarray) -> tuple[float, float]:
    """Spearman's correlation in 95 % of samples drawn with repetition."""
    rng = np.random.default_rng(SEED)
    found = []
    for _ in range(BOOTSTRAPS):
        some = rng.integers(0, len(accuracy), len(accuracy))
        found.append(spearman(values[some], accuracy[some]))
    low, high = np.percentile(found, (2.5, 97.5))
    return float(low), float(high)


def choose_on_half(
    values: dict[str, np.ndarray], accuracy: np.ndarray
) -> tuple[dict[str, int], float]:
    """How often each score is the best on a random half, and the mean of Spearman's
    correlation of the best on the other half."""
    rng = np.random.default_rng(SEED)
    wins = dict.fromkeys(values, 0)
    others = []
    for _ in range(HALVES):
        order = rng.permutation(len(accuracy))
        half, rest = np.array_split(order, 2)
        best = max(
            values, key=lambda name: spearman(values[name][half], accuracy[half])
        )
        wins[best] += 1
        others.append(spearman(values[best][rest], accuracy[rest]))
    return wins, float(np.mean(others))


def alike(
    values: np.ndarray, costs: np.ndarray, accuracy: np.ndarray
) -> tuple[int, float]:
    """Pairs of networks with nearly as many MACs, and the part that a score orders as
    their accuracies do."""
    i, j = np.triu_indices(len(accuracy), 1)
    near = np.abs(np.log(costs[i] / costs[j])) < math.log(ALIKE)
    same = (values[i] - values[j]) * (accuracy[i] - accuracy[j]) > 0
    return int(near.sum()), float(same[near].mean())


def compare(networks: Family) -> str:
    """The table of all scores."""
    trained = kept()
    accuracy = np.array([each.accuracy for each in trained])
    values = scored(networks, [each.number for each in trained])
    wins, held_out = choose_on_half(values, accuracy)
    rows = []
    for name, column in values.items():
        low, high = interval(column, accuracy)
        rows.append(
            (
                name,
                f"{spearman(column, accuracy):.2f}",
                f"{low:.2f} to {high:.2f}",
                f"{kendall(column, accuracy):.2f}",
                str(wins[name]),
            )
        )
    chosen = values[CHOSEN]
    later = spearman(chosen[CHOSEN_AFTER:], accuracy[CHOSEN_AFTER:])
    pairs, part = alike(chosen, values["MACs"], accuracy)
    header = ("score", "Spearman", "95 % of bootstraps", "Kendall", "best on a half")
    return "\n".join(
        [
            f"{len(trained)} networks, accuracy {100 * accuracy.min():.1f} to "
            f"{100 * accuracy.max():.1f} %",
            "",
            text_table(header, rows, left_columns=1),
            "",
            f"the best on one half has on the other half a Spearman of {held_out:.2f} "
            f"(mean of {HALVES:,} halves)",
            f"{CHOSEN}, on the networks trained after it was chosen: {later:.2f}",
            f"{CHOSEN} orders {100 * part:.0f} % of {pairs} pairs whose MACs differ by "
            f"less than {ALIKE:g} times as their accuracies do",
        ]
    )


def main() -> None:
    """Train what is asked for, then compare."""
    parser = argparse.ArgumentParser(description="See the head of this file.")
    parser.add_argument("--train", action="store_true", help="train what is missing")
    parser.add_argument("--data", default="cifar10", help="as kanji-np train takes it")
    options = parser.parse_args()
    networks = family()
    if options.train:
        train(networks, options.data)
    print(compare(networks))


if __name__ == "__main__":
    main()
