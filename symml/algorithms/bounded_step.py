"""One step of a quasi-Newton method of limited memory between bounds: minimise merit(x), lower <= x <= upper.

Needs merit(x, g, data, work) -> f and symmetric.py. The step goes from the generalised Cauchy point, the first local minimum of
the model along the projected gradient, to the model's minimum in what is free there, put back between the bounds where
that is a way down. Sources: Byrd, Lu, Nocedal & Zhu, SIAM J. Sci. Comput. 16 (1995), algorithm CP and section 5.1;
Morales & Nocedal, ACM Trans. Math. Softw. 38 (2011), the projection; Hager & Zhang, SIAM J. Optim. 16 (2005), eq. 4.1.

pairs: (n, 2m), column k a change of the gradient y, column m + k its step s, in a ring; inner: (2, m, m), s'y and s's.
scalars = [f, projected gradient relative to the gradient where that exceeds 1, scale of the model, least f, least projected
gradient, first f]; counters = [iterations, evaluations, pairs stored, started, steps without progress].
"""

import math

import numpy as np

SUFFICIENT = 1e-4  # c1 of the Wolfe conditions
CURVATURE = 0.9  # c2
TRIALS = 40
ENDLESS = 1e300  # an end that is not there


def bounded_start(x, g, lower, upper, scalars, counters, data, work):
    """x between its bounds, f and the gradient there; False where they are no numbers."""
    for i in range(x.shape[0]):
        x[i] = min(max(x[i], lower[i]), upper[i])
    scalars[0] = merit(x, g, data, work)
    scalars[1] = steepness(x, g, lower, upper)
    counters[1] += 1
    if counters[3] == 0:
        counters[3], scalars[2], scalars[3], scalars[4], scalars[5] = 1, 1.0, scalars[0], scalars[1], scalars[0]
    return math.isfinite(scalars[0]) and math.isfinite(scalars[1])


def steepness(x, g, lower, upper):
    """The largest entry of x - P(x - g) next to that of g where it exceeds 1; NaN where an entry is NaN."""
    moved, size = 0.0, 1.0
    for i in range(x.shape[0]):
        if not (math.isfinite(x[i]) and math.isfinite(g[i])):
            return math.nan
        moved = max(moved, min(g[i], x[i] - lower[i]), min(-g[i], upper[i] - x[i]))
        size = max(size, abs(g[i]))
    return moved / size


def bounded_step(x, g, lower, upper, pairs, inner, scalars, counters, data, work):
    """Move x, f and g one step; False where no step goes down."""
    n, m = x.shape[0], inner.shape[1]
    at, direction, trial, slopes = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
    for _ in range(2):
        kept = min(counters[2], m)
        K, U = np.zeros((2 * kept, 2 * kept)), np.zeros((2 * kept, 2 * kept))
        pivots, c = np.zeros(2 * kept, np.int64), np.zeros(2 * kept)
        middle(inner, kept, counters[2], scalars[2], K)
        whole = factored(K, U, pivots) == kept
        if whole:
            cauchy_point(x, g, lower, upper, pairs, U, pivots, scalars[2], at, direction, c)
            whole = in_face(x, g, lower, upper, pairs, K, U, pivots, scalars[2], at, direction, c)
        slope = 0.0
        for i in range(n):
            slope += direction[i] * g[i]
        step = 0.0
        if whole and slope < 0.0:
            step = wolfe(x, direction, slope, lower, upper, kept, trial, slopes, scalars, counters, data, work)
        if step > 0.0:
            remember(x, g, trial, slopes, pairs, inner, scalars, counters)
            for i in range(n):
                x[i], g[i] = trial[i], slopes[i]
            scalars[1] = steepness(x, g, lower, upper)
            counters[0] += 1
            return True
        if counters[2] == 0:
            return False
        counters[2], scalars[2] = 0, 1.0  # the memory has lost its curvature: once more with the gradient
    return False


def progress(scalars, counters):
    """Count the steps since f was less beyond rounding, or the projected gradient clearly less, than ever."""
    better = scalars[0] < scalars[3] - 1e-15 * abs(scalars[3]) or scalars[1] < 0.9 * scalars[4]
    scalars[3], scalars[4] = min(scalars[0], scalars[3]), min(scalars[1], scalars[4])
    counters[4] = 0 if better else counters[4] + 1
    return counters[4]


# the model f + g'd + d'Bd/2 with B = theta I - W M W', W = [Y, theta S], M^-1 = [-D, L'; L, theta S'S]


def middle(inner, kept, stored, theta, K):
    """K = M^-1, symmetric."""
    m = inner.shape[1]
    for a in range(kept):
        K[a, a] = -inner[0, a, a]
        for b in range(kept):
            newer = (stored - 1 - b) % m < (stored - 1 - a) % m
            K[a, kept + b] = K[kept + b, a] = inner[0, b, a] if newer else 0.0
            K[kept + a, kept + b] = theta * inner[1, a, b]


