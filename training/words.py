"""The start of the language stage: visual tokens that already speak in words, and a decoder that already looks them up.

The tower's target head tells, linearly, what each patch shows. The resampler's output matrix `proj` starts as that head
followed by the decoder's own word vectors: the token of a patch with a red circle is about red + circle + top left.
What the head tells about other things (what is left of it, how many there are) is said in the same words, turned by a
rotation of its own each, so that "left of it: an apple" is not mistaken for "an apple".

Name, colour and place are said once more, turned by the rotation K: the key by which a word of the question finds the
patches it means. Some attention heads start with queries that turn by K and keys that do not, and copy what they find.
The decoder then need not learn what a token means nor how to find it: far fewer questions for the same answers.
"""

import torch

from questions import PLACES
from scenes import ALSO, COLOUR_NAMES, MAX_THINGS, NAMES, PLURAL, TEXTS
from targets import COUNTS, MEASURED, PARTS, SIDES, read

# How long each part of a patch's message is, in a vector whose words are 8 long.
LENGTHS = {"name": 3.5, "colour": 2.5, "text": 14.0, "centre": 3.0, "offset": 1.0, "size": 1.5, "place": 3.0, "cell": 2.5, "rank": 2.0,
           "last": 1.5, "biggest": 1.5, "smallest": 1.5} | dict.fromkeys(COUNTS, 1.5)
for _side in (*SIDES, "near"):
    LENGTHS |= {_side: 1.6, _side + " colour": 1.1}
KEYS = {"name": 9.0, "colour": 6.0, "cell": 6.0}
LOOKING = (0, 1, 2)  # layers with heads that start by looking words up


def unit(v):
    return v / v.norm(dim=-1, keepdim=True)


@torch.no_grad()
def relate(table, prompt):
    """Lets plurals and other names lie near the word they belong to."""
    for name in NAMES:
        for other in (PLURAL[name], *ALSO.get(name, ())):
            first, second = prompt.word(name), prompt.word(other)
            if len(first) == len(second) == 1 and first != second:
                table[second[0]] = 0.75 * table[first[0]] + 0.66 * table[second[0]]


def rotation(n):
    return torch.linalg.qr(torch.randn(n, n)).Q


@torch.no_grad()
def directions(table, prompt):
    """{part: [width, hidden]}: where each output of the head points in the decoder's space."""
    table, hidden = table.cpu(), table.shape[1]
    vector = lambda word: unit(table[prompt.word(word)].mean(0))
    nothing, fresh = torch.zeros(1, hidden), lambda n: unit(torch.randn(n, hidden))
    words = lambda names: torch.stack([vector(n) for n in names])
    numbers = words([str(n + 1) for n in range(MAX_THINGS)])
    out = {
        "name": torch.cat([nothing, words(NAMES)]),
        "colour": torch.cat([nothing, words(COLOUR_NAMES), nothing]),
        # Without their mean: what says "no text" about every other thing would be said loudly otherwise.
        "text": torch.cat([nothing, words(TEXTS) - words(TEXTS).mean(0)]),
        "centre": fresh(1), "offset": fresh(2), "size": unit(vector("big") - vector("hi"))[None], "place": fresh(2),
        "cell": torch.stack([unit(sum(map(vector, PLACES[c % 3, c // 3].split()))) for c in range(9)]),
        "rank": fresh(5),
    }
    out |= {part: torch.cat([nothing, fresh(1)]) for part in ("last", "biggest", "smallest")}
    out |= {part: numbers @ rotation(hidden) for part in COUNTS}
    for side in (*SIDES, "near"):
        turn = rotation(hidden)
        out |= {side: torch.cat([vector("nothing")[None], out["name"][1:]]) @ turn, side + " colour": torch.cat([nothing, words(COLOUR_NAMES)]) @ turn}
    return out


@torch.no_grad()
def speak(net, head, prompt, features):
    """Sets word vectors, `proj`, `lm_head` and the first look-ups of a fresh network from the tower's `head`; `features` [n, patches, d]: examples."""
    table, device = net.model.embed_tokens.weight, features.device
    relate(table, prompt)
    net.lm_head.weight.copy_(0.06 * table)  # what looks like a word is said as that word
    said, key = read(head, features), rotation(table.shape[1])
    there = (said["name"].argmax(-1) > 0) + 1e-6
    proj = torch.zeros_like(net.query_abstractor.proj)
    rows = dict(zip(PARTS, head.weight.split(list(PARTS.values()))))
    for part, ways in directions(table, prompt).items():
        out, weight = said[part], rows[part]
        if part not in MEASURED:  # classes: only differences count
            weight, out = weight - weight.mean(0), out - out.mean(-1, keepdim=True)
        ways = ways.to(device)
        about = (out.argmax(-1) > 0) + 1e-6 if part == "text" else there  # few things have one
        spoken = ((out @ ways).norm(dim=-1) * about).sum() / about.sum()  # mean length where there is something to say
        proj += weight.T @ ways * (LENGTHS[part] / spoken.clamp(min=1e-3))
        if part in KEYS:
            proj += weight.T @ ways @ key.to(device) * (KEYS[part] / spoken.clamp(min=1e-3))
    rest = torch.randn_like(proj) * proj.norm() / proj.numel() ** 0.5 * 0.2  # what the head does not name may matter too
    net.query_abstractor.proj.copy_(proj + rest)
    look_up(net, key.to(device))


@torch.no_grad()
def look_up(net, key, strength=1.7, copied=1.0):
    """Half of the heads of some layers: a word's query is what a patch with that word offers as its key, and the find is added.

    Only dimensions that RoPE turns by less than half a radian over 100 tokens are used: the match must not depend on distance.
    """
    c = net.config
    d, share = c.hidden // c.heads, c.heads // c.kv_heads
    slow = torch.arange(d // 2)[c.rope_theta ** (-2 * torch.arange(d // 2) / d) * 100 < 0.5]
    slow = torch.cat([slow, slow + d // 2])
    for i in LOOKING:
        a = net.model.layers[i].self_attn
        see, take = (rotation(c.hidden).to(key.device) for _ in range(2))
        for g in range(c.kv_heads // 2):
            own = slice(g * d, (g + 1) * d)
            pattern = torch.zeros(d, c.hidden, device=key.device)
            pattern[slow] = see[g * d:g * d + len(slow)] * strength * (d / len(slow)) ** 0.25
            a.k_proj.weight[own] = pattern
            a.v_proj.weight[own] = take[own]
            for h in range(g * share, (g + 1) * share):
                rows = slice(h * d, (h + 1) * d)
                a.q_proj.weight[rows] = pattern @ key.T
                a.o_proj.weight[:, rows] = take[own].T * (copied / share / 2)
