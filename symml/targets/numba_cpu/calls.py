"""A job by its address: compiled code runs the chunks of a pass through the address of the function of a chunk.

Algorithms that call the pass are then compiled without its loops in them, and threads need one address and one array of
numbers. Emitted modules hold the functions they use.
"""

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

HELPERS = 24  # the words of a crew, as runtime/crew_loops.py has them
JOB = 26
ARGS = 27
RUN = 28
JOBS = 29


@intrinsic
def call_address(context, function, one, two):
    """Call the function at an address with two int64; it returns one."""

    def codegen(context, builder, signature, args):
        word = ir.IntType(64)
        place = builder.inttoptr(args[0], ir.FunctionType(word, [word, word]).as_pointer())
        return builder.call(place, [args[1], args[2]])

    return types.int64(types.int64, types.int64, types.int64), codegen


@intrinsic
def address(context, array):
    """Where the entries of an array stand."""

    def codegen(context, builder, signature, args):
        found = context.make_array(signature.args[0])(context, builder, args[0])
        return builder.ptrtoint(found.data, ir.IntType(64))

    return types.int64(array), codegen


@intrinsic
def pointer(context, place):
    """What `carray` makes an array of."""

    def codegen(context, builder, signature, args):
        return builder.inttoptr(args[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.int64), codegen


@njit(cache=True, error_model="numpy")
def run_chunks(crew, job, n, limit, block, call):
    """Do n rows in chunks, `limit` at most, of whole blocks; returns their number. The crew does them side by side."""
    span = -(-max(n, 1) // (limit * block)) * block
    count = -(-n // span)
    call[0] = span
    if crew[HELPERS] == 0:
        for chunk in range(count):
            call_address(crew[JOBS + job], chunk, address(call))
    else:
        crew[JOB] = crew[JOBS + job]
        crew[ARGS] = address(call)
        call_address(crew[RUN], address(crew), count)
    return count


@njit(cache=True, error_model="numpy")
def add_chunks(out, parts, count):
    """The sums of the chunks, added in their order; the first one holds what was there before."""
    for k in range(out.shape[0]):
        out[k] = parts[0, k]
    for chunk in range(1, count):
        for k in range(out.shape[0]):
            out[k] += parts[chunk, k]
