"""Two pictures in one question, and a clip, of the tiny checkpoints beside this file, as PyTorch's own
classes see them: writes CASE/several.safetensors and CASE/several.json.

    pip install torch==2.15.0 transformers==5.24.0 torchvision==0.29.2 pillow num2words
    python tests/families/several.py

The second picture: the first one mirrored for smolvlm, so that both have the same levels; that of another case
otherwise. Tensors: `clip.frames` [frames, S, S, 3] in bytes; `NAME.pixel_values` [tiles, 3, S, S] in the order of the prompt, `NAME.input_ids` (the picture's id once per
image token, as -200), `NAME.logits` [8, vocabulary] of the last positions. NAME is `two`, `two.` and the longest edge,
or `clip`.
"""
import json
from pathlib import Path

import numpy as np
import torch
import transformers as hf
from PIL import Image
from safetensors.torch import save_file

HERE = Path(__file__).parent
QUESTION = "what is unusual about the café ☃ in image 2024?"
LAST = 8
MODELS = {
    "smolvlm": hf.SmolVLMForConditionalGeneration,
    "granite_docling": hf.Idefics3ForConditionalGeneration,
    "llava_interleave": hf.LlavaForConditionalGeneration,
    "llava_onevision": hf.LlavaOnevisionForConditionalGeneration,
}


def picture(case):
    image = Image.open(HERE / case / "image.png")
    if image.mode in ("RGBA", "LA", "P"):
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image)
        image = white
    return image.convert("RGB")


def of(case, model, processor, images, content, name, edge=None, **more):
    message = {"role": "user", "content": content + [{"type": "text", "text": QUESTION}]}
    prompt = processor.apply_chat_template([message], add_generation_prompt=True)
    given = {"text": prompt, "return_tensors": "pt"}
    # One list for one prompt: pictures of a flat list count as alone.
    given.update({"images": [images]} if images else more)
    if edge:
        given["images_kwargs"] = {"size": {"longest_edge": edge}}
    inputs = processor(**given)
    with torch.no_grad():
        logits = model(**inputs).logits[0].float()
    pixels = inputs.get("pixel_values", inputs.get("pixel_values_videos"))
    pixels = pixels.reshape(-1, *pixels.shape[-3:]).float()
    ids = inputs["input_ids"][0].to(torch.int32)
    image = model.config.image_token_id if images else model.config.video_token_id
    file = {
        f"{name}.pixel_values": pixels.contiguous(),
        f"{name}.input_ids": torch.where(ids == image, -200, ids).to(torch.int32),
        f"{name}.logits": logits[-LAST:].contiguous(),
    }
    return file, {"prompt": prompt, "image_tokens": int((ids == image).sum()), "edge": edge}


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    for case, kind in MODELS.items():
        folder = HERE / case / "checkpoint"
        model = kind.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        processor = hf.AutoProcessor.from_pretrained(folder)
        processor.image_processor = hf.AutoImageProcessor.from_pretrained(folder, backend="pil")
        other = {"smolvlm": None, "llava_interleave": "llava_onevision"}.get(case, "llava_interleave")
        first = picture(case)
        second = picture(other) if other else first.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        pictures, two = [first, second], [{"type": "image"}] * 2
        side = model.config.vision_config.image_size
        edges = [side, 2 * side] if case in ("smolvlm", "granite_docling") else None
        file, facts = {}, {"question": QUESTION, "other": other}
        for edge in edges or [None]:
            name = f"two.{edge}" if edge else "two"
            tensors, facts[name] = of(case, model, processor, pictures, two, name, edge)
            file.update(tensors)
        if case == "llava_onevision":
            frames = pictures + [picture("smolvlm")]
            clip = np.stack([np.asarray(frame.resize((side, side), Image.Resampling.NEAREST)) for frame in frames])
            tensors, facts["clip"] = of(
                case, model, processor, None, [{"type": "video"}], "clip", videos=[clip]
            )
            file.update(tensors)
            file["clip.frames"] = torch.from_numpy(clip)
        save_file(file, HERE / case / "several.safetensors")
        (HERE / case / "several.json").write_text(json.dumps(facts, ensure_ascii=False, indent=1) + "\n")
        print(case, {k: tuple(v.shape) for k, v in file.items()}, facts)


main()
