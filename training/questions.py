"""Questions about a scene, with their one right answer.

Five kinds. Answers are canonical, so that exact match means something:

* what    "a red circle" / "an orange star" (the thing), or "circle" (its shape, when the colour is given)
* colour  one of the ten colour words
* count   "0" .. "6"
* exists  "yes" / "no"
* where   "top left" "top" "top right" "left" "middle" "right" "bottom left" "bottom" "bottom right"

A question is only asked when its answer is beyond doubt: "the circle" needs exactly one circle, and a thing
near the line between two ninths of the picture is not asked for its place.
"""

import random
from collections import Counter

from scenes import COLOUR_NAMES, SHAPES

KINDS = ["what", "colour", "count", "exists", "where"]
PLACES = {(0, 0): "top left", (1, 0): "top", (2, 0): "top right", (0, 1): "left", (1, 1): "middle", (2, 1): "right",
          (0, 2): "bottom left", (1, 2): "bottom", (2, 2): "bottom right"}

# {t} the thing, {a} the thing with "a"/"an", {ts} several, {p} a place
WHAT_ONE = ["What is this?", "What is in the picture?", "What can you see?", "What is shown here?", "What do you see in this image?",
            "What's this?", "Which thing is in the picture?", "Describe the thing in the picture.", "What is there?"]
WHAT_AT = ["What is {p}?", "What is in the picture {p}?", "What can you see {p}?", "What is there {p}?", "Which thing is {p}?", "What do you see {p}?"]
WHAT_SHAPE = ["What shape is the {t}?", "Which shape is the {t}?", "What is the shape of the {t}?", "Which shape is {c}?", "What shape does the {t} have?",
              "What is the {t}?", "Name the shape of the {t}."]
COLOUR = ["What colour is the {t}?", "What color is the {t}?", "Which colour is the {t}?", "Which color is the {t}?", "What is the colour of the {t}?",
          "What is the color of the {t}?", "The {t} is which colour?", "What colour does the {t} have?", "Tell me the colour of the {t}.", "Name the color of the {t}."]
COUNT = ["How many {ts} are there?", "How many {ts} are in the picture?", "How many {ts} can you see?", "How many {ts} do you see?", "How many {ts}?",
         "Count the {ts}.", "What is the number of {ts}?", "How many {ts} are in this image?", "How many {ts} does the picture show?"]
EXISTS = ["Is there {a}?", "Is there {a} in the picture?", "Is there {a} in this image?", "Can you see {a}?", "Do you see {a}?", "Does the picture show {a}?",
          "Is {a} in the picture?", "Is {a} there?", "Are there any {ts}?", "Do you see any {ts}?"]
WHERE = ["Where is the {t}?", "Where is the {t} in the picture?", "Where can I find the {t}?", "Where do you see the {t}?", "In which part of the picture is the {t}?",
         "Where's the {t}?", "What is the position of the {t}?", "In what part of the image is the {t}?", "Tell me where the {t} is."]
SUFFIX = "\nAnswer the question using a single word or phrase."


def plural(shape):
    return shape + ("es" if shape.endswith("s") else "s")


def with_article(words):
    return ("an " if words[0] in "aeiou" else "a ") + words


def place_words(cell, rng):
    """A place as part of a question: "in the top left", "on the left", "at the bottom", "in the middle"."""
    place = PLACES[cell]
    if place in ("left", "right"):
        return rng.choice(("on the ", "at the ")) + place
    if place in ("top", "bottom"):
        return "at the " + place
    return rng.choice(("in the ", "in the ", "at the ")) + place + (" corner" if " " in place and rng.random() < 0.3 else "")


def thing_word(rng):
    return rng.choice(("thing", "shape", "object", "one"))


def refer(scene, thing, rng, shape=True, colour=True):
    """Words that mean exactly this thing, or None: "circle", "red circle" or "red thing"."""
    shapes = sum(t.shape == thing.shape for t in scene.things)
    colours = sum(t.colour == thing.colour for t in scene.things)
    both = sum(t.shape == thing.shape and t.colour == thing.colour for t in scene.things)
    options = []
    if shape and shapes == 1:
        options.append(thing.shape)
    if colour and colours == 1:
        options.append(f"{thing.colour} {thing_word(rng)}")
    if shape and colour and both == 1:
        options.append(f"{thing.colour} {thing.shape}")
    return rng.choice(options) if options else None


