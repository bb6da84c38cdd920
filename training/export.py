"""Writes the trained network as a checkpoint folder in the layout of MQT-LLaVA (f16, LLaVA-original names)."""

import json
import os
import shutil
import sys

import torch
from safetensors.torch import load_file, save_file

import tokenizer
from model import Config, MqtLlava
from scenes import STICKERS

PREFIX = {"vision_tower.": "model.vision_tower.vision_tower.vision_model.", "query_abstractor.": "model.query_abstractor."}


def published_name(name):
    for own, published in PREFIX.items():
        if name.startswith(own):
            return published + name[len(own):]
    return name  # model.* and lm_head.* are already right


def write_json(path, value):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        json.dump(value, f, indent=2)
        f.write("\n")


def export(net, folder, tokenizer_folder):
    c = net.config
    os.makedirs(folder, exist_ok=True)
    tensors = {published_name(n): t.detach().to(torch.float16).contiguous() for n, t in net.state_dict().items()}
    save_file(tensors, f"{folder}/model.safetensors.tmp", metadata={"format": "pt"})
    os.chmod(f"{folder}/model.safetensors.tmp", 0o644)
    os.replace(f"{folder}/model.safetensors.tmp", f"{folder}/model.safetensors")
    for name in ("tokenizer.model", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(f"{tokenizer_folder}/{name}", folder)
    shutil.copy(f"{STICKERS}/manifest.json", f"{folder}/scenes.json")  # what the page's composer may offer for this model
    with open(f"{folder}/README.md", "w") as f:  # the model card, whose licence `mqt convert` takes over
        f.write("---\nlicense: MIT OR Apache-2.0\n---\n\nThe toybox model; `models/toybox/README.md` says what it knows, `training/README.md` how it was made.\n")
    write_json(f"{folder}/config.json", {
        "architectures": ["LlavaLlamaForCausalLM"], "model_type": "llava_llama",
        "vocab_size": c.vocab, "hidden_size": c.hidden, "intermediate_size": c.mlp, "num_hidden_layers": c.layers,
        "num_attention_heads": c.heads, "num_key_value_heads": c.kv_heads, "hidden_act": "silu", "rms_norm_eps": c.rms_eps,
        "rope_theta": c.rope_theta, "rope_scaling": None, "max_position_embeddings": c.max_positions,
        "attention_bias": False, "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
        "mm_vision_tower": "vision_tower", "mm_hidden_size": c.vision_hidden, "mm_vision_select_layer": -2,
        "mm_vision_select_feature": "patch", "mm_use_im_start_end": False, "mm_use_im_patch_token": False,
        "mm_patch_merge_type": "flat", "mm_projector_type": "linear", "use_mm_proj": True,
        "query_abstractor_type": "matry_query", "query_abstractor_num_heads": c.query_heads,
        "image_aspect_ratio": "pad", "tokenizer_model_max_length": c.max_positions, "tokenizer_padding_side": "right",
        "torch_dtype": "float16"})
    write_json(f"{folder}/generation_config.json", {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "do_sample": False})
    write_json(f"{folder}/vision_tower/config.json", {
        "model_type": "clip_vision_model", "architectures": ["CLIPVisionModel"], "hidden_size": c.vision_hidden,
        "intermediate_size": c.vision_mlp, "num_hidden_layers": c.vision_layers, "num_attention_heads": c.vision_heads,
        "num_channels": 3, "image_size": c.image_size, "patch_size": c.patch_size, "hidden_act": "quick_gelu",
        "layer_norm_eps": 1e-5, "torch_dtype": "float16"})
    write_json(f"{folder}/vision_tower/preprocessor_config.json", {
        "image_processor_type": "CLIPImageProcessor", "do_resize": True, "size": {"shortest_edge": c.image_size}, "resample": 3,
        "do_center_crop": True, "crop_size": {"height": c.image_size, "width": c.image_size}, "do_rescale": True,
        "rescale_factor": 1 / 255, "do_normalize": True, "do_convert_rgb": True,
        "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]})


def load_exported(folder):
    """A network with the weights of an exported folder, as f32; its sizes are the folder's, not those of today's `Config`."""
    tensors = load_file(f"{folder}/model.safetensors")
    with open(f"{folder}/config.json") as f:
        c = json.load(f)
    with open(f"{folder}/vision_tower/config.json") as f:
        v = json.load(f)
    net = MqtLlava(Config(
        image_size=v["image_size"], patch_size=v["patch_size"], vision_hidden=v["hidden_size"], vision_mlp=v["intermediate_size"],
        vision_layers=v["num_hidden_layers"], vision_heads=v["num_attention_heads"],
        queries=len(tensors["model.query_abstractor.query"]), query_heads=c["query_abstractor_num_heads"],
        vocab=c["vocab_size"], hidden=c["hidden_size"], mlp=c["intermediate_size"], layers=c["num_hidden_layers"],
        heads=c["num_attention_heads"], kv_heads=c["num_key_value_heads"], rope_theta=c["rope_theta"],
        rms_eps=c["rms_norm_eps"], max_positions=c["max_position_embeddings"]))
    net.load_state_dict({n: tensors[published_name(n)].float() for n in net.state_dict()})
    return net


def trained(run):
    """The network of a run folder, whatever stage it has reached, and how many questions it has seen."""
    torch.manual_seed(1)
    net, asked = MqtLlava(Config()), 0
    load = lambda name: torch.load(f"{run}/{name}.pt", weights_only=False, map_location="cpu")
    if os.path.exists(f"{run}/tower.pt"):
        net.vision_tower.load_state_dict(load("tower")["tower"])
    if os.path.exists(f"{run}/language.pt"):
        saved = load("language")
        asked = saved["questions"]
        for name in ("query_abstractor", "model", "lm_head"):
            getattr(net, name).load_state_dict(saved[name])
    return net, asked


if __name__ == "__main__":
    # python export.py RUN_FOLDER CHECKPOINT_FOLDER
    run, folder = sys.argv[1:3]
    if not os.path.exists(f"{run}/tokenizer/tokenizer.model"):
        tokenizer.build(f"{run}/tokenizer")
    net, asked = trained(run)
    export(net, folder, f"{run}/tokenizer")
    print("written to", folder, "after", asked, "questions")
