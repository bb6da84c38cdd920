"""What the generators of all formats share."""

import struct
from dataclasses import dataclass

import numpy as np
from PIL import Image


@dataclass
class Case:
    """One generated file, and what is right where Pillow alone does not say it."""

    data: bytes
    shows: str
    refused: str = ""  # a word of the sentence that must refuse it, whatever Pillow does
    bound: int = 0  # levels by which a channel may differ
    people: np.ndarray | None = None  # RGB or RGBA before turning, where Pillow's own RGBA is not what people see
    turn: int | None = None  # EXIF's number, where Pillow does not find it


def chance(rng, p):
    return rng.random() < p


def pick(rng, options):
    return options[int(rng.integers(len(options)))]


def smooth(rng, width, height, channels):
    """u8 [height, width, channels]: smooth ground, a hard edge, a little noise."""
    small = rng.integers(0, 256, (4, 4, channels), dtype=np.uint8)
    planes = [Image.fromarray(small[..., c]).resize((width, height), Image.Resampling.BICUBIC) for c in range(channels)]
    x = np.stack([np.asarray(p) for p in planes], -1).astype(int)
    x[height // 3 : height // 2, width // 4 : width // 2] = rng.integers(0, 256, channels)
    return (x + rng.integers(-3, 4, x.shape)).clip(0, 255).astype(np.uint8)


PRIMES = [1, 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67]


def side(rng):
    """1 to 70, often a prime."""
    return pick(rng, PRIMES) if chance(rng, 0.4) else int(rng.integers(1, 71))


def exif_block(rng, turn):
    """A TIFF block that says the orientation, in either byte order, with other tags and odd offsets."""
    order = pick(rng, "><")
    offset = 8 + pick(rng, [0, 0, 0, 1, 2, 7])
    entries = [(0x0112, pick(rng, [3, 3, 3, 4]), turn)]
    if chance(rng, 0.5):
        entries += [(0x0100, 4, 77), (0x011A, 5, None), (0x0131, 2, None)]
    entries.sort()
    head = (b"MM\0*" if order == ">" else b"II*\0") + struct.pack(order + "I", offset)
    after = offset + 2 + 12 * len(entries) + 4
    body = struct.pack(order + "H", len(entries))
    for tag, kind, value in entries:
        if value is None:
            field = struct.pack(order + "I", after)
        else:
            field = struct.pack(order + {3: "H2x", 4: "I"}[kind], value)
        body += struct.pack(order + "HHI", tag, kind, 1 if kind != 2 else 8) + field
    return head.ljust(offset, b"\0") + body + struct.pack(order + "I", 0) + struct.pack(order + "II", 72, 1)


def xmp_block(rng, turn):
    """An XMP packet that says the orientation, as an attribute or as an element."""
    if chance(rng, 0.5):
        inner = f'<rdf:Description tiff:Orientation="{turn}"/>'
    else:
        inner = f"<rdf:Description><tiff:Orientation>{turn}</tiff:Orientation></rdf:Description>"
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF>{inner}</rdf:RDF></x:xmpmeta>'.encode()
