"""Train with a loss of your own: the focal loss, which cares most for what is wrong.

A loss is a function of (outputs, labels) that returns one number, a Tensor. Write it
with operators and the functions of `kanji_np.autograd`; `backward` knows its gradient.

Reference: Lin et al., "Focal Loss for Dense Object Detection", 2017, equation 4.
"""

import numpy as np

import kanji_np as kj
from kanji_np import autograd as ag

GAMMA = 2


def focal_loss(logits: kj.Tensor, labels: np.ndarray) -> kj.Tensor:
    """Mean of ``-(1 - p)^GAMMA log p``, p the probability of the right class."""
    log_p = ag.log_softmax(logits, axis=1)[np.arange(len(labels)), labels]
    p = ag.exp(log_p)
    return -((1 - p) ** GAMMA * log_p).mean()


def main() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(4, 10)), np.array([1, 0, 9, 4])
    ag.check_gradients(lambda z: focal_loss(z, labels), logits)

    train, test = kj.load_dataset("synthetic")
    net = kj.paper_cnn((8, 16))
    kj.fit(
        net,
        train,
        epochs=3,
        validation=test,
        batch_size=64,
        optimizer=kj.Adam(lr=0.002),
        loss=focal_loss,
    )
    print(f"int8 accuracy {100 * net.evaluate(test):.2f} %")


if __name__ == "__main__":
    main()
