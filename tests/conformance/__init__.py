"""The suite every operator passes, over its own list of cases and over random ones.

A file in `tests/ops/` makes a class for its operator, derived from `Conformance` (or
`LinearConformance` where there are weights), lists cases, and says how others are drawn
at random. What is checked:

- the inferred shape is the actual one, of both forwards;
- the fast integer path equals `forward_int`, byte for byte, and does not mix images of
  a batch;
- `forward_int` is as near to `forward_float` as quantization allows (`bound`);
- `vjp` is the derivative of `forward_float` by central differences in float64: along
  random directions for every case, element by element for the small ones;
- the fast floating functions equal `forward_float` and `vjp`: of float64, of float32,
  and, going backward, of int8 with a zero point;
- what the forward pass of training leaves for `vjp` changes no bit of the results;
- float32 agrees with float64, and the gradients of int8 values with those of the same
  values in float64, stopped where the output is clamped;
- multiply-accumulates and flash bytes are what can be counted;
- attributes survive JSON;
- the operator lowers for every target, or says why not, and only where it should;
- the lowered calls give the bytes of `forward_int` on every library, version, core
  class and rounding under every scheme, and write nowhere else;
- the emitted C compiles and gives the bytes of `forward_int` (`networks`, `branches`).

What depends on the target is checked for each of `TARGETS`, the rest for the first. The
same random cases are drawn in every run, so many that an operator takes a second or
two; `examples` says how many.
"""

from .cases import TARGETS, Case, Refusal, random_cases, random_joins
from .joins import JoinConformance
from .linear import LinearConformance, unpadded_shape
from .suite import Conformance
from .tables import TableConformance

__all__ = [
    "TARGETS",
    "Case",
    "Conformance",
    "JoinConformance",
    "LinearConformance",
    "Refusal",
    "TableConformance",
    "random_cases",
    "random_joins",
    "unpadded_shape",
]
