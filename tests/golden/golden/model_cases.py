"""tests/golden/<case>/: a checkpoint, and what PyTorch makes of them."""

import hashlib
import os

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter
from safetensors.torch import save_file

from . import text
from .cases import CASES, write_checkpoint, write_json
from .reference import Plain, Reference, greedy, normalise, resize

NEW_TOKENS = 12
MIN_MARGIN = 0.02  # a greedy choice closer than this could flip by rounding; choose another seed
PICTURES = {
    # file stem: (width, height, question)
    "blobs": (37, 61, "What is this?"),
    "wide": (140, 53, "Où est le chat 🐱 ?\nReply in 3 words."),
}


def picture(stem, width, height):
    """Random smooth ground with sharp shapes: something at every scale, and strong colours."""
    rng = np.random.Generator(np.random.PCG64(sum(stem.encode())))
    small = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    image = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(1))
    draw = ImageDraw.Draw(image)
    for _ in range(9):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        r = int(rng.integers(2, max(4, min(width, height) // 4)))
        colour = tuple(int(v) for v in rng.integers(0, 256, 3))
        [draw.ellipse, draw.rectangle][int(rng.integers(0, 2))]((x - r, y - r // 2, x + r, y + r), fill=colour)
    noise = rng.integers(-2, 3, (height, width, 3))
    return Image.fromarray((np.asarray(image).astype(int) + noise).clip(0, 255).astype(np.uint8))


def rows_kept(ids, m, full):
    """Which rows of the logits are stored: every 8th and the last four, or a handful."""
    n = len(ids) - 1 + m
    at = ids.index(text.IMAGE)
    rows = {*range(0, n, 8), *range(n - 4, n), at - 1, at} if full else {at - 1, at + m - 1, at + m, n - 2, n - 1}
    return sorted(rows)


def relative(a, b):
    """Largest difference over the largest value."""
    a, b = a.double(), b.double()
    return float((a - b).abs().max() / b.abs().max())


def write_case(case, root, model):
    folder = os.path.join(root, case.name)
    os.makedirs(folder)
    weights = write_checkpoint(case, os.path.join(folder, "checkpoint"), model, lambda m: text.compact(text.convert(m)))
    tokenizer = text.SlowTokenizer(model, case.legacy is not False)
    reference = Reference(case, weights)
    plain32, plain64 = Plain(case, weights, torch.float32), Plain(case, weights, torch.float64)
    index, report = [], []
    for stem, (width, height, question) in PICTURES.items():
        image = picture(stem, width, height)
        image.save(os.path.join(root, "pictures", stem + ".png"), optimize=True)
        pixels = normalise(resize(image, case.image, case.mean, case.aspect), case.mean, case.std)
        features = reference.vision(pixels)
        features32, features64 = plain32.vision(pixels), plain64.vision(pixels)
        ids = text.prompt_ids(tokenizer, text.vicuna_v1([(question, None)]))
        for m in case.budgets if stem == "blobs" else [case.budgets[1], case.tokens]:
            visual, visual32, visual64 = reference.visual(features, m), plain32.visual(features32, m), plain64.visual(features64, m)
            logits = reference.logits(ids, visual)
            logits32, logits64 = plain32.logits(ids, visual32), plain64.logits(ids, visual64)
            generated, margins = greedy(reference, ids, visual, NEW_TOKENS)
            generated64, _ = greedy(plain64, ids, visual64, NEW_TOKENS)
            assert generated == generated64 and text.EOS not in generated, (case.name, stem, m)
            assert min(margins) > MIN_MARGIN, (case.name, stem, m, min(margins))
            rows = rows_kept(ids, m, stem == "blobs" and m == case.tokens)
            tensors = {
                "visual_tokens": visual,
                "input_ids": torch.tensor(ids, dtype=torch.int32),
                "logits_rows": torch.tensor(rows, dtype=torch.int32),
                "logits": logits[rows],
                "generated_ids": torch.tensor(generated, dtype=torch.int32),
            }
            if m == case.tokens:
                tensors["vision_features"] = features
                if stem == "blobs":
                    tensors["pixel_values"] = torch.from_numpy(pixels)
            file = f"{stem}_m{m}.safetensors"
            tensors = {n: t.contiguous().clone() for n, t in tensors.items()}
            save_file(tensors, os.path.join(folder, file))
            index.append({
                "file": file, "image": f"../pictures/{stem}.png", "question": question, "m": m, "spliced_length": len(ids) - 1 + m,
                "pixel_values_sha256": hashlib.sha256(pixels.tobytes()).hexdigest(), "smallest_margin": round(min(margins), 4),
            })  # fmt: skip
            report.append({
                "case": case.name, "file": file,
                "features f32-f64": relative(features, features64), "visual f32-f64": relative(visual, visual64),
                "logits f32-f64": relative(logits, logits64), "logits worst abs": float((logits.double() - logits64).abs().max()),
                "features plain-f32": relative(features32, features), "visual plain-f32": relative(visual32, visual),
                "logits plain-f32": relative(logits32, logits), "logits std": float(logits.std()), "margin": min(margins),
                "distinct": len(set(generated)), "last logits by m": logits[-1],
            })  # fmt: skip
    turns = [("What is this?", "A red circle."), ("Where is it? 7 cats", None)]
    prompt = text.vicuna_v1(turns)
    second = {"turns": turns, "legacy": case.legacy, "prompt": prompt, "ids": text.prompt_ids(tokenizer, prompt)}
    write_json(os.path.join(folder, "index.json"), {"new_tokens": NEW_TOKENS, "runs": index, "second_turn": second})
    return report


def write(root, model):
    os.makedirs(os.path.join(root, "pictures"))
    report = []
    for case in CASES:
        report += write_case(case, root, model)
    return report
