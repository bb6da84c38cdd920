"""Synthetic toybox scenes: one to six coloured shapes on a plain background.

A scene is data (`Scene`, `Thing`), drawn in two ways from the same numbers:

* `draw_fast`  the 112 x 112 picture the network sees, put together from pre-drawn masks (~0.3 ms);
* `draw_large` the picture as a user would have it (any size, own aspect ratio), drawn with Pillow.

All coordinates are in pixels of the network's 112 x 112 input, padding included, so that a scene
knows which of the 8 x 8 patches each thing covers.
"""

import io
import math
import random
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

SIZE = 112  # network input, pixels
PATCH = 14
GRID = SIZE // PATCH  # 8 x 8 patches
PAD_COLOUR = (122, 116, 104)  # what CLIP-style padding fills with: trunc(255 * mean)
MAX_THINGS = 6
R_MIN, R_MAX = 10, 26  # radius of a thing, pixels of the 112 x 112 input

SHAPES = ["circle", "square", "triangle", "star", "heart", "cross", "diamond", "ring"]
COLOURS = {
    "red": (214, 34, 38), "green": (38, 158, 58), "blue": (36, 82, 214), "yellow": (250, 218, 40),
    "orange": (250, 136, 24), "purple": (128, 46, 170), "pink": (252, 136, 190), "brown": (122, 74, 36),
    "black": (18, 18, 20), "white": (248, 248, 246),
}
COLOUR_NAMES = list(COLOURS)
# How far a shape may turn (degrees to each side). A square on its corner would be a diamond.
TURN = {"circle": 0, "square": 18, "triangle": 30, "star": 36, "heart": 25, "cross": 22, "diamond": 14, "ring": 0}
VARIANTS = 24  # pre-drawn masks per shape and radius: turns x sub-pixel shifts


@dataclass
class Thing:
    shape: str
    colour: str
    rgb: tuple  # the jittered colour actually drawn
    x: float  # centre
    y: float
    r: int  # half of the extent
    variant: int  # which turn

    @property
    def angle(self):
        """Turn in degrees, evenly spread over what the shape allows."""
        return TURN[self.shape] * (2 * self.variant / (VARIANTS - 1) - 1)


@dataclass
class Scene:
    box: tuple  # x0, y0, w, h of the picture inside the padded square
    ground: tuple  # two RGB colours and a direction (radians); equal colours: plain
    noise: float  # standard deviation in grey levels
    jpeg: int  # JPEG quality, 0: none
    things: list = field(default_factory=list)

    def cell(self, thing, margin=0.035):
        """Which ninth of the picture a thing's centre is in, as (column, row), or None if too close to call."""
        x0, y0, w, h = self.box
        out = []
        for f in ((thing.x - x0) / w, (thing.y - y0) / h):
            if min(abs(f - 1 / 3), abs(f - 2 / 3)) < margin:
                return None
            out.append(0 if f < 1 / 3 else 1 if f < 2 / 3 else 2)
        return tuple(out)


def outline(shape, angle, r, cx, cy):
    """Polygon(s) of a shape: list of (points, filled?) with points in pixels."""
    def turn(points):
        c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        return [(cx + r * (c * x - s * y), cy + r * (s * x + c * y)) for x, y in points]

    def arc(n, radius=1.0, start=0.0):
        return [(radius * math.cos(start + 2 * math.pi * i / n), radius * math.sin(start + 2 * math.pi * i / n)) for i in range(n)]

    up = -math.pi / 2
    if shape == "circle":
        return [(turn(arc(48)), True)]
    if shape == "ring":
        return [(turn(arc(48)), True), (turn(arc(48, 0.56)), False)]
    if shape == "square":
        return [(turn([(-.84, -.84), (.84, -.84), (.84, .84), (-.84, .84)]), True)]
    if shape == "triangle":
        return [(turn([(x, y + 0.18) for x, y in arc(3, 1.12, up)]), True)]
    if shape == "diamond":
        return [(turn([(0, -1.08), (.68, 0), (0, 1.08), (-.68, 0)]), True)]
    if shape == "cross":
        a, b = .34, 1.0
        return [(turn([(-a, -b), (a, -b), (a, -a), (b, -a), (b, a), (a, a), (a, b), (-a, b), (-a, a), (-b, a), (-b, -a), (-a, -a)]), True)]
    if shape == "star":
        outer, inner = arc(5, 1.1, up), arc(5, 0.46, up + math.pi / 5)
        return [(turn([p for pair in zip(outer, inner) for p in pair]), True)]
    if shape == "heart":
        ts = [2 * math.pi * i / 60 for i in range(60)]
        pts = [(16 * math.sin(t) ** 3 / 16.5, -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) / 15.5 + 0.1) for t in ts]
        return [(turn(pts), True)]
    raise ValueError(shape)


