"""BMP files of every header, depth and coding that Pillow reads, with headers that lie where writers do."""

import io
import struct

import numpy as np
from PIL import Image

from common import Case, chance, pick, side, smooth

# Masks that Pillow knows, and for 32 bits what lies in each byte.
MASKS = {
    16: [(0xF800, 0x7E0, 0x1F), (0x7C00, 0x3E0, 0x1F)],
    24: [(0xFF0000, 0xFF00, 0xFF)],
    32: [
        (0xFF0000, 0xFF00, 0xFF, 0),
        (0xFF000000, 0xFF0000, 0xFF00, 0),
        (0xFF000000, 0xFF00, 0xFF, 0),
        (0xFF000000, 0xFF0000, 0xFF00, 0xFF),
        (0xFF, 0xFF00, 0xFF0000, 0xFF000000),
        (0xFF0000, 0xFF00, 0xFF, 0xFF000000),
        (0xFF000000, 0xFF00, 0xFF, 0xFF0000),
        (0, 0, 0, 0),
    ],
}
# Masks that Pillow refuses; here they are read by what they say.
OWN_MASKS = {16: [(0xF00, 0xF0, 0xF, 0), (0xF00, 0xF0, 0xF, 0xF000), (0x1F, 0x7E0, 0xF800, 0)], 32: [(0x3FF00000, 0xFFC00, 0x3FF, 0), (0xFF, 0xFF00, 0xFF0000, 0)]}


