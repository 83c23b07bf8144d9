"""What the kernels refuse, what they accept, and the scratch sizes they name."""

import functools
from dataclasses import replace

import numpy as np
import pytest

from . import driver, reference
from .driver import UNTOUCHED, Build, Call, build_runner, int4

ARG_ERROR = -1
INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
RUNNER = Build("gcc", sanitized=True)

X = np.ones((1, 3, 3, 2), np.int8)
CONVOLVE = driver.convolve_wrapper_s8(
    X,
    np.ones((4, 2, 2, 2), np.int8),
    np.ones(4, np.int32),
    np.full(4, 2**30, np.int32),
    np.zeros(4, np.int32),
    output_shape=(1, 2, 2, 4),
)
DEPTHWISE = driver.depthwise_conv_wrapper_s8(
    X,
    np.ones((2, 2, 4), np.int8),
    np.ones(4, np.int32),
    np.full(4, 2**30, np.int32),
    np.zeros(4, np.int32),
    output_shape=(1, 2, 2, 4),
)
FULLY_CONNECTED = driver.fully_connected_s8(
    np.ones((1, 5), np.int8),
    np.ones((3, 5), np.int8),
    np.ones(3, np.int32),
    2**30,
    0,
)
PER_CHANNEL = driver.fully_connected_per_channel_s8(
    np.ones((1, 5), np.int8),
    np.ones((3, 5), np.int8),
    np.ones(3, np.int32),
    np.full(3, 2**30, np.int32),
    np.zeros(3, np.int32),
)
POOL_SHAPE = {"kernel": (2, 2), "output_shape": (1, 2, 2, 2), "stride": (2, 2)}
MAX_POOL = driver.max_pool_s8(X, **POOL_SHAPE)
AVGPOOL = driver.avgpool_s8(X, **POOL_SHAPE)
WRAPPED = driver.fully_connected_wrapper_s8(PER_CHANNEL)
VECTOR_SUM = driver.vector_sum_s8(
    np.ones((3, 5), np.int8), np.ones(3, np.int32), input_offset=2, filter_offset=3
)
#: Kernels that take the arguments of the wrappers, on what each of them is for.
POINTWISE = driver.convolve_wrapper_s8(
    X,
    np.ones((4, 1, 1, 2), np.int8),
    np.ones(4, np.int32),
    np.full(4, 2**30, np.int32),
    np.zeros(4, np.int32),
    output_shape=(1, 3, 3, 4),
)
ROW = driver.convolve_wrapper_s8(
    np.ones((1, 1, 5, 4), np.int8),
    np.ones((4, 1, 2, 4), np.int8),
    np.ones(4, np.int32),
    np.full(4, 2**30, np.int32),
    np.zeros(4, np.int32),
    output_shape=(1, 1, 4, 4),
)
ONE_EACH = driver.depthwise_conv_wrapper_s8(
    X,
    np.ones((3, 3, 2), np.int8),
    np.ones(2, np.int32),
    np.full(2, 2**30, np.int32),
    np.zeros(2, np.int32),
    output_shape=(1, 3, 3, 2),
    padding=(1, 1),
)
GENERAL_CONV = driver.named(CONVOLVE, "arm_convolve_s8")
CONV_1X1 = driver.named(POINTWISE, "arm_convolve_1x1_s8")
CONV_1X1_FAST = driver.named(POINTWISE, "arm_convolve_1x1_s8_fast")
CONV_1XN = driver.named(ROW, "arm_convolve_1_x_n_s8")
GENERAL_DW = driver.named(DEPTHWISE, "arm_depthwise_conv_s8")
DW_OPT = driver.named(ONE_EACH, "arm_depthwise_conv_s8_opt")
DW_3X3 = driver.named(ONE_EACH, "arm_depthwise_conv_3x3_s8")
BY_NAME = (
    GENERAL_CONV,
    CONV_1X1,
    CONV_1X1_FAST,
    CONV_1XN,
    GENERAL_DW,
    DW_OPT,
    DW_3X3,
)
BY_NAME += tuple(int4(call) for call in BY_NAME if call is not DW_3X3)
SOFTMAX = driver.softmax_s8(np.ones((2, 3), np.int8), 2**30, 20, -100)
OWN_SOFTMAX = driver.named(SOFTMAX, "kanji_softmax_s8")
RELU = driver.relu_q7(np.ones(3, np.int8))
NORMALIZE = driver.normalize_u8_s8(np.ones(6, np.uint8), np.ones(3, np.uint8), 1)
STANDARDIZE = driver.standardize_u8_s8(np.ones(6, np.uint8), 4)
LOOKUP = driver.lookup_s8(np.ones(6, np.int8), np.ones(256, np.int8))
LOOKUP_U8 = driver.lookup_u8_s8(np.ones(6, np.uint8), np.ones((3, 256), np.int8))
REQUANTIZE = driver.requantize_s8(
    np.ones((3, 2), np.int8),
    input_offset=3,
    multiplier=2**30,
    shift=1,
    output_offset=-4,
    channels=5,
    first=2,
)
MEAN = driver.mean_s8(
    np.ones((2, 3, 4), np.int8),
    input_offset=3,
    multiplier=2**30,
    shift=-1,
    output_offset=-4,
)
COPY = driver.copy_s8(np.ones(24, np.int8), 1, (1, 2, 3, 2), (0, 12, 4, 2))
RESIZE = driver.resize_nearest_s8(
    np.ones((2, 3, 4), np.int8), np.int16([0, 1, 1]), np.int16([2, 0])
)
TRANSPOSE_CONV = driver.transpose_conv_s8(
    np.ones((3, 4, 2), np.int8),
    np.ones((5, 3, 2, 2), np.int8),
    np.ones(5, np.int32),
    np.full(5, 2**30, np.int32),
    np.zeros(5, np.int32),
    output=(6, 8),
    stride=(2, 2),
    padding=(1, 0),
)
ONES = np.ones(6, np.int8)
ADD = driver.elementwise_add_s8(
    ONES, ONES, (1, 2**30, 0), (2, 2**30, -1), (3, 2**30, -19)
)
MUL = driver.elementwise_mul_s8(ONES, ONES, input_offsets=(1, 2), output=(3, 2**30, -1))
BLOCKS = (2, 3, 1)
KANJI_ADD = driver.add_s8(
    ONES,
    ONES[:3],
    BLOCKS,
    (1, 1, 2**30, 0),
    (-1, 2, 2**30, -1),
    (3, 2**30, -19),
)
KANJI_MUL = driver.mul_s8(
    ONES, ONES[:3], BLOCKS, input_offsets=(1, 2), output=(3, 2**30, -1)
)
EXTREMA = tuple(
    driver.extremum_s8(f"kanji_{name}_s8", ONES, ONES[:3], BLOCKS)
    for name in ("minimum", "maximum")
)
ARM_EXTREMA = tuple(
    driver.arm_extremum_s8(f"arm_{name}_s8", X, X) for name in ("minimum", "maximum")
)
CONCATENATION = driver.concatenation_s8_x(X, channels=5, first=2)
PAD = driver.pad_s8(X, (0, 1, 2, 0), (0, 2, 1, 0), -7)

