"""The command line: the only room that prints or exits.

Exit codes: 0 done, 2 wrong spec or data, 3 numeric failure, 4 a file or a device cannot be used, 130 interrupted.
"""

from symml.cli.entry import main

__all__ = ["main"]
