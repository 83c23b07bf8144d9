"""The register kernels under convolution, written in LLVM's vector types.

A vector here is 16 numbers, which every CPU has an answer to: one AVX-512 register, two
of AVX2, four of NEON. Kernels take float32 or float64 by the pointers they get.

`tile_8x1` and `tile_8x2` keep a block of 8 rows by 16 or 32 columns of sums in
registers while they walk down the columns of both factors:

    c[r, j] += sum over s, k of a[r * row_stride + s * segment_stride + k] * b[s, k, j]

The left factor need not be a matrix: the windows of a convolution are read where they
lie in the padded image, neighbouring pixels `row_stride` apart, the rows of a kernel
`segment_stride` apart. Nothing is gathered first.

`add_rows` adds weighted rows to a row, ``out += sum over n of weight[n] * row[n]``, the
rows given by their offsets. Gradients behind a ReLU and a max pool are mostly zero, and
this takes only the ones that are not.

Integer-valued float32 factors give exact sums below 2^24. Where the CPU has an
instruction for four products of uint8 and int8 and their sum (`products`), the tile
kernels take those too, into int32: then a column is four numbers of a row, `b` holds
the four of each output side by side, strides still count single numbers, and sums are
exact modulo 2^32.

`twice` and `once` make int8 outputs of int32 sums, in two roundings or in one.

Numba's cache does not notice a change in this file: delete `__pycache__` after one.
"""

from __future__ import annotations

import os
from functools import cache

from llvmlite import binding, ir
from numba import types as nb
from numba.extending import intrinsic

from kanji_np.errors import OptionError

LANES = 16
TILE_ROWS = 8
QUAD = 4  # products that one dot instruction adds up

#: Ways to multiply integers, the fastest first, and what the CPU must have for each.
PRODUCTS = {"vnni": ("avx512f", "avx512vnni"), "float32": ()}
PRODUCTS_VARIABLE = "KANJI_NP_PRODUCTS"


@cache
def available_products() -> tuple[str, ...]:
    """Names in `PRODUCTS` that this CPU can do."""
    try:
        features = binding.get_host_cpu_features()
    except RuntimeError:  # llvmlite cannot tell on every platform
        features = {}
    return tuple(
        name
        for name, needed in PRODUCTS.items()
        if all(features.get(feature) for feature in needed)
    )


def products() -> str:
    """The way to multiply integers: the fastest, or what `KANJI_NP_PRODUCTS` names.

    Raises
    ------
    OptionError
        The variable names one that is not known, or that the CPU cannot do.
    """
    wanted = os.environ.get(PRODUCTS_VARIABLE) or available_products()[0]
    if wanted not in available_products():
        raise OptionError(
            f"{PRODUCTS_VARIABLE} must be one of {', '.join(available_products())} on "
            f"this CPU, got {wanted!r}"
        )
    return wanted


I32, I64 = ir.IntType(32), ir.IntType(64)
ELEMENTS = {
    nb.float32: (ir.FloatType(), "f32"),
    nb.float64: (ir.DoubleType(), "f64"),
    nb.int32: (I32, "i32"),
}


@intrinsic
def address(typing, array, offset):
    """Pointer to ``array.ravel()[offset]`` of a contiguous array."""

    def build(context, builder, signature, arguments):
        data = context.make_array(array)(context, builder, arguments[0]).data
        return builder.gep(data, [arguments[1]])

    return nb.CPointer(array.dtype)(array, nb.intp), build


class _Vectors:
    """Loads, stores, broadcasts and fused multiply-adds of 16 numbers at a time."""

    depth = 1  # numbers of a row in a column

    def __init__(self, builder, element):
        scalar, suffix = ELEMENTS[element]
        self.builder = builder
        self.type = ir.VectorType(scalar, LANES)
        self.suffix = suffix
        self.alignment = element.bitwidth // 8

    def at(self, pointer, offset):
        place = self.builder.gep(pointer, [offset])
        return self.builder.bitcast(place, self.type.as_pointer())

    def load(self, pointer, offset):
        value = self.builder.load(self.at(pointer, offset))
        value.align = self.alignment
        return value

    def store(self, value, pointer, offset):
        self.builder.store(value, self.at(pointer, offset)).align = self.alignment

    def splat(self, scalar):
        undefined = ir.Constant(self.type, ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, I32(0))
        lanes = ir.Constant(ir.VectorType(I32, LANES), [0] * LANES)
        return self.builder.shuffle_vector(first, undefined, lanes)

    def broadcast(self, pointer, offset):
        return self.splat(self.builder.load(self.builder.gep(pointer, [offset])))

    def choose(self, relation, a, b):
        """a where it stands in the relation to b, else b."""
        return self.builder.select(self.builder.icmp_signed(relation, a, b), a, b)

    def test(self, relation, a, b):
        """-1 where a stands in the relation to b, else 0."""
        return self.builder.sext(self.builder.icmp_signed(relation, a, b), self.type)

    def weights(self, pointer, vector):
        return self.load(pointer, I64(vector * LANES))

    def multiply_add(self, a, b, c):
        fma = self.builder.module.declare_intrinsic(
            f"llvm.fmuladd.v{LANES}{self.suffix}",
            (),
            ir.FunctionType(self.type, [self.type] * 3),
        )
        return self.builder.call(fma, [a, b, c])


