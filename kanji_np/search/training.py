"""One epoch of one network: what a worker is given, what it does, what it gives back.

A step is a function of bytes to bytes: workers share no disk with the search, keep
nothing between steps but the images, and may be lost at any time.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kanji_np.errors import KanjiError
from kanji_np.loops.threads import MOST_THREADS, limited

if TYPE_CHECKING:
    from kanji_np.data import Dataset
    from kanji_np.recipe import Recipe
    from kanji_np.train import EpochRecord
    from kanji_np.types import Shape


@dataclass(frozen=True, eq=False)
class Images:
    """The training images of a search.

    Parameters
    ----------
    whole : Dataset
    held_out : float
        Part of each class that rungs before the last judge networks by.
    seed : int
        Decides which images those are.
    """

    whole: Dataset
    held_out: float
    seed: int
    _made: dict[str, tuple[Dataset, Dataset | None]] = field(default_factory=dict)

    def __reduce__(self) -> tuple[type[Images], tuple[Dataset, float, int]]:
        """What was made of them is not sent to workers."""
        return Images, (self.whole, self.held_out, self.seed)

    def for_shape(self, shape: Shape, *, whole: bool) -> tuple[Dataset, Dataset | None]:
        """Images to train on, and those held out, at the resolution of a network."""
        from kanji_np.data import fitted

        key = f"{shape} {whole}"
        if key not in self._made:
            images = fitted(self.whole, shape)
            parts = (
                (images, None) if whole else images.split(self.held_out, seed=self.seed)
            )
            self._made.clear()  # the next networks often have the same shape
            self._made[key] = parts
        return self._made[key]


@dataclass(frozen=True)
class Step:
    """The next epoch of a network.

    Parameters
    ----------
    network : bytes
        The model file before training.
    checkpoint : bytes or None
        Where its training stands.
    recipe : Recipe
        Of the whole training.
    is_last : bool
        Whether all images are trained on, and none held out.
    """

    network: bytes
    checkpoint: bytes | None
    recipe: Recipe
    is_last: bool


@dataclass(frozen=True)
class Progress:
    """What a step came to.

    Parameters
    ----------
    epochs : tuple of EpochRecord
        All so far.
    checkpoint, history : bytes
    network : bytes or None
        The trained model file, after the last epoch.
    """

    epochs: tuple[EpochRecord, ...]
    checkpoint: bytes
    history: bytes
    network: bytes | None


@dataclass(frozen=True)
class Failure:
    """A network cannot be trained; another try would end the same way.

    Parameters
    ----------
    reason : str
        One line.
    """

    reason: str


def advance(
    step: Step, images: Images, threads: int | None = None
) -> Progress | Failure:
    """Train a network for one more epoch.

    An error that this network is to blame for is a Failure; any other ends the search.

    Parameters
    ----------
    step : Step
    images : Images
    threads : int, optional
        All cores by default. The result does not depend on it.
    """
    try:
        with limited(threads and max(1, min(threads, MOST_THREADS))):
            return _advance(step, images)
    except KanjiError as error:
        return Failure(" ".join(str(error).split()))
    except MemoryError:
        return Failure("not enough memory to train it")


def _advance(step: Step, images: Images) -> Progress:
    import kanji_np as kj
    from kanji_np.train.checkpoint import CHECKPOINT, MODEL

    with tempfile.TemporaryDirectory(prefix="kanji-np-") as name:
        start, run = Path(name) / "start.npz", Path(name) / "run"
        start.write_bytes(step.network)
        net = kj.load(start)
        run.mkdir()
        if step.checkpoint is not None:
            (run / CHECKPOINT).write_bytes(step.checkpoint)
        train, validation = images.for_shape(net.input.shape, whole=step.is_last)
        history = kj.fit(
            net,
            train,
            validation=validation,
            directory=run,
            resume=True,
            stop_after=1,
            show=False,
            **vars(step.recipe),
        )
        is_done = len(history.epochs) == step.recipe.epochs
        return Progress(
            epochs=history.epochs,
            checkpoint=(run / CHECKPOINT).read_bytes(),
            history=history.csv().encode(),
            network=(run / MODEL).read_bytes() if is_done else None,
        )


def recipe_of(recipe: Recipe, epochs: int) -> Recipe:
    """A recipe in another number of epochs, of which the same part is in fp32."""
    in_fp32 = recipe.fp32_epochs * epochs // recipe.epochs
    return replace(recipe, epochs=epochs, fp32_epochs=in_fp32)
