"""Writes the trained network as a checkpoint folder in the layout of MQT-LLaVA (f16, LLaVA-original names)."""

import json
import os
import shutil
import sys

import torch
from safetensors.torch import save_file

import tokenizer
from model import Config, MqtLlava

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
    """A network with the weights of an exported folder, as f32."""
    from safetensors.torch import load_file
    tensors = load_file(f"{folder}/model.safetensors")
    net = MqtLlava(Config())
    net.load_state_dict({n: tensors[published_name(n)].float() for n in net.state_dict()})
    return net


if __name__ == "__main__":
    # python export.py RUN_FOLDER CHECKPOINT_FOLDER: whatever stage the run has reached
    run, folder = sys.argv[1:3]
    if not os.path.exists(f"{run}/tokenizer/tokenizer.model"):
        tokenizer.build(f"{run}/tokenizer")
    torch.manual_seed(1)
    net = MqtLlava(Config())
    if os.path.exists(f"{run}/tower.pt"):
        net.vision_tower.load_state_dict(torch.load(f"{run}/tower.pt", weights_only=False)["tower"])
    if os.path.exists(f"{run}/language.pt"):
        saved = torch.load(f"{run}/language.pt", weights_only=False)
        for name in ("query_abstractor", "model", "lm_head"):
            getattr(net, name).load_state_dict(saved[name])
        print("language model after", saved["questions"], "questions")
    export(net, folder, f"{run}/tokenizer")
