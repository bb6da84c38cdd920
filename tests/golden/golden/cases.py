"""The five checkpoints: their shapes, files and random weights."""

import json
import os
import re
from dataclasses import dataclass, field

import numpy as np
import torch
from safetensors.torch import save_file

CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073]
CLIP_STD = [0.26862954, 0.26130258, 0.27577711]


@dataclass
class Case:
    name: str
    seed: int
    # vision tower
    vision: int
    vision_heads: int
    vision_mlp: int
    vision_layers: int
    image: int
    patch: int
    # resampler
    tokens: int  # M
    resampler_heads: int
    # language model
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    mlp: int
    layers: int
    # files
    dtype: torch.dtype
    shards: int
    tokenizer: tuple  # of "model", "json"
    legacy: bool | None  # in tokenizer_config.json; None: absent
    tower_folder: str  # where the vision tower's config lies
    mm_vision_tower: str  # what config.json says
    tower_tensors: bool = False  # the folder holds its own f32 tensors, prefix `vision_model.`
    nested: bool = False  # vision numbers in `vision_config` of the tower's config.json
    tied: bool = False
    explicit_head_dim: bool = False
    rope_theta: float | None = 10000.0
    rms_eps: float = 1e-5
    aspect: str | None = "pad"
    mean: list = field(default_factory=lambda: CLIP_MEAN)
    std: list = field(default_factory=lambda: CLIP_STD)
    extra_config: dict = field(default_factory=dict)
    bins: bool = False  # PyTorch's own files instead of safetensors
    linears: int = 0  # LLaVA's projector of so many Linears instead of the resampler

    @property
    def grid(self):
        return self.image // self.patch

    @property
    def budgets(self):
        """m of the runs: a resampler gives any, LLaVA's projector all patches or their averages over squares (M3)."""
        return [1, 9, 36] if self.linears else [1, 2, self.tokens - 1, self.tokens]


CASES = [
    Case(
        name="a-f32-tower", seed=11,
        vision=56, vision_heads=4, vision_mlp=72, vision_layers=3, image=72, patch=8,
        tokens=49, resampler_heads=7,
        hidden=72, heads=6, kv_heads=3, head_dim=12, mlp=56, layers=2,
        dtype=torch.bfloat16, shards=1, tokenizer=("model",), legacy=False,
        tower_folder="clip-56", mm_vision_tower="clip-56", tower_tensors=True, nested=True, tied=True,
        extra_config={"num_visual_tokens": "second_stage"},
    ),
    Case(
        name="b-f16-shards", seed=42,
        vision=72, vision_heads=6, vision_mlp=76, vision_layers=3, image=72, patch=12,
        tokens=64, resampler_heads=4,
        hidden=120, heads=5, kv_heads=1, head_dim=24, mlp=52, layers=2,
        dtype=torch.float16, shards=3, tokenizer=("json",), legacy=None,
        tower_folder="vision_tower", mm_vision_tower="openai/clip-vit-odd", tied=True,
        rope_theta=500000.0, rms_eps=1e-6,
    ),
    Case(
        name="c-crop", seed=173,
        vision=88, vision_heads=8, vision_mlp=68, vision_layers=2, image=80, patch=16,
        tokens=25, resampler_heads=11,
        hidden=72, heads=6, kv_heads=2, head_dim=14, mlp=44, layers=3,
        dtype=torch.bfloat16, shards=2, tokenizer=("model",), legacy=True,
        tower_folder="vision_tower", mm_vision_tower="vision_tower", tied=True, explicit_head_dim=True,
        aspect=None,
    ),
    Case(
        name="d-floor-grid", seed=224,
        vision=120, vision_heads=5, vision_mlp=60, vision_layers=2, image=50, patch=8,
        tokens=9, resampler_heads=8,
        hidden=44, heads=2, kv_heads=2, head_dim=22, mlp=60, layers=2,
        dtype=torch.float16, shards=1, tokenizer=("model", "json"), legacy=False,
        tower_folder="towers/clip-120", mm_vision_tower="towers/clip-120", nested=True,
        rope_theta=None, mean=[0.5, 0.5, 0.5], std=[0.5, 0.25, 0.5],
    ),
    Case(
        name="e-llava-bins", seed=302,
        vision=40, vision_heads=4, vision_mlp=44, vision_layers=2, image=48, patch=8,
        tokens=36, resampler_heads=0, linears=2,
        hidden=48, heads=4, kv_heads=4, head_dim=12, mlp=60, layers=2,
        dtype=torch.float16, shards=2, tokenizer=("model",), legacy=False,
        tower_folder="openai/clip-40", mm_vision_tower="openai/clip-40", tower_tensors=True, nested=True, bins=True,
        extra_config={"mm_projector_type": "mlp2x_gelu", "model_type": "llava"},
    ),
]  # fmt: skip


