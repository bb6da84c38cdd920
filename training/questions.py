"""Questions about a scene, with their one right answer.

Answers are canonical, so that exact match means something:

* what      "an apple", "a red circle", or "circle" (the shape, when the colour is given)
* list      "an apple, two cars and a red circle", by the leftmost of each
* colour    one of the ten colour words
* count     "0" .. "8"
* exists    "yes" / "no"
* where     "top left" "top" "top right" "left" "middle" "right" "bottom left" "bottom" "bottom right"
* beside    what is left of, right of, above, below, next to a thing: "an apple", "nothing", or "yes" / "no"
* size      "the apple" (of two), "an apple" (of all), "yes" / "no"
* read      what a card says: "stop", "7"
* compare   same colour, more of these than of those: "yes" / "no"; which is further left, higher ...: "the apple"
* describe  "a picture of an apple and two cars"; one thing: "a picture of an apple at the top left"
* unknown   "i can't tell" where a picture cannot tell; "there is no dog" for a thing that is not there
* follow    the second turn: "and what colour is it?", "and the star?", answered as the kinds above

A question is only asked when its answer is beyond doubt: "the circle" needs exactly one circle, and a thing near the
line between two ninths of the picture is not asked for its place.
"""

import random
from collections import Counter
from functools import cached_property

import held as held_words
import templates
from scenes import ALSO, COLOUR_NAMES, DRAWN, GROUP, NAMES, PLURAL, SHAPES, STICKER_COLOUR

KINDS = ["what", "list", "colour", "count", "exists", "where", "beside", "size", "read", "compare", "describe", "unknown", "follow"]
WEIGHTS = dict(zip(KINDS, (10, 9, 8, 14, 7, 12, 14, 8, 12, 6, 5, 4, 8)))
PLACES = {(0, 0): "top left", (1, 0): "top", (2, 0): "top right", (0, 1): "left", (1, 1): "middle", (2, 1): "right",
          (0, 2): "bottom left", (1, 2): "bottom", (2, 2): "bottom right"}
WORDS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight"]
GROUPS = {"animal": "animals", "fruit": "fruits", "vehicle": "vehicles"}
THINGS = {"thing": "things", "object": "objects"}
CANNOT = "i can't tell"
DIRECTIONS = {"left of": (-1, 0), "right of": (1, 0), "to the left of": (-1, 0), "to the right of": (1, 0), "above": (0, -1),
              "below": (0, 1), "over": (0, -1), "under": (0, 1)}
FURTHER = {"left": (-1, 0), "to the left": (-1, 0), "right": (1, 0), "to the right": (1, 0), "up": (0, -1), "down": (0, 1)}
BIGGER, SMALLER = ("bigger", "larger"), ("smaller",)
BIGGEST, SMALLEST = ("biggest", "largest"), ("smallest",)
SUFFIX = "\nAnswer the question using a single word or phrase."


def with_article(words):
    return ("an " if words[0] in "aeiou" else "a ") + words


def own_words(t):
    """What an answer calls a thing: "red circle", "apple"."""
    return f"{t.colour} {t.name}" if t.kind in ("shape", "stroke") else t.name


def several(name):
    """Plural of "red circle" or "apple"."""
    colour, _, last = name.rpartition(" ")
    return (colour + " " if colour else "") + PLURAL[last]


def place_words(cell, rng):
    """A place as part of a question: "in the top left", "on the left", "at the bottom", "in the middle"."""
    place = PLACES[cell]
    if place in ("left", "right"):
        return rng.choice(("on the ", "at the ", "to the ")) + place
    if place in ("top", "bottom"):
        return "at the " + place
    return rng.choice(("in the ", "in the ", "at the ")) + place + (" corner" if " " in place and rng.random() < 0.3 else "")


def enumerated(parts):
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


