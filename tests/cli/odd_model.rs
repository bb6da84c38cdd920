//! Checkpoints as people have them: with files beside the model, quantised, with settings that are
//! not ours, with files of absurd size.

use super::bad_model::Copy;
use crate::common::{golden, mqt, picture, text, words};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// `inspect`'s record of a model that opens, without its name, which is the folder's.
fn inspected(copy: &Copy) -> Value {
    let mut record = mqt(["inspect", &text(&copy.path), "--json"]).ok().record();
    record["name"] = Value::Null;
    record
}

fn change(copy: &Copy, file: &str, change: impl FnOnce(&mut Value)) {
    let path = copy.file(file);
    let mut value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

const TOWER: &str = "towers/clip-120/preprocessor_config.json";
const WEIGHTS: &str = "model.safetensors";

#[test]
fn files_beside_the_model_are_left_alone() {
    let plain = inspected(&Copy::of("d-floor-grid"));
    let junk = [
        "._model.safetensors",
        ".hidden.safetensors",
        "model (1).safetensors",
        "adapter_model.safetensors",
        "consolidated.safetensors",
        "optimizer.bin",
        "training_args.bin",
        "pytorch_model.bin",
        "pytorch_model.bin.index.json",
    ];
    let copy = Copy::of("d-floor-grid");
    junk.iter().for_each(|name| fs::write(copy.file(name), "no weights").unwrap());
    assert_eq!(inspected(&copy), plain);
    // Beside the files that an index names.
    let plain = inspected(&Copy::of("b-f16-shards"));
    let copy = Copy::of("b-f16-shards");
    junk.iter().for_each(|name| fs::write(copy.file(name), "no weights").unwrap());
    assert_eq!(inspected(&copy), plain);
}

#[test]
fn the_one_file_with_weights_is_the_model_whatever_its_name() {
    let plain = inspected(&Copy::of("d-floor-grid"));
    let copy = Copy::of("d-floor-grid");
    fs::rename(copy.file(WEIGHTS), copy.file("llava (final).safetensors")).unwrap();
    fs::write(copy.file("adapter_model.safetensors"), "no weights").unwrap();
    assert_eq!(inspected(&copy), plain);
    fs::write(copy.file("other.safetensors"), "no weights").unwrap();
    copy.refused(
        "llava (final).safetensors, other.safetensors; it is not clear which one is the model",
    );
}

#[test]
fn an_index_without_its_files_leaves_the_other_kind() {
    let plain = inspected(&Copy::of("d-floor-grid"));
    for (name, file) in [
        ("pytorch_model.bin.index.json", "pytorch_model-00001-of-00002.bin"),
        ("model.safetensors.index.json", "model-00001-of-00002.safetensors"),
    ] {
        let copy = Copy::of("d-floor-grid");
        fs::write(copy.file(name), json!({"weight_map": {"model.norm.weight": file}}).to_string())
            .unwrap();
        assert_eq!(inspected(&copy), plain, "{name}");
    }
    let copy = Copy::of("e-llava-bins");
    let index = json!({"weight_map": {"model.norm.weight": "model-00001-of-00002.safetensors"}});
    let plain = inspected(&copy);
    fs::write(copy.file("model.safetensors.index.json"), index.to_string()).unwrap();
    assert_eq!(inspected(&copy), plain);
    // With files of neither kind, the one it names is missing.
    let copy = Copy::of("d-floor-grid");
    fs::remove_file(copy.file(WEIGHTS)).unwrap();
    fs::write(copy.file("model.safetensors.index.json"), index.to_string()).unwrap();
    copy.refused("model-00001-of-00002.safetensors cannot be read");
}

#[test]
fn what_is_missing_of_several_files_is_named() {
    let copy = Copy::of("b-f16-shards");
    fs::remove_file(copy.file("model.safetensors.index.json")).unwrap();
    assert_eq!(inspected(&copy), inspected(&Copy::of("b-f16-shards")));
    fs::remove_file(copy.file("model-00002-of-00003.safetensors")).unwrap();
    copy.refused("model-00002-of-00003.safetensors cannot be read: there is no such file");
    fs::rename(
        copy.file("model-00003-of-00003.safetensors"),
        copy.file("model-00002-of-00002.safetensors"),
    )
    .unwrap();
    copy.refused("of 2 different sets");
}

#[test]
fn what_is_no_checkpoint_is_called_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |path: &Path, hint: &str| mqt(["inspect", &text(path)]).run().refused(3, hint);
    let gguf = folder.path().join("model.gguf");
    fs::write(&gguf, b"GGUF\x03\0\0\0").unwrap();
    refused(&gguf, "it ends in its first bytes");
    refused(folder.path(), "`mqt convert MODEL.gguf");
    fs::write(
        folder.path().join("adapter_config.json"),
        r#"{"base_model_name_or_path": "lmsys/vicuna-7b-v1.5"}"#,
    )
    .unwrap();
    refused(folder.path(), "it is a LoRA adapter, not a model; merge it into lmsys/vicuna-7b-v1.5");
    let copy = Copy::of("d-floor-grid");
    fs::rename(copy.file(WEIGHTS), copy.file("adapter_model.safetensors")).unwrap();
    copy.refused("LoRA adapter");
    fs::rename(copy.file("adapter_model.safetensors"), copy.file("mm_projector.bin")).unwrap();
    copy.refused("a projector alone");
    fs::remove_file(copy.file("mm_projector.bin")).unwrap();
    copy.refused("it has no weights");
}

