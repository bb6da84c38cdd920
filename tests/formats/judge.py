"""Mean KL divergence and equal likeliest tokens of a rounded decoder, beside the decoder in floats."""
from pathlib import Path

import numpy as np

TEXTS = Path(__file__).parent / "texts"
KINDS = ["prose", "talk", "technical"]
# Before this position a text has told too little for the comparison to mean much.
FIRST = 40


def log_softmax(x):
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True, dtype=np.float64)).astype(np.float32)


class Judge:
    """Keeps the decoder's own predictions for a passage ("tuned" or "held")."""

    def __init__(self, decoder, passage):
        self.decoder = decoder
        self.ids = [decoder.tokenizer.encode((TEXTS / f"{passage}-{kind}.txt").read_text()) for kind in KINDS]
        self.want = [log_softmax(decoder.logits(ids)[FIRST:]) for ids in self.ids]

    def positions(self):
        return sum(len(want) for want in self.want)

    def compare(self, weights):
        """(mean KL of each kind of text, mean KL of all positions, share of equal likeliest tokens)."""
        kl, same = [], []
        for ids, want in zip(self.ids, self.want):
            got = log_softmax(self.decoder.logits(ids, weights)[FIRST:])
            kl.append((np.exp(want) * (want - got)).sum(axis=-1, dtype=np.float64))
            same.append(want.argmax(-1) == got.argmax(-1))
        return [k.mean() for k in kl], np.concatenate(kl).mean(), np.concatenate(same).mean()