class Weights:
    """Random tensors, 'alive': activations of order one, attention neither flat nor one-hot."""

    def __init__(self, seed):
        self.rng = np.random.Generator(np.random.PCG64(seed))
        self.tensors = {}

    def normal(self, name, shape, std):
        x = self.rng.standard_normal(shape, dtype=np.float32) * np.float32(std)
        self.tensors[name] = torch.from_numpy(x)

    def matrix(self, name, rows, cols, gain=1.5):
        self.normal(name + ".weight", (rows, cols), gain / cols**0.5)

    def linear(self, name, rows, cols, gain=1.5):
        self.matrix(name, rows, cols, gain)
        self.normal(name + ".bias", (rows,), 0.2)

    def norm(self, name, width, bias=True):
        x = 1 + 0.2 * self.rng.standard_normal(width, dtype=np.float32)
        self.tensors[name + ".weight"] = torch.from_numpy(x.astype(np.float32))
        if bias:
            self.normal(name + ".bias", (width,), 0.2)


def vision_weights(case, prefix):
    """CLIP's vision model under `prefix`, which ends in `vision_model.`."""
    w = Weights(case.seed * 1000)
    d = case.vision
    w.normal(prefix + "embeddings.class_embedding", (d,), 0.5)
    w.normal(prefix + "embeddings.patch_embedding.weight", (d, 3, case.patch, case.patch), 1 / (3**0.5 * case.patch))
    w.normal(prefix + "embeddings.position_embedding.weight", (case.grid**2 + 1, d), 0.5)
    w.norm(prefix + "pre_layrnorm", d)
    for i in range(case.vision_layers):
        layer = f"{prefix}encoder.layers.{i}."
        for p in "qkv":
            w.linear(f"{layer}self_attn.{p}_proj", d, d)
        w.linear(layer + "self_attn.out_proj", d, d)
        w.norm(layer + "layer_norm1", d)
        w.norm(layer + "layer_norm2", d)
        w.linear(layer + "mlp.fc1", case.vision_mlp, d)
        w.linear(layer + "mlp.fc2", d, case.vision_mlp)
    w.norm(prefix + "post_layernorm", d)
    return w.tensors


def resampler_weights(case):
    w = Weights(case.seed * 1000 + 1)
    p, d = "model.query_abstractor.", case.vision
    w.normal(p + "query", (case.tokens, d), 0.7)
    w.normal(p + "pos_embed", (case.tokens, d), 0.7)
    w.normal(p + "attn.in_proj_weight", (3 * d, d), 1.5 / d**0.5)
    w.normal(p + "attn.in_proj_bias", (3 * d,), 0.2)
    w.linear(p + "attn.out_proj", d, d)
    for n in ("ln_q", "ln_k", "ln_v"):
        w.norm(p + n, d)
    w.normal(p + "proj", (d, case.hidden), 1 / d**0.5)
    return w.tensors


def projector_weights(case):
    """LLaVA's `mlp2x_gelu`: a Sequential whose odd members are the activations."""
    w = Weights(case.seed * 1000 + 1)
    for i in range(case.linears):
        w.linear(f"model.mm_projector.{2 * i}", case.hidden, case.hidden if i else case.vision)
    return w.tensors


