"""Branch-free functions of one number, which vectorise where libm does not: exp, log, log1p, expm1, tanh, sigmoid,
softplus and the simple ones, each as NAME_f64 and NAME_f32.

Polynomials are Taylor series on a reduced argument (exp: |r| <= log(2)/2; log: the atanh series in f/(2 + f)), long enough
for the precision; powers of two are made from bits. NaN, infinities and denormals are kept by selects. Only `contract` is
allowed here: reassociation would undo the compensated parts. Emitted modules hold the functions they use.
"""

import math

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic


@intrinsic
def double_of_bits(context, a):
    """A 64-bit pattern as a float64."""

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.int64), codegen


@intrinsic
def bits_of_double(context, a):
    """The bit pattern of a float64."""

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], ir.IntType(64))

    return types.int64(types.float64), codegen


@intrinsic
def single_of_bits(context, a):
    """A 32-bit pattern as a float32."""

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), codegen


@intrinsic
def bits_of_single(context, a):
    """The bit pattern of a float32."""

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], ir.IntType(32))

    return types.int32(types.float32), codegen


# float64

LOG2E = 1.4426950408889634
LN2_HIGH = 0.693147180369123816490  # its last 21 bits are zero: k times it is exact
LN2_LOW = 1.90821492927058770002e-10
ROUND = 6755399441055744.0  # 1.5 * 2^52: adding it leaves the nearest integer in the low bits
SCALE_UP = 18014398509481984.0  # 2^54


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def power_of_two_f64(k):
    """2^k for -1022 <= k <= 1023."""
    return double_of_bits((k + np.int64(1023)) << np.int64(52))


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def tail_f64(r):
    """(exp(r) - 1 - r)/r^2 for |r| <= log(2)/2."""
    p = 1.0 / 6227020800.0
    p = p * r + 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    return p * r + 0.5


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def exp_f64(u):
    """exp(u)"""
    low = u if u > -746.0 else -746.0
    x = low if low < 710.0 else 710.0
    shifted = x * LOG2E + ROUND
    k = bits_of_double(shifted) - bits_of_double(ROUND)
    kf = shifted - ROUND
    r = (x - kf * LN2_HIGH) - kf * LN2_LOW
    half = k >> np.int64(1)
    y = (1.0 + (r + r * r * tail_f64(r))) * power_of_two_f64(half) * power_of_two_f64(k - half)
    return y if u == u else u


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def expm1_f64(u):
    """exp(u) - 1, accurate near 0."""
    low = u if u > -40.0 else -40.0
    x = low if low < 710.0 else 710.0
    shifted = x * LOG2E + ROUND
    k = bits_of_double(shifted) - bits_of_double(ROUND)
    kf = shifted - ROUND
    r = (x - kf * LN2_HIGH) - kf * LN2_LOW
    p = r + r * r * tail_f64(r)
    half = power_of_two_f64(k - np.int64(1))  # 2^k itself would overflow at the upper end
    y = 2.0 * (half * p + (half - 0.5))
    y = p if kf == 0.0 else y
    return y if u == u else u


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def log_near_1_f64(f, high, low):
    """log(1 + f) + high + low for sqrt(1/2) <= 1 + f <= sqrt(2)."""
    s = f / (2.0 + f)
    z = s * s
    p = 2.0 / 23.0
    p = p * z + 2.0 / 21.0
    p = p * z + 2.0 / 19.0
    p = p * z + 2.0 / 17.0
    p = p * z + 2.0 / 15.0
    p = p * z + 2.0 / 13.0
    p = p * z + 2.0 / 11.0
    p = p * z + 2.0 / 9.0
    p = p * z + 2.0 / 7.0
    p = p * z + 2.0 / 5.0
    p = p * z + 2.0 / 3.0
    return high + (f - (s * (f - p * z) - low))  # log(1 + f) = f - s (f - 2 z/3 - 2 z^2/5 - ...)


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def log_f64(u):
    """log(u)"""
    small = u < 2.2250738585072014e-308
    bits = bits_of_double(u * SCALE_UP if small else u)
    k = ((bits - np.int64(0x3FE6A09E667F3BCD)) >> np.int64(52)) + np.int64(0)  # mantissa in [sqrt(1/2), sqrt(2))
    m = double_of_bits(bits - (k << np.int64(52)))
    kf = float(k) - (54.0 if small else 0.0)
    y = log_near_1_f64(m - 1.0, kf * LN2_HIGH, kf * LN2_LOW)
    y = y if u < math.inf else u
    y = y if u > 0.0 else (-math.inf if u == 0.0 else math.nan)
    return y if u == u else u


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def log1p_f64(u):
    """log(1 + u), accurate near 0: the rounding of 1 + u is put back to first order."""
    w = 1.0 + u
    lost = u - (w - 1.0)
    y = log_f64(w) + (lost / w if lost != 0.0 else 0.0)
    y = y if u < math.inf else u
    return u if u == 0.0 else y


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def tanh_f64(u):
    """tanh(u) = expm1(2u)/(expm1(2u) + 2)"""
    low = u if u > -22.0 else -22.0
    x = low if low < 22.0 else 22.0
    e = expm1_f64(2.0 * x)
    y = e / (e + 2.0)
    y = u if u == 0.0 else y
    return y if u == u else u


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def sigmoid_f64(u):
    """1/(1 + exp(-u)), relative accuracy at both ends."""
    z = exp_f64(-abs(u))
    return (1.0 if u >= 0.0 else z) / (1.0 + z)


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def softplus_f64(u):
    """log(1 + exp(u)) = max(u, 0) + log(1 + z), z = exp(-|u|) <= 1: of 1 + z and (1 + z)/2, what is near 1."""
    z = exp_f64(-abs(u))
    half = z > 0.41421356237309503
    f = 0.5 * z - 0.5 if half else z
    y = log_near_1_f64(f, LN2_HIGH if half else 0.0, LN2_LOW if half else 0.0)
    return (0.0 if u <= 0.0 else u) + y


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def relu_f64(u):
    """max(u, 0)"""
    return 0.0 if u <= 0.0 else u


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def step_f64(u):
    """1 where u > 0, else 0"""
    return 1.0 if u > 0.0 else 0.0


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def absolute_f64(u):
    """|u|"""
    return abs(u)


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def sign_f64(u):
    """-1, 0 or 1"""
    return (1.0 if u > 0.0 else 0.0) - (1.0 if u < 0.0 else 0.0)


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def maximum_f64(a, b):
    """The larger; NaN if either is."""
    y = a if a >= b else b
    return y if a == a else a


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def minimum_f64(a, b):
    """The smaller; NaN if either is."""
    y = a if a <= b else b
    return y if a == a else a


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def lost_f64(a, b):
    """What a + b leaves out."""
    total = a + b
    moved = total - a
    return (a - (total - moved)) + (b - moved)


