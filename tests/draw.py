"""How cases of the conformance suite are drawn: shapes, windows, scales.

Sizes are small and often 1, where axes are easily confused: an image of one row or one
column, a stride that is never taken, a kernel larger than the image, a last window that
lies in the padding.
"""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis.strategies import SearchStrategy

from kanji_np.quantize import ACTIVATIONS
from kanji_np.targets import LIBRARIES, target_spec
from kanji_np.targets.library import CORES
from kanji_np.types import QParams, TargetSpec

#: Every library and version, every class of cores and every rounding of each.
EVERY_TARGET: tuple[TargetSpec, ...] = tuple(
    target_spec(name, core=core, rounding=rounding, version=version)
    for name, library in LIBRARIES.items()
    if library.generates_c
    for version in library.versions
    for core in dict.fromkeys(CORES.values())
    for rounding in library.roundings
)

#: Runtimes, for which there is no C.
RUNTIMES: tuple[TargetSpec, ...] = tuple(
    target_spec(name) for name, library in LIBRARIES.items() if not library.generates_c
)

activations = st.sampled_from(ACTIVATIONS)
batches = st.sampled_from((1, 1, 2, 3, 5, 9))
#: Around the widths of vectors and tiles.
channels = st.one_of(
    st.just(1),
    st.integers(1, 4),
    st.sampled_from((7, 8, 9, 15, 16, 17, 31, 32, 33, 40)),
)
sides = st.one_of(st.just(1), st.integers(1, 3), st.integers(1, 9))
images = st.tuples(sides, sides, channels)
vectors = st.tuples(channels)
shapes = st.one_of(vectors, st.tuples(sides, channels), images)


def broadcast(shape: tuple[int, ...]) -> SearchStrategy[tuple[tuple[int, ...], ...]]:
    """Two operands of one shape; or of one, extents of 1 before and behind a part."""
    ends = st.tuples(st.integers(0, len(shape)), st.integers(0, len(shape)))

    def part(begin: int, end: int) -> tuple[int, ...]:
        return tuple(n if begin <= i < end else 1 for i, n in enumerate(shape))

    parts = ends.map(lambda e: part(*sorted(e))) | st.integers(1, len(shape)).map(
        lambda rank: shape[-rank:]
    )
    return st.one_of(
        st.just((shape, shape)),
        parts.map(lambda p: (shape, p)),
        parts.map(lambda p: (p if len(p) == len(shape) else shape, shape)),
    )


#: Two operands of any shape.
pairs_of_shapes = shapes.flatmap(broadcast)
#: Cells, kernel or stride along an axis.
few = st.one_of(st.just(1), st.integers(1, 3), st.integers(1, 6))
pairs = st.tuples(few, few)
#: The part of incoming gradients that count: all, or few, which go another way.
kept = st.sampled_from((1.0, 0.1))
zero_points = st.one_of(st.sampled_from((-128, 0, 127)), st.integers(-128, 127))


#: Powers of two and others.
scales = st.one_of(st.integers(-8, -2), st.floats(-8, -2)).map(lambda e: 2.0**e)
qparams = st.builds(QParams, scales, zero_points)
_cells = st.one_of(st.just(0), st.integers(0, 4))
sides_padded = st.tuples(_cells, _cells)
paddings = st.one_of(
    st.sampled_from(("same", "valid")), st.tuples(sides_padded, sides_padded)
)
dilations = st.one_of(st.just((1, 1)), st.tuples(few, few))
#: Of a convolution.
groups = st.sampled_from((1, 1, 1, 2, 3, 8))
scalings = st.sampled_from(("layer", "layer", "channels", "extreme"))
weight_bits = st.sampled_from((8, 8, 4))
