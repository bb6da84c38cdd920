//! The small files beside the weights of SmolVLM, granite-docling, LLaVA-interleave and
//! LLaVA-OneVision, and the configuration of MobileVLM V2, as their publishers write them.

use super::bytes::{Bytes, digits, split};
use super::settings::{extend, text_config};
use super::{put, put_json};
use crate::config::{Config, LanguageConfig, Projector, VisionConfig};
use crate::error::Result;
use crate::image::tiles::Tiling;
use serde_json::{Value, json};
use std::path::Path;

/// A family with a SigLIP tower.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    SmolVlm,
    Granite,
    Interleave,
    OneVision,
}

impl Kind {
    fn of(config: &Config) -> Kind {
        match &config.projector {
            Projector::Shuffle(_) if config.language.tied => Kind::Granite,
            Projector::Shuffle(_) => Kind::SmolVlm,
            Projector::Mlp(mlp) if mlp.newline => Kind::OneVision,
            _ => Kind::Interleave,
        }
    }

    fn is_idefics(self) -> bool {
        matches!(self, Kind::SmolVlm | Kind::Granite)
    }
}

/// Writes everything but the weights of a family with a SigLIP tower.
pub(super) fn write(config: &Config, out: &Path) -> Result<()> {
    let kind = Kind::of(config);
    let (image, [bos, end, pad]) = ids(kind);
    let json =
        if kind.is_idefics() { idefics(config, kind, image) } else { qwen(config, kind, image) };
    put_json(&out.join("config.json"), &json)?;
    let generation = json!({"bos_token_id": bos, "eos_token_id": end, "pad_token_id": pad});
    put_json(&out.join("generation_config.json"), &generation)?;
    put_json(&out.join("preprocessor_config.json"), &preprocessor(config, kind))?;
    let seen = config.square_tokens();
    let processor = match kind {
        Kind::SmolVlm | Kind::Granite => {
            json!({"image_seq_len": seen, "processor_class": class(kind)})
        }
        Kind::Interleave => json!({
            "image_token": "<image>", "patch_size": config.vision.patch, "processor_class": class(kind),
            "vision_feature_select_strategy": "full",
        }),
        Kind::OneVision => json!({
            "image_token": "<image>", "num_image_tokens": seen, "processor_class": class(kind),
            "video_token": "<video>", "vision_aspect_ratio": ratio(config), "vision_feature_select_strategy": "full",
        }),
    };
    put_json(&out.join("processor_config.json"), &processor)?;
    let tokenizer = tokenizer(kind);
    put_json(&out.join("tokenizer.json"), &tokenizer.json())?;
    let text = |id: u32| {
        let found = tokenizer.special.iter().find(|(special, _)| *special == id);
        found.map(|(_, text)| text.clone())
    };
    let mut settings = json!({
        "bos_token": text(bos).filter(|_| kind.is_idefics()), "eos_token": text(end), "pad_token": text(pad),
        "add_prefix_space": false, "clean_up_tokenization_spaces": false, "model_max_length": config.language.max_positions,
        "tokenizer_class": if kind.is_idefics() { "GPT2Tokenizer" } else { "Qwen2Tokenizer" },
        "processor_class": class(kind), "added_tokens_decoder": tokenizer.added(),
    });
    if !kind.is_idefics() {
        extend(&mut settings, json!({"add_bos_token": false, "unk_token": null}));
    }
    put_json(&out.join("tokenizer_config.json"), &settings)?;
    put(&out.join("chat_template.jinja"), template(kind).as_bytes())
}

fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::SmolVlm => "SmolVLMProcessor",
        Kind::Granite => "Idefics3Processor",
        Kind::Interleave => "LlavaProcessor",
        Kind::OneVision => "LlavaOnevisionProcessor",
    }
}

/// The picture's id, and those of beginning, end and padding.
fn ids(kind: Kind) -> (u32, [u32; 3]) {
    match kind {
        Kind::SmolVlm => (49_190, [1, 49_279, 2]),
        Kind::Granite => (100_270, [100_264, 100_257, 100_257]),
        Kind::Interleave | Kind::OneVision => (151_646, [151_643, 151_645, 151_643]),
    }
}