class _Dots(_Vectors):
    """The same of uint8 times int8: sums are int32, a factor is four numbers a lane."""

    depth = QUAD

    def __init__(self, builder):
        self.builder = builder
        self.type = ir.VectorType(I32, LANES)
        self.dot = builder.module.declare_intrinsic(
            "llvm.x86.avx512.vpdpbusd.512",
            (),
            ir.FunctionType(self.type, [self.type] * 3),
        )
        self.alignment = 1

    def broadcast(self, pointer, offset):
        place = self.builder.gep(pointer, [self.builder.mul(offset, I64(QUAD))])
        quad = self.builder.load(self.builder.bitcast(place, I32.as_pointer()))
        quad.align = 1
        return self.splat(quad)

    def weights(self, pointer, vector):
        return self.load(pointer, I64(vector * LANES * QUAD))

    def multiply_add(self, a, b, c):
        return self.builder.call(self.dot, [c, a, b])


def _tile(vectors: int):
    """The tile kernel for blocks of 16 * `vectors` columns."""

    def typed(typing, a, row_stride, segments, segment_stride, columns, b, c):
        n = nb.intp
        return nb.void(a, n, n, n, n, b, c), build

    def build(context, builder, signature, arguments):
        a, row_stride, segments, segment_stride, columns, b, c = arguments
        element = signature.args[0].dtype
        dots = element == nb.uint8
        v = _Dots(builder) if dots else _Vectors(builder, element)
        places = [I64(i * LANES) for i in range(TILE_ROWS * vectors)]
        start = [v.load(c, place) for place in places]

        entry = builder.block
        segment_loop = builder.append_basic_block("segment")
        column_loop = builder.append_basic_block("column")
        segment_end = builder.append_basic_block("segment_end")
        done = builder.append_basic_block("done")
        builder.branch(segment_loop)

        builder.position_at_end(segment_loop)
        segment = builder.phi(I64)
        segment_b = builder.phi(b.type)
        segment_sums = [builder.phi(v.type) for _ in places]
        origin = builder.gep(a, [builder.mul(segment, segment_stride)])
        rows = [
            builder.gep(origin, [builder.mul(row_stride, I64(r))])
            for r in range(TILE_ROWS)
        ]
        builder.branch(column_loop)

        builder.position_at_end(column_loop)
        column = builder.phi(I64)
        column_b = builder.phi(b.type)
        sums = [builder.phi(v.type) for _ in places]
        right = [v.weights(column_b, j) for j in range(vectors)]
        added = []
        for r, row in enumerate(rows):
            left = v.broadcast(row, column)
            for j in range(vectors):
                added.append(v.multiply_add(left, right[j], sums[r * vectors + j]))
        next_column = builder.add(column, I64(1))
        next_b = builder.gep(column_b, [I64(vectors * LANES * v.depth)])
        more = builder.icmp_signed("<", next_column, columns)
        builder.cbranch(more, column_loop, segment_end)

        builder.position_at_end(segment_end)
        next_segment = builder.add(segment, I64(1))
        more = builder.icmp_signed("<", next_segment, segments)
        builder.cbranch(more, segment_loop, done)

        for phi, first, following in [
            (segment, I64(0), next_segment),
            (segment_b, b, next_b),
            *zip(segment_sums, start, added, strict=True),
        ]:
            phi.add_incoming(first, entry)
            phi.add_incoming(following, segment_end)
        for phi, first, following in [
            (column, I64(0), next_column),
            (column_b, segment_b, next_b),
            *zip(sums, segment_sums, added, strict=True),
        ]:
            phi.add_incoming(first, segment_loop)
            phi.add_incoming(following, column_loop)

        builder.position_at_end(done)
        for place, value in zip(places, added, strict=True):
            v.store(value, c, place)
        return context.get_dummy_value()

    return intrinsic(typed)


