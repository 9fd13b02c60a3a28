"""numba functions for the CPU."""
