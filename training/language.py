"""Stages 1 and 2: the resampler and the decoder learn to answer, on cached features of the frozen tower.

Stage 1 always uses all M visual tokens. Stage 2 draws one m per step, as the paper does, so that the first m tokens
learn to stand alone. There is no pre-trained language model here: the decoder learns its words on the way.
"""

import os
import random

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import optimiser
import packed
import words
from model import Config, MqtLlava, VisionTower
from questions import KINDS, WEIGHTS, questions
from run import Workers, autocast, keep, log
from scenes import sample_scene
from tokenizer import Prompt
from targets import PARTS
from tower import HELD_SEED, Batches, to_pixels
from twin import Twin

FEATURE_SEED, QUESTION_SEED = 50_000_000, 90_000_000
LADDER = [1, 2, 4, 8, 16, 36, 64]
STAGE_2 = dict(zip(LADDER, (0.07, 0.08, 0.1, 0.1, 0.13, 0.13, 0.39)))  # how often each m is drawn
# What is learned last is asked more often than people ask it.
TAUGHT = WEIGHTS | {"list": 14, "colour": 6, "exists": 4, "where": 11, "beside": 15, "size": 16, "read": 16, "compare": 4, "describe": 12}
LONG = ("list", "describe", "follow")  # rows of these are long: they share every third step
AMONG_LONG = 0.15  # how often the other kinds are asked there: conversations mix them
FLAT = 0.3  # share of the stage at the full rate; the tower needs more of it, answers come while the rate falls
PARTS_TRAINED = ("query_abstractor", "model", "lm_head")


def load_tower(run, device):
    """(tower, target head) as trained, frozen."""
    saved = torch.load(f"{run}/tower.pt", weights_only=False, map_location=device)
    tower, head = VisionTower(Config()).to(device), nn.Linear(Config().vision_hidden, sum(PARTS.values())).to(device)
    tower.load_state_dict(saved["tower"]), head.load_state_dict(saved["head"])
    return tower.requires_grad_(False), head.requires_grad_(False)


TURNS = (1, 1, 2, 3, 5)  # questions of a conversation, in rotation: people go on asking about a picture


def conversations(made):
    """Chains questions about one picture, [turns, ...] -> [turns, ...]; five conversations of every twelve questions."""
    rows, left = [], list(made)
    while left:
        size = TURNS[len(rows) % len(TURNS)]
        rows.append([turn for turns in left[:size] for turn in turns])
        left = left[size:]
    return rows


class Pictures(Batches):
    """The pictures that are asked about: groups of `feature_batch`, remade from their seeds wherever they are needed."""

    def make(self, i):
        return np.stack([d[0] for d in self.scenes(i)[1]])


def feature_groups(plan):
    """How many groups; never a multiple of three, or long rows would always be about the same pictures."""
    groups = plan.pictures // plan.feature_batch
    return groups - (groups % 3 == 0)


@torch.no_grad()
def cache_features(run, plan, device, seed=1):
    """features.npy f16 [pictures, patches, d]: the frozen tower's view of pictures it was not trained on."""
    path, c = f"{run}/features.npy", Config()
    shape = (feature_groups(plan) * plan.feature_batch, c.grid ** 2, c.vision_hidden)
    if os.path.exists(path) and np.load(path, mmap_mode="r").shape == shape:
        return
    tower, _ = load_tower(run, device)
    workers = Workers(Pictures(FEATURE_SEED * seed, plan.feature_batch, c), plan.workers)
    out = np.lib.format.open_memmap(f"{path}.tmp", "w+", np.float16, shape)
    for i in range(feature_groups(plan)):
        with autocast(device):
            features = tower(to_pixels(torch.from_numpy(workers.get()).to(device)))
        out[i * plan.feature_batch:(i + 1) * plan.feature_batch] = features.half().cpu().numpy()
        if i % 20 == 0:
            log(run, stage="features", pictures=(i + 1) * plan.feature_batch)
    workers.stop()
    out.flush()
    os.replace(f"{path}.tmp", path)