class View:
    """A scene as questions see it."""

    def __init__(self, scene):
        self.scene, self.things = scene, scene.things
        self.names = Counter(t.name for t in self.things)
        self.colours = Counter(t.colour for t in self.things if t.colour)
        self.both = Counter((t.name, t.colour) for t in self.things)
        # Whether "the red thing" can be said: nothing here has several colours (a card is white, mostly).
        self.plain = all(t.colour for t in self.things)
        self.cards = [t for t in self.things if t.kind == "card"]

    def refer(self, t, rng, name=True, colour=True):
        """Words that mean exactly this thing, or None: "circle", "red circle", "red thing", "puppy"."""
        options = []
        if name and self.names[t.name] == 1:
            options += [t.name] * 2
            if t.name in ALSO and ALSO[t.name] and rng.random() < 0.15:
                options = [ALSO[t.name][0]]
        if colour and self.plain and self.colours[t.colour] == 1:
            options.append(f"{t.colour} {rng.choice(tuple(THINGS))}")
        if name and colour and t.colour and self.both[t.name, t.colour] == 1:
            if t.kind != "sticker" or rng.random() < 0.2:
                options.append(f"{t.colour} {t.name}")
        return rng.choice(options) if options else None

    @cached_property
    def groups(self):
        """[(leftmost x, words, how many)] of things that an answer calls the same, from left to right."""
        found = {}
        for t in self.things:
            x, n = found.get(own_words(t), (9.0, 0))
            found[own_words(t)] = (min(x, t.x), n + 1)
        return sorted((x, words, n) for words, (x, n) in found.items())

    @cached_property
    def listing(self):
        """"an apple, two cars and a red circle", or None where the order is too close to call."""
        xs = [g[0] for g in self.groups]
        if len(xs) > 5 or any(b - a < 0.035 for a, b in zip(xs, xs[1:])):
            return None
        return enumerated([with_article(words) if n == 1 else f"{WORDS[n]} {several(words)}" for _, words, n in self.groups])

    def cell_alone(self, t):
        """The ninth of the picture where only this thing is, or None."""
        cell = self.scene.cell(t)
        if cell is None or any(o is not t and (self.scene.cell(o, 0.0) == cell or self.scene.cell(o) is None) for o in self.things):
            return None
        return cell

    def towards(self, t, direction):
        """The nearest thing in that direction, "nothing", or None where it is too close to call."""
        dx, dy = direction
        ahead, half = [], False
        for o in self.things:
            if o is t:
                continue
            along, across = (o.x - t.x) * dx + (o.y - t.y) * dy, abs((o.x - t.x) * dy) + abs((o.y - t.y) * dx)
            half = half or along > 0.03
            if along > 0.05 and along > across:
                ahead.append((along * along + across * across, id(o), o))
        if not ahead:
            # Of a thing alone this is always true: seldom worth asking.
            return None if half or len(self.things) == 1 and self.scene.ground[1] % 8 else "nothing"
        ahead.sort()
        return ahead[0][2] if len(ahead) == 1 or ahead[1][0] > 1.5 * ahead[0][0] else None

    def nearest(self, t):
        far = sorted(((o.x - t.x) ** 2 + (o.y - t.y) ** 2, id(o), o) for o in self.things if o is not t)
        return far[0][2] if far and (len(far) == 1 or far[1][0] > 1.6 * far[0][0]) else None

    def absent(self, rng):
        """A thing's words that fit nothing here."""
        while True:
            name = rng.choice(NAMES)
            if name not in self.names and not (name == "ring" and self.names["circle"]) and not (name == "circle" and self.names["ring"]):
                return name


def ask(view, kind, rng, table):
    """One (question, answer, thing it is about) of a kind, or None where this scene has none that is beyond doubt."""
    t, pick = rng.choice(view.things), lambda name, **words: rng.choice(table[name]).format(**{"in": "{in}"} | words)
    answer = ASK[kind](view, t, rng, pick)
    return answer


def ask_what(view, t, rng, pick):
    if len(view.things) == 1 and rng.random() < 0.5:
        return pick("what one"), with_article(own_words(t)), t
    roll = rng.random()
    if roll < 0.5:
        cell = view.cell_alone(t)
        return cell and (pick("what at", p=place_words(cell, rng)), with_article(own_words(t)), t)
    if t.kind in ("shape", "stroke") and t.name in SHAPES:
        words = view.plain and view.colours[t.colour] == 1 and f"{t.colour} {rng.choice(('thing', 'shape', 'object', 'one'))}"
        return words and (pick("what shape", t=words), t.name, t)
    group = GROUP.get(t.name)
    alone = group in GROUPS and sum(n for name, n in view.names.items() if GROUP.get(name) == group) == 1
    return (pick("what group", g=group), with_article(own_words(t)), t) if alone else None


def ask_list(view, t, rng, pick):
    return view.listing and (pick("list"), view.listing, None)


