"""JPEG files of every sampling, sharing of scans, restart interval and set of markers.

Pillow writes one kind of scan and three samplings; the faults of decoders lie in the others.
"""

import numpy as np

from common import Case, exif_block, side, xmp_block
from jpeg_encoder import Frame, Scan, component, segment, write


def baseline_scans(rng, n, legal):
    """All ways to share n components among scans."""
    if n == 1:
        return [(0,)]
    ways = {
        2: [[(0, 1)], [(0,), (1,)], [(1,), (0,)]],
        3: [[(0, 1, 2)], [(0,), (1,), (2,)], [(0,), (1, 2)], [(0, 1), (2,)], [(1,), (2,), (0,)], [(1, 2), (0,)], [(0, 2), (1,)]],
        4: [[(0, 1, 2, 3)], [(0,), (1,), (2,), (3,)], [(0, 1, 2), (3,)], [(3,), (0, 1, 2)], [(0,), (1, 2), (3,)]],
    }[n]
    ways = [way for way in ways if all(len(parts) == 1 or legal(parts) for parts in way)]
    # The usual way is one of many here: what the file is to show are the others.
    return ways[rng.integers(len(ways))]


def progressive_scans(rng, n, legal):
    low = int(rng.integers(0, 3))
    scans = [Scan(parts, 0, 0, 0, low) for parts in baseline_scans(rng, n, legal)]
    cut = int(rng.integers(1, 63))
    for i in rng.permutation(n):
        point = int(rng.integers(0, 3))
        for first, last in ((1, cut), (cut + 1, 63)):
            scans.append(Scan((int(i),), first, last, 0, point))
        scans += [Scan((int(i),), 1, 63, p + 1, p) for p in range(point - 1, -1, -1)]
    scans += [Scan(parts, 0, 0, p + 1, p) for p in range(low - 1, -1, -1) for parts in baseline_scans(rng, n, legal)]
    return scans


SAMPLINGS = {
    "444": ((1, 1), (1, 1), (1, 1)),
    "422": ((2, 1), (1, 1), (1, 1)),
    "420": ((2, 2), (1, 1), (1, 1)),
    "440": ((1, 2), (1, 1), (1, 1)),
    "411": ((4, 1), (1, 1), (1, 1)),
    "410": ((4, 2), (1, 1), (1, 1)),
    "441": ((1, 4), (1, 1), (1, 1)),
    "444 as 2x2": ((2, 2), (2, 2), (2, 2)),
    "422 as 2x2": ((2, 2), (1, 2), (1, 2)),
    "440 as 2x2": ((2, 2), (2, 1), (2, 1)),
    "311": ((3, 1), (1, 1), (1, 1)),
    "unequal": ((2, 2), (2, 1), (1, 2)),
    "unequal 2": ((2, 1), (1, 1), (2, 1)),
    "fine chroma": ((1, 1), (2, 2), (2, 2)),
    "fine blue": ((1, 1), (2, 1), (1, 1)),
    "fractional": ((3, 1), (2, 1), (1, 1)),
}
FOUR = {
    "1111": ((1, 1),) * 4,
    "2112": ((2, 2), (1, 1), (1, 1), (2, 2)),
    "2111": ((2, 2), (1, 1), (1, 1), (1, 1)),
    "h2": ((2, 1), (1, 1), (1, 1), (2, 1)),
}
JFIF = segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")


def adobe(transform):
    return segment(0xEE, b"Adobe\0d\0\0\0\0" + bytes([transform]))


def markers(rng, n):
    """Segments and component ids that agree, or do not, about what the components are."""
    heads = {
        "none": b"",
        "JFIF": JFIF,
        "Adobe 0": adobe(0),
        "Adobe 1": adobe(1),
        "Adobe 2": adobe(2),
        "Adobe 7": adobe(7),
        "JFIF, Adobe 0": JFIF + adobe(0),
        "JFIF, Adobe 1": JFIF + adobe(1),
        "Adobe 0, JFIF": adobe(0) + JFIF,
        "JFIF, Adobe 2": JFIF + adobe(2),
        "short Adobe": segment(0xEE, b"Adobe\0d"),
    }
    ids = [b"\1\2\3\4", b"\0\1\2\3", b"RGBA", b"rgba", b"CMYK", b"\1\x22\x23\4", b"\5\x09\x0a\x40"]
    name = list(heads)[rng.integers(len(heads))]
    chosen = ids[rng.choice(len(ids), p=[0.4, 0.1, 0.2, 0.05, 0.1, 0.05, 0.1])]
    return name, heads[name], chosen[:n]


