"""What a block of threads does together: sums in a fixed order, the largest entry, a permutation, a matrix product.

Printed into modules, which define cuda, real, THREADS = 2^BITS, WARP, WARPS, TILE_* and `exchanged(value, offset, shared)`,
the value of the thread whose number differs in the bit `offset` of its warp. Functions that take `shared` are called by
every thread of the block, and all get the same value: control flow that depends on it is uniform. Nothing here uses
float atomics, so the same input gives the same bits.

`shared` = (sums, parts, left, right, scratch) is the block's memory, declared by the kernel: numba cannot link a device
function that declares its own twice. Whoever writes there begins with a barrier, so that all have read what stood before.
"""

LOW = (1 << 32) - 1


def min(a, b):
    """The smaller of two numbers. Python's own does not compile for CUDA in every release of numba."""
    return b if b < a else a


def max(a, b):
    """The larger of two numbers."""
    return b if b > a else a


def width(n):
    """The power of two (as its logarithm) that covers n items side by side, at most the block."""
    bits = 0
    while (1 << bits) < n and bits < BITS:
        bits += 1
    return bits


def lane_sum(value, lanes, shared):
    """The sum over `lanes` neighbouring threads (a power of two, at most a warp)."""
    offset = lanes >> 1
    while offset > 0:
        value += exchanged(value, offset, shared)
        offset >>= 1
    return value


def row_sum(value, bits, shared):
    """The sum over the threads of equal number modulo 2^bits: warps by exchange, then across warps in order."""
    sums, _, _, _, _ = shared
    thread = cuda.threadIdx.x
    offset = 1 << bits
    while offset < WARP:
        value += exchanged(value, offset, shared)
        offset <<= 1
    cuda.syncthreads()
    sums[thread] = value
    cuda.syncthreads()
    lanes = 1 << bits
    total = real(0)
    for k in range(thread & (lanes - 1), THREADS, lanes if lanes > WARP else WARP):
        total += sums[k]
    return total


def block_sum(value, shared):
    """The sum over all threads, in double precision."""
    _, parts, _, _, _ = shared
    thread = cuda.threadIdx.x
    value = lane_sum(float(value), WARP, shared)
    cuda.syncthreads()
    if thread % WARP == 0:
        parts[thread // WARP] = value
    cuda.syncthreads()
    total = 0.0
    for k in range(WARPS):
        total += parts[k]
    return total


def largest(a, shared):
    """max |a|; NaN if any entry is NaN."""
    _, parts, _, _, _ = shared
    thread = cuda.threadIdx.x
    top = 0.0
    for i in range(thread, a.shape[0], THREADS):
        v = abs(float(a[i]))
        if v > top or v != v:  # NaN, once met, stays
            top = v
    cuda.syncthreads()
    parts[thread] = top
    cuda.syncthreads()
    top = parts[0]
    for k in range(1, THREADS):
        v = parts[k]
        if v > top or v != v:
            top = v
    return top


def shuffle(order, seed, purpose, step, shared):
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


def product(a, a_row, a_depth, b, b_depth, b_column, out, rows, columns, depth, scale, shared):
    """out[i, j] = scale sum[k] A[i, k] B[k, j], where A[i, k] = a[i a_row + k a_depth] and B likewise.

    Tiles of A and B stand in shared memory; each thread keeps 4 x 4 entries of the result in registers.
    """
    _, _, left, right, _ = shared
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
                    left[k * 4 * TILE_ROWS + i] = a[(top + i) * a_row + (near + k) * a_depth] if inside else real(0)
                for e in range(thread, TILE_DEPTH * 4 * TILE_COLUMNS, THREADS):
                    k = e % TILE_DEPTH if b_depth == 1 else e // (4 * TILE_COLUMNS)
                    j = e // TILE_DEPTH if b_depth == 1 else e % (4 * TILE_COLUMNS)
                    inside = start + j < columns and near + k < depth
                    value = b[(near + k) * b_depth + (start + j) * b_column] if inside else real(0)
                    right[k * 4 * TILE_COLUMNS + j] = value
                cuda.syncthreads()
                for k in range(TILE_DEPTH):
                    for p in range(4):
                        for q in range(4):
                            m = left[(k * 4 + p) * TILE_ROWS + y]
                            sums[p, q] += m * right[(k * 4 + q) * TILE_COLUMNS + x]
                cuda.syncthreads()
            for p in range(4):
                for q in range(4):
                    i, j = top + y + p * TILE_ROWS, start + x + q * TILE_COLUMNS
                    if i < rows and j < columns:
                        out[i * columns + j] = scale * sums[p, q]
    cuda.syncthreads()
