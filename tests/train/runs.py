"""Short runs of a small network that the tests of training share."""

from small import small_net, stripes

import kanji_np as kj

DATA = stripes(48)


def settings(**options):
    return {
        "epochs": 3,
        "batch_size": 20,
        "optimizer": kj.Adam(lr=0.01),
        "augment": kj.Augment(crop_padding=1),
        "label_smoothing": 0.1,
        "fp32_epochs": 1,
        "validation": DATA,
        "show": False,
    } | options


def weights(net):
    return b"".join(p.data.tobytes() for p in net.parameters())


def trained(target="cmsis-nn", core="dsp", **options):
    net = small_net(target=target, core=core)
    history = kj.fit(net, DATA, **settings(**options))
    return net, history


class Stopped(Exception):
    pass