fn idefics(config: &Config, kind: Kind, image: u32) -> Value {
    let v = &config.vision;
    let Projector::Shuffle(shuffle) = &config.projector else { unreachable!("by its kind") };
    let mut text = text_config(&config.language, config.language.vocab);
    extend(&mut text, json!({"model_type": "llama", "head_dim": config.language.shape.head_dim}));
    let edge = json!({"longest_edge": v.image_size});
    let mut vision = json!({
        "hidden_size": v.hidden, "image_size": v.image_size, "patch_size": v.patch, "num_attention_heads": v.heads,
        "intermediate_size": v.mlp, "max_image_size": edge,
    });
    let (model, tied) = match kind {
        Kind::Granite => {
            extend(&mut vision, said(v, "idefics3_vision"));
            ("idefics3", true)
        }
        _ => {
            extend(&mut vision, json!({"model_type": "smolvlm_vision"}));
            // The published shapes have the default number of layers and do not say so.
            if v.layers != 12 {
                extend(&mut vision, json!({"num_hidden_layers": v.layers}));
            }
            ("smolvlm", false)
        }
    };
    let architecture =
        if tied { "Idefics3ForConditionalGeneration" } else { "SmolVLMForConditionalGeneration" };
    json!({
        "architectures": [architecture], "model_type": model, "tie_word_embeddings": tied, "image_token_id": image,
        "scale_factor": shuffle.scale, "text_config": text, "vision_config": vision, "use_cache": true,
        "vocab_size": config.language.vocab,
    })
}

/// What a tower's configuration says where it leaves nothing to defaults.
fn said(v: &VisionConfig, model_type: &str) -> Value {
    json!({
        "model_type": model_type, "num_hidden_layers": v.layers, "num_channels": 3,
        "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6,
    })
}

fn qwen(config: &Config, kind: Kind, image: u32) -> Value {
    let v = &config.vision;
    let mut text = text_config(&config.language, config.language.vocab);
    extend(
        &mut text,
        json!({
            "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "use_sliding_window": false,
            "sliding_window": config.language.max_positions, "tie_word_embeddings": true,
            "bos_token_id": 151_643, "eos_token_id": 151_645,
        }),
    );
    let mut vision = said(v, "siglip_vision_model");
    extend(
        &mut vision,
        json!({
            "hidden_size": v.hidden, "image_size": v.image_size, "patch_size": v.patch,
            "num_attention_heads": v.heads, "intermediate_size": v.mlp, "vision_use_head": false,
        }),
    );
    let mut json = json!({
        "image_token_index": image, "projector_hidden_act": "gelu", "text_config": text, "vision_config": vision,
        "tie_word_embeddings": false, "vision_feature_layer": -1, "vision_feature_select_strategy": "full",
        "torch_dtype": "float16",
    });
    extend(
        &mut json,
        if kind == Kind::OneVision {
            json!({
                "architectures": ["LlavaOnevisionForConditionalGeneration"], "model_type": "llava_onevision",
                "image_grid_pinpoints": sizes(config), "vision_aspect_ratio": ratio(config),
                "use_image_newline_parameter": true, "video_token_index": 151_647,
            })
        } else {
            json!({"architectures": ["LlavaForConditionalGeneration"], "model_type": "llava"})
        },
    );
    json
}

fn sizes(config: &Config) -> &[[usize; 2]] {
    match &config.preparing.tiling {
        Tiling::Pinpoints { sizes, .. } => sizes,
        _ => &[],
    }
}

fn ratio(config: &Config) -> String {
    match &config.preparing.tiling {
        Tiling::Pinpoints { most, .. } => format!("anyres_max_{most}"),
        _ => String::new(),
    }
}

fn preprocessor(config: &Config, kind: Kind) -> Value {
    let side = config.vision.image_size;
    let mut json = json!({
        "do_convert_rgb": true, "do_normalize": true, "do_rescale": true, "do_resize": true,
        "image_mean": config.mean, "image_std": config.std, "processor_class": class(kind), "rescale_factor": 1.0 / 255.0,
    });
    let square = json!({"height": side, "width": side});
    extend(
        &mut json,
        match kind {
            Kind::SmolVlm | Kind::Granite => {
                let (published, split) = match config.preparing.tiling {
                    Tiling::Edges { published, split } => (published, split),
                    _ => (1, false),
                };
                json!({
                    "image_processor_type": if kind == Kind::Granite { "Idefics3ImageProcessor" } else { "SmolVLMImageProcessor" },
                    "do_image_splitting": split, "do_pad": true, "max_image_size": {"longest_edge": side},
                    "size": {"longest_edge": published * side}, "resample": 1,
                })
            }
            Kind::Interleave => {
                json!({"image_processor_type": "SiglipImageProcessor", "size": square, "resample": 3})
            }
            Kind::OneVision => json!({
                "image_processor_type": "LlavaOnevisionImageProcessor", "do_pad": true, "size": square, "resample": 3,
                "image_grid_pinpoints": sizes(config),
            }),
        },
    );
    json
}