# float32

F = np.float32
LOG2E_F = np.float32(1.4426950408889634)
LN2_HIGH_F = np.float32(0.693145751953125)
LN2_LOW_F = np.float32(1.42860682030941723212e-6)
ROUND_F = np.float32(12582912.0)  # 1.5 * 2^23


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def power_of_two_f32(k):
    """2^k for -126 <= k <= 127."""
    return single_of_bits(np.int32((k + np.int32(127)) << np.int32(23)))


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def tail_f32(r):
    """(exp(r) - 1 - r)/r^2 for |r| <= log(2)/2."""
    p = F(1.0 / 40320.0)
    p = p * r + F(1.0 / 5040.0)
    p = p * r + F(1.0 / 720.0)
    p = p * r + F(1.0 / 120.0)
    p = p * r + F(1.0 / 24.0)
    p = p * r + F(1.0 / 6.0)
    return p * r + F(0.5)


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def exp_f32(u):
    """exp(u)"""
    low = u if u > F(-104.0) else F(-104.0)
    x = low if low < F(89.0) else F(89.0)
    shifted = x * LOG2E_F + ROUND_F
    k = np.int32(bits_of_single(shifted) - bits_of_single(ROUND_F))
    kf = shifted - ROUND_F
    r = (x - kf * LN2_HIGH_F) - kf * LN2_LOW_F
    half = np.int32(k >> np.int32(1))
    y = (F(1.0) + (r + r * r * tail_f32(r))) * power_of_two_f32(half) * power_of_two_f32(np.int32(k - half))
    return y if u == u else u


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def expm1_f32(u):
    """exp(u) - 1, accurate near 0."""
    low = u if u > F(-20.0) else F(-20.0)
    x = low if low < F(89.0) else F(89.0)
    shifted = x * LOG2E_F + ROUND_F
    k = np.int32(bits_of_single(shifted) - bits_of_single(ROUND_F))
    kf = shifted - ROUND_F
    r = (x - kf * LN2_HIGH_F) - kf * LN2_LOW_F
    p = r + r * r * tail_f32(r)
    half = power_of_two_f32(np.int32(k - np.int32(1)))
    y = F(2.0) * (half * p + (half - F(0.5)))
    y = p if kf == F(0.0) else y
    return y if u == u else u


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def log_near_1_f32(f, high, low):
    """log(1 + f) + high + low for sqrt(1/2) <= 1 + f <= sqrt(2)."""
    s = f / (F(2.0) + f)
    z = s * s
    p = F(2.0 / 11.0)
    p = p * z + F(2.0 / 9.0)
    p = p * z + F(2.0 / 7.0)
    p = p * z + F(2.0 / 5.0)
    p = p * z + F(2.0 / 3.0)
    return high + (f - (s * (f - p * z) - low))


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def log_f32(u):
    """log(u)"""
    small = u < F(1.17549435e-38)
    bits = bits_of_single(u * F(33554432.0) if small else u)
    k = np.int32(
        np.int32(bits - np.int32(0x3F3504F3)) >> np.int32(23)
    )  # numba's sums of int32 are int64: wide and slow
    m = single_of_bits(np.int32(bits - np.int32(k << np.int32(23))))
    kf = F(k) - (F(25.0) if small else F(0.0))
    y = log_near_1_f32(m - F(1.0), kf * LN2_HIGH_F, kf * LN2_LOW_F)
    y = y if u < F(math.inf) else u
    y = y if u > F(0.0) else (F(-math.inf) if u == F(0.0) else F(math.nan))
    return y if u == u else u


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def log1p_f32(u):
    """log(1 + u), accurate near 0."""
    w = F(1.0) + u
    lost = u - (w - F(1.0))
    y = log_f32(w) + (lost / w if lost != F(0.0) else F(0.0))
    y = y if u < F(math.inf) else u
    return u if u == F(0.0) else y


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def tanh_f32(u):
    """tanh(u)"""
    low = u if u > F(-10.0) else F(-10.0)
    x = low if low < F(10.0) else F(10.0)
    e = expm1_f32(F(2.0) * x)
    y = e / (e + F(2.0))
    y = u if u == F(0.0) else y
    return y if u == u else u


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def sigmoid_f32(u):
    """1/(1 + exp(-u))"""
    z = exp_f32(-abs(u))
    return (F(1.0) if u >= F(0.0) else z) / (F(1.0) + z)


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def softplus_f32(u):
    """log(1 + exp(u))"""
    z = exp_f32(-abs(u))
    half = z > F(0.41421356)
    f = F(0.5) * z - F(0.5) if half else z
    y = log_near_1_f32(f, LN2_HIGH_F if half else F(0.0), LN2_LOW_F if half else F(0.0))
    return (F(0.0) if u <= F(0.0) else u) + y


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def relu_f32(u):
    """max(u, 0)"""
    return F(0.0) if u <= F(0.0) else u


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def step_f32(u):
    """1 where u > 0, else 0"""
    return F(1.0) if u > F(0.0) else F(0.0)


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def absolute_f32(u):
    """|u|"""
    return abs(u)


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def sign_f32(u):
    """-1, 0 or 1"""
    return (F(1.0) if u > F(0.0) else F(0.0)) - (F(1.0) if u < F(0.0) else F(0.0))


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def maximum_f32(a, b):
    """The larger; NaN if either is."""
    y = a if a >= b else b
    return y if a == a else a


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def minimum_f32(a, b):
    """The smaller; NaN if either is."""
    y = a if a <= b else b
    return y if a == a else a


@njit(forceinline=True, fastmath={"contract"}, error_model="numpy")
def lost_f32(a, b):
    """What a + b leaves out."""
    total = a + b
    moved = total - a
    return (a - (total - moved)) + (b - moved)
