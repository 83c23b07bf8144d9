"""Networks of the zoo: parameters and MACs are those that were published."""

import pytest

from kanji_np import zoo
from kanji_np.errors import OptionError, ShapeError


def counts(net):
    """Weights and biases of what is deployed, and multiply-accumulates."""
    graph = net.freeze()
    linear = [node.ints for node in graph.nodes if hasattr(node.ints, "weight")]
    parameters = sum(ints.weight.size + ints.bias.size for ints in linear)
    return parameters, sum(graph.cost(node).macs for node in graph.nodes)


# MLPerf Tiny: 77.7k parameters and 12.5M MACs, 22.6k and 2.66M, 210.9k and 7.49M,
# 265.9k and 0.264M.
@pytest.mark.parametrize(
    "make, parameters, macs",
    [
        (zoo.resnet8, 77_706, 12_501_632),
        (zoo.ds_cnn, 22_604, 2_656_768),
        (zoo.mobilenet_v1_025, 210_850, 7_489_664),
        (zoo.autoencoder, 265_864, 264_192),
        (zoo.paper_vgg, 491_908, 38_838_272),
    ],
)
def test_counts(make, parameters, macs):
    assert counts(make()) == (parameters, macs)


@pytest.mark.parametrize(
    "channels, parameters, macs",
    [
        ((16, 16, 32), 25_594, 3_691_520),
        ((32, 32, 64), 89_578, 12_298_240),
        ((48, 48, 96), 191_962, 25_820_160),
        ((64, 64, 128), 332_746, 44_257_280),
    ],
)
def test_counts_of_the_paper_s_sizes(channels, parameters, macs):
    assert channels in zoo.PAPER_SIZES
    assert counts(zoo.paper_cnn(channels)) == (parameters, macs)


@pytest.mark.parametrize("make", [zoo.paper_cnn, zoo.paper_vgg])
def test_no_channels_are_refused(make):
    with pytest.raises(OptionError, match="channels must name at least one"):
        make(())


def test_residual_sums_end_in_relu_and_shortcuts_are_not_normalized():
    net = zoo.resnet8()
    convolutions = [layer for layer in net.layers if layer.op.name == "conv2d"]
    shortcuts = [c for c in convolutions if c.attrs.kernel == (1, 1)]
    assert [c.attrs.stride for c in shortcuts] == [(2, 2)] * 2
    assert [c for c in convolutions if c.norm is None] == shortcuts
    sums = [layer.attrs.activation for layer in net.layers if layer.op.name == "add"]
    assert sums == ["relu"] * 3


@pytest.mark.parametrize("make", zoo.NETWORKS.values(), ids=zoo.NETWORKS)
def test_weight_bits_are_of_all_weights_that_count(make):
    for bits in (8, 4):
        layers = [x for x in make(weight_bits=bits).layers if x.has_parameters]
        depthwise = [x for x in layers if x.op.name == "depthwise_conv2d"]
        assert all(x.attrs.weight_bits == 8 for x in depthwise)
        others = {x.attrs.weight_bits for x in layers if x not in depthwise}
        assert others == {bits}


@pytest.mark.parametrize("build", [zoo.ds_cnn, zoo.mobilenet_v1_025])
def test_networks_of_images_take_no_vectors(build):
    with pytest.raises(ShapeError, match=r"vectors takes images \(H, W, C\), not 16"):
        build(input_shape=(16,), name="vectors")