def ask_colour(view, t, rng, pick):
    words = t.colour and view.refer(t, rng, colour=False)
    return words and (pick("colour", t=words), t.colour, t)


def count_of(view, rng, near):
    """(plural words, how many): of all, of a group, of a colour, of a kind, of a kind and colour."""
    roll = rng.random()
    near = near if rng.random() > 0.12 else None
    if roll < 0.2:
        return rng.choice(tuple(THINGS.values())), len(view.things)
    if roll < 0.28:
        group = rng.choice(tuple(GROUPS))
        return GROUPS[group], sum(n for name, n in view.names.items() if GROUP.get(name) == group)
    if roll < 0.42 and view.plain:
        colour = near.colour if near else rng.choice(COLOUR_NAMES)
        return f"{colour} {rng.choice(tuple(THINGS.values()))}", view.colours[colour]
    name = near.name if near else rng.choice(NAMES)
    if near and near.kind in ("shape", "stroke") and roll > 0.75:
        colour = near.colour if rng.random() < 0.8 else rng.choice(COLOUR_NAMES)
        return f"{colour} {PLURAL[name]}", view.both[name, colour]
    return PLURAL[name], view.names[name]


def ask_count(view, t, rng, pick):
    words, n = count_of(view, rng, t)
    return pick("count", ts=words), str(n), None


def ask_exists(view, t, rng, pick):
    """Near misses first: the shape in another colour, the colour on another shape."""
    roll, want = rng.random(), rng.random() < 0.5
    if roll < 0.1:
        group = rng.choice(tuple(GROUPS))
        there = any(GROUP.get(name) == group for name in view.names)
        one, many = group, GROUPS[group]
    elif roll < 0.25 and view.plain:
        colour = t.colour if want else rng.choice(COLOUR_NAMES)
        one, many, there = f"{colour} thing", f"{colour} things", colour in view.colours
    elif roll < 0.6 and t.kind in ("shape", "stroke") and view.plain:
        name, colour = t.name, t.colour
        if not want and rng.random() < 0.5:
            colour = rng.choice([o.colour for o in view.things] + COLOUR_NAMES)
        elif not want:
            name = rng.choice([o.name for o in view.things if o.kind == t.kind] + (SHAPES if t.kind == "shape" else DRAWN))
        one, many, there = f"{colour} {name}", f"{colour} {PLURAL[name]}", view.both[name, colour] > 0
    else:
        name = t.name if want else view.absent(rng)
        one, many, there = name, PLURAL[name], name in view.names
    if there != want:
        return None
    return pick("exists", a=with_article(one), ts=many, t=one), "yes" if there else "no", t if there and view.names[t.name] == 1 and one.endswith(t.name) else None


def ask_where(view, t, rng, pick):
    cell = view.scene.cell(t)
    words = cell and view.refer(t, rng)
    return words and (pick("where", t=words), PLACES[cell], t)


def named(found):
    return found if found == "nothing" else with_article(own_words(found))


def ask_beside(view, t, rng, pick):
    words = view.refer(t, rng)
    if not words:
        return None
    roll = rng.random()
    if roll < 0.2:
        near = view.nearest(t)
        return near and (pick("next", t=words), named(near), near)
    d = rng.choice(tuple(DIRECTIONS))
    dx, dy = DIRECTIONS[d]
    if roll < 0.45:
        others = [o for o in view.things if o is not t]
        other = others and rng.choice(others)
        second = other and view.refer(other, rng)
        if not second or second == words:
            return None
        along, across = (other.x - t.x) * dx + (other.y - t.y) * dy, abs((other.x - t.x) * dy) + abs((other.y - t.y) * dx)
        if abs(along) < 0.08 or abs(along) < 1.2 * across:
            return None
        return pick("beside yes", t=words, u=second, d=d), "yes" if along > 0 else "no", None
    found = view.towards(t, DIRECTIONS[d])
    if found is None or found == "nothing" and rng.random() < 0.5:
        return None
    return pick("beside", t=words, d=d), named(found), None if found == "nothing" else found


def two(view, t, rng, least=0.0):
    """This thing and another, with words for both, or None."""
    others = [o for o in view.things if o is not t and o.name not in ("line", "scribble") and max(o.size, t.size) > least * min(o.size, t.size)]
    if not others:
        return None
    other = rng.choice(others)
    first, second = view.refer(t, rng), view.refer(other, rng)
    return (other, first, second) if first and second and first != second else None


