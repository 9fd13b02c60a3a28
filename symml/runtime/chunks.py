"""How many chunks the rows of a pass are cut in, which depends on the data's sizes alone, and the arrays for their sums.

Plain functions over numpy; emitted modules carry this text too, so both add up in the same order.
"""

import math

import numpy as np

MOST_CHUNKS = 64
LEAST_ROWS = 256
LARGE_PASS = 1 << 20  # loop steps of a pass: about 0.3 ms
CREW_JOBS = 29  # in the words of a crew: where the addresses of its functions begin
CREW_SEATS = 64
CREW_SEAT = 8


def entry_count(shape, sizes):
    """The product of sizes as the manifest has them: a number, a dim, or a sum {dim: factor, ..., "": number}."""
    every = [
        s if isinstance(s, int) else sizes[s] if isinstance(s, str) else sum(f * sizes.get(d, 1) for d, f in s.items())
        for s in shape
    ]
    return math.prod(every)


def chunk_limit(chunks, sizes):
    """The most chunks for the rows of one pass; 1 where it is too little work, or sums of chunks would be much of it."""
    limit = min(MOST_CHUNKS, sizes[chunks["row"]] // LEAST_ROWS)
    work = sum(entry_count(loops, sizes) for loops in chunks["work"])
    added = limit * sum(entry_count(shape, sizes) for shape in chunks["parts"])
    return limit if limit > 1 and work >= LARGE_PASS and 4 * added <= work else 1


def chunk_places(chunks, sizes, functions):
    """What stands behind the buffers in `work`: sums of tensors and numbers for each chunk, what chunks are told, and the
    words of a crew, with the addresses of the compiled functions of a chunk."""
    limit = chunk_limit(chunks, sizes)
    crew = np.zeros(CREW_SEATS + CREW_SEAT * (MOST_CHUNKS + 1), np.int64)
    for k, function in enumerate(functions):
        crew[CREW_JOBS + k] = address_of(function)
    return (
        *(np.zeros((limit, entry_count(shape, sizes)), chunks["dtype"]) for shape in chunks["parts"]),
        np.zeros((limit, max(1, chunks["sums"]))),
        np.zeros(max(1, chunks["given"])),
        np.zeros(chunks["call"], np.int64),
        crew,
    )


def address_of(function):
    """Where a compiled function of two int64 stands, which is compiled, or loaded, if need be."""
    function.compile("int64(int64, int64)")
    (found,) = function.overloads.values()
    place = found.library.get_pointer_to_function(found.fndesc.llvm_cfunc_wrapper_name)
    if not place:
        raise RuntimeError("a function that is called by its address was compiled without its C form")
    return place
