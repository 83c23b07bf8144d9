"""A small search as a process of its own: python program.py DIRECTORY [SCHEDULER].

Six tiny networks, three rungs of 1, 2 and 4 epochs: 6 + 3 * 2 + 2 * 4 = 20 epochs.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from small import stripes

import kanji_np as kj
from kanji_np.errors import KanjiError
from kanji_np.recipe import Recipe
from kanji_np.search.finish import Place
from kanji_np.search.journal import Question
from kanji_np.search.run import Contender, Contest, halve
from kanji_np.search.workers import cluster, processes

EPOCHS = 20


def network(i):
    layers = [
        kj.Normalize((128, 128, 128)),
        kj.Conv2D(2 + 2 * i, 3, activation="relu"),
        kj.MaxPool2D(2),
        kj.Flatten(),
        kj.Dense(3),
    ]
    side = 8 if i % 2 else 7  # images are made smaller for some
    return kj.Sequential(layers, (side, side, 3), name=f"net{i}", seed=i)


def contest():
    nets = [network(i) for i in range(6)]
    return Contest(
        9, 7, tuple(Contender(net.name, f"width {i}", -i, net) for i, net in
                    enumerate(nets))
    )  # fmt: skip


def search(directory, *, scheduler=None, workers=2, slowly=0.0, tell=print):
    def told(line):
        tell(line)
        time.sleep(slowly)

    return halve(
        contest,
        Question({"seed": "0"}),
        (stripes(96), stripes(30, seed=1)),
        Path(directory),
        train=6,
        recipe=Recipe(epochs=4, batch_size=16),
        place=Place(None, "ccore"),
        held_out=0.25,
        factor=2,
        finalists=2,
        seed=0,
        workers=lambda images: (
            cluster(images, scheduler, told)
            if scheduler
            else processes(images, workers)
        ),
        tell=told,
    )


if __name__ == "__main__":
    try:
        search(sys.argv[1], scheduler=sys.argv[2] if sys.argv[2:] else None)
    except KanjiError as error:
        sys.exit(str(error))
