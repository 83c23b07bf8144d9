"""CMSIS-NN's convolution, `arm_convolve_wrapper_s8` and `_s4`.

The wrapper picks one of three kernels by shape:

pointwise   1x1 windows without dilation, and no padding before the input
row         windows one cell high over an input one row high, without dilation along x;
            7.0.0: where stride * channels is a multiple of 4;
            4.0.0: where the number of windows is a multiple of 4
general     everything else

A convolution in groups calls the general kernel itself, see `grouped_call`.

Only MVE cores have a kernel for rows; the others compute rows by the general one.

Some shapes make a kernel read outside the input, compute wrong values or fail.
`check_kernel` refuses them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from kanji_np.errors import UnsupportedOp
from kanji_np.targets.arm import HEADER
from kanji_np.targets.cmsis_nn.calls import (
    activation_range,
    dims,
    linear_constants,
    per_channel_quant,
    scratch,
    tile,
)
from kanji_np.targets.cmsis_nn.library import V4, V7
from kanji_np.types import (
    Argument,
    BufferSize,
    ConstPtr,
    InputPtr,
    KernelCall,
    LinearInts,
    NullPtr,
    OutputPtr,
    Shape,
    Struct,
    TargetSpec,
)
from kanji_np.window import Geometry

# Numbers in a window of all channels, for which the general kernel has its memory.
MOST_IN_WINDOW = 65_535

Fields = tuple[tuple[str, Argument], ...]


def wrapper_call(
    function: str,
    params: Struct,
    ints: LinearInts,
    *,
    layout: str,
    weight_bits: int,
    x_shape: Shape,
    y_shape: Shape,
    scratch_bytes: int,
) -> KernelCall:
    """The call of a wrapper, depthwise ones included.

    `ints.weight` must have the library's four axes in its order already; `layout` names
    them in the generated C. `x_shape` and `y_shape` are (H,W,C).
    """
    filter_dims = dims("filter_dims", *ints.weight.shape)
    input_dims = dims("input_dims", 1, *x_shape)
    output_dims = dims("output_dims", 1, *y_shape)
    return KernelCall(
        function=function,
        header=HEADER,
        arguments=(
            scratch(),
            params,
            per_channel_quant(),
            input_dims,
            InputPtr(),
            filter_dims,
            ConstPtr("weight"),
            dims("bias_dims", 1, 1, 1, y_shape[2]),
            ConstPtr("bias"),
            output_dims,
            OutputPtr(),
        ),
        constants=linear_constants(ints, layout, weight_bits),
        scratch_bytes=scratch_bytes,
        buffer_size=BufferSize(
            f"{function}_get_buffer_size",
            (params, input_dims, filter_dims, output_dims),
        ),
    )


def grouped_call(
    ints: LinearInts,
    g: Geometry,
    *,
    weight_bits: int,
    x_shape: Shape,
    y_shape: Shape,
    target: TargetSpec,
) -> KernelCall:
    """The call of `arm_convolve_s8` for a convolution in groups; see `wrapper_call`.

    The wrapper would call the same kernel. But it is not to be asked for the scratch
    memory: the tag v7.0.0 answers as if there were one group, which for 1x1 windows is
    less than the kernel uses. The answer of the kernel's own function is right.

    UnsupportedOp where no kernel has groups: those for int4 weights, and those of
    4.0.0, read the weight as if it had all input channels. Refused too where ccore,
    which the firmware may link instead, refuses windows of so many channels.
    """
    if weight_bits == 4:
        raise UnsupportedOp(
            "arm_convolve_wrapper_s4 has no groups; take weight_bits=8, or one group"
        )
    if target.version == V4:
        raise UnsupportedOp(
            f"{target.library} {target.version} has no convolution in groups; take "
            f"version {V7}, or one group"
        )
    window = g.kernel_h * g.kernel_w * x_shape[2]
    if window > MOST_IN_WINDOW:
        raise UnsupportedOp(
            f"arm_convolve_s8 takes {MOST_IN_WINDOW} numbers in a window of all groups "
            f"at most, got {window}"
        )
    call = wrapper_call(
        "arm_convolve_s8",
        conv_params(ints, g),
        ints,
        layout="(Cout,KH,KW,Cin/groups)",
        weight_bits=weight_bits,
        x_shape=x_shape,
        y_shape=y_shape,
        scratch_bytes=_general_bytes(x_shape, g, weight_bits, target),
    )
    *before, output_dims, y = call.arguments
    size = call.buffer_size
    assert size is not None
    _, *input_and_filter, _ = size.arguments
    return replace(
        call,
        arguments=(*before, NullPtr(), output_dims, y),  # NULL: it does not upscale
        buffer_size=BufferSize(size.function, tuple(input_and_filter)),
    )


def conv_params(ints: LinearInts, g: Geometry) -> Struct:
    return Struct(
        "cmsis_nn_conv_params",
        "conv_params",
        (*offset_fields(ints), *window_fields(ints, g)),
    )


def offset_fields(ints: LinearInts) -> Fields:
    """The first fields of the parameters, of depthwise convolution too."""
    return (("input_offset", ints.input_offset), ("output_offset", ints.output_offset))


def window_fields(ints: LinearInts, g: Geometry) -> Fields:
    """The last ones."""
    return (
        ("stride", tile("stride", g.stride)),
        ("padding", tile("padding", g.pad)),
        ("dilation", tile("dilation", g.dilation)),
        ("activation", activation_range(ints.act_min, ints.act_max)),
    )


def scratch_bytes(
    shape: Shape, g: Geometry, weight_bits: int, target: TargetSpec
) -> int:
    """Scratch memory for windows `g` over an input (H,W,C) [bytes].

    This is what the wrapper's `_get_buffer_size` answers on the core class, and the
    largest of the answers where the commits that a version stands for differ:

    pointwise   none; with int8 weights and stride 1 on DSP cores two int16 pixels, for
                which only a library built by Arm's compiler asks
    row         on MVE cores a copy of the windows that reach into the padding
    general     two int16 windows; on MVE cores four int8 windows

    With int4 weights the tag v7.0.0 asks for the copy of a row too, but does not use
    it. The row kernel of 4.0.0 needs no memory. It is given what 7.0.0 asks for,
    because ccore, which the firmware may link instead, asks for that.
    """
    channels = shape[2]
    if _is_pointwise(g):
        takes_pixels = target.core == "dsp" and g.stride == (1, 1) and weight_bits == 8
        return 4 * channels if takes_pixels else 0
    general = _general_bytes(shape, g, weight_bits, target)
    general_in_v4 = target.version == V4 and not _is_row_in_v4(shape, g, target)
    if target.core != "mve" or not _is_row(shape, g) or general_in_v4:
        return general
    ends = _row_ends(shape, g)
    if ends.first + ends.last > g.out_w:
        return general
    right = ends.before if ends.after == ends.before else ends.last
    return max(g.kernel_w + ends.before, g.kernel_w - 1 + right) * channels


def _general_bytes(
    shape: Shape, g: Geometry, weight_bits: int, target: TargetSpec
) -> int:
    """Scratch memory of the general kernel, for windows of all input channels."""
    depth = g.kernel_h * g.kernel_w * shape[2]
    if target.core == "mve":
        return 4 * (-(-depth // 16) * 16)
    return 4 * (depth if weight_bits == 4 else -(-depth // 4) * 4)


def _is_pointwise(g: Geometry) -> bool:
    return g.kernel == g.dilation == (1, 1) and g.pad == (0, 0)


def _is_row(shape: Shape, g: Geometry) -> bool:
    """Whether 7.0.0 takes the row kernel."""
    return _has_one_row(shape, g) and g.stride_w * shape[2] % 4 == 0


def _is_row_in_v4(shape: Shape, g: Geometry, target: TargetSpec) -> bool:
    """Whether the target is 4.0.0 on an MVE core, and takes the row kernel."""
    is_v4 = (target.core, target.version) == ("mve", V4)
    return is_v4 and _has_one_row(shape, g) and g.out_w % 4 == 0


def _has_one_row(shape: Shape, g: Geometry) -> bool:
    return shape[0] == g.kernel_h == g.dilation_w == 1 and not _is_pointwise(g)


@dataclass(frozen=True)
class RowEnds:
    """Where the windows over one row reach beyond the input.

    Parameters
    ----------
    before, after : int
        Cells of padding on the left, and on the right as far as windows reach into it.
    first, last : int
        Windows that the row kernel of MVE cores computes apart from the others, because
        it takes them to reach into the left or the right padding.
    """

    before: int
    after: int
    first: int
    last: int


def _row_ends(shape: Shape, g: Geometry) -> RowEnds:
    before = g.pad_left
    after = (g.out_w - 1) * g.stride_w + g.kernel_w - shape[1] - before
    first, last = (-(-pad // g.stride_w) for pad in (before, after))
    return RowEnds(before, after, first, last)


def check_kernel(
    function: str, weight_bits: int, shape: Shape, g: Geometry, target: TargetSpec
) -> None:
    """UnsupportedOp where the kernel that the wrapper picks would be wrong.

    - int4 weights, MVE cores, a library built to round once: some outputs are rounded
      twice. Refused.
    - pointwise, every version and core: the kernel takes each pixel that a window lies
      on, without asking whether it is in the input. With padding after the input and
      none before it, it reads beyond the input. Refused.
    - row, MVE cores: see `_wrong_row` and `_wrong_row_in_v4`.
    """
    if weight_bits == 4 and (target.core, target.rounding) == ("mve", "single"):
        raise UnsupportedOp(
            f"{function} on MVE cores rounds some outputs twice where the library is "
            'built to round once; take rounding="double" or weight_bits=8'
        )
    if _is_pointwise(g):
        starts = [(n - 1) * stride for n, stride in zip(g.out, g.stride, strict=True)]
        if starts[0] >= shape[0] or starts[1] >= shape[1]:
            raise UnsupportedOp(
                f"{function} reads beyond the input where the windows of a 1x1 kernel "
                "lie in the padding after it; pad less, or before the input too"
            )
    elif target.core == "mve":
        reason = _wrong_row_in_v4(shape, g, target)
        if reason is None and _is_row(shape, g):
            reason = _wrong_row(weight_bits, shape, g, target)
        if reason:
            raise UnsupportedOp(
                f"{function} on MVE cores takes one row of pixels only with {reason}"
            )


def _wrong_row_in_v4(shape: Shape, g: Geometry, target: TargetSpec) -> str | None:
    """What the row kernel of 4.0.0 lacks, if it would be wrong.

    - It computes one row of output, of windows that lie on the input's row. Rows of
      windows in the padding above or below are missing.
    - A window that lies in the padding as a whole makes it take a negative number of
      cells.
    """
    if not _is_row_in_v4(shape, g, target):
        return None
    if g.out_h > 1 or g.pad_top > 0:
        return "one row of output, and no padding above it"
    last = (g.out_w - 1) * g.stride_w - g.pad_left
    if g.pad_left >= g.kernel_w or last >= shape[1]:
        return "windows that touch the input"
    return None


def _wrong_row(
    weight_bits: int, shape: Shape, g: Geometry, target: TargetSpec
) -> str | None:
    """What the row kernels of 7.0.0 lack, if one would be wrong.

    - Both compute one row of output, of windows that lie on the input's row.
    - Both fail unless the padding on the right is as wide as that on the left, or one
      cell wider.
    - Where every window reaches into the padding, the int8 kernel leaves the row to the
      general one. The int4 kernel fails.
    - The int4 kernel skips the weights that lie on the left padding by whole bytes of
      two weights. With an odd number of channels it starts at the wrong weight.
    - The int8 kernel copies the last cells of the row once, with padding behind them,
      and takes all windows on the right from this copy. The copy is right only where
      the first of these windows leaves the row by one cell.

    The first two are refused for 4.0.0 as well; the last is not, because 4.0.0 copies
    nothing.
    """
    ends = _row_ends(shape, g)
    if g.out_h > 1 or g.pad_top > 0:
        return "one row of output, and no padding above it"
    if ends.after - ends.before not in (0, 1):
        return (
            "as much padding after the used cells as before them, or one cell more; "
            f"got {ends.before} before, {ends.after} after"
        )
    crowded = ends.first + ends.last > g.out_w
    if weight_bits == 4:
        if crowded:
            return "a window that does not reach into the padding"
        return "an even number of channels" if shape[2] % 2 else None
    if crowded or target.version == V4 or ends.last == 0:
        return None
    by_one_cell = (ends.after - 1) % g.stride_w == 0
    if by_one_cell and ends.after in (ends.before, ends.last):
        return None
    return (
        "windows of which the first to leave the row leaves it by one cell; got stride "
        f"{g.stride_w}, {ends.before} cells of padding before and {ends.after} after"
    )
