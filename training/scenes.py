"""Synthetic toybox scenes as data: one to eight things on a ground. `draw.py` paints them, `questions.py` asks about them.

All lengths are shares of the picture's longer side; a picture that is not square lies in the middle of the padded
square that the network sees, and all coordinates are in that square: x to the right, y down, 0 to 1.
What there is (shapes, colours, stickers, card words) comes from models/toybox/stickers/manifest.json, which the page's
scene composer reads too.
"""

import json
import math
import os
import random
from dataclasses import dataclass, field

STICKERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../models/toybox/stickers")
with open(f"{STICKERS}/manifest.json") as _file:
    MANIFEST = json.load(_file)

COLOURS = {name: tuple(int(h[i:i + 2], 16) for i in (1, 3, 5)) for name, h in MANIFEST["colours"].items()}
COLOUR_NAMES = list(COLOURS)
SHAPES = [s["name"] for s in MANIFEST["shapes"]]
STICKER_NAMES = [s["name"] for s in MANIFEST["stickers"]]
STROKES = ["line", "scribble"]
DRAWN = ["circle", "square", "triangle", "star", "heart"]  # shapes that are also drawn by hand, as outlines
NAMES = SHAPES + STICKER_NAMES + STROKES + ["card"]
TEXTS = [str(i) for i in range(10)] + MANIFEST["card_words"]
TURN = {s["name"]: s["turn"] for s in MANIFEST["shapes"]}  # degrees to each side; a square on its corner would be a diamond
PLURAL = {t["name"]: t["plural"] for t in MANIFEST["shapes"] + MANIFEST["stickers"]} | {n: n + "s" for n in STROKES + ["card"]}
STICKER_COLOUR = {t["name"]: t["colour"] for t in MANIFEST["stickers"]}
GROUP = {t["name"]: t["group"] for t in MANIFEST["stickers"]}
ALSO = {t["name"]: t["also"] for t in MANIFEST["stickers"]}
MAX_THINGS = MANIFEST["limits"]["things"][1]
PENS = (0.014, 0.02, 0.028, 0.036, 0.046)  # widths of a mouse stroke
VARIANTS = 9  # turns of a thing; for a stroke, ways of drawing it
SIZES = [d / 112 for d in (18, 20, 22, 24, 26, 28, 31, 34, 37, 40, 44, 48, 52, 56)]  # extents; few, so that drawn things can be kept
LARGEST = (0.5, 0.5, 0.46, 0.37, 0.33, 0.3, 0.27, 0.25)  # extent of one of so many things
WINDOW = (0.05, 0.09, 0.9, 0.86)  # the inside of a screenshot's window


@dataclass
class Thing:
    kind: str  # shape, sticker, stroke or card
    name: str
    colour: str | None  # what a person would call it; None: no one word for it
    rgb: tuple  # the colour drawn
    x: float  # centre
    y: float
    size: float  # extent
    variant: int = 0
    flip: bool = False
    pen: int = 0  # of strokes: index into PENS
    text: str | None = None  # on a card

    @property
    def turn(self):
        """Degrees, evenly spread over what the thing may turn."""
        most = {"shape": TURN.get(self.name, 0), "sticker": MANIFEST["limits"]["sticker_turn"], "card": 12, "stroke": 0}[self.kind]
        return most * (2 * self.variant / (VARIANTS - 1) - 1)


@dataclass
class Scene:
    box: tuple  # x0, y0, w, h of the picture in the padded square
    ground: tuple  # (kind, seed), see draw.py
    things: list = field(default_factory=list)  # from back to front
    shadow: bool = False
    shade: bool = False  # shapes with a gradient instead of one flat colour
    light: tuple = (0, 0.0)  # direction (of 32), strength
    noise: float = 0.0  # standard deviation in grey levels
    blur: float = 0.0  # radius
    jpeg: int = 0  # quality; 0: none

    def cell(self, thing, margin=0.035):
        """Which ninth of the picture a thing's centre is in, as (column, row), or None if too close to call."""
        x0, y0, w, h = self.box
        out = []
        for f in ((thing.x - x0) / w, (thing.y - y0) / h):
            if min(abs(f - 1 / 3), abs(f - 2 / 3)) < margin:
                return None
            out.append(0 if f < 1 / 3 else 1 if f < 2 / 3 else 2)
        return tuple(out)