DIMS = [
    f"{tensor}.{axis}" for tensor in ("input", "filter", "output") for axis in "nhwc"
]
ACTIVATION = ["act_min", "act_max"]
STRIDE_PADDING = ["stride.w", "stride.h", "padding.w", "padding.h"]
WINDOWS = [*STRIDE_PADDING, "dilation.w", "dilation.h", *ACTIVATION]
SOFTMAX_NAMES = ["num_rows", "row_size", "mult", "shift", "diff_min"]
#: Integer arguments by name, in the order `runner.c` takes them.
NAMES = {
    "arm_convolve_wrapper_s8": [*DIMS, "input_offset", "output_offset", *WINDOWS],
    "arm_depthwise_conv_wrapper_s8": [
        *DIMS,
        "input_offset",
        "output_offset",
        "ch_mult",
        *WINDOWS,
    ],
    "arm_fully_connected_s8": [
        *DIMS,
        "input_offset",
        "filter_offset",
        "output_offset",
        *ACTIVATION,
        "multiplier",
        "shift",
    ],
    "arm_fully_connected_per_channel_s8": [
        *DIMS,
        "input_offset",
        "filter_offset",
        "output_offset",
        *ACTIVATION,
    ],
    "arm_max_pool_s8": [*DIMS, *STRIDE_PADDING, *ACTIVATION],
    "arm_avgpool_s8": [*DIMS, *STRIDE_PADDING, *ACTIVATION],
    "arm_softmax_s8": SOFTMAX_NAMES,
    "kanji_softmax_s8": SOFTMAX_NAMES,
    "arm_relu_q7": ["size"],
    "kanji_normalize_u8_s8": ["size", "mean_size", "shift", "in_place"],
    "kanji_standardize_u8_s8": ["size", "frac_bits", "in_place"],
    "kanji_lookup_s8": ["size", "in_place"],
    "kanji_lookup_u8_s8": ["size", "table_count", "in_place"],
    "kanji_requantize_s8": [
        "rows",
        "row_size",
        "input_offset",
        "multiplier",
        "shift",
        "output_offset",
        "output_row_size",
        "first",
    ],
    "kanji_mean_s8": [
        "outer",
        "count",
        "inner",
        "input_offset",
        "multiplier",
        "shift",
        "output_offset",
    ],
    "kanji_resize_nearest_s8": [
        "height",
        "width",
        "channels",
        "output_height",
        "output_width",
    ],
    "kanji_transpose_conv_s8": [
        "input_offset",
        "output_offset",
        "act_min",
        "act_max",
        "roundings",
        "stride.h",
        "stride.w",
        "padding.h",
        "padding.w",
        *DIMS,
    ],
    "kanji_copy_s8": [
        "input_size",
        "first",
        *(f"{t}.{a}" for t in ("extents", "steps") for a in "nhwc"),
    ],
    "arm_elementwise_add_s8": [
        "input_1_offset",
        "input_1_mult",
        "input_1_shift",
        "input_2_offset",
        "input_2_mult",
        "input_2_shift",
        "left_shift",
        "output_offset",
        "multiplier",
        "shift",
        *ACTIVATION,
        "block_size",
    ],
    "arm_elementwise_mul_s8": [
        "input_1_offset",
        "input_2_offset",
        "output_offset",
        "multiplier",
        "shift",
        *ACTIVATION,
        "block_size",
    ],
    "arm_concatenation_s8_x": [
        "input_x",
        "input_y",
        "input_z",
        "input_w",
        "output_x",
        "offset_x",
    ],
    "arm_pad_s8": [
        *(f"{t}.{a}" for t in ("input", "before", "after") for a in "nhwc"),
        "value",
    ],
}
BLOCK_NAMES = ["outer", "size", "inner"]
NAMES["kanji_add_s8"] = [
    *(
        f"input_{k}_{what}"
        for k in (1, 2)
        for what in ("sign", "offset", "mult", "shift")
    ),
    "left_shift",
    "output_offset",
    "multiplier",
    "shift",
    *ACTIVATION,
    "rounds_once",
    *BLOCK_NAMES,
]
NAMES["kanji_mul_s8"] = [
    "input_1_offset",
    "input_2_offset",
    "output_offset",
    "multiplier",
    "shift",
    *ACTIVATION,
    "rounds_once",
    *BLOCK_NAMES,
]
NAMES |= {call.function: [*BLOCK_NAMES, "has_tables"] for call in EXTREMA}
NAMES |= {
    call.function: [
        f"{tensor}.{axis}"
        for tensor in ("input_1", "input_2", "output")
        for axis in "nhwc"
    ]
    for call in ARM_EXTREMA
}
NAMES["arm_fully_connected_wrapper_s8"] = [*NAMES[PER_CHANNEL.function], "per_channel"]
NAMES["arm_vector_sum_s8"] = ["columns", "rows", "lhs_offset", "rhs_offset"]
NAMES |= {
    call.function: NAMES[
        (DEPTHWISE if "depthwise" in call.function else CONVOLVE).function
    ]
    for call in BY_NAME
}
NAMES |= {
    name.replace("_s8", "_s4"): NAMES[name]
    for name in (CONVOLVE.function, DEPTHWISE.function, FULLY_CONNECTED.function)
}

