"""Formats that are not read: each is to be refused by its name."""

import io

from PIL import Image

from common import Case, pick, side, smooth

NAMES = {"TIFF": "TIFF", "JPEG2000": "JPEG 2000", "ICO": "icon", "AVIF": "AVIF", "TGA": "", "PPM": "", "PCX": "", "DDS": "", "SGI": "", "PDF": "PDF"}


def make(rng):
    kind = pick(rng, [name for name in NAMES if name in Image.SAVE or Image.init() and name in Image.SAVE])
    image = Image.fromarray(smooth(rng, side(rng), side(rng), 3))
    out = io.BytesIO()
    image.save(out, kind)
    return Case(out.getvalue(), kind, refused=NAMES[kind] or "can be read")