class Asker:
    """Makes step i: which pictures of group i % groups, and rows of questions about them; as many such halves as there are twins."""

    def __init__(self, seed, plan, tokenizer):
        self.seed, self.plan, self.tokenizer = seed, plan, tokenizer

    def start(self):
        self.prompt, self.groups = Prompt(self.tokenizer), {}

    def scenes(self, group):
        if group not in self.groups:  # the same draws as Batches.scenes
            rng = random.Random(FEATURE_SEED * self.seed + group)
            self.groups[group] = [sample_scene(rng) for _ in range(self.plan.feature_batch)]
        return self.groups[group]

    def make(self, i):
        """Steps 2k and 2k + 1 are about the same pictures: the shorter half of their questions, then the longer half (less padding)."""
        pair, later = divmod(i, 2)
        rng, group, long = random.Random(QUESTION_SEED * self.seed + pair), pair % feature_groups(self.plan), pair % 3 == 2
        scenes, per = self.scenes(group), self.plan.questions * 3 // 4 if long else self.plan.questions
        weights = {k: w * (AMONG_LONG if k not in LONG else 1) for k, w in TAUGHT.items() if long or k not in LONG}
        halves = []
        for count in self.plan.shares(self.plan.language_pictures):
            pick, pairs = [], []
            while len(pick) < count:
                at = rng.randrange(len(scenes))
                made = questions(scenes[at], 2 * per, rng, weights=weights)
                if len(made) == 2 * per:  # an empty corner of a scene offers too few
                    pick.append(group * self.plan.feature_batch + at)
                    rows = sorted(map(self.prompt.turns, conversations(turns for _, turns in made)), key=lambda row: len(row[0]))
                    half = len(rows) // 2
                    pairs += rows[half:] if later else rows[:half]
            halves.append((pick, packed.Rows.pack(pairs)))
        return halves


def later_turns(prompt, made, k, before):
    """Row of question k of [(kind, turns), ...] after the `before` questions that precede it, in a ring; only its own answers are asked."""
    turns = [turn for i in range(k - before, k) for turn in made[i][1]]
    asked = len(prompt.turns(turns)[0])
    ids, learn = prompt.turns(turns + made[k][1])
    return ids, [0] * asked + learn[asked:]


def held_out(tower, prompt, device, count, per=8, chunk=100, before=0):
    """[(features, rows, kinds), ...] over held-out scenes in phrasings that training never uses; two turns count by the second.

    Each question comes after `before` others about its picture, whose answers do not count."""
    chunk = min(chunk, count)
    maker, held = Batches(HELD_SEED + 1, chunk, Config()), []
    maker.start()
    for i in range(0, count, chunk):
        rng = random.Random(HELD_SEED + i)
        scenes, drawn = maker.scenes(i)
        made = [questions(s, per, rng, held=True) for s in scenes]
        full = [j for j, m in enumerate(made) if len(m) == per]
        images = torch.from_numpy(np.stack([drawn[j][0] for j in full])).to(device)
        with torch.no_grad():
            features = tower(to_pixels(images))
        rows = packed.Rows.pack([later_turns(prompt, made[j], k, before) for j in full for k in range(per)]).to(device)
        held.append((features, rows, [kind for j in full for kind, _ in made[j]]))
    return held


@torch.no_grad()
def score(net, prefix, held, m, device):
    """Exact match by kind: {kind: share, "mean": over the kinds, "all": over the questions}."""
    right = {k: [] for k in KINDS}
    for features, rows, kinds in held:
        with autocast(device):
            logits = packed.forward(net, prefix, net.query_abstractor(features, m), rows)
        for kind, ok in zip(kinds, packed.right_rows(logits, rows).tolist()):
            right[kind].append(ok)
    out = {k: round(sum(v) / max(1, len(v)), 3) for k, v in right.items()}
    out["mean"] = round(sum(out.values()) / len(KINDS), 4)
    out["all"] = round(sum(map(sum, right.values())) / sum(map(len, right.values())), 4)
    return out


