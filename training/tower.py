"""Stage 0: teach the vision tower what stands in each patch, then keep its features for the later stages.

The target is dense: every one of the 64 patches says which shape and colour covers it, whether a thing's centre is
in it, where that centre is from here and in the picture, and which patch it is itself: the resampler adds no
positions, so "where" can only be answered from what the features carry. The linear head that reads it is thrown away afterwards. It sits behind a plain
layer norm because that is how the resampler reads the features.
"""

import json
import os
import random
import time

import numpy as np
import torch
import torch.multiprocessing as mp
import torch.nn.functional as F
from torch import nn

import optimiser
from model import Config, VisionTower
from scenes import COLOURS, GRID, SHAPES, Masks, draw_fast, patch_targets, sample_scene

MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073])
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711])
N_SHAPE, N_COLOUR = len(SHAPES) + 1, len(COLOURS) + 1
SPLIT = [N_SHAPE, N_COLOUR, 1, 2, 3, 3, 2]  # shape, colour, centre here?, offset, ninth's column and row, own place
PLACE = torch.stack(torch.meshgrid(torch.linspace(-1, 1, GRID), torch.linspace(-1, 1, GRID), indexing="ij"), -1).flip(-1).reshape(-1, 2)


def to_pixels(images):
    """uint8 [b, 112, 112, 3] -> normalised f32 [b, 3, 112, 112], as the runtime computes it."""
    x = torch.from_numpy(np.array(images)).float() * (1 / 255)
    return ((x - MEAN) / STD).permute(0, 3, 1, 2).contiguous()


def batch(seed, size, masks):
    """Scenes and their targets as arrays: images, kinds [b, 64, 2], more [b, 64, 5], scenes."""
    rng = random.Random(seed)
    scenes = [sample_scene(rng) for _ in range(size)]
    drawn = [draw_fast(s, masks, rng) for s in scenes]
    targets = [patch_targets(s, owner) for s, (_, owner) in zip(scenes, drawn)]
    return np.stack([d[0] for d in drawn]), np.stack([t[0] for t in targets]), np.stack([t[1] for t in targets]), scenes


def produce(queue, first_seed, size):
    """Worker process: batches of seeds first_seed, first_seed + 1, ..."""
    torch.set_num_threads(1)
    masks, seed = Masks(), first_seed
    while True:
        queue.put([torch.from_numpy(a) for a in batch(seed, size, masks)[:3]])
        seed += 1


def loss_and_accuracy(head, features, kinds, more):
    out = head(F.layer_norm(features, features.shape[-1:])).float()
    shape, colour, centre, offset, column, row, place = out.split(SPLIT, -1)
    kinds = kinds.long()
    # Ground is four patches in five and easy: weigh it down.
    weight = torch.where(kinds[..., 0] > 0, 1.0, 0.25) * (kinds[..., 0] >= 0)
    cross = sum(F.cross_entropy(o.flatten(0, 1), kinds[..., i].flatten().clamp(min=0), reduction="none")
                for i, o in enumerate((shape, colour)))
    loss = (cross * weight.flatten()).sum() / weight.sum()
    front = kinds[..., 0] > 0
    loss = loss + 0.5 * F.binary_cross_entropy_with_logits(centre[..., 0], more[..., 0], pos_weight=torch.tensor(4.0))
    loss = loss + 0.3 * F.smooth_l1_loss(offset[front], more[..., 1:3][front])
    ninth = more[..., 3:][front].long()
    loss = loss + 0.3 * (F.cross_entropy(column[front], ninth[:, 0]) + F.cross_entropy(row[front], ninth[:, 1]))
    loss = loss + F.smooth_l1_loss(place, PLACE.expand_as(place))
    with torch.no_grad():
        right_shape, right_colour = shape.argmax(-1) == kinds[..., 0], colour.argmax(-1) == kinds[..., 1]
        middle = more[..., 0] > 0
        score = {"front": (right_shape & right_colour)[front].float().mean().item(),
                 "shape": right_shape[front].float().mean().item(),
                 "colour": right_colour[front].float().mean().item(),
                 "ground": right_shape[kinds[..., 0] == 0].float().mean().item(),
                 "centre": ((centre[..., 0] > 0) == middle)[middle | (centre[..., 0] > 0)].float().mean().item(),
                 "where": ((column[front].argmax(-1) == ninth[:, 0]) & (row[front].argmax(-1) == ninth[:, 1])).float().mean().item(),
                 "middle": (right_shape & right_colour)[middle].float().mean().item()}
    return loss, score


def train(folder, minutes, size=64, lr=2e-3, bf16=True, seed=1):
    """Trains for a fixed time (schedule follows the clock) and keeps `tower.pt` in `folder`; resumes from it."""
    os.makedirs(folder, exist_ok=True)
    torch.manual_seed(seed)
    path = f"{folder}/tower.pt"
    tower, head = VisionTower(Config()), nn.Linear(Config().vision_hidden, sum(SPLIT))
    tower.encoder.layers[-1].requires_grad_(False)
    tower.post_layernorm.requires_grad_(False)
    opts = optimiser.make({"tower": tower, "head": head}, lr)
    step, spent = 0, 0.0
    if os.path.exists(path):
        saved = torch.load(path, weights_only=False)
        tower.load_state_dict(saved["tower"]), head.load_state_dict(saved["head"])
        [o.load_state_dict(s) for o, s in zip(opts, saved["opts"])]
        step, spent = saved["step"], saved["spent"]
    queue = mp.Queue(6)
    worker = mp.Process(target=produce, args=(queue, 1_000_000 * seed + step, size), daemon=True)
    worker.start()
    images, kinds, more, _ = batch(77, 500, Masks())  # held out: a seed the worker never reaches
    held = (to_pixels(images), torch.from_numpy(kinds), torch.from_numpy(more))
    begin, mark = time.time() - spent, step
    params = [p for p in list(tower.parameters()) + list(head.parameters()) if p.requires_grad]
    while (spent := time.time() - begin) < minutes * 60:
        images, kinds, more = queue.get()
        factor = min(1, (step + 1) / 200) * optimiser.schedule(spent, minutes * 60, warm=0)
        for o in opts:
            for g in o.param_groups:
                g["lr"] = lr * factor
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            features = tower(to_pixels(images))
        loss, score = loss_and_accuracy(head, features.float(), kinds, more)
        for o in opts:
            o.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 2.0)
        for o in opts:
            o.step()
        step += 1
        if step % 50 == 0:
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                _, score = loss_and_accuracy(head, tower(held[0]).float(), *held[1:])
            print(json.dumps({"step": step, "pictures": step * size, "seconds": round(spent), "loss": round(loss.item(), 4),
                              "lr": round(lr * factor, 6), **{k: round(v, 4) for k, v in score.items()}}), flush=True)
            torch.save({"tower": tower.state_dict(), "head": head.state_dict(), "opts": [o.state_dict() for o in opts],
                        "step": step, "spent": spent}, path + ".tmp")
            os.replace(path + ".tmp", path)
    worker.terminate()


if __name__ == "__main__":
    import sys
    torch.set_num_threads(2)
    train(sys.argv[1], float(sys.argv[2]))
