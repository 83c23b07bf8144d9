"""Arguments of other names: what Keras and PyTorch call them, and slips of the pen.

A keyword argument that is not known ends in one line that says what it is called here.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from kanji_np.checks import listed
from kanji_np.errors import OptionError

T = TypeVar("T", bound=Callable[..., Any])

#: Names of Keras and PyTorch, and what may be meant: the first that is an argument.
CALLED: Mapping[str, tuple[str, ...]] = {
    "activation_fn": ("activation",),
    "batch": ("batch_size",),
    "batchnorm": ("batch_norm",),
    "beta_1": ("beta1",),
    "beta_2": ("beta2",),
    "data": ("train",),
    "dilation": ("dilation_rate",),
    "epsilon": ("eps",),
    "initial_learning_rate": ("lr",),
    "input_dim": ("input_shape",),
    "input_size": ("input_shape",),
    "inputs": ("layers",),
    "kernel": ("kernel_size", "pool_size"),
    "kernel_size": ("pool_size",),
    "learning_rate": ("lr",),
    "modules": ("layers",),
    "n_epochs": ("epochs",),
    "nb_epoch": ("epochs",),
    "num_epochs": ("epochs",),
    "normalization": ("batch_norm",),
    "out_channels": ("filters",),
    "out_features": ("units",),
    "p": ("rate",),
    "channels": ("filters",),
    "pool": ("pool_size",),
    "scheduler": ("schedule",),
    "shape": ("input_shape", "target_shape"),
    "size": ("kernel_size", "pool_size"),
    "stride": ("strides",),
    "training_data": ("train",),
    "train_data": ("train",),
    "val_data": ("validation",),
    "valid": ("validation",),
    "validation_data": ("validation",),
    "verbose": ("show",),
}
#: What has no argument here, and why.
WITHOUT: Mapping[str, str] = {
    "in_channels": "it follows from the input: leave it out",
    "in_features": "it follows from the input: leave it out",
    "bias": "every layer has a bias: leave it out",
    "use_bias": "every layer has a bias: leave it out",
    "data_format": "channels come last: leave it out",
    "padding_mode": "padding is with zeros: leave it out",
    "kernel_initializer": "weights are He's, by the network's seed: leave it out",
    "bias_initializer": "biases begin at zero: leave it out",
    "kernel_regularizer": "weight_decay of the optimizer does so: leave it out",
    "betas": "they are beta1 and beta2",
    "amsgrad": "it is not offered",
    "dampening": "it is not offered",
    "clipnorm": "it is not an optimizer's here",
    "params": "`.bind(net.parameters())` makes what has step() and zero_grad()",
    "metrics": "accuracy is in the history: leave it out",
    "shuffle": "images are shuffled every epoch, by the seed: leave it out",
    "learning_rate": "it is the optimizer's: optimizer=kj.SGD(lr=...)",
    "lr": "it is the optimizer's: optimizer=kj.SGD(lr=...)",
    "momentum": "it is the optimizer's: optimizer=kj.SGD(momentum=...)",
    "weight_decay": "it is the optimizer's: optimizer=kj.SGD(weight_decay=...)",
    "x": "samples and labels come as (x, y), or as a Dataset, in front",
    "y": "samples and labels come as (x, y), or as a Dataset, in front",
}


def known_arguments(made: T) -> T:
    """A decorator: the function, or what makes the class's instances, says in an
    OptionError what an argument that it does not know is called here."""
    if isinstance(made, type):
        made.__init__ = _checking(made.__init__, made.__name__)  # type: ignore[misc]
        return made
    checked: T = _checking(made, made.__name__)
    return checked


def _checking(function: Callable[..., Any], owner: str) -> Any:
    parameters = inspect.signature(function).parameters.values()
    names = [p.name for p in parameters if p.name != "self" and p.kind != p.VAR_KEYWORD]
    takes_any = any(p.kind == p.VAR_KEYWORD for p in parameters)

    @functools.wraps(function)
    def called(*args: Any, **named: Any) -> Any:
        if not takes_any:
            check_names(owner, named, names)
        return function(*args, **named)

    return called


def check_names(owner: str, told: Collection[str], names: Collection[str]) -> None:
    """OptionError at the first name that is not among those an owner takes.

    Parameters
    ----------
    owner : str
        As users call it.
    told, names : collection of str
        What it was given, and what it takes.
    """
    for name in told:
        if name in names:
            continue
        line = f"{owner} has no argument {name!r}"
        called = [new for new in CALLED.get(name, ()) if new in names]
        if called:
            raise OptionError(f"{line}; it is called {called[0]}")
        if name in WITHOUT:
            raise OptionError(f"{line}; {WITHOUT[name]}")
        near = difflib.get_close_matches(name, names, 1)
        if near:
            raise OptionError(f"{line}; did you mean {near[0]}?")
        raise OptionError(f"{line}; it takes {listed(names)}")
