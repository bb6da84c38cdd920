"""Stages 1 and 2: the resampler and the decoder learn to answer, on cached features of the frozen tower.

Stage 1 always uses all M visual tokens. Stage 2 draws one m per step, as the paper does, so that the first m tokens
learn to stand alone. There is no pre-trained language model here: the decoder learns its words on the way.
"""

import json
import os
import pickle
import random
import time

import numpy as np
import torch
import torch.multiprocessing as mp
import torch.nn.functional as F

import optimiser
import packed
from model import Config, MqtLlava
from questions import KINDS, questions
from scenes import Masks
from tokenizer import Prompt
from tower import SPLIT, batch, to_pixels

LADDER = [1, 2, 4, 8, 16, 36, 64]
STAGE_2 = dict(zip(LADDER, (0.07, 0.08, 0.1, 0.1, 0.12, 0.13, 0.4)))  # how often each m is drawn
ROW_LIMIT = 20  # ids of a one-turn row; longer ones (capitals, instructions) wait for a two-turn step
HELD_SEED = 77
# How often each kind is asked while training: colour and existence come early by themselves, places and counts late.
WEIGHTS = dict(zip(KINDS, (0.2, 0.1, 0.28, 0.1, 0.32)))


def draw_scenes(queue, seeds, size):
    torch.set_num_threads(1)
    masks = Masks()
    for seed in seeds:
        images, _, _, scenes = batch(seed, size, masks)
        queue.put((images, scenes))


