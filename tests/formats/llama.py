"""llama.cpp's formats, for comparison: its quantisers for the types that the `gguf` package can only decode, and which type each
tensor gets in a mixture such as Q4_K_M. Every matrix is really packed, and read back by the `gguf` package.

Written from the formats' definitions and the reference quantisers' steps, without an importance matrix.
"""
import gguf
import numpy as np
from gguf import GGMLQuantizationType as T

F = np.float32
IQ4_LEVELS = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], F)
MIDDLES = (IQ4_LEVELS[1:] + IQ4_LEVELS[:-1]) / 2


def over(a, b):
    """a / b, 0 where b is 0."""
    return np.divide(a, b, out=np.zeros(np.broadcast_shapes(a.shape, b.shape), F), where=b != 0)


def f16(x):
    return x.astype(np.float16)


def nibbles(codes):
    """[n, 32] codes of 4 bits: the first half in the low nibbles."""
    return (codes[..., :16] | codes[..., 16:] << 4).astype(np.uint8)


def scale_and_min(x, weights, top, start, step, steps):
    """For each block the scale and the least value (at most 0) of least weighted error, over some step widths."""
    lo, hi = np.minimum(x.min(1), 0), x.max(1)
    width = hi - lo
    sw, sx = weights.sum(1), (weights * x).sum(1)
    best_scale, best_min = width / top, lo.copy()
    codes = np.clip(np.rint(over(F(top) * (x - lo[:, None]), width[:, None])), 0, top)
    best = (weights * (best_scale[:, None] * codes + lo[:, None] - x) ** 2).sum(1)
    for i in range(steps + 1):
        codes = np.clip(np.rint(over(F(start + step * i + top) * (x - lo[:, None]), width[:, None])), 0, top)
        sl, sll, sxl = (weights * codes).sum(1), (weights * codes * codes).sum(1), (weights * codes * x).sum(1)
        det = sw * sll - sl * sl
        scale, least = over(sw * sxl - sx * sl, det), over(sll * sx - sl * sxl, det)
        positive = least > 0
        scale, least = np.where(positive, over(sxl, sll), scale), np.where(positive, 0, least)
        error = (weights * (scale[:, None] * codes + least[:, None] - x) ** 2).sum(1)
        better = (det > 0) & (error < best)
        best[better], best_scale[better], best_min[better] = error[better], scale[better], least[better]
    return best_scale, -best_min


def k_with_min(values, code_bits):
    """Q4_K and Q5_K: 256 weights, a scale and a min of 6 bits for each 32."""
    top = 2**code_bits - 1
    x = values.reshape(-1, 32)
    weights = np.sqrt((x * x).mean(1, keepdims=True)) + np.abs(x)
    search = (-1.0, 0.1, 20) if code_bits == 4 else (-0.5, 0.1, 15)
    scales, mins = (v.reshape(-1, 8) for v in scale_and_min(x, weights, top, *search))
    most_scale, most_min = scales.max(1, keepdims=True), mins.max(1, keepdims=True)
    ls = np.minimum(np.rint(over(63 * scales, most_scale)), 63).astype(np.uint8)
    lm = np.minimum(np.rint(over(63 * mins, most_min)), 63).astype(np.uint8)
    d, dmin = f16(most_scale / 63), f16(most_min / 63)
    s, m = d.astype(F) * ls, dmin.astype(F) * lm
    codes = np.clip(np.rint(over(x.reshape(-1, 8, 32) + m[..., None], s[..., None])), 0, top).astype(np.uint8)
    packed = np.zeros((len(d), 12), np.uint8)
    packed[:, 0:4] = ls[:, :4] | (ls[:, 4:] >> 4) << 6
    packed[:, 4:8] = lm[:, :4] | (lm[:, 4:] >> 4) << 6
    packed[:, 8:12] = (ls[:, 4:] & 15) | (lm[:, 4:] & 15) << 4
    low = (codes[:, 0::2] & 15 | (codes[:, 1::2] & 15) << 4).reshape(-1, 128)
    parts = [d.view(np.uint8), dmin.view(np.uint8), packed]
    if code_bits == 5:
        parts.append((codes >> 4 << np.arange(8, dtype=np.uint8)[:, None]).sum(1).astype(np.uint8))
    return np.concatenate(parts + [low], 1)


def q6_k(values):
    x = values.reshape(-1, 16)
    weights = x * x
    peak = np.take_along_axis(x, np.abs(x).argmax(1)[:, None], 1)
    best, scale = np.full(len(x), -np.inf, F), np.zeros(len(x), F)
    for i in [0] + [i for i in range(-9, 10) if i]:
        codes = np.clip(np.rint(over(F(-(32 + 0.1 * i)) * x, peak)), -32, 31)
        sxl, sll = (weights * x * codes).sum(1), (weights * codes * codes).sum(1)
        gain = over(sxl * sxl, sll)
        better = (sll > 0) & (gain > best)
        best[better], scale[better] = gain[better], over(sxl, sll)[better]
    scale = scale.reshape(-1, 16)
    most = np.take_along_axis(scale, np.abs(scale).argmax(1)[:, None], 1)
    d = f16(over(most, np.full_like(most, -128)))
    ls = np.clip(np.rint(over(-128 * scale, most)), -128, 127)
    s = d.astype(F) * ls
    codes = (np.clip(np.rint(over(x.reshape(-1, 16, 16), s[..., None])), -32, 31) + 32).astype(np.uint8).reshape(-1, 2, 4, 32)
    low = np.stack([codes[:, :, 0] & 15 | (codes[:, :, 2] & 15) << 4, codes[:, :, 1] & 15 | (codes[:, :, 3] & 15) << 4], 2)
    high = (codes >> 4 << np.array([0, 2, 4, 6], np.uint8)[:, None]).sum(2).astype(np.uint8)
    return np.concatenate([low.reshape(-1, 128), high.reshape(-1, 64), ls.astype(np.int8).view(np.uint8), d.view(np.uint8)], 1)


