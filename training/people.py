"""Pictures as people make them, and the sets of questions that a model is measured on.

`user_pictures` are ten pictures put together by hand, in code: stickers dropped on the page, mouse strokes, a
screenshot of such a scene with the window around it. `write_set` writes scenes and questions in LLaVA's format.
"""

import json
import os
import random

import numpy as np
from PIL import Image, ImageDraw

from draw import Painter, Stickers, picture
from questions import KINDS, WEIGHTS, questions
from scenes import COLOURS, STICKER_COLOUR, VARIANTS, Scene, Thing, sample_scene

HELD_OUT_SEED, COMPOSED_SEED, SAMPLE_SEED = 900_002, 900_003, 900_004
UPRIGHT = VARIANTS // 2


def sticker(name, x, y, size, variant=UPRIGHT):
    return Thing("sticker", name, STICKER_COLOUR[name], (0, 0, 0), x, y, size, variant)


def shape(colour, name, x, y, size, variant=UPRIGHT):
    return Thing("shape", name, colour, COLOURS[colour], x, y, size, variant)


def stroke(colour, name, x, y, size, pen=2, variant=3):
    return Thing("stroke", name, colour, COLOURS[colour], x, y, size, variant, pen=pen)


def card(text, x, y, size, variant=0):
    return Thing("card", "card", None, (0, 0, 0), x, y, size, variant, text=text)


SQUARE, WIDE, TALL = (0.0, 0.0, 1.0, 1.0), (0.0, 0.125, 1.0, 0.75), (0.125, 0.0, 0.75, 1.0)
# Box, ground, things, [(question, right answer), ...]; "screenshot" draws a window around it.
USER_PICTURES = [
    (WIDE, ("manifest", 3), [sticker("apple", 0.2, 0.5, 0.27), sticker("car", 0.5, 0.55, 0.3), sticker("cat", 0.8, 0.5, 0.27)],
     [("How many things are there?", "3"), ("what is left of the car?", "an apple"), ("where is the car?", "middle"), ("what do you see?", "an apple, a car and a cat"), ("is there a dog", "no")]),
    (SQUARE, ("manifest", 0), [sticker("dog", 0.5, 0.5, 0.4)],
     [("What is this?", "a dog"), ("what animal is this", "a dog"), ("where is the dog?", "middle"), ("who painted this?", "i can't tell")]),
    (SQUARE, ("manifest", 5), [stroke("red", "heart", 0.5, 0.5, 0.45)],
     [("What is this?", "a red heart"), ("what color is the heart", "red"), ("how many hearts are there?", "1")]),
    (WIDE, ("manifest", 0), [stroke("blue", "line", 0.45, 0.72, 0.28, 3), stroke("green", "scribble", 0.25, 0.35, 0.3), sticker("boat", 0.7, 0.4, 0.3)],
     [("what is at the bottom?", "a blue line"), ("where is the boat", "right"), ("is there a green scribble?", "yes")]),
    (SQUARE, ("manifest", 6), [card("stop", 0.5, 0.3, 0.45), sticker("bus", 0.5, 0.72, 0.4)],
     [("What does the card say?", "stop"), ("what is below the card?", "a bus"), ("describe the picture", "a picture of a bus and a card")]),
    (SQUARE, ("manifest", 9), [sticker("sun", 0.2, 0.2, 0.27), sticker("cloud", 0.7, 0.25, 0.3), sticker("house", 0.35, 0.75, 0.37), sticker("tree", 0.75, 0.72, 0.37)],
     [("how many things are there", "4"), ("where is the sun?", "top left"), ("What is next to the house?", "a tree"), ("is there a cloud above the tree pls", "yes")]),
    (TALL, ("manifest", 1), [shape("red", "circle", 0.3, 0.2, 0.24), shape("red", "circle", 0.7, 0.3, 0.2), shape("red", "circle", 0.45, 0.6, 0.24), shape("blue", "square", 0.65, 0.85, 0.2)],
     [("How many red circles are there?", "3"), ("how many squares", "1"), ("what is below the blue square", "nothing"), ("What colour is the square?", "blue")]),
    (WIDE, ("manifest", 13), [sticker("rocket", 0.3, 0.5, 0.4), sticker("moon", 0.75, 0.35, 0.24)],
     [("which is bigger, the rocket or the moon?", "the rocket"), ("What colour is the moon?", "yellow"), ("what can you see", "a rocket and a moon")]),
    ("screenshot", ("manifest", 0), [sticker("elephant", 0.3, 0.5, 0.33), sticker("balloon", 0.7, 0.45, 0.3)],
     [("What is right of the elephant?", "a balloon"), ("is there an elephant?", "yes"), ("what colour is the balloon", "red")]),
    ("screenshot", ("manifest", 4), [card("7", 0.25, 0.4, 0.3), sticker("frog", 0.6, 0.6, 0.3), stroke("purple", "circle", 0.6, 0.6, 0.46, 1)],
     [("which number is on the card?", "7"), ("what does the card say", "7"), ("Is there a frog?", "yes"), ("what animal is this?", "a frog")]),
]


