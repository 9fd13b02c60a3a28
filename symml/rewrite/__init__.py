"""Program to Program, one pass a file; a pass that changes nothing returns the same object.

stabilise (before differentiation), then simplify = inline + merge + factor, cse, dead to a fixed point
"""
