"""Our own formats, and the candidates they were chosen from: how a block of weights along a row is rounded.

A format has `block` columns and two steps: `fit(x, w)` searches what a block stores beside its codes, `near(x, params)` rounds to
the grid that these give. x [blocks, block] float32; w weighs the squared errors (None: all alike). Calibrated rounding calls the
two steps by itself, because there the values change between them.
"""
import numpy as np

F = np.float32


def half(x):
    return np.asarray(x, F).astype(np.float16).astype(F)


def byte_float(x):
    """The nearest float of 5 bits of exponent and 3 of mantissa, no sign: the upper bits of a half, times 2^-10. None is subnormal,
    as some drivers take those for 0."""
    bits = np.clip(np.asarray(x, F) * F(1024), 0, 61440).astype(np.float16).view(np.uint16).astype(np.uint32)
    byte = (bits + 63 + (bits >> 7 & 1)) >> 7
    byte = np.where(byte < 8, 0, byte)
    return (byte << 7).astype(np.uint16).view(np.float16).astype(F) / F(1024)


def inverse(s):
    return np.divide(1, s, out=np.zeros_like(s), where=s != 0)


def uneven(k, codes=16):
    """Sixteen levels c + k c³ around a middle between two codes, the outermost at ±1."""
    c = (np.arange(codes) - (codes - 1) / 2) / ((codes - 1) / 2)
    return ((c + k * c**3) / (1 + k)).astype(F)


class ScaleAndZero:
    """scale · (code − zero), codes from 0 to 2^n − 1.

    As stored: two bytes a block, scale as `byte_float` and zero in 256ths of the codes' span ("bytes"); or two halves, scale and
    least value ("halves"). A block's error is least over some spans wider and narrower than its values', each refined once by
    least squares.
    """

    def __init__(self, code_bits, block=32, store="bytes", spans=None):
        self.block, self.store, self.top = block, store, 2**code_bits - 1
        self.bits = code_bits + (16 if store == "bytes" else 32) / block
        self.parts = F(2.0 ** (8 - code_bits))
        # Steps between the least and the largest value beyond `top`: more of them clip a little at both ends.
        self.spans = spans if spans is not None else np.linspace(-1, 3, 12) * (self.top / 15)

    def stored(self, s, least):
        if self.store == "halves":
            return half(s), half(least)
        s = byte_float(s)
        zero = np.clip(np.rint(-least * inverse(s) * self.parts), 0, 255) / self.parts
        return s, -zero * s

    def near(self, x, params):
        s, least = params
        return np.clip(np.rint((x - least) * inverse(s)), 0, self.top) * s + least

    def fit(self, x, w=None):
        lo, hi = x.min(1, keepdims=True), x.max(1, keepdims=True)
        wx = x if w is None else w * x
        sw, sx, sxx = F(self.block) if w is None else w.sum(1), wx.sum(1), np.einsum("ij,ij->i", wx, x)
        best, best_s, best_least = np.full(len(x), np.inf, F), np.zeros_like(lo), np.zeros_like(lo)

        def consider(s, least):
            """Keeps these where they are better; gives back the least squares fit to their codes."""
            s, least = self.stored(s, least)
            q = np.clip(np.rint((x - least) * inverse(s)), 0, self.top)
            wq = q if w is None else w * q
            sq, sqq, sxq = wq.sum(1), np.einsum("ij,ij->i", wq, q), np.einsum("ij,ij->i", wx, q)
            a, b = s[:, 0], least[:, 0]
            error = sxx - 2 * a * sxq - 2 * b * sx + a * a * sqq + 2 * a * b * sq + b * b * sw
            better = error < best
            best[better], best_s[better], best_least[better] = error[better], s[better], least[better]
            det = sw * sqq - sq * sq
            solvable = det > 1e-6 * sw * sqq
            det = np.where(solvable, det, 1)
            return (
                np.where(solvable, (sw * sxq - sx * sq) / det, a)[:, None],
                np.where(solvable, (sqq * sx - sq * sxq) / det, b)[:, None],
            )

        for span in self.spans:
            s = (hi - lo) / F(self.top + span)
            consider(*consider(s, lo + s * F(span / 2)))
        # A block of one sign only: its span must reach 0, as the zero is a code or nearly one.
        s = np.where((lo > 0) | (hi < 0), (np.maximum(hi, 0) - np.minimum(lo, 0)) / F(self.top), F(0))
        consider(*consider(s, np.minimum(lo, 0)))
        return best_s, best_least


class Levels:
    """scale · level, of a fixed list of levels whose outermost is 1. The scale may be negative, if `signed`."""

    def __init__(self, levels, block, scale=half, scale_bits=16, signed=True, tries=None, code_bits=4):
        self.levels, self.block, self.scale, self.signed = np.asarray(levels, F), block, scale, signed
        self.bits = code_bits + scale_bits / block
        # Where the block's largest magnitude is put.
        self.tries = tries if tries is not None else np.linspace(0.72, 1.24, 14)
        # Levels by position on a fine grid, which is faster than a search.
        n = 4096
        positions = (np.arange(n) - n // 2 + 0.5) * (2.02 / n)
        self.table = self.levels[np.searchsorted((self.levels[1:] + self.levels[:-1]) / 2, positions)]

    def level(self, y):
        return self.table[np.clip(y * F(4096 / 2.02) + F(2048), 0, 4095).astype(np.int16)]

    def near(self, x, s):
        return self.level(x * inverse(s)) * s

    def fit(self, x, w=None):
        peak = np.take_along_axis(x, np.abs(x).argmax(1)[:, None], 1)
        if not self.signed:
            peak = np.abs(peak)
        best, best_s = np.full(len(x), np.inf, F), np.zeros((len(x), 1), F)
        wx = x if w is None else w * x
        sxx = np.einsum("ij,ij->i", wx, x)

        def consider(s):
            s = self.scale(s)
            q = self.level(x * inverse(s))
            sxq, sqq = np.einsum("ij,ij->i", wx, q), np.einsum("ij,ij->i", q if w is None else w * q, q)
            error = sxx - 2 * s[:, 0] * sxq + s[:, 0] ** 2 * sqq
            better = error < best
            best[better], best_s[better] = error[better], s[better]
            return np.divide(sxq, sqq, out=np.zeros_like(sxq), where=sqq > 0)[:, None]

        for t in self.tries:
            for sign in [1, -1] if self.signed else [1]:
                consider(consider(peak * F(sign / t)))
        return best_s


def rounded(fmt, matrix, importance=None):
    """The matrix through the format and back. importance [columns] weighs errors."""
    x = matrix.reshape(-1, fmt.block)
    w = None
    if importance is not None:
        # Every row's blocks in turn; the mean of 1 keeps sums of floats in range.
        w = np.tile((importance / importance.mean()).astype(F).reshape(-1, fmt.block), (len(matrix), 1))
    return fmt.near(x, fmt.fit(x, w)).reshape(matrix.shape)


EVEN = np.arange(-8, 8) / 8
IQ4 = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]) / 127

Q4 = ScaleAndZero(4)
Q5 = ScaleAndZero(5)
Q8 = Levels(np.arange(-127, 128) / 127, 64, tries=[0.98, 0.99, 1, 1.008, 1.016, 1.024, 1.032], code_bits=8)
