"""GIF files whose screen, frames and palettes disagree in every way that Pillow reads."""

import struct

import numpy as np

from common import Case, chance, pick, side, smooth


def lzw(rng, indices, bits):
    """GIF's variable codes, least significant bit first, in blocks of any length."""
    clear, end = 1 << bits, (1 << bits) + 1
    out, value, n = bytearray(), 0, 0

    def put(code, width):
        nonlocal value, n
        value |= code << n
        n += width
        while n >= 8:
            out.append(value & 255)
            value >>= 8
            n -= 8

    table, width = {}, bits + 1

    def reset():
        nonlocal table, width
        put(clear, width)
        table = {bytes([i]): i for i in range(clear)}
        width = bits + 1

    if chance(rng, 0.9):
        reset()
    else:
        table = {bytes([i]): i for i in range(clear)}
    often = chance(rng, 0.2)
    word = b""
    for index in indices:
        longer = word + bytes([index])
        if longer in table:
            word = longer
            continue
        put(table[word], width)
        size = len(table) + 2
        if size < 4096:
            table[longer] = size
            if size == 1 << width and width < 12:
                width += 1
        if (size >= 4095 and chance(rng, 0.7)) or (often and chance(rng, 0.05)):
            reset()
        word = bytes([index])
    put(table[word], width)
    size = len(table) + 2
    if size == 1 << width and width < 12:
        width += 1
    put(end, width)
    if n:
        out.append(value & 255)
    blocks, at = b"", 0
    while at < len(out):
        step = pick(rng, [255, 255, 255, 1, 7, 100])
        piece = bytes(out[at : at + step])
        blocks += bytes([len(piece)]) + piece
        at += step
    return bytes([bits]) + blocks + b"\0"


def interlace(rows):
    order = [y for start, step in ((0, 8), (4, 8), (2, 4), (1, 2)) for y in range(start, len(rows), step)]
    return rows[order]


def palette(rng, n):
    if chance(rng, 0.1):
        return np.repeat(np.arange(n, dtype=np.uint8)[:, None], 3, 1)
    return rng.integers(0, 256, (n, 3), dtype=np.uint8)


def frame(rng, rect, colours, transparent, local, interlaced, bits):
    left, top, width, height = rect
    indices = (smooth(rng, width, height, 1)[..., 0].astype(int) * colours // 256).astype(np.uint8)
    out = b""
    if transparent is not None or chance(rng, 0.3):
        flags = (transparent is not None) | pick(rng, [0, 1, 2, 3]) << 2
        out += b"\x21\xF9\4" + struct.pack("<BHB", flags, 5, transparent or 0) + b"\0"
    flags = (0x40 if interlaced else 0) | (0x80 | (len(local).bit_length() - 2) if local is not None else 0)
    out += b"\x2C" + struct.pack("<4HB", left, top, width, height, flags)
    if local is not None:
        out += local.tobytes()
    rows = interlace(indices) if interlaced else indices
    return out + lzw(rng, rows.reshape(-1).tolist(), bits), indices


def as_people_see(screen, rect, indices, palette, transparent):
    """RGBA: the frame in its own colours, nothing around it. What a palette leaves out is black, without one all is grey."""
    left, top, width, height = rect
    canvas = np.zeros((max(screen[1], top + height), max(screen[0], left + width), 4), np.uint8)
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, 1)
    colours = np.zeros((256, 3), np.uint8)
    if palette is None or (palette == ramp[: len(palette)]).all():
        colours = ramp
    else:
        colours[: len(palette)] = palette
    alpha = np.full(indices.shape, 255, np.uint8)
    if transparent is not None:
        alpha[indices == transparent] = 0
    canvas[top : top + height, left : left + width] = np.concatenate([colours[indices], alpha[..., None]], -1)
    return canvas


def extensions(rng):
    ready = [
        b"\x21\xFE\5hello\0",
        b"\x21\xFF\x0bNETSCAPE2.0\3\1\0\0\0",
        b"\x21\xFF\x0bXMP DataXMP\4<x/>\0",
        b"\x21\xFF\x0bICCRGBG1012\x04junk\0",
        b"\x21\x01\x0c" + bytes(12) + b"\2hi\0",
        b"\x21\xAB\3abc\0",
        b"\0",
    ]
    return b"".join(pick(rng, ready) for _ in range(int(rng.integers(0, 3))))


def make(rng):
    depth = int(rng.integers(1, 9))
    n = 1 << depth
    width, height = side(rng), side(rng)
    kind = pick(rng, ["inside", "whole", "whole", "larger", "partly outside", "outside", "empty screen", "one side 0"])
    w, h = side(rng), side(rng)
    if kind == "inside":
        rect = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        rect += (int(rng.integers(1, width - rect[0] + 1)), int(rng.integers(1, height - rect[1] + 1)))
    elif kind == "larger":
        rect = (0, 0, width + w, height + pick(rng, [0, h]))
    elif kind == "partly outside":
        rect = (int(rng.integers(0, width)), int(rng.integers(0, height)), width, height)
    elif kind == "outside":
        rect = (width + int(rng.integers(0, 9)), height + int(rng.integers(0, 9)), w, h)
    else:
        rect = (0, 0, width, height)
    screen = {"empty screen": (0, 0), "one side 0": pick(rng, [(0, height), (width, 0)])}.get(kind, (width, height))
    has_global = chance(rng, 0.8)
    local = palette(rng, n) if chance(rng, 0.4) else None
    ours = palette(rng, pick(rng, [n, n, 2, 256])) if has_global else None
    colours = len(local) if local is not None else len(ours) if ours is not None else n
    bits = max(2, colours.bit_length() - 1)
    beyond = chance(rng, 0.1)
    if beyond:
        bits = pick(rng, [b for b in range(bits, 9)])
        colours = min(256, 1 << bits)
    transparent = int(rng.integers(0, min(256, colours + beyond))) if chance(rng, 0.4) else None
    interlaced = chance(rng, 0.3)
    flags = 0x70 | (0x80 | (len(ours).bit_length() - 2) if has_global else 0)
    out = pick(rng, [b"GIF89a", b"GIF87a"]) + struct.pack("<HHBBB", *screen, flags, int(rng.integers(0, 256)), 0)
    if has_global:
        out += ours.tobytes()
    coded, indices = frame(rng, rect, colours, transparent, local, interlaced, bits)
    out += extensions(rng) + coded
    for _ in range(int(rng.integers(0, 3)) if chance(rng, 0.3) else 0):
        later = palette(rng, colours) if colours > 1 else None
        out += extensions(rng) + frame(rng, (0, 0, side(rng), side(rng)), colours, None, later, chance(rng, 0.3), bits)[0]
    out += b";" + (b"behind the end" if chance(rng, 0.1) else b"")
    shows = f"screen {screen}, frame {rect} ({kind}), {colours} colours, global {has_global}, local {local is not None}, transparent {transparent}, interlaced {interlaced}, beyond {beyond}"
    return Case(out, shows, people=as_people_see(screen, rect, indices, local if local is not None else ours, transparent))
