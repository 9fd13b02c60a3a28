"""Philox4x32-10, a counter-based generator: the same stream on every target, and resume is bit-identical.

Key (seed, purpose), counter (index low, index high, step low, step high); every draw is a function of those four alone.
Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

    shuffle(order, seed, SHUFFLE, epoch)        a permutation of 0..n-1
    fill_normal(x, 0.0, 1.0, seed, INIT, 0)     x[i] depends on (seed, purpose, step, i) alone
"""

import math

SHUFFLE = 1
INIT = 2
SPLIT = 3
DRAW = 4
BOOTSTRAP = 5
FOLDS = 6
MASK = 0xFFFFFFFF


def multiply_high_low(a, b):
    """High and low 32 bits of a 32 x 32 bit product; a product that wraps in 64 bits with a sign has the same bits."""
    product = a * b
    return (product >> 32) & MASK, product & MASK


def philox(step, index, seed, purpose):
    """Four words of 32 bits for one counter."""
    return philox_block(
        index & MASK, (index >> 32) & MASK, step & MASK, (step >> 32) & MASK, seed & MASK, purpose & MASK
    )


def philox_block(c0, c1, c2, c3, k0, k1):
    """Ten rounds of the Philox4x32 bijection."""
    for _ in range(10):
        high0, low0 = multiply_high_low(c0, 0xD2511F53)
        high1, low1 = multiply_high_low(c2, 0xCD9E8D57)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0 = (k0 + 0x9E3779B9) & MASK
        k1 = (k1 + 0xBB67AE85) & MASK
    return c0, c1, c2, c3


def unit(high, low):
    """A number in (0, 1) of 53 bits from two words."""
    return ((high >> 5) * 67108864.0 + (low >> 6) + 0.5) / 9007199254740992.0


def fill_normal(out, mean, deviation, seed, purpose, step):
    """Fill a vector with normal numbers (Box-Muller: two from each block)."""
    for k in range((out.shape[0] + 1) // 2):
        a, b, c, d = philox(step, k, seed, purpose)
        radius = deviation * math.sqrt(-2.0 * math.log(unit(a, b)))
        angle = 2.0 * math.pi * unit(c, d)
        out[2 * k] = mean + radius * math.cos(angle)
        if 2 * k + 1 < out.shape[0]:
            out[2 * k + 1] = mean + radius * math.sin(angle)


def shuffle(order, seed, purpose, step):
    """Fill `order` (64-bit integers) with a permutation of 0..n-1: Fisher-Yates, position i from counter (step, i).

    The place is floor(u (i + 1)) of a 53-bit u: biased by less than n 2^-53. All places are drawn before the first swap,
    many at once, and stand above the 32 bits that are permuted.
    """
    for i in range(order.shape[0]):
        a, b, _, _ = philox(step, i, seed, purpose)
        order[i] = (int(unit(a, b) * (i + 1)) << 32) | i
    for i in range(order.shape[0] - 1, -1, -1):
        mine = order[i]
        j = mine >> 32
        other = order[j]
        order[j] = (other & ~MASK) | (mine & MASK)
        order[i] = other & MASK