POSITIVE = (0, -1, INT32_MIN, INT32_MAX)
SPATIAL = (*POSITIVE, 32_768)
PADDING = (-1, 32_768, INT32_MAX)
OFFSETS = {
    "input_offset": (-128, 129, INT32_MIN),
    "output_offset": (-32_769, 32_768, INT32_MIN),
}
LIMITS = {"act_min": (-129, 128), "act_max": (-129, 128)}
SCALE = {"multiplier": (-1, INT32_MIN), "shift": (-32, 31)}
JOIN_REFUSED = {
    "input_1_offset": OFFSETS["input_offset"],
    "input_2_offset": OFFSETS["input_offset"],
    "output_offset": OFFSETS["output_offset"],
    **SCALE,
    **LIMITS,
    "block_size": (0, -1, INT32_MIN),
}
BLOCKS_REFUSED = dict.fromkeys(BLOCK_NAMES, POSITIVE)
PAIR_REFUSED = {
    **dict.fromkeys(
        ("input_1_offset", "input_2_offset", "output_offset"), (-129, 129, INT32_MIN)
    ),
    **LIMITS,
    **BLOCKS_REFUSED,
}
SOFTMAX_REFUSED = {
    "num_rows": POSITIVE,
    "row_size": POSITIVE,
    "mult": (-1,),
    "shift": (-1, 32),
}
POOL_REFUSED = {
    "input.n": POSITIVE,
    **dict.fromkeys(("input.h", "input.w"), SPATIAL),
    "input.c": POSITIVE,
    **dict.fromkeys(("filter.h", "filter.w"), SPATIAL),
    # A third window would begin at 4, past the input of 3.
    **dict.fromkeys(("output.h", "output.w"), (*SPATIAL, 3)),
    **dict.fromkeys(("stride.h", "stride.w"), (*SPATIAL, 3)),
    # The first window would end before the input.
    **dict.fromkeys(("padding.h", "padding.w"), (*PADDING, 2)),
    **LIMITS,
}
INT4_REFUSED = {
    **dict.fromkeys(("input.n", "input.c", "output.c"), POSITIVE),
    **dict.fromkeys(
        [f"{t}.{a}" for t in ("input", "filter", "output") for a in "hw"],
        SPATIAL,
    ),
    **dict.fromkeys(
        [f"{p}.{a}" for p in ("stride", "dilation") for a in "hw"], SPATIAL
    ),
    **dict.fromkeys(("padding.h", "padding.w"), PADDING),
    **OFFSETS,
    **LIMITS,
}
#: A filter for int8 weights tells how many channels it sees, a divisor of all.
CONV_REFUSED = {
    **INT4_REFUSED,
    **dict.fromkeys(("input.c", "filter.c"), (*POSITIVE, 3)),
}
DW_REFUSED = {
    **INT4_REFUSED,
    **dict.fromkeys(("input.c", "output.c", "ch_mult"), (*POSITIVE, 3)),
}
FC_INT4_REFUSED = {
    **dict.fromkeys(("input.n", "filter.n", "output.c"), POSITIVE),
    **OFFSETS,
    **LIMITS,
}
PER_CHANNEL_REFUSED = {**FC_INT4_REFUSED, "filter_offset": (-128, 129, INT32_MIN)}
FC_REFUSED = {**PER_CHANNEL_REFUSED, **SCALE}
#: Values of one argument, each of which must be refused.
REFUSED = [
    (CONVOLVE, CONV_REFUSED),
    (int4(CONVOLVE), INT4_REFUSED),
    (DEPTHWISE, DW_REFUSED),
    (int4(DEPTHWISE), DW_REFUSED),
    (FULLY_CONNECTED, FC_REFUSED),
    (int4(FULLY_CONNECTED), {**FC_INT4_REFUSED, **SCALE}),
    (PER_CHANNEL, PER_CHANNEL_REFUSED),
    (WRAPPED, PER_CHANNEL_REFUSED),
    (
        VECTOR_SUM,
        {
            "columns": (*POSITIVE, 65_536),
            "rows": POSITIVE,
            **dict.fromkeys(("lhs_offset", "rhs_offset"), (-128, 129, INT32_MIN)),
        },
    ),
    (CONV_1X1, {"padding.h": (1, -1), "padding.w": (1, -1)}),
    (
        CONV_1X1_FAST,
        dict.fromkeys(("padding.h", "padding.w", "stride.h", "stride.w"), (-1, 2)),
    ),
    (CONV_1XN, {"input.h": (2,), "dilation.w": (0, 2), "input.c": (2, 3)}),
    (DW_OPT, {"input.c": (1, 3), "output.c": (1, 4)}),
    (
        DW_3X3,
        {
            "input.c": (1, 3),
            "output.c": (1, 4),
            "filter.h": (2, 4),
            "filter.w": (2, 4),
            "padding.w": (2,),
        },
    ),
    (int4(CONV_1X1), {"padding.h": (1, -1), "padding.w": (1, -1)}),
    (int4(CONV_1XN), {"input.h": (2,), "dilation.w": (0, 2), "input.c": (2, 3)}),
    (int4(DW_OPT), {"input.c": (1, 3), "output.c": (1, 4)}),
    (MAX_POOL, POOL_REFUSED),
    (AVGPOOL, POOL_REFUSED),
    (SOFTMAX, SOFTMAX_REFUSED),
    (OWN_SOFTMAX, SOFTMAX_REFUSED),
    (
        NORMALIZE,
        {"size": (0, -6, 7), "mean_size": (0, -3, 4, 7), "shift": (-1, 8)},
    ),
    (STANDARDIZE, {"size": (0, -1, 2**20 + 1), "frac_bits": (-1, 8)}),
    (LOOKUP, {"size": POSITIVE[:3]}),
    (LOOKUP_U8, {"size": (0, -6, 7), "table_count": (0, -3, 4)}),
    (
        REQUANTIZE,
        {
            "rows": (0, -1, INT32_MIN, 2**30),
            "row_size": (*POSITIVE, 4),
            **OFFSETS,
            **SCALE,
            "output_row_size": (*POSITIVE, 3),
            "first": (-1, 4, INT32_MIN, INT32_MAX),
        },
    ),
    (
        MEAN,
        {
            **dict.fromkeys(("outer", "count", "inner"), POSITIVE),
            "input_offset": OFFSETS["input_offset"],
            "multiplier": SCALE["multiplier"],
            "shift": (-32, 22, INT32_MIN),
            "output_offset": (-129, 128),
        },
    ),
    (
        RESIZE,
        {
            **dict.fromkeys(("output_height", "output_width"), (0, -1, INT32_MIN)),
            "height": (0, 1, -1, INT32_MIN),
            "width": (0, 2, -1, INT32_MIN),
            "channels": POSITIVE,
        },
    ),
    (
        TRANSPOSE_CONV,
        {
            "input_offset": OFFSETS["input_offset"],
            "output_offset": (-129, 128),
            **LIMITS,
            "roundings": (0, 3),
            **dict.fromkeys(("stride.h", "stride.w"), SPATIAL),
            "padding.h": (-1, 3, INT32_MAX),
            "padding.w": (-1, 2, INT32_MAX),
            **dict.fromkeys(("input.n", "output.n"), (0, 2, -1)),
            **dict.fromkeys(("input.h", "input.w"), SPATIAL),
            **dict.fromkeys(("output.h", "output.w"), SPATIAL),
            "filter.h": (*SPATIAL, 32_767),  # too many products
            "filter.w": (*SPATIAL, 32_767),
            **dict.fromkeys(("input.c", "filter.c"), (*POSITIVE, 3)),
            **dict.fromkeys(("filter.n", "output.c"), (*POSITIVE, 4)),
        },
    ),
    (
        COPY,
        {
            "input_size": (0, -1, 22, INT32_MIN),  # it reads the last but one of 24
            "first": (-1, 3, INT32_MIN, INT32_MAX),
            **dict.fromkeys((f"extents.{a}" for a in "hwc"), (*POSITIVE, 5)),
            "extents.n": (0, -1, INT32_MIN),
            **dict.fromkeys((f"steps.{a}" for a in "hwc"), (-1, 15, INT32_MAX)),
            "steps.n": (-1, INT32_MIN),
        },
    ),
    (
        ADD,
        {
            **JOIN_REFUSED,
            **dict.fromkeys(("input_1_mult", "input_2_mult"), SCALE["multiplier"]),
            **dict.fromkeys(("input_1_shift", "input_2_shift"), SCALE["shift"]),
            "left_shift": (-1, 15, 24),
        },
    ),
    (MUL, JOIN_REFUSED),
    (
        KANJI_ADD,
        {
            **PAIR_REFUSED,
            **dict.fromkeys(("input_1_sign", "input_2_sign"), (0, 2, -2)),
            **dict.fromkeys(
                ("input_1_mult", "input_2_mult", "multiplier"), SCALE["multiplier"]
            ),
            **dict.fromkeys(("input_1_shift", "input_2_shift", "shift"), (-32, 1)),
            "left_shift": (-1, 15, 23),
        },
    ),
    (KANJI_MUL, {**PAIR_REFUSED, **SCALE, "shift": (-32, 15)}),
    *((call, BLOCKS_REFUSED) for call in EXTREMA),
    *((call, dict.fromkeys(NAMES[call.function], POSITIVE)) for call in ARM_EXTREMA),
    (
        CONCATENATION,
        {
            "input_x": (0, 4),
            **dict.fromkeys(("input_y", "input_z", "input_w"), (0,)),
            "output_x": (0, 3),
            "offset_x": (4, INT32_MAX, -1),
        },
    ),
    (
        PAD,
        {
            **dict.fromkeys([f"input.{a}" for a in "nhwc"], SPATIAL),
            **dict.fromkeys(
                [f"{side}.{a}" for side in ("before", "after") for a in "nhwc"],
                PADDING,
            ),
        },
    ),
]
CONV_POINTERS = (1, 2, 3, 4, 5, 6, 7, 8, 11, 12), (0, 9, 10)
FC_POINTERS = (1, 2, 3, 4, 5, 6, 9, 10), (0, 7, 8)
#: Pointers that must not be NULL, and those that may be.
POINTERS = [
    (CONVOLVE, *CONV_POINTERS),
    (int4(CONVOLVE), *CONV_POINTERS),
    (DEPTHWISE, *CONV_POINTERS),
    (int4(DEPTHWISE), *CONV_POINTERS),
    (FULLY_CONNECTED, *FC_POINTERS),
    (int4(FULLY_CONNECTED), *FC_POINTERS),
    (PER_CHANNEL, (*FC_POINTERS[0], 11, 12), FC_POINTERS[1]),
    (WRAPPED, (*FC_POINTERS[0], 11, 12), FC_POINTERS[1]),
    (VECTOR_SUM, (0, 1), (2,)),
    (MAX_POOL, (1, 2, 3, 4, 5, 6), (0,)),
    (AVGPOOL, (1, 2, 3, 4, 5, 6), (0,)),
    (SOFTMAX, (0, 1), ()),
    (OWN_SOFTMAX, (0, 1), ()),
    (NORMALIZE, (0, 1, 2), ()),
    (STANDARDIZE, (0, 1), ()),
    (LOOKUP, (0, 1, 2), ()),
    (LOOKUP_U8, (0, 1, 2), ()),
    (REQUANTIZE, (0, 1), ()),
    (MEAN, (0, 1), ()),
    (COPY, (0, 1, 2, 3), ()),
    (RESIZE, (0, 1, 2, 3), ()),
    (TRANSPOSE_CONV, tuple(range(10)), ()),
    (ADD, (0, 1, 2), ()),
    (MUL, (0, 1, 2), ()),
    (KANJI_ADD, (0, 1, 2, 3, 4), ()),
    (KANJI_MUL, (0, 1, 2, 3, 4), ()),
    *((call, (0, 1, 2, 3), ()) for call in EXTREMA),
    *((call, (0, 1, 2, 3, 4, 5), ()) for call in ARM_EXTREMA),
    (CONCATENATION, (0, 1), ()),
    (PAD, (0, 1, 2, 3, 4), ()),
    # 1x1 kernels read no filter dims.
    *((call, *CONV_POINTERS) for call in BY_NAME if "1x1" not in call.function),
    *(
        (call, tuple(i for i in CONV_POINTERS[0] if i != 7), (*CONV_POINTERS[1], 7))
        for call in BY_NAME
        if "1x1" in call.function
    ),
]
UNREAD_N = ("filter.n", "output.n")
UNREAD_1X1 = [f"filter.{a}" for a in "nhwc"] + ["dilation.h", "dilation.w", "output.n"]
UNREAD_SHAPE = [f"{t}.{a}" for t in ("input", "filter", "output") for a in "hw"]
UNREAD_FC = [*UNREAD_SHAPE, "input.c", "filter.c", "output.n"]
ONE_IMAGE = (*UNREAD_N, "filter.c", "input.n", "ch_mult", "dilation.h", "dilation.w")
#: What CMSIS-NN does not read, so that programs leave it unset.
UNREAD = [
    (CONVOLVE, UNREAD_N),
    (int4(CONVOLVE), (*UNREAD_N, "filter.c")),
    (DEPTHWISE, (*UNREAD_N, "filter.c")),
    (int4(DEPTHWISE), (*UNREAD_N, "filter.c")),
    # One tap has none to be apart from.
    (POINTWISE, (*UNREAD_N, "dilation.h", "dilation.w")),
    (ROW, (*UNREAD_N, "dilation.h")),
    (FULLY_CONNECTED, UNREAD_FC),
    (int4(FULLY_CONNECTED), (*UNREAD_FC, "filter_offset")),
    (PER_CHANNEL, UNREAD_FC),
    (MAX_POOL, (*UNREAD_N, "filter.c", "output.c")),
    (AVGPOOL, (*UNREAD_N, "filter.c", "output.c")),
    (GENERAL_CONV, UNREAD_N),
    (CONV_1X1, UNREAD_1X1),
    (CONV_1X1_FAST, (*UNREAD_1X1, "output.h", "output.w")),
    (int4(CONV_1X1), UNREAD_1X1),
    (int4(CONV_1X1_FAST), (*UNREAD_1X1, "output.h", "output.w")),
    (GENERAL_DW, (*UNREAD_N, "filter.c")),
    (DW_3X3, ONE_IMAGE),
    (int4(DW_OPT), ONE_IMAGE),
]
VOID = ("arm_softmax_s8", "arm_concatenation_s8_x")


