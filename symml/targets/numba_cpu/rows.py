"""Rows of a batch as vectors: copied, multiplied with a vector, added up. LLVM's own vectors of short rows spend most of a
step on what is left over; here the lanes of the last vector are masked, and no row is tested for overlap.

`a` is a matrix, or a pair (matrix, numbers): then row i is a[numbers[i]], read where it stands. The order of the sums
depends on the length of the rows alone. Emitted modules hold the functions they use.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

WORD = ir.IntType(64)
PLACE = ir.IntType(32)
BYTES = 32  # of a vector; twice as long ones leave more lanes of a short row empty, and its ends cross more cache lines
AT_ONCE = 4  # rows that are added up side by side
WIDE = 3  # vectors of each of them
DATA = 4  # the parts of numba's arrays
SHAPE = 5


def number(k):
    """A whole number."""
    return ir.Constant(WORD, k)


def entry(builder, data, k):
    """The address of element k."""
    return builder.gep(data, [k])


def loop(builder, start, stop, step, values, body):
    """for i in range(start, stop, step): values = body(i, values)"""
    before, head = builder.block, builder.append_basic_block("head")
    inside, after = builder.append_basic_block("inside"), builder.append_basic_block("after")
    builder.branch(head)
    builder.position_at_end(head)
    i, held = builder.phi(WORD), [builder.phi(v.type) for v in values]
    builder.cbranch(builder.icmp_signed("<", i, stop), inside, after)
    builder.position_at_end(inside)
    found = [builder.add(i, number(step)), *body(i, held)]
    for phi, first, again in zip([i, *held], [start, *values], found, strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(again, builder.block)
    builder.branch(head)
    builder.position_at_end(after)
    return held


def called(builder, name, out, args):
    """A call of one of LLVM's own functions."""
    known = builder.module.globals
    kind = ir.FunctionType(out, [a.type for a in args])
    return builder.call(known[name] if name in known else ir.Function(builder.module, kind, name), args)


def lanes_of(array):
    """The type of a vector of an array's numbers, and LLVM's name for it."""
    kind, width = (ir.FloatType(), 32) if array.dtype.bitwidth == 32 else (ir.DoubleType(), 64)
    count = BYTES * 8 // width
    return ir.VectorType(kind, count), f"v{count}f{width}"


def spread(builder, value, count):
    """A vector of one number."""
    kind = ir.VectorType(value.type, count)
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(PLACE, 0))
    return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), places([0] * count))


def places(numbers):
    """The lanes that a shuffle takes."""
    return ir.Constant(ir.VectorType(PLACE, len(numbers)), numbers)


def mask(builder, left, count):
    """The lanes before `left`."""
    return builder.icmp_signed("<", places(list(range(count))), spread(builder, builder.trunc(left, PLACE), count))