def ask(scene, kind, rng):
    """One (question, answer) of a kind, or None where this scene has none that is beyond doubt."""
    thing = rng.choice(scene.things)
    if kind == "what":
        if len(scene.things) == 1 and rng.random() < 0.5:
            return rng.choice(WHAT_ONE), with_article(f"{thing.colour} {thing.shape}")
        if rng.random() < 0.5:
            cell = scene.cell(thing)
            # Alone in its ninth, and nothing else so close to its border that it might count.
            if cell is None or any(t is not thing and scene.cell(t, 0.0) == cell or scene.cell(t) is None for t in scene.things):
                return None
            return rng.choice(WHAT_AT).format(p=place_words(cell, rng)), with_article(f"{thing.colour} {thing.shape}")
        words = refer(scene, thing, rng, shape=False)
        return words and (rng.choice(WHAT_SHAPE).format(t=words, c=thing.colour), thing.shape)
    if kind == "colour":
        words = refer(scene, thing, rng, colour=False)
        return words and (rng.choice(COLOUR).format(t=words), thing.colour)
    if kind == "where":
        cell, words = scene.cell(thing), refer(scene, thing, rng)
        return words and cell and (rng.choice(WHERE).format(t=words), PLACES[cell])
    if kind == "count":
        which, off = rng.random(), rng.random() < 0.12
        shape, colour = (rng.choice(SHAPES), rng.choice(COLOUR_NAMES)) if off else (thing.shape, thing.colour)
        if which < 0.25:
            return rng.choice(COUNT).format(ts=rng.choice(("things", "shapes", "objects"))), str(len(scene.things))
        if which < 0.5:
            return rng.choice(COUNT).format(ts=plural(shape)), str(sum(t.shape == shape for t in scene.things))
        if which < 0.75:
            return (rng.choice(COUNT).format(ts=f"{colour} {rng.choice(('things', 'shapes', 'objects'))}"),
                    str(sum(t.colour == colour for t in scene.things)))
        return rng.choice(COUNT).format(ts=f"{colour} {plural(shape)}"), str(sum(t.shape == shape and t.colour == colour for t in scene.things))
    if kind == "exists":
        which, want = rng.random(), rng.random() < 0.5
        shape, colour = thing.shape, thing.colour
        if not want:  # near misses: the shape in another colour, the colour on another shape
            if which < 0.6 and rng.random() < 0.7:
                if rng.random() < 0.5:
                    colour = rng.choice([t.colour for t in scene.things] + COLOUR_NAMES)
                else:
                    shape = rng.choice([t.shape for t in scene.things] + SHAPES)
            else:
                shape, colour = rng.choice(SHAPES), rng.choice(COLOUR_NAMES)
        if which < 0.6:
            one, several = f"{colour} {shape}", f"{colour} {plural(shape)}"
            there = any(t.shape == shape and t.colour == colour for t in scene.things)
        elif which < 0.8:
            one, several, there = shape, plural(shape), any(t.shape == shape for t in scene.things)
        else:
            word = rng.choice(("thing", "shape", "object"))
            one, several, there = f"{colour} {word}", f"{colour} {word}s", any(t.colour == colour for t in scene.things)
        if there != want:
            return None
        return rng.choice(EXISTS).format(a=with_article(one), ts=several), "yes" if there else "no"
    raise ValueError(kind)


def roughen(question, rng):
    """As people type: lower case, no question mark, sometimes LLaVA's instruction behind it."""
    how = rng.random()
    if how < 0.25:
        question = question[0].lower() + question[1:]
    elif how < 0.28:
        question = question.upper() if rng.random() < 0.3 else question.lower()
    if rng.random() < 0.2:
        question = question.rstrip("?.")
    if rng.random() < 0.02:
        question += SUFFIX
    return question


def questions(scene, n, rng, kinds=KINDS, weights=(0.22, 0.2, 0.26, 0.14, 0.18)):
    """n questions about a scene as (kind, question, answer); few repeats, since some scenes offer few."""
    out, tries = [], 0
    while len(out) < n and tries < 50 * n:
        kind = rng.choices(kinds, weights)[0]
        # Some kinds often have no clear question about a random thing: a few attempts keep the mix near the weights.
        pair = next(filter(None, (ask(scene, kind, rng) for _ in range(6))), None)
        tries += 1
        if pair and (tries > 8 * n or pair not in [(q, a) for _, q, a in out]):
            out.append((kind, *pair))
    return [(k, roughen(q, rng), a) for k, q, a in out]


if __name__ == "__main__":
    from scenes import sample_scene
    rng = random.Random(5)
    seen = Counter()
    for _ in range(300):
        for kind, q, a in questions(sample_scene(rng), 16, rng):
            seen[kind, a] += 1
            if rng.random() < 0.006:
                print(kind, "|", q, "|", a)
    print(sorted(seen.items(), key=lambda x: (x[0][0], -x[1])))
