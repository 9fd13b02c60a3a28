"""Joins a problem (Programs), an algorithm and the data loop into a Plan that a target prints."""
