"""Candidates for our own formats: how a block of weights along a row is rounded.

A format has `block` columns, and two steps: `fit(x, w)` searches the block's scale (and zero), `near(x, params)` rounds to the
grid that these give. x [blocks, block] float32; w weighs the squared errors, None: all alike. Calibrated rounding calls the two
steps by itself, because there the values change between them.
"""
import numpy as np

F = np.float32


def cubic(k, codes=16, centre=7.5):
    """Levels c + k c^3 of the codes around their centre, the outermost at 1."""
    c = (np.arange(codes) - centre) / centre
    return ((c + k * c**3) / (1 + k)).astype(F)


def half(x):
    return np.asarray(x, F).astype(np.float16).astype(F)


def small_float(bits):
    """Rounds to floats that keep `bits` bits of mantissa (and f16's exponent)."""
    def rounded(x):
        m, e = np.frexp(np.asarray(x, F))
        m = np.ldexp(np.rint(np.ldexp(m, bits + 1)), -bits - 1)
        low = 2.0**-24
        return np.where(np.abs(x) < 2.0**-14, np.rint(np.asarray(x) / low) * low, np.ldexp(m, e)).astype(F)
    return rounded


class Levels:
    """A block is one scale times levels of a fixed list. The scale may be negative, if `signed`."""

    def __init__(self, levels, block, scale=half, scale_bits=16, signed=True, tries=None, index_bits=None):
        self.levels, self.block, self.scale, self.signed = np.asarray(levels, F), block, scale, signed
        self.bits = (index_bits or np.log2(len(levels))) + scale_bits / block
        # Where the block's largest magnitude is put, the outermost level being 1.
        self.tries = tries if tries is not None else np.linspace(0.72, 1.24, 14)
        top = np.abs(self.levels).max()
        self.top = top
        n = 4096
        grid = (np.arange(n) - n // 2 + 0.5) * (2 * top * 1.01 / n)
        middles = (self.levels[1:] + self.levels[:-1]) / 2
        self.table = self.levels[np.searchsorted(middles, grid)]
        self.per_unit, self.half_n = F(n / (2 * top * 1.01)), F(n // 2)

    def level(self, y):
        i = y * self.per_unit
        i += self.half_n
        np.clip(i, 0, 4095, out=i)
        return self.table[i.astype(np.int16)]

    def fit(self, x, w=None):
        peak = np.take_along_axis(x, np.abs(x).argmax(1)[:, None], 1)
        best_error, best = np.full(len(x), np.inf, F), np.zeros((len(x), 1), F)
        wx = x if w is None else w * x
        xx = np.einsum("ij,ij->i", wx, x)

        def consider(s):
            s = self.scale(s)
            inverse = np.divide(1, s, out=np.zeros_like(s), where=s != 0)
            q = self.level(x * inverse)
            qx = np.einsum("ij,ij->i", wx, q)
            qq = np.einsum("ij,ij->i", q if w is None else w * q, q)
            error = xx - 2 * s[:, 0] * qx + s[:, 0] ** 2 * qq
            better = error < best_error
            best_error[better] = error[better]
            best[better] = s[better]
            return np.divide(qx, qq, out=np.zeros_like(qx), where=qq > 0)[:, None]

        for t in self.tries:
            for sign in [1, -1] if self.signed else [1]:
                consider(consider(sign * (peak if self.signed else np.abs(peak)) / (F(t) * self.top)))
        return best

    def near(self, x, s):
        inverse = np.divide(1, s, out=np.zeros_like(s), where=s != 0)
        return self.level(x * inverse) * s


class Even:
    """A block is scale * (code - zero), code from 0 to 2^n - 1. `zero` in steps of 1/part; or free (a float), if part is None."""

    def __init__(self, code_bits, block, param_bits=16, scale=half, part=4, lo=None, hi=None, shrink=None):
        self.block, self.top = block, 2**code_bits - 1
        self.bits, self.scale, self.part = code_bits + param_bits / block, scale, part
        self.lo, self.hi = (0 if lo is None else lo), (self.top if hi is None else hi)
        self.shrink = shrink if shrink is not None else np.linspace(-0.5, 0.22, 10) * self.top / 15 * (1.6 if code_bits == 4 else 1)

    def store(self, s, m):
        """Scale and least value as they are stored."""
        s = self.scale(s)
        if self.part is None:
            return s, half(m)
        zero = np.divide(-m, s, out=np.zeros_like(s), where=s != 0)
        zero = np.clip(np.rint(zero * self.part) / self.part, self.lo, self.hi).astype(F)
        return s, -zero * s

    def near(self, x, params):
        s, m = params
        inverse = np.divide(1, s, out=np.zeros_like(s), where=s != 0)
        return np.clip(np.rint((x - m) * inverse), 0, self.top) * s + m

    def fit(self, x, w=None):
        lo, hi = x.min(1, keepdims=True), x.max(1, keepdims=True)
        sw = F(self.block) if w is None else w.sum(1)
        wx = x if w is None else w * x
        sx, sxx = wx.sum(1), np.einsum("ij,ij->i", wx, x)
        best_error = np.full(len(x), np.inf, F)
        best_s, best_m = np.zeros_like(lo), np.zeros_like(lo)

        def consider(s, m):
            s, m = self.store(s, m)
            inverse = np.divide(1, s, out=np.zeros_like(s), where=s != 0)
            q = x - m
            q *= inverse
            np.rint(q, out=q)
            np.clip(q, 0, self.top, out=q)
            wq = q if w is None else w * q
            sq, sqq, sxq = wq.sum(1), np.einsum("ij,ij->i", wq, q), np.einsum("ij,ij->i", wx, q)
            a, b = s[:, 0], m[:, 0]
            error = sxx - 2 * a * sxq - 2 * b * sx + a * a * sqq + 2 * a * b * sq + b * b * sw
            better = error < best_error
            best_error[better] = error[better]
            best_s[better], best_m[better] = s[better], m[better]
            det = sw * sqq - sq * sq
            good = det > 1e-12 * sw * sqq
            det = np.where(good, det, 1)
            s2 = np.where(good, (sw * sxq - sx * sq) / det, a)[:, None]
            m2 = np.where(good, (sqq * sx - sq * sxq) / det, b)[:, None]
            return s2, m2

        for shrink in self.shrink:
            # top + shrink steps between the least and the largest value; half of the difference on each side
            s = (hi - lo) / F(self.top + shrink)
            m = lo - s * F(-shrink / 2)
            consider(*consider(s, m))
        return best_s, best_m


def rounded(fmt, matrix, w=None):
    """The matrix through the format and back. w: [columns], weighs errors."""
    rows, cols = matrix.shape
    x = matrix.reshape(-1, fmt.block)
    if w is not None:
        w = np.broadcast_to(w.astype(F).reshape(1, -1, fmt.block), (rows, cols // fmt.block, fmt.block)).reshape(x.shape)
    return fmt.near(x, fmt.fit(x, w)).reshape(rows, cols)