class Masks:
    """All masks drawn once: `masks[shape, r, variant]` -> uint8 [2r+7, 2r+7], centred but for a sub-pixel shift."""

    def __init__(self, over=6):
        shifts = random.Random(7)
        self.masks = {}
        for shape in SHAPES:
            for r in range(R_MIN, R_MAX + 1):
                for v in range(VARIANTS):
                    side = 2 * r + 7
                    big = Image.new("L", (side * over, side * over))
                    draw = ImageDraw.Draw(big)
                    angle = TURN[shape] * (2 * v / (VARIANTS - 1) - 1)
                    cx, cy = ((side / 2 + shifts.uniform(-.5, .5)) * over for _ in range(2))
                    for points, filled in outline(shape, angle, r * over, cx, cy):
                        draw.polygon(points, fill=255 if filled else 0)
                    self.masks[shape, r, v] = np.asarray(big.resize((side, side), Image.BICUBIC))
        rows, cols = np.mgrid[0:SIZE, 0:SIZE] / SIZE - 0.5
        turns = np.arange(32) * 2 * np.pi / 32
        self.ramps = (0.5 + np.cos(turns)[:, None, None] * cols + np.sin(turns)[:, None, None] * rows).clip(0, 1).astype(np.float32)
        self.noise = np.random.default_rng(7).standard_normal((16, SIZE, SIZE, 3)).astype(np.float32)


def sample_scene(rng: random.Random, count=None):
    """One random scene. Things keep clear of each other but may touch; colours stand out from the ground."""
    kind = rng.random()
    w = h = SIZE
    if kind < 0.35:  # a picture that is not square is padded to one
        short = round(SIZE / rng.choice((4 / 3, 4 / 3, 3 / 2, 16 / 9, 1.2)))
        w, h = (SIZE, short) if rng.random() < 0.7 else (short, SIZE)
    x0, y0 = (SIZE - w) // 2, (SIZE - h) // 2
    count = count or rng.choices(range(1, MAX_THINGS + 1), (3, 3, 4, 4, 3, 3))[0]
    top = {1: R_MAX, 2: 24, 3: 21, 4: 18, 5: 16, 6: 15}[count]
    scene = Scene((x0, y0, w, h), None, 0.0, 0)
    # A few colours and shapes per scene, so that counts above one and near misses are common.
    colours = rng.sample(COLOUR_NAMES, rng.randint(1, 5))
    shapes = rng.sample(SHAPES, rng.randint(1, 5))
    for _ in range(60):
        if len(scene.things) == count:
            break
        shape, colour = rng.choice(shapes), rng.choice(colours)
        r = rng.randint(R_MIN, top)
        x, y = (rng.randint(math.ceil(a + r), math.floor(a + b - r)) for a, b in ((x0, w), (y0, h)))
        if any((x - t.x) ** 2 + (y - t.y) ** 2 < (0.92 * (r + t.r)) ** 2 for t in scene.things):
            continue
        rgb = tuple(max(0, min(255, round(c + rng.uniform(-16, 16)))) for c in COLOURS[colour])
        scene.things.append(Thing(shape, colour, rgb, x, y, r, rng.randrange(VARIANTS)))
    used = [COLOURS[t.colour] for t in scene.things]
    while True:
        first = sample_ground(rng)
        second = first
        if rng.random() < 0.35:
            second = tuple(max(0, min(255, c + rng.randint(-45, 45))) for c in first)
        if all(max(abs(a - b) for a, b in zip(ground, c)) > 60 and sum(abs(a - b) for a, b in zip(ground, c)) > 110
               for ground in (first, second) for c in used):
            break
    scene.ground = (first, second, rng.randrange(32))
    scene.noise = rng.choice((0, 0, 0, 2, 5, 8))
    scene.jpeg = rng.choice((0, 0, 0, 0, 0, 90, 75))
    return scene


def sample_ground(rng):
    """A background colour: light, dark, grey or anything muted."""
    kind = rng.random()
    if kind < 0.5:
        return tuple(rng.randint(190, 255) for _ in range(3))
    if kind < 0.65:
        return tuple([rng.randint(60, 255)] * 3)
    if kind < 0.8:
        return tuple(rng.randint(20, 90) for _ in range(3))
    return tuple(rng.randint(60, 220) for _ in range(3))