def orientation(rng):
    """Segments that turn the picture, in the forms that cameras and programs write."""
    turn = int(rng.integers(1, 9))
    block = exif_block(rng, turn)
    kind = rng.integers(5)
    if kind == 0:
        return segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp_block(rng, turn))
    if kind == 1:
        return segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>") + segment(0xE1, b"Exif\0\0" + block)
    if kind == 2 and len(block) > 30:
        return segment(0xE1, b"Exif\0\0" + block[:20]) + segment(0xE1, b"Exif\0\0" + block[20:])
    if kind == 3:
        return segment(0xE1, b"Exif\0\0Exif\0\0" + block)
    return segment(0xE1, b"Exif\0\0" + block)


def make(rng):
    n = int(rng.choice([1, 2, 3, 4], p=[0.12, 0.01, 0.72, 0.15]))
    if n == 4:
        sampling, factors = list(FOUR.items())[rng.integers(len(FOUR))]
    elif n == 3:
        odds = np.array([3, 3, 6, 3, 2, 1, 1, 1, 1, 1, 1, 1, 1, 0.5, 0.5, 0.3])
        sampling, factors = list(SAMPLINGS.items())[rng.choice(len(SAMPLINGS), p=odds / odds.sum())]
    else:
        factors = tuple((int(rng.integers(1, 4)), int(rng.integers(1, 4))) if rng.random() < 0.3 else (1, 1) for _ in range(n))
        sampling = f"{n} of {factors}"
    width, height = side(rng), side(rng)
    progressive = rng.random() < 0.4
    marker_name, header, ids = markers(rng, n)
    most = (max(f[0] for f in factors), max(f[1] for f in factors))
    steps = 255 if progressive or rng.random() < 0.9 else 1000
    quants = [[int(q) for q in np.minimum(steps, 1 + rng.integers(0, 3 + strong, 64) + np.arange(64) * strong // 40)] for strong in (4, 25, 60)]
    if steps > 255:
        quants[1][63] = 300
    slots = [0, 1, int(rng.integers(0, 3)), 0]
    parts = [component(rng, width, height, factors[i], most, quants[slots[i]], slots[i], ids[i]) for i in range(n)]
    legal = lambda which: sum(factors[i][0] * factors[i][1] for i in which) <= 10
    sof = 0xC2 if progressive else 0xC1 if steps > 255 or rng.random() < 0.15 else 0xC0
    frame = Frame(width, height, parts, quants, sof, header=header)
    frame.tables_first = rng.random() < 0.4
    frame.late_quants = rng.random() < 0.15
    frame.fill = int(rng.integers(1, 4)) if rng.random() < 0.15 else 0
    if rng.random() < 0.2:
        frame.between = segment(0xFE, b"between scans")
    if rng.random() < 0.25:
        frame.header += orientation(rng)
    scans = progressive_scans(rng, n, legal) if progressive else [Scan(parts) for parts in baseline_scans(rng, n, legal)]
    restart = int(rng.choice([0, 0, 1, 2, 3, 7, 40]))
    for scan in scans:
        scan.restart = restart if rng.random() < 0.8 else int(rng.integers(0, 9))
    if progressive and rng.random() < 0.15:
        # A file that its writer stopped early is legal: what is missing stays rough.
        scans = scans[: max(1, len(scans) - int(rng.integers(1, 6)))]
        seen = {i for scan in scans for i in scan.parts}
        if seen != set(range(n)):
            scans = scans[:0] + [Scan((i,), 0, 0, 0, 0) for i in range(n)]
    kind = {0xC0: "baseline", 0xC1: "extended", 0xC2: "progressive"}[sof]
    way = " ".join("".join(map(str, s.parts)) for s in scans[:4])
    shows = f"{width}x{height} {sampling}, {kind}, scans {way}, {marker_name}, ids {ids.hex()}, restart {restart}"
    data = write(frame, scans)
    if rng.random() < 0.03:
        return other_process(rng, data, shows)
    return Case(data, shows)


def other_process(rng, data, shows):
    """The same bytes under another start of frame: they are not decoded, they must be named."""
    at = next(i for i in range(len(data)) if data[i] == 0xFF and data[i + 1] in (0xC0, 0xC1, 0xC2))
    marker, name = [(0xC3, "lossless"), (0xC9, "arithmetic"), (0xCA, "arithmetic"), (0xC5, "hierarchical"), (0xC0, "12-bit")][rng.integers(5)]
    changed = bytearray(data)
    changed[at + 1] = marker
    if name == "12-bit":
        changed[at + 4] = 12
    return Case(bytes(changed), f"{name}: {shows}", refused=name)