with_argument = functools.partial(reference.with_argument, NAMES)


def run(*calls: Call):
    return build_runner(RUNNER).run(calls)


def assert_refused(calls):
    for call, result in zip(calls, run(*calls), strict=True):
        if call.function not in VOID:
            assert result.status == ARG_ERROR, call
        assert np.all(result.output == UNTOUCHED), call


@pytest.mark.parametrize(
    "call", [call for call, *_ in POINTERS], ids=lambda c: c.function
)
def test_base_calls_are_accepted(call):
    (result,) = run(call)
    assert result.status == 0
    assert not np.all(result.output == UNTOUCHED)
    assert len(call.ints) == len(NAMES[call.function])


def test_arguments_out_of_range_are_refused():
    calls = [
        with_argument(call, name, value)
        for call, values in REFUSED
        for name in values
        for value in values[name]
    ]
    assert len(calls) > 200
    assert_refused(calls)


@pytest.mark.parametrize(
    "call", (CONVOLVE, DEPTHWISE, PER_CHANNEL), ids=lambda c: c.function
)
@pytest.mark.parametrize(("position", "values"), ((3, (-1, INT32_MIN)), (4, (-32, 31))))
def test_scale_of_any_channel_out_of_range_is_refused(call, position, values):
    calls = []
    for value in values:
        for channel in range(len(call.arrays[position])):
            arrays = list(call.arrays)
            arrays[position] = arrays[position].copy()
            arrays[position][channel] = value
            calls.append(replace(call, arrays=tuple(arrays)))
    assert_refused(calls)


