"""PNG files of every colour type and depth, with the chunks that trouble decoders."""

import struct
import zlib

import numpy as np

from common import Case, chance, exif_block, pick, side, smooth, xmp_block

SIGNATURE = b"\x89PNG\r\n\x1a\n"
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def packed_rows(samples, bits):
    """[rows, bytes] of samples [h, w, channels]."""
    flat = samples.reshape(samples.shape[0], -1)
    if bits == 16:
        return flat.astype(">u2").view(np.uint8).reshape(flat.shape[0], -1)
    if bits == 8:
        return flat.astype(np.uint8)
    spread = (flat[..., None] >> np.arange(bits)[::-1]) & 1
    return np.packbits(spread.astype(np.uint8).reshape(flat.shape[0], -1), axis=1)


def paeth(a, b, c):
    p = a + b - c
    da, db, dc = abs(p - a), abs(p - b), abs(p - c)
    return np.where((da <= db) & (da <= dc), a, np.where(db <= dc, b, c))


def filtered(rng, rows, step):
    """Every row behind a filter of its own."""
    out = b""
    before = np.zeros(rows.shape[1], int)
    for row in rows.astype(int):
        left = np.concatenate([np.zeros(step, int), row[:-step] if step < len(row) else row[:0]])[: len(row)]
        corner = np.concatenate([np.zeros(step, int), before[:-step] if step < len(row) else before[:0]])[: len(row)]
        kind = int(rng.integers(0, 5))
        guess = [0 * row, left, before, (left + before) // 2, paeth(left, before, corner)][kind]
        out += bytes([kind]) + ((row - guess) & 255).astype(np.uint8).tobytes()
        before = row
    return out


def raw_profile(name, block, kind, rng):
    """An EXIF block in hexadecimal, as ImageMagick and exiftool write it."""
    digits = block.hex()
    lines = "\n".join(digits[i : i + 72] for i in range(0, len(digits), 72))
    text = f"\n{name}\n{len(block):8}\n{lines}\n".encode()
    key = f"Raw profile type {name}".encode() + b"\0"
    if kind == 0:
        return chunk(b"tEXt", key + text)
    if kind == 1:
        return chunk(b"zTXt", key + b"\0" + zlib.compress(text))
    if kind == 2:
        return chunk(b"iTXt", key + b"\0\0\0\0" + text)
    return chunk(b"iTXt", key + b"\1\0en\0" + b"\0" + zlib.compress(text))


def turned(rng):
    """(chunks, what they say where Pillow does not look for it)."""
    turn = int(rng.integers(1, 9))
    block = exif_block(rng, turn)
    kind = int(rng.integers(0, 5))
    if kind == 0:
        return chunk(b"eXIf", block), None
    if kind == 1:
        return chunk(b"eXIf", b"Exif\0\0" + block), None
    if kind == 2:
        return raw_profile("exif", pick(rng, [b"", b"Exif\0\0"]) + block, int(rng.integers(0, 4)), rng), None
    if kind == 3:
        return raw_profile("APP1", b"Exif\0\0" + block, int(rng.integers(0, 4)), rng), turn
    xmp = xmp_block(rng, turn)
    key = b"XML:com.adobe.xmp\0"
    if chance(rng, 0.5):
        return chunk(b"iTXt", key + b"\0\0\0\0" + xmp), None
    return chunk(b"iTXt", key + b"\1\0\0\0" + zlib.compress(xmp)), None


def noise(rng):
    """Chunks that must not matter."""
    ready = [
        chunk(b"gAMA", struct.pack(">I", 45455)),
        chunk(b"sRGB", b"\0"),
        chunk(b"pHYs", struct.pack(">IIB", 3000, 2000, 1)),
        chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)),
        chunk(b"iCCP", b"name\0\0" + zlib.compress(bytes(500))),
        chunk(b"iCCP", b"name\0\0" + b"not a stream"),
        chunk(b"tIME", struct.pack(">HBBBBB", 2026, 1, 2, 3, 4, 5)),
        chunk(b"tEXt", b"Comment\0text"),
        chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 5000)),
        chunk(b"prVt", b"private"),
        chunk(b"vpAg", bytes(9)),
    ]
    return b"".join(pick(rng, ready) for _ in range(int(rng.integers(1, 4))))


def transparency(rng, colour, bits, samples, palette):
    """A tRNS chunk and the alpha it gives, [h, w] u8, or nothing."""
    h, w = samples.shape[:2]
    if colour == 3:
        n = int(rng.integers(1, len(palette) + 1))
        alphas = np.full(256, 255, np.uint8)
        alphas[:n] = rng.integers(0, 256, n) if chance(rng, 0.7) else 255
        if chance(rng, 0.3):
            alphas[:n] = 255
            alphas[n - 1] = 0
        return chunk(b"tRNS", alphas[:n].tobytes()), alphas[samples[..., 0]]
    if colour in (4, 6):
        return b"", None
    key = samples[int(rng.integers(h)), int(rng.integers(w))]
    alpha = np.where((samples == key).all(-1), 0, 255).astype(np.uint8)
    return chunk(b"tRNS", key.astype(">u2").tobytes()), alpha


