"""The same network over many questions at once: the training and evaluation pass.

One step has three streams: the system prefix (once for everything), the visual tokens of each of b pictures, and
r = b * q question rows. A row sees prefix, its own picture and itself, never another row, and starts at position
prefix + m: just what each question alone would compute, at a fraction of the cost. The last layer is only run where
an answer is learned.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from model import rope_table, rotate
from tokenizer import END


@dataclass
class Rows:
    """Question rows, flat without padding. n tokens in r rows; k places where an id is predicted.

    Arrays as `pack` makes them (a worker's message), tensors after `to`.
    """
    ids: torch.Tensor  # [n]
    row: torch.Tensor  # [n] which row
    at: torch.Tensor  # [n] place in the row
    ask: torch.Tensor  # [k] indices into n: the logits here predict...
    want: torch.Tensor  # [k] ...these ids
    slot: torch.Tensor  # [k] counts the asks of a row
    count: int  # r
    length: int  # of the longest row
    wide: int  # most asks of a row

    @property
    def questions(self):
        """How many are answered: each answer ends with </s>."""
        return int((self.want == END).sum())

    @staticmethod
    def pack(pairs):
        """From [(ids, learn), ...], one per row (see `Prompt.turns`)."""
        ids = np.concatenate([np.array(i[:-1]) for i, _ in pairs])
        after = np.concatenate([np.array(i[1:]) for i, _ in pairs])
        learn = np.concatenate([np.array(w[1:]) for _, w in pairs])
        row = np.repeat(np.arange(len(pairs)), [len(i) - 1 for i, _ in pairs])
        at = np.concatenate([np.arange(len(i) - 1) for i, _ in pairs])
        ask = np.flatnonzero(learn)
        slot = np.concatenate([np.arange(sum(w[1:])) for _, w in pairs])
        t = lambda a: a.astype(np.int32)
        return Rows(t(ids), t(row), t(at), t(ask), t(after[ask]), t(slot), len(pairs), int(at.max()) + 1, int(slot.max()) + 1)

    def to(self, device):
        """The same rows as tensors on a device."""
        return Rows(**{n: torch.from_numpy(v).to(device).long() if isinstance(v, np.ndarray) else v for n, v in self.__dict__.items()})


# The element-wise parts, fused on a GPU; one CPU thread gains nothing from it.
def norm_plain(x, weight, eps):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * weight


def swiglu_plain(gate, up):
    return F.silu(gate) * up


def rotate_plain(x, cos, sin):
    return rotate(x, cos, sin)


norm_fused, swiglu_fused, rotate_fused = (torch.compile(f, dynamic=True) for f in (norm_plain, swiglu_plain, rotate_plain))


def attend(q, k, v, mask):
    """q [..., a, d] against k, v [..., b, d]; mask [a, b] is True where forbidden."""
    s = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    if mask is not None:
        s = s.masked_fill(mask, -1e4)
    return s.softmax(-1).to(v.dtype) @ v


def forward(net, prefix, visual, rows, fuse=False):
    """prefix ids [p], visual tokens [b, m, hidden], rows -> logits [k, vocab] at `rows.ask`."""
    c, llama = net.config, net.model
    device = visual.device
    half = torch.is_autocast_enabled(device.type)
    spin, gated, scaled = (rotate_fused, swiglu_fused, norm_fused) if fuse else (rotate_plain, swiglu_plain, norm_plain)
    norm = lambda layer, t: scaled(t, layer.weight, layer.eps).to(torch.bfloat16 if half else torch.float32)
    (b, m, hidden), p, n = visual.shape, len(prefix), len(rows.ids)
    d, h, per = hidden // c.heads, c.heads, rows.count // visual.shape[0]
    length = rows.length
    x = torch.cat([llama.embed_tokens(prefix), visual.flatten(0, 1).float(), llama.embed_tokens(rows.ids)])
    where = torch.cat([torch.arange(p, device=device), torch.arange(p, p + m, device=device).repeat(b), p + m + rows.at])
    cos, sin = (t[where][:, None].to(torch.bfloat16 if half else torch.float32)
                for t in rope_table(torch.arange(p + m + length, device=device), d, c.rope_theta))
    cut = [p, b * m, n]
    home = rows.row * length + rows.at  # place of each text token in the padded [r * length] layout
    later = lambda a: torch.ones(a, a, dtype=torch.bool, device=device).triu(1)
    visual_mask = torch.cat([torch.zeros(m, p, dtype=torch.bool, device=device), later(m)], 1)
    own_mask = later(length)
    for i, layer in enumerate(llama.layers):
        a, last = layer.self_attn, i == len(llama.layers) - 1
        normed = norm(layer.input_layernorm, x)
        k, v = (f(normed).view(-1, c.kv_heads, d) for f in (a.k_proj, a.v_proj))
        k, v = (t.repeat_interleave(h // c.kv_heads, 1) for t in (spin(k, cos, sin), v))
        kp, kv, kt = k.split(cut)
        vp, vv, vt = v.split(cut)
        # Keys and values every row of a picture shares: [b, h, p + m, d]
        share = lambda one, many: torch.cat([one.transpose(0, 1).expand(b, h, p, d), many.view(b, m, h, d).transpose(1, 2)], 2)
        ks, vs = share(kp, kv), share(vp, vv)
        pad = lambda t: torch.zeros(rows.count * length, h, d, dtype=t.dtype, device=device).index_copy(0, home, t)
        kr, vr = (pad(t).view(b, per, length, h, d).permute(0, 3, 1, 2, 4) for t in (kt, vt))  # [b, h, per, length, d]
        if last:  # only where an id is predicted
            x, normed = x[p + b * m + rows.ask], normed[p + b * m + rows.ask]
            qt = spin(a.q_proj(normed).view(-1, h, d), cos[p + b * m + rows.ask], sin[p + b * m + rows.ask])
            wide = rows.wide
            seat = rows.row[rows.ask] * wide + rows.slot
            place = torch.zeros(rows.count * wide, dtype=torch.long, device=device).index_copy(0, seat, rows.at[rows.ask])
            mask = (torch.arange(length, device=device) > place[:, None]).view(b, 1, per, wide, length)
            outs = []
        else:
            q = spin(a.q_proj(normed).view(-1, h, d), cos, sin)
            qp, qv, qt = q.split(cut)
            outs = [attend(qp.transpose(0, 1), kp.transpose(0, 1), vp.transpose(0, 1), later(p)).transpose(0, 1).flatten(1)]
            out = attend(qv.view(b, m, h, d).transpose(1, 2), ks, vs, visual_mask)
            outs.append(out.transpose(1, 2).flatten(2).flatten(0, 1))
            wide, seat, mask = length, home, own_mask
        qr = torch.zeros(rows.count * wide, h, d, dtype=qt.dtype, device=device).index_copy(0, seat, qt)
        qr = (qr * d ** -0.5).view(b, per, wide, h, d).permute(0, 3, 1, 2, 4)  # [b, h, per, wide, d]
        # One softmax over shared and own keys, without joining the two score tables (the copies cost more than the sums).
        shared = qr.flatten(2, 3) @ ks.transpose(-1, -2)  # [b, h, per * wide, p + m]
        own = (qr @ kr.transpose(-1, -2)).masked_fill(mask, -1e4)  # [b, h, per, wide, length]
        # With few visual tokens it happens that nothing matches a loud query: without the maximum the sum would be zero.
        most = torch.maximum(shared.amax(-1, keepdim=True), own.amax(-1, keepdim=True).flatten(2, 3)).detach()
        shared, own = (shared - most).exp(), (own - most.view(*own.shape[:-1], 1)).exp()
        total = shared.sum(-1, keepdim=True) + own.sum(-1, keepdim=True).flatten(2, 3)
        out = (shared @ vs + (own @ vr).flatten(2, 3)) / total
        out = out.view(b, h, per, wide, d)
        outs.append(out.permute(0, 2, 3, 1, 4).reshape(rows.count * wide, hidden)[seat])
        x = x + a.o_proj(torch.cat(outs))
        normed, mlp = norm(layer.post_attention_layernorm, x), layer.mlp
        x = x + mlp.down_proj(gated(mlp.gate_proj(normed), mlp.up_proj(normed)))
    return net.lm_head(llama.norm(x))


def right_rows(logits, rows):
    """Which rows would be answered exactly by greedy decoding: every wanted id is the likeliest. bool [r]"""
    wrong = (logits.argmax(-1) != rows.want).long()
    return torch.zeros(rows.count, dtype=torch.long, device=wrong.device).index_add(0, rows.row[rows.ask], wrong) == 0
