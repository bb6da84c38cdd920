//! Settings that were passed over in silence: each is honoured, or refused by name and file.

use super::bad_model::Copy;
use crate::common::{mqt, picture, text, words};
use serde_json::{Value, json};
use std::fs;

const WEIGHTS: &str = "model.safetensors";
/// Where the case `d-floor-grid` keeps its tower.
const TOWER: &str = "towers/clip-120/config.json";

fn change(copy: &Copy, file: &str, change: impl FnOnce(&mut Value)) {
    let path = copy.file(file);
    let mut value = match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap(),
        Err(_) => json!({}),
    };
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

/// The case `d-floor-grid` with one field changed.
fn with(file: &str, key: &str, value: &Value) -> Copy {
    let copy = Copy::of("d-floor-grid");
    change(&copy, file, |all| all[key] = value.clone());
    copy
}

fn opens(copy: &Copy) {
    mqt(["inspect", &text(&copy.path)]).ok();
}

#[test]
fn a_field_of_a_wrong_type_is_refused_by_name() {
    for (key, value) in [
        ("attention_bias", json!("x")),
        ("attention_bias", json!(0)),
        ("mlp_bias", json!("false")),
        ("use_cache", json!("yes")),
        ("mm_use_im_patch_token", json!(1)),
        ("vocab_size", json!("700")),
        ("vocab_size", json!([700])),
        ("pretraining_tp", json!(1.5)),
        ("pad_token_id", json!("0")),
        ("initializer_range", json!("small")),
        ("torch_dtype", json!(16)),
        ("model_type", json!(["llava_llama"])),
        ("architectures", json!("LlavaLlamaForCausalLM")),
        ("vision_config", json!("clip")),
        ("text_config", json!([])),
    ] {
        with("config.json", key, &value).refused(&format!("config.json is not usable: {key} is"));
    }
    // What files really have there.
    for (key, value) in [
        ("pad_token_id", json!(-1)),
        ("image_token_index", json!(-200)),
        ("attention_bias", Value::Null),
        ("use_cache", json!(false)),
        ("mm_projector_lr", json!(2e-5)),
    ] {
        opens(&with("config.json", key, &value));
    }
}

#[test]
fn numbers_that_the_tensors_contradict_are_refused_by_name() {
    for (key, value) in [
        ("vocab_size", json!(699)),
        ("vocab_size", json!(0)),
        ("vocab_size", json!(-1)),
        ("vocab_size", json!(u64::MAX)),
        ("attention_bias", json!(true)),
        ("mlp_bias", json!(true)),
    ] {
        with("config.json", key, &value).refused(key);
    }
    // One more or one less than there are.
    for layers in [1, 3] {
        with("config.json", "num_hidden_layers", &json!(layers)).refused("model.layers.");
    }
    let copy = Copy::of("d-floor-grid");
    change(&copy, TOWER, |tower| tower["vision_config"]["num_hidden_layers"] = json!(3));
    copy.refused("num_hidden_layers is 3, but the tower has tensors of 2 layers");
}

#[test]
fn towers_that_are_not_clips_are_refused_by_name() {
    for kind in [json!("siglip_vision_model"), json!("dinov2"), json!(""), json!(["clip"])] {
        let copy = Copy::of("d-floor-grid");
        change(&copy, TOWER, |tower| tower["vision_config"]["model_type"] = kind.clone());
        copy.refused("the vision tower's config.json is not usable: model_type");
        // In the file around it.
        with(TOWER, "model_type", &kind).refused("the vision tower's config.json is not usable");
        let copy = Copy::of("c-crop");
        change(&copy, "vision_tower/config.json", |tower| tower["model_type"] = kind);
        copy.refused("model_type");
    }
    let copy = Copy::of("c-crop");
    let tower = "vision_tower/config.json";
    change(&copy, tower, |tower| tower["architectures"] = json!(["SiglipVisionModel"]));
    copy.refused("architectures \"SiglipVisionModel\"");
    change(&copy, tower, |tower| tower["architectures"] = json!(["CLIPModel"]));
    opens(&copy);
    change(&copy, tower, |tower| tower["attention_dropout"] = json!("x"));
    copy.refused("attention_dropout");
}

