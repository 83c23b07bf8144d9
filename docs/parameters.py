"""Gives each parameter of the reference its own default.

A docstring may describe several parameters at once ("epochs, batch_size : int"). Griffe
then shows the default and the type of the first for all of them.
"""

from __future__ import annotations

from typing import Any

import griffe


class OwnDefaults(griffe.Extension):
    """Puts the signature's defaults and types in the place of griffe's."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        signature = getattr(obj, "parameters", None)
        if obj.docstring is None or signature is None:
            return
        declared = {p.name: p for p in signature}
        types = [p.annotation for p in signature if p.annotation is not None]
        for section in obj.docstring.parsed:
            if section.kind is not griffe.DocstringSectionKind.parameters:
                continue
            for parameter in section.value:
                if parameter.name not in declared:
                    continue
                own = declared[parameter.name]
                parameter.value = own.default
                if any(parameter.annotation is type_ for type_ in types):
                    parameter.annotation = own.annotation
