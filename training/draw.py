"""Paints scenes: `Painter(side)` for the network's input (things are drawn once and kept), `picture()` at any size.

`Painter.paint` puts a scene together from kept rasters in about half a millisecond and says which thing owns each
pixel. `picture` paints the same scene larger, without padding, as a user would have it.
"""

import functools
import io
import math
import os
import random

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from scenes import MANIFEST, PENS, STICKERS, TEXTS, VARIANTS, WINDOW, ground_colours

PAD_COLOUR = (122, 116, 104)  # what CLIP-style padding fills with: trunc(255 * mean)
OUTLINES = {s["name"]: s["outlines"] for s in MANIFEST["shapes"]}
FONT_FOLDER = os.path.join(os.path.dirname(matplotlib.__file__), "mpl-data/fonts/ttf")
FONTS = ["DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSerif.ttf", "DejaVuSerif-Bold.ttf", "DejaVuSansMono-Bold.ttf", "DejaVuSans-Oblique.ttf"]
CARDS = [((255, 255, 255), (20, 20, 24)), ((250, 246, 232), (40, 40, 60)), ((255, 240, 150), (30, 30, 30)), ((255, 255, 255), (190, 30, 30)),
         ((255, 255, 255), (30, 60, 170)), ((40, 44, 52), (245, 245, 245)), ((215, 235, 250), (25, 40, 70)), ((255, 255, 255), (20, 20, 24)),
         ((250, 225, 225), (60, 20, 20))]  # paper and ink, by variant


def turned(points, degrees, scale, centre):
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return [(centre + scale * (c * x - s * y), centre + scale * (s * x + c * y)) for x, y in points]


def shape_mask(thing, pixels, over=4):
    """uint8 [pixels, pixels] coverage of a flat shape that fills its extent."""
    big = Image.new("L", (pixels * over,) * 2)
    draw = ImageDraw.Draw(big)
    for i, points in enumerate(OUTLINES[thing.name]):
        draw.polygon(turned(points, thing.turn, pixels * over / 2.2, pixels * over / 2), fill=0 if i else 255)
    return np.asarray(big.resize((pixels, pixels), Image.BOX))


