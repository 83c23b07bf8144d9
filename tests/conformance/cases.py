"""Cases of an operator: written down, drawn at random, and refused."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import draw
import hypothesis.strategies as st
import numpy as np
from draw import EVERY_TARGET, RUNTIMES
from hypothesis.strategies import SearchStrategy

from kanji_np.ops.op import attrs_to_json
from kanji_np.quantize import (
    SCHEMES,
)
from kanji_np.targets import target_spec
from kanji_np.types import (
    QParams,
    Shape,
    TargetSpec,
)

#: Between them every library, rounding and core class.
TARGETS = (
    target_spec("cmsis-nn"),
    target_spec("cmsis-nn", core="mve", rounding="single"),
    target_spec("cmsis-nn", core="mve", version="4.0.0"),
    target_spec("cmsis-nn-q7"),
    target_spec("cmsis-nn-q7", core="c", rounding="truncate"),
)
#: Scale of every int8 input here.
X_QPARAMS = QParams(2.0**-5)


@dataclass(frozen=True)
class Case:
    """One configuration of an operator.

    Parameters
    ----------
    attrs : dataclass
    shape : tuple of int
        Of one input, the first of several.
    batch : int
    scaling : str
        How the integers of an operator with weights are chosen: "layer", as a layer
        makes them; "channels", a multiplier and shift a channel, offsets and a narrow
        activation range; "extreme", all factors at the ends of int8 with alternating
        signs from channel to channel, and shifts to the left.
    unsupported : str or None
        A pattern of the reason why no target takes it.
    target : TargetSpec
    scheme : str
        Of a "layer".
    others : tuple of tuple of int
        Shapes of the inputs after the first.
    qparams : tuple of QParams
        Of the inputs; the scheme's if empty.
    y_qparams : QParams or None
        Of the output, where its range is tracked and there are no weights.
    kept : float
        The part of the gradients of an output that are not zero.
    """

    attrs: Any
    shape: Shape
    batch: int = 2
    scaling: str = "layer"
    unsupported: str | None = None
    target: TargetSpec = TARGETS[0]
    scheme: str = "pow2"
    others: tuple[Shape, ...] = ()
    qparams: tuple[QParams, ...] = ()
    y_qparams: QParams | None = None
    kept: float = 1.0

    @property
    def shapes(self) -> tuple[Shape, ...]:
        return self.shape, *self.others

    @property
    def inputs(self) -> tuple[QParams, ...]:
        """QParams of every input."""
        return self.qparams or (self.x_qparams,) * len(self.shapes)

    @property
    def x_qparams(self) -> QParams:
        if self.qparams:
            return self.qparams[0]
        return replace(X_QPARAMS, zero_point=-20 * SCHEMES[self.scheme].asymmetric)

    @property
    def name(self) -> str:
        values = ",".join(map(str, attrs_to_json(self.attrs).values()))
        parts = (values, "x".join(map(str, self.shape)), str(self.batch), self.scaling)
        return "-".join(parts).replace(" ", "")

    def __str__(self) -> str:
        target = f"-{self.target}" if self.target != TARGETS[0] else ""
        scheme = f"-{self.scheme}" if self.scheme != "pow2" else ""
        scales = (*self.qparams, self.y_qparams) if self.qparams else ()
        return f"{self.name}{target}{scheme}{''.join(f'-{q}' for q in scales)}"

    def rng(self) -> np.random.Generator:
        return np.random.default_rng([len(self.name), self.batch, *self.shape])

    @property
    def is_legacy(self) -> bool:
        return self.target.library == "cmsis-nn-q7"

    @property
    def suits_target(self) -> bool:
        """The legacy API has one scale a tensor, and no zero points."""
        plain = self.scaling == "layer" and not any(q.zero_point for q in self.qparams)
        return plain or not self.is_legacy


def random_cases(
    attrs: SearchStrategy[Any], shape: SearchStrategy[Shape], **more: Any
) -> SearchStrategy[Case]:
    """Cases of any batch, target and scheme, and more that is drawn of them."""
    return st.builds(
        Case,
        attrs,
        shape,
        batch=draw.batches,
        target=st.sampled_from((*EVERY_TARGET, *2 * RUNTIMES)),
        scheme=st.sampled_from(tuple(SCHEMES)),
        kept=draw.kept,
        **more,
    )


def random_joins(
    attrs: SearchStrategy[Any], shapes: SearchStrategy[tuple[Shape, ...]]
) -> SearchStrategy[Case]:
    """The same of an operator of several inputs, each with a scale of its own."""

    def of(every: tuple[Shape, ...]) -> SearchStrategy[Case]:
        return random_cases(
            attrs,
            st.just(every[0]),
            others=st.just(every[1:]),
            qparams=st.tuples(*[draw.qparams] * len(every)),
            y_qparams=draw.qparams,
        )

    return shapes.flatmap(of)


@dataclass(frozen=True)
class Refusal:
    """Attributes and an input shape that `infer` must refuse, and a pattern of why.

    `others` are the shapes of the inputs after the first.
    """

    attrs: Any
    shape: Shape
    message: str
    others: tuple[Shape, ...] = ()
