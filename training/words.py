"""The start of the language stage: visual tokens that already speak in words.

The tower's target head tells, linearly, what each patch shows. The resampler's output matrix `proj` starts as that head
followed by the decoder's own word vectors: the token of a patch with a red circle is about red + circle + where it is.
The decoder then need not learn what a token means, only how to look things up: far fewer questions for the same answers.
"""

import torch

from scenes import ALSO, COLOUR_NAMES, NAMES, PLURAL, TEXTS
from tower import PARTS, read

# How long each part of a patch's message is, in a vector whose words are 8 long.
LENGTHS = {"name": 5.0, "colour": 3.0, "text": 4.0, "centre": 3.0, "offset": 1.5, "size": 1.5, "place": 4.0}


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


@torch.no_grad()
def directions(table, prompt):
    """{part: [width, hidden]}: where each output of the head points in the decoder's space."""
    vector = lambda word: unit(table[prompt.word(word)].mean(0))
    nothing, fresh = torch.zeros_like(table[:1]), lambda n: unit(torch.randn(n, table.shape[1]).to(table.device))
    words = lambda names: torch.stack([vector(n) for n in names])
    return {
        "name": torch.cat([nothing, words(NAMES)]),
        "colour": torch.cat([nothing, words(COLOUR_NAMES), nothing]),
        "text": torch.cat([nothing, words(TEXTS)]),
        "centre": fresh(1), "offset": fresh(2), "size": unit(vector("big") - vector("hi"))[None],
        "place": torch.stack([unit(vector("right") - vector("left")), unit(vector("bottom") - vector("top"))]),
    }


@torch.no_grad()
def speak(net, head, prompt, features):
    """Sets word vectors, `proj` and `lm_head` of a fresh network from the tower's `head`; `features` [n, patches, d]: examples."""
    table = net.model.embed_tokens.weight
    relate(table, prompt)
    net.lm_head.weight.copy_(0.06 * table)  # what looks like a word is said as that word
    said, ways = read(head, features), directions(table, prompt)
    there = (said["name"].argmax(-1) > 0) + 1e-6
    proj, rows = torch.zeros_like(net.query_abstractor.proj), head.weight.split(list(PARTS.values()))
    for (part, width), weight in zip(PARTS.items(), rows):
        out = said[part]
        if width > 2:  # classes: only differences count
            weight, out = weight - weight.mean(0), out - out.mean(-1, keepdim=True)
        spoken = ((out @ ways[part]).norm(dim=-1) * there).sum() / there.sum()  # mean length where things are
        proj += weight.T @ ways[part] * (LENGTHS[part] / spoken.clamp(min=1e-3))
    rest = torch.randn_like(proj) * proj.norm() / proj.numel() ** 0.5 * 0.3  # what the head does not name may matter too
    net.query_abstractor.proj.copy_(proj + rest)
