"""python vectors.py > vectors.json: blocks as this folder's code rounds them, for the Rust code to agree with byte for byte.

Sums are taken in another order there, so that of two candidates whose errors are all but equal it may keep the other one: a block
where the second best comes within a thousandth of the best is left out.
"""
import json

import numpy as np

from ours import F, Q4, Q5, byte_float, inverse


def bits(x):
    return [int(v) for v in np.asarray(x, F).reshape(-1).view(np.uint32)]


def close(fmt, x, w):
    """Whether some other scale and zero next to the best ones is all but as good."""
    s, least = fmt.fit(x, w)
    zero = np.rint(-least * inverse(s) * fmt.parts)

    def error(s, zero):
        least = -np.clip(zero, 0, 255) / fmt.parts * s
        return float((w * np.square(x - fmt.near(x, (s, least)))).sum())

    best = error(s, zero)
    others = [error(byte_float(s * F(1 + d / 16)), zero + z) for d in (-1, 0, 1) for z in range(-3, 4) if (d, z) != (0, 0)]
    return min(abs(o - best) for o in others) < 1e-3 * best


def blocks(fmt, n=16):
    rng, out = np.random.default_rng(fmt.top), []
    while len(out) < n:
        x = (rng.standard_t(5, (1, 32)) * 0.02 + rng.choice([0, 0, 0, 0.1])).astype(F)
        w = np.exp(rng.normal(0, 1.5, (1, 32))).astype(F)
        w = (w / w.mean()).astype(F)
        if close(fmt, x, w):
            continue
        s, least = fmt.fit(x, w)
        zero = np.rint(-least * inverse(s) * fmt.parts)
        byte = int((s * F(1024)).astype(np.float16).view(np.uint16).item()) >> 7
        codes = np.clip(np.rint((x - least) * inverse(s)), 0, fmt.top)
        out.append({"values": bits(x), "importance": bits(w), "scale": byte, "zero": int(zero.item()), "codes": codes.astype(int)[0].tolist()})
    return out


if __name__ == "__main__":
    print(json.dumps({"q4": blocks(Q4), "q5": blocks(Q5)}))