def train(run, clock, plan, device, stage_1=0.45, seed=1):
    """Trains until `clock` says the time is up; keeps `language.pt` in `run` and resumes from it. True when finished."""
    torch.manual_seed(seed)
    path, tokenizer = f"{run}/language.pt", f"{run}/tokenizer"
    net, prompt = MqtLlava(Config()), Prompt(tokenizer)
    net.vision_tower, head = load_tower(run, device)
    net = net.to(device)
    features = np.load(f"{run}/features.npy", mmap_mode="r")
    if device.type == "cuda":
        features = torch.from_numpy(np.load(f"{run}/features.npy")).to(device)
    words.speak(net, head, prompt, torch.as_tensor(np.array(features[:200]) if device.type == "cpu" else features[:200]))
    parts = {n: getattr(net, n) for n in PARTS_TRAINED}
    # The resampler starts as something that works (model.py, words.py): large steps would only break it.
    opts = optimiser.make(parts, plan.language_lr, slow=lambda name: name.startswith("query_abstractor"))
    step, asked = 0, 0
    if os.path.exists(path):
        saved = torch.load(path, weights_only=False, map_location=device)
        [part.load_state_dict(saved[n]) for n, part in parts.items()]
        [o.load_state_dict(s) for o, s in zip(opts, saved["opts"])]
        step, clock.spent, asked = saved["step"], saved["spent"], saved["questions"]
    if clock.finished():
        return True
    params = [p for part in parts.values() for p in part.parameters()]
    prefix = torch.tensor(prompt.prefix, device=device)

    def loss_of(half):
        pick, rows, m = half
        rows = rows.to(device)
        seen = features[pick] if device.type == "cuda" else torch.from_numpy(features[pick])
        with autocast(device):
            logits = packed.forward(net, prefix, net.query_abstractor(seen.float(), m), rows, fuse=device.type == "cuda")
        return F.cross_entropy(logits.float(), rows.want)

    twin = Twin(params, opts, loss_of, alone=plan.twins == 1)
    workers = Workers(Asker(seed, plan, tokenizer), plan.workers, first=step)
    held, rng = held_out(net.vision_tower, prompt, device, plan.held), random.Random(seed + step)
    talk = held_out(net.vision_tower, prompt, device, plan.held, before=2)
    recent, shown = torch.zeros((), device=device), clock.spent
    largest = Config().queries

    def save():
        keep({**{n: part.state_dict() for n, part in parts.items()}, "opts": [o.state_dict() for o in opts],
              "step": step, "spent": clock.spent, "questions": asked}, path)

    while clock.tick():
        halves = workers.get()
        m = largest if clock.share() < stage_1 else rng.choices(LADDER, [STAGE_2[x] for x in LADDER])[0]
        factor = min(1, (step + 1) / 100) * optimiser.schedule(clock.share(), FLAT)
        optimiser.set_rate(opts, plan.language_lr * factor)
        loss = twin.gradient([(*half, m) for half in halves], plan.shares(plan.language_pictures))
        twin.step(1.0)
        step, asked = step + 1, asked + sum(rows.questions for _, rows in halves)
        if m == largest:
            recent = loss if step < 3 else 0.98 * recent + 0.02 * loss
        if clock.spent - shown > plan.language_log_seconds:
            shown = clock.spent
            line = {"stage": "language", "step": step, "questions": asked, "minutes": round(clock.spent / 60, 2),
                    "lr": round(plan.language_lr * factor, 6), "loss": round(recent.item(), 4), f"m{largest}": score(net, prefix, held, largest, device)}
            if clock.share() > stage_1:
                line["m16"], line["m2"] = (score(net, prefix, held[:2], x, device)["all"] for x in (16, 2))
                line["third turn"] = score(net, prefix, talk[:1], largest, device)["all"]
            log(run, **line)
            save()
    save()
    workers.stop()
    twin.stop()
    log(run, stage="language", questions=asked, final={m: score(net, prefix, held, m, device)["all"] for m in LADDER})
    return clock.finished()
