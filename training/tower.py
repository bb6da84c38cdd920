"""Stage 0: teach the vision tower what stands in each patch; afterwards it is frozen.

The target is dense: every patch says which thing and colour covers it, what is written there, whether a thing's centre
is in it, where that centre is, how big the thing is, and which patch it is itself: the resampler adds no positions, so
"where" can only be answered from what the features carry. The linear head that reads it sits behind a plain layer norm
because that is how the resampler reads the features; the language stage starts from it (`words.py`).
"""

import os
import random

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import optimiser
from draw import Painter
from model import Config, VisionTower
from run import Clock, Workers, autocast, keep, log
from scenes import COLOUR_NAMES, MAX_THINGS, NAMES, TEXTS, sample_scene

MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073])
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711])
NO_COLOUR = len(COLOUR_NAMES) + 1
# What the head says about a patch: (name, width). Classes count from 0 = nothing.
PARTS = {"name": len(NAMES) + 1, "colour": len(COLOUR_NAMES) + 2, "text": len(TEXTS) + 1, "centre": 1, "offset": 2, "size": 1, "place": 2}
HELD_SEED, TRAIN_SEED = 77, 1_000_000


def to_pixels(images):
    """uint8 [b, s, s, 3] -> normalised f32 [b, 3, s, s], as the runtime computes it."""
    x = images.float() * (1 / 255)
    return ((x - MEAN.to(x.device)) / STD.to(x.device)).permute(0, 3, 1, 2).contiguous()


def places(grid, device):
    """Column and row of each patch, -1 to 1: [patches, 2]."""
    line = torch.linspace(-1, 1, grid, device=device)
    return torch.stack(torch.meshgrid(line, line, indexing="ij"), -1).flip(-1).reshape(-1, 2)