def test_one_product_too_many_is_refused():
    wide = {"input.c": 65_536, "filter.n": 65_536}
    fully_connected = FULLY_CONNECTED
    for name, value in wide.items():
        fully_connected = with_argument(fully_connected, name, value)
    convolve = CONVOLVE
    for name, value in {"input.c": 16_384, "filter.c": 16_384}.items():
        convolve = with_argument(convolve, name, value)  # 2 * 2 * 16,384 products
    depthwise = DEPTHWISE
    for name in ("filter.h", "filter.w"):
        depthwise = with_argument(depthwise, name, 256)
    calls = [fully_connected, convolve, depthwise]
    assert_refused([*calls, *map(int4, calls)])


def test_average_over_too_many_elements_is_refused():
    call = AVGPOOL
    for name, value in {"input.h": 4096, "input.w": 2049}.items():
        call = with_argument(call, name, value)
    assert_refused([call])


def test_null_pointers_are_refused_except_where_allowed():
    for call, required, optional in POINTERS:
        assert_refused([replace(call, null_mask=1 << bit) for bit in required])
        allowed = [replace(call, null_mask=1 << bit) for bit in optional]
        assert [result.status for result in run(*allowed)] == [0] * len(allowed)


def test_what_the_library_does_not_read_is_not_read():
    for call, names in UNREAD:
        plain, *others = run(
            call,
            *(
                with_argument(call, name, value)
                for name in names
                for value in (0, 1, 7, -1, INT32_MIN, INT32_MAX)
            ),
        )
        for other in others:
            assert other.status == 0, (call.function, names)
            np.testing.assert_array_equal(other.output, plain.output)


