"""Numeric forms: the bodies of a finished Program as they are executed, each near the truth over the whole range of floats.

This is the last rewrite, after derivation: no derivative, certificate or print sees it, so its forms may branch. A file
is a family of rules; `engine.numeric` applies them.

    sqrt(x + 1) - sqrt(x)   ->   1/(sqrt(x + 1) + sqrt(x))
"""