def as_people_see(samples, colour, bits, palette, alpha):
    """RGBA of the true samples: 16 bits scaled and rounded, fewer than 8 spread over the whole range."""
    if colour == 3:
        full = np.concatenate([palette, np.zeros((256 - len(palette), 3), np.uint8)])
        rgb = full[samples[..., 0]]
    else:
        most = (1 << bits) - 1
        wide = (samples.astype(int) + 128) // 257 if bits == 16 else samples.astype(int) * 255 // most
        levels = wide.astype(np.uint8)
        rgb = np.repeat(levels[..., :1], 3, -1) if CHANNELS[colour] < 3 else levels[..., :3]
        if colour in (4, 6):
            alpha = levels[..., -1]
    if alpha is None:
        alpha = np.full(samples.shape[:2], 255, np.uint8)
    return np.concatenate([rgb, alpha[..., None]], -1)


def make(rng):
    width, height = side(rng), side(rng)
    colour, bits = pick(rng, [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 8), (2, 16), (3, 1), (3, 2), (3, 4), (3, 8), (4, 8), (4, 16), (6, 8), (6, 16)])
    channels = CHANNELS[colour]
    if bits == 16:
        samples = smooth(rng, width, height, channels).astype(int) * 257 + rng.integers(-200, 201, (height, width, channels))
        samples = samples.clip(0, 65535)
        if chance(rng, 0.4):
            samples = samples // 200
    else:
        samples = smooth(rng, width, height, channels).astype(int) >> (8 - bits)
    palette = None
    if colour == 3:
        palette = rng.integers(0, 256, (int(rng.integers(1, (1 << bits) + 1)), 3), dtype=np.uint8)
        samples = samples % len(palette)
    parts = []
    if palette is not None:
        parts.append(chunk(b"PLTE", palette.tobytes()))
    elif colour in (2, 6) and chance(rng, 0.1):
        parts.append(chunk(b"PLTE", bytes(range(30))))
    alpha = None
    if chance(rng, 0.4):
        trns, alpha = transparency(rng, colour, bits, samples, palette)
        parts.append(trns)
    if chance(rng, 0.3):
        parts.append(chunk(b"sBIT", bytes([max(1, bits - 1) if colour != 3 else 8] * (3 if colour == 3 else channels))))
    interlaced = chance(rng, 0.3)
    step = max(1, channels * bits // 8)
    if interlaced:
        passes = [samples[y::dy, x::dx] for x, y, dx, dy in ADAM7]
        data = b"".join(filtered(rng, packed_rows(s, bits), step) for s in passes if s.size)
    else:
        data = filtered(rng, packed_rows(samples, bits), step)
    stream = zlib.compress(data, int(rng.integers(0, 10)))
    if chance(rng, 0.3):
        cuts = sorted(rng.integers(0, len(stream) + 1, int(rng.integers(1, 5))))
        pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)])]
    else:
        pieces = [stream]
    idat = b"".join(chunk(b"IDAT", piece) for piece in pieces)
    before, after, turn = b"", b"", None
    if chance(rng, 0.35):
        said, turn = turned(rng)
        if chance(rng, 0.2):
            after += said
        else:
            before += said
    if chance(rng, 0.4):
        before = noise(rng) + before
    if chance(rng, 0.15):
        after += noise(rng)
    animated = chance(rng, 0.1)
    if animated:
        frame = lambda n: chunk(b"fcTL", struct.pack(">IIIIIHHBB", n, width, height, 0, 0, 1, 10, 0, 0))
        shown = chance(rng, 0.6)
        before += chunk(b"acTL", struct.pack(">II", 2 if shown else 1, 0)) + (frame(0) if shown else b"")
        other = zlib.compress(bytes(len(data)))
        after += frame(int(shown)) + chunk(b"fdAT", struct.pack(">I", int(shown) + 1) + other)
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, int(interlaced))
    file = SIGNATURE + chunk(b"IHDR", head) + b"".join(parts) + before + idat + after + chunk(b"IEND", b"")
    if chance(rng, 0.05):
        file += b"behind the end"
    shows = f"{width}x{height} colour type {colour}, {bits} bits, interlaced {interlaced}, tRNS {alpha is not None}, turn {turn}, animated {animated}"
    people = as_people_see(samples, colour, bits, palette, alpha)
    return Case(file, shows, people=people, turn=turn)