#[test]
fn rope_scaling_that_lacks_what_it_needs_is_refused() {
    let llama3 = json!({
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192
    });
    let without = |key: &str| {
        let mut less = llama3.clone();
        less.as_object_mut().unwrap().remove(key);
        less
    };
    for (value, hint) in [
        (json!({"type": "dynamic"}), "\"dynamic\" has no factor"),
        (json!({"type": "linear"}), "\"linear\" has no factor"),
        (json!({"rope_type": "linear", "factor": null}), "\"linear\" has no factor"),
        (json!({"type": "linear", "factor": "2"}), "factor is"),
        (json!({"type": "linear", "rope_type": "dynamic", "factor": 2.0}), "two types"),
        (json!({"factor": 2.0}), "names no type"),
        (without("factor"), "has no factor"),
        (without("low_freq_factor"), "has no low_freq_factor"),
        (without("high_freq_factor"), "has no high_freq_factor"),
        (without("original_max_position_embeddings"), "has no original_max_position_embeddings"),
    ] {
        for key in ["rope_scaling", "rope_parameters"] {
            with("config.json", key, &value).refused(hint);
        }
    }
    let mut crossed = llama3.clone();
    crossed["high_freq_factor"] = json!(1.0);
    with("config.json", "rope_scaling", &crossed).refused("high_freq_factor");
    // One for each kind of layer.
    let nested = json!({"full_attention": {"rope_type": "default", "rope_theta": 1e6}});
    with("config.json", "rope_parameters", &nested).refused("names no type");
    let twice = with("config.json", "rope_parameters", &json!({"rope_type": "default"}));
    change(&twice, "config.json", |all| {
        all["rope_scaling"] = json!({"type": "linear", "factor": 2.0})
    });
    twice.refused("both rope_parameters and rope_scaling");
    for value in [llama3.clone(), json!({}), json!({"type": "dynamic", "factor": 2.0})] {
        opens(&with("config.json", "rope_scaling", &value));
    }
    opens(&with("config.json", "rope_parameters", &json!({"rope_theta": 5e5})));
}