def _add_rows(vectors: int):
    """``out += sum of weights[n] * rows[offsets[n]:]`` over 16 * `vectors` columns."""

    def typed(typing, out, rows, offsets, weights, count):
        return nb.void(out, rows, offsets, weights, nb.intp), build

    def build(context, builder, signature, arguments):
        out, rows, offsets, weights, count = arguments
        v = _Vectors(builder, signature.args[0].dtype)
        start = [v.load(out, I64(j * LANES)) for j in range(vectors)]
        entry = builder.block
        loop = builder.append_basic_block("row")
        done = builder.append_basic_block("done")
        empty = builder.icmp_signed("<=", count, I64(0))
        builder.cbranch(empty, done, loop)

        builder.position_at_end(loop)
        n = builder.phi(I64)
        sums = [builder.phi(v.type) for _ in range(vectors)]
        offset = builder.load(builder.gep(offsets, [n]))
        row = builder.gep(rows, [offset])
        weight = v.broadcast(weights, n)
        added = [
            v.multiply_add(weight, v.load(row, I64(j * LANES)), sums[j])
            for j in range(vectors)
        ]
        following = builder.add(n, I64(1))
        n.add_incoming(I64(0), entry)
        n.add_incoming(following, loop)
        for phi, first, value in zip(sums, start, added, strict=True):
            phi.add_incoming(first, entry)
            phi.add_incoming(value, loop)
        builder.cbranch(builder.icmp_signed("<", following, count), loop, done)

        builder.position_at_end(done)
        for j, (first, value) in enumerate(zip(start, added, strict=True)):
            total = builder.phi(v.type)
            total.add_incoming(first, entry)
            total.add_incoming(value, loop)
            start[j] = total
        for j, total in enumerate(start):
            v.store(total, out, I64(j * LANES))
        return context.get_dummy_value()

    return intrinsic(typed)


def _requantize(vectors: int, twice: bool):
    """Rows of 16 * `vectors` int32 sums to int8; see `requantize.requantize_block`.

    ``v = acc + bias``, then ``v / 2^(shift + 1)`` in two roundings, or ``(v + half) >>
    shift``; plus the offset, between low and high. `extremes` are 16 smallest and 16
    largest v so far.
    """

    def typed(
        typing, acc, rows, bias, shift, half, offset, low, high, y, stride, extremes
    ):
        n, i = nb.intp, nb.int32
        return nb.void(acc, n, bias, i, i, i, i, i, y, n, extremes), build

    def build(context, builder, signature, arguments):
        acc, rows, bias, shift, half, offset, low, high, y, stride, extremes = arguments
        v = _Vectors(builder, nb.int32)
        bytes_type = ir.VectorType(ir.IntType(8), LANES)
        one = v.splat(I32(1))
        mask = builder.sub(builder.shl(I32(1), shift), I32(1))
        shift, half, offset, low, high, mask, middle = map(
            v.splat,
            (shift, half, offset, low, high, mask, builder.lshr(mask, I32(1))),
        )
        biases = [v.load(bias, I64(j * LANES)) for j in range(vectors)]
        start = [v.load(extremes, I64(0)), v.load(extremes, I64(LANES))]
        entry = builder.block
        loop = builder.append_basic_block("row")
        done = builder.append_basic_block("done")
        builder.branch(loop)

        builder.position_at_end(loop)
        row = builder.phi(I64)
        smallest, largest = phis = [builder.phi(v.type) for _ in start]
        for j in range(vectors):
            place = builder.add(builder.mul(row, I64(vectors * LANES)), I64(j * LANES))
            value = builder.add(v.load(acc, place), biases[j])
            smallest = v.choose("<", value, smallest)
            largest = v.choose(">", value, largest)
            if twice:
                d = builder.add(builder.ashr(value, one), builder.and_(value, one))
                # all ones where true, so subtracting it adds one
                negative = v.test("<", d, v.splat(I32(0)))
                limit = builder.sub(middle, negative)
                up = v.test(">", builder.and_(d, mask), limit)
                q = builder.sub(builder.ashr(d, shift), up)
            else:
                q = builder.ashr(builder.add(value, half), shift)
            q = v.choose(">", v.choose("<", builder.add(q, offset), high), low)
            place = builder.add(builder.mul(row, stride), I64(j * LANES))
            target = builder.bitcast(builder.gep(y, [place]), bytes_type.as_pointer())
            builder.store(builder.trunc(q, bytes_type), target).align = 1
        following = builder.add(row, I64(1))
        row.add_incoming(I64(0), entry)
        row.add_incoming(following, loop)
        for phi, first, value in zip(phis, start, (smallest, largest), strict=True):
            phi.add_incoming(first, entry)
            phi.add_incoming(value, loop)
        builder.cbranch(builder.icmp_signed("<", following, rows), loop, done)

        builder.position_at_end(done)
        v.store(smallest, extremes, I64(0))
        v.store(largest, extremes, I64(LANES))
        return context.get_dummy_value()

    return intrinsic(typed)


tile_8x1, tile_8x2 = _tile(1), _tile(2)
twice_1, twice_2 = _requantize(1, True), _requantize(2, True)
once_1, once_2 = _requantize(1, False), _requantize(2, False)
add_rows_1, add_rows_2, add_rows_4, add_rows_8 = map(_add_rows, (1, 2, 4, 8))