def framed(image):
    """A screenshot: the picture in a window with a title bar, on a desktop."""
    w, h = image.size
    out = Image.new("RGB", (w + 60, h + 80), (64, 96, 128))
    draw = ImageDraw.Draw(out)
    draw.rounded_rectangle((20, 16, w + 40, h + 60), 8, (236, 236, 240))
    for i, c in enumerate(((236, 94, 86), (245, 190, 70), (98, 196, 86))):
        draw.ellipse((32 + 18 * i, 24, 44 + 18 * i, 36), fill=c)
    out.paste(image, (30, 46))
    return out


def user_pictures():
    """[(Pillow picture of about 480 pixels, [(question, right answer), ...]), ...]"""
    rng, stickers, out = random.Random(0), Stickers(), []
    for box, ground, things, asked in USER_PICTURES:
        image = picture(Scene(SQUARE if box == "screenshot" else box, ground, things), 480, rng, stickers)
        out.append((framed(image) if box == "screenshot" else image, asked))
    return out


def user_scene(rng):
    """A scene put together the way a person does on the page: few things, free placement, any size between the limits, plain ground."""
    scene = sample_scene(rng, rng.choices(range(1, 7), (4, 5, 5, 3, 2, 1))[0], composed=True)
    for t in scene.things:  # sizes as a mouse leaves them, not the twelve steps of training
        t.size *= rng.uniform(0.96, 1.04)
    return scene


def write_set(folder, scenes, per, rng, weights=None, sides=(224, 640), lossless=True):
    """Pictures and questions.jsonl in `folder`, in phrasings that training never uses. Returns the lines.

    Two-turn questions are left out: LLaVA's format has one. `per` is the number of questions a scene, at most.
    """
    os.makedirs(folder, exist_ok=True)
    lines, stickers = [], Stickers()
    weights = weights or {k: w for k, w in WEIGHTS.items() if k != "follow"}
    for i, scene in enumerate(scenes):
        name = f"{i:04}." + ("png" if lossless else "jpg")
        picture(scene, rng.randint(*sides), rng, stickers).save(f"{folder}/{name}", **({"optimize": True} if lossless else {"quality": 90}))
        asked = lambda some: questions(scene, some, rng, held=True, weights=weights)
        for kind, turns in asked(per):
            lines.append({"question_id": len(lines), "image": name, "text": turns[0][0], "answer": turns[0][1], "kind": kind})
    with open(f"{folder}/questions.jsonl", "w") as f:
        f.writelines(json.dumps(line) + "\n" for line in lines)
    return lines


def held_out_set(folder, count=5000, per=8):
    """`count` questions of every kind in equal shares over `count / per` fresh scenes."""
    rng = random.Random(HELD_OUT_SEED)
    equal = {k: 1 for k in KINDS if k != "follow"}
    return write_set(folder, [sample_scene(rng) for _ in range(count // per)], per, rng, equal, lossless=False)


def composed_set(folder, scenes=200, per=5):
    rng = random.Random(COMPOSED_SEED)
    return write_set(folder, [user_scene(rng) for _ in range(scenes)], per, rng)


def sample_set(folder, count=200, per=4):
    """The shipped sample: the same two mixes, small pictures without noise, so that it stays below 3 MB."""
    rng = random.Random(SAMPLE_SEED)
    scenes = [user_scene(rng) if i % 2 else sample_scene(rng) for i in range(count // per)]
    for scene in scenes:
        scene.noise = 0  # noise does not compress
    return write_set(folder, scenes, per, rng, {k: 1 for k in KINDS if k != "follow"}, sides=(200, 360))


def check_painter(side=112, seed=3):
    """The two ways of painting agree: mean difference in grey levels between a scene at `side` and one drawn large and made small."""
    rng, painter = random.Random(seed), Painter(side)
    scene = user_scene(rng)
    small, _ = painter.paint(scene, random.Random(1))
    large, _ = Painter(side * 4, keep=False).paint(scene, random.Random(1))
    return np.abs(np.asarray(Image.fromarray(large).resize((side, side), Image.BICUBIC)).astype(int) - small).mean()
