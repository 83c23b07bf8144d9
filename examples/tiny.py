"""Three networks of MLPerf Tiny, trained on built-in data, exported and verified.

    python examples/tiny.py [DIRECTORY]

Keywords, persons and the sounds of a machine, with arbitrary scales a channel. Each
network's C runs all test inputs on this computer and some on an emulated Cortex-M4,
where GCC for Arm and QEMU are installed. Takes some minutes.
"""

import sys
from pathlib import Path

import kanji_np as kj
from kanji_np.data import Dataset
from kanji_np.errors import ToolError

CORE, ON_CORE = "cortex-m4", 5  # and how many inputs it is given


def keywords() -> tuple[kj.Model, Dataset, str]:
    train, test = kj.load_dataset("synthetic-keywords")
    net = kj.ds_cnn(mean=round(float(train.images.mean())))
    kj.fit(
        net, train, epochs=5, validation=test, batch_size=32, optimizer=kj.SGD(lr=0.1)
    )
    return net, test, accuracy(net, test)


def persons() -> tuple[kj.Model, Dataset, str]:
    train, test = kj.load_dataset("synthetic-persons")
    net = kj.mobilenet_v1_025()
    kj.fit(
        net, train, epochs=12, validation=test, batch_size=16, optimizer=kj.SGD(lr=0.02)
    )
    return net, test, accuracy(net, test)


def machines() -> tuple[kj.Model, Dataset, str]:
    train, test = kj.load_dataset("synthetic-machines")
    net = kj.autoencoder(mean=round(float(train.images.mean())))
    kj.fit(
        net,
        train,
        epochs=15,
        batch_size=32,
        optimizer=kj.Adam(lr=0.01),
        targets="inputs",
    )
    area = kj.auc(kj.anomaly_scores(net, test.images), test.labels)
    return net, test, f"AUC {area:.3f}"


def accuracy(net: kj.Model, test: Dataset) -> str:
    return f"accuracy {100 * net.evaluate(test):.2f} %"


def proven(net: kj.Model, test: Dataset, directory: Path) -> str:
    """Export a network; say how many bytes differ, here and on the core."""
    firmware = kj.export(net, directory, force=True)
    proofs = [kj.verify(directory, test)]
    try:
        proofs.append(kj.verify(directory, test.take(ON_CORE), on=CORE))
    except ToolError as error:
        print(f"not run on {CORE}: {error}")
    sizes = f"{firmware.const_bytes:,} bytes of flash, {firmware.arena_bytes:,} of RAM"
    counts = [f"{p.differing_bytes} differing in {p.bytes:,} bytes" for p in proofs]
    return "; ".join([sizes, *counts])


def main() -> None:
    directory = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/tiny")
    lines = []
    for task in (keywords, persons, machines):
        net, test, score = task()
        net.save(directory / f"{net.name}.npz")
        lines.append(f"{net.name}: {score}; {proven(net, test, directory / net.name)}")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