def draw_fast(scene, masks, rng):
    """The padded network input, uint8 [112, 112, 3], and `owner` int8 [112, 112]: index of the thing at a pixel, -1 none."""
    x0, y0, w, h = scene.box
    first, second, turn = scene.ground
    image = np.empty((SIZE, SIZE, 3), np.float32)
    image[:] = first
    if first != second:
        image += masks.ramps[turn][:, :, None] * (np.float32(second) - np.float32(first))
    owner = np.full((SIZE, SIZE), -1, np.int8)
    for i, t in enumerate(scene.things):
        mask = masks.masks[t.shape, t.r, t.variant]
        side = mask.shape[0]
        left, top = int(t.x) - side // 2, int(t.y) - side // 2
        l, u, r, d = max(left, 0), max(top, 0), min(left + side, SIZE), min(top + side, SIZE)
        mask = mask[u - top:d - top, l - left:r - left]
        spot = image[u:d, l:r]
        spot += (mask[:, :, None] * np.float32(1 / 255)) * (np.float32(t.rgb) - spot)
        owner[u:d, l:r][mask > 127] = i
    if scene.noise:
        image += scene.noise * masks.noise[rng.randrange(len(masks.noise))]
    image = np.clip(image + 0.5, 0, 255).astype(np.uint8)
    if scene.jpeg:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=scene.jpeg)
        image = np.array(Image.open(buffer))
    for name, (a, b) in {"rows": (y0, y0 + h), "cols": (x0, x0 + w)}.items():
        part = image if name == "rows" else image.swapaxes(0, 1)
        part[:a], part[b:] = PAD_COLOUR, PAD_COLOUR
    return image, owner


def draw_large(scene, scale, over=3):
    """The scene without padding as a Pillow picture of (w*scale, h*scale) pixels, drawn afresh."""
    x0, y0, w, h = scene.box
    big = (round(w * scale * over), round(h * scale * over))
    k = scale * over
    first, second, turn = scene.ground
    rows, cols = np.mgrid[0:big[1], 0:big[0]]
    angle = turn * 2 * math.pi / 32
    ramp = (0.5 + math.cos(angle) * ((cols / k + x0) / SIZE - 0.5) + math.sin(angle) * ((rows / k + y0) / SIZE - 0.5)).clip(0, 1)[:, :, None]
    image = Image.fromarray((np.array(first) + ramp * (np.array(second) - np.array(first)) + 0.5).clip(0, 255).astype(np.uint8))
    draw_mask = Image.new("L", big)
    for t in scene.things:
        draw_mask.paste(0, (0, 0, *big))
        draw = ImageDraw.Draw(draw_mask)
        for points, filled in outline(t.shape, t.angle, t.r * k, (t.x - x0 + 0.5) * k, (t.y - y0 + 0.5) * k):
            draw.polygon(points, fill=255 if filled else 0)
        image.paste(t.rgb, (0, 0), draw_mask)
    return image.resize((round(w * scale), round(h * scale)), Image.BOX)


def patch_targets(scene, owner):
    """What each of the 64 patches shows: int8 [64, 2] (shape, colour; 0 ground, -1 do not ask), float32 [64, 5].

    The numbers: 1 if a thing's centre lies in the patch; the offset from the patch to the centre of the thing that
    covers it, in patches; the column and row of the picture's ninth which that centre is in. A patch that a thing
    covers by less than a quarter is not asked.
    """
    at = (np.arange(SIZE) // PATCH)
    patch = at[:, None] * GRID + at[None, :]
    share = np.bincount((patch * 7 + owner + 1).ravel(), minlength=GRID * GRID * 7).reshape(GRID * GRID, 7)
    best = share[:, 1:].argmax(1)
    cover = share[:, 1:].max(1) / PATCH ** 2
    kind = np.zeros((GRID * GRID, 2), np.int8)
    more = np.zeros((GRID * GRID, 5), np.float32)
    kind[(cover > 0.04) & (cover < 0.25)] = -1
    covered = cover >= 0.25
    for i, t in enumerate(scene.things):
        row, col = min(int(t.y) // PATCH, GRID - 1), min(int(t.x) // PATCH, GRID - 1)
        own = covered & (best == i)
        own[row * GRID + col] = True  # also the empty middle of a ring
        index = np.flatnonzero(own)
        kind[index] = (SHAPES.index(t.shape) + 1, COLOUR_NAMES.index(t.colour) + 1)
        more[index, 1] = (t.x + 0.5) / PATCH - (index % GRID + 0.5)
        more[index, 2] = (t.y + 0.5) / PATCH - (index // GRID + 0.5)
        more[index, 3:] = scene.cell(t, 0.0)
        more[row * GRID + col, 0] = 1
    return kind, more
