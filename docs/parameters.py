"""Gives each parameter of the reference its own default.

Griffe, which reads the source without running it, needs help with three things:

- A docstring may describe several parameters at once ("strides, dilation_rate : int").
  Griffe shows the default and the type of the first for all of them.
- A default may be a field of the default recipe (`DEFAULT.epochs`), or the result of a
  function. Readers want the value.
- A type may carry what is allowed (`Annotated[int, Range(1)]`). Readers want the type.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import griffe

import kanji_np

RECIPE = kanji_np.Recipe()


class OwnDefaults(griffe.Extension):
    """Puts the defaults and types of the signature in the place of griffe's."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        for owner in _with_parameters(pkg):
            for parameter in owner.parameters:
                parameter.default = _default(owner, parameter)
                parameter.annotation = _plain(parameter.annotation)
            if owner.docstring is not None:
                _correct(owner.docstring, owner.parameters)


def _with_parameters(
    scope: griffe.Module | griffe.Class,
) -> Iterator[griffe.Class | griffe.Function]:
    for member in scope.members.values():
        if member.is_alias:
            continue
        if member.is_class or member.is_module:
            yield from _with_parameters(member)
        if member.is_class or member.is_function:
            yield member


def _default(owner: griffe.Object, parameter: griffe.Parameter) -> Any:
    is_recipe = owner.name == "Recipe" or owner.parent.name == "Recipe"
    names_it = str(parameter.default).startswith("DEFAULT.")
    if names_it or (is_recipe and parameter.default is not None):
        return repr(getattr(RECIPE, parameter.name))
    return parameter.default


def _plain(annotation: Any) -> Any:
    carried = re.fullmatch(r"Annotated\[(\w+), .*\]", str(annotation), re.DOTALL)
    return carried[1] if carried else annotation


def _correct(docstring: griffe.Docstring, declared: griffe.Parameters) -> None:
    types = [p.annotation for p in declared if p.annotation is not None]
    for section in docstring.parsed:
        if section.kind is not griffe.DocstringSectionKind.parameters:
            continue
        for described in section.value:
            if described.name not in declared:
                continue
            own = declared[described.name]
            described.value = own.default
            if any(described.annotation is type_ for type_ in types):
                described.annotation = own.annotation
