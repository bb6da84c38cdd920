"""Stage 0: teach the vision tower what stands in each patch (`targets.py`); afterwards it is frozen.

The linear head that reads it sits behind a plain layer norm because that is how the resampler reads the features; the
language stage starts from it (`words.py`).
"""

import os
import random

import numpy as np
import torch
from torch import nn

import optimiser
import targets
from draw import Painter
from model import Config, VisionTower
from run import Clock, Workers, autocast, keep, log
from scenes import sample_scene
from targets import PARTS, patch_targets, places
from twin import Twin

MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073])
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711])
HELD_SEED, TRAIN_SEED = 77, 1_000_000
CARDS = 0.3  # of the things that may be cards: letters are what the tower learns last


def to_pixels(images):
    """uint8 [b, s, s, 3] -> normalised f32 [b, 3, s, s], as the runtime computes it."""
    x = images.float() * (1 / 255)
    return ((x - MEAN.to(x.device)) / STD.to(x.device)).permute(0, 3, 1, 2).contiguous()


class Batches:
    """Makes batch i of a seed: images uint8 [n, s, s, 3], kinds int8 [n, patches, COLUMNS], more f32 [n, patches, 3]."""

    def __init__(self, seed, size, config, cards=0.12):
        self.seed, self.size, self.config, self.cards = seed, size, config, cards

    def start(self):
        self.painter = Painter(self.config.image_size)

    def scenes(self, i):
        rng = random.Random(self.seed + i)
        scenes = [sample_scene(rng, cards=self.cards) for _ in range(self.size)]
        return scenes, [self.painter.paint(s, rng) for s in scenes]

    def make(self, i):
        scenes, drawn = self.scenes(i)
        targets = [patch_targets(s, owner, self.config.grid) for s, (_, owner) in zip(scenes, drawn)]
        return [np.stack(a) for a in ([d[0] for d in drawn], [t[0] for t in targets], [t[1] for t in targets])]


def grown(folder, tower, head):
    """Takes what fits from `start.pt` (a smaller tower's `tower.pt`); layers it does not have start as doing nothing."""
    saved = torch.load(f"{folder}/start.pt", weights_only=False, map_location="cpu")
    run = max(int(n.split(".")[2]) for n in saved["tower"] if n.startswith("encoder.layers."))  # its last one is never run
    with torch.no_grad():
        for name, p in tower.named_parameters():
            new = name.startswith("encoder.layers.") and int(name.split(".")[2]) >= run
            if not new:
                p.copy_(saved["tower"][name])
            elif "out_proj" in name or "fc2" in name:
                p.zero_()
        said = len(saved["head"]["weight"])
        for name, p in head.named_parameters():
            p[said:] *= 0.1
            p[:said] = saved["head"][name]


def some_patches(kinds, count, generator):
    """Indices [b, count] of patches: those of things first, then ground at random."""
    chance = torch.rand(kinds.shape[:2], generator=generator, device=kinds.device) + (kinds[..., 0] != 0) + 2 * (kinds[..., 3] > 0)
    return chance.topk(count, 1).indices


def train(folder, clock: Clock, plan, device, seed=1):
    """Trains until `clock` says the stage's time is up; keeps `tower.pt` in `folder` and resumes from it. True when finished."""
    torch.manual_seed(seed)
    config, path = Config(), f"{folder}/tower.pt"
    tower, head = VisionTower(config), nn.Linear(config.vision_hidden, sum(PARTS.values()))
    if os.path.exists(f"{folder}/start.pt"):
        grown(folder, tower, head)
    tower, head = tower.to(device), head.to(device)
    tower.encoder.layers[-1].requires_grad_(False)
    tower.post_layernorm.requires_grad_(False)
    opts = optimiser.make({"tower": tower, "head": head}, plan.tower_lr)
    step, seen = 0, 0
    if os.path.exists(path):
        saved = torch.load(path, weights_only=False, map_location=device)
        tower.load_state_dict(saved["tower"]), head.load_state_dict(saved["head"])
        [o.load_state_dict(s) for o, s in zip(opts, saved["opts"])]
        step, seen, clock.spent = saved["step"], saved["pictures"], saved["spent"]
    if clock.finished():
        return True
    all_places = places(config.grid, device)

    def hear(batch, net):
        """(loss or score function's arguments) of images, classes, measures and, perhaps, the patches to look at."""
        images, kinds, more, kept = batch
        with autocast(device):
            features = net(to_pixels(images), kept)
        where = all_places.expand(len(images), -1, -1)
        if kept is not None:
            pick = lambda t: t.gather(1, kept[..., None].expand(-1, -1, t.shape[-1]))
            kinds, more, where = pick(kinds), pick(more), pick(where)
        return *targets.heard(head, features, kinds), kinds, more, where

    params = [p for p in [*tower.parameters(), *head.parameters()] if p.requires_grad]
    net = torch.compile(tower) if device.type == "cuda" else tower
    twin = Twin(params, opts, lambda batch: targets.loss_of(*hear(batch, net)), alone=plan.twins == 1)
    held = Batches(HELD_SEED, plan.held, config)
    held.start()
    held = [*(torch.from_numpy(a).to(device) for a in held.make(0)), None]
    workers = Workers(Batches(TRAIN_SEED * seed, plan.tower_batch, config, CARDS), plan.workers, first=-(-step // plan.reuse))
    pool, n, begin = None, plan.tower_batch, step
    generator = torch.Generator(device).manual_seed(seed + step)

    def save():
        keep({"tower": tower.state_dict(), "head": head.state_dict(), "opts": [o.state_dict() for o in opts],
              "step": step, "pictures": seen, "spent": clock.spent}, path)

    while clock.tick():
        # A ring of `plan.pool` batches; each picture is used about `plan.reuse` times.
        if (step - begin) % plan.reuse == 0 or pool is None:
            fresh = [torch.from_numpy(a).to(device) for a in workers.get()]
            if pool is None:
                pool, filled = [t.new_empty((plan.pool * n, *t.shape[1:])) for t in fresh], 0
            at = filled % plan.pool * n
            for room, t in zip(pool, fresh):
                room[at:at + n] = t
            filled += 1
        pick = torch.randint(min(filled, plan.pool) * n, (n,), generator=generator, device=device) if plan.pool > 1 else slice(None)
        images, kinds, more = (room[pick] for room in pool)
        # Most patches are ground: until the rate comes down a share of them is left out.
        few = clock.share() < optimiser.FLAT and plan.tower_patches < kinds.shape[1]
        kept = some_patches(kinds, plan.tower_patches, generator) if few else None
        factor = min(1, (step + 1) / 100) * optimiser.schedule(clock.share())
        optimiser.set_rate(opts, plan.tower_lr * factor)
        shares = plan.shares(n)
        halves = zip(*(t.split(shares) if t is not None else [None] * len(shares) for t in (images, kinds, more, kept)))
        loss = twin.gradient(list(halves), shares)
        twin.step(2.0)
        step, seen = step + 1, seen + n
        if step % plan.tower_log == 0:
            with torch.no_grad():
                score = targets.score_of(*hear(held, tower))
            log(folder, stage="tower", step=step, pictures=seen, minutes=round(clock.spent / 60, 2),
                loss=round(loss.item(), 4), lr=round(plan.tower_lr * factor, 6), **score)
            save()
    save()
    workers.stop()
    twin.stop()
    return clock.finished()
