"""Generates pictures of every format, reads each with `mqt` (`examples/pixels.rs`) and with Pillow, and compares.

Started by `cargo xtask pictures`. Ends with 1 if anything is wrong.
"""

import argparse
import io
import pathlib
import subprocess
import sys
import warnings
from collections import Counter

import numpy as np
from PIL import Image, ImageOps

import bmp
import fixed
import gif
import jpeg
import other
import png
import webp

FORMATS = {"jpeg": jpeg, "png": png, "gif": gif, "webp": webp, "bmp": bmp, "other": other}
BY_EXIF = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}  # fmt: skip


class Reader:
    """The program, fed with paths."""

    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def read(self, path):
        """For people and for the reference: pixels, or the sentence that refuses the file."""
        self.process.stdin.write(f"{path}\n".encode())
        self.process.stdin.flush()
        return [self.one(path), self.one(path)]

    def one(self, path):
        line = self.process.stdout.readline().decode()
        if not line:
            sys.exit(f"the program ended at {path}")
        if line.startswith("!"):
            return line[2:].strip()
        width, height = map(int, line.split())
        data = self.process.stdout.read(width * height * 3)
        return np.frombuffer(data, np.uint8).reshape(height, width, 3)


def over_white(rgba):
    rgb, alpha = rgba[..., :3].astype(int), rgba[..., 3:].astype(int)
    return ((rgb * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def people(case, image, frame):
    """What people see of the file that Pillow opened, whose first frame covers `frame`."""
    if case.people is not None:
        rgba = case.people
    else:
        alpha = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
        rgba = np.asarray(image.convert("RGBA" if alpha else "RGB"))
        if alpha and image.format == "BMP" and not rgba[..., 3].any():
            # Unused bytes, not a picture that cannot be seen.
            rgba = rgba[..., :3]
    seen = over_white(rgba) if rgba.shape[-1] == 4 else rgba
    if case.people is None and image.format == "GIF":
        left, top, right, bottom = frame
        outside = np.ones(seen.shape[:2], bool)
        outside[top:bottom, left:right] = False
        seen = np.where(outside[..., None], 255, seen).astype(np.uint8)
    turn = case.turn if case.turn is not None else image.getexif().get(0x0112, 1)
    flat = Image.fromarray(seen)
    return np.asarray(flat.transpose(BY_EXIF[turn]) if turn in BY_EXIF else flat)


def expected(case):
    """The same two readings by Pillow, or why there are none."""
    try:
        image = Image.open(io.BytesIO(case.data))
        frame = image.tile[0].extents if image.tile else None
        reference = np.asarray(image.convert("RGB"))
        return [people(case, image, frame), reference]
    except Exception as error:
        if case.people is not None:
            rgba = case.people
            return [over_white(rgba) if rgba.shape[-1] == 4 else rgba, rgba[..., :3]]
        return [repr(error)] * 2


def judge(case, ours, wanted):
    """equal, within, refused, only here, or a sentence that begins with `wrong`; and the largest difference."""
    if isinstance(ours, str):
        if case.refused:
            return ("refused", 0) if case.refused in ours else (f"wrong: refused without the word {case.refused!r}: {ours}", 0)
        return ("refused", 0) if isinstance(wanted, str) else (f"wrong: refused: {ours}", 0)
    if case.refused:
        return f"wrong: should be refused as {case.refused}", 0
    if isinstance(wanted, str):
        return "only here", 0
    if ours.shape != wanted.shape:
        return f"wrong: {ours.shape[1]}x{ours.shape[0]} instead of {wanted.shape[1]}x{wanted.shape[0]}", 0
    most = int(np.abs(ours.astype(int) - wanted).max())
    if most == 0:
        return "equal", 0
    return ("within", most) if most <= case.bound else (f"wrong: differs by {most}", most)


def main():
    warnings.simplefilter("ignore")
    options = argparse.ArgumentParser()
    options.add_argument("--reader", required=True, type=pathlib.Path)
    options.add_argument("--files", required=True, type=pathlib.Path)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--per-format", type=int, default=500)
    options.add_argument("--format", choices=FORMATS)
    options.add_argument("--write-fixed", action="store_true", help="write tests/golden/field again, and end")
    options.add_argument("--refusals", action="store_true", help="list the sentences that refuse files")
    options = options.parse_args()
    if options.write_fixed:
        fixed.write(expected)
        return
    reader = Reader(options.reader)
    order = ["equal", "within", "refused", "only here", "wrong"]
    total, table = Counter(), []
    for number, (name, module) in enumerate(FORMATS.items()):
        if options.format not in (None, name):
            continue
        folder = options.files / name
        folder.mkdir(parents=True, exist_ok=True)
        counts, worst, sentences = Counter(), 0, Counter()
        for i in range(options.per_format):
            case = module.make(np.random.default_rng([options.seed, number, i]))
            path = folder / f"{options.seed}-{i:04}.{name}"
            path.write_bytes(case.data)
            judged = [judge(case, ours, wanted) for ours, wanted in zip(reader.read(path), expected(case))]
            for reading, (verdict, _) in zip(("people", "reference"), judged):
                if verdict.startswith("wrong"):
                    print(f"{path.name}, {reading}: {verdict}\n    {case.shows}")
                elif verdict in ("refused", "only here"):
                    sentences[verdict, case.refused or case.shows if options.refusals else case.refused] += 1
            worst = max(worst, *(most for _, most in judged))
            verdict = max((verdict.split(":")[0] for verdict, _ in judged), key=order.index)
            counts[verdict] += 1
        if options.refusals:
            for (verdict, what), n in sentences.most_common():
                print(f"{name}: {verdict} {n} {what}")
        total += counts
        table.append([name, str(counts.total()), *(str(counts[verdict]) for verdict in order), str(worst)])
    heads = ["format", "files", "equal", "within bound", "refused by name", "only read here", "wrong", "most levels"]
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for row in table:
        print("| " + " | ".join(row) + " |")
    sys.exit(1 if total["wrong"] else 0)


if __name__ == "__main__":
    main()