def sample_scene(rng: random.Random, count=None, composed=None, cards=0.12):
    """One random scene. `composed`: as a person puts it together on the page (plain ground, no effects). `cards`: how many things are cards."""
    composed = rng.random() < 0.4 if composed is None else composed
    w = h = 1.0
    screenshot = rng.random() < 0.06
    if not screenshot and rng.random() < (0.5 if composed else 0.35):
        short = 1 / rng.choice((4 / 3, 4 / 3, 3 / 2, 16 / 9, 1.2))
        w, h = (1.0, short) if rng.random() < 0.8 else (short, 1.0)
    if composed:
        count = count or rng.choices(range(1, MAX_THINGS + 1), (5, 6, 6, 5, 3, 2, 1, 1))[0]
        ground = ("manifest", rng.randrange(len(MANIFEST["grounds"]))) if rng.random() < 0.8 else ("plain", rng.randrange(400))
    else:
        count = count or rng.choices(range(1, MAX_THINGS + 1), (4, 4, 5, 5, 4, 4, 2, 2))[0]
        kind = rng.choices(("plain", "manifest", "gradient", "table", "floor", "sky", "paper", "cloth"), (3, 2, 4, 2, 2, 2, 2, 2))[0]
        ground = (kind, rng.randrange(len(MANIFEST["grounds"]) if kind == "manifest" else 60))
    if screenshot:
        ground = ("window", rng.randrange(60))
    scene = Scene(((1 - w) / 2, (1 - h) / 2, w, h), ground)
    place_things(scene, count, rng, cards)
    if composed:
        scene.shadow = rng.random() < 0.3
        return scene
    scene.shadow, scene.shade = rng.random() < 0.4, rng.random() < 0.35
    scene.light = (rng.randrange(32), rng.choice((0, 0, 0.15, 0.3)))
    scene.noise = rng.choice((0, 0, 0, 2, 5, 8))
    scene.blur = rng.choice((0, 0, 0, 0, 0, 0.004, 0.007))
    scene.jpeg = rng.choice((0, 0, 0, 0, 0, 0, 90, 70))
    return scene