def test_transposed_convolution_is_refused():
    (plain,) = run(GENERAL_CONV)
    for upscale in ((0, 0), (1, 1), (3, 1)):
        (result,) = run(driver.upscaled(GENERAL_CONV, upscale))
        assert result.status == 0
        np.testing.assert_array_equal(result.output, plain.output)
    assert_refused([driver.upscaled(GENERAL_CONV, u) for u in ((2, 1), (1, 2), (2, 2))])


def test_groups_share_the_filters_evenly():
    call = with_argument(CONVOLVE, "filter.c", 1)
    assert [result.status for result in run(call)] == [0]
    assert_refused([with_argument(call, "output.c", 3)])


def test_a_filter_offset_halves_the_longest_sum():
    calls = [
        with_argument(call, "filter_offset", 1)
        for call in (FULLY_CONNECTED, PER_CHANNEL)
    ]
    assert [result.status for result in run(*calls)] == [0, 0]
    assert_refused([with_argument(call, "filter.n", 32_768) for call in calls])


def test_relu_ignores_null():
    run(replace(RELU, null_mask=1))


# -------------------------------------------------------------------------- scratch

CORES = ("c", "dsp", "mve")


def sizes(of, *args, **kwargs):
    """Scratch [bytes] for each of CORES."""
    calls = [of(*args, core=core, **kwargs) for core in CORES]
    return tuple(result.status for result in run(*calls))


