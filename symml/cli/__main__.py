"""`python -m symml.cli`, the same as `symml`."""

from symml.cli.entry import main

main()
