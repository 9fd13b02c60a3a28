"""Constrained problems: the Lagrangian, and the dual where the inner minimisation has a closed form."""