def place_things(scene, count, rng, cards):
    """Adds up to `count` things that fit. A few names and colours per scene: counts above one and near misses are common."""
    x0, y0, w, h = WINDOW if scene.ground[0] == "window" else scene.box
    low = rng.choice((0, 0, 0.2, 0.24)) if count < 5 else 0
    sizes = [s for s in SIZES if low < s < min(LARGEST[count - 1] + 0.01, 0.98 * min(w, h))]
    closeness = 0.95 if rng.random() < 0.7 else 0.68
    grounds = ground_colours(scene.ground)
    grounds = grounds[:1] if scene.ground[0] == "window" else grounds
    clear = [c for c in COLOUR_NAMES if all(stands_out(COLOURS[c], g) for g in grounds)]
    colours = rng.sample(clear, min(len(clear), rng.randint(1, 4))) or ["red"]
    mix = rng.choice(("shapes", "stickers", "stickers", "all", "all", "all"))
    shapes, stickers = rng.sample(SHAPES, rng.randint(1, 4)), rng.sample(STICKER_NAMES, rng.randint(1, 4))
    strokes = rng.random() < 0.35
    for _ in range(12 * count):
        if len(scene.things) == count:
            break
        size = rng.choice(sizes)
        x, y = (rng.uniform(a + size / 2, a + b - size / 2) for a, b in ((x0, w), (y0, h)))
        if any((x - t.x) ** 2 + (y - t.y) ** 2 < (closeness * (size + t.size) / 2) ** 2 for t in scene.things):
            continue
        roll, thing = rng.random(), Thing("shape", "", None, (0, 0, 0), x, y, size, rng.randrange(VARIANTS))
        if roll < cards and size >= MANIFEST["limits"]["card"][0]:
            thing.kind = thing.name = "card"
            thing.text = rng.choice(TEXTS[:10] if rng.random() < 0.45 else TEXTS[10:])
        elif strokes and roll < cards + 0.22:
            thing.kind, thing.pen = "stroke", rng.randrange(len(PENS))
            thing.name = rng.choice(DRAWN if rng.random() < 0.6 else STROKES)
        elif mix == "stickers" or mix == "all" and rng.random() < 0.6:
            thing.kind, thing.name, thing.flip = "sticker", rng.choice(stickers), rng.random() < 0.3
            thing.colour = STICKER_COLOUR[thing.name]
        else:
            thing.name = rng.choice(shapes)
        if thing.kind in ("shape", "stroke"):
            thing.colour = rng.choice(colours)
            wobble = 0 if rng.random() < 0.4 else 16
            thing.rgb = tuple(max(0, min(255, round(c + rng.uniform(-wobble, wobble)))) for c in COLOURS[thing.colour])
        if rng.random() < 0.25:
            thing.variant = VARIANTS // 2  # upright, as things are put on the page
        scene.things.append(thing)


def stands_out(a, b):
    return max(abs(p - q) for p, q in zip(a, b)) > 60 and sum(abs(p - q) for p, q in zip(a, b)) > 110


def muted(rng):
    """A background colour: light, dark, grey or anything muted."""
    kind = rng.random()
    if kind < 0.5:
        return tuple(rng.randint(190, 255) for _ in range(3))
    if kind < 0.65:
        return tuple([rng.randint(60, 255)] * 3)
    if kind < 0.8:
        return tuple(rng.randint(20, 90) for _ in range(3))
    return tuple(rng.randint(60, 220) for _ in range(3))


def near(colour, spread, rng):
    return tuple(max(0, min(255, c + rng.randint(-spread, spread))) for c in colour)


def ground_colours(ground):
    """The main colours of a ground (kind, seed): what a thing must stand out from, and what draw.py paints with."""
    kind, seed = ground
    if kind == "manifest":
        h = MANIFEST["grounds"][seed]
        return [tuple(int(h[i:i + 2], 16) for i in (1, 3, 5))]
    rng = random.Random(f"{kind} {seed}")
    if kind == "window":  # a screenshot: what is in the window; the desktop around it
        return [*ground_colours(("manifest", rng.randrange(len(MANIFEST["grounds"])))), muted(rng)]
    if kind == "plain":
        return [muted(rng)]
    if kind == "gradient":
        first = muted(rng)
        return [first, near(first, 45, rng)]
    if kind == "table":  # a wall, and wood in front of it
        wood = rng.choice(((190, 140, 90), (214, 174, 120), (150, 100, 62), (230, 205, 165)))
        return [near((225, 220, 210), 25, rng), near(wood, 14, rng)]
    if kind == "floor":  # two kinds of tiles
        first = muted(rng)
        return [first, near(first, 28, rng)]
    if kind == "sky":  # sky above grass, sand or water
        return [near((150, 200, 240), 25, rng), near(rng.choice(((110, 170, 90), (225, 205, 150), (70, 130, 190))), 18, rng)]
    if kind == "paper":  # paper and its lines
        paper = rng.choice(((255, 255, 255), (250, 246, 235), (242, 246, 252)))
        return [paper, near(tuple(c - 30 for c in paper), 12, rng)]
    if kind == "cloth":  # stripes or checks
        first = muted(rng)
        return [first, near(first, 22, rng)]
    raise ValueError(kind)