def patch_targets(scene, owner, grid):
    """What each patch shows: int8 [patches, 4] (name, colour, text, 1 if a centre is here; -1: do not ask the first three)
    and float32 [patches, 3] (offset to the centre of the thing that covers the patch, in patches; log2 of its size).

    A patch that things cover by less than a quarter is not asked, one that shows less than a 25th of any is ground.
    """
    side = owner.shape[0]
    at = np.arange(side) * grid // side
    patch, wide = at[:, None] * grid + at[None, :], MAX_THINGS + 1
    share = np.bincount((patch * wide + owner + 1).ravel(), minlength=grid * grid * wide).reshape(grid * grid, wide)
    best, cover = share[:, 1:].argmax(1), share[:, 1:].max(1) / (side / grid) ** 2
    kind, more = np.zeros((grid * grid, 4), np.int8), np.zeros((grid * grid, 3), np.float32)
    kind[(cover > 0.04) & (cover < 0.25), :3] = -1
    for i, t in enumerate(scene.things):
        col, row = min(int(t.x * grid), grid - 1), min(int(t.y * grid), grid - 1)
        own = (cover >= 0.25) & (best == i)
        own[row * grid + col] = True  # also the empty middle of a ring
        index = np.flatnonzero(own)
        colour = COLOUR_NAMES.index(t.colour) + 1 if t.colour else NO_COLOUR
        kind[index, :3] = (NAMES.index(t.name) + 1, colour, TEXTS.index(t.text) + 1 if t.text else 0)
        more[index, 0] = t.x * grid - (index % grid + 0.5)
        more[index, 1] = t.y * grid - (index // grid + 0.5)
        more[index, 2] = np.log2(t.size * 4)
        kind[row * grid + col, 3] = 1
    return kind, more


class Batches:
    """Makes batch i of a seed: images uint8 [n, s, s, 3], kinds int8 [n, patches, 4], more f32 [n, patches, 3]."""

    def __init__(self, seed, size, config):
        self.seed, self.size, self.config = seed, size, config

    def start(self):
        self.painter = Painter(self.config.image_size)

    def scenes(self, i):
        rng = random.Random(self.seed + i)
        scenes = [sample_scene(rng) for _ in range(self.size)]
        return scenes, [self.painter.paint(s, rng) for s in scenes]

    def make(self, i):
        scenes, drawn = self.scenes(i)
        targets = [patch_targets(s, owner, self.config.grid) for s, (_, owner) in zip(scenes, drawn)]
        return [np.stack(a) for a in ([d[0] for d in drawn], [t[0] for t in targets], [t[1] for t in targets])]


def read(head, features):
    """{part: [b, patches, width]} as f32."""
    out = head(F.layer_norm(features.float(), features.shape[-1:])).float()
    return dict(zip(PARTS, out.split(list(PARTS.values()), -1)))


def loss_of(out, kinds, more):
    kinds = kinds.long()
    asked = kinds[..., 0] >= 0
    front = kinds[..., 0] > 0
    # Ground is four patches in five and easy: weigh it down.
    weight = torch.where(front, 1.0, 0.25) * asked
    cross = sum(F.cross_entropy(out[part].flatten(0, 1), kinds[..., i].flatten().clamp(min=0), reduction="none") * scale
                for i, (part, scale) in enumerate((("name", 1.0), ("colour", 0.7), ("text", 1.0))))
    loss = (cross * weight.flatten()).sum() / weight.sum()
    # Mistaken letters are rare among all patches: give written patches a share of their own.
    written = (kinds[..., 2] > 0).flatten()
    letters = F.cross_entropy(out["text"].flatten(0, 1), kinds[..., 2].flatten().clamp(min=0), reduction="none")
    loss = loss + 0.5 * (letters * written).sum() / written.sum().clamp(min=1)
    centre = kinds[..., 3].float()
    loss = loss + 0.5 * F.binary_cross_entropy_with_logits(out["centre"][..., 0], centre, pos_weight=torch.tensor(4.0, device=centre.device))
    some = front[..., None].float()
    mean = lambda t: (t * some).sum() / some.sum().clamp(min=1) / t.shape[-1]
    loss = loss + 0.6 * mean(F.smooth_l1_loss(out["offset"], more[..., :2], reduction="none"))
    loss = loss + 0.4 * mean(F.smooth_l1_loss(out["size"], more[..., 2:], reduction="none"))
    where = places(int(kinds.shape[1] ** 0.5), kinds.device).expand(len(kinds), -1, -1)
    return loss + F.smooth_l1_loss(out["place"], where, beta=0.1)


@torch.no_grad()
def score_of(out, kinds, more):
    kinds = kinds.long()
    right = {part: out[part].argmax(-1) == kinds[..., i] for i, part in enumerate(("name", "colour", "text"))}
    front, written, middle = kinds[..., 0] > 0, kinds[..., 2] > 0, kinds[..., 3] > 0
    said = out["centre"][..., 0] > 0
    share = lambda ok, where: round(ok[where].float().mean().item(), 4)
    return {"name": share(right["name"], front), "colour": share(right["colour"], front), "text": share(right["text"], written),
            "middle": share(right["name"] & right["colour"], middle), "ground": share(right["name"], kinds[..., 0] == 0),
            "centre": share(said == middle, middle | said),
            "offset": round((out["offset"] - more[..., :2])[front].abs().mean().item(), 3),
            "place": round((out["place"] - places(int(kinds.shape[1] ** 0.5), kinds.device)).abs().mean().item() * 4, 3)}


def train(folder, clock: Clock, plan, device, seed=1):
    """Trains until `clock` says the stage's time is up; keeps `tower.pt` in `folder` and resumes from it. True when finished."""
    torch.manual_seed(seed)
    config, path = Config(), f"{folder}/tower.pt"
    tower, head = VisionTower(config).to(device), nn.Linear(config.vision_hidden, sum(PARTS.values())).to(device)
    tower.encoder.layers[-1].requires_grad_(False)
    tower.post_layernorm.requires_grad_(False)
    opts = optimiser.make({"tower": tower, "head": head}, plan.tower_lr)
    step = 0
    if os.path.exists(path):
        saved = torch.load(path, weights_only=False, map_location=device)
        tower.load_state_dict(saved["tower"]), head.load_state_dict(saved["head"])
        if "opts" in saved:
            [o.load_state_dict(s) for o, s in zip(opts, saved["opts"])]
        step, clock.spent = saved["step"], saved["spent"]
    if clock.finished():
        return True
    held = Batches(HELD_SEED, plan.held, config)
    held.start()
    images, kinds, more = (torch.from_numpy(a).to(device) for a in held.make(0))
    held = to_pixels(images), kinds, more
    maker = Batches(TRAIN_SEED * seed, plan.tower_batch, config)
    workers = Workers(maker, plan.workers, first=-(-step // plan.reuse))
    pool, n = None, plan.tower_batch
    random_pick = torch.Generator().manual_seed(seed + step)
    params = [p for p in list(tower.parameters()) + list(head.parameters()) if p.requires_grad]
    net = torch.compile(tower) if device.type == "cuda" else tower
    begin = step

    def save():
        keep({"tower": tower.state_dict(), "head": head.state_dict(), "opts": [o.state_dict() for o in opts],
              "step": step, "spent": clock.spent}, path)

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
        pick = torch.randint(min(filled, plan.pool) * n, (n,), generator=random_pick).to(device) if plan.pool > 1 else slice(None)
        images, kinds, more = (room[pick] for room in pool)
        factor = min(1, (step + 1) / 200) * optimiser.schedule(clock.share(), 1.0, warm=0)
        optimiser.set_rate(opts, plan.tower_lr * factor)
        with autocast(device):
            features = net(to_pixels(images))
        loss = loss_of(read(head, features), kinds, more)
        optimiser.step(opts, loss, params, 2.0)
        step += 1
        if step % plan.tower_log == 0:
            with torch.no_grad(), autocast(device):
                score = score_of(read(head, tower(held[0])), *held[1:])
            log(folder, stage="tower", step=step, pictures=step * n, minutes=round(clock.spent / 60, 2),
                loss=round(loss.item(), 4), lr=round(plan.tower_lr * factor, 6), **score)
            save()
    save()
    workers.stop()
    return clock.finished()
