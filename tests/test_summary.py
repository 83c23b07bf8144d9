"""What networks, layers, data and trainings show of themselves."""

import math
from xml.etree.ElementTree import fromstring

import kanji_np as kj
from kanji_np.train import EpochRecord


def network(**options):
    layers = [
        kj.Normalize((125, 123, 114)),
        kj.Conv2D(4, 3, activation="relu", batch_norm=True),
        kj.Dropout(0.5),
        kj.Flatten(),
        kj.Dense(2),
    ]
    return kj.Sequential(layers, (6, 6, 3), name="shown", **options)


def test_a_summary_is_a_table():
    net = network(classes=("left", "right"))
    assert (
        str(net.summary())
        == repr(net.summary())
        == (
            "shown for cmsis-nn/7.0.0/dsp/double, input 6x6x3 uint8\n"
            "\n"
            "layer       kind       output  parameters    MAC  flash\n"
            "----------  ---------  ------  ----------  -----  -----\n"
            "normalize1  Normalize  6x6x3                          3\n"
            "conv1       Conv2D     4x4x4          112  1,728    156\n"
            "dropout1    Dropout    4x4x4\n"
            "flatten1    Flatten    64\n"
            "dense1      Dense      2              130    128    136\n"
            "total                                 242  1,856    295\n"
            "flash in bytes, code not included; arena 284 bytes of RAM\n"
            "classes left, right\n"
            "in training alone: dropout1"
        )
    )
    assert net.summary().n_parameters == net.n_parameters == 242
    report = kj.cost_report(net)
    found = net.summary()
    assert (found.macs, found.flash_bytes) == (report.macs, report.flash_bytes)
    assert found.arena_bytes == report.arena_bytes


def test_a_network_for_a_runtime_has_a_summary():
    net = kj.Sequential([kj.Dense(2)], (4,), target="litert", scheme="asymmetric")
    assert net.summary().macs == 8


def test_reprs_are_one_line():
    net = network()
    assert repr(net) == (
        "<Sequential shown: 6x6x3 uint8 -> 2, 4 layers, 242 parameters, "
        "cmsis-nn/7.0.0/dsp/double>"
    )
    assert repr(net.layers[0]) == (
        "Normalize(mean=array([125, 123, 114], dtype=uint8), shift=1, "
        "mean_shape=(3,), name='normalize1')"
    )
    assert repr(net.layers[1]) == (
        "Conv2D(filters=4, kernel_size=(3, 3), activation='relu', batch_norm=True, "
        "name='conv1')"
    )
    assert repr(kj.Dropout(0.5)) == "Dropout(rate=0.5)"
    assert repr(kj.MaxPool2D(2)) == "MaxPool2D(pool_size=(2, 2), strides=(2, 2))"
    assert repr(kj.Add(activation="relu")) == "Add(activation='relu')"
    train, _ = kj.load_dataset("synthetic-machines")
    assert repr(train.take(3)) == (
        "<Dataset synthetic-machines: 3 samples 640 uint8, 2 classes: normal, "
        "anomalous>"
    )


def history(count=3, accuracy=0.5):
    records = (
        EpochRecord(i, "int8", 0.01, 1 / i, accuracy, math.nan, 2.0)
        for i in range(1, count + 1)
    )
    return kj.History(tuple(records))


def test_a_history_in_a_line():
    assert repr(history()) == (
        "<History of 3 epochs, 6 s: loss 0.3333, accuracy 50.00 %>"
    )
    assert repr(history(1, math.nan)) == "<History of 1 epoch, 2 s: loss 1>"
    assert repr(kj.History()) == "<History of no epoch>"


def test_notebooks_show_tables_and_curves():
    shown = fromstring(network(classes=("<l>", "r"))._repr_html_())
    assert [th.text for th in shown.iter("th")][:3] == ["layer", "kind", "output"]
    assert "<l>, r" in "".join(shown.itertext())
    drawn = fromstring(history()._repr_html_())
    assert len([*drawn.iter("polyline")]) == 2
    assert len([*drawn.iter("tr")]) == 4
    assert len([*fromstring(kj.history_html(history(50))).iter("tr")]) == 22
    assert not [*fromstring(kj.history_html(kj.History())).iter("svg")]