#[test]
fn a_quantised_tower_and_the_files_of_quantisers_are_named() {
    let gptq = json!({"quant_method": "gptq", "bits": 4});
    let copy = Copy::of("d-floor-grid");
    change(&copy, TOWER, |tower| tower["quantization_config"] = gptq.clone());
    copy.refused("the vision tower's config.json is not usable: the checkpoint is already quantised (GPTQ, 4 bits)");
    let copy = Copy::of("d-floor-grid");
    change(&copy, TOWER, |tower| tower["vision_config"]["quantization_config"] = gptq.clone());
    copy.refused("(GPTQ, 4 bits)");
    for (file, settings, hint) in [
        ("quantize_config.json", json!({"bits": 4, "group_size": 128}), "(GPTQ, 4 bits)"),
        ("quantize_config.json", json!({"bits": 8, "quant_method": "awq"}), "(AWQ, 8 bits)"),
        ("quant_config.json", json!({"w_bit": 4, "version": "GEMM"}), "(AWQ, 4 bits)"),
        (
            "hf_quant_config.json",
            json!({"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "NVFP4"}}),
            "(ModelOpt, NVFP4)",
        ),
        ("hf_quant_config.json", json!({}), "(ModelOpt)"),
    ] {
        for folder in ["", "towers/clip-120/"] {
            let copy = Copy::of("d-floor-grid");
            fs::write(copy.file(&format!("{folder}{file}")), settings.to_string()).unwrap();
            copy.refused(hint);
            copy.refused(file);
        }
    }
}

#[test]
fn means_and_deviations_are_blamed_on_the_file_that_has_them() {
    let tower = "towers/clip-120/preprocessor_config.json";
    for (key, value) in [
        ("image_std", json!([0, 0, 0])),
        ("image_std", json!([0.5, -0.5, 0.5])),
        ("image_std", json!([1e-40, 1e-40, 1e-40])),
        ("image_mean", json!([1e300, 0.5, 0.5])),
    ] {
        with(tower, key, &value)
            .refused("the vision tower's preprocessor_config.json is not usable: image_mean");
        // Of one beside the checkpoint.
        let copy = Copy::of("c-crop");
        fs::remove_file(copy.file("vision_tower/preprocessor_config.json")).unwrap();
        change(&copy, "preprocessor_config.json", |all| all[key] = value);
        copy.refused("error: preprocessor_config.json is not usable: image_mean");
    }
}

#[cfg(unix)]
#[test]
fn what_is_no_file_in_a_files_place_is_refused_by_name() {
    use std::os::unix::fs::symlink;
    use std::process::Command;
    for file in [
        "preprocessor_config.json",
        "processor_config.json",
        "generation_config.json",
        "tokenizer_config.json",
        "quantize_config.json",
        "towers/clip-120/preprocessor_config.json",
        WEIGHTS,
    ] {
        for what in ["folder", "pipe", "link to a folder", "link to a pipe", "link to nothing"] {
            let copy = Copy::of("d-floor-grid");
            let (path, other) = (copy.file(file), copy.file("other"));
            let _ = fs::remove_file(&path);
            let made = if what.starts_with("link") { &other } else { &path };
            if what.ends_with("folder") {
                fs::create_dir(made).unwrap();
            } else if what.ends_with("pipe") {
                assert!(Command::new("mkfifo").arg(made).status().unwrap().success());
            }
            if what.starts_with("link") {
                symlink(&other, &path).unwrap();
            }
            copy.refused(file);
        }
    }
}

#[test]
fn a_model_that_holds_no_prompt_is_to_blame_and_not_the_context() {
    for key in ["max_position_embeddings", "sliding_window"] {
        with("config.json", key, &json!(4)).refused("allows 4 tokens (max_position_embeddings");
    }
    // A flag does not help.
    let copy = with("config.json", "sliding_window", &json!(4));
    let model = text(&copy.path);
    for context in ["4", "100"] {
        let line = format!("ask --adapter cpu -m 2 --context {context}");
        mqt(words(&line, &[&picture("blobs.png"), "What?", "--model", &model]))
            .run()
            .refused(3, "is not usable: its configuration allows 4 tokens");
    }
}

/// How Rust and its readers say things.
pub(super) const RUSTS_WORDS: [&str; 16] = [
    "expected u",
    "expected i",
    "expected f",
    "expected a ",
    "expected s",
    "expected one of",
    "expected `",
    "usize",
    "u64",
    "..=",
    "invalid type",
    "invalid digit",
    "target type",
    "sequence",
    "os error",
    "EOF",
];

#[test]
fn wrong_types_are_refused_in_plain_words_in_every_file() {
    let copy = Copy::of("b-f16-shards");
    let pack = copy.path.with_file_name("pack");
    mqt(["convert", &text(&copy.path), "-o", &text(&pack)]).ok();
    let mut refused = 0;
    for (folder, file) in [
        (&copy.path, "config.json"),
        (&copy.path, "generation_config.json"),
        (&copy.path, "model.safetensors.index.json"),
        (&copy.path, "tokenizer.json"),
        (&copy.path, "tokenizer_config.json"),
        (&copy.path, "vision_tower/config.json"),
        (&copy.path, "vision_tower/preprocessor_config.json"),
        (&pack, "manifest.json"),
    ] {
        let path = folder.join(file);
        let whole = fs::read(&path).unwrap();
        let value: Value = serde_json::from_slice(&whole).unwrap();
        let mut spoiled = vec!["".to_owned(), "{".into(), "7".into(), "{\"a\": x}".into()];
        for key in value.as_object().unwrap().keys() {
            for wrong in [json!("x"), json!(-1), json!([[]])] {
                let mut other = value.clone();
                other[key] = wrong;
                spoiled.push(other.to_string());
            }
        }
        for bytes in spoiled {
            fs::write(&path, &bytes).unwrap();
            let done = mqt(["inspect", &text(folder)]).run();
            assert!(done.code == 0 || done.code == 3, "{file}: {bytes}: {done:#?}");
            refused += done.code;
            for word in RUSTS_WORDS {
                assert!(!done.stderr.contains(word), "{word} in {done:#?}");
            }
        }
        fs::write(&path, whole).unwrap();
    }
    assert!(refused > 300, "{refused}");
}
