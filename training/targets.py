"""The tower's dense target: what each of the patches shows, and how the thing that stands there relates to the others.

A question costs the decoder a row of a dozen tokens and teaches one answer; a picture tells the tower hundreds of these
targets at once. So whatever a look at the whole picture can tell about a thing is told here: which ninth of the picture
it is in, what stands left of it and next to it, how many there are of its kind. The decoder is left with looking up.
"""

from collections import Counter

import numpy as np
import torch
import torch.nn.functional as F

from questions import DIRECTIONS, View, own_words
from scenes import COLOUR_NAMES, GROUP, MAX_THINGS, NAMES, TEXTS

NO_COLOUR = len(COLOUR_NAMES) + 1
SIDES = ("left of", "right of", "above", "below")
# What the head says about a patch. Classes of the thing that covers it, 0 = nothing: asked of every patch.
SHOWN = {"name": len(NAMES) + 1, "colour": len(COLOUR_NAMES) + 2, "text": len(TEXTS) + 1}
MEASURED = {"centre": 1, "offset": 2, "size": 1, "place": 2}
# Classes that only a thing's own patches are asked; -1 where the answer is not beyond doubt.
COUNTS = ("same", "kin", "tint", "clan", "total")  # how many: like it in all, of its name, colour, group; of all things
RELATED = {"cell": 9, **dict.fromkeys(COUNTS, MAX_THINGS), "rank": 5, "last": 2, "biggest": 2, "smallest": 2}
for _side in (*SIDES, "near"):
    RELATED |= {_side: len(NAMES) + 1, _side + " colour": len(COLOUR_NAMES) + 1}
PARTS = SHOWN | MEASURED | RELATED
WEIGHTS = dict.fromkeys(RELATED, 0.25) | {"cell": 0.4, "rank": 0.4} | {s: 0.35 for s in (*SIDES, "near")}
COLUMNS = [*SHOWN, "centre", *RELATED]  # of the class targets


def relations(scene):
    """For each thing the classes of RELATED, in order."""
    view, rows = View(scene), []
    ranks = {words: i for i, (_, words, _) in enumerate(view.groups)} if view.listing else {}
    clans = Counter(GROUP.get(t.name) for t in scene.things)
    order = sorted(t.size for t in scene.things)
    for t in scene.things:
        cell = scene.cell(t)
        counts = (sum(own_words(o) == own_words(t) for o in scene.things), view.names[t.name], view.colours[t.colour] if t.colour else 0,
                  clans[GROUP[t.name]] if GROUP.get(t.name) else 0, len(scene.things))
        rank = ranks.get(own_words(t), -1)
        row = [cell[0] + 3 * cell[1] if cell else -1, *(n - 1 for n in counts), rank, -1 if rank < 0 else int(rank == len(ranks) - 1)]
        for extreme, next_one in ((order[-1], order[-2:][0]), (order[0], order[:2][-1])):
            clear = len(order) > 1 and max(extreme, next_one) > 1.2 * min(extreme, next_one)
            row.append(int(t.size == extreme) if clear else -1)
        for found in [view.towards(t, DIRECTIONS[s]) for s in SIDES] + [view.nearest(t)]:
            if found is None:
                row += [-1, -1]
            elif found == "nothing":
                row += [0, 0]
            else:
                coloured = found.kind in ("shape", "stroke")
                row += [NAMES.index(found.name) + 1, COLOUR_NAMES.index(found.colour) + 1 if coloured else 0]
        rows.append(row)
    return np.array(rows, np.int8)