fn tokenizer(kind: Kind) -> Bytes {
    let text = |(id, text): (u32, &str)| (id, text.to_owned());
    let row = |r: u32, c: u32| format!("<row_{r}_col_{c}>");
    match kind {
        Kind::SmolVlm => {
            let named = [
                (0, "<|endoftext|>"),
                (1, "<|im_start|>"),
                (2, "<|im_end|>"),
                (49_152, "<global-img>"),
                (49_189, "<fake_token_around_image>"),
                (49_190, "<image>"),
                (49_279, "<end_of_utterance>"),
            ];
            let rows = (0..36).map(|i| (49_153 + i, row(i / 6 + 1, i % 6 + 1)));
            let special = named.into_iter().map(text).chain(rows).collect();
            Bytes { special, ids: 49_280, normalizer: Value::Null, pre_tokenizer: digits() }
        }
        Kind::Granite => {
            let named = [
                (100_257, "<|end_of_text|>"),
                (100_264, "<|start_of_role|>"),
                (100_265, "<|end_of_role|>"),
                (100_270, "<image>"),
                (100_338, "<|unk|>"),
                (100_280, "<doctag>"),
                (100_339, "<fake_token_around_image>"),
                (100_340, "<global-img>"),
                // In the tokenizer, and beyond the embedding table.
                (100_352, "<end_of_utterance>"),
            ];
            // Scattered, as published.
            let first = [100_258, 100_259, 100_261, 100_262, 100_263, 100_267, 100_268];
            let rows = first.into_iter().chain(100_341..=100_349).zip(0..);
            let rows = rows.map(|(id, i): (u32, u32)| (id, row(i / 4 + 1, i % 4 + 1)));
            let special = named.into_iter().map(text).chain(rows).collect();
            let pre_tokenizer = split(r"\p{N}{1,3}");
            Bytes { special, ids: 100_353, normalizer: Value::Null, pre_tokenizer }
        }
        Kind::Interleave | Kind::OneVision => {
            let named = [
                (151_643, "<|endoftext|>"),
                (151_644, "<|im_start|>"),
                (151_645, "<|im_end|>"),
                (151_646, "<image>"),
                (151_647, "<video>"),
            ];
            let with_video = usize::from(kind == Kind::OneVision);
            let special = named.into_iter().take(4 + with_video).map(text).collect();
            let normalizer = json!({"type": "NFC"});
            let ids = 151_647 + with_video as u32;
            Bytes { special, ids, normalizer, pre_tokenizer: split(r"\p{N}") }
        }
    }
}

/// The conversation as a chat template; its pieces are those that the family was trained with.
fn template(kind: Kind) -> String {
    // Content is a list of parts, or a text.
    let parts = "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}{% elif part['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}{% endif %}";
    let turns = |before: &str, after: &str, opening: &str| {
        format!(
            "{{% for message in messages %}}{before}{parts}{after}{{% endfor %}}{{% if add_generation_prompt %}}{opening}{{% endif %}}"
        )
    };
    match kind {
        Kind::SmolVlm => {
            let role = "{{ message['role'] | capitalize }}{% if message['content'] is not string and message['content'][0]['type'] == 'image' %}{{ ':' }}{% else %}{{ ': ' }}{% endif %}";
            format!(
                "<|im_start|>{}",
                turns(role, "<end_of_utterance>{{ '\\n' }}", "{{ 'Assistant:' }}")
            )
        }
        Kind::Granite => turns(
            "{{ '<|start_of_role|>' + message['role'] + '<|end_of_role|>' }}",
            "{{ '<|end_of_text|>\\n' }}",
            "{{ '<|start_of_role|>assistant<|end_of_role|>' }}",
        ),
        Kind::Interleave | Kind::OneVision => {
            let (sep, newline) = if kind == Kind::OneVision { (" ", "") } else { ("\\n", "\\n") };
            let pictures = "{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}";
            let words = "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ '\\n' + part['text'] }}{% endif %}{% endfor %}";
            format!(
                "{{% for message in messages %}}{{{{ '<|im_start|>' + message['role'] + '{sep}' }}}}{pictures}{words}{{{{ '<|im_end|>{newline}' }}}}{{% endfor %}}{{% if add_generation_prompt %}}{{{{ '<|im_start|>assistant\\n' }}}}{{% endif %}}"
            )
        }
    }
}

/// MobileVLM V2's `config.json`; its tower's numbers are built in, as its file only names them.
pub(super) fn mobile(l: &LanguageConfig, v: &VisionConfig, tower: &str) -> Value {
    let mut json = text_config(l, l.vocab);
    extend(
        &mut json,
        json!({
            "architectures": ["MobileLlamaForCausalLM"], "model_type": "mobilevlm", "mm_projector_type": "ldpnetv2",
            "vision_tower_type": "clip", "mm_vision_tower": tower, "mm_hidden_size": v.hidden, "mm_vision_select_layer": -2,
            "mm_vision_select_feature": "patch", "mm_use_im_start_end": false, "mm_use_im_patch_token": false,
            "image_aspect_ratio": "pad", "use_mm_proj": true, "max_sequence_length": l.max_positions, "torch_dtype": "float16",
        }),
    );
    json
}
