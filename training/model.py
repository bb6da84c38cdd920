"""The MQT-LLaVA architecture in PyTorch, at any size: vision tower, query resampler, LLaMA decoder.

Module names give exactly the tensor names of the published checkpoints (`export.py` only adds prefixes).
This file is also the reference for the toybox: `MqtLlava.forward` is the plain network, one picture and
one prompt at a time. Training uses `packed.py`, which runs the same weights over many questions at once.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class Config:
    # vision tower (CLIP)
    image_size: int = 112
    patch_size: int = 14
    vision_hidden: int = 192
    vision_mlp: int = 768
    vision_layers: int = 8  # the last one is in the file but never runs: features come from the one before
    vision_heads: int = 3
    # resampler
    queries: int = 64  # M, a square
    query_heads: int = 4
    # decoder (LLaMA)
    vocab: int = 1536
    hidden: int = 256
    mlp: int = 704
    layers: int = 4
    heads: int = 8
    kv_heads: int = 4
    rope_theta: float = 100000.0
    rms_eps: float = 1e-5
    max_positions: int = 2048

    @property
    def grid(self):
        return self.image_size // self.patch_size


# ---------------------------------------------------------------- vision tower


class ClipAttention(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(d, d) for _ in range(4))

    def forward(self, x):  # [b, n, d]
        q, k, v = (p(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj))
        # Written out: on a CPU in bf16 three times faster than the fused call at 65 tokens.
        mixed = (q * q.shape[-1] ** -0.5 @ k.transpose(-1, -2)).softmax(-1).to(v.dtype) @ v
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


class ClipMlp(nn.Module):
    def __init__(self, d, inner):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(d, inner), nn.Linear(inner, d)

    def forward(self, x):
        x = self.fc1(x)
        return self.fc2(x * torch.sigmoid(1.702 * x))  # quick GELU


class ClipLayer(nn.Module):
    def __init__(self, d, inner, heads):
        super().__init__()
        self.self_attn = ClipAttention(d, heads)
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(d, 1e-5), nn.LayerNorm(d, 1e-5)
        self.mlp = ClipMlp(d, inner)

    def forward(self, x):
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class Embeddings(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.class_embedding = nn.Parameter(torch.randn(c.vision_hidden) * 0.02)
        self.patch_embedding = nn.Conv2d(3, c.vision_hidden, c.patch_size, c.patch_size, bias=False)
        self.position_embedding = nn.Embedding(c.grid ** 2 + 1, c.vision_hidden)

    def forward(self, pixels, kept=None):  # [b, 3, s, s] -> [b, 1 + patches, d]; kept [b, n]: only those patches
        patches = self.patch_embedding(pixels).flatten(2).transpose(1, 2) + self.position_embedding.weight[1:]
        if kept is not None:
            patches = patches.gather(1, kept[..., None].expand(-1, -1, patches.shape[-1]))
        first = self.class_embedding + self.position_embedding.weight[0]
        return torch.cat([first.expand(len(pixels), 1, -1), patches], 1)


class Encoder(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.layers = nn.ModuleList(ClipLayer(c.vision_hidden, c.vision_mlp, c.vision_heads) for _ in range(c.vision_layers))


class VisionTower(nn.Module):
    """CLIP's vision transformer; returns the patch features of the second-to-last layer."""

    def __init__(self, c):
        super().__init__()
        self.embeddings = Embeddings(c)
        self.pre_layrnorm = nn.LayerNorm(c.vision_hidden, 1e-5)  # CLIP's own spelling
        self.encoder = Encoder(c)
        self.post_layernorm = nn.LayerNorm(c.vision_hidden, 1e-5)  # in the file, never used
        start = sin_cos_table(c.grid, c.vision_hidden) * 0.5
        with torch.no_grad():
            self.embeddings.position_embedding.weight.copy_(torch.cat([torch.zeros(1, c.vision_hidden), start]))

    def forward(self, pixels, kept=None):  # [b, 3, s, s] -> [b, patches, d]
        x = self.pre_layrnorm(self.embeddings(pixels, kept))
        for layer in self.encoder.layers[:-1]:
            x = layer(x)
        return x[:, 1:]


# ---------------------------------------------------------------- resampler


