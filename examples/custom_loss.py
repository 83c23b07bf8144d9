"""Train with a loss of your own: the focal loss, which cares most for what is wrong.

A loss is a function of (outputs, labels) that returns a scalar Tensor. Written with the
functions of `kanji_np.autograd`, its gradient is there already.

Reference: Lin et al., "Focal Loss for Dense Object Detection", 2017, equation 4.
"""

import numpy as np

import kanji_np as kj
from kanji_np import autograd as ag

GAMMA = 2


def focal_loss(logits: kj.Tensor, labels: np.ndarray) -> kj.Tensor:
    """Mean of ``-(1 - p)^GAMMA log p``, p the probability of the right class."""
    # The largest logit is taken off as a constant: exp stays finite, p stays the same.
    shifted = ag.subtract(logits, logits.data.max(axis=1, keepdims=True))
    log_total = ag.log(ag.sum(ag.exp(shifted), axis=1))
    log_p = ag.subtract(shifted[np.arange(len(labels)), labels], log_total)
    missing = ag.subtract(1, ag.exp(log_p))
    return ag.negative(ag.mean(ag.multiply(ag.power(missing, GAMMA), log_p)))


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
