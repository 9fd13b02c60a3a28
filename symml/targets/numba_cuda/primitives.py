"""Functions of one number for the device, each as NAME_f64 and NAME_f32.

They are printed into modules, which define what stands in CUDA's own libdevice (<= 2 ulp) as `exp_f64`, `exp_f32` and so
on: the math module's, or numpy's in the simulator, whose plain Python would raise where the device gives infinity.
F = numpy.float32 keeps literals single.
"""

import math

import numpy as np

F = np.float32


def sigmoid_f64(u):
    """1/(1 + exp(-u)), relative accuracy at both ends."""
    z = exp_f64(-abs(u))
    return (1.0 if u >= 0.0 else z) / (1.0 + z)


def sigmoid_f32(u):
    """1/(1 + exp(-u)), relative accuracy at both ends."""
    z = exp_f32(-abs(u))
    return (F(1.0) if u >= F(0.0) else z) / (F(1.0) + z)


def softplus_f64(u):
    """log(1 + exp(u)) = max(u, 0) + log1p(exp(-|u|))"""
    return (0.0 if u <= 0.0 else u) + log1p_f64(exp_f64(-abs(u)))


def softplus_f32(u):
    """log(1 + exp(u))"""
    return (F(0.0) if u <= F(0.0) else u) + log1p_f32(exp_f32(-abs(u)))


def relu_f64(u):
    """max(u, 0)"""
    return 0.0 if u <= 0.0 else u


def relu_f32(u):
    """max(u, 0)"""
    return F(0.0) if u <= F(0.0) else u


def step_f64(u):
    """1 where u > 0, else 0"""
    return 1.0 if u > 0.0 else 0.0


def step_f32(u):
    """1 where u > 0, else 0"""
    return F(1.0) if u > F(0.0) else F(0.0)


def lost_f64(a, b):
    """What a + b leaves out."""
    total = a + b
    moved = total - a
    return (a - (total - moved)) + (b - moved)


def lost_f32(a, b):
    """What a + b leaves out."""
    total = a + b
    moved = total - a
    return (a - (total - moved)) + (b - moved)


def absolute_f64(u):
    """|u|"""
    return abs(u)


def absolute_f32(u):
    """|u|"""
    return abs(u)


def sign_f64(u):
    """-1, 0 or 1"""
    return (1.0 if u > 0.0 else 0.0) - (1.0 if u < 0.0 else 0.0)


def sign_f32(u):
    """-1, 0 or 1"""
    return (F(1.0) if u > F(0.0) else F(0.0)) - (F(1.0) if u < F(0.0) else F(0.0))


def maximum_f64(a, b):
    """The larger; NaN if either is."""
    y = a if a >= b else b
    return y if a == a else a


def maximum_f32(a, b):
    """The larger; NaN if either is."""
    y = a if a >= b else b
    return y if a == a else a


def minimum_f64(a, b):
    """The smaller; NaN if either is."""
    y = a if a <= b else b
    return y if a == a else a


def minimum_f32(a, b):
    """The smaller; NaN if either is."""
    y = a if a <= b else b
    return y if a == a else a


def floor_f64(u):
    """The largest whole number not above u; beyond 2^52 every number is whole."""
    return float(math.floor(u)) if abs(u) < 4503599627370496.0 else u


def floor_f32(u):
    """The largest whole number not above u; beyond 2^23 every number is whole."""
    return F(math.floor(u)) if abs(u) < F(8388608.0) else u