def sin_cos_table(grid, d, points=None):
    """Fixed 2-D sin-cos positions [n, d]: first half from the column, second from the row.

    `points` [n, 2] are (column, row) in cells of the grid; default: all cells, row by row.
    """
    if points is None:
        rows, cols = torch.meshgrid(torch.arange(grid), torch.arange(grid), indexing="ij")
        points = torch.stack([cols.flatten(), rows.flatten()], 1).float()
    omega = 10000.0 ** (-torch.arange(d // 4).double() / (d // 4))
    parts = []
    for axis in (0, 1):
        angle = points[:, axis, None].double() * omega
        parts += [angle.sin(), angle.cos()]
    return torch.cat(parts, 1).float()


def coarse_to_fine(grid):
    """Centres (column, row) of the M queries so that the first m always cover the picture evenly: [grid^2, 2].

    The first is the middle; then greedily the cell farthest from all taken ones, borders counted as half taken.
    """
    cells = [(c, r) for r in range(grid) for c in range(grid)]
    middle = (grid - 1) / 2
    order = [min(cells, key=lambda p: (p[0] - middle) ** 2 + (p[1] - middle) ** 2)]
    while len(order) < len(cells):
        def room(p):
            near = min((p[0] - q[0]) ** 2 + (p[1] - q[1]) ** 2 for q in order) ** 0.5
            wall = min(p[0] + 1, p[1] + 1, grid - p[0], grid - p[1]) * 1.6
            return (min(near, wall), near)
        order.append(max((p for p in cells if p not in order), key=room))
    return torch.tensor(order).float()


class Attention(nn.Module):
    """Holder with the parameter names of `nn.MultiheadAttention`."""

    def __init__(self, d):
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.empty(3 * d, d))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * d))
        self.out_proj = nn.Linear(d, d)
        nn.init.zeros_(self.out_proj.bias)