def ask_size(view, t, rng, pick):
    if t.name in ("line", "scribble"):
        return None
    roll, up = rng.random(), rng.random() < 0.5
    if roll < 0.3 and len(view.things) > 1:
        order = sorted(view.things, key=lambda o: -o.size if up else o.size)
        first, second = order[0].size, order[1].size
        if max(first, second) < 1.2 * min(first, second) or order[0].name in ("line", "scribble"):
            return None
        return pick("size most", s=rng.choice(BIGGEST if up else SMALLEST)), with_article(own_words(order[0])), order[0]
    pair = two(view, t, rng, 1.2)
    if not pair:
        return None
    other, first, second = pair
    words, big = rng.choice(BIGGER if up else SMALLER), t.size > other.size
    if roll < 0.55:
        return pick("size yes", t=first, u=second, l=words), "yes" if big == up else "no", None
    return pick("size two", t=first, u=second, l=words), "the " + (first if big == up else second), None


def ask_read(view, t, rng, pick):
    if len(view.cards) != 1:
        return None
    text = view.cards[0].text
    form = "read" if rng.random() < 0.7 else "read number" if text.isdigit() else "read word"
    return pick(form), text, view.cards[0]


def ask_compare(view, t, rng, pick):
    roll = rng.random()
    if roll < 0.3:
        (a, m), (b, n) = count_of(view, rng, t), count_of(view, rng, rng.choice(view.things))
        if a == b or "things" in a + b or "objects" in a + b or m == n and rng.random() < 0.5:
            return None
        return pick("more", ts=a, us=b), "yes" if m > n else "no", None
    pair = two(view, t, rng)
    if not pair:
        return None
    other, first, second = pair
    if roll < 0.6:
        if not t.colour or not other.colour or any(c in first + second for c in COLOUR_NAMES) or t.colour != other.colour and rng.random() < 0.5:
            return None
        return pick("same colour", t=first, u=second), "yes" if t.colour == other.colour else "no", None
    d = rng.choice(tuple(FURTHER))
    along = (t.x - other.x) * FURTHER[d][0] + (t.y - other.y) * FURTHER[d][1]
    return None if abs(along) < 0.08 else (pick("further", t=first, u=second, d=d), "the " + (first if along > 0 else second), None)


def ask_describe(view, t, rng, pick):
    if len(view.things) == 1:
        cell = view.scene.cell(t)
        if not cell:
            return None
        place = PLACES[cell]
        at = ("on the " if place in ("left", "right") else "in the " if place == "middle" else "at the ") + place
        return pick("describe"), f"a picture of {with_article(own_words(t))} {at}", t
    return view.listing and (pick("describe"), f"a picture of {view.listing}", None)


def ask_unknown(view, t, rng, pick):
    if rng.random() < 0.45:
        words = view.refer(t, rng, colour=False)
        return words and (pick("unknown", t=words), CANNOT, None)
    name, roll = view.absent(rng), rng.random()
    answer = f"there is no {name}"
    if not view.cards and roll < 0.25:
        return pick(rng.choice(("read", "read number", "read word"))), "there is no card", None
    if roll < 0.55:
        return pick("where", t=name), answer, None
    if roll < 0.8:
        return pick("colour", t=name), answer, None
    return pick("beside", t=name, d=rng.choice(tuple(DIRECTIONS))), answer, None


ASK = {k: globals()["ask_" + k] for k in KINDS if k != "follow"}


def follow(view, rng, table):
    """Two turns [(question, answer), ...]: the second leans on the first. None where nothing is beyond doubt."""
    pick = lambda name, **words: rng.choice(table[name]).format(**{"in": "{in}"} | words)
    first_kind = rng.choices(("what", "exists", "where", "colour", "count", "beside", "size"), (3, 3, 3, 3, 2, 1, 1))[0]
    first = ask(view, first_kind, rng, table)
    if not first:
        return None
    question, answer, t = first
    if first_kind == "count":
        words, n = count_of(view, rng, rng.choice(view.things))
        return [(question, answer), (pick("and how many", ts=words), str(n))]
    if t is None:
        return None
    if first_kind in ("where", "colour") and rng.random() < 0.35:
        other = rng.choice(view.things)
        words = other is not t and view.refer(other, rng, colour=first_kind == "where")
        cell = view.scene.cell(other)
        if not words or not (cell if first_kind == "where" else other.colour):
            return None
        return [(question, answer), (pick("and the", t=words), PLACES[cell] if first_kind == "where" else other.colour)]
    second = rng.choice([k for k in ("colour", "where", "beside") if k != first_kind])
    if second == "colour":
        told = t.colour and (t.colour in answer or t.colour in question)
        return None if not t.colour or told else [(question, answer), (pick("it colour"), t.colour)]
    if second == "where":
        cell = view.scene.cell(t)
        return cell and [(question, answer), (pick("it where"), PLACES[cell])]
    d = rng.choice(tuple(DIRECTIONS))
    found = view.towards(t, DIRECTIONS[d])
    return found and [(question, answer), (pick("it beside", d=d), named(found))]


