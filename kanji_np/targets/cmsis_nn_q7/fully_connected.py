"""Legacy fully connected layers, `arm_fully_connected_q7_opt`."""

from __future__ import annotations

import numpy as np

from kanji_np.targets.arm import HEADER, check_extents
from kanji_np.targets.cmsis_nn_q7.calls import STATUS, linear_constants, right_shift
from kanji_np.types import (
    ConstPtr,
    InputPtr,
    KernelCall,
    LinearInts,
    OutputPtr,
    ScratchPtr,
    TargetSpec,
)


def call(function: str, ints: LinearInts, scratch_bytes: int) -> KernelCall:
    """The call for weights (Cout,Cin), which it interleaves.

    UnsupportedOp if an extent is too large.
    """
    outputs, inputs = ints.weight.shape
    check_extents(function, inputs, outputs)
    return KernelCall(
        function=function,
        header=HEADER,
        arguments=(
            InputPtr(),
            ConstPtr("weight"),
            inputs,
            outputs,
            ints.bias_shift,
            right_shift(ints),
            ConstPtr("bias"),
            OutputPtr(),
            ScratchPtr(),
        ),
        constants=linear_constants(
            ints, interleave(ints.weight), "(Cout,Cin), interleaved for the kernel"
        ),
        scratch_bytes=scratch_bytes,
        status=STATUS,
    )


def scratch_bytes(inputs: int, target: TargetSpec) -> int:
    """DSP cores keep the input as int16 [bytes]."""
    return 2 * inputs if target.core == "dsp" else 0


def interleave(weight: np.ndarray) -> np.ndarray:
    """(Cout,Cin) int8 in the order `arm_fully_connected_q7_opt` reads it, same shape.

    It reads four rows together. Of every four of their columns it reads the even ones,
    two rows at a time, and then the odd ones likewise. Columns that are left over it
    reads one by one. Rows that are left over stay as they are.
    """
    order = _interleaved(*weight.shape)
    return weight.ravel()[order].reshape(weight.shape)


def _interleaved(rows: int, columns: int) -> np.ndarray:
    """Index into the plain matrix of each place of the interleaved one, int64."""
    index = np.arange(rows * columns).reshape(rows, columns)
    whole_rows, whole_columns = rows // 4 * 4, columns // 4 * 4
    order = []
    for four in index[:whole_rows].reshape(-1, 4, columns):
        # (4, C) -> (row pair, row, column group, column pair, column of it)
        blocks = four[:, :whole_columns].reshape(2, 2, -1, 2, 2)
        # column by column of a pair: row pair, column pair, row of the pair
        order.append(blocks.transpose(2, 4, 0, 3, 1).ravel())
        order.append(four[:, whole_columns:].T.ravel())
    return np.concatenate([*order, index[whole_rows:].ravel()])