def llama_weights(case, vocab):
    w = Weights(case.seed * 1000 + 2)
    h, q, kv = case.hidden, case.heads * case.head_dim, case.kv_heads * case.head_dim
    w.normal("model.embed_tokens.weight", (vocab, h), 1.5 / h**0.5 if case.tied else 0.7)
    for i in range(case.layers):
        layer = f"model.layers.{i}."
        w.matrix(layer + "self_attn.q_proj", q, h)
        w.matrix(layer + "self_attn.k_proj", kv, h)
        w.matrix(layer + "self_attn.v_proj", kv, h)
        w.matrix(layer + "self_attn.o_proj", h, q)
        w.matrix(layer + "mlp.gate_proj", case.mlp, h)
        w.matrix(layer + "mlp.up_proj", case.mlp, h)
        w.matrix(layer + "mlp.down_proj", h, case.mlp)
        w.norm(layer + "input_layernorm", h, bias=False)
        w.norm(layer + "post_attention_layernorm", h, bias=False)
    w.norm("model.norm", h, bias=False)
    if not case.tied:
        w.matrix("lm_head", vocab, h)
    return w.tensors


def write_json(path, obj):
    """Indented, but lists of numbers on one line."""
    text = json.dumps(obj, ensure_ascii=False, indent=2)
    text = re.sub(r"\[\s+(-?\d[-\d.,\s]*?)\s+\]", lambda m: "[" + re.sub(r"\s+", " ", m[1]) + "]", text)
    assert json.loads(text) == json.loads(json.dumps(obj))
    with open(path, "w", encoding="utf-8") as f:
        f.write(text + "\n")


def config(case, vocab):
    c = {
        "architectures": ["LlavaLlamaForCausalLM"],
        "model_type": "llava_llama",
        "attention_bias": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
        "freeze_mm_mlp_adapter": False,
        "hidden_act": "silu",
        "hidden_size": case.hidden,
        "intermediate_size": case.mlp,
        "max_position_embeddings": 512,
        "mm_hidden_size": case.vision,
        "mm_patch_merge_type": "flat",
        "mm_projector_lr": None,
        "mm_projector_type": "linear",
        "mm_use_im_patch_token": False,
        "mm_use_im_start_end": False,
        "mm_vision_select_feature": "patch",
        "mm_vision_select_layer": -2,
        "mm_vision_tower": case.mm_vision_tower,
        "num_attention_heads": case.heads,
        "num_hidden_layers": case.layers,
        "num_key_value_heads": case.kv_heads,
        "query_abstractor_num_heads": case.resampler_heads,
        "query_abstractor_type": "matry_query",
        "rms_norm_eps": case.rms_eps,
        "rope_scaling": None,
        "tie_word_embeddings": case.tied,
        "tokenizer_model_max_length": 512,
        "tokenizer_padding_side": "right",
        "torch_dtype": str(case.dtype).removeprefix("torch."),
        "tune_mm_mlp_adapter": False,
        "tune_mm_query_abstractor": False,
        "use_cache": True,
        "use_mm_proj": True,
        "vocab_size": vocab,
    }
    if case.rope_theta is not None:
        c["rope_theta"] = case.rope_theta
    if case.explicit_head_dim:
        c["head_dim"] = case.head_dim
    if case.aspect is not None:
        c["image_aspect_ratio"] = case.aspect
    if case.linears:
        del c["query_abstractor_num_heads"], c["query_abstractor_type"]
    return c | case.extra_config


def tower_config(case):
    vision = {
        "attention_dropout": 0.0,
        "hidden_act": "quick_gelu",
        "hidden_size": case.vision,
        "image_size": case.image,
        "intermediate_size": case.vision_mlp,
        "layer_norm_eps": 1e-5,
        "model_type": "clip_vision_model",
        "num_attention_heads": case.vision_heads,
        "num_channels": 3,
        "num_hidden_layers": case.vision_layers,
        "patch_size": case.patch,
    }
    if case.nested:
        return {"architectures": ["CLIPModel"], "model_type": "clip", "vision_config": vision}
    return {"architectures": ["CLIPVisionModel"]} | vision


def preprocessor_config(case):
    return {
        "crop_size": {"height": case.image, "width": case.image},
        "do_center_crop": True,
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": case.mean,
        "image_processor_type": "CLIPImageProcessor",
        "image_std": case.std,
        "resample": 3,
        "rescale_factor": 0.00392156862745098,
        "size": {"shortest_edge": case.image},
    }


