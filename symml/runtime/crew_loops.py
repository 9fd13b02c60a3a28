"""What the caller of a job and its helpers do, in compiled code: take the next chunk until none is left.

`base` is the address of the words that they share. Whoever is free takes the next chunk, so a helper that is late or
absent costs nothing, and a fork or an interrupt between two jobs leaves nothing behind. Who did a chunk leaves no trace:
its sums have their own place.

A helper that finds nothing looks SPINS times again and then sleeps on a lock of the interpreter, which any thread may
release. `asleep` changes from 1 to 0 once for each release, by whoever wakes the sleeper. runtime/crew.py compiles this
file once for all pages.
"""

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

LEFT = 0  # chunks that nobody took yet; each of the first three words has a cache line of its own
DONE = 8  # chunks that are finished
STOP = 16
HELPERS = 24
COUNT = 25  # chunks of the job
JOB = 26  # the address of its function
ARGS = 27  # the address of what it is told
SEATS = 64  # a seat for the caller, then one for each helper: asleep, its lock, ready
SEAT = 8
SPINS = 20_000
acquire_lock = types.ExternalFunction("PyThread_acquire_lock", types.int32(types.intp, types.int32))
release_lock = types.ExternalFunction("PyThread_release_lock", types.void(types.intp))


@intrinsic
def read(context, address):
    """The int64 at an address, as other threads have it."""

    def codegen(context, builder, signature, args):
        place = builder.inttoptr(args[0], ir.IntType(64).as_pointer())
        return builder.load_atomic(place, "seq_cst", 8)

    return types.int64(types.int64), codegen


@intrinsic
def swap(context, address, value):
    """Write a value; returns what stood there."""

    def codegen(context, builder, signature, args):
        place = builder.inttoptr(args[0], ir.IntType(64).as_pointer())
        return builder.atomic_rmw("xchg", place, args[1], "seq_cst")

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def add(context, address, value):
    """Add a value; returns what stood there."""

    def codegen(context, builder, signature, args):
        place = builder.inttoptr(args[0], ir.IntType(64).as_pointer())
        return builder.atomic_rmw("add", place, args[1], "seq_cst")

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def change(context, address, old, new):
    """Write `new` where `old` stands; returns whether it did."""

    def codegen(context, builder, signature, args):
        place = builder.inttoptr(args[0], ir.IntType(64).as_pointer())
        found = builder.cmpxchg(place, args[1], args[2], "seq_cst", "seq_cst")
        return builder.extract_value(found, 1)

    return types.boolean(types.int64, types.int64, types.int64), codegen


@intrinsic
def call(context, address, one, two):
    """Call the function at an address with two int64; it returns one."""

    def codegen(context, builder, signature, args):
        word = ir.IntType(64)
        function = builder.inttoptr(args[0], ir.FunctionType(word, [word, word]).as_pointer())
        return builder.call(function, [args[1], args[2]])

    return types.int64(types.int64, types.int64, types.int64), codegen


@njit(cache=True, forceinline=True)
def wake(base, seat):
    """Wake who sleeps on a seat."""
    at = base + 8 * (SEATS + SEAT * seat)
    if read(at) == 1 and swap(at, 0) == 1:
        release_lock(read(at + 8))


@njit(cache=True, forceinline=True)
def is_idle(base, seat):
    """Has the caller to wait for helpers; has a helper nothing to do?"""
    if seat == 0:
        return read(base + 8 * DONE) < read(base + 8 * COUNT)
    return read(base + 8 * LEFT) == 0 and read(base + 8 * STOP) == 0


@njit(cache=True, forceinline=True)
def rest(base, seat):
    """Sleep until somebody wakes this seat; one who was woken between lying down and looking again takes the release."""
    at = base + 8 * (SEATS + SEAT * seat)
    swap(at, 1)
    if is_idle(base, seat) or swap(at, 0) == 0:
        acquire_lock(read(at + 8), 1)


@njit(cache=True, forceinline=True)
def work_on(base):
    """Take chunks until none is left. What a chunk is of stays as it is until it is told to be done."""
    while True:
        left = read(base + 8 * LEFT)
        if left == 0:
            return
        if change(base + 8 * LEFT, left, left - 1):
            count = read(base + 8 * COUNT)
            call(read(base + 8 * JOB), left - 1, read(base + 8 * ARGS))
            if add(base + 8 * DONE, 1) + 1 == count:
                wake(base, 0)


@njit(cache=True, nogil=True)
def run_job(base, count):
    """Offer the chunks of a job, work on them, wait for those that helpers took."""
    swap(base + 8 * COUNT, count)
    swap(base + 8 * DONE, 0)
    swap(base + 8 * LEFT, count)
    for seat in range(1, read(base + 8 * HELPERS) + 1):
        wake(base, seat)
    work_on(base)
    spins = 0
    while is_idle(base, 0):
        spins += 1
        if spins > SPINS:
            rest(base, 0)
    return 0


@njit(cache=True, nogil=True)
def stay(base, seat):
    """A helper, until it is sent home."""
    swap(base + 8 * (SEATS + SEAT * seat + 2), 1)
    spins = 0
    while read(base + 8 * STOP) == 0:
        if read(base + 8 * LEFT) > 0:
            work_on(base)
            spins = 0
        spins += 1
        if spins > SPINS:
            rest(base, seat)
            spins = 0
    return 0


@njit(cache=True, nogil=True)
def send_home(base, stop):
    """The helpers leave when they find nothing to do."""
    swap(base + 8 * STOP, stop)
    for seat in range(1, read(base + 8 * HELPERS) + 1):
        wake(base, seat)
    return 0