class Resampler(nn.Module):
    """MQT's query abstractor. Keys are positions only, so the mixing of patches is the same for every picture."""

    def __init__(self, c):
        super().__init__()
        d, side = c.vision_hidden, math.isqrt(c.queries)
        self.heads, self.grid, self.side = c.query_heads, c.grid, side
        self.query = nn.Parameter(torch.zeros(c.queries, d))
        self.pos_embed = nn.Parameter(sin_cos_table(side, d))
        self.attn = Attention(d)
        self.ln_q, self.ln_k, self.ln_v = (nn.LayerNorm(d, 1e-6) for _ in range(3))
        self.proj = nn.Parameter(torch.randn(d, c.hidden) * d ** -0.5)
        self.local_start()

    @torch.no_grad()
    def local_start(self):
        """Let query i look at its own place, coarse to fine, each head with its own sharpness.

        From random projections every visual token would be the same average. `query` is chosen so that
        query + pos_embed is the table at the query's place; the logits then fall with distance.
        """
        d, h = self.query.shape[1], self.heads
        places = coarse_to_fine(self.side)
        self.query.copy_(sin_cos_table(self.side, d, places) - self.pos_embed)
        eye = torch.eye(d)
        # Each head gets an interleaved share of the table, so that all heads know columns, rows and all scales.
        eye = eye[torch.arange(d).view(-1, h).T.flatten()]
        sharp = torch.linspace(8.0, 3.5, h).repeat_interleave(d // h)[:, None]
        noise = 0.02 * torch.randn(2, d, d)
        self.attn.in_proj_weight[:d] = eye * sharp + noise[0]
        self.attn.in_proj_weight[d:2 * d] = eye * 3 + noise[1]
        self.attn.in_proj_weight[2 * d:] = torch.eye(d) + 0.02 * torch.randn(d, d)
        self.attn.out_proj.weight.copy_(torch.eye(d) + 0.02 * torch.randn(d, d))

    def mixing(self, m):
        """The image-independent attention A [heads, m, patches]."""
        d = self.query.shape[1]
        wq, wk, _ = self.attn.in_proj_weight.chunk(3)
        bq, bk, _ = self.attn.in_proj_bias.chunk(3)
        table = self.pos_embed.view(1, self.side, self.side, d).permute(0, 3, 1, 2)
        table = F.interpolate(table, (self.grid, self.grid), mode="bicubic", align_corners=False)
        keys = F.linear(self.ln_k(table.flatten(2)[0].T), wk, bk)
        queries = F.linear(self.ln_q((self.query + self.pos_embed)[:m]), wq, bq)
        split = lambda t: t.unflatten(-1, (self.heads, -1)).transpose(0, 1)
        return (split(queries) @ split(keys).transpose(1, 2) * (d // self.heads) ** -0.5).softmax(-1)

    def forward(self, features, m):  # [b, patches, d] -> [b, m, hidden]
        wv, bv = self.attn.in_proj_weight.chunk(3)[2], self.attn.in_proj_bias.chunk(3)[2]
        values = F.linear(self.ln_v(features), wv, bv).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        mixed = (self.mixing(m) @ values).transpose(1, 2).flatten(2)
        return self.attn.out_proj(mixed) @ self.proj


# ---------------------------------------------------------------- decoder


class RMSNorm(nn.Module):
    def __init__(self, d, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(d)), eps

    def forward(self, x):
        return F.rms_norm(x, (x.shape[-1],), self.weight, self.eps)


def rope_table(positions, head_dim, theta):
    """cos and sin [n, head_dim] for integer positions [n]; both halves repeat the same angles."""
    angles = positions.double()[:, None] * theta ** (-torch.arange(0, head_dim, 2, device=positions.device).double() / head_dim)
    angles = torch.cat([angles, angles], 1)
    return angles.cos().float(), angles.sin().float()


def rotate(x, cos, sin):
    """Rotate-half RoPE; x [..., head_dim], cos and sin broadcast to it."""
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat([-b, a], -1) * sin


class LlamaAttention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = c.heads, c.kv_heads, c.hidden // c.heads
        kv = c.kv_heads * self.head_dim
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (
            nn.Linear(c.hidden, n, bias=False) for n in (c.hidden, kv, kv, c.hidden))


class LlamaMlp(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(c.hidden, c.mlp, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(c.mlp, c.hidden, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class LlamaLayer(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.self_attn, self.mlp = LlamaAttention(c), LlamaMlp(c)
        self.input_layernorm, self.post_attention_layernorm = (RMSNorm(c.hidden, c.rms_eps) for _ in range(2))

    def forward(self, x, cos, sin):
        """x [n, hidden], causal; cos, sin [n, head_dim]."""
        a, h = self.self_attn, self.input_layernorm(x)
        q, k, v = (p(h).unflatten(-1, (-1, a.head_dim)).transpose(0, 1) for p in (a.q_proj, a.k_proj, a.v_proj))
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        k, v = (t.repeat_interleave(a.heads // a.kv_heads, 0) for t in (k, v))
        mixed = F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True)[0]
        x = x + a.o_proj(mixed.transpose(0, 1).flatten(1))
        return x + self.mlp(self.post_attention_layernorm(x))


class Llama(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.embed_tokens = nn.Embedding(c.vocab, c.hidden)
        self.layers = nn.ModuleList(LlamaLayer(c) for _ in range(c.layers))
        self.norm = RMSNorm(c.hidden, c.rms_eps)


class MqtLlava(nn.Module):
    def __init__(self, c=None):
        super().__init__()
        self.config = c = c or Config()
        self.vision_tower = VisionTower(c)
        self.query_abstractor = Resampler(c)
        self.model = Llama(c)
        self.lm_head = nn.Linear(c.hidden, c.vocab, bias=False)
        nn.init.normal_(self.model.embed_tokens.weight, std=0.5)
        nn.init.normal_(self.lm_head.weight, std=0.02)
        with torch.no_grad():  # small residual branches at the start
            for layer in self.model.layers:
                layer.self_attn.o_proj.weight.mul_(0.3)
                layer.mlp.down_proj.weight.mul_(0.3)

    def splice(self, ids, visual):
        """Token ids (list, -200 marks the picture) and visual tokens [m, hidden] -> embeddings [n, hidden]."""
        at = ids.index(-200)
        table = self.model.embed_tokens.weight
        return torch.cat([table[ids[:at]], visual.to(table.dtype), table[ids[at + 1:]]])

    def forward(self, embedded):  # [n, hidden] -> logits [n, vocab]
        c = self.config
        cos, sin = rope_table(torch.arange(len(embedded)), c.hidden // c.heads, c.rope_theta)
        x = embedded
        for layer in self.model.layers:
            x = layer(x, cos, sin)
        return self.lm_head(self.model.norm(x))

    @torch.no_grad()
    def answer(self, pixels, ids, m, limit=24):
        """Greedy answer ids for pixels [3, s, s] and prompt ids; plain and slow on purpose."""
        visual = self.query_abstractor(self.vision_tower(pixels[None]), m)[0]
        x, out = self.splice(ids, visual), []
        while len(out) < limit:
            out.append(int(self(x)[-1].argmax()))
            if out[-1] == 2:
                break
            x = torch.cat([x, self.model.embed_tokens.weight[out[-1:]]])
        return out