def rows(samples, bits):
    """Stored rows, padded to four bytes; samples [h, w], whole pixels."""
    if bits < 8:
        spread = (samples[..., None] >> np.arange(bits)[::-1]) & 1
        data = np.packbits(spread.astype(np.uint8).reshape(len(samples), -1), axis=1)
    else:
        data = samples.astype("<u4").view(np.uint8).reshape(*samples.shape, 4)[..., : bits // 8].reshape(len(samples), -1)
    return [row.tobytes() + bytes(-len(row.tobytes()) % 4) for row in data]


def runs(rng, samples, four):
    """Run-length coding with every liberty: skips, short lines, a bitmap that stops early, runs over the edge."""
    height, width = samples.shape
    out = b""
    liberties = chance(rng, 0.7)
    y = 0
    while y < height:
        x = 0
        line = samples[y]
        while x < width:
            kind = pick(rng, ["run", "run", "run", "plain", "skip", "end", "over"] if liberties else ["run", "plain"])
            n = int(rng.integers(1, min(255, width - x) + 1))
            if kind == "run":
                if four:
                    out += bytes([n, int(line[x]) << 4 | int(line[min(x + 1, width - 1)])])
                else:
                    out += bytes([n, int(line[x])])
                x += n
            elif kind == "over":
                out += bytes([min(255, width - x + 3), int(line[x])])
                x = width
            elif kind == "plain" and n > 2:
                piece = line[x : x + n]
                if four:
                    padded = np.concatenate([piece, np.zeros(n % 2, piece.dtype)])
                    data = bytes(int(a) << 4 | int(b) for a, b in padded.reshape(-1, 2))
                else:
                    data = bytes(int(v) for v in piece)
                out += bytes([0, n]) + data + bytes(len(data) % 2)
                x += n
            elif kind == "skip" and chance(rng, 0.3):
                down = int(rng.integers(0, 3)) if y + 2 < height else 0
                right = int(rng.integers(0, width - x))
                out += bytes([0, 2, right, down])
                x += right
                if down:
                    y += down
                    line = samples[y]
            elif kind == "end" and chance(rng, 0.3):
                break
        out += b"\0\0"
        y += 1
        if liberties and chance(rng, 0.02):
            break
    return out + (b"\0\1" if chance(rng, 0.8) or y < height else b"")


def make(rng):
    width, height = side(rng), side(rng)
    header = pick(rng, [12, 40, 40, 40, 52, 56, 64, 108, 124])
    bits = pick(rng, [1, 4, 8, 8, 16, 24, 24, 32, 32])
    compression, masks, people, refused = 0, (), None, ""
    if header != 12 and bits in (4, 8) and chance(rng, 0.5):
        compression = 1 if bits == 8 else 2
    elif header not in (12, 64) and bits in MASKS and chance(rng, 0.5):
        compression = 3
        if chance(rng, 0.2) and bits in OWN_MASKS:
            masks = pick(rng, OWN_MASKS[bits])
        else:
            masks = pick(rng, MASKS[bits])
        if len(masks) > 3 and header < 56:
            masks = masks[:3] + (0,)
    if header != 12 and chance(rng, 0.02):
        bits, compression, refused = pick(rng, [(24, 4, "JPEG"), (24, 5, "PNG"), (7, 0, "7 bits")])
        if header == 64 and compression == 4:
            refused = "OS/2"
    palette = b""
    used = 0
    if bits <= 8:
        most = 1 << min(bits, 8)
        n = most if header == 12 else pick(rng, [most, most, int(rng.integers(1, most + 1)), int(rng.integers(1, most + 1))])
        colours = rng.integers(0, 256, (n, 4), dtype=np.uint8)
        # Pillow takes the stored bits for whole bytes where a grey palette has other than 256 entries of 8 bits, or 2 of 1.
        if chance(rng, 0.15) and (bits == 8 and n != 2 or bits == 1 and n == 2):
            colours[:] = (np.arange(n) if n != 2 else np.array([0, 255]))[:, None]
        entry = 3 if header == 12 else 4
        palette = colours[:, :entry].tobytes()
        used = 0 if n == most and chance(rng, 0.5) else n
        if header != 12 and bits == 8 and chance(rng, 0.05):
            used, palette = n + 3, palette + bytes(entry * 3)
        samples = smooth(rng, width, height, 1)[..., 0].astype(int) * min(n, most) // 256
        if chance(rng, 0.1):
            samples = smooth(rng, width, height, 1)[..., 0].astype(int) >> (8 - min(bits, 8))
    else:
        planes = smooth(rng, width, height, 4).astype(np.uint32)
        if chance(rng, 0.25):
            planes[..., 3] = 0
        samples = planes[..., 0] | planes[..., 1] << 8 | planes[..., 2] << 16 | planes[..., 3] << 24
        samples = samples & ((1 << bits) - 1)
        if chance(rng, 0.1):
            used = int(rng.integers(1, 20))
        if compression == 3 and masks not in MASKS[bits] and masks[:3] not in MASKS[bits]:
            people = by_masks(samples, masks)
    down = header != 12 and chance(rng, 0.3)
    if compression in (1, 2):
        data = runs(rng, samples if down else samples[::-1], compression == 2)
    else:
        stored = rows(samples, bits)
        data = b"".join(stored if down else stored[::-1])
    if header == 12:
        body = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        size = pick(rng, [len(data), 0])
        body = struct.pack("<IiiHHIIIIII", header, width, -height if down else height, 1, bits, compression, size, 2835, 2835, used, 0)
        if header > 40:
            stated = masks if len(masks) == 4 else (*masks, 0) if masks else (0, 0, 0, 0)
            rest = struct.pack("<4I", *stated)[: header - 40] if header != 64 else b""
            body += rest.ljust(header - 40, b"\0")
    extra = b"" if header > 40 else struct.pack(f"<{len(masks[:3])}I", *masks[:3])
    gap = bytes(int(rng.integers(1, 9))) if chance(rng, 0.15) else b""
    offset = 14 + len(body) + len(extra) + len(palette) + len(gap)
    stated = offset
    if not gap and chance(rng, 0.05):
        stated = 0
    total = pick(rng, [offset + len(data), 0, 77])
    file = b"BM" + struct.pack("<IHHI", total, 0, 0, stated) + body + extra + palette + gap + data
    if chance(rng, 0.1):
        file += b"behind the end"
    if compression in (1, 2) and data.endswith(b"\0\1"):
        people = with_all_rows(file[:offset] + data.removesuffix(b"\0\1"), height)
    masks_say = "".join(f" {m:x}" for m in masks)
    shows = f"{width}x{height} header {header}, {bits} bits, compression {compression}, masks{masks_say}, used {used}, top-down {down}, gap {len(gap)}, offset {stated}"
    return Case(file, shows, refused=refused, people=people)


def with_all_rows(file, height):
    """What Pillow makes of a run-length picture once the rows that it lacks are skipped explicitly: it refuses it without them."""
    try:
        image = Image.open(io.BytesIO(file + b"\0\2\0\1" * height))
        return np.asarray(image.convert("RGB"))
    except Exception:
        return None


def by_masks(samples, masks):
    """RGBA by what the masks say, each channel 0 to 255, rounded down."""
    out = np.full((*samples.shape, 4), 255, np.uint8)
    for c, mask in enumerate(masks):
        if mask:
            shift = (mask & -mask).bit_length() - 1
            out[..., c] = ((samples.astype(np.uint64) & mask) >> shift) * 255 // (mask >> shift)
        elif c < 3:
            out[..., c] = 0
    return out
