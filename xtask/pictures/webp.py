"""WebP files by libwebp, with containers that say more or less than they hold."""

import io
import struct

import numpy as np
from PIL import Image

from common import Case, chance, exif_block, pick, side, smooth, xmp_block

ICC, ALPHA, EXIF, XMP, ANIMATION = 32, 16, 8, 4, 2


def chunks(file):
    at, out = 12, []
    while at < len(file):
        size = struct.unpack("<I", file[at + 4 : at + 8])[0]
        out.append((file[at : at + 4], file[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    return out


def riff(parts):
    body = b"".join(name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for name, data in parts)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def encoded(rng, width, height):
    """The chunks of one picture, and whether it has alpha."""
    alpha = chance(rng, 0.4)
    pixels = smooth(rng, width, height, 4)
    if alpha and chance(rng, 0.5):
        pixels[: height // 2, :, 3] = 0
    image = Image.fromarray(pixels if alpha else pixels[..., :3].copy())
    out = io.BytesIO()
    lossless = chance(rng, 0.4)
    image.save(
        out, "WEBP", lossless=lossless, quality=int(rng.integers(0, 101)), method=int(rng.integers(0, 5)),
        exact=chance(rng, 0.5), alpha_quality=pick(rng, [100, 100, 50, 0]),
    )  # fmt: skip
    return [part for part in chunks(out.getvalue()) if part[0] in (b"ALPH", b"VP8 ", b"VP8L")], lossless


def header(flags, width, height):
    return b"VP8X", bytes([flags, 0, 0, 0]) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")


def make(rng):
    width, height = side(rng), side(rng)
    picture, lossless = encoded(rng, width, height)
    has_alpha = picture[0][0] == b"ALPH" or (picture[0][0] == b"VP8L" and picture[0][1][4] >> 4 & 1)
    shows = f"{width}x{height} {'lossless' if lossless else 'lossy'}, {' '.join(name.decode() for name, _ in picture)}"
    # The two decoders round a lossy picture's colours the same way.
    if not has_alpha and chance(rng, 0.15) or picture[0][0] == b"VP8L" and chance(rng, 0.2):
        return Case(riff(picture), shows + ", simple")
    flags = ALPHA if has_alpha else 0
    side_chunks = {ICC: (b"ICCP", bytes(200)), EXIF: None, XMP: None}
    block = exif_block(rng, int(rng.integers(1, 9)))
    side_chunks[EXIF] = (b"EXIF", pick(rng, [b"", b"", b"Exif\0\0", b"Exif\0\0Exif\0\0"]) + block)
    side_chunks[XMP] = (b"XMP ", xmp_block(rng, int(rng.integers(1, 9))))
    parts = list(picture)
    for flag, part in side_chunks.items():
        kind = pick(rng, ["absent", "absent", "right", "right", "promised", "not promised"])
        if kind in ("right", "promised"):
            flags |= flag
        if kind in ("right", "not promised"):
            if flag == ICC:
                parts.insert(0, part)
            else:
                parts.append(part)
        if kind != "absent":
            shows += f", {part[0].decode()} {kind}"
    if chance(rng, 0.2):
        flags ^= ALPHA
        shows += ", alpha flag turned"
    if chance(rng, 0.2):
        parts.insert(int(rng.integers(0, len(parts) + 1)) if picture[0][0] != b"ALPH" else len(parts), (b"abcd", b"unknown"))
    if chance(rng, 0.12):
        return animated(rng, flags, shows)
    return Case(riff([header(flags, width, height), *parts]), shows)


def animated(rng, flags, shows):
    """Frames on a screen, the first one not always as large as it."""
    width, height = side(rng), side(rng)
    left, top = 2 * int(rng.integers(0, 4)), 2 * int(rng.integers(0, 4))
    if chance(rng, 0.5):
        left = top = 0
    canvas = (left + width + pick(rng, [0, 5]), top + height + pick(rng, [0, 5]))
    frames = []
    for _ in range(int(rng.integers(1, 4))):
        picture, _ = encoded(rng, width, height)
        three = lambda n: n.to_bytes(3, "little")
        frame = three(left // 2) + three(top // 2) + three(width - 1) + three(height - 1) + three(40) + bytes([int(rng.integers(0, 4))])
        frames.append((b"ANMF", frame + riff(picture)[12:]))
    parts = [header(flags | ANIMATION, *canvas), (b"ANIM", struct.pack("<IH", int(rng.integers(0, 1 << 32)), 0)), *frames]
    if flags & EXIF and chance(rng, 0.5):
        parts.append((b"EXIF", exif_block(rng, int(rng.integers(1, 9)))))
    return Case(riff(parts), f"{shows}; animated {len(frames)} frames of {width}x{height} at {left},{top} on {canvas}, flags {flags}")
