"""Gives each parameter of the reference its own default, type and description.

Griffe, which reads the source without running it, needs help:

- A docstring may describe several parameters at once ("strides, dilation_rate : int").
  Griffe shows the default and the type of the first for all of them.
- A default may be a field of the default recipe (`DEFAULT.epochs`), or the result of a
  function. Readers want the value.
- A parameter may be described elsewhere ("See `Recipe`."). Readers want it here.
- A type may carry what is allowed (`Annotated[int, Range(1)]`). Readers want the type.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import griffe

import kanji_np

RECIPE = kanji_np.Recipe()
ELSEWHERE = re.compile(r"(?:See|As(?: in)?) `(\w+)`(?: has them)?\.")


class OwnDefaults(griffe.Extension):
    """Puts the defaults and types of the signature in the place of griffe's."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        owners = list(_with_parameters(pkg))
        for owner in owners:
            for parameter in owner.parameters:
                parameter.default = _default(owner, parameter)
                parameter.annotation = _plain(parameter.annotation)
            _correct(owner)
        _describe_here(owners)
        _find_functions(pkg)


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


def _described(owner: griffe.Object) -> Iterator[griffe.DocstringParameter]:
    sections = owner.docstring.parsed if owner.docstring else ()
    for section in sections:
        if section.kind is griffe.DocstringSectionKind.parameters:
            yield from section.value


def _correct(owner: griffe.Class | griffe.Function) -> None:
    declared = {p.name: p for p in owner.parameters}
    types = [p.annotation for p in declared.values() if p.annotation is not None]
    for described in _described(owner):
        if described.name in declared:
            own = declared[described.name]
            described.value = own.default
            if any(described.annotation is type_ for type_ in types):
                described.annotation = own.annotation


def _describe_here(owners: list[griffe.Class | griffe.Function]) -> None:
    texts = {
        (owner.name, described.name): described.description
        for owner in owners
        for described in _described(owner)
    }
    for owner in owners:
        for described in _described(owner):
            if there := ELSEWHERE.fullmatch(described.description):
                key = there[1], described.name
                described.description = texts.get(key, described.description)


def _find_functions(pkg: griffe.Module) -> None:
    """Where a function has the name of its module, as `verify` does, griffe takes the
    public name for the module."""
    for name, member in list(pkg.members.items()):
        if member.is_alias:
            path = member.target_path.removeprefix(f"{pkg.name}.")
            target = pkg[path]
            if target.is_module:
                pkg[name] = griffe.Alias(name, f"{target.path}.{name}")
