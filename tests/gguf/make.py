"""Writes the pairs of GGUF files in this folder, and expected.json: what the package `gguf` decodes.

Each pair is a small random LLaVA: a decoder in llama.cpp's layout, and a vision tower with its
projector. `gguf` quantises the older types itself; it can only decode the K types, so their blocks
are random bytes with scales of a sensible size. See README.md for the command.
"""

import hashlib
import io
import json
from pathlib import Path

import gguf
import numpy as np
import sentencepiece
from gguf import GGMLQuantizationType as Type
from sentencepiece import sentencepiece_model_pb2

HERE = Path(__file__).parent
MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
K_TYPES = (Type.Q4_K, Type.Q5_K, Type.Q6_K)
# Of these, two layers of each kind take little room.
SMALL = (Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0, Type.BF16)
TOWER = "model.vision_tower.vision_tower.vision_model."
TEXT = """How many circles are there? There are three red circles and one small blue square.
What colour is the square? The square is blue. Is there a circle above the square? Yes, there is."""

# What differs from LLaVA-1.5's own files, by pair.
PAIRS = {
    "f32": dict(type=Type.F32, bias=True, old_names=False, post_ln=True, tied=True, alignment=64, linear_rope=2.0),
    "f16": dict(type=Type.F16, projector="linear"),
    "bf16": dict(type=Type.BF16, space_prefix=False, feature_layer=1, old_names=False),
    "q8_0": dict(type=Type.Q8_0, gelu=True, theta=500000.0),
    "q4_0": dict(type=Type.Q4_0),
    "q4_1": dict(type=Type.Q4_1),
    "q5_0": dict(type=Type.Q5_0),
    "q5_1": dict(type=Type.Q5_1),
    "q4_k": dict(type=Type.Q4_K, tied=True),
    "q5_k": dict(type=Type.Q5_K, tied=True),
    "q6_k": dict(type=Type.Q6_K, tied=True, head_dim=32),
}


def tokenizer():
    """A SentencePiece model of 300 pieces, as LLaMA's: BPE, bytes, no cleaning."""
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT.splitlines()), model_writer=out, model_type="bpe", vocab_size=300,
        byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
        user_defined_symbols=["<mark>"], hard_vocab_limit=True, num_threads=1, minloglevel=2,
    )
    (HERE / "tokenizer.model").write_bytes(out.getvalue())
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(out.getvalue())
    return model.pieces


def permuted(weights, heads):
    """What llama.cpp's converter does to q and k: partners i and i + n / 2 become neighbours."""
    return weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:]).swapaxes(1, 2).reshape(weights.shape)