def factored(K, U, pivots):
    """L D L' of K in U; the number of negative eigenvalues."""
    for a in range(K.shape[0]):
        for b in range(K.shape[0]):
            U[a, b] = K[a, b]
    return factor(U, pivots) if K.shape[0] > 0 else 0


def row_of(pairs, i, theta, w):
    """w = row i of W."""
    kept, m = w.shape[0] // 2, pairs.shape[1] // 2
    for a in range(kept):
        w[a] = pairs[i, a]
        w[kept + a] = theta * pairs[i, m + a]


def dot(a, b):
    """sum a b of short vectors."""
    total = 0.0
    for k in range(a.shape[0]):
        total += a[k] * b[k]
    return total


def cauchy_point(x, g, lower, upper, pairs, U, pivots, theta, at, d, c):
    """at = the first local minimum of the model along P(x - t g), c = W'(at - x)."""
    n, size = x.shape[0], c.shape[0]
    breaks, heap, count = np.zeros(n), np.zeros(n, np.int64), 0
    p, w, v = np.zeros(size), np.zeros(size), np.zeros(size)
    slope = 0.0
    for i in range(n):
        end = upper[i] if g[i] < 0.0 else lower[i]
        breaks[i] = (x[i] - end) / g[i] if g[i] != 0.0 and abs(end) < ENDLESS else math.inf
        d[i], at[i] = -g[i] if breaks[i] > 0.0 else 0.0, x[i]
        slope -= d[i] * d[i]
        if d[i] != 0.0:
            row_of(pairs, i, theta, w)
            for a in range(size):
                p[a] += w[a] * d[i]
            if breaks[i] < math.inf:
                heap[count] = i
                count += 1
    for k in range(count // 2 - 1, -1, -1):
        sift(heap, breaks, k, count)
    for a in range(size):
        c[a], v[a] = 0.0, p[a]
    if size > 0:
        substitute(U, pivots, v)
    bent = -theta * slope - dot(p, v)
    least, before = 2.2e-16 * -theta * slope, 0.0
    while count > 0 and slope < 0.0:
        i = heap[0]
        step = breaks[i] - before
        if -slope < step * max(bent, least):
            break
        count -= 1
        heap[0] = heap[count]
        sift(heap, breaks, 0, count)
        before = breaks[i]
        at[i] = upper[i] if d[i] > 0.0 else lower[i]
        moved = at[i] - x[i]
        row_of(pairs, i, theta, w)
        for a in range(size):
            c[a] += step * p[a]
            v[a] = w[a]
        if size > 0:
            substitute(U, pivots, v)
        slope += step * bent + g[i] * g[i] + theta * g[i] * moved - g[i] * dot(v, c)
        bent -= theta * g[i] * g[i] + 2.0 * g[i] * dot(v, p) + g[i] * g[i] * dot(v, w)
        for a in range(size):
            p[a] += g[i] * w[a]
        d[i] = 0.0
    step = max(-slope / max(bent, least), 0.0) if slope < 0.0 and max(bent, least) > 0.0 else 0.0
    for i in range(n):
        if d[i] != 0.0:
            at[i] = min(max(x[i] + (before + step) * d[i], lower[i]), upper[i])
    for a in range(size):
        c[a] += step * p[a]


def sift(heap, key, k, count):
    """Let the entry k of a heap of `count` sink to its place: the least key is on top."""
    item = heap[k]
    while 2 * k + 1 < count:
        child = 2 * k + 1
        if child + 1 < count and key[heap[child + 1]] < key[heap[child]]:
            child += 1
        if not key[heap[child]] < key[item]:
            break
        heap[k] = heap[child]
        k = child
    heap[k] = item


def in_face(x, g, lower, upper, pairs, K, U, pivots, theta, at, d, c):
    """d = the way from x to the model's minimum in what is free at the Cauchy point `at`; False where the model fails."""
    n, size = x.shape[0], c.shape[0]
    N, v, w, r = np.zeros((size, size)), np.zeros(size), np.zeros(size), np.zeros(n)
    if size > 0:
        substitute(U, pivots, c)
    for i in range(n):
        if lower[i] < at[i] < upper[i]:
            row_of(pairs, i, theta, w)
            r[i] = dot(w, c) - g[i] - theta * (at[i] - x[i])
            for a in range(size):
                v[a] += w[a] * r[i]
                for b in range(a, size):
                    N[a, b] += w[a] * w[b]
    for a in range(size):
        for b in range(a, size):
            N[a, b] = N[b, a] = K[a, b] - N[a, b] / theta
    if factored(N, U, pivots) != size // 2:
        return False
    if size > 0:
        substitute(U, pivots, v)
    slope, longest = 0.0, 1.0
    for i in range(n):
        if lower[i] < at[i] < upper[i]:
            row_of(pairs, i, theta, w)
            r[i] = (r[i] + dot(w, v) / theta) / theta
            if at[i] + r[i] > upper[i]:
                longest = min(longest, (upper[i] - at[i]) / r[i])
            elif at[i] + r[i] < lower[i]:
                longest = min(longest, (lower[i] - at[i]) / r[i])
        else:
            r[i] = 0.0
        d[i] = min(max(at[i] + r[i], lower[i]), upper[i]) - x[i]
        slope += d[i] * g[i]
    if not slope < 0.0:
        for i in range(n):
            d[i] = at[i] + longest * r[i] - x[i]
    return True


def remember(x, g, trial, slopes, pairs, inner, scalars, counters):
    """Keep the step and the change of the gradient where the curvature is safely positive."""
    m, curvature, squared = inner.shape[1], 0.0, 0.0
    for i in range(x.shape[0]):
        y = slopes[i] - g[i]
        curvature += y * (trial[i] - x[i])
        squared += y * y
    if not (curvature > 2.2e-16 * squared and curvature > 0.0 and math.isfinite(squared / curvature)):
        return
    k = counters[2] % m
    for i in range(x.shape[0]):
        pairs[i, k], pairs[i, m + k] = slopes[i] - g[i], trial[i] - x[i]
    counters[2] += 1
    kept = min(counters[2], m)
    for a in range(kept):
        inner[0, a, k] = inner[0, k, a] = inner[1, k, a] = 0.0
    for i in range(x.shape[0]):
        y, s = pairs[i, k], pairs[i, m + k]
        for a in range(kept):
            inner[1, k, a] += s * pairs[i, m + a]
            inner[0, a, k] += pairs[i, m + a] * y
            inner[0, k, a] += s * pairs[i, a] if a != k else 0.0
    for a in range(kept):
        inner[1, a, k] = inner[1, k, a]
    scalars[2] = squared / curvature


def wolfe(x, d, slope, lower, upper, kept, trial, slopes, scalars, counters, data, work):
    """A step of the strong Wolfe conditions between the bounds, or 0.0; trial, slopes and f are left at the step returned."""
    most, size = math.inf, 0.0
    for i in range(x.shape[0]):
        if d[i] > 0.0 and upper[i] < ENDLESS:
            most = min(most, (upper[i] - x[i]) / d[i])
        elif d[i] < 0.0 and lower[i] > -ENDLESS:
            most = min(most, (lower[i] - x[i]) / d[i])
        size = max(size, abs(d[i]))
    most = max(most, 1.0)
    step = 1.0 if kept > 0 else min(1.0, 1.0 / size)
    start, slack = scalars[0], 1e-14 * abs(scalars[0])
    low, low_f, low_slope = 0.0, start, slope
    high, high_f, high_slope = math.inf, math.inf, math.inf
    best, best_f = 0.0, start
    for _ in range(TRIALS):
        f, s = along(x, d, step, lower, upper, trial, slopes, counters, data, work)
        near = abs(f - start) <= slack and (2.0 * SUFFICIENT - 1.0) * slope >= s
        down = f <= start + SUFFICIENT * step * slope or near
        if down and (abs(s) <= -CURVATURE * slope or (step >= most and s <= 0.0)):
            scalars[0] = f
            return step
        if down and f <= best_f:
            best, best_f = step, f
        if down and s < 0.0 and (f <= low_f or near):
            low, low_f, low_slope = step, f, s
        else:
            high, high_f, high_slope = step, f, s
        step = min(4.0 * low, most)
        if high < math.inf:
            step = lowest(low, low_f, low_slope, high, high_f, high_slope)
            if high - low <= 1e-12 * high:
                break
    if best == 0.0:
        return 0.0
    scalars[0] = along(x, d, best, lower, upper, trial, slopes, counters, data, work)[0]
    return best


def lowest(a, fa, sa, b, fb, sb):
    """The least point of the cubic through both ends of a bracket, not at its ends (Nocedal & Wright 2006, eq. 3.59)."""
    if not (math.isfinite(fb) and math.isfinite(sb)):
        return a + 0.1 * (b - a)
    d1 = sa + sb - 3.0 * (fb - fa) / (b - a)
    d2 = math.sqrt(max(d1 * d1 - sa * sb, 0.0))
    below = sb - sa + 2.0 * d2
    c = b - (b - a) * (sb + d2 - d1) / below if below != 0.0 else math.nan
    if not math.isfinite(c):
        return 0.5 * (a + b)
    margin = 0.05 * (b - a)
    return min(max(c, a + margin), b - margin)


def along(x, d, step, lower, upper, trial, slopes, counters, data, work):
    """f and its slope at x + step d, put between the bounds; infinite where they are no numbers."""
    for i in range(x.shape[0]):
        trial[i] = min(max(x[i] + step * d[i], lower[i]), upper[i])
    f, s = merit(trial, slopes, data, work), 0.0
    counters[1] += 1
    for i in range(x.shape[0]):
        s += slopes[i] * d[i]
    if not (math.isfinite(f) and math.isfinite(s)):
        return math.inf, math.inf
    return f, s
