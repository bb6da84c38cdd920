"""Writes `tests/golden/field`: a few small files of every kind that has troubled a decoder, and what Pillow reads in them.

Started by `cargo xtask pictures --write-fixed`. `reported/` holds files of others, which are only read here.
"""

import hashlib
import itertools
import json
import pathlib

import numpy as np

import bmp
import gif
import jpeg
import jpeg_encoder
import png
import webp
from common import Case

ROOT = pathlib.Path(__file__).parents[2] / "tests/golden/field"
# How many of each format beside those that are chosen below.
EACH = {"png": 12, "gif": 10, "webp": 12, "bmp": 14}


def scans(seed, sampling, scripts, restart=0, sof=0xC0, header=jpeg.JFIF, ids=b"\1\2\3\4", size=(45, 31)):
    """The same picture with its components shared among scans in several ways."""
    width, height = size
    factors = jpeg.SAMPLINGS[sampling] if len(ids) == 3 else jpeg.FOUR[sampling]
    most = (max(f[0] for f in factors), max(f[1] for f in factors))
    for script in scripts:
        rng = np.random.default_rng(seed)
        quant = [[1 + k // 4 for k in range(64)]]
        parts = [jpeg_encoder.component(rng, width, height, f, most, quant[0], 0, i) for f, i in zip(factors, ids)]
        frame = jpeg_encoder.Frame(width, height, parts, quant, sof, header=header)
        if sof == 0xC2:
            way = [jpeg_encoder.Scan(tuple(p), 0, 0, 0, 1) for p in script]
            way += [jpeg_encoder.Scan((i,), 1, 63, 0, 1) for i in range(len(ids))]
            way += [jpeg_encoder.Scan((i,), 1, 63, 1, 0) for i in range(len(ids))] + [jpeg_encoder.Scan(tuple(p), 0, 0, 1, 0) for p in script]
        else:
            way = [jpeg_encoder.Scan(tuple(p), restart=restart) for p in script]
        yield "-".join("".join(map(str, p)) for p in script), jpeg_encoder.write(frame, way)


def jpegs():
    three = [[(0, 1, 2)], [(0,), (1,), (2,)], [(0,), (1, 2)], [(0, 1), (2,)], [(2,), (0, 1)]]
    for n, sampling in enumerate(["444", "420", "422", "440", "411", "unequal", "fine blue"]):
        ids = b"\1\2\3"
        for way, data in scans(n, sampling, three, restart=[0, 3, 0, 5, 0, 2, 0][n], ids=ids):
            yield f"scans_{sampling.replace(' ', '_')}_{way}.jpg", f"scans {sampling}", data
        for way, data in scans(n, sampling, three[1:2], sof=0xC2, ids=ids):
            yield f"progressive_{sampling.replace(' ', '_')}_{way}.jpg", "", data
    heads = {"none": b"", "jfif": jpeg.JFIF, "adobe0": jpeg.adobe(0), "adobe1": jpeg.adobe(1), "adobe2": jpeg.adobe(2), "jfif_adobe0": jpeg.JFIF + jpeg.adobe(0)}
    for head, segments in heads.items():
        for ids in (b"RGB", b"\1\2\3", b"RGBA", b"\1\2\3\4"):
            sof = 0xC2 if ids[0] == 1 else 0xC0
            n = len(ids)
            every = [tuple(range(n))]
            sampling = "444" if n == 3 else "1111"
            for _, data in scans(7, sampling, [every], header=segments, ids=ids, sof=sof, size=(13, 9)):
                yield f"markers_{head}_{'letters' if ids[0] == 82 else 'numbers'}_{n}.jpg", "", data


def cases(expected):
    """(name, a word that files with the same picture share, case)."""
    for name, same, data in jpegs():
        yield name, same, Case(data, name)
    for name, module in (("png", png), ("gif", gif), ("webp", webp), ("bmp", bmp)):
        made = (module.make(np.random.default_rng([2026, i])) for i in itertools.count())
        small = (case for case in made if len(case.data) < 2500 and not isinstance(expected(case)[1], str))
        for i, case in enumerate(itertools.islice(small, EACH[name])):
            yield f"{i:02}.{name}", "", case
    for path in sorted((ROOT / "reported").iterdir()):
        yield f"reported/{path.name}", "", Case(path.read_bytes(), path.name)


def write(expected):
    """`expected` gives a case's two readings by Pillow."""
    index = []
    for name, same, case in cases(expected):
        people, reference = expected(case)
        (ROOT / name).write_bytes(case.data)
        sha = lambda pixels: hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()
        size = lambda pixels: [pixels.shape[1], pixels.shape[0]]
        entry = {"file": name, "shows": case.shows, "people": {"size": size(people), "sha256": sha(people)}}
        entry["reference"] = {"size": size(reference), "sha256": sha(reference)}
        if same:
            entry["same"] = same
        index.append(entry)
    (ROOT / "index.json").write_text(json.dumps(index, indent=1) + "\n")