def misspell(question, rng):
    """One slip of the fingers in a longer word: two letters swapped, one dropped, one doubled."""
    words = question.split(" ")
    long = [i for i, w in enumerate(words) if len(w) > 3 and w.isalpha()]
    if not long:
        return question
    i = rng.choice(long)
    w, k, how = words[i], rng.randrange(1, len(words[i]) - 1), rng.random()
    words[i] = w[:k] + w[k + 1] + w[k] + w[k + 2:] if how < 0.4 else w[:k] + w[k + 1:] if how < 0.75 else w[:k] + w[k] + w[k:]
    return " ".join(words)


def dress(question, rng, held=False, plain=False):
    """As people type it: capital or not, question mark or not, a tail, a politeness, a slip."""
    tails, openers, closers = ((held_words.TAILS, held_words.OPENERS, held_words.CLOSERS) if held
                               else (templates.TAILS, templates.OPENERS, templates.CLOSERS))
    question = question.replace("{in}", rng.choice(tails) if not plain or rng.random() < 0.3 else "")
    if plain:
        return question[0].upper() + question[1:] + "?"
    roll = rng.random()
    if roll < 0.06:
        question = rng.choice(openers) + question
    elif roll < 0.1:
        question += rng.choice(closers)
    if rng.random() < 0.06:
        question = misspell(question, rng)
    roll = rng.random()
    if roll < 0.5:
        question = question[0].upper() + question[1:]
    elif roll < 0.51:
        question = question.upper()
    roll = rng.random()
    question += "?" if roll < 0.65 else "." if roll < 0.7 else " ?" if roll < 0.72 else ""
    return question + (SUFFIX if rng.random() < 0.01 else "")


def questions(scene, n, rng, held=False, weights=None, plain=False):
    """n items (kind, [(question, answer), ...]) about a scene: one turn, or two for "follow" (its kind counts the second).

    `held`: in phrasings that training never uses. Few repeats, since some scenes offer few questions.
    """
    view, table = View(scene), templates.HELD if held else templates.TRAIN
    weights = weights or WEIGHTS
    kinds, shares = list(weights), list(weights.values())
    out, seen, tries = [], set(), 0
    while len(out) < n and tries < 40 * n:
        tries += 1
        kind = rng.choices(kinds, shares)[0]
        for _ in range(8):  # some kinds often have no clear question about a random thing
            turns = follow(view, rng, table) if kind == "follow" else ask(view, kind, rng, table)
            if turns:
                break
        else:
            continue
        turns = turns if kind == "follow" else [turns[:2]]
        key = (turns[-1][0] if kind == "follow" else kind, turns[-1][1]) if kind in ("list", "describe", "what", "read") else tuple(turns)
        if key in seen and tries < 8 * n:
            continue
        seen.add(key)
        out.append((kind, [(dress(q, rng, held, plain), a) for q, a in turns]))
    return out


if __name__ == "__main__":  # a look at what is asked, and the speed
    import time

    from scenes import sample_scene
    rng = random.Random(5)
    scenes = [sample_scene(rng) for _ in range(1500)]
    start, count, asked, answers = time.perf_counter(), 0, Counter(), Counter()
    for i, scene in enumerate(scenes):
        for kind, turns in questions(scene, 16, rng, held=i % 10 == 0):
            count += 1
            asked[kind] += 1
            answers[kind, turns[-1][1]] += 1
            if rng.random() < 0.003:
                print(kind, "|", " | ".join(f"{q} > {a}" for q, a in turns))
    print(f"{count / (time.perf_counter() - start):.0f} questions per second;", dict(asked))
    for kind in KINDS:
        print(kind, [(a, n) for (k, a), n in answers.most_common() if k == kind][:12])
