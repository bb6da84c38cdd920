"""tests/golden/pillow/: small files in many formats, their pixels as Pillow reads them, padded, resized, normalised."""

import hashlib
import os
import struct
import zlib

import numpy as np
import torch
from PIL import Image, ImageOps
from safetensors.torch import save_file

from .cases import CLIP_MEAN, CLIP_STD, write_json
from .reference import interpolate, normalise, resize


def sha(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def rng(name):
    return np.random.Generator(np.random.PCG64(sum(name.encode())))


def smooth(name, w, h, channels):
    """u8 [h, w, channels]: smooth ground, a hard edge, a little noise."""
    r = rng(name)
    small = r.integers(0, 256, (4, 4, channels), dtype=np.uint8)
    planes = [Image.fromarray(small[..., c]).resize((w, h), Image.Resampling.BICUBIC) for c in range(channels)]
    x = np.stack([np.asarray(p) for p in planes], -1).astype(int)
    x[h // 3 : h // 2, w // 4 : w // 2] = r.integers(0, 256, channels)
    return (x + r.integers(-3, 4, x.shape)).clip(0, 255).astype(np.uint8)


def formula(w, h):
    """A picture anyone can make: channel c at (x, y) is (x·(3c+2) + y·(2c+5) + ((x·y) >> 4)) & 255."""
    y, x, c = np.ogrid[:h, :w, :3]
    return ((x * (3 * c + 2) + y * (2 * c + 5) + ((x * y) >> 4)) & 255).astype(np.uint8)


# --- PNG kinds that Pillow does not write ---

COLOUR_TYPE = {"L": 0, "RGB": 2, "LA": 4, "RGBA": 6}
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(samples, mode, bits, interlaced=False):
    """samples [h, w, channels] → a PNG of that mode and bit depth."""
    h, w, _ = samples.shape

    def rows(s):
        out = b""
        for row in s:
            flat = row.reshape(-1)
            if bits == 16:
                data = flat.astype(">u2").tobytes()
            elif bits == 8:
                data = flat.astype(np.uint8).tobytes()
            else:
                data = np.packbits(((flat[:, None] >> np.arange(bits)[::-1]) & 1).astype(np.uint8).reshape(-1)).tobytes()
            out += b"\0" + data
        return out

    if interlaced:
        data = b"".join(rows(samples[y::dy, x::dx]) for x, y, dx, dy in ADAM7 if samples[y::dy, x::dx].size)
    else:
        data = rows(samples)
    head = struct.pack(">IIBBBBB", w, h, bits, COLOUR_TYPE[mode], 0, 0, int(interlaced))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b"")


# --- the files ---


def files(folder):
    """Write the sources; yield (file, what it shows)."""

    def path(name):
        return os.path.join(folder, name)

    def save(name, image, **options):
        image.save(path(name), **options)

    def raw(name, data):
        with open(path(name), "wb") as f:
            f.write(data)

    save("rgb.png", Image.fromarray(smooth("rgb", 37, 61, 3)), optimize=True)
    yield "rgb.png", "8-bit RGB, tall, odd padding"

    x = smooth("rgba", 40, 27, 4)
    x[:9, :, 3] = 0
    save("rgba.png", Image.fromarray(x, "RGBA"), optimize=True)
    yield "rgba.png", "alpha is dropped, hidden colours show"

    save("l.png", Image.fromarray(smooth("l", 30, 45, 1)[..., 0]), optimize=True)
    yield "l.png", "8-bit grey"

    save("la.png", Image.fromarray(smooth("la", 33, 20, 2), "LA"), optimize=True)
    yield "la.png", "grey and alpha: grey replicated, alpha dropped"

    p = Image.fromarray(smooth("p", 50, 31, 3)).quantize(40, dither=Image.Dither.NONE)
    save("p.png", p, optimize=True)
    yield "p.png", "palette"

    p = Image.fromarray(smooth("ptrns", 31, 50, 3)).quantize(20, dither=Image.Dither.NONE)
    save("p_transparent.png", p, optimize=True, transparency=bytes([0, 128, 255, 7]))
    yield "p_transparent.png", "palette with per-entry alpha: alpha ignored"

    p = Image.fromarray(smooth("p2", 21, 18, 3)).quantize(4, dither=Image.Dither.NONE)
    save("p_2bit.png", p, bits=2)
    yield "p_2bit.png", "palette, two bits a pixel, width not a whole byte"

    x = smooth("key", 24, 24, 3)
    x[5:9, 7:20] = (224, 32, 64)
    save("rgb_key.png", Image.fromarray(x), optimize=True, transparency=(224, 32, 64))
    yield "rgb_key.png", "RGB with a transparent colour: ignored; square, so no padding"

    one = Image.fromarray(smooth("one", 29, 38, 1)[..., 0]).convert("1")
    save("one.png", one, optimize=True)
    yield "one.png", "one bit: 0 and 255"

    raw("l_4bit.png", png(smooth("l4", 19, 26, 1) >> 4, "L", 4))
    yield "l_4bit.png", "four-bit grey: times 17"

    r = rng("16")
    wide = (smooth("g16", 34, 23, 1).astype(int) * 5) + r.integers(0, 3, (23, 34, 1))
    wide[0, :6, 0] = [0, 255, 256, 257, 40000, 65535]
    raw("grey16.png", png(wide, "L", 16))
    yield "grey16.png", "16-bit grey: clipped at 255, not scaled"

    deep = smooth("rgb16", 26, 35, 3).astype(int) * 257 + r.integers(-120, 120, (35, 26, 3))
    deep = deep.clip(0, 65535)
    deep[0, 0], deep[0, 1] = [383, 384, 65535], [255, 256, 257]
    raw("rgb16.png", png(deep, "RGB", 16))
    yield "rgb16.png", "16-bit RGB: the high byte"

    raw("rgba16.png", png(np.concatenate([deep, deep[..., :1] // 2], -1), "RGBA", 16))
    yield "rgba16.png", "16-bit RGBA: the high byte, alpha dropped"

    raw("la16.png", png(np.concatenate([deep[..., :1], deep[..., 1:2] // 2], -1), "LA", 16))
    yield "la16.png", "16-bit grey and alpha: the high byte (unlike 16-bit grey)"

    raw("interlaced.png", png(smooth("adam7", 35, 22, 3).astype(int), "RGB", 8, interlaced=True))
    yield "interlaced.png", "Adam7"

    exif = Image.Exif()
    exif[0x0112] = 5
    save("exif5.png", Image.fromarray(smooth("exif5", 22, 15, 3)), exif=exif.tobytes(), optimize=True)
    yield "exif5.png", "EXIF orientation 5 in a PNG: not applied by the reference"

    save("1x1.png", Image.new("RGB", (1, 1), (200, 30, 90)))
    yield "1x1.png", "a single pixel"

    save("300x7.png", Image.fromarray(smooth("300x7", 300, 7, 3)), optimize=True)
    yield "300x7.png", "extreme aspect, wide"

    save("5x200.png", Image.fromarray(smooth("5x200", 5, 200, 3)), optimize=True)
    yield "5x200.png", "extreme aspect, tall"

    save("48x48.png", Image.fromarray(smooth("48", 48, 48, 3)), optimize=True)
    yield "48x48.png", "already the size: no resampling"

    save("48x30.png", Image.fromarray(smooth("48x30", 48, 30, 3)), optimize=True)
    yield "48x30.png", "padding only"

    save("rgb.bmp", Image.fromarray(smooth("bmp", 23, 17, 3)))
    yield "rgb.bmp", "BMP, rows padded to four bytes"

    save("lossless.webp", Image.fromarray(smooth("webp", 44, 30, 4), "RGBA"), lossless=True, exact=True)
    yield "lossless.webp", "WebP, lossless, with alpha"

    save("lossy.webp", Image.fromarray(smooth("webp2", 44, 30, 3)), quality=90)
    yield "lossy.webp", "WebP, lossy"

    frames = [Image.fromarray(smooth(f"gif{i}", 32, 20, 3)).quantize(16, dither=Image.Dither.NONE) for i in range(3)]
    save("animated.gif", frames[0], save_all=True, append_images=frames[1:], duration=50, loop=0, transparency=3, disposal=2)
    yield "animated.gif", "first frame; the transparent index shows its colour"

    photo = Image.fromarray(smooth("jpg", 90, 70, 3))
    save("rgb.jpg", photo, quality=92)
    yield "rgb.jpg", "JPEG 4:2:0"
    save("progressive.jpg", photo.crop((0, 0, 51, 33)), quality=90, progressive=True, subsampling=0)
    yield "progressive.jpg", "JPEG, progressive, 4:4:4"
    save("l.jpg", photo.convert("L").crop((0, 0, 33, 41)), quality=90)
    yield "l.jpg", "JPEG, grey"
    save("cmyk.jpg", Image.fromarray(smooth("cmyk", 36, 52, 4), "CMYK"), quality=95)
    yield "cmyk.jpg", "JPEG, Adobe CMYK: inverted samples, then the naive formula"
    for orientation in (3, 6):
        exif = Image.Exif()
        exif[0x0112] = orientation
        save(f"exif{orientation}.jpg", photo.crop((10, 5, 60, 38)), quality=92, subsampling=0, exif=exif.tobytes())
        yield f"exif{orientation}.jpg", f"EXIF orientation {orientation}: not applied by the reference"


def write(root):
    folder = os.path.join(root, "pillow")
    os.makedirs(os.path.join(folder, "expected"))
    index = []
    for file, shows in list(files(folder)):
        stem = file.replace(".", "_")
        opened = Image.open(os.path.join(folder, file))
        mode, orientation = opened.mode, opened.getexif().get(0x0112, 1)
        image = opened.convert("RGB")
        image = Image.fromarray(np.asarray(image))  # pixels only: no palette, no transparency, no EXIF
        image.save(os.path.join(folder, "expected", stem + ".png"), optimize=True)
        entry = {
            "file": file, "shows": shows, "mode": mode, "size": list(image.size),
            "exif_orientation": orientation, "oriented_size": list(ImageOps.exif_transpose(opened).size),
            "decoded": f"expected/{stem}.png", "decoded_sha256": sha(np.asarray(image)), "resized": [],
        }  # fmt: skip
        for size, aspect in ((48, "pad"), (336, "pad"), (48, None), (336, None)):
            pixels = resize(image, size, CLIP_MEAN, aspect)
            row = {"size": size, "aspect": aspect, "sha256": sha(pixels)}
            if size == 48 and (aspect or file in ("rgb.png", "300x7.png", "5x200.png", "1x1.png", "48x30.png")):
                row["pixels"] = f"expected/{stem}_48_{aspect or 'crop'}.png"
                Image.fromarray(pixels).save(os.path.join(folder, row["pixels"]), optimize=True)
            entry["resized"].append(row)
        index.append(entry)

    made = []
    for w, h in ((640, 480), (97, 64), (64, 97), (333, 2000), (3001, 2), (2, 3001), (337, 336), (20000, 10)):
        image = Image.fromarray(formula(w, h))
        resized = [
            {"size": size, "aspect": aspect, "sha256": sha(resize(image, size, CLIP_MEAN, aspect))}
            for aspect in ("pad", None)
            for size in (7, 48, 224, 336)
            # what is cut away is resized first, and Pillow needs the whole of it in memory
            if aspect or size * max(w, h) / min(w, h) < 100_000
        ]
        made.append({"size": [w, h], "sha256": sha(np.asarray(image)), "resized": resized})

    write_json(os.path.join(folder, "index.json"), {"pad_colour": [122, 116, 104], "files": index, "formula": made})

    steps = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, -1)
    table = {
        "clip": normalise(steps, CLIP_MEAN, CLIP_STD)[:, 0],
        "half": normalise(steps, [0.5] * 3, [0.5, 0.25, 0.5])[:, 0],
    }
    save_file({n: torch.from_numpy(t.copy()) for n, t in table.items()}, os.path.join(folder, "normalised.safetensors"))


def write_bicubic(root):
    """pos_embed on a g × g grid → the picture's grid, as torch interpolates it."""
    tensors, r = {}, rng("bicubic")
    for g, o in ((16, 24), (3, 6), (7, 9), (8, 6), (7, 5), (5, 5), (1, 2), (2, 7)):
        pos = torch.from_numpy(r.standard_normal((g * g, 3), dtype=np.float32))
        tensors[f"{g}_to_{o}.input"] = pos
        tensors[f"{g}_to_{o}.output"] = interpolate(pos, o)
    save_file(tensors, os.path.join(root, "bicubic.safetensors"))
