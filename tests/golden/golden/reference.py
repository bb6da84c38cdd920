"""The PyTorch reference: transformers' CLIPVisionModel and LlamaForCausalLM, eager attention, f32, and the resampler
spelled out naively. `Plain` is a second, independent implementation in any float type: it checks the first and
measures its rounding."""

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from transformers import CLIPVisionConfig, CLIPVisionModel, LlamaConfig, LlamaForCausalLM

from .cases import tower_config
from .text import EOS, IMAGE

# --- picture ---


def square(image, mean):
    """Pad a RGB picture to a square with the truncated mean colour."""
    w, h = image.size
    if w == h:
        return image
    s = max(w, h)
    out = Image.new("RGB", (s, s), tuple(int(255 * x) for x in mean))
    out.paste(image, ((s - w) // 2, (s - h) // 2))
    return out


def resize(image, size, mean, aspect):
    """The 8-bit pixels [size, size, 3] that are normalised next."""
    if aspect == "pad":
        image = square(image, mean)
    w, h = image.size
    short, long = min(w, h), max(w, h)
    long = int(size * long / short)
    new = (size, long) if w <= h else (long, size)
    if new != image.size:
        image = image.resize(new, Image.Resampling.BICUBIC)
    left, top = (new[0] - size) // 2, (new[1] - size) // 2
    return np.asarray(image.crop((left, top, left + size, top + size)))


def normalise(pixels, mean, std):
    """u8 [S, S, 3] → f32 [3, S, S]."""
    x = (pixels.astype(np.float64) * (1 / 255)).astype(np.float32)
    x = (x - np.array(mean, dtype=np.float32)) / np.array(std, dtype=np.float32)
    return np.ascontiguousarray(x.transpose(2, 0, 1))


# --- resampler ---


def interpolate(pos, grid):
    """[M, D] on its own square grid → [grid², D]."""
    side = int(pos.shape[0] ** 0.5)
    assert side * side == pos.shape[0]
    x = pos.float().reshape(1, side, side, -1).permute(0, 3, 1, 2)
    x = F.interpolate(x, size=(grid, grid), mode="bicubic", align_corners=False)
    return x.permute(0, 2, 3, 1).flatten(0, 2).to(pos.dtype)


def resample(w, features, m, heads, grid):
    """The first m queries attend to interpolated positions; values are the picture's features. → [m, hidden]"""
    p = "model.query_abstractor."
    g = {n.removeprefix(p): t for n, t in w.items() if n.startswith(p)}
    d = g["query"].shape[1]

    def ln(x, n):
        return F.layer_norm(x, (d,), g[n + ".weight"], g[n + ".bias"], 1e-6)

    wq, wk, wv = g["attn.in_proj_weight"].chunk(3)
    bq, bk, bv = g["attn.in_proj_bias"].chunk(3)
    q = F.linear(ln(g["query"][:m] + g["pos_embed"][:m], "ln_q"), wq, bq)
    k = F.linear(ln(interpolate(g["pos_embed"], grid), "ln_k"), wk, bk)
    v = F.linear(ln(features, "ln_v"), wv, bv)
    q, k, v = (x.reshape(-1, heads, d // heads).transpose(0, 1) for x in (q, k, v))
    a = torch.softmax(q @ k.transpose(1, 2) * (d // heads) ** -0.5, dim=-1)
    o = (a @ v).transpose(0, 1).reshape(m, d)
    return F.linear(o, g["attn.out_proj.weight"], g["attn.out_proj.bias"]) @ g["proj"]


# --- LLaVA's projector, and M3's pooling of what it gives ---


def project(w, features, m, grid):
    """Linear, exact GELU, Linear over every patch; then averages over squares of patches, or all. → [m, hidden]"""
    p = "model.mm_projector."
    x = F.linear(features, w[p + "0.weight"], w[p + "0.bias"])
    x = F.linear(F.gelu(x), w[p + "2.weight"], w[p + "2.bias"])
    step = grid // int(m**0.5)
    x = x.reshape(1, grid, grid, -1).permute(0, 3, 1, 2)
    return F.avg_pool2d(x, kernel_size=step, stride=step).permute(0, 2, 3, 1).flatten(0, 2)


def visual(case, w, features, m):
    """The m visual tokens of a picture's features."""
    if case.linears:
        return project(w, features, m, case.grid)
    return resample(w, features, m, case.resampler_heads, case.grid)


# --- the whole, through transformers ---


def load_strict(model, tensors):
    """Load every parameter, whatever prefix this version of transformers gives it."""
    state = {}
    for name in model.state_dict():
        state[name] = tensors[name if name in tensors else name.removeprefix("vision_model.")]
    model.load_state_dict(state, strict=True)
    return model.eval()


class Reference:
    def __init__(self, case, weights):
        self.case, self.w = case, weights
        vision = tower_config(case)
        vision = vision.get("vision_config", vision)
        vision = CLIPVisionConfig(**{k: v for k, v in vision.items() if k not in ("architectures", "model_type")})
        vision._attn_implementation = "eager"
        tensors = {n.removeprefix("vision_model."): t for n, t in weights.items() if n.startswith("vision_model.")}
        self.tower = load_strict(CLIPVisionModel(vision), tensors)
        llama = LlamaConfig(
            vocab_size=weights["model.embed_tokens.weight"].shape[0],
            hidden_size=case.hidden,
            intermediate_size=case.mlp,
            num_hidden_layers=case.layers,
            num_attention_heads=case.heads,
            num_key_value_heads=case.kv_heads,
            head_dim=case.head_dim,
            hidden_act="silu",
            max_position_embeddings=512,
            rms_norm_eps=case.rms_eps,
            rope_parameters={"rope_type": "default", "rope_theta": case.rope_theta or 10000.0},
            tie_word_embeddings=case.tied,
            attention_bias=False,
            mlp_bias=False,
        )
        llama._attn_implementation = "eager"
        head = {"lm_head.weight": weights["model.embed_tokens.weight"]} if case.tied else {}
        self.llama = load_strict(LlamaForCausalLM(llama), weights | head)
        assert self.tower.dtype == self.llama.dtype == torch.float32

    @torch.no_grad()
    def vision(self, pixels):
        out = self.tower(torch.from_numpy(pixels)[None], output_hidden_states=True)
        assert len(out.hidden_states) == self.case.vision_layers + 1
        return out.hidden_states[-2][0, 1:]

    @torch.no_grad()
    def visual(self, features, m):
        return visual(self.case, self.w, features, m)

    @torch.no_grad()
    def logits(self, ids, visual, generated=()):
        return self.llama(inputs_embeds=splice(self.w, ids, visual, generated)[None], use_cache=False).logits[0]


def splice(w, ids, visual, generated=()):
    table = w["model.embed_tokens.weight"]
    at = ids.index(IMAGE)
    before, after = torch.tensor(ids[:at]), torch.tensor(ids[at + 1 :] + list(generated))
    return torch.cat([table[before], visual, table[after]])


def greedy(model, ids, visual, count):
    """→ ids, and by how much each led the runner-up."""
    out, margins = [], []
    for _ in range(count):
        top = model.logits(ids, visual, out)[-1].topk(2)
        margins.append(float(top.values[0] - top.values[1]))
        out.append(int(top.indices[0]))
        if out[-1] == EOS:
            break
    return out, margins


# --- the same again, plainly, in any float type ---


class Plain:
    def __init__(self, case, weights, dtype):
        self.case, self.dtype = case, dtype
        self.w = {n: t.to(dtype) for n, t in weights.items() if t.is_floating_point()}

    def attend(self, q, k, v, causal):
        """[heads, n, d] each."""
        s = q @ k.transpose(1, 2) / q.shape[-1] ** 0.5
        if causal:
            s = s.masked_fill(torch.ones(s.shape[-2:], dtype=torch.bool).triu(1), float("-inf"))
        o = torch.softmax(s, dim=-1) @ v
        return o.transpose(0, 1).flatten(1)

    def vision(self, pixels):
        c, w = self.case, {n.removeprefix("vision_model."): t for n, t in self.w.items()}
        x = torch.from_numpy(pixels).to(self.dtype)[:, : c.grid * c.patch, : c.grid * c.patch]
        x = x.reshape(3, c.grid, c.patch, c.grid, c.patch).permute(1, 3, 0, 2, 4).reshape(c.grid**2, -1)
        x = x @ w["embeddings.patch_embedding.weight"].reshape(c.vision, -1).T
        x = torch.cat([w["embeddings.class_embedding"][None], x]) + w["embeddings.position_embedding.weight"]

        def ln(x, n):
            mu = x.mean(-1, keepdim=True)
            var = ((x - mu) ** 2).mean(-1, keepdim=True)
            return (x - mu) / torch.sqrt(var + 1e-5) * w[n + ".weight"] + w[n + ".bias"]

        def lin(x, n):
            return x @ w[n + ".weight"].T + w[n + ".bias"]

        def heads(x):
            return x.reshape(-1, c.vision_heads, c.vision // c.vision_heads).transpose(0, 1)

        x = ln(x, "pre_layrnorm")
        for i in range(c.vision_layers - 1):
            p = f"encoder.layers.{i}."
            y = ln(x, p + "layer_norm1")
            q, k, v = (heads(lin(y, f"{p}self_attn.{n}_proj")) for n in "qkv")
            x = x + lin(self.attend(q, k, v, False), p + "self_attn.out_proj")
            y = lin(ln(x, p + "layer_norm2"), p + "mlp.fc1")
            x = x + lin(y * torch.sigmoid(1.702 * y), p + "mlp.fc2")
        return x[1:]

    def visual(self, features, m):
        if not self.case.linears:
            return resample(self.w, features, m, self.case.resampler_heads, self.case.grid)
        w, p, c = self.w, "model.mm_projector.", self.case
        x = features @ w[p + "0.weight"].T + w[p + "0.bias"]
        x = x * (1 + torch.erf(x / 2**0.5)) / 2
        x = (x @ w[p + "2.weight"].T + w[p + "2.bias"]).reshape(c.grid, c.grid, -1)
        side = int(m**0.5)
        step = c.grid // side
        squares = [x[y * step : (y + 1) * step, z * step : (z + 1) * step] for y in range(side) for z in range(side)]
        return torch.stack([s.mean((0, 1)) for s in squares])

    def logits(self, ids, visual, generated=()):
        c, w = self.case, self.w
        x = splice(w, ids, visual, generated)
        n, half = x.shape[0], c.head_dim // 2
        freq = (c.rope_theta or 10000.0) ** (-torch.arange(half, dtype=self.dtype) / half)
        angle = torch.arange(n, dtype=self.dtype)[:, None] * freq
        cos, sin = angle.cos(), angle.sin()

        def rms(x, name):
            return x / torch.sqrt((x * x).mean(-1, keepdim=True) + c.rms_eps) * w[name + ".weight"]

        def heads(x, rope):
            x = x.reshape(n, -1, c.head_dim).transpose(0, 1)
            if not rope:
                return x
            a, b = x[..., :half], x[..., half:]
            return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

        for i in range(c.layers):
            p = f"model.layers.{i}."
            y = rms(x, p + "input_layernorm")
            q, k, v = (y @ w[f"{p}self_attn.{s}_proj.weight"].T for s in "qkv")
            group = c.heads // c.kv_heads
            k = heads(k, True).repeat_interleave(group, 0)
            v = heads(v, False).repeat_interleave(group, 0)
            x = x + self.attend(heads(q, True), k, v, True) @ w[p + "self_attn.o_proj.weight"].T
            y = rms(x, p + "post_attention_layernorm")
            gate, up = y @ w[p + "mlp.gate_proj.weight"].T, y @ w[p + "mlp.up_proj.weight"].T
            x = x + (gate * torch.sigmoid(gate) * up) @ w[p + "mlp.down_proj.weight"].T
        head = w["model.embed_tokens.weight" if c.tied else "lm_head.weight"]
        return rms(x, "model.norm") @ head.T
