"""Prints the table of weight formats: bits per weight of the decoder's layers, mean KL, equal likeliest tokens. See README.md."""
import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import calibrate
import llama
import packs
from calibrate import GROUP, by_size, compensated, in_order, scaled
from decoder import Decoder
from judge import Judge
from ours import EVEN, IQ4, Q4, Q5, Q8, Levels, ScaleAndZero, byte_float, half, rounded, uneven


class Stand:
    """The decoder, and importances of its matrices' columns, each made when first asked for."""

    def __init__(self, folder):
        self.decoder = Decoder(folder)
        self.layers = self.decoder.layers
        self.kept = {}

    def keep(self, name, make):
        if name not in self.kept:
            self.kept[name] = make()
        return self.kept[name]

    def moments(self, tokens=None, random=False):
        """Mean x xᵀ of the inputs, over the calibration text, its first `tokens`, or as many random ones."""
        def make():
            windows = calibrate.texts(self.decoder)
            if random:
                windows = [np.random.default_rng(1).integers(20, len(self.decoder.embedding), tokens)]
            elif tokens:
                windows = [window for window in windows[: -(-tokens // 256)]]
                windows[-1] = windows[-1][: tokens - 256 * (len(windows) - 1)]
            return calibrate.second_moments(self.decoder, windows)
        return self.keep((tokens, random), make)

    def measured(self, *args, **options):
        return {key: np.diag(moment) for key, moment in self.moments(*args, **options).items()}

    def guessed(self):
        return self.keep("weights", lambda: calibrate.from_weights(self.decoder))


def every(fmt, importance=None):
    """All matrices in one format. `importance` is asked of the stand."""
    return mixed(lambda layer, role, layers: fmt, importance)


def mixed(choose, importance=None, how=rounded):
    def row(stand):
        known = importance(stand) if importance else None
        for (i, role), matrix in stand.decoder.weights.items():
            fmt = choose(i, role, stand.layers)
            yield (i, role), how(fmt, matrix, *([known[i, GROUP[role]]] if known else [])), fmt.bits * matrix.size
    return row


def file_of(name):
    """A file of llama.cpp's."""
    def row(stand):
        for (i, role), matrix in stand.decoder.weights.items():
            yield (i, role), *llama.through(matrix, llama.mixture(name, i, role, stand.layers))
    return row


def packed(importance, last, rest):
    """By the program's own code: the last layer in one format, the others in another."""
    def row(stand):
        known = importance(stand)
        for name, layers in [(rest, range(stand.layers - 1)), (last, [stand.layers - 1])]:
            weights = {key: matrix for key, matrix in stand.decoder.weights.items() if key[0] in layers}
            for key, values in packs.through(name, weights, known).items():
                yield key, values, BITS[name] * values.size
    return row


def in_turn(fmt, tokens=None):
    """Layer by layer, each calibrated on what the rounded layers before it give."""
    def row(stand):
        decoder, done = stand.decoder, {}
        hidden = [decoder.embedding[ids] for ids in calibrate.texts(decoder)]
        for i in range(stand.layers):
            sums = {}

            def watch(_, group, x):
                sums[group] = sums.get(group, 0) + x.T @ x

            for h in hidden:
                decoder.layer(i, h, None, watch)
            for role in GROUP:
                done[i, role] = compensated(fmt, decoder.weights[i, role], sums[GROUP[role]])
                yield (i, role), done[i, role], fmt.bits * done[i, role].size
            hidden = [decoder.layer(i, h, done) for h in hidden]
    return row


measured, guessed = Stand.measured, Stand.guessed
within = lambda window: lambda fmt, matrix, moment: compensated(fmt, matrix, moment, window=window)
tail = lambda last, v=False: lambda i, role, n: Q5 if i >= n - last or v and role == "v" else Q4
small = dict(scale=byte_float, scale_bits=8, signed=False)

BITS = {"q4": Q4.bits, "q5": Q5.bits, "q8": Q8.bits}
brief = lambda s: s.measured(256)

ROWS = {
    "the program's own code": {
        "q4, guessed": packed(guessed, "q5", "q4"),
        "q4, measured on 256 tokens": packed(brief, "q5", "q4"),
        "q5, guessed": packed(guessed, "q5", "q5"),
        "q5, measured on 256 tokens": packed(brief, "q5", "q5"),
        "q8, guessed": packed(guessed, "q8", "q8"),
        "q8, measured on 256 tokens": packed(brief, "q8", "q8"),
    },
    "llama.cpp": {name: file_of(name) for name in llama.NAMES},
    "4 bits, nothing known of the inputs: each lever alone": {
        "before: even levels, block 64": every(Levels(EVEN, 64)),
        "block 32": every(Levels(EVEN, 32)),
        "uneven levels c + 0.4 c³, block 64": every(Levels(uneven(0.4), 64, signed=False)),
        "uneven levels c + 0.4 c³, block 32": every(Levels(uneven(0.4), 32, signed=False)),
        "uneven levels c + 0.8 c³, block 32": every(Levels(uneven(0.8), 32, signed=False)),
        "IQ4_NL's levels, block 32": every(Levels(IQ4, 32)),
        "uneven levels c + 0.8 c³, block 16, scale in a byte": every(Levels(uneven(0.8), 16, **small)),
        "scale and zero in bytes, block 64": every(ScaleAndZero(4, 64)),
        "scale and least value in halves, block 64": every(ScaleAndZero(4, 64, "halves")),
        "scale and zero in bytes, block 32": every(Q4),
        "scale and zero in bytes, block 16": every(ScaleAndZero(4, 16)),
    },
    "4 bits, importance guessed from the weights": {
        "before: even levels, block 64": every(Levels(EVEN, 64), guessed),
        "uneven levels c + 0.8 c³, block 16, scale in a byte": every(Levels(uneven(0.8), 16, **small), guessed),
        "scale and zero in bytes, block 64": every(ScaleAndZero(4, 64), guessed),
        "scale and zero in bytes, block 32": every(Q4, guessed),
        "... and the last layer q5": mixed(tail(1), guessed),
        "... and the last layer and v q5": mixed(tail(1, v=True), guessed),
    },
    "4 bits, importance measured on the calibration text": {
        "before: even levels, block 64": every(Levels(EVEN, 64), measured),
        "even levels, block 32": every(Levels(EVEN, 32), measured),
        "IQ4_NL's levels, block 32": every(Levels(IQ4, 32), measured),
        "uneven levels c + 0.8 c³, block 16, scale in a byte": every(Levels(uneven(0.8), 16, **small), measured),
        "scale and zero in bytes, block 64": every(ScaleAndZero(4, 64), measured),
        "scale and zero in bytes, block 16": every(ScaleAndZero(4, 16), measured),
        "scale and zero in bytes, block 32": every(Q4, measured),
        "... 64 tokens": every(Q4, lambda s: s.measured(64)),
        "... 256 tokens": every(Q4, lambda s: s.measured(256)),
        "... 64 random tokens": every(Q4, lambda s: s.measured(64, random=True)),
        "... AWQ, α = 0.25": mixed(lambda *_: Q4, measured, lambda f, m, a: scaled(f, m, a, 0.25)),
        "... AWQ, α = 0.5": mixed(lambda *_: Q4, measured, lambda f, m, a: scaled(f, m, a, 0.5)),
        "... errors weighted by the value's size too": mixed(lambda *_: Q4, measured, by_size),
        "... columns sorted by importance": mixed(lambda *_: Q4, measured, in_order),
        "... columns dealt out by importance": mixed(lambda *_: Q4, measured, lambda f, m, a: in_order(f, m, a, deal=True)),
        "... the last layer and v q5": mixed(tail(1, v=True), measured),
        "... the last two layers and v q5": mixed(tail(2, v=True), measured),
    },
    "4 bits, importance measured, one part q5": {
        **{f"all of {part}": mixed(lambda i, role, n, part=part: Q5 if role == part else Q4, measured) for part in GROUP},
        "the first layer": mixed(lambda i, role, n: Q5 if i == 0 else Q4, measured),
        "the middle layer": mixed(lambda i, role, n: Q5 if i == n // 2 else Q4, measured),
        "the last layer": mixed(tail(1), measured),
        "the last two layers": mixed(tail(2), measured),
        "the last three layers": mixed(tail(3), measured),
    },
    "4 bits, errors made up for (GPTQ)": {
        "before: even levels, block 64": mixed(lambda *_: Levels(EVEN, 64), Stand.moments, within(None)),
        "q4, within 32 columns": mixed(lambda *_: Q4, Stand.moments, within(32)),
        "q4, within 64 columns": mixed(lambda *_: Q4, Stand.moments, within(64)),
        "q4, within 64 columns, 256 tokens": mixed(lambda *_: Q4, lambda s: s.moments(256), within(64)),
        "q4, within 192 columns": mixed(lambda *_: Q4, Stand.moments, within(192)),
        "q4, whole rows": mixed(lambda *_: Q4, Stand.moments, within(None)),
        "q4, whole rows, layers in turn": in_turn(Q4),
        "q4, within 64 columns, the last layer q5": mixed(tail(1), Stand.moments, within(64)),
        "q4, whole rows, the last layer q5": mixed(tail(1), Stand.moments, within(None)),
        "q4, within 64 columns, the last layer and v q5": mixed(tail(1, v=True), Stand.moments, within(64)),
    },
    "5 bits": {
        "scale and zero in bytes, block 32": every(Q5),
        "... importance guessed from the weights": every(Q5, guessed),
        "... importance measured": every(Q5, measured),
        "... importance measured, 256 tokens": every(Q5, lambda s: s.measured(256)),
        "... importance measured, v q8": mixed(lambda i, role, n: Q8 if role == "v" else Q5, measured),
        "... errors made up for within 64 columns": mixed(lambda *_: Q5, Stand.moments, within(64)),
        "... errors made up for, whole rows": mixed(lambda *_: Q5, Stand.moments, within(None)),
        "block 64, importance measured": every(ScaleAndZero(5, 64), measured),
    },
    "8 bits": {
        "before: even levels, block 64": every(Q8),
        "block 32": every(Levels(Q8.levels, 32, tries=Q8.tries, code_bits=8)),
        "block 64, importance guessed from the weights": every(Q8, guessed),
        "block 64, importance measured": every(Q8, measured),
        "block 32, importance measured": every(Levels(Q8.levels, 32, tries=Q8.tries, code_bits=8), measured),
        "scale and zero in bytes, block 32, importance measured": every(ScaleAndZero(8), measured),
        "scale and least value in halves, block 64": every(ScaleAndZero(8, 64, "halves")),
        "scale and least value in halves, block 64, importance measured": every(ScaleAndZero(8, 64, "halves"), measured),
    },
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "mqt-formats", help="where the decoder is kept")
    parser.add_argument("--passages", default="tuned,held", help="which texts, by the beginning of their names")
    parser.add_argument("--only", default="", help="rows whose section or name contains this; several: a|b")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    stand = Stand(args.folder)
    judges = [Judge(stand.decoder, passage) for passage in args.passages.split(",")]
    heads = [f"KL, {p} ({j.positions()}) | top-1" for p, j in zip(args.passages.split(","), judges)]
    for section, rows in ROWS.items():
        chosen = {name: row for name, row in rows.items() if any(part in section or part in name for part in args.only.split("|"))}
        if not chosen:
            continue
        print(f"\n{section}\n\n| format | bits | weights off by | {' | '.join(heads)} |\n|{'---|' * (3 + 2 * len(heads))}")
        for name, row in chosen.items():
            start = time.time()
            weights, bits, error, size = {}, 0, 0.0, 0.0
            for key, values, b in row(stand):
                own = stand.decoder.weights[key]
                weights[key], bits = values, bits + b
                error, size = error + float(np.square(values - own).sum()), size + float(np.square(own).sum())
            cells = []
            for judge in judges:
                _, kl, same = judge.compare(weights)
                cells += [f"{kl:.4f}" if kl > 0.01 else f"{kl:.5f}", f"{100 * same:.1f} %"]
            off = f"{100 * (error / size) ** 0.5:.2f} %"
            print(f"| {name} | {bits / stand.decoder.parameters():.3f} | {off} | {' | '.join(cells)} |", flush=True)
            print(f"{time.time() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
