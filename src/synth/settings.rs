//! The small files beside the weights: configuration, tokenizer, what transformers writes.

use super::layout::Layout;
use super::{families, put, put_json};
use crate::config::{Config, LanguageConfig, VisionConfig};
use crate::error::Result;
use crate::text::{Tokenizer, synthetic_model};
use serde_json::{Value, json};
use std::path::Path;

/// Writes everything but the weights.
pub(super) fn write(config: &Config, layout: Layout, shape: &str, out: &Path) -> Result<()> {
    let card = format!(
        "---\nlicense: cc0-1.0\n---\nRandom weights of the shape {shape}. They answer nothing.\n"
    );
    put(&out.join("README.md"), card.as_bytes())?;
    if !config.vision.class_token {
        return families::write(config, out);
    }
    let nested = matches!(layout, Layout::LlavaHf | Layout::LlavaHfNew);
    let json = match layout {
        _ if nested => nested_config(config, layout),
        Layout::MobileVlm => {
            families::mobile(&config.language, &config.vision, Layout::tower_name(config))
        }
        _ => flat_config(config, layout),
    };
    put_json(&out.join("config.json"), &json)?;
    put_json(
        &out.join("generation_config.json"),
        &json!({"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}),
    )?;
    let special = json!({"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<unk>", "unk_token": "<unk>"});
    put_json(&out.join("special_tokens_map.json"), &special)?;
    let model = synthetic_model(config.language.vocab);
    let tokenizer_config = json!({
        "add_bos_token": true, "add_eos_token": false, "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<unk>",
        "legacy": false, "model_max_length": 2048, "padding_side": "right", "tokenizer_class": "LlamaTokenizer",
    });
    put_json(&out.join("tokenizer_config.json"), &tokenizer_config)?;
    if nested {
        let settings = serde_json::to_vec(&tokenizer_config).expect("JSON serialises");
        put(
            &out.join("tokenizer.json"),
            &Tokenizer::from_files(None, Some(&model), Some(&settings))?.to_json(),
        )?;
        put_json(&out.join("preprocessor_config.json"), &preprocessor(config.vision.image_size))?;
    } else {
        put(&out.join("tokenizer.model"), &model)?;
    }
    let tower = out.join(Layout::tower_name(config));
    if layout == Layout::Llava15 || !nested && Layout::tower_name(config) == "vision_tower" {
        std::fs::create_dir_all(&tower).map_err(|e| super::failed(&tower, &e))?;
        put_json(&tower.join("config.json"), &clip_config(&config.vision))?;
        put_json(&tower.join("preprocessor_config.json"), &preprocessor(config.vision.image_size))?;
    }
    Ok(())
}

fn flat_config(config: &Config, layout: Layout) -> Value {
    let mut json = text_config(&config.language, layout.vocab(config));
    let more = json!({
        "architectures": ["LlavaLlamaForCausalLM"], "model_type": "llava_llama", "image_aspect_ratio": "pad",
        "mm_vision_tower": Layout::tower_name(config), "mm_hidden_size": config.vision.hidden, "mm_vision_select_layer": -2,
        "mm_vision_select_feature": "patch", "mm_use_im_start_end": false, "mm_use_im_patch_token": false, "mm_patch_merge_type": "flat",
        "mm_projector_type": if layout == Layout::MqtLlava { "linear" } else { "mlp2x_gelu" }, "use_mm_proj": true,
        "tokenizer_model_max_length": 2048, "tokenizer_padding_side": "right",
        "torch_dtype": if layout == Layout::MqtLlava { "bfloat16" } else { "float16" },
    });
    extend(&mut json, more);
    if let crate::config::Projector::Resampler(r) = &config.projector {
        extend(
            &mut json,
            json!({"query_abstractor_type": "matry_query", "query_abstractor_num_heads": r.heads}),
        );
    }
    json
}

fn nested_config(config: &Config, layout: Layout) -> Value {
    let vocab = layout.vocab(config);
    let mut text = text_config(&config.language, vocab);
    extend(&mut text, json!({"model_type": "llama"}));
    json!({
        "architectures": ["LlavaForConditionalGeneration"], "model_type": "llava", "image_token_index": config.language.vocab,
        "projector_hidden_act": "gelu", "vision_feature_layer": -2, "vision_feature_select_strategy": "default",
        "text_config": text, "vision_config": vision_config(&config.vision), "torch_dtype": "float16",
    })
}

pub(super) fn text_config(l: &LanguageConfig, vocab: usize) -> Value {
    json!({
        "vocab_size": vocab, "hidden_size": l.hidden, "intermediate_size": l.ffn, "num_hidden_layers": l.layers,
        "num_attention_heads": l.shape.heads, "num_key_value_heads": l.shape.kv_heads, "hidden_act": "silu", "rms_norm_eps": short(l.eps),
        "rope_theta": theta(l), "rope_scaling": null, "max_position_embeddings": l.max_positions, "attention_bias": false,
        "tie_word_embeddings": l.tied, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
    })
}

/// A 32-bit number with no more digits than it needs.
fn short(value: f32) -> f64 {
    value.to_string().parse().expect("a number")
}

/// The base of its rotation frequencies, a whole number.
fn theta(l: &LanguageConfig) -> f64 {
    let second = l.inv_freq.get(1).copied().unwrap_or(1.0);
    second.powf(-(l.shape.head_dim as f64) / 2.0).round()
}

fn vision_config(v: &VisionConfig) -> Value {
    json!({
        "model_type": "clip_vision_model", "hidden_size": v.hidden, "intermediate_size": v.mlp, "num_hidden_layers": v.layers + 1,
        "num_attention_heads": v.heads, "num_channels": 3, "image_size": v.image_size, "patch_size": v.patch,
        "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5,
    })
}

fn clip_config(v: &VisionConfig) -> Value {
    json!({"architectures": ["CLIPModel"], "model_type": "clip", "vision_config": vision_config(v)})
}

fn preprocessor(size: usize) -> Value {
    json!({
        "image_processor_type": "CLIPImageProcessor", "crop_size": {"height": size, "width": size}, "size": {"shortest_edge": size},
        "do_center_crop": true, "do_convert_rgb": true, "do_normalize": true, "do_rescale": true, "do_resize": true, "resample": 3,
        "rescale_factor": 1.0 / 255.0, "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711],
    })
}

pub(super) fn extend(json: &mut Value, more: Value) {
    if let (Value::Object(json), Value::Object(more)) = (json, more) {
        json.extend(more);
    }
}
