"""Measures an exported checkpoint, makes the held-out set and the sample pictures, and writes the table of README.md.

  python evaluate.py CHECKPOINT --table        accuracy by kind for every m on fresh scenes; rewrites README.md's table
  python evaluate.py CHECKPOINT --heldout DIR  200 questions over 60 pictures in LLaVA's format, pictures beside them
  python evaluate.py CHECKPOINT --samples DIR  six pictures with questions this checkpoint answers rightly

All pictures are drawn as a user would have them (`draw_large`) and go through the runtime's own steps: pad to a
square, Pillow's bicubic resize to 112 x 112. Seeds are far from training's.
"""

import argparse
import json
import os
import random
import re

import numpy as np
import torch
from PIL import Image

import packed
from export import load_exported
from language import LADDER, make_rows
from questions import KINDS, questions
from scenes import PAD_COLOUR, SIZE, draw_large, sample_scene
from tokenizer import Prompt
from tower import to_pixels

TABLE_SEED, HELD_OUT_SEED, SAMPLE_SEED = 900_001, 900_002, 900_003


def preprocess(picture):
    """Pillow picture -> f32 [3, 112, 112], as mqt-llava does: pad, bicubic resize, normalise."""
    side = max(picture.size)
    square = Image.new("RGB", (side, side), PAD_COLOUR)
    square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return to_pixels(np.asarray(square.resize((SIZE, SIZE), Image.BICUBIC))[None])[0]


def draw(scene, rng, scale=None):
    """The scene as a picture of a few hundred pixels a side, with its noise."""
    picture = draw_large(scene, scale or rng.uniform(2.0, 5.0))
    if scene.noise:
        noisy = np.asarray(picture) + np.random.default_rng(rng.randrange(2 ** 32)).normal(0, scene.noise, (picture.height, picture.width, 3))
        picture = Image.fromarray(noisy.round().clip(0, 255).astype(np.uint8))
    return picture


@torch.no_grad()
def table(net, prompt, scenes_count=300, per=10, chunk=50):
    """{m: {kind: share right, "mean": over the kinds}} and the number of questions, on fresh large pictures."""
    rng = random.Random(TABLE_SEED)
    right = {m: {k: [] for k in KINDS} for m in LADDER}
    for _ in range(0, scenes_count, chunk):
        scenes = [sample_scene(rng) for _ in range(chunk)]
        features = net.vision_tower(torch.stack([preprocess(draw(s, rng)) for s in scenes]))
        rows, kinds = make_rows(scenes, per, 1, prompt, rng, weights=(0.2, 0.3, 0.12, 0.12, 0.26))
        for m in LADDER:
            logits = packed.forward(net, torch.tensor(prompt.prefix), net.query_abstractor(features, m), rows)
            for kind, ok in zip(kinds, packed.right_rows(logits, rows).tolist()):
                right[m][kind].append(ok)
    share = lambda v: sum(v) / max(1, len(v))
    kinds = {m: {k: share(v) for k, v in r.items()} for m, r in right.items()}
    return ({m: {**r, "mean": sum(r.values()) / len(r)} for m, r in kinds.items()},
            {k: len(v) for k, v in right[LADDER[0]].items()})


def markdown(result, counts):
    lines = ["| m | " + " | ".join(KINDS) + " | mean of kinds |", "|---" * (len(KINDS) + 2) + "|"]
    for m, r in result.items():
        lines.append(f"| {m} | " + " | ".join(f"{100 * r[k]:.1f}" for k in [*KINDS, "mean"]) + " |")
    total = sum(counts.values())
    lines.append(f"\nExact match in %, f16 weights computed in f32, {total} questions over fresh scenes ("
                 + ", ".join(f"{k} {n}" for k, n in counts.items()) + ").")
    return "\n".join(lines)


def replace_table(text):
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "README.md")
    with open(path) as f:
        page = f.read()
    page = re.sub(r"(<!-- table -->\n).*?(<!-- /table -->)", lambda m: m[1] + text + "\n" + m[2], page, flags=re.S)
    with open(path, "w") as f:
        f.write(page)


