"""Gives each parameter of the reference its own default, type and description.

Griffe, which reads the source without running it, needs help:

- A docstring may describe several parameters at once ("strides, dilation_rate : int").
  Griffe shows the default and the type of the first for all of them.
- A default may be a field of the default recipe (`DEFAULT.epochs`), or the result of a
  function. Readers want the value.
- A parameter may be described elsewhere ("See `Recipe`."). Readers want it here.
- A type may carry what is allowed (`Annotated[int, Range(1)]`). Readers want the type.
- Layers that operators declare are made at run time. Their stub has no defaults.
"""

from __future__ import annotations

import inspect
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
        _find_names(pkg)


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
    kind = (owner if owner.is_class else owner.parent).name
    default = parameter.default
    if str(default).startswith("DEFAULT.") or (default and kind == "Recipe"):
        return repr(getattr(RECIPE, parameter.name))
    if default == "...":
        made = inspect.signature(getattr(kanji_np, kind))
        return repr(made.parameters[parameter.name].default)
    return default


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


def _find_names(pkg: griffe.Module) -> None:
    """Public names that griffe takes for something else, or does not find.

    A function may have the name of its module, as `verify` does. The stub of declared
    layers is imported as a whole (`import *`).
    """
    for name, member in list(pkg.members.items()):
        if member.is_alias and member.target_path.startswith(f"{pkg.name}."):
            _, _, path = member.target_path.partition(".")
            if pkg[path].is_module:
                pkg[name] = griffe.Alias(name, f"{member.target_path}.{name}")
    declared = pkg["layers.declared"]
    for name, member in declared.members.items():
        if name in declared.exports:
            pkg[name] = griffe.Alias(name, f"{declared.path}.{name}")