def patch_targets(scene, owner, grid):
    """Classes int8 [patches, COLUMNS] (-1: not asked) and float32 [patches, 3]: offset to the centre of the thing that
    covers the patch, in patches; log2 of its size.

    A patch that things cover by less than a quarter is not asked, one that shows less than a 25th of any is ground.
    """
    side = owner.shape[0]
    at = np.arange(side) * grid // side
    patch, wide = at[:, None] * grid + at[None, :], MAX_THINGS + 1
    share = np.bincount((patch * wide + owner + 1).ravel(), minlength=grid * grid * wide).reshape(grid * grid, wide)
    best, cover = share[:, 1:].argmax(1), share[:, 1:].max(1) / (side / grid) ** 2
    kind, more = np.zeros((grid * grid, len(COLUMNS)), np.int8), np.zeros((grid * grid, 3), np.float32)
    kind[(cover > 0.04) & (cover < 0.25), :3] = -1
    kind[:, 4:] = -1
    related = relations(scene)
    for i, t in enumerate(scene.things):
        col, row = min(int(t.x * grid), grid - 1), min(int(t.y * grid), grid - 1)
        own = (cover >= 0.25) & (best == i)
        own[row * grid + col] = True  # also the empty middle of a ring
        index = np.flatnonzero(own)
        colour = COLOUR_NAMES.index(t.colour) + 1 if t.colour else NO_COLOUR
        kind[index, :3] = (NAMES.index(t.name) + 1, colour, TEXTS.index(t.text) + 1 if t.text else 0)
        kind[index, 4:] = related[i]
        more[index, 0] = t.x * grid - (index % grid + 0.5)
        more[index, 1] = t.y * grid - (index // grid + 0.5)
        more[index, 2] = np.log2(t.size * 4)
        kind[row * grid + col, 3] = 1
    return kind, more


def split(out, parts):
    return dict(zip(parts, out.float().split(list(parts.values()), -1)))


def read(head, features):
    """{part: [b, patches, width]} as f32: all that the head says. It sits behind a plain layer norm, as the resampler's values do."""
    return split(head(F.layer_norm(features.float(), features.shape[-1:])), PARTS)


def heard(head, features, kinds):
    """(what is shown and measured, of all patches; the relations, only of patches that a thing covers [n, width])."""
    first, normed = sum((SHOWN | MEASURED).values()), F.layer_norm(features.float(), features.shape[-1:])
    front = normed[kinds[..., 0] > 0]
    return (split(F.linear(normed, head.weight[:first], head.bias[:first]), SHOWN | MEASURED),
            split(F.linear(front, head.weight[first:], head.bias[first:]), RELATED))


def places(grid, device):
    """Column and row of each patch, -1 to 1: [patches, 2]."""
    line = torch.linspace(-1, 1, grid, device=device)
    return torch.stack(torch.meshgrid(line, line, indexing="ij"), -1).flip(-1).reshape(-1, 2)


def loss_of(out, related, kinds, more, where):
    """`where` [b, patches, 2]: the patches' own places."""
    kinds = kinds.long()
    asked, front = kinds[..., 0] >= 0, kinds[..., 0] > 0
    # Ground is four patches in five and easy: weigh it down.
    weight = torch.where(front, 1.0, 0.25) * asked
    cross = sum(F.cross_entropy(out[part].flatten(0, 1), kinds[..., i].flatten().clamp(min=0), reduction="none") * scale
                for i, (part, scale) in enumerate((("name", 1.0), ("colour", 0.7), ("text", 1.0))))
    loss = (cross * weight.flatten()).sum() / weight.sum()
    # Mistaken letters are rare among all patches: give written patches a share of their own.
    written = kinds[..., 2] > 0
    letters = F.cross_entropy(out["text"][written], kinds[..., 2][written], reduction="sum") / written.sum().clamp(min=1)
    loss = loss + 0.5 * letters
    centre = kinds[..., 3].float()
    loss = loss + 0.5 * F.binary_cross_entropy_with_logits(out["centre"][..., 0], centre, pos_weight=torch.tensor(4.0, device=centre.device))
    mean = lambda said, true: F.smooth_l1_loss(said[front], true[front])
    loss = loss + 0.6 * mean(out["offset"], more[..., :2]) + 0.4 * mean(out["size"], more[..., 2:])
    loss = loss + F.smooth_l1_loss(out["place"], where, beta=0.1)
    for i, part in enumerate(RELATED):
        true = kinds[..., 4 + i][front]
        total = F.cross_entropy(related[part], true, ignore_index=-1, reduction="sum")
        loss = loss + WEIGHTS[part] * total / (true >= 0).sum().clamp(min=1)
    return loss


@torch.no_grad()
def score_of(out, related, kinds, more, where):
    """Shares of right patches, for the diary."""
    kinds = kinds.long()
    right = {part: out[part].argmax(-1) == kinds[..., i] for i, part in enumerate(SHOWN)}
    front, written, middle = kinds[..., 0] > 0, kinds[..., 2] > 0, kinds[..., 3] > 0
    said = out["centre"][..., 0] > 0
    share = lambda ok, among: round(ok[among].float().mean().item(), 4)
    score = {"name": share(right["name"], front), "colour": share(right["colour"], front), "text": share(right["text"], written),
             "middle": share(right["name"] & right["colour"], middle), "ground": share(right["name"], kinds[..., 0] == 0),
             "centre": share(said == middle, middle | said),
             "offset": round((out["offset"] - more[..., :2])[front].abs().mean().item(), 3),
             "place": round((out["place"] - where).abs().mean().item() * 4, 3)}
    hits = {part: (related[part].argmax(-1) == kinds[..., 4 + i][front], kinds[..., 4 + i][front]) for i, part in enumerate(RELATED)}
    for name, parts in (("cell", ["cell"]), ("counts", COUNTS), ("rank", ["rank"]), ("sides", SIDES), ("near", ["near"]), ("extremes", ["biggest", "smallest"])):
        score[name] = round(sum(ok[true >= 0].sum().item() for ok, true in map(hits.get, parts)) / max(1, sum((hits[p][1] >= 0).sum().item() for p in parts)), 4)
    return score
