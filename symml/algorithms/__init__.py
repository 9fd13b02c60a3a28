"""Algorithms as plain functions over numpy arrays, one a file; they import nothing of symml.

The same source runs as plain Python (reference), under numba (CPU) and inside emitted modules. What a function calls
besides (`value_and_grad`, `update` ...) is a global of the module it is put in; each file's docstring names its needs.
"""
