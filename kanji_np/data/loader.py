"""Batches in an order that seed and epoch alone decide.

No generator lives longer than one batch: any batch of any epoch can be made again
without the ones before it, so a resumed training run needs no stored random state.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kanji_np.data.augment import Augment
from kanji_np.data.dataset import Dataset
from kanji_np.errors import OptionError


def batches(
    dataset: Dataset,
    batch_size: int,
    *,
    seed: int,
    epoch: int,
    augment: Augment | None = None,
    shuffle: bool = True,
    drop_last: bool = False,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """One pass over the dataset.

    Parameters
    ----------
    dataset : Dataset
    batch_size : int
    seed, epoch : int
        The generator of (seed, epoch, 0) orders the images, that of (seed, epoch, i+1)
        augments batch i.
    augment : Augment, optional
    shuffle : bool
        False keeps the order of the dataset.
    drop_last : bool
        Leave out the last batch if it is not full.

    Yields
    ------
    images : ndarray of uint8, (B, H, W, C)
        A new array, never a view of the dataset.
    labels : ndarray of int64, (B,)

    Raises
    ------
    OptionError
        `batch_size` is not positive, or the seed or the epoch is negative.
    """
    if batch_size < 1:
        raise OptionError(f"batches: batch_size must be positive, got {batch_size}")
    for option, value in (("seed", seed), ("epoch", epoch)):
        if value < 0:
            raise OptionError(f"batches: {option} must not be negative, got {value}")
    order = np.arange(len(dataset))
    if shuffle:
        np.random.default_rng((seed, epoch, 0)).shuffle(order)
    stop = len(order) - len(order) % batch_size if drop_last else len(order)
    # A generator function would check its arguments only at the first batch.
    return _generate(dataset, order[:stop], batch_size, (seed, epoch), augment)


def _generate(
    dataset: Dataset,
    order: np.ndarray,
    batch_size: int,
    entropy: tuple[int, int],
    augment: Augment | None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for i, start in enumerate(range(0, len(order), batch_size)):
        rows = order[start : start + batch_size]
        images = dataset.images[rows]
        if augment is not None:
            rng = np.random.default_rng((*entropy, i + 1))
            images = augment.apply(images, rng)
        yield images, dataset.labels[rows]
