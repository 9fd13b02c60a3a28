"""One thread for everybody: read before any numeric package is loaded."""

import os

THREADS = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}


def one_core() -> None:
    """Bind this process to one core, where the system can: XLA's runtime shares a step out over two threads whatever its
    flags say (of an epoch of W3, 53 and 47 % of the CPU time)."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
