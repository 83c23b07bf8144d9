"""The layers that operators declare: a class for each, made of the operator's page.

An operator whose page says ``layer="Add"`` has a layer of that name. Its arguments are
the fields of the operator's attributes, under the names that `attribute` gives them,
and `name`. `declared` holds those of this package; `register_op` makes more.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields
from inspect import Parameter, Signature
from typing import Any

from kanji_np.arguments import check_names
from kanji_np.errors import OptionError
from kanji_np.layers.layer import Layer
from kanji_np.layers.make import kind_of
from kanji_np.ops import Op, register
from kanji_np.ops.attributes import argument_name

PARAMETERS = "Parameters\n----------"


def register_op(op: Op) -> Callable[..., Layer]:
    """Add an operator of your own, and give the layer that it declares.

    Networks with the layer train, are saved and loaded, exported and verified as any
    other. A program that loads such a network must have registered the operator first.

    Parameters
    ----------
    op : Op
        With the `layer` that users write. `kanji_np.ops.op` says what else an operator
        has.

    Returns
    -------
    type
        The layer. Its arguments are the fields of the operator's attributes.

    Raises
    ------
    OptionError
        Another operator has the name, or the operator declares no layer.

    Examples
    --------
    `examples/hard_tanh.py` is a whole operator with a network that has it.
    """
    if op.layer is None:
        raise OptionError(f"the operator {op.name!r} declares no layer")
    return layer_class(register(op))


def layer_class(op: Op, module: str | None = None) -> type[Layer]:
    """The layer that an operator declares, as if its class stood in a module.

    `module` is that of the operator's attributes by default.
    """
    assert op.layer is not None
    signature, kind, owner = signature_of(op), kind_of(op), op.layer
    names = [name for name in signature.parameters if name != "self"]

    def init(self: Layer, *args: Any, **named: Any) -> None:
        check_names(owner, named, names)
        given = signature.bind(self, *args, **named)
        given.apply_defaults()
        values = given.arguments
        attrs = op.attrs(**{f.name: values[argument_name(f)] for f in fields(op.attrs)})
        more = {"batch_norm": values["batch_norm"]} if op.weights else {}
        kind.__init__(self, op, attrs, values["name"], **more)

    init.__signature__ = signature  # type: ignore[attr-defined]  # what `help` shows
    members: dict[str, Any] = {"__init__": init, "__doc__": docstring_of(op)}
    members["__module__"] = module or op.attrs.__module__
    return type(owner, (kind,), members)


def signature_of(op: Op) -> Signature:
    """The arguments of the layer that an operator declares."""
    self = Parameter("self", Parameter.POSITIONAL_OR_KEYWORD)
    own = [
        Parameter(
            argument_name(f),
            Parameter.POSITIONAL_OR_KEYWORD,
            default=Parameter.empty if f.default is MISSING else f.default,
        )
        for f in fields(op.attrs)
    ]
    name = Parameter("name", Parameter.POSITIONAL_OR_KEYWORD, default=None)
    batch_norm = Parameter("batch_norm", Parameter.KEYWORD_ONLY, default=False)
    return Signature([self, *own, name, *([batch_norm] if op.weights else [])])


def docstring_of(op: Op) -> str:
    """That of the attributes, and what every layer takes beside them."""
    own = inspect.cleandoc(op.attrs.__doc__ or "")
    if PARAMETERS not in own:
        own += f"\n\n{PARAMETERS}"
    own += "\nname : str, optional"
    return own + "\nbatch_norm : bool" * (op.weights is not None)
