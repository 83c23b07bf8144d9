"""Arguments by the names that Keras and PyTorch have for them."""

import inspect

import pytest
from small import small_net, stripes

import kanji_np as kj
from kanji_np.arguments import CALLED, WITHOUT
from kanji_np.errors import OptionError


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (
            lambda: kj.Conv2D(8, kernel=3),
            "Conv2D has no argument 'kernel'; it is called kernel_size",
        ),
        (
            lambda: kj.Conv2D(out_channels=8, kernel_size=3),
            "Conv2D has no argument 'out_channels'; it is called filters",
        ),
        (
            lambda: kj.Conv1D(8, 3, stride=2),
            "Conv1D has no argument 'stride'; it is called strides",
        ),
        (
            lambda: kj.MaxPool2D(kernel_size=2),
            "MaxPool2D has no argument 'kernel_size'; it is called pool_size",
        ),
        (
            lambda: kj.Dense(out_features=8),
            "Dense has no argument 'out_features'; it is called units",
        ),
        (
            lambda: kj.Dense(8, use_bias=False),
            "Dense has no argument 'use_bias'; every layer has a bias: leave it out",
        ),
        (
            lambda: kj.Conv2D(3, 3, in_channels=8),
            "Conv2D has no argument 'in_channels'; it follows from the input: leave "
            "it out",
        ),
        (
            lambda: kj.Dropout(p=0.5),
            "Dropout has no argument 'p'; it is called rate",
        ),
        (
            lambda: kj.Reshape(shape=(3, 4)),
            "Reshape has no argument 'shape'; it is called target_shape",
        ),
        (
            lambda: kj.Conv2D(3, 3, activaton="relu"),
            "Conv2D has no argument 'activaton'; did you mean activation?",
        ),
        (
            lambda: kj.Flatten(wide=True),
            "Flatten has no argument 'wide'; it takes name",
        ),
        (
            lambda: kj.SGD(learning_rate=0.1),
            "SGD has no argument 'learning_rate'; it is called lr",
        ),
        (
            lambda: kj.AdamW(betas=(0.9, 0.99)),
            "AdamW has no argument 'betas'; they are beta1 and beta2",
        ),
        (
            lambda: kj.Adam(epsilon=1e-7),
            "Adam has no argument 'epsilon'; it is called eps",
        ),
        (
            lambda: kj.Sequential([kj.Dense(2)], input_dim=(3,)),
            "Sequential has no argument 'input_dim'; it is called input_shape",
        ),
        (
            lambda: kj.fit(small_net(), stripes(6), validation_data=stripes(6)),
            "fit has no argument 'validation_data'; it is called validation",
        ),
        (
            lambda: kj.fit(small_net(), stripes(6), learning_rate=0.1),
            "fit has no argument 'learning_rate'; it is the optimizer's: "
            "optimizer=kj.SGD(lr=...)",
        ),
        (
            lambda: kj.Step(step_size=3),
            "Step has no argument 'step_size'; it takes every, gamma",
        ),
    ],
)
def test_one_line_says_what_it_is_called_here(call, line):
    with pytest.raises(OptionError) as caught:
        call()
    assert str(caught.value) == line


def test_the_tables_lead_to_arguments():
    """Each name that is recommended is an argument of something."""
    makers = (
        kj.fit, kj.Sequential, kj.SGD, kj.Adam, kj.Conv2D, kj.MaxPool2D, kj.Dense,
        kj.Dropout, kj.Reshape,
    )  # fmt: skip
    names = {name for make in makers for name in inspect.signature(make).parameters}
    assert {name for called in CALLED.values() for name in called} <= names
    assert all(WITHOUT.values())


def test_signatures_and_documentation_are_untouched():
    assert [*inspect.signature(kj.Dense).parameters][:3] == [
        "units", "activation", "name",
    ]  # fmt: skip
    assert inspect.signature(kj.SGD).parameters["lr"].default == 0.02
    assert kj.fit.__name__ == "fit" and "Parameters" in kj.fit.__doc__
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        kj.Dense()