@pytest.mark.parametrize(
    ("x", "kernel", "y", "options", "expected"),
    (
        # Seen on M4 and M55: 3,200 bytes on both; 304 and 320.
        ((16, 16, 32), (5, 5), (16, 16, 32), {"padding": (2, 2)}, (3200, 3200, 3200)),
        ((32, 32, 3), (5, 5), (32, 32, 32), {"padding": (2, 2)}, (304, 304, 320)),
        # 1x1: Arm Compiler 6 takes two int16 columns on DSP cores at stride 1.
        ((8, 8, 24), (1, 1), (8, 8, 4), {}, (0, 96, 0)),
        ((8, 8, 24), (1, 1), (4, 4, 4), {"stride": (2, 2)}, (0, 0, 0)),
        # 1x1, but not for the special kernel: padded, dilated.
        ((8, 8, 24), (1, 1), (10, 10, 4), {"padding": (1, 1)}, (96, 96, 128)),
        ((8, 8, 24), (1, 1), (8, 8, 4), {"dilation": (2, 1)}, (96, 96, 128)),
        # 1xN: the windows of Helium's kernel that reach into the padding.
        ((1, 20, 4), (1, 5), (1, 16, 2), {}, (80, 80, 20)),
        ((1, 20, 4), (1, 5), (1, 20, 2), {"padding": (0, 2)}, (80, 80, 28)),
        ((1, 20, 4), (1, 4), (1, 20, 2), {"padding": (0, 1)}, (64, 64, 20)),
        # ... unless the row has fewer windows, or stride * channels is not 4 a step.
        ((1, 3, 4), (1, 5), (1, 3, 2), {"padding": (0, 2)}, (80, 80, 128)),
        ((1, 20, 3), (1, 5), (1, 16, 2), {}, (64, 64, 64)),
        ((1, 20, 4), (1, 5), (1, 12, 2), {"dilation": (1, 2)}, (80, 80, 128)),
    ),
)
def test_scratch_of_convolution(x, kernel, y, options, expected):
    shapes = (1, *x), (y[2], *kernel, x[2]), (1, *y)
    get_size = driver.convolve_wrapper_s8_get_buffer_size
    assert sizes(get_size, *shapes, **options) == expected


@pytest.mark.parametrize(
    ("x", "kernel", "y", "options", "expected"),
    (
        # One int16 window on DSP cores, four int8 windows of 124 channels on MVE cores.
        ((9, 9, 20), (3, 5), (7, 5, 20), {}, (0, 600, 7440)),
        ((9, 9, 20), (3, 3), (9, 9, 20), {"padding": (1, 1)}, (0, 0, 4464)),
        ((9, 9, 20), (3, 3), (9, 9, 20), {"padding": (2, 1)}, (0, 360, 4464)),
        # The general kernel: multipliers, dilation.
        ((9, 9, 20), (3, 5), (7, 5, 40), {}, (0, 0, 0)),
        ((9, 9, 20), (3, 3), (9, 5, 20), {"dilation": (1, 2)}, (0, 0, 0)),
        # One channel: on MVE cores a convolution, and a copy of the weights.
        ((9, 9, 1), (3, 3), (7, 7, 1), {}, (0, 0, 4464)),
        ((9, 9, 1), (3, 3), (7, 7, 5), {}, (0, 0, 64 + 45)),
        ((9, 9, 1), (3, 3), (7, 5, 5), {"dilation": (1, 2)}, (0, 0, 64 + 45)),
        ((1, 20, 1), (1, 5), (1, 4, 3), {"stride": (1, 4)}, (0, 0, 5 + 15)),
        ((9, 9, 1), (1, 1), (9, 9, 3), {}, (0, 0, 3)),
    ),
)
def test_scratch_of_depthwise_convolution(x, kernel, y, options, expected):
    shapes = (1, *x), (1, *kernel, y[2]), (1, *y)
    get_size = driver.depthwise_conv_wrapper_s8_get_buffer_size
    assert sizes(get_size, *shapes, **options) == expected


@pytest.mark.parametrize(
    ("x", "kernel", "y", "options", "expected"),
    (
        ((16, 16, 32), (5, 5), (16, 16, 32), {"padding": (2, 2)}, (3200, 3200, 3200)),
        ((32, 32, 3), (5, 5), (32, 32, 32), {"padding": (2, 2)}, (300, 300, 320)),
        ((8, 8, 24), (1, 1), (8, 8, 4), {}, (0, 0, 0)),
        ((8, 8, 24), (1, 1), (10, 10, 4), {"padding": (1, 1)}, (96, 96, 128)),
        # 1xN: Helium's kernel copies nothing, unless the row has too few windows.
        ((1, 20, 4), (1, 5), (1, 20, 2), {"padding": (0, 2)}, (80, 80, 0)),
        ((1, 3, 4), (1, 5), (1, 3, 2), {"padding": (0, 2)}, (80, 80, 128)),
    ),
)
def test_scratch_of_convolution_of_int4(x, kernel, y, options, expected):
    shapes = (1, *x), (y[2], *kernel, x[2]), (1, *y)
    get_size = in_int4(driver.convolve_wrapper_s8_get_buffer_size)
    assert sizes(get_size, *shapes, **options) == expected


