"""How often `mqt attention --answer` lights up the thing that a question is about.

  python looks.py WORK --mqt ../target/release/mqt [--count 300] [--tokens 64] [--model CHECKPOINT]

Asks "what colour is the ...", in phrasings and over scenes that training never sees, of scenes with two things or more.
WORK keeps the pictures, the questions and where each thing lies (`looks.jsonl`), and what was said. Printed is a table:

* maximum   the map's largest cell has its centre on the thing: in the square around it
* weight    of the map's weight, how much lies in cells whose centre is on the thing
* first     of all things in the picture, the one asked about has the most weight for its area

beside the same for the resampler's map of as many tokens, which is the same for every picture, and for a map that is even
over the picture. `--boxes FILE` writes where the things of the shipped sample's colour questions lie, and asks nothing.
"""

import argparse
import json
import os
import random
import subprocess

import people
from draw import Stickers, picture
from questions import questions
from scenes import sample_scene

SEED = 900_005
COLOUR = {"colour": 1}


def things_of(scene):
    """[[x, y, extent], ...] in shares of the padded square, as the model sees it."""
    return [[round(v, 4) for v in (t.x, t.y, t.size)] for t in scene.things]


def asked_thing(scene, text, answer):
    """Which thing a colour question is about: the one it names, else the one whose other name it has; None if unsure."""
    words = text.lower()
    fits = [i for i, t in enumerate(scene.things) if t.colour == answer and t.name in words]
    alone = [i for i, t in enumerate(scene.things) if t.colour == answer]
    return fits[0] if len(fits) == 1 else alone[0] if len(alone) == 1 else None


def make(folder, count):
    """`count` questions with pictures, one a scene; made once and kept."""
    path = f"{folder}/looks.jsonl"
    if os.path.exists(path):
        with open(path) as f:
            lines = [json.loads(line) for line in f]
        if len(lines) >= count:
            return lines[:count]
    os.makedirs(folder, exist_ok=True)
    rng, stickers, lines = random.Random(SEED), Stickers(), []
    while len(lines) < count:
        scene = people.user_scene(rng) if len(lines) % 2 else sample_scene(rng)
        asked = questions(scene, 1, rng, held=True, weights=COLOUR) if len(scene.things) > 1 else []
        if not asked:
            continue
        text, answer = asked[0][1][0]
        about = asked_thing(scene, text, answer)
        if about is None:  # "there is no dog", or a misspelt name
            continue
        name = f"{len(lines):04}.png"
        picture(scene, rng.randint(224, 480), rng, stickers).save(f"{folder}/{name}")
        lines.append({"image": name, "text": text, "answer": answer, "things": things_of(scene), "asked": about, "box": scene.box})
    with open(path, "w") as f:
        f.writelines(json.dumps(line) + "\n" for line in lines)
    return lines


def mqt(args, *more):
    run = [args.mqt, "attention", *more, "--json", "--quiet", "--adapter", "cpu", "-m", str(args.tokens)]
    return json.loads(subprocess.run(run + (["--model", args.model] if args.model else []), check=True, capture_output=True, text=True).stdout)


def cells(image):
    """[(x, y, weight), ...]: the centres of the cells in shares of the padded square."""
    columns, rows = image["columns"], image["rows"]
    return [((i % columns + 0.5) / columns, (i // columns + 0.5) / rows, w) for i, w in enumerate(image["weights"])]


def on(thing, x, y):
    return max(abs(x - thing[0]), abs(y - thing[1])) <= thing[2] / 2


def judged(weighed, line):
    """(maximum, weight, first) of one map."""
    thing = line["things"][line["asked"]]
    x, y, _ = max(weighed, key=lambda cell: cell[2])
    of = lambda t: sum(w for cx, cy, w in weighed if on(t, cx, cy))
    density = [of(t) / t[2] ** 2 for t in line["things"]]
    return on(thing, x, y), of(thing), density[line["asked"]] == max(density)


def even(line):
    """The same of a map that is even over the picture: the thing's share of it, and one of so many things."""
    share = line["things"][line["asked"]][2] ** 2 / (line["box"][2] * line["box"][3])
    return share, share, 1 / len(line["things"])


def mean(rows):
    return [100 * sum(column) / len(rows) for column in zip(*rows)]


def boxes(path):
    """Of the shipped sample's colour questions, where the things lie. The scenes come from their seed again."""
    rng = random.Random(people.SAMPLE_SEED)
    scenes = [people.user_scene(rng) if i % 2 else sample_scene(rng) for i in range(50)]
    out = []
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../models/toybox/heldout/questions.jsonl")) as f:
        for line in map(json.loads, f):
            if line["kind"] == "colour":
                scene = scenes[int(line["image"][:4])]
                about = asked_thing(scene, line["text"], line["answer"])
                if about is not None:  # a misspelt name
                    out.append({"question_id": line["question_id"], "asked": about, "things": things_of(scene)})
    with open(path, "w") as f:
        f.writelines(json.dumps(line) + "\n" for line in out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", nargs="?")
    parser.add_argument("--mqt", default="../target/release/mqt")
    parser.add_argument("--model", help="a checkpoint or a pack instead of the bundled model")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--boxes")
    args = parser.parse_args()
    if args.boxes:
        return boxes(args.boxes)
    if not args.work:
        parser.error("WORK is missing")
    lines = make(args.work, args.count)
    constant = cells(mqt(args, f"{args.work}/{lines[0]['image']}")["images"][0])
    answer, resampler, flat, right, share = [], [], [], 0, 0.0
    for line in lines:
        record = mqt(args, "--answer", "-q", line["text"], f"{args.work}/{line['image']}")
        right += record["answer"].strip().lower() == line["answer"]
        share += record["images"][0]["share"]
        answer.append(judged(cells(record["images"][0]), line))
        resampler.append(judged(constant, line))
        flat.append(even(line))
    print(f"{len(lines)} questions, m = {args.tokens}: {100 * right / len(lines):.1f} % answered right; the picture has {100 * share / len(lines):.1f} % of the attention\n")
    print("| map | maximum, % | weight, % | first, % |\n|---|---|---|---|")
    for name, rows in (("what the answer looked at", answer), ("the resampler's alone", resampler), ("even over the picture", flat)):
        print(f"| {name} | " + " | ".join(f"{v:.1f}" for v in mean(rows)) + " |")


if __name__ == "__main__":
    main()
