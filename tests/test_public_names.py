"""What users see: a public name says what it takes and gives, in words and types."""

import inspect
import re
import sys
import typing
from collections.abc import Callable, Iterator

import pytest

import kanji_np as kj

PUBLIC = {name: getattr(kj, name) for name in kj.__all__ if name != "__version__"}
FUNCTIONS = {name: x for name, x in PUBLIC.items() if inspect.isfunction(x)}
CLASSES = {name: x for name, x in PUBLIC.items() if isinstance(x, type)}

#: Types in signatures that are not public names: what networks, layers, operators and
#: deployment hand each other.
INTERNAL = {
    "BatchNorm",
    "KeptInts",
    "KernelCall",
    "LinearInts",
    "Op",
    "Quantization",
    "RangeTracker",
    "Scheme",
}


def members(kind: type) -> Iterator[Callable]:
    """Public methods and properties of a class, its bases' in this package included."""
    for name in dir(kind):
        owner = next(base for base in kind.__mro__ if name in vars(base))
        if name.startswith("_") or not owner.__module__.startswith("kanji_np"):
            continue
        value = vars(owner)[name]
        if isinstance(value, property):
            yield value.fget
        elif isinstance(value, classmethod | staticmethod):
            yield value.__func__
        elif inspect.isfunction(value):
            yield value


METHODS = {x.__qualname__: x for kind in CLASSES.values() for x in members(kind)}


def section(text: str, title: str) -> str:
    """The lines of a numpydoc section."""
    found = re.search(rf"^{title}\n-+\n(.*?)(?=^[^\n]+\n---|\Z)", text, re.M | re.S)
    return found[1] if found else ""


def described(text: str) -> set[str]:
    """The parameters that a docstring describes."""
    heads = re.findall(r"^(\S.*)$", section(text, "Parameters"), re.M)
    return {
        name for head in heads for name in re.findall(r"\w+", head.partition(" : ")[0])
    }


def parameters(function: Callable) -> list[str]:
    return [*inspect.signature(function).parameters]


@pytest.mark.parametrize("name", [*FUNCTIONS, *METHODS])
def test_functions_and_methods_describe_their_parameters(name):
    is_method = name in METHODS
    function = METHODS[name] if is_method else FUNCTIONS[name]
    text = inspect.getdoc(function) or ""
    assert text
    if not re.match("See `|The former name", text):
        # A method's first one is the object.
        assert {*parameters(function)[is_method:]} <= described(text)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_say_what_they_return(name):
    function = FUNCTIONS[name]
    if function.__annotations__["return"] != "None":
        assert section(inspect.getdoc(function), "Returns")


@pytest.mark.parametrize("name", CLASSES)
def test_classes_describe_the_parameters_of_their_instances(name):
    kind = CLASSES[name]
    text = inspect.cleandoc(vars(kind).get("__doc__") or "")
    assert text and not text.startswith(f"{name}(")  # as dataclasses write it
    is_made_by_users = not getattr(kind, "_is_protocol", False)
    if is_made_by_users and not issubclass(kind, Exception):
        assert {*parameters(kind)} <= described(text)


def parts(hint: object) -> Iterator[object]:
    """A type and those it is made of."""
    yield hint
    for argument in typing.get_args(hint):
        for each in argument if isinstance(argument, list) else [argument]:
            yield from parts(each)


def hints(thing: Callable | type) -> dict[str, object]:
    """The annotations of a function, or of the fields and attributes of a class."""
    names = dict(PUBLIC)  # some are imported for types alone
    for owner in reversed(getattr(thing, "__mro__", [thing])):
        names |= vars(sys.modules[owner.__module__])
    return typing.get_type_hints(thing, names)


def test_every_type_in_a_signature_is_a_public_name():
    makers = [kind.__init__ for kind in CLASSES.values() if "__init__" in vars(kind)]
    mentioned = {
        part
        for thing in (
            *FUNCTIONS.values(),
            *METHODS.values(),
            *makers,
            *CLASSES.values(),
        )
        for hint in hints(thing).values()
        for part in parts(hint)
        if isinstance(part, type) and part.__module__.startswith("kanji_np")
    }
    lacking = {kind.__name__ for kind in mentioned - {*PUBLIC.values()}}
    assert lacking == INTERNAL
