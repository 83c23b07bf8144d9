"""Batches in an order that seed and epoch alone decide.

No generator lives longer than one batch: any batch of any epoch can be made again
without the ones before it, so a resumed training run needs no stored random state.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from kanji_np.checks import integer
from kanji_np.data.augment import Augmentation
from kanji_np.data.dataset import Dataset

T = TypeVar("T")


def batches(
    dataset: Dataset,
    batch_size: int,
    *,
    seed: int,
    epoch: int,
    augment: Augmentation | None = None,
    shuffle: bool = True,
    least: int = 1,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """One pass over the dataset.

    Parameters
    ----------
    dataset : Dataset
    batch_size : int
    seed, epoch : int
        The generator of (seed, epoch, 0) orders the images, that of (seed, epoch, i+1)
        augments batch i.
    augment : Augment or SignalAugment, optional
    shuffle : bool
        False keeps the order of the dataset.
    least : int
        A last batch of fewer images is joined to the batch before it, if there is one.

    Yields
    ------
    images : ndarray (B, ...), of the dataset's dtype
        A new array, never a view of the dataset.
    labels : ndarray (B,) or (B, K), of the dataset's dtype

    Raises
    ------
    OptionError
        `batch_size` is not positive, or the seed or the epoch is negative.
    """
    batch_size = integer("batches: batch_size", batch_size, 1)
    seed = integer("batches: seed", seed, 0)
    epoch = integer("batches: epoch", epoch, 0)
    order = np.arange(len(dataset))
    if shuffle:
        np.random.default_rng((seed, epoch, 0)).shuffle(order)
    count = n_batches(len(order), batch_size, least)
    edges = [i * batch_size for i in range(count)]
    parts = [order[a:b] for a, b in pairwise([*edges, len(order)])]
    # A generator function would check its arguments only at the first batch.
    return _generate(dataset, parts, (seed, epoch), augment)


def n_batches(n_images: int, batch_size: int, least: int = 1) -> int:
    """How many batches one pass has; see `batches`."""
    full, rest = divmod(n_images, batch_size)
    return full + (rest > 0 and (rest >= least or not full))


def _generate(
    dataset: Dataset,
    parts: list[np.ndarray],
    entropy: tuple[int, int],
    augment: Augmentation | None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for i, rows in enumerate(parts):
        images = dataset.images[rows]
        if augment is not None:
            rng = np.random.default_rng((*entropy, i + 1))
            images = augment.apply(images, rng)
        yield images, dataset.labels[rows]


def ahead(items: Iterator[T], *, depth: int = 2) -> Generator[T, None, None]:
    """The same items in the same order, made on a thread before they are asked for.

    Parameters
    ----------
    items : iterator
        Nobody else may take from it.
    depth : int
        Items made and not yet taken, at most.

    Yields
    ------
    The items. An error in making one is raised in its place.

    Raises
    ------
    OptionError
        `depth` is not positive.

    Notes
    -----
    The thread lives from the first item until the last was taken or the iterator is
    closed, which waits for the item in the making. Leave a loop early inside
    `contextlib.closing`.
    """
    depth = integer("ahead: depth", depth, 1)
    return _ahead(items, depth)


def _ahead(items: Iterator[T], depth: int) -> Generator[T, None, None]:
    end = object()
    thread = ThreadPoolExecutor(1, thread_name_prefix="batches")
    try:
        pending: deque[Future[Any]] = deque(
            thread.submit(next, items, end) for _ in range(depth)
        )
        while (item := pending.popleft().result()) is not end:
            pending.append(thread.submit(next, items, end))
            yield item
    finally:
        thread.shutdown(cancel_futures=True)
