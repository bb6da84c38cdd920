"""Squares of made-up pictures, as Pillow 13 and the published formulas give them -> vectors.json.

    pip install pillow==13.0.0
    python make.py

Each row: side of a square, family, level, size of the picture, rows and columns of tiles, SHA-256
of all squares' 8-bit pixels in the tower's order. Families: `edges` is Idefics3's and SmolVLM's
image processor (Lanczos), `pinpoints` LLaVA-OneVision's (bicubic).
"""

import hashlib
import json
import math
from pathlib import Path

from PIL import Image

GRID = [1, 2, 3, 4, 5, 6]


def picture(width, height):
    """The formula that `tests/pictures.rs` has too."""
    data = bytearray()
    for y in range(height):
        for x in range(width):
            for c in range(3):
                data.append((x * (3 * c + 2) + y * (2 * c + 5) + ((x * y) >> 4)) % 256)
    return Image.frombytes("RGB", (width, height), bytes(data))


def to_longest(width, height, longest):
    aspect = width / height
    if width >= height:
        width, height = longest, int(longest / aspect)
        height += height % 2
    else:
        width, height = int(longest * aspect), longest
        width += width % 2
    return max(width, 1), max(height, 1)


def to_multiples(width, height, side):
    aspect = width / height
    if width >= height:
        width = math.ceil(width / side) * side
        height = math.ceil(int(width / aspect) / side) * side
    else:
        height = math.ceil(height / side) * side
        width = math.ceil(int(height * aspect) / side) * side
    return width, height


def cut(image, side):
    rows, columns = image.height // side, image.width // side
    return rows, columns, [
        image.crop((c * side, r * side, (c + 1) * side, (r + 1) * side))
        for r in range(rows)
        for c in range(columns)
    ]


def edges(image, side, n):
    image = image.resize(to_longest(*image.size, n * side), Image.LANCZOS)
    image = image.resize(to_multiples(*image.size, side), Image.LANCZOS)
    if image.size == (side, side):
        return 0, 0, [image]
    rows, columns, tiles = cut(image, side)
    return rows, columns, tiles + [image.resize((side, side), Image.LANCZOS)]


def unsplit(image, side, n):
    image = image.resize(to_longest(*image.size, n * side), Image.LANCZOS)
    return 0, 0, [image.resize((side, side), Image.LANCZOS)]


def best(width, height, sizes):
    chosen, most, least = None, 0, float("inf")
    for h, w in sizes:
        scale = min(w / width, h / height)
        shown = min(int(width * scale) * int(height * scale), width * height)
        wasted = w * h - shown
        if shown > most or (shown == most and wasted < least):
            chosen, most, least = (h, w), shown, wasted
    return chosen


def pinpoints(image, side, most):
    width, height = image.size
    sizes = [(r * side, c * side) for r in GRID for c in GRID if r * c <= most]
    h, w = best(width, height, sizes)
    if w / width < h / height:
        new = (w, min(math.ceil(height * (w / width)), h))
    else:
        new = (min(math.ceil(width * (h / height)), w), h)
    canvas = Image.new("RGB", (w, h))
    canvas.paste(image.resize(new, Image.BICUBIC), ((w - new[0]) // 2, (h - new[1]) // 2))
    rows, columns, tiles = cut(canvas, side)
    return rows, columns, [image.resize((side, side), Image.BICUBIC)] + tiles


def frame(image, side, _):
    return 0, 0, [image.resize((side, side), Image.BICUBIC)]


def padded(image, side, _):
    longest = max(image.size)
    square = Image.new("RGB", (longest, longest), (127, 127, 127))
    square.paste(image, ((longest - image.width) // 2, (longest - image.height) // 2))
    return 0, 0, [square.resize((side, side), Image.BICUBIC)]


def main():
    rows = []

    def add(level, side, size, argument):
        down, across, squares = level(picture(*size), side, argument)
        hashed = hashlib.sha256(b"".join(square.tobytes() for square in squares)).hexdigest()
        rows.append({
            "level": level.__name__, "argument": argument, "side": side, "size": size,
            "rows": down, "columns": across, "squares": len(squares), "sha256": hashed,
        })

    shapes = [
        (1, 1), (7, 7), (64, 64), (65, 64), (64, 65), (80, 60), (60, 80), (96, 64), (64, 96),
        (90, 45), (45, 90), (93, 31), (31, 93), (149, 211), (400, 3), (3, 400), (1, 700), (700, 1),
    ]
    for size in shapes:
        for n in [1, 2, 3, 4]:
            add(edges, 24, size, n)
        add(edges, 15, size, 3)
        add(unsplit, 24, size, 4)
        for most in [1, 4, 36]:
            add(pinpoints, 20, size, most)
        add(frame, 20, size, 0)
        add(padded, 20, size, 0)
    add(edges, 512, (640, 480), 4)
    add(edges, 512, (150, 450), 2)
    add(pinpoints, 384, (640, 480), 36)
    lines = ",\n".join(json.dumps(row) for row in rows)
    (Path(__file__).parent / "vectors.json").write_text(f"[\n{lines}\n]\n")


main()