def write_file(path, tensors, bins):
    """One file of weights, as safetensors or as PyTorch writes it."""
    if not bins:
        save_file(tensors, path, metadata={"format": "pt"})
        return
    # As a checkpoint may hold them: one tensor strided, two that are views of one storage.
    tensors = dict(tensors)
    for n in tensors:
        if n.endswith("layers.1.mlp.down_proj.weight"):
            tensors[n] = tensors[n].t().contiguous().t()
    pair = [n for n in tensors if n.endswith(("layers.0.mlp.gate_proj.weight", "layers.0.mlp.up_proj.weight"))]
    if len(pair) == 2:
        both = torch.stack([tensors[n] for n in pair])
        tensors |= {n: both[i] for i, n in enumerate(pair)}
    # The tower's file in the container of before PyTorch 1.6, the shards in today's.
    torch.save(tensors, path, _use_new_zipfile_serialization="-of-" in path)


def write_shards(folder, tensors, shards, bins=False):
    """One file, or several of about equal size and an index; tensors in name order."""
    names = sorted(tensors)
    stem, ending = ("pytorch_model", "bin") if bins else ("model", "safetensors")
    if shards == 1:
        write_file(os.path.join(folder, f"{stem}.{ending}"), {n: tensors[n] for n in names}, bins)
        return
    total = sum(t.nbytes for t in tensors.values())
    parts, size = [[] for _ in range(shards)], 0
    for n in names:
        parts[min(shards - 1, size * shards // total)].append(n)
        size += tensors[n].nbytes
    weight_map = {}
    for k, part in enumerate(parts, 1):
        file = f"{stem}-{k:05d}-of-{shards:05d}.{ending}"
        write_file(os.path.join(folder, file), {n: tensors[n] for n in part}, bins)
        weight_map |= dict.fromkeys(part, file)
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    write_json(os.path.join(folder, f"{stem}.{ending}.index.json"), index)


def write_checkpoint(case, folder, model, convert):
    """Write the folder; return its tensors as stored, up-cast to f32, the vision model's under `vision_model.`."""
    tower = os.path.join(folder, case.tower_folder)
    os.makedirs(tower)
    vocab = 700
    write_json(os.path.join(folder, "config.json"), config(case, vocab))
    write_json(os.path.join(folder, "generation_config.json"), {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0})
    write_json(os.path.join(tower, "config.json"), tower_config(case))
    write_json(os.path.join(tower, "preprocessor_config.json"), preprocessor_config(case))

    if "model" in case.tokenizer:
        with open(os.path.join(folder, "tokenizer.model"), "wb") as f:
            f.write(model)
    if "json" in case.tokenizer:
        with open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8") as f:
            f.write(convert(model))
    tc = {
        "add_bos_token": True,
        "add_eos_token": False,
        "bos_token": "<s>",
        "eos_token": "</s>",
        "model_max_length": 512,
        "pad_token": "<unk>",
        "padding_side": "right",
        "tokenizer_class": "LlamaTokenizer",
        "unk_token": "<unk>",
    }
    if case.legacy is not None:
        tc["legacy"] = case.legacy
    write_json(os.path.join(folder, "tokenizer_config.json"), tc)
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<unk>", "unk_token": "<unk>"}
    write_json(os.path.join(folder, "special_tokens_map.json"), special)

    between = projector_weights(case) if case.linears else resampler_weights(case)
    dense = between | llama_weights(case, vocab)
    stored = {n: t.to(case.dtype) for n, t in dense.items()}
    vision = vision_weights(case, "vision_model.")
    if case.tower_tensors:
        # As openai's file: f32, the whole CLIPModel. What is not the vision model must be ignored.
        ignored = {
            "logit_scale": torch.tensor(2.6592),
            "text_model.final_layer_norm.weight": torch.ones(24),
            "vision_model.embeddings.position_ids": torch.arange(case.grid**2 + 1).unsqueeze(0),
            "visual_projection.weight": torch.zeros(8, 8),
        }
        write_shards(tower, vision | ignored, 1, case.bins)
    else:
        vision = {n: t.to(case.dtype) for n, t in vision.items()}
        stored |= {"model.vision_tower.vision_tower." + n: t for n, t in vision.items()}
    if case.name.startswith("b"):
        # Old checkpoints carry it; it must be ignored.
        stored["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(case.head_dim // 2)
    write_shards(folder, stored, case.shards, case.bins)
    return {n: t.float() for n, t in (stored | vision).items()}
