"""Train int8 networks in the microcontroller's own arithmetic; export them as C.

    import kanji_np as kj

    train, test = kj.load_dataset("synthetic")
    net = kj.Sequential([...], input_shape=(32, 32, 3))
    kj.fit(net, train, epochs=10, validation=test)
    kj.export(net, "firmware/")
    kj.verify("firmware/", test)

`__init__.pyi` lists the public names. Each is loaded when it is first used, so that
importing the package is quick.
"""

__version__ = "0.1.0"


def _modules() -> dict[str, str]:
    """The module of each public name, from lines "from MODULE import NAME as NAME".

    "from MODULE import *" stands for the classes that the module's own stub has.
    """
    found = {}
    for line in _stub(__name__):
        if line.startswith("from "):
            _, module, _, name, *_ = line.split()
            classes = _stub(module) if name == "*" else ()
            names = [n[6 : n.index("(")] for n in classes if n.startswith("class ")]
            found.update(dict.fromkeys(names or [name], module))
    return found


def _stub(module: str) -> list[str]:
    _, *parts = module.split(".")
    path = "/".join([__path__[0], *(parts or ["__init__"])]) + ".pyi"
    return __loader__.get_data(path).decode().splitlines()


_MODULES = _modules()

__all__ = ["__version__", *_MODULES]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(
            f"module 'kanji_np' has no attribute {name!r}{_near(name)}"
        )
    import importlib

    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def _near(name: str) -> str:
    """What may be meant by a name that is not there: of `Conv2d` Conv2D."""
    import difflib

    public = [] if name.startswith("_") else [*_MODULES]
    found = difflib.get_close_matches(name, public, 1)
    return f"; did you mean {found[0]}?" if found else ""


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
