"""CMSIS-NN's fully connected layers: three functions, and sums for MVE cores."""

from __future__ import annotations

import numpy as np

from kanji_np.errors import UnsupportedOp
from kanji_np.targets.arm import HEADER
from kanji_np.targets.cmsis_nn.calls import (
    activation_range,
    dims,
    linear_constants,
    no_memory,
    per_channel_quant,
    table,
)
from kanji_np.targets.cmsis_nn.library import V4
from kanji_np.types import (
    BufferSize,
    Constant,
    ConstPtr,
    InputPtr,
    KernelCall,
    LinearInts,
    OutputPtr,
    Struct,
    TargetSpec,
)

PER_CHANNEL = "arm_fully_connected_per_channel_s8"


def has_channel_scales(weight_bits: int, target: TargetSpec) -> bool:
    """Whether there is a function that takes a scale for each output."""
    return weight_bits == 8 and target.version != V4


def function_for(ints: LinearInts, weight_bits: int, target: TargetSpec) -> str:
    """The function that takes the scales; UnsupportedOp if there is none.

    Where all outputs have one scale, it is the function for one scale, which every
    version has.
    """
    function = f"arm_fully_connected_s{weight_bits}"
    multiplier, shift = ints.multiplier, ints.shift
    if (multiplier == multiplier[0]).all() and (shift == shift[0]).all():
        return function
    if has_channel_scales(weight_bits, target):
        return PER_CHANNEL
    raise UnsupportedOp(
        f"{function} takes one scale for all outputs, and {target.library} "
        f"{target.version} has no other for int{weight_bits} weights"
    )


def wants_kernel_sums(weight_bits: int, target: TargetSpec) -> bool:
    """Whether the context of the call must hold `kernel_sums`.

    The int8 kernels of 7.0.0 on MVE cores want them. That of 4.0.0 and the int4 kernel
    add up the weights by themselves.
    """
    return target.core == "mve" and target.version != V4 and weight_bits == 8


def kernel_sums(ints: LinearInts) -> Constant:
    """What `arm_vector_sum_s8` would fill the context with, as a table in flash.

    For each output the sum of its weights, times the input offset, plus the bias.
    Constant weights make a constant table, so no RAM is spent on it and nothing has to
    run before the first inference.
    """
    sums = ints.weight.sum(axis=1, dtype=np.int64) * ints.input_offset + ints.bias
    return Constant(
        "kernel_sums", "int32_t", sums.astype(np.int32), "offset * row sums + bias"
    )


def call(
    function: str,
    ints: LinearInts,
    *,
    layout: str,
    weight_bits: int,
    sums: Constant | None,
) -> KernelCall:
    """The call of one of the functions; `sums` is `kernel_sums` where they are wanted.

    `ints.weight` is (Cout,Cin); `layout` says so in the generated C.
    """
    outputs, inputs = ints.weight.shape
    constants = linear_constants(ints, layout, weight_bits)
    if function == PER_CHANNEL:
        quant = per_channel_quant()
    else:
        quant, constants = _one_scale(ints), constants[:2]
    context = no_memory()
    if sums is not None:
        constants += (sums,)
        context = table(sums.name, 4 * outputs)
    filter_dims = dims("filter_dims", inputs, 1, 1, outputs)
    buffer_size = BufferSize("arm_fully_connected_s8_get_buffer_size", (filter_dims,))
    return KernelCall(
        function=function,
        header=HEADER,
        arguments=(
            context,
            _params(ints),
            quant,
            dims("input_dims", 1, 1, 1, inputs),
            InputPtr(),
            filter_dims,
            ConstPtr("weight"),
            dims("bias_dims", 1, 1, 1, outputs),
            ConstPtr("bias"),
            dims("output_dims", 1, 1, 1, outputs),
            OutputPtr(),
        ),
        constants=constants,
        buffer_size=buffer_size if weight_bits == 8 else None,
    )


def _params(ints: LinearInts) -> Struct:
    return Struct(
        "cmsis_nn_fc_params",
        "fc_params",
        (
            ("input_offset", ints.input_offset),
            ("filter_offset", 0),
            ("output_offset", ints.output_offset),
            ("activation", activation_range(ints.act_min, ints.act_max)),
        ),
    )


def _one_scale(ints: LinearInts) -> Struct:
    return Struct(
        "cmsis_nn_per_tensor_quant_params",
        "quant_params",
        (("multiplier", int(ints.multiplier[0])), ("shift", int(ints.shift[0]))),
    )
