"""Train on your own images: a .npz file, or a directory with one folder a class.

    python examples/own_data.py [FILE.npz | DIRECTORY]

Without an argument a .npz file is made, to show the form. Reading a directory needs
Pillow.
"""

import sys
from pathlib import Path

import numpy as np

import kanji_np as kj


def make_npz(path: Path) -> Path:
    """Grey pictures of three kinds, as another program might have saved them."""
    figures, _ = kj.load_dataset("synthetic")
    chosen = figures.select(figures.labels < 3)
    grey = chosen.images.mean(axis=3).astype(np.uint8)  # (N, 32, 32)
    path.parent.mkdir(exist_ok=True)
    np.savez(path, images=grey, labels=chosen.labels, classes=figures.classes[:3])
    return path


def main() -> None:
    source = sys.argv[1] if len(sys.argv) > 1 else make_npz(Path("runs/own.npz"))
    train, test = kj.load_dataset(source)
    print(f"{len(train)} + {len(test)} images {train.input_shape}: {train.classes}")
    net = kj.paper_cnn(
        (8, 16),
        input_shape=train.input_shape,
        classes=len(train.classes),
        mean=[round(float(m)) for m in train.images.mean(axis=(0, 1, 2))],
        name="own",
    )
    kj.fit(net, train, epochs=5, validation=test, batch_size=32)
    scores = net.predict(test.images[:5])  # int8 (5, classes), the device's own bytes
    for label, best in zip(test.labels[:5], scores.argmax(axis=1), strict=True):
        print(f"{train.classes[label]} taken for {train.classes[best]}")


if __name__ == "__main__":
    main()