def unpermuted(weights, heads):
    """Its inverse."""
    return weights.reshape(heads, weights.shape[0] // heads // 2, 2, *weights.shape[1:]).swapaxes(1, 2).reshape(weights.shape)


class Writer:
    """A GGUF file, and what `gguf` decodes from each of its tensors."""

    def __init__(self, name, arch, kind, rng, alignment):
        self.path, self.kind, self.rng = HERE / f"{name}.gguf", kind, rng
        self.file = gguf.GGUFWriter(self.path, arch)
        if alignment:
            self.file.add_custom_alignment(alignment)
        self.expected = {}

    def random_blocks(self, rows, cols, kind):
        """Valid blocks of a K type, whose values are of the size of weights."""
        values, size = gguf.GGML_QUANT_SIZES[kind]
        blocks = self.rng.integers(0, 256, (rows * cols // values, size), dtype=np.uint8)
        half = lambda low, high: self.rng.uniform(low, high, (len(blocks), 1)).astype(np.float16).view(np.uint8)
        if kind == Type.Q6_K:
            blocks[:, -2:] = half(1e-5, 4e-5)
        else:
            top = 15 if kind == Type.Q4_K else 31
            blocks[:, 0:2] = half(1e-3 / top, 4e-3 / top)
            blocks[:, 2:4] = half(1e-3 / 2, 4e-3 / 2)
        return blocks.reshape(rows, -1)

    def add(self, name, published, shape, spread=0.1, around=0.0, kind=None, heads=0):
        """Adds a tensor; a matrix in the file's type where its rows are whole blocks of it."""
        if kind is None:
            kind = self.kind if len(shape) > 1 else Type.F32
        if shape[-1] % gguf.GGML_QUANT_SIZES[kind][0]:
            kind = Type.Q8_0 if shape[-1] % 32 == 0 and kind in K_TYPES else Type.F16
        if kind in K_TYPES:
            data = self.random_blocks(*shape, kind)
        else:
            values = (self.rng.standard_normal(shape) * spread + around).astype(np.float32)
            data = gguf.quantize(permuted(values, heads) if heads else values, kind)
        self.file.add_tensor(name, data, raw_dtype=kind)
        decoded = gguf.dequantize(data, kind).reshape(shape)
        decoded = unpermuted(decoded, heads) if heads else decoded
        assert np.isfinite(decoded).all()
        digest = hashlib.sha256(decoded.astype("<f4").tobytes()).hexdigest()
        self.expected[published] = dict(name=name, type=kind.name, shape=list(shape), sha256=digest)

    def close(self):
        self.file.write_header_to_file()
        self.file.write_kv_data_to_file()
        self.file.write_tensors_to_file()
        self.file.close()
        return self.expected


def language(name, pair, rng, pieces):
    """The decoder: its tensors, and its part of config.json."""
    wide = pair["type"] in K_TYPES
    hidden, head_dim, ffn = (256, pair.get("head_dim", 16), 32) if wide else (32, 16, 64)
    layers = 2 if pair["type"] in SMALL else 1
    heads, kv_heads = (4, 2) if wide else (2, 1)
    w = Writer(name, "llama", pair["type"], rng, pair.get("alignment"))
    f, theta = w.file, pair.get("theta")
    f.add_name("a small random LLaVA")
    f.add_license("cc0-1.0")
    f.add_context_length(512)
    f.add_embedding_length(hidden)
    f.add_block_count(layers)
    f.add_feed_forward_length(ffn)
    f.add_head_count(heads)
    f.add_head_count_kv(kv_heads)
    f.add_layer_norm_rms_eps(1e-5)
    f.add_rope_dimension_count(head_dim)
    if hidden != heads * head_dim:
        f.add_key_length(head_dim)
        f.add_value_length(head_dim)
    if theta:
        f.add_rope_freq_base(theta)
    if "linear_rope" in pair:
        f.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        f.add_rope_scaling_factor(pair["linear_rope"])
    f.add_vocab_size(len(pieces))
    f.add_tokenizer_model("llama")
    f.add_tokenizer_pre("default")
    f.add_token_list([p.piece for p in pieces])
    f.add_token_scores([p.score for p in pieces])
    f.add_token_types([p.type for p in pieces])
    f.add_bos_token_id(1)
    f.add_eos_token_id(2)
    f.add_unk_token_id(0)
    f.add_add_bos_token(True)
    f.add_add_eos_token(False)
    if "space_prefix" in pair:
        f.add_add_space_prefix(pair["space_prefix"])
    f.add_quantization_version(2)
    w.add("token_embd.weight", "model.embed_tokens.weight", (len(pieces), hidden), spread=0.5)
    for i in range(layers):
        a, b = f"blk.{i}.", f"model.layers.{i}."
        w.add(f"{a}attn_norm.weight", f"{b}input_layernorm.weight", (hidden,), around=1)
        for part, n in [("q", heads), ("k", kv_heads), ("v", kv_heads)]:
            turned = 0 if part == "v" else n
            w.add(f"{a}attn_{part}.weight", f"{b}self_attn.{part}_proj.weight", (n * head_dim, hidden), heads=turned)
            if pair.get("bias"):
                w.add(f"{a}attn_{part}.bias", f"{b}self_attn.{part}_proj.bias", (n * head_dim,), heads=turned)
        w.add(f"{a}attn_output.weight", f"{b}self_attn.o_proj.weight", (hidden, heads * head_dim))
        w.add(f"{a}ffn_norm.weight", f"{b}post_attention_layernorm.weight", (hidden,), around=1)
        w.add(f"{a}ffn_gate.weight", f"{b}mlp.gate_proj.weight", (ffn, hidden))
        w.add(f"{a}ffn_up.weight", f"{b}mlp.up_proj.weight", (ffn, hidden))
        w.add(f"{a}ffn_down.weight", f"{b}mlp.down_proj.weight", (hidden, ffn))
    w.add("output_norm.weight", "model.norm.weight", (hidden,), around=1)
    if not pair.get("tied"):
        w.add("output.weight", "lm_head.weight", (len(pieces), hidden))
    config = dict(
        model_type="llava_llama", hidden_size=hidden, num_hidden_layers=layers, intermediate_size=ffn,
        num_attention_heads=heads, num_key_value_heads=kv_heads, head_dim=head_dim, rms_norm_eps=1e-5,
        max_position_embeddings=512, rope_theta=theta or 10000.0, bos_token_id=1, eos_token_id=2,
        tie_word_embeddings=bool(pair.get("tied")),
    )
    if "linear_rope" in pair:
        config["rope_scaling"] = dict(type="linear", factor=pair["linear_rope"])
    return w.close(), config


def vision(name, pair, rng, hidden):
    """The tower and the projector: its tensors, and the tower's config.json."""
    width, heads, mlp, side, patch, stored = 32, 2, 64, 14, 7, 2 if pair["type"] in SMALL else 1
    linear, gelu = pair.get("projector") == "linear", pair.get("gelu", False)
    w = Writer(f"{name}-mmproj", "clip", pair["type"], rng, pair.get("alignment"))
    f = w.file
    f.add_bool("clip.has_text_encoder", False)
    f.add_bool("clip.has_vision_encoder", True)
    f.add_bool("clip.has_llava_projector", True)
    f.add_string("clip.projector_type", "linear" if linear else "mlp")
    f.add_bool("clip.use_gelu", gelu)
    for key, value in [
        ("image_size", side), ("patch_size", patch), ("embedding_length", width), ("feed_forward_length", mlp),
        ("projection_dim", 24), ("attention.head_count", heads), ("block_count", stored),
    ]:
        f.add_uint32(f"clip.vision.{key}", value)
    f.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    f.add_array("clip.vision.image_mean", MEAN)
    f.add_array("clip.vision.image_std", STD)
    if "feature_layer" in pair:
        f.add_array("clip.vision.feature_layer", [pair["feature_layer"]])
    numbers = [""] if linear else ["0.", "2."]
    for i, number in enumerate(numbers):
        w.add(f"mm.{number}weight", f"model.mm_projector.{number}weight", (hidden, hidden if i else width))
        w.add(f"mm.{number}bias", f"model.mm_projector.{number}bias", (hidden,))
    small = w.kind if w.kind in (Type.F32, Type.BF16) else Type.F16
    w.add("v.patch_embd.weight", f"{TOWER}embeddings.patch_embedding.weight", (width, 3, patch, patch), kind=small)
    w.add("v.class_embd", f"{TOWER}embeddings.class_embedding", (width,))
    places = (side // patch) ** 2 + 1
    w.add("v.position_embd.weight", f"{TOWER}embeddings.position_embedding.weight", (places, width))
    norms = [("v.pre_ln", "pre_layrnorm")] + ([("v.post_ln", "post_layernorm")] if pair.get("post_ln") else [])
    up, down = ("ffn_down", "ffn_up") if pair.get("old_names", True) else ("ffn_up", "ffn_down")
    for i in range(stored):
        layer = f"encoder.layers.{i}."
        norms += [(f"v.blk.{i}.ln{n}", f"{layer}layer_norm{n}") for n in (1, 2)]
        matrices = [(f"attn_{p}", f"self_attn.{p}_proj", (width, width)) for p in ("q", "k", "v", "out")]
        for own, published, shape in matrices + [(up, "mlp.fc1", (mlp, width)), (down, "mlp.fc2", (width, mlp))]:
            w.add(f"v.blk.{i}.{own}.weight", f"{TOWER}{layer}{published}.weight", shape)
            w.add(f"v.blk.{i}.{own}.bias", f"{TOWER}{layer}{published}.bias", shape[:1])
    for own, published in norms:
        w.add(f"{own}.weight", f"{TOWER}{published}.weight", (width,), around=1)
        w.add(f"{own}.bias", f"{TOWER}{published}.bias", (width,))
    # LLaVA reads the last layer but one; the converter has dropped the last.
    config = dict(
        image_size=side, patch_size=patch, hidden_size=width, intermediate_size=mlp, num_attention_heads=heads,
        num_hidden_layers=stored + 1, layer_norm_eps=1e-5, hidden_act="gelu" if gelu else "quick_gelu",
    )
    return w.close(), config


def main():
    pieces, all_expected = tokenizer(), {}
    for seed, (name, pair) in enumerate(PAIRS.items()):
        rng = np.random.default_rng(seed)
        tensors, config = language(name, pair, rng, pieces)
        tower_tensors, tower = vision(name, pair, rng, config["hidden_size"])
        linear = pair.get("projector") == "linear"
        config |= dict(
            mm_vision_select_layer=pair.get("feature_layer", -2), mm_projector_type="linear" if linear else "mlp2x_gelu",
            image_aspect_ratio="pad", mm_hidden_size=tower["hidden_size"],
        )
        all_expected[name] = dict(
            config=config, tower=tower, preprocessor=dict(image_mean=MEAN, image_std=STD),
            space_prefix=pair.get("space_prefix", True), tensors=tensors | tower_tensors,
        )
    (HERE / "expected.json").write_text(json.dumps(all_expected, separators=(",", ":")).replace('},"', '},\n"') + "\n")
    files = [*HERE.glob("*.gguf"), HERE / "expected.json", HERE / "tokenizer.model"]
    print(len(files), "files,", sum(file.stat().st_size for file in files), "bytes")


main()