def level_index(y):
    return np.searchsorted(MIDDLES, y, side="right").astype(np.uint8)


def iq4_scales(x):
    """The best scale of each block of 32, errors weighted by the squared values."""
    weights = x * x
    peak = np.take_along_axis(x, np.abs(x).argmax(1)[:, None], 1)
    best, scale = np.full(len(x), -np.inf, F), np.zeros(len(x), F)
    for inverse in [over(np.full_like(peak, -IQ4_LEVELS[0]), -peak)] + [over(np.full_like(peak, IQ4_LEVELS[0] + i), peak) for i in range(-7, 8)]:
        q = IQ4_LEVELS[level_index(inverse * x)]
        sxq, sqq = (weights * q * x).sum(1), (weights * q * q).sum(1)
        gain = over(sxq * sxq, sqq)
        better = (sqq > 0) & (gain > best)
        best[better], scale[better] = gain[better], over(sxq, sqq)[better]
    return scale


def iq4_nl(values):
    x = values.reshape(-1, 32)
    scale = iq4_scales(x)[:, None]
    return np.concatenate([f16(scale).view(np.uint8), nibbles(level_index(over(x, scale)))], 1)


def iq4_xs(values):
    x = values.reshape(-1, 32)
    scales = iq4_scales(x).reshape(-1, 8)
    most = np.take_along_axis(scales, np.abs(scales).argmax(1)[:, None], 1)
    d = -most / 32
    ls = np.clip(np.rint(over(scales, d)), -32, 31)
    codes = nibbles(level_index(over(x.reshape(-1, 8, 32), (d * ls)[..., None]))).reshape(-1, 128)
    ls = (ls + 32).astype(np.uint16)
    high = (ls >> 4 << (2 * np.arange(8, dtype=np.uint16))).sum(1).astype(np.uint16)[:, None]
    low = (ls[:, 0::2] & 15 | (ls[:, 1::2] & 15) << 4).astype(np.uint8)
    return np.concatenate([f16(d).view(np.uint8), high.view(np.uint8), low, codes], 1)


OWN = {T.Q4_K: lambda x: k_with_min(x, 4), T.Q5_K: lambda x: k_with_min(x, 5), T.Q6_K: q6_k, T.IQ4_NL: iq4_nl, T.IQ4_XS: iq4_xs}
# What llama.cpp takes where a row is no multiple of 256.
NARROW = {T.Q4_K: T.Q5_0, T.Q5_K: T.Q5_1, T.Q6_K: T.Q8_0, T.IQ4_XS: T.IQ4_NL}


def through(matrix, type):
    """The matrix packed as `type` and decoded by the `gguf` package; and its bits."""
    if matrix.shape[1] % 256 and type in NARROW:
        type = NARROW[type]
    block, size = gguf.GGML_QUANT_SIZES[type]
    if type in OWN:
        packed = OWN[type](matrix)
        assert packed.shape == (matrix.size // block, size), (type, packed.shape)
    else:
        packed = gguf.quants.quantize(matrix, type)
    return gguf.quants.dequantize(packed.reshape(len(matrix), -1), type).reshape(matrix.shape), packed.size * 8


def wider(i, n):
    """The layers that the "M" mixtures give more bits: the first and last eighth, and every third between."""
    return i < n // 8 or i >= 7 * n // 8 or (i - n // 8) % 3 == 2


def mixture(name, layer, role, layers):
    """The type of a tensor in a file of this name (for one that is not larger than 7 B, without grouped heads of 4 or more)."""
    early = layer < layers // 8
    if name == "Q4_K_M":
        return T.Q6_K if role in ("v", "down") and wider(layer, layers) else T.Q4_K
    if name == "Q5_K_M":
        return T.Q6_K if role in ("v", "down") and wider(layer, layers) else T.Q5_K
    if name == "Q4_K_S":
        return T.Q5_K if role == "v" and layer < 4 or role == "down" and early else T.Q4_K
    if name == "Q5_K_S":
        return T.Q5_K
    if name in ("IQ4_NL", "IQ4_XS"):
        return T.Q5_K if role == "down" and early else T[name]
    return T[name]


NAMES = ["Q8_0", "Q5_K_M", "Q5_K_S", "Q4_K_M", "Q4_K_S", "Q4_1", "IQ4_NL", "IQ4_XS", "Q4_0"]