#[test]
fn quantised_checkpoints_are_named_as_such_in_one_sentence() {
    for (settings, hint) in [
        (
            json!({"quant_method": "bitsandbytes", "load_in_4bit": true, "load_in_8bit": false}),
            "(bitsandbytes, 4 bits)",
        ),
        (json!({"load_in_8bit": true}), "(bitsandbytes, 8 bits)"),
        (json!({"quant_method": "gptq", "bits": 4, "group_size": 128}), "(GPTQ, 4 bits)"),
        (json!({"quant_method": "awq", "w_bit": 3}), "(AWQ, 3 bits)"),
        (json!({"quant_method": "fp8", "activation_scheme": "dynamic"}), "(FP8, 8 bits)"),
        (
            json!({"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": 4}}}}),
            "(compressed-tensors, 4 bits)",
        ),
        (
            json!({"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 2}}}),
            "(HQQ, 2 bits)",
        ),
        (json!("by hand"), "already quantised"),
    ] {
        let copy = Copy::of("d-floor-grid");
        change(&copy, "config.json", |config| config["quantization_config"] = settings);
        copy.refused(hint);
    }
    // Left over from a training that switched it off.
    let copy = Copy::of("d-floor-grid");
    change(&copy, "config.json", |config| {
        config["quantization_config"] = json!({"load_in_4bit": false, "load_in_8bit": false})
    });
    inspected(&copy);
    // Where the configuration says nothing, tensors do.
    let down = "model.layers.0.mlp.down_proj";
    for (dtype, more, hint) in [
        (
            "U8",
            vec![(".absmax", "F32"), (".quant_state.bitsandbytes__nf4", "U8")],
            "(bitsandbytes, 4 bits)",
        ),
        ("I8", vec![(".SCB", "F32")], "(bitsandbytes, 8 bits)"),
        ("I32", vec![(".qweight", "I32"), (".qzeros", "I32"), (".scales", "F16")], "(GPTQ or AWQ)"),
        ("F8_E4M3", vec![(".weight_scale_inv", "F32")], "(FP8, 8 bits)"),
        ("U8", vec![], "down_proj.weight holds values of type U8"),
        ("F8_E4M3", vec![], "down_proj.weight holds values of type F8_E4M3"),
    ] {
        let mut header = json!({});
        let tensor = |dtype: &str| json!({"dtype": dtype, "shape": [0, 4], "data_offsets": [0, 0]});
        header["model.embed_tokens.weight"] = tensor("F16");
        header[format!("{down}.weight")] = tensor(dtype);
        more.iter().for_each(|(end, dtype)| header[format!("{down}{end}")] = tensor(dtype));
        let header = header.to_string();
        let copy = Copy::of("d-floor-grid");
        fs::write(
            copy.file(WEIGHTS),
            [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat(),
        )
        .unwrap();
        copy.refused(hint);
    }
}

#[test]
fn settings_of_pictures_are_honoured_or_refused_by_name() {
    for (key, value) in [
        ("size", json!({"shortest_edge": 25})),
        ("size", json!({"longest_edge": 50})),
        ("crop_size", json!(25)),
        ("resample", json!(1)),
        ("rescale_factor", json!(1)),
        // Numbers that become nothing, or infinite, as 32-bit floats.
        ("image_std", json!([1e-40, 1e-40, 1e-40])),
        ("image_mean", json!([1e300, 0.5, 0.5])),
        ("do_rescale", json!(false)),
        ("do_normalize", json!(false)),
        ("do_resize", json!(false)),
        ("do_convert_rgb", json!(false)),
        ("do_thumbnail", json!(true)),
        ("image_processor_type", json!("SiglipImageProcessor")),
    ] {
        let copy = Copy::of("d-floor-grid");
        change(&copy, TOWER, |settings| settings[key] = value);
        copy.refused(key);
    }
    // The checkpoint pads, so these change nothing.
    let copy = Copy::of("d-floor-grid");
    let plain = inspected(&copy);
    change(&copy, TOWER, |settings| {
        (settings["size"], settings["crop_size"]) = (json!({"height": 50, "width": 50}), json!(50));
        (settings["do_center_crop"], settings["do_pad"]) = (json!(false), json!(true));
    });
    assert_eq!(inspected(&copy), plain);
    // A crop, until the processor pads.
    let copy = Copy::of("c-crop");
    assert_eq!(inspected(&copy)["architecture"]["pad_to_square"], false);
    let tower = "vision_tower/preprocessor_config.json";
    change(&copy, tower, |settings| settings["do_pad"] = json!(true));
    copy.refused("do_pad");
    change(&copy, tower, |settings| {
        settings["image_processor_type"] = json!("LlavaImageProcessor")
    });
    assert_eq!(inspected(&copy)["architecture"]["pad_to_square"], true);
    // Mean and deviation count, and two files must not disagree.
    change(&copy, tower, |settings| settings["image_mean"] = json!([0.25, 0.5, 0.75]));
    assert_eq!(inspected(&copy)["architecture"]["mean"], json!([0.25, 0.5, 0.75]));
    fs::copy(golden("c-crop/checkpoint").join(tower), copy.file("preprocessor_config.json"))
        .unwrap();
    copy.refused("in another way than the vision tower's");
    fs::write(copy.file("preprocessor_config.json"), "[]").unwrap();
    copy.refused("no JSON object");
    // Where transformers 5 keeps it.
    let copy = Copy::of("c-crop");
    fs::remove_file(copy.file(tower)).unwrap();
    let joint =
        json!({"image_processor": {"do_normalize": false}, "processor_class": "LlavaProcessor"});
    fs::write(copy.file("processor_config.json"), joint.to_string()).unwrap();
    copy.refused("do_normalize");
}

#[test]
fn the_selected_layer_is_read_in_every_spelling() {
    let layers = |value: Value| {
        let copy = Copy::of("a-f32-tower");
        change(&copy, "config.json", |config| config["mm_vision_select_layer"] = value);
        inspected(&copy)["architecture"]["vision"]["layers"].clone()
    };
    assert_eq!(layers(json!(-2)), 2);
    for value in [json!([-3]), json!("-3"), json!(-3.0), json!(1), json!([1.0])] {
        assert_eq!(layers(value.clone()), 1, "{value}");
    }
    for value in
        [json!([-2, -3]), json!(-2.5), json!("last"), json!(true), json!(-9), json!({"layer": -2})]
    {
        let copy = Copy::of("a-f32-tower");
        change(&copy, "config.json", |config| config["mm_vision_select_layer"] = value);
        copy.refused("layer");
    }
}

#[test]
fn a_tower_that_was_trained_along_is_the_checkpoints_own() {
    let copy = Copy::of("b-f16-shards");
    let plain = inspected(&copy);
    let header = json!({"vision_model.embeddings.patch_embedding.weight": {"dtype": "F16", "shape": [0], "data_offsets": [0, 0]}}).to_string();
    fs::write(
        copy.file("vision_tower/model.safetensors"),
        [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat(),
    )
    .unwrap();
    copy.refused("vision_model.");
    change(&copy, "config.json", |config| config["unfreeze_mm_vision_tower"] = json!(true));
    assert_eq!(inspected(&copy), plain);
}

#[test]
fn settings_of_the_network_are_honoured_or_refused_by_name() {
    for (key, value) in [
        ("mm_vision_select_feature", json!("cls_patch")),
        ("mm_vision_select_feature", json!(["patch"])),
        ("vision_feature_select_strategy", json!("full")),
        ("vision_feature_layer", json!(-1)),
        ("mm_patch_merge_type", json!("spatial_unpad")),
        ("image_aspect_ratio", json!("anyres")),
        ("image_aspect_ratio", json!(1)),
        ("mm_hidden_size", json!(240)),
        ("query_abstractor_type", json!("qformer")),
        ("mm_resampler_type", json!("perceiver")),
        ("model_type", json!("llava_gemma")),
        ("residual_multiplier", json!(0.22)),
        ("final_logit_softcapping", json!(30.0)),
        ("partial_rotary_factor", json!(0.5)),
        ("rope_scaling", json!("linear")),
        ("rope_scaling", json!({"type": 2})),
        ("tie_word_embeddings", json!("false")),
        ("eos_token_id", json!("</s>")),
        ("hidden_act", json!(["silu"])),
    ] {
        let copy = Copy::of("d-floor-grid");
        change(&copy, "config.json", |config| config[key] = value);
        copy.refused(key);
    }
    let copy = Copy::of("e-llava-bins");
    for kind in ["mlp3x_gelu", "linear", "ldpnetv2"] {
        change(&copy, "config.json", |config| config["mm_projector_type"] = json!(kind));
        copy.refused("mm_projector_type");
    }
    for (key, value) in [("add_bos_token", false), ("add_eos_token", true)] {
        let copy = Copy::of("d-floor-grid");
        change(&copy, "tokenizer_config.json", |config| config[key] = json!(value));
        copy.refused(key);
    }
    // Harmless: what transformers and trainers leave there.
    let copy = Copy::of("d-floor-grid");
    let plain = inspected(&copy);
    change(&copy, "config.json", |config| {
        for (key, value) in [
            ("sliding_window", json!("None")),
            ("use_sliding_window", json!(false)),
            ("num_visual_tokens", json!("second_stage")),
        ] {
            config[key] = value;
        }
        for (key, value) in [
            ("mm_resampler_type", Value::Null),
            ("s2", json!(false)),
            ("image_grid_pinpoints", json!([[336, 672]])),
        ] {
            config[key] = value;
        }
    });
    assert_eq!(inspected(&copy), plain);
}

#[test]
fn files_of_absurd_size_are_refused_before_they_are_read() {
    for (file, bytes) in [
        ("config.json", 300_000_000_000u64),
        ("generation_config.json", 5 << 20),
        (TOWER, 5 << 20),
        ("tokenizer_config.json", 5 << 20),
        ("tokenizer.model", 1 << 30),
        ("model.safetensors.index.json", 1 << 30),
    ] {
        let copy = Copy::of("d-floor-grid");
        fs::File::create(copy.file(file)).unwrap().set_len(bytes).unwrap();
        copy.refused("a file of this kind has at most");
    }
    // A header of 90 MB in a file that is long enough.
    let copy = Copy::of("d-floor-grid");
    fs::write(copy.file(WEIGHTS), 90_000_000u64.to_le_bytes()).unwrap();
    fs::File::options().write(true).open(copy.file(WEIGHTS)).unwrap().set_len(100_000_000).unwrap();
    copy.refused("its header has 90000000 bytes");
}

/// Reading one of these would never end.
#[cfg(unix)]
#[test]
fn pipes_and_devices_are_no_model_files() {
    for file in
        ["config.json", "manifest.json", "generation_config.json", "tokenizer.json", WEIGHTS, TOWER]
    {
        for device in [true, false] {
            let copy = Copy::of("d-floor-grid");
            let _ = fs::remove_file(copy.file(file));
            if device {
                std::os::unix::fs::symlink("/dev/zero", copy.file(file)).unwrap();
            } else {
                let made =
                    std::process::Command::new("mkfifo").arg(copy.file(file)).status().unwrap();
                assert!(made.success());
            }
            copy.refused("it is not a regular file");
        }
    }
}

#[test]
fn a_list_of_faults_is_short_enough_to_read() {
    let copy = Copy::of("d-floor-grid");
    // Every tensor has another width.
    change(&copy, "config.json", |config| config["hidden_size"] = json!(48));
    let asked = mqt(words(
        "ask --adapter cpu",
        &[&picture("blobs.png"), "What is this?", "--model", &text(&copy.path)],
    ))
    .run();
    asked.refused(3, "; and ");
    assert!(asked.stderr.trim_end().ends_with(" more") && asked.stderr.len() < 2100, "{asked:#?}");
}