@pytest.mark.parametrize(
    ("x", "kernel", "y", "expected"),
    (
        ((1, 9, 9, 20), (3, 3), (1, 7, 7, 20), (360, 360, 4464)),
        ((1, 9, 9, 20), (3, 5), (1, 7, 5, 40), (0, 0, 0)),
        ((1, 9, 9, 1), (3, 3), (1, 7, 7, 5), (0, 0, 0)),
        ((2, 9, 9, 20), (3, 5), (2, 7, 5, 20), (0, 0, 0)),
    ),
)
def test_scratch_of_depthwise_convolution_of_int4(x, kernel, y, expected):
    get_size = in_int4(driver.depthwise_conv_wrapper_s8_get_buffer_size)
    assert sizes(get_size, x, (1, *kernel, y[3]), y) == expected


def in_int4(get_size):
    return lambda *args, **kwargs: int4(get_size(*args, **kwargs))


def test_scratch_of_depthwise_convolution_of_a_batch():
    """The library takes its general kernel."""
    shapes = (2, 9, 9, 20), (1, 3, 5, 20), (2, 7, 5, 20)
    get_size = driver.depthwise_conv_wrapper_s8_get_buffer_size
    assert sizes(get_size, *shapes) == (0, 0, 0)


def test_scratch_that_no_tensor_holds_is_negative():
    shapes = (1, 1, 1, 2**15), (1, 255, 255, 2**15), (1, 1, 1, 2**15)
    get_size = driver.depthwise_conv_wrapper_s8_get_buffer_size
    assert sizes(get_size, *shapes) == (0, ARG_ERROR, 4 * 124 * 255 * 255)


def test_scratch_of_fully_connected():
    get_size = driver.fully_connected_s8_get_buffer_size
    assert sizes(get_size, 10, 1024) == (0, 0, 40)
    assert sizes(get_size, 2**30, 1)[2] == ARG_ERROR


def test_scratch_of_average_pool():
    get_size = driver.avgpool_s8_get_buffer_size
    assert sizes(get_size, 8, 64) == (0, 256, 0)
    for channels in (0, -1, 2**29):
        assert sizes(get_size, 8, channels) == (ARG_ERROR,) * 3


def test_scratch_of_what_a_convolution_refuses_is_negative():
    shapes = (1, 8, 8, 4), (2, 3, 3, 3), (1, 6, 6, 2)
    get_size = driver.convolve_wrapper_s8_get_buffer_size
    assert sizes(get_size, *shapes) == (ARG_ERROR,) * 3
    shapes = (1, 8, 8, 4), (2, 0, 3, 4), (1, 6, 6, 2)
    assert sizes(in_int4(get_size), *shapes) == (ARG_ERROR,) * 3
    shapes = (1, 8, 8, 4), (1, 3, 3, 6), (1, 6, 6, 6)
    get_size = driver.depthwise_conv_wrapper_s8_get_buffer_size
    assert sizes(get_size, *shapes) == (ARG_ERROR,) * 3
    assert sizes(in_int4(get_size), *shapes) == (ARG_ERROR,) * 3


def test_scratch_of_grouped_convolution_is_that_of_all_channels():
    """The library's general kernel computes it, 1x1 or in one row too."""
    get_size = driver.convolve_wrapper_s8_get_buffer_size
    for kernel, expected in (((3, 3), (288, 288, 320)), ((1, 1), (32, 32, 64))):
        shapes = (1, 9, 9, 8), (4, *kernel, 2), (1, 7, 7, 4)
        assert sizes(get_size, *shapes) == expected
    shapes = (1, 1, 9, 8), (4, 1, 3, 2), (1, 1, 7, 4)
    assert sizes(get_size, *shapes) == (96, 96, 128)


@pytest.mark.parametrize(
    ("kernel", "shapes", "expected"),
    (
        # Two windows of int16, those of int8 weights a multiple of four long.
        ("arm_convolve_s8", ((9, 9, 3), (3, 3)), 112),
        ("arm_convolve_s4", ((9, 9, 3), (3, 3)), 108),
        ("arm_convolve_1_x_n_s8", ((1, 9, 3), (1, 3)), 48),
        ("arm_convolve_1_x_n_s4", ((1, 9, 3), (1, 3)), 36),
        ("arm_convolve_1x1_s8_fast", ((9, 9, 3), (1, 1)), 0),
        ("arm_convolve_1x1_s4_fast", ((9, 9, 3), (1, 1)), 0),
        # One of int16 where int4 weights are unpacked.
        ("arm_depthwise_conv_s8_opt", ((9, 9, 3), (3, 3)), 0),
        ("arm_depthwise_conv_s4_opt", ((9, 9, 3), (3, 3)), 54),
    ),
)
def test_scratch_of_kernels_by_name(kernel, shapes, expected):
    (h, w, c), (kh, kw) = shapes
    call = driver.convolve_wrapper_s8_get_buffer_size(
        (1, h, w, c), (5, kh, kw, c), (1, h, w, 5), core="c"
    )
    call = driver.named(call, f"{kernel}_get_buffer_size")
    assert [result.status for result in run(call)] == [expected]
    refused = [replace(call, ints=(1, h, w, v, *call.ints[4:])) for v in (0, 2**30)]
    if expected > 0:
        refused += [replace(call, null_mask=1 << bit) for bit in (1, 2)]
        assert_refused(refused)
