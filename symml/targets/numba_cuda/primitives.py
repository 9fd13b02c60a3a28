"""Functions of one number for the device, each as NAME_f64 and NAME_f32, on CUDA's own libdevice (<= 2 ulp).

They are printed into modules, which define `exp`, `log`, `log1p`, `expm1` and `tanh` (the math module's; numpy's in the
simulator, whose plain Python would raise where the device gives infinity). F = numpy.float32 keeps literals single.
"""

import numpy as np

F = np.float32


def exp_f64(u):
    """exp(u)"""
    return exp(u)


def exp_f32(u):
    """exp(u)"""
    return exp(u)


def log_f64(u):
    """log(u)"""
    return log(u)


def log_f32(u):
    """log(u)"""
    return log(u)


def log1p_f64(u):
    """log(1 + u)"""
    return log1p(u)


def log1p_f32(u):
    """log(1 + u)"""
    return log1p(u)


def expm1_f64(u):
    """exp(u) - 1"""
    return expm1(u)


def expm1_f32(u):
    """exp(u) - 1"""
    return expm1(u)


def tanh_f64(u):
    """tanh(u)"""
    return tanh(u)


def tanh_f32(u):
    """tanh(u)"""
    return tanh(u)


def sigmoid_f64(u):
    """1/(1 + exp(-u)), relative accuracy at both ends."""
    z = exp(-abs(u))
    return (1.0 if u >= 0.0 else z) / (1.0 + z)


def sigmoid_f32(u):
    """1/(1 + exp(-u)), relative accuracy at both ends."""
    z = exp(-abs(u))
    return (F(1.0) if u >= F(0.0) else z) / (F(1.0) + z)


def softplus_f64(u):
    """log(1 + exp(u)) = max(u, 0) + log1p(exp(-|u|))"""
    return (0.0 if u <= 0.0 else u) + log1p(exp(-abs(u)))


def softplus_f32(u):
    """log(1 + exp(u))"""
    return (F(0.0) if u <= F(0.0) else u) + log1p(exp(-abs(u)))


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
