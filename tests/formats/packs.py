"""Rounding by the program's own code: `cargo run --release --example round`."""
import json
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from calibrate import GROUP

ROOT = Path(__file__).parents[2]
# A program that is built already, instead.
PROGRAM = os.environ.get("MQT_ROUND")


def save(path, tensors):
    """A safetensors file of f32 tensors."""
    tensors = {name: np.ascontiguousarray(values, np.float32) for name, values in tensors.items()}
    header, at = {}, 0
    for name, values in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [at, at + values.nbytes]}
        at += values.nbytes
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for values in tensors.values():
            file.write(values.tobytes())


def load(path):
    """The tensors of such a file."""
    data = Path(path).read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    out = {}
    for name, entry in json.loads(data[8:start]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            out[name] = np.frombuffer(data[start + begin : start + end], np.float32).reshape(entry["shape"])
    return out


def through(name, weights, importance=None):
    """Matrices by (layer, role), rounded to a format of that name."""
    with tempfile.TemporaryDirectory() as folder:
        given, rounded = Path(folder) / "in", Path(folder) / "out"
        tensors = {f"{i}.{role}": matrix for (i, role), matrix in weights.items()}
        if importance:
            tensors |= {f"{i}.{role}.importance": importance[i, GROUP[role]] for i, role in weights}
        save(given, tensors)
        program = [PROGRAM] if PROGRAM else ["cargo", "run", "--quiet", "--release", "--example", "round", "--"]
        subprocess.run([*program, name, given, rounded], check=True, cwd=ROOT)
        return {tuple([int(key.split(".")[0]), key.split(".")[1]]): values for key, values in load(rounded).items()}