@torch.no_grad()
def cache_features(net, folder, count, first_seed=50_000_000, size=200):
    """features.npy f16 [count, 64, d] and scenes.pkl for `count` scenes the tower was not trained on."""
    queue = mp.Queue(4)
    worker = mp.Process(target=draw_scenes, args=(queue, range(first_seed, first_seed + count // size), size), daemon=True)
    worker.start()
    c = net.config
    out = np.lib.format.open_memmap(f"{folder}/features.tmp.npy", "w+", np.float16, (count, c.grid ** 2, c.vision_hidden))
    scenes = []
    for i in range(0, count, size):
        images, some = queue.get()
        with torch.autocast("cpu", torch.bfloat16):
            out[i:i + size] = net.vision_tower(to_pixels(images)).half().numpy()
        scenes += some
        if i % 4000 == 0:
            print("features", i, flush=True)
    out.flush()
    with open(f"{folder}/scenes.pkl", "wb") as f:
        pickle.dump(scenes, f)
    os.rename(f"{folder}/features.tmp.npy", f"{folder}/features.npy")


def make_rows(scenes, per, turns, prompt, rng, limit=None, **weights):
    """`per` rows for each scene -> (Rows, kind of each row's first question)."""
    pairs, kinds = [], []
    for scene in scenes:
        asked = questions(scene, per * turns + (4 if limit else 0), rng, **weights)
        made = [(asked[i][0], prompt.turns([(q, a) for _, q, a in asked[i:i + turns]])) for i in range(0, len(asked) - turns + 1, turns)]
        if limit:
            made.sort(key=lambda row: len(row[1][0]) > limit)  # stable: only moves the long ones behind
        pairs += [row for _, row in made[:per]]
        kinds += [kind for kind, _ in made[:per]]
    return packed.Rows.pack(pairs), kinds


def produce(queue, folder, tokenizer, seed, pictures, per):
    """Worker process: features and rows of random cached scenes; every tenth step has two-turn rows."""
    torch.set_num_threads(1)
    features = np.load(f"{folder}/features.npy", mmap_mode="r")
    with open(f"{folder}/scenes.pkl", "rb") as f:
        scenes = pickle.load(f)
    prompt, rng, step = Prompt(tokenizer), random.Random(seed), 0
    while True:
        pick = rng.sample(range(len(scenes)), pictures)
        two = step % 10 == 9
        rows, _ = make_rows([scenes[i] for i in pick], per // 2 if two else per, 2 if two else 1, prompt, rng, None if two else ROW_LIMIT, weights=list(WEIGHTS.values()))
        queue.put((torch.from_numpy(features[sorted(pick)][np.argsort(np.argsort(pick))]), rows.__dict__))
        step += 1


@torch.no_grad()
def score(net, prefix, held, m, chunk=50):
    """Exact match by kind on held-out rows: [(features, rows, kinds), ...]."""
    right = {k: [] for k in KINDS}
    for features, rows, kinds in held:
        with torch.autocast("cpu", torch.bfloat16):
            logits = packed.forward(net, prefix, net.query_abstractor(features, m), rows)
        for kind, ok in zip(kinds, packed.right_rows(logits, rows).tolist()):
            right[kind].append(ok)
    out = {k: round(sum(v) / max(1, len(v)), 3) for k, v in right.items()}
    out["all"] = round(sum(map(sum, right.values())) / sum(map(len, right.values())), 4)
    return out


def held_out(net, prompt, count=300, per=8, chunk=50):
    images, _, _, scenes = batch(HELD_SEED, count, Masks())
    rng, held = random.Random(HELD_SEED), []
    for i in range(0, count, chunk):
        with torch.no_grad():
            features = net.vision_tower(to_pixels(images[i:i + chunk]))
        rows, kinds = make_rows(scenes[i:i + chunk], per, 1, prompt, rng)
        held.append((features, rows, kinds))
    return held


@torch.no_grad()
def carry_places(resampler, head, share=0.25):
    """Gives the directions in which the tower tells places a clear share of every visual token, by adding to `proj`.

    They are a small part of the features, and "where" stands still for long without this. `head` is the tower's
    target head; the path in front of `proj` is close to the identity at the start.
    """
    first = sum(SPLIT[:4])
    rows = head["weight"][first:first + 6]  # the ninth's column (3) and row (3)
    rows = torch.cat([r - r.mean(0) for r in rows.split(3)])
    fresh = torch.linalg.qr(torch.randn(resampler.proj.shape[1], 6))[0].T
    typical = resampler.proj.norm()  # length of a token, times share for each direction; the heads' spread is about 4
    resampler.proj += rows.T @ fresh * (share * typical / 4)


def train(folder, minutes, stage_1=0.45, pictures=16, per=16, lr=2e-3, seed=1):
    """Trains for a fixed time, keeps `language.pt` in `folder` and resumes from it. `stage_1`: share of the time at m = M."""
    torch.manual_seed(seed)
    path, tokenizer = f"{folder}/language.pt", f"{folder}/tokenizer"
    net, prompt = MqtLlava(Config()), Prompt(tokenizer)
    sight = torch.load(f"{folder}/tower.pt", weights_only=False)
    net.vision_tower.load_state_dict(sight["tower"])
    net.vision_tower.requires_grad_(False)
    carry_places(net.query_abstractor, sight["head"])
    parts = {n: getattr(net, n) for n in ("query_abstractor", "model", "lm_head")}
    opts = optimiser.make(parts, lr)
    step, spent, asked = 0, 0.0, 0
    if os.path.exists(path):
        saved = torch.load(path, weights_only=False)
        [part.load_state_dict(saved[n]) for n, part in parts.items()]
        [o.load_state_dict(s) for o, s in zip(opts, saved["opts"])]
        step, spent, asked = saved["step"], saved["spent"], saved["questions"]
    queue = mp.Queue(4)
    mp.Process(target=produce, args=(queue, folder, tokenizer, 1000 * seed + step, pictures, per), daemon=True).start()
    held, prefix, rng = held_out(net, prompt), torch.tensor(prompt.prefix), random.Random(seed + step)
    params = [p for part in parts.values() for p in part.parameters()]
    begin, recent, shown, kept = time.time() - spent, [], 0.0, time.time()
    while (spent := time.time() - begin) < minutes * 60:
        features, rows = queue.get()
        rows = packed.Rows(**rows)
        done = spent / (minutes * 60)
        m = 64 if done < stage_1 else rng.choices(LADDER, [STAGE_2[x] for x in LADDER])[0]
        factor = min(1, (step + 1) / 150) * optimiser.schedule(done, 1.0, warm=0)
        for o in opts:
            for g in o.param_groups:
                g["lr"] = lr * factor
        with torch.autocast("cpu", torch.bfloat16):
            logits = packed.forward(net, prefix, net.query_abstractor(features.float(), m), rows, fuse=True)
        loss = F.cross_entropy(logits.float(), rows.want)
        for o in opts:
            o.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        for o in opts:
            o.step()
        step, asked = step + 1, asked + rows.count
        if m == 64:
            recent = recent[-49:] + [loss.item()]
        if spent - shown > 90:
            shown = spent
            line = {"step": step, "questions": asked, "seconds": round(spent), "lr": round(lr * factor, 6), "loss": round(sum(recent) / len(recent), 4)}
            line["m64"] = score(net, prefix, held, 64)
            if done > stage_1:
                line["m4"] = score(net, prefix, held[:3], 4)
            print(json.dumps(line), flush=True)
            saved = {n: part.state_dict() for n, part in parts.items()}
            torch.save({**saved, "opts": [o.state_dict() for o in opts], "step": step, "spent": spent, "questions": asked}, path + ".tmp")
            os.replace(path + ".tmp", path)
    print(json.dumps({"final": {m: score(net, prefix, held, m) for m in LADDER}, "questions": asked}), flush=True)
    saved = {n: part.state_dict() for n, part in parts.items()}
    torch.save({**saved, "opts": [o.state_dict() for o in opts], "step": step, "spent": spent, "questions": asked}, path + ".tmp")
    os.replace(path + ".tmp", path)
