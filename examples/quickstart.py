"""Train, export, verify: the library on one page. Takes about a minute."""

import kanji_np as kj


def main() -> None:
    train, test = kj.load_dataset("synthetic")
    net = kj.Sequential(
        [
            kj.Normalize(mean=(125, 123, 114)),
            kj.Conv2D(16, 5, padding="same", activation="relu"),
            kj.MaxPool2D(3, 2),
            kj.Conv2D(32, 3, padding="same", activation="relu"),
            kj.AvgPool2D(2),
            kj.Flatten(),
            kj.Dense(10),
        ],
        input_shape=train.input_shape,
        name="figures",
    )
    print(kj.cost_report(net))
    kj.fit(net, train, epochs=5, validation=test)
    net.save("runs/figures.npz")
    kj.export(net, "runs/figures-firmware", force=True)
    proof = kj.verify("runs/figures-firmware", test)
    print(f"int8 accuracy {100 * net.evaluate(test):.2f} %")
    print(f"{proof.differing_bytes} differing bytes over {proof.images:,} images")


if __name__ == "__main__":
    main()