def load(builder, lanes, where, seen=None):
    """A vector from an address; 0 where it is not seen."""
    kind, name = lanes
    at = builder.bitcast(where, kind.as_pointer())
    if seen is None:
        return builder.load(at, align=BYTES // kind.count)
    align = ir.Constant(PLACE, BYTES // kind.count)
    return called(builder, f"llvm.masked.load.{name}.p0", kind, [at, align, seen, ir.Constant(kind, None)])


def store(builder, lanes, value, where, seen=None):
    """A vector to an address, where it is seen."""
    kind, name = lanes
    at = builder.bitcast(where, kind.as_pointer())
    if seen is None:
        return builder.store(value, at, align=BYTES // kind.count)
    align = ir.Constant(PLACE, BYTES // kind.count)
    return called(builder, f"llvm.masked.store.{name}.p0", ir.VoidType(), [value, at, align, seen])


def fma(builder, lanes, a, b, c):
    """a b + c"""
    return called(builder, f"llvm.fmuladd.{lanes[1]}", lanes[0], [a, b, c])


def neighbours(builder, a, b, step):
    """Sums of neighbours: `step` lanes of a, `step` lanes of b, in turn."""
    n = a.type.count
    first = [k if k % (2 * step) < step else n + k - step for k in range(n)]
    second = [k + step if k % (2 * step) < step else n + k for k in range(n)]
    one = builder.shuffle_vector(a, b, places(first))
    return builder.fadd(one, builder.shuffle_vector(a, b, places(second)))


def sums(builder, vectors):
    """The sums of the lanes of as many vectors as one has lanes, as a vector: halves are added pair by pair."""
    step = 1
    while len(vectors) > 1:
        pairs = zip(vectors[::2], vectors[1::2], strict=True)
        vectors, step = [neighbours(builder, a, b, step) for a, b in pairs], 2 * step
    return vectors[0]


def part(builder, value, *where):
    """A part of an array, such as where its entries stand."""
    return builder.extract_value(value, list(where))


def rows_of(builder, kind, value):
    """(the matrix's type, the length of a row, a function from a row's number to its address) of a matrix or a pair."""
    matrix, numbers = (kind, None) if isinstance(kind, types.Array) else (kind.types[0], 1)
    stored = value if numbers is None else part(builder, value, 0)
    n, data = number(1), part(builder, stored, DATA)
    for axis in range(1, matrix.ndim):
        n = builder.mul(n, part(builder, stored, SHAPE, axis))

    def address(i):
        k = i if numbers is None else builder.load(entry(builder, part(builder, value, 1, DATA), i))
        return entry(builder, data, builder.mul(k, n))

    return matrix, n, address


@intrinsic
def copy_rows(context, out, a, first, count):
    """out[i] = a[first + i] for i < count, of as many entries as a row has."""

    def codegen(context, builder, signature, args):
        matrix, n, address = rows_of(builder, signature.args[1], args[1])
        data, byte = part(builder, args[0], DATA), ir.IntType(8).as_pointer()
        size, steady = builder.mul(n, number(matrix.dtype.bitwidth // 8)), ir.Constant(ir.IntType(1), 0)

        def row(i, _):
            source, to = address(builder.add(args[2], i)), entry(builder, data, builder.mul(i, n))
            ends = [builder.bitcast(to, byte), builder.bitcast(source, byte)]
            called(builder, "llvm.memcpy.p0.p0.i64", ir.VoidType(), [*ends, size, steady])
            return []

        def single(i, _):
            builder.store(builder.load(address(builder.add(args[2], i))), entry(builder, data, i))
            return []

        loop(builder, number(0), args[3], 1, [], single if matrix.ndim == 1 else row)
        return context.get_dummy_value()

    return types.none(out, a, types.int64, types.int64), codegen


@intrinsic
def dot_rows(context, out, a, first, count, v):
    """out[i] = sum_j a[first + i, j] v[j] for i < count."""

    def codegen(context, builder, signature, args):
        matrix, n, address = rows_of(builder, signature.args[1], args[1])
        data, other, lanes = part(builder, args[0], DATA), part(builder, args[4], DATA), lanes_of(matrix)
        width, last = lanes[0].count, builder.sub(args[3], number(1))
        whole = builder.and_(n, number(-width))

        def some(i, _):
            """As many rows as a vector has lanes; behind the last one stands the last one again."""
            rows = [builder.add(i, number(q)) for q in range(width)]
            inside = [builder.select(builder.icmp_signed("<", r, last), r, last) for r in rows]
            starts = [address(builder.add(args[2], r)) for r in inside]

            def piece(j, totals, seen=None):
                x = load(builder, lanes, entry(builder, other, j), seen)
                row = [load(builder, lanes, entry(builder, s, j), seen) for s in starts]
                return [fma(builder, lanes, r, x, t) for r, t in zip(row, totals, strict=True)]

            def last_piece(j, totals):
                return piece(j, totals, mask(builder, builder.sub(n, j), width))

            totals = loop(builder, number(0), whole, width, [ir.Constant(lanes[0], None)] * width, piece)
            total = sums(builder, loop(builder, whole, n, width, totals, last_piece))
            store(builder, lanes, total, entry(builder, data, i), mask(builder, builder.sub(args[3], i), width))
            return []

        loop(builder, number(0), args[3], width, [], some)
        return context.get_dummy_value()

    return types.none(out, a, types.int64, types.int64, v), codegen


@intrinsic
def add_rows(context, out, a, first, count, v):
    """out[j] += sum_i v[i] a[first + i, j] over i < count."""

    def codegen(context, builder, signature, args):
        matrix, n, address = rows_of(builder, signature.args[1], args[1])
        data, other, lanes = part(builder, args[0], DATA), part(builder, args[4], DATA), lanes_of(matrix)
        width = lanes[0].count
        fours = builder.and_(args[3], number(-AT_ONCE))

        def columns(j, count, seen=None):
            """`count` vectors of the rows from column j on."""
            ks = [builder.add(j, number(q * width)) for q in range(count)]

            def row(i, totals):
                start = address(builder.add(args[2], i))
                weight = spread(builder, builder.load(entry(builder, other, i)), width)
                parts = [load(builder, lanes, entry(builder, start, k), seen) for k in ks]
                return [fma(builder, lanes, p, weight, t) for p, t in zip(parts, totals, strict=True)]

            def some(i, totals):
                found = [row(builder.add(i, number(q)), totals[q * count : (q + 1) * count]) for q in range(AT_ONCE)]
                return [t for totals in found for t in totals]

            zeros = [ir.Constant(lanes[0], None)] * (AT_ONCE * count)
            totals = loop(builder, number(0), fours, AT_ONCE, zeros, some)
            totals[:count] = loop(builder, fours, args[3], 1, totals[:count], row)
            for q, k in enumerate(ks):
                a, b, c, d = totals[q::count]
                total = builder.fadd(builder.fadd(a, b), builder.fadd(c, d))
                where = entry(builder, data, k)
                store(builder, lanes, builder.fadd(load(builder, lanes, where, seen), total), where, seen)
            return []

        whole = builder.and_(n, number(-width))
        wide = builder.mul(builder.sdiv(n, number(WIDE * width)), number(WIDE * width))

        def several(j, _):
            return columns(j, WIDE)

        def single(j, _):
            return columns(j, 1)

        def last(j, _):
            return columns(j, 1, mask(builder, builder.sub(n, j), width))

        loop(builder, number(0), wide, WIDE * width, [], several)
        loop(builder, wide, whole, width, [], single)
        loop(builder, whole, n, width, [], last)
        return context.get_dummy_value()

    return types.none(out, a, types.int64, types.int64, v), codegen