def heldout(folder, pictures=60, total=200):
    """Pictures with few colours and little noise compress well; the set stays far below 2 MB."""
    rng, lines = random.Random(HELD_OUT_SEED), []
    os.makedirs(folder, exist_ok=True)
    for i in range(pictures):
        scene = sample_scene(rng)
        scene.noise = 0 if i % 10 else 2  # noise does not compress
        name = f"{i:03}.png"
        draw(scene, rng, rng.choice((1, 1.5, 2, 2.5, 3, 4)) if i % 10 else 1.5).save(f"{folder}/{name}", optimize=True)
        n = total // pictures + (i < total % pictures)
        for kind, question, answer in questions(scene, n, rng, weights=(0.24, 0.3, 0.12, 0.08, 0.26)):
            lines.append({"question_id": len(lines), "image": name, "text": question, "answer": answer, "kind": kind})
    with open(f"{folder}/questions.jsonl", "w") as f:
        f.writelines(json.dumps(line) + "\n" for line in lines)
    return lines


def samples(net, prompt, folder):
    """Six pictures of different sizes; for each, up to four plain questions of different kinds answered rightly at m = M."""
    rng, lines, made = random.Random(SAMPLE_SEED), [], 0
    boxes = [(448, 336), (400, 400), (336, 448), (480, 270), (320, 320), (640, 480)]
    counts = [3, 5, 4, 2, 1, 6]
    os.makedirs(folder, exist_ok=True)
    while made < len(boxes):
        w, h = boxes[made]
        scene = sample_scene(rng, counts[made])
        if len(scene.things) != counts[made] or (round(SIZE * min(1, w / h)), round(SIZE * min(1, h / w))) != scene.box[2:]:
            continue
        if len({(t.shape, t.colour) for t in scene.things}) < min(3, counts[made]):
            continue
        scene.noise = 0
        picture = draw_large(scene, max(w, h) / SIZE).resize((w, h))
        good, kinds = [], set()
        for kind, question, answer in questions(scene, 24, rng):
            plain = question[0].isupper() and not question.isupper() and question.endswith("?")
            if plain and kind not in kinds and "\n" not in question:
                ids = net.answer(preprocess(picture), prompt.prompt(question), net.config.queries)
                if prompt.decode(ids) == answer:
                    kinds.add(kind)
                    good.append({"image": f"toybox-{made + 1}.png", "text": question, "answer": answer})
        if len(good) >= 4 or counts[made] == 1 and len(good) >= 3:
            picture.save(f"{folder}/toybox-{made + 1}.png", optimize=True)
            lines += good
            made += 1
    with open(f"{folder}/questions.jsonl", "w") as f:
        f.writelines(json.dumps(line) + "\n" for line in lines)


def ask_heldout(net, prompt, folder, lines, m):
    """Share of the held-out questions answered rightly by plain greedy decoding at m."""
    right = 0
    for line in lines:
        with Image.open(f"{folder}/{line['image']}") as picture:
            ids = net.answer(preprocess(picture.convert("RGB")), prompt.prompt(line["text"]), m)
        right += prompt.decode(ids) == line["answer"]
    return right / len(lines)


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("checkpoint")
    args.add_argument("--table", action="store_true")
    args.add_argument("--heldout")
    args.add_argument("--samples")
    args = args.parse_args()
    net, prompt = load_exported(args.checkpoint), Prompt(args.checkpoint)
    if args.table:
        text = markdown(*table(net, prompt))
        print(text)
        replace_table(text)
    if args.heldout:
        lines = heldout(args.heldout)
        print("held-out sample, greedy:", {m: ask_heldout(net, prompt, args.heldout, lines, m) for m in (4, net.config.queries)})
    if args.samples:
        samples(net, prompt, args.samples)


if __name__ == "__main__":
    main()
