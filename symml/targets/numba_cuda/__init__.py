"""numba-cuda kernels: one block of threads runs a whole training (the persistent lowering)."""