def stroke_path(name, variant):
    """Points in [-1, 1] as a hand with a mouse would leave them: wobbly, corners rounded, ends that do not quite meet."""
    rng = random.Random(f"{name} {variant}")
    if name == "line":
        a = variant * math.pi / VARIANTS + rng.uniform(-0.1, 0.1)
        bend = rng.uniform(-0.16, 0.16)
        path = [(t * math.cos(a) - bend * (1 - t * t) * math.sin(a), t * math.sin(a) + bend * (1 - t * t) * math.cos(a)) for t in np.linspace(-1, 1, 30)]
    elif name == "scribble":
        corners = [((-1) ** i * rng.uniform(0.6, 1.0), -0.9 + 1.8 * i / 7 + rng.uniform(-0.1, 0.1)) for i in range(8)]
        if variant % 2:
            corners = [(y, x) for x, y in corners]
        path = smooth(corners, 8, 1)
    else:
        corners = turned(OUTLINES[name][0], rng.uniform(-1, 1) * 10, 0.9, 0)
        start = rng.randrange(len(corners))
        corners = corners[start:] + corners[:start]
        path = smooth(corners + corners[:1], max(1, 60 // len(corners)), 2)
        path = path[:len(path) - rng.randint(0, 2)]
    drift, out = [rng.uniform(0, 6.28) for _ in range(4)], []
    for i, (x, y) in enumerate(path):
        t = i / len(path)
        out.append((x + 0.05 * math.sin(7 * t + drift[0]) + 0.02 * math.sin(19 * t + drift[1]), y + 0.05 * math.sin(6 * t + drift[2]) + 0.02 * math.sin(23 * t + drift[3])))
    most = max(max(abs(x), abs(y)) for x, y in out)
    return [(x / most, y / most) for x, y in out]


def smooth(corners, between, rounds):
    """`between` points on each side, then a moving average that rounds the corners."""
    path = [(a[0] + (b[0] - a[0]) * k / between, a[1] + (b[1] - a[1]) * k / between) for a, b in zip(corners, corners[1:]) for k in range(between)] + corners[-1:]
    for _ in range(rounds):
        path = path[:1] + [((a[0] + 2 * b[0] + c[0]) / 4, (a[1] + 2 * b[1] + c[1]) / 4) for a, b, c in zip(path, path[1:], path[2:])] + path[-1:]
    return path


def stroke_mask(thing, pixels, side, over=3):
    """uint8 [pixels, pixels]; the pen keeps its width whatever the extent of the stroke."""
    big = Image.new("L", (pixels * over,) * 2)
    draw = ImageDraw.Draw(big)
    pen = max(1.0, PENS[thing.pen] * side) * over
    points = [(pixels * over / 2 + x * (pixels * over - pen) / 2, pixels * over / 2 + y * (pixels * over - pen) / 2) for x, y in stroke_path(thing.name, thing.variant)]
    draw.line(points, fill=255, width=max(1, round(pen)), joint="curve")
    for x, y in (points[0], points[-1]):
        draw.ellipse((x - pen / 2, y - pen / 2, x + pen / 2, y + pen / 2), fill=255)
    return np.asarray(big.resize((pixels, pixels), Image.BOX))


@functools.lru_cache(1000)
def card_image(text, variant, turn, side):
    """A card with its word at `side` pixels, premultiplied RGBA."""
    paper, ink = CARDS[variant]
    image = Image.new("RGBA", (side, side))
    draw = ImageDraw.Draw(image)
    tall = 0.5 if len(text) > 1 else 0.78
    wide = min(0.98, 0.55 + 0.14 * len(text))
    box = (side * (1 - wide) / 2, side * (1 - tall) / 2, side * (1 + wide) / 2, side * (1 + tall) / 2)
    draw.rounded_rectangle(box, side * 0.06, paper + (255,), (120, 120, 120, 255), max(1, side // 60))
    shown = text.upper() if (variant + TEXTS.index(text)) % 3 == 0 else text
    path = f"{FONT_FOLDER}/{FONTS[(variant * 5 + TEXTS.index(text)) % len(FONTS)]}"
    size = 0.8 * side * tall
    size = min(size, size * 0.9 * wide * side / ImageFont.truetype(path, size).getlength(shown))
    draw.text((side / 2, side / 2), shown, ink + (255,), ImageFont.truetype(path, size), anchor="mm")
    return image.convert("RGBa").rotate(turn, Image.BICUBIC)


def card_raster(thing, pixels):
    """Premultiplied RGBA of a card; small ones of all sizes come from one drawing, since drawing is dear."""
    side = 168 if pixels <= 64 else 3 * pixels
    return card_image(thing.text, thing.variant, thing.turn, side).resize((pixels, pixels), Image.BOX)


class Stickers:
    """The sticker files, read once: premultiplied RGBA at 256 x 256; turned ones are kept for the small sizes."""

    def __init__(self):
        self.images = {t["name"]: Image.open(f"{STICKERS}/{t['file']}").convert("RGBA").convert("RGBa") for t in MANIFEST["stickers"]}
        self.halves = {name: image.reduce(2) for name, image in self.images.items()}
        self.kept = {}

    def raster(self, thing, pixels):
        if pixels > 64:
            return self.turn(self.images, thing).resize((pixels, pixels), Image.BICUBIC)
        key = (thing.name, thing.variant, thing.flip)
        if key not in self.kept:
            self.kept[key] = self.turn(self.halves, thing)
        return self.kept[key].resize((pixels, pixels), Image.BICUBIC)

    def turn(self, images, thing):
        image = images[thing.name]
        if thing.flip:
            image = image.transpose(Image.FLIP_LEFT_RIGHT)
        return image.rotate(thing.turn, Image.BICUBIC) if thing.turn else image


def ramp(direction, rows, cols):
    """0 to 1 across the square, in one of 32 directions."""
    angle = direction * 2 * math.pi / 32
    return (0.5 + 0.72 * (math.cos(angle) * cols + math.sin(angle) * rows)).astype(np.float32)


def paint_ground(ground, side):
    """float32 [side, side, 3]."""
    kind, seed = ground
    colours = [np.float32(c) for c in ground_colours(ground)]
    rng = random.Random(f"painted {kind} {seed}")
    rows, cols = (np.mgrid[0:side, 0:side] + 0.5) / side - 0.5
    pick = lambda share: (colours[0] + share[:, :, None].astype(np.float32) * (colours[1] - colours[0]))
    if kind in ("plain", "manifest"):
        return np.broadcast_to(colours[0], (side, side, 3)).copy()
    if kind == "window":
        x, y, w, h = WINDOW
        bar = y - rng.uniform(0.05, 0.07)
        across = (cols + 0.5 > x) & (cols + 0.5 < x + w)
        image = pick(~(across & (rows + 0.5 > y) & (rows + 0.5 < y + h)))
        image[across & (rows + 0.5 > bar) & (rows + 0.5 <= y)] = rng.choice((236, 250, 60, 210))
        for i, colour in enumerate(((236, 94, 86), (245, 190, 70), (98, 196, 86))):
            image[(cols + 0.5 - x - 0.03 - 0.035 * i) ** 2 + (rows + 0.5 - (bar + y) / 2) ** 2 < 0.012 ** 2] = colour
        return image
    if kind == "gradient":
        return pick(ramp(rng.randrange(32), rows, cols).clip(0, 1))
    if kind == "table":
        edge = rng.uniform(-0.25, 0.1)
        grain = np.sin(rows * rng.uniform(60, 140) + 2 * np.sin(cols * rng.uniform(3, 9)) + rng.uniform(0, 6))
        return pick((rows > edge).astype(np.float32)) + ((rows > edge) * grain * rng.uniform(3, 9))[:, :, None].astype(np.float32)
    if kind == "floor":
        n, slant = rng.uniform(3, 9), rng.uniform(-0.4, 0.4)
        return pick((np.floor((cols + slant * rows) * n) + np.floor((rows - slant * cols) * n)) % 2)
    if kind == "sky":
        edge = rng.uniform(0.05, 0.4)
        hill = edge + rng.uniform(0, 0.05) * np.sin(cols * rng.uniform(4, 12) + rng.uniform(0, 6))
        return pick((rows > hill).astype(np.float32)) + (rows.clip(-0.5, 0) * 30)[:, :, None].astype(np.float32)
    if kind == "paper":
        n = rng.choice((0, 8, 12, 16))
        if n == 0:
            return np.broadcast_to(colours[0], (side, side, 3)).copy()
        lines = (rows * n) % 1 < 0.09
        return pick((lines | ((cols * n) % 1 < 0.09) if rng.random() < 0.5 else lines).astype(np.float32))
    n = rng.uniform(4, 14)  # cloth
    stripes = (np.sin(cols * n * 6.28) > 0).astype(np.float32)
    return pick(0.5 * (stripes + (np.sin(rows * n * 6.28) > 0)) if rng.random() < 0.5 else stripes)


class Painter:
    """Paints scenes at `side` pixels of the padded square. `keep`: remember every raster (for small sides)."""

    def __init__(self, side, keep=True, stickers=None):
        self.side, self.keep = side, keep
        self.stickers = stickers or Stickers()
        self.rasters, self.grounds = {}, {}
        self.rows, self.cols = (np.mgrid[0:side, 0:side] + 0.5) / side - 0.5
        self.noise = np.random.default_rng(7).standard_normal((8, side, side, 3)).astype(np.float32)

    def remember(self, table, key, make):
        if not self.keep:
            return make()
        if key not in table:
            table[key] = make()
        return table[key]

    def raster(self, thing, pixels):
        """(premultiplied RGB float32 or None, alpha float32 [p, p, 1]); None: one colour, that of the thing."""
        if thing.kind in ("shape", "stroke"):
            mask = shape_mask(thing, pixels) if thing.kind == "shape" else stroke_mask(thing, pixels, self.side)
            return None, mask[:, :, None] * np.float32(1 / 255)
        image = card_raster(thing, pixels) if thing.kind == "card" else self.stickers.raster(thing, pixels)
        both = np.asarray(image).astype(np.float32)
        return both[:, :, :3], both[:, :, 3:] * np.float32(1 / 255)

    def paint(self, scene, rng):
        """uint8 [side, side, 3] with padding, and `owner` int8 [side, side]: index of the thing at a pixel, -1 none."""
        side = self.side
        image = self.remember(self.grounds, scene.ground, lambda: paint_ground(scene.ground, side)).copy()
        owner = np.full((side, side), -1, np.int8)
        for i, t in enumerate(scene.things):
            pixels = max(4, round(t.size * side))
            key = (t.kind, t.name, pixels, t.variant, t.flip, t.pen, t.text)
            colour, alpha = self.remember(self.rasters, key, lambda: self.raster(t, pixels))
            left, top = (max(0, min(side - pixels, round(c * side - pixels / 2))) for c in (t.x, t.y))
            if scene.shadow and t.kind != "stroke":
                down = max(1, round(0.07 * pixels))
                spot = image[top + down:top + down + pixels, left + down // 2:left + down // 2 + pixels]
                spot *= 1 - 0.3 * alpha[:spot.shape[0], :spot.shape[1]]
            spot = image[top:top + pixels, left:left + pixels]
            if colour is None:
                colour = np.float32(t.rgb) * alpha
                if scene.shade and t.kind == "shape":
                    colour = colour * np.linspace(1.1, 0.78, pixels, dtype=np.float32)[:, None, None]
            spot *= 1 - alpha
            spot += colour
            owner[top:top + pixels, left:left + pixels][alpha[:, :, 0] > 0.5] = i
        return self.finish(image, scene, rng), owner

    def finish(self, image, scene, rng):
        """Light, noise, blur, JPEG, then the padding over what is outside the picture."""
        side = self.side
        direction, strength = scene.light
        if strength:
            image *= (1 + strength * (0.3 - ramp(direction, self.rows, self.cols)))[:, :, None]
        if scene.noise:
            image += scene.noise * self.noise[rng.randrange(len(self.noise))]
        image = np.clip(image + 0.5, 0, 255).astype(np.uint8)
        if scene.blur or scene.jpeg:
            whole = Image.fromarray(image)
            if scene.blur:
                whole = whole.filter(ImageFilter.GaussianBlur(scene.blur * side))
            if scene.jpeg:
                buffer = io.BytesIO()
                whole.save(buffer, "JPEG", quality=scene.jpeg)
                whole = Image.open(buffer)
            image = np.array(whole)
        left, top, right, bottom = inside(scene, side)
        image[:top], image[bottom:] = PAD_COLOUR, PAD_COLOUR
        image[:, :left], image[:, right:] = PAD_COLOUR, PAD_COLOUR
        return image


def inside(scene, side):
    """The picture without padding, in pixels: left, top, right, bottom. As the runtime pads: an odd rest goes right and down."""
    w, h = (max(1, round(s * side)) for s in scene.box[2:])
    left, top = (side - w) // 2, (side - h) // 2
    return left, top, left + w, top + h


def picture(scene, side, rng, stickers=None):
    """The scene as a Pillow picture whose longer side has `side` pixels, painted afresh."""
    image, _ = Painter(side, keep=False, stickers=stickers).paint(scene, rng)
    return Image.fromarray(image).crop(inside(scene, side))


if __name__ == "__main__":  # python draw.py OUT.png: a sheet of scenes as the network sees them, and the speed
    import sys
    import time

    from scenes import sample_scene
    rng, painter = random.Random(5), Painter(112)
    sheet = Image.new("RGB", (12 * 116, 8 * 116), "white")
    for i in range(96):
        sheet.paste(Image.fromarray(painter.paint(sample_scene(rng), rng)[0]), (i % 12 * 116, i // 12 * 116))
    sheet.save(sys.argv[1])
    scenes = [sample_scene(rng) for _ in range(6000)]
    for part in (scenes[:3000], scenes[3000:]):
        start = time.perf_counter()
        for s in part:
            painter.paint(s, rng)
        print(f"{len(part) / (time.perf_counter() - start):.0f} scenes per second, {len(painter.rasters)} rasters kept")
