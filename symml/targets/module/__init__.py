"""Standalone modules: the CPU kernel with preparation, `fit` and `predict`, readable and free of symml."""
