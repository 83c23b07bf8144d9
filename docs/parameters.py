"""Gives each parameter of the reference its own default.

Griffe needs help twice. A docstring may describe several parameters at once
("epochs, batch_size : int"); griffe then shows the default and the type of the first
for all of them. And a default may be a field of a settings object (`DEFAULT.epochs`);
readers want the value.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import griffe

#: The class that each settings object is made of, without arguments.
SETTINGS = {"DEFAULT": "recipe.Recipe"}


class OwnDefaults(griffe.Extension):
    """Puts the defaults and types of the signature in the place of griffe's."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        for owner in _with_parameters(pkg):
            for parameter in owner.parameters:
                parameter.default = _value(pkg, parameter.default)
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


def _value(pkg: griffe.Module, default: Any) -> Any:
    settings, _, field = str(default).partition(".")
    return pkg[SETTINGS[settings]][field].value if settings in SETTINGS else default


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
