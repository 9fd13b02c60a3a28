"""What a block of threads does together: sums in a fixed order, the largest entry, a permutation, a matrix product.

Printed into modules, which define cuda, real, THREADS = 2^BITS, WARP, WARPS, TILE_* and `exchanged(value, offset)`, the
value of the thread whose number differs in the bit `offset` of its warp. Every thread of the block calls these functions,
and all get the same value: control flow that depends on it is uniform. Nothing here uses float atomics, so the same
input gives the same bits.
"""

import numpy as np
from numba import cuda

LOW = (1 << 32) - 1


def width(n):
    """The power of two (as its logarithm) that covers n items side by side, at most the block."""
    bits = 0
    while (1 << bits) < n and bits < BITS:
        bits += 1
    return bits


def lane_sum(value, lanes):
    """The sum over `lanes` neighbouring threads (a power of two, at most a warp)."""
    offset = lanes >> 1
    while offset > 0:
        value += exchanged(value, offset)
        offset >>= 1
    return value


def row_sum(value, bits):
    """The sum over the threads of equal number modulo 2^bits: warps by exchange, then across warps in order."""
    buffer = cuda.shared.array(THREADS, real)
    thread = cuda.threadIdx.x
    offset = 1 << bits
    while offset < WARP:
        value += exchanged(value, offset)
        offset <<= 1
    cuda.syncthreads()
    buffer[thread] = value
    cuda.syncthreads()
    lanes = 1 << bits
    total = real(0)
    for k in range(thread & (lanes - 1), THREADS, lanes if lanes > WARP else WARP):
        total += buffer[k]
    return total


def block_sum(value):
    """The sum over all threads, in double precision."""
    buffer = cuda.shared.array(WARPS, np.float64)
    thread = cuda.threadIdx.x
    value = lane_sum(float(value), WARP)
    cuda.syncthreads()
    if thread % WARP == 0:
        buffer[thread // WARP] = value
    cuda.syncthreads()
    total = 0.0
    for k in range(WARPS):
        total += buffer[k]
    return total


def largest(a):
    """max |a|; NaN if any entry is NaN."""
    buffer = cuda.shared.array(THREADS, np.float64)
    thread = cuda.threadIdx.x
    top = 0.0
    for i in range(thread, a.shape[0], THREADS):
        v = abs(float(a[i]))
        if v > top or v != v:  # NaN, once met, stays
            top = v
    cuda.syncthreads()
    buffer[thread] = top
    cuda.syncthreads()
    top = buffer[0]
    for k in range(1, THREADS):
        v = buffer[k]
        if v > top or v != v:
            top = v
    return top


def shuffle(order, seed, purpose, step):
    """The permutation of algorithms/philox.py: the draws by all threads, kept in the upper halves; the swaps by one."""
    n = order.shape[0]
    thread = cuda.threadIdx.x
    cuda.syncthreads()
    for i in range(thread, n, THREADS):
        a, b, _, _ = philox(step, i, seed, purpose)
        order[i] = (int(unit(a, b) * (i + 1)) << 32) | i
    cuda.syncthreads()
    if thread == 0:
        for i in range(n - 1, -1, -1):
            mine = order[i]
            j = mine >> 32
            other = order[j]
            order[j] = (other - (other & LOW)) | (mine & LOW)
            order[i] = (other & LOW) if j != i else (mine & LOW)
    cuda.syncthreads()


def product(a, a_row, a_depth, b, b_depth, b_column, out, rows, columns, depth, scale):
    """out[i, j] = scale sum[k] A[i, k] B[k, j], where A[i, k] = a[i a_row + k a_depth] and B likewise.

    Tiles of A and B stand in shared memory; each thread keeps 4 x 4 entries of the result in registers.
    """
    left = cuda.shared.array((TILE_DEPTH, 4 * TILE_ROWS), real)
    right = cuda.shared.array((TILE_DEPTH, 4 * TILE_COLUMNS), real)
    sums = cuda.local.array((4, 4), real)
    thread = cuda.threadIdx.x
    y, x = thread // TILE_COLUMNS, thread % TILE_COLUMNS
    for top in range(0, rows, 4 * TILE_ROWS):
        for start in range(0, columns, 4 * TILE_COLUMNS):
            for p in range(4):
                for q in range(4):
                    sums[p, q] = real(0)
            for near in range(0, depth, TILE_DEPTH):
                for e in range(thread, TILE_DEPTH * 4 * TILE_ROWS, THREADS):
                    # neighbouring threads read neighbouring entries of memory, whichever axis that is
                    k = e // (4 * TILE_ROWS) if a_row == 1 else e % TILE_DEPTH
                    i = e % (4 * TILE_ROWS) if a_row == 1 else e // TILE_DEPTH
                    inside = top + i < rows and near + k < depth
                    left[k, i] = a[(top + i) * a_row + (near + k) * a_depth] if inside else real(0)
                for e in range(thread, TILE_DEPTH * 4 * TILE_COLUMNS, THREADS):
                    k = e % TILE_DEPTH if b_depth == 1 else e // (4 * TILE_COLUMNS)
                    j = e // TILE_DEPTH if b_depth == 1 else e % (4 * TILE_COLUMNS)
                    inside = start + j < columns and near + k < depth
                    right[k, j] = b[(near + k) * b_depth + (start + j) * b_column] if inside else real(0)
                cuda.syncthreads()
                for k in range(TILE_DEPTH):
                    for p in range(4):
                        for q in range(4):
                            sums[p, q] += left[k, y + p * TILE_ROWS] * right[k, x + q * TILE_COLUMNS]
                cuda.syncthreads()
            for p in range(4):
                for q in range(4):
                    i, j = top + y + p * TILE_ROWS, start + x + q * TILE_COLUMNS
                    if i < rows and j < columns:
                        out[i * columns + j] = scale * sums[p, q]
    cuda.syncthreads()
