"""The register kernels under convolution, written in LLVM's vector types.

A vector here is 16 numbers, which every CPU has an answer to: one AVX-512 register, two
of AVX2, four of NEON.

`tile_8x1` and `tile_8x2` keep sums of 8 rows by 16 or 32 columns in registers (part of
them at a time where registers are small) while they walk down the columns of both
factors:

    c[r, j] += sum over s, k of a[r * row_stride + s * segment_stride + k] * b[s, k, j]

The left factor need not be a matrix: the windows of a convolution are read where they
lie in the padded image, neighbouring pixels `row_stride` apart, the rows of a kernel
`segment_stride` apart. Nothing is gathered first. The instruction is that of `way` (see
`products`). Where it adds up several products in a lane, a column is that many numbers
of a row, and `b` holds those of each output side by side; strides still count single
numbers. Int32 sums are exact modulo 2^32, of floating factors as far as those are.

`add_8` and its like add weighted rows to a row, both in pieces that need not touch;
`row_8` and its like add a row to many, weighted. Rows are floating numbers. Gradients
behind a ReLU and a max pool are mostly zero: `kept` finds those that are not, and only
they are multiplied; where few are, `passed` keeps all.

`taps_1` and `taps_4` sum products of a depthwise kernel and the cells under it, 16 or
64 neighbouring ones at a time; `products_5` and its like sum up gradients of as many
cells of the kernel.

`twice` and `once` make int8 outputs of int32 sums, in two roundings or in one;
`twice_pow2` and `once_pow2` do where scales are powers of two. `in_float32` and
`in_float64` multiply by floating factors.

Numba's cache does not notice a change in this file: delete `__pycache__` after one.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir

from kanji_np.jit import intrinsic, nb, njit
from kanji_np.loops.products import (
    NeonDot,
    Pairs256,
    Pairs512,
    Vnni256,
    Vnni512,
    cpu_features,
)

LANES = 16
VECTOR_BYTES = 64
TILE_ROWS = 8
HAS_WIDE_REGISTERS = "avx512f" in cpu_features()  # 32 of them, of a vector each
#: Vectors of sums that stay in registers beside what is added to them.
MOST_PIECES = 8 if HAS_WIDE_REGISTERS else 4

I8, I32, I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)
ELEMENTS = {
    nb.float32: (ir.FloatType(), "f32"),
    nb.float64: (ir.DoubleType(), "f64"),
    nb.int32: (I32, "i32"),
    nb.int8: (I8, "i8"),
}


@intrinsic
def address(typing, array, offset):
    """Pointer to ``array.ravel()[offset]`` of a contiguous array."""

    def build(context, builder, signature, arguments):
        data = context.make_array(array)(context, builder, arguments[0]).data
        return builder.gep(data, [arguments[1]])

    return nb.CPointer(array.dtype)(array, nb.intp), build


@njit(cache=True)
def aligned(size, dtype):
    """Uninitialized array (size,) that begins at a multiple of 64 bytes."""
    room = np.empty(size + VECTOR_BYTES, dtype)
    first = -room.ctypes.data % VECTOR_BYTES // room.itemsize
    return room[first : first + size]


@intrinsic
def lowest_bit(typing, bits):
    """Place of the lowest bit that is set; `bits` is not 0."""

    def build(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return nb.int64(nb.int64), build


class _Vectors:
    """Loads, stores and arithmetic of `width` numbers at a time."""

    def __init__(self, builder, element, width=LANES):
        scalar, self.suffix = ELEMENTS[element]
        self.builder = builder
        self.width = width
        self.type = ir.VectorType(scalar, width)
        self.alignment = element.bitwidth // 8

    def load(self, pointer, offset, kind=None):
        place = self.builder.gep(pointer, [offset])
        kind = kind or self.type
        value = self.builder.load(self.builder.bitcast(place, kind.as_pointer()))
        value.align = self.alignment if kind is self.type else 1
        return value

    def store(self, value, pointer, offset):
        place = self.builder.gep(pointer, [offset])
        place = self.builder.bitcast(place, value.type.as_pointer())
        self.builder.store(value, place).align = self.alignment

    def splat(self, scalar):
        undefined = ir.Constant(self.type, ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, I32(0))
        lanes = ir.Constant(ir.VectorType(I32, self.width), [0] * self.width)
        return self.builder.shuffle_vector(first, undefined, lanes)

    def choose(self, relation, a, b):
        """a where it stands in the relation to b, else b."""
        return self.builder.select(self.builder.icmp_signed(relation, a, b), a, b)

    def test(self, relation, a, b):
        """-1 where a stands in the relation to b, else 0."""
        return self.builder.sext(self.builder.icmp_signed(relation, a, b), self.type)

    def multiply_add(self, a, b, c):
        fma = self.builder.module.declare_intrinsic(
            f"llvm.fmuladd.v{self.width}{self.suffix}",
            (),
            ir.FunctionType(self.type, [self.type] * 3),
        )
        return self.builder.call(fma, [a, b, c])


class _Sums(_Vectors):
    """Sums of the tile kernels as plain products of floating numbers.

    Where the result is int32 they are converted at the end, and added to what is there.
    """

    depth = 1
    rows = TILE_ROWS if HAS_WIDE_REGISTERS else TILE_ROWS // 2
    lanes = 2 * LANES if HAS_WIDE_REGISTERS else LANES

    def __init__(self, builder, element, total):
        super().__init__(builder, element)
        self.is_converted = element != total
        self.total = ir.VectorType(I32, LANES)

    def broadcast(self, pointer, column):
        return self.splat(self.builder.load(self.builder.gep(pointer, [column])))

    def weights(self, pointer, lane):
        return self.load(pointer, I64(lane))

    def start(self, c, place):
        return self.type(None) if self.is_converted else self.load(c, place)

    def finish(self, value, c, place):
        if self.is_converted:
            added = self.builder.fptosi(value, self.total)
            value = self.builder.add(self.load(c, place, self.total), added)
        self.store(value, c, place)


class _Dots(_Sums):
    """The same with instructions that add up several products of small integers."""

    #: Of each way: intrinsic, bits of a register, bits of a stored number.
    INSTRUCTIONS = {
        Vnni512: ("llvm.x86.avx512.vpdpbusd.512", 512, 8),
        Vnni256: ("llvm.x86.avx512.vpdpbusd.256", 256, 8),
        NeonDot: ("llvm.aarch64.neon.sdot.v4i32.v16i8", 128, 8),
        Pairs512: ("llvm.x86.avx512.pmaddw.d.512", 512, 16),
        Pairs256: ("llvm.x86.avx2.pmadd.wd", 256, 16),
    }

    def __init__(self, builder, way):
        name, register_bits, bits = self.INSTRUCTIONS[way]
        _Vectors.__init__(self, builder, nb.int32, register_bits // 32)
        self.depth = 32 // bits
        self.alignment = 1
        self.is_converted = False
        is_wide = register_bits == 512
        self.rows = TILE_ROWS if is_wide else TILE_ROWS // 2
        self.lanes = 2 * LANES if is_wide else LANES
        numbers = ir.VectorType(ir.IntType(bits), register_bits // bits)
        # LLVM declares vpdpbusd over int32 lanes, the others over what they read.
        self.factor = self.type if way in (Vnni512, Vnni256) else numbers
        self.adds = bits == 8
        factors = [self.factor, self.factor]
        self.instruction = builder.module.declare_intrinsic(
            name, (), ir.FunctionType(self.type, [self.type] * self.adds + factors)
        )

    def broadcast(self, pointer, column):
        offset = self.builder.mul(column, I64(self.depth))
        place = self.builder.gep(pointer, [offset])
        group = self.builder.load(self.builder.bitcast(place, I32.as_pointer()))
        group.align = 1
        return self.builder.bitcast(self.splat(group), self.factor)

    def weights(self, pointer, lane):
        return self.load(pointer, I64(lane * self.depth), self.factor)

    def multiply_add(self, a, b, c):
        if self.adds:
            return self.builder.call(self.instruction, [c, a, b])
        return self.builder.add(c, self.builder.call(self.instruction, [a, b]))


def _tile(vectors: int):
    """The tile kernel for blocks of 16 * `vectors` columns."""
    lanes = vectors * LANES

    def typed(typing, way, a, row_stride, segments, segment_stride, columns, b, c):
        n = nb.intp
        return nb.void(way, a, n, n, n, n, b, c), build

    def build(context, builder, signature, arguments):
        way, a, *_, c = signature.args
        v: _Dots | _Sums
        if way.instance_class in _Dots.INSTRUCTIONS:
            v = _Dots(builder, way.instance_class)
        else:
            v = _Sums(builder, a.dtype, c.dtype)
        for row in range(0, TILE_ROWS, v.rows):
            for lane in range(0, lanes, v.lanes):
                registers = range(lane, min(lane + v.lanes, lanes), v.width)
                _walk(builder, v, arguments, lanes, row, registers)
        return context.get_dummy_value()

    return intrinsic(typed)


def _walk(builder, v, arguments, lanes, first_row, registers):
    """The loops of a tile kernel over `v.rows` rows and the lanes of some registers."""
    _, a, row_stride, segments, segment_stride, columns, b, c = arguments
    rows = range(first_row, first_row + v.rows)
    places = [I64(row * lanes + lane) for row in rows for lane in registers]
    start = [v.start(c, place) for place in places]

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
    row_starts = [
        builder.gep(origin, [builder.mul(row_stride, I64(row))]) for row in rows
    ]
    builder.branch(column_loop)

    builder.position_at_end(column_loop)
    column = builder.phi(I64)
    column_b = builder.phi(b.type)
    sums = [builder.phi(v.type) for _ in places]
    right = [v.weights(column_b, lane) for lane in registers]
    added: list[ir.Value] = []
    for row_start in row_starts:
        left = v.broadcast(row_start, column)
        for factor in right:
            added.append(v.multiply_add(left, factor, sums[len(added)]))
    next_column = builder.add(column, I64(1))
    next_b = builder.gep(column_b, [I64(lanes * v.depth)])
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
        v.finish(value, c, place)


def _add_pieces(pieces: int):
    """``out[out_pieces[i]:] += sum of weights[n] * rows[offsets[n] + row_pieces[i]:]``.

    Of `pieces` pieces i from `first` on, a vector each, over `count` rows n.
    """

    def typed(
        typing, out, out_pieces, rows, row_pieces, first, offsets, weights, count
    ):
        n = nb.intp
        places = (out, out_pieces, rows, row_pieces)
        return nb.void(*places, n, offsets, weights, n), build

    def build(context, builder, signature, arguments):
        out, out_pieces, rows, row_pieces, first, offsets, weights, count = arguments

        def number(pointer, index):
            value = builder.load(builder.gep(pointer, [index]))
            return builder.sext(value, I64) if value.type != I64 else value

        v = _Vectors(builder, signature.args[0].dtype)
        chosen = [builder.add(first, I64(i)) for i in range(pieces)]
        places = [number(out_pieces, i) for i in chosen]
        within = [number(row_pieces, i) for i in chosen]
        start = [v.load(out, place) for place in places]
        entry = builder.block
        loop = builder.append_basic_block("row")
        done = builder.append_basic_block("done")
        empty = builder.icmp_signed("<=", count, I64(0))
        builder.cbranch(empty, done, loop)

        builder.position_at_end(loop)
        n = builder.phi(I64)
        sums = [builder.phi(v.type) for _ in places]
        row = builder.gep(rows, [number(offsets, n)])
        weight = v.splat(builder.load(builder.gep(weights, [n])))
        added = [
            v.multiply_add(weight, v.load(row, piece), total)
            for piece, total in zip(within, sums, strict=True)
        ]
        following = builder.add(n, I64(1))
        n.add_incoming(I64(0), entry)
        n.add_incoming(following, loop)
        for phi, before, value in zip(sums, start, added, strict=True):
            phi.add_incoming(before, entry)
            phi.add_incoming(value, loop)
        builder.cbranch(builder.icmp_signed("<", following, count), loop, done)

        builder.position_at_end(done)
        totals = []
        for before, value in zip(start, added, strict=True):
            total = builder.phi(v.type)
            total.add_incoming(before, entry)
            total.add_incoming(value, loop)
            totals.append(total)
        for place, total in zip(places, totals, strict=True):
            v.store(total, out, place)
        return context.get_dummy_value()

    return intrinsic(typed)


def _add_row(pieces: int):
    """``out[o * length + 16 * i:] += weights[o] * row[row_pieces[i]:]``.

    Of `pieces` vectors i, which stay in registers, for every bit o set in `bits`.
    """

    def typed(typing, out, length, row, row_pieces, weights, bits):
        n = nb.int64
        return nb.void(out, n, row, row_pieces, weights, n), build

    def build(context, builder, signature, arguments):
        out, length, row, row_pieces, weights, bits = arguments
        v = _Vectors(builder, signature.args[0].dtype)
        places = [
            builder.load(builder.gep(row_pieces, [I64(i)])) for i in range(pieces)
        ]
        row = [v.load(row, place) for place in places]
        entry = builder.block
        loop = builder.append_basic_block("bit")
        done = builder.append_basic_block("done")
        builder.cbranch(builder.icmp_signed("==", bits, I64(0)), done, loop)

        builder.position_at_end(loop)
        left = builder.phi(I64)
        o = builder.cttz(left, ir.Constant(ir.IntType(1), 1))
        weight = v.splat(builder.load(builder.gep(weights, [o])))
        target = builder.gep(out, [builder.mul(o, length)])
        for i, piece in enumerate(row):
            place = I64(i * LANES)
            total = v.multiply_add(weight, piece, v.load(target, place))
            v.store(total, target, place)
        following = builder.and_(left, builder.sub(left, I64(1)))
        left.add_incoming(bits, entry)
        left.add_incoming(following, loop)
        builder.cbranch(builder.icmp_signed("==", following, I64(0)), done, loop)

        builder.position_at_end(done)
        return context.get_dummy_value()

    return intrinsic(typed)


def _passing(context, builder, signature, arguments):
    """16 gradients, 0 in place of those whose value is not between low and high.

    They are added to `total`. Arguments are those of `kept`.
    """
    gradient, value, low, high, total = arguments[:5]
    kind, element = (pointer.dtype for pointer in signature.args[:2])
    g, y = _Vectors(builder, kind), _Vectors(builder, element)
    low, high = (
        y.splat(context.cast(builder, bound, given, element))
        for bound, given in zip((low, high), signature.args[2:4], strict=True)
    )
    value = y.load(value, I64(0))
    if element in nb.integer_domain:
        above = builder.icmp_signed(">", value, low)
        below = builder.icmp_signed("<", value, high)
    else:
        above = builder.fcmp_ordered(">", value, low)
        below = builder.fcmp_ordered("<", value, high)
    gradient = g.load(gradient, I64(0))
    inside = builder.select(builder.and_(above, below), gradient, g.type(None))
    g.store(builder.fadd(g.load(total, I64(0)), inside), total, I64(0))
    return inside


@intrinsic
def kept(typing, gradient, value, low, high, total):
    """Bits of the 16 lanes where ``gradient != 0 and low < value < high``, int64.

    Their gradients are added to `total`.
    """

    def build(context, builder, signature, arguments):
        inside = _passing(context, builder, signature, arguments)
        lanes = builder.fcmp_unordered("!=", inside, inside.type(None))
        return builder.zext(builder.bitcast(lanes, ir.IntType(LANES)), I64)

    return nb.int64(gradient, value, low, high, total), build


@intrinsic
def passed(typing, gradient, value, low, high, total, one, other):
    """Store 16 gradients twice, 0 in place of those where not ``low < value < high``.

    They are added to `total`.
    """

    def build(context, builder, signature, arguments):
        inside = _passing(context, builder, signature, arguments)
        v = _Vectors(builder, signature.args[0].dtype)
        for target in arguments[5:]:
            v.store(inside, target, I64(0))
        return context.get_dummy_value()

    return nb.void(gradient, value, low, high, total, one, other), build


class _Taps(_Vectors):
    """Products of rows and weights that are both vectors: int16 to int32, or floats."""

    def __init__(self, builder, element, total):
        super().__init__(builder, total)
        self.narrow = ir.VectorType(ir.IntType(16), LANES)
        self.is_int = element == nb.int16

    def factor(self, pointer, offset):
        if not self.is_int:
            return self.load(pointer, offset)
        return self.builder.sext(self.load(pointer, offset, self.narrow), self.type)

    def multiply_add(self, a, b, c):
        if self.is_int:
            return self.builder.add(c, self.builder.mul(a, b))
        return super().multiply_add(a, b, c)


def _counted(builder, count, start, body):
    """What ``start = body(n, start)`` ends as, for n below `count`, at least once."""
    entry = builder.block
    loop = builder.append_basic_block("loop")
    done = builder.append_basic_block("done")
    builder.branch(loop)
    builder.position_at_end(loop)
    n = builder.phi(I64)
    phis = [builder.phi(value.type) for value in start]
    after = body(n, phis)
    following = builder.add(n, I64(1))
    for phi, before, value in [
        (n, I64(0), following),
        *zip(phis, start, after, strict=True),
    ]:
        phi.add_incoming(before, entry)
        phi.add_incoming(value, loop)
    builder.cbranch(builder.icmp_signed("<", following, count), loop, done)
    builder.position_at_end(done)
    return after


def _tap_sums(vectors: int):
    """``out[i] = sum of cells[taps[t] + i] * weights[t * length + i]`` over taps t.

    For `vectors` vectors of i.
    """

    def typed(typing, out, cells, taps, weights, length, count):
        return nb.void(out, cells, taps, weights, nb.intp, nb.intp), build

    def build(context, builder, signature, arguments):
        out, cells, taps, weights, length, count = arguments
        v = _Taps(builder, signature.args[1].dtype, signature.args[0].dtype)
        places = [I64(i * LANES) for i in range(vectors)]

        def body(tap, sums):
            row = builder.gep(cells, [builder.load(builder.gep(taps, [tap]))])
            weight = builder.gep(weights, [builder.mul(tap, length)])
            return [
                v.multiply_add(v.factor(row, place), v.factor(weight, place), total)
                for place, total in zip(places, sums, strict=True)
            ]

        sums = _counted(builder, count, [v.type(None)] * vectors, body)
        for place, total in zip(places, sums, strict=True):
            v.store(total, out, place)
        return context.get_dummy_value()

    return intrinsic(typed)


def _tap_products(taps: int):
    """``out[t * length] += sum of g[n * length] * cells[places[t] + n * length]``.

    Over `count` n, for `taps` taps t; each number stands for the 16 that begin there.
    """

    def typed(typing, out, g, cells, places, length, count):
        return nb.void(out, g, cells, places, nb.intp, nb.intp), build

    def build(context, builder, signature, arguments):
        out, g, cells, places, length, count = arguments
        v = _Vectors(builder, signature.args[0].dtype)
        targets = [builder.mul(length, I64(t)) for t in range(taps)]
        rows = [
            builder.gep(cells, [builder.load(builder.gep(places, [I64(t)]))])
            for t in range(taps)
        ]

        def body(n, sums):
            at = builder.mul(n, length)
            gradient = v.load(g, at)
            return [
                v.multiply_add(gradient, v.load(row, at), total)
                for row, total in zip(rows, sums, strict=True)
            ]

        start = [v.load(out, target) for target in targets]
        sums = _counted(builder, count, start, body)
        for target, total in zip(targets, sums, strict=True):
            v.store(total, out, target)
        return context.get_dummy_value()

    return intrinsic(typed)


@intrinsic
def move(typing, source, target):
    """Copy 16 numbers."""

    def build(context, builder, signature, arguments):
        source, target = arguments
        v = _Vectors(builder, signature.args[0].dtype)
        v.store(v.load(source, I64(0)), target, I64(0))
        return context.get_dummy_value()

    return nb.void(source, target), build


class _RescaleFloating:
    """`fixedpoint.rescale_floating` of vectors of the same 16 channels."""

    factor_type = nb.float64
    scalar: ir.Type

    def __init__(self, builder, factor, shift, up):
        self.builder = builder
        self.type = ir.VectorType(self.scalar, LANES)
        self.factor = factor

    def product(self, value):
        return self.builder.fmul(self.builder.sitofp(value, self.type), self.factor)

    def call(self, function, value):
        bits = 32 if self.scalar == ir.FloatType() else 64
        declared = self.builder.module.declare_intrinsic(
            f"llvm.{function}.v{LANES}f{bits}",
            (),
            ir.FunctionType(self.type, [self.type]),
        )
        return self.builder.call(declared, [value])

    def narrow(self, value):
        return self.builder.fptosi(value, ir.VectorType(I32, LANES))


class _RescaleFloat32(_RescaleFloating):
    """Halves to even."""

    scalar = ir.FloatType()

    def __init__(self, builder, factor, shift, up):
        super().__init__(builder, factor, shift, up)
        self.factor = builder.fptrunc(factor, self.type)

    def of(self, value):
        return self.narrow(self.call("rint", self.product(value)))


class _RescaleFloat64(_RescaleFloating):
    """Halves away from zero."""

    scalar = ir.DoubleType()

    def of(self, value):
        builder, product = self.builder, self.product(value)
        whole = self.call("trunc", product)
        rest = builder.fsub(product, whole)
        zero, one = self.type(None), _constant(self.type, 1.0)
        negative = builder.fcmp_ordered("<", rest, zero)
        step = builder.select(negative, builder.fneg(one), one)
        half = _constant(self.type, 0.5)
        away = builder.fcmp_ordered(">=", self.call("fabs", rest), half)
        return self.narrow(builder.fadd(whole, builder.select(away, step, zero)))


class _Rescale:
    """`fixedpoint.rescale` of vectors of the same 16 channels.

    What depends on the channels alone is formed once. Multiplier None stands for 2^30;
    with shifts of -30 .. 0 that takes no product.
    """

    factor_type = nb.int32

    def __init__(self, builder, multiplier):
        self.builder = builder
        self.v = _Vectors(builder, nb.int32)
        self.wide = ir.VectorType(I64, LANES)
        self.has_product = multiplier is not None
        if self.has_product:
            self.multiplier = builder.sext(multiplier, self.wide)

    def product(self, value):
        """value * multiplier in int64."""
        return self.builder.mul(self.builder.sext(value, self.wide), self.multiplier)

    def narrow(self, value):
        return self.builder.trunc(value, self.v.type)


class _RescaleTwice(_Rescale):
    """In two roundings; see `fixedpoint.requantize`."""

    def __init__(self, builder, multiplier, shift, up):
        super().__init__(builder, multiplier)
        self.zero, self.one = self.v.type(None), _constant(self.v.type, 1)
        self.left = self.v.choose(">", shift, self.zero)
        self.right = builder.sub(self.left, shift)
        self.mask = builder.sub(builder.shl(self.one, self.right), self.one)
        self.middle = builder.lshr(self.mask, self.one)

    def high(self, value):
        """The doubling high multiply."""
        builder, wide = self.builder, self.wide
        if not self.has_product:
            halved = builder.ashr(value, self.one)
            return builder.add(halved, builder.and_(value, self.one))
        product = self.product(builder.shl(value, self.left))
        rounded = builder.add(product, _constant(wide, 1 << 30))
        return self.narrow(builder.ashr(rounded, _constant(wide, 31)))

    def of(self, value):
        builder, high = self.builder, self.high(value)
        # all ones where true, so subtracting it adds one
        limit = builder.sub(self.middle, self.v.test("<", high, self.zero))
        up = self.v.test(">", builder.and_(high, self.mask), limit)
        return builder.sub(builder.ashr(high, self.right), up)


class _RescaleOnce(_Rescale):
    """In one rounding: halves up where `up` is 1, down where it is 0."""

    def __init__(self, builder, multiplier, shift, up):
        super().__init__(builder, multiplier)
        bits = 30 if self.has_product else 0
        self.up = self.v.splat(up)
        # All but the last of the bits that are shifted out.
        self.right = builder.sub(_constant(self.v.type, bits), shift)
        if self.has_product:
            self.up = builder.zext(self.up, self.wide)
            self.right = builder.zext(self.right, self.wide)

    def of(self, value):
        builder = self.builder
        if self.has_product:
            value = self.product(value)
        twice = builder.ashr(value, self.right)
        once = builder.ashr(twice, _constant(twice.type, 1))
        q = builder.add(once, builder.and_(twice, self.up))
        return self.narrow(q) if self.has_product else q


def _constant(kind, number):
    """A vector of the same number."""
    return ir.Constant(kind, [number] * kind.count)


def _requantize(
    rescale: type[_RescaleTwice | _RescaleOnce | _RescaleFloat32 | _RescaleFloat64],
    is_pow2: bool,
):
    """Rows of int32 sums to int8: ``rescale(acc + bias)`` plus the offset, clamped.

    A row is `vectors` vectors, the rows of y are `stride` apart. Bias, multiplier and
    shift have a number a lane; floating factors stand in place of the multiplier, and
    the shift is of no use to them. `extremes` are 16 smallest and 16 largest outputs so
    far, before the offset.
    """

    def typed(
        typing, acc, rows, vectors, bias, multiplier, shift, up, offset, low, high, y,
        stride, extremes,
    ):  # fmt: skip
        n, i, channels = nb.intp, nb.int32, (bias, multiplier, shift)
        return nb.void(acc, n, n, *channels, i, i, i, i, y, n, extremes), build

    def build(context, builder, signature, arguments):
        acc, rows, vectors, bias, multiplier, shift, up, *limits = arguments[:10]
        y, stride, extremes = arguments[10:]
        v = _Vectors(builder, nb.int32)
        offset, low, high = map(v.splat, limits)
        start = [v.load(extremes, I64(0)), v.load(extremes, I64(LANES))]
        entry = builder.block
        vector_loop = builder.append_basic_block("vector")
        row_loop = builder.append_basic_block("row")
        vector_end = builder.append_basic_block("vector_end")
        done = builder.append_basic_block("done")
        builder.branch(vector_loop)

        builder.position_at_end(vector_loop)
        vector = builder.phi(I64)
        vector_extremes = [builder.phi(v.type) for _ in start]
        place = builder.mul(vector, I64(LANES))
        added = v.load(bias, place)
        factors = _Vectors(builder, rescale.factor_type)
        factor = None if is_pow2 else factors.load(multiplier, place)
        rescaled = rescale(builder, factor, v.load(shift, place), up)
        builder.branch(row_loop)

        builder.position_at_end(row_loop)
        row = builder.phi(I64)
        smallest, largest = phis = [builder.phi(v.type) for _ in start]
        width = builder.mul(vectors, I64(LANES))
        sums = builder.gep(acc, [builder.mul(row, width)])
        out = builder.gep(y, [builder.mul(row, stride)])
        q = rescaled.of(builder.add(v.load(sums, place), added))
        smallest = v.choose("<", q, smallest)
        largest = v.choose(">", q, largest)
        q = v.choose(">", v.choose("<", builder.add(q, offset), high), low)
        narrow = _Vectors(builder, nb.int8)
        narrow.store(builder.trunc(q, narrow.type), out, place)
        next_row = builder.add(row, I64(1))
        more = builder.icmp_signed("<", next_row, rows)
        builder.cbranch(more, row_loop, vector_end)

        builder.position_at_end(vector_end)
        next_vector = builder.add(vector, I64(1))
        more = builder.icmp_signed("<", next_vector, vectors)
        builder.cbranch(more, vector_loop, done)

        seen = (smallest, largest)
        for phi, first, following in [
            (vector, I64(0), next_vector),
            *zip(vector_extremes, start, seen, strict=True),
        ]:
            phi.add_incoming(first, entry)
            phi.add_incoming(following, vector_end)
        for phi, first, following in [
            (row, I64(0), next_row),
            *zip(phis, vector_extremes, seen, strict=True),
        ]:
            phi.add_incoming(first, vector_loop)
            phi.add_incoming(following, row_loop)

        builder.position_at_end(done)
        v.store(smallest, extremes, I64(0))
        v.store(largest, extremes, I64(LANES))
        return context.get_dummy_value()

    return intrinsic(typed)


tile_8x1, tile_8x2 = _tile(1), _tile(2)
add_1, add_2, add_3, add_4, add_5, add_6, add_7, add_8 = map(_add_pieces, range(1, 9))
row_1, row_2, row_3, row_4, row_5, row_6, row_7, row_8 = map(_add_row, range(1, 9))
taps_1, taps_4 = _tap_sums(1), _tap_sums(4)
(
    products_1,
    products_2,
    products_3,
    products_4,
    products_5,
) = map(_tap_products, range(1, 6))
twice, once = (_requantize(way, False) for way in (_RescaleTwice, _RescaleOnce))
twice_pow2, once_pow2 = (
    _requantize(way, True) for way in (_RescaleTwice, _RescaleOnce)
)
in_float32, in_float64 = (
    _requantize(way, False) for way in (_RescaleFloat32, _RescaleFloat64)
)
