"""Program to pieces of a problem, each with its reason."""
