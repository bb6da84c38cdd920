//! What the families' settings say: honoured, passed over, or refused by name.

use super::{folder, read_json};
use mqt::Error;
use mqt::config::Config;
use mqt::image::Filter;
use mqt::image::Tiling;
use mqt::model::{LoadOptions, ModelSource, Opened};
use pollster::block_on;
use serde_json::{Value, json};
use std::path::Path;

/// A case's checkpoint, of which a file is changed.
pub(crate) struct Changed(tempfile::TempDir);

impl Changed {
    pub(crate) fn of(case: &str) -> Changed {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(&folder(case).join("checkpoint"), copy.path());
        Changed(copy)
    }

    /// Sets the field at a path such as `/text_config/mlp_bias`; null takes it away.
    fn set(self, file: &str, field: &str, value: Value) -> Changed {
        let path = self.0.path().join(file);
        let mut json = read_json(&path);
        let (parent, key) = field.rsplit_once('/').unwrap();
        json.pointer_mut(parent).unwrap()[key] = value;
        std::fs::write(path, json.to_string()).unwrap();
        self
    }

    pub(crate) fn open(&self) -> Result<Config, Error> {
        let source = ModelSource::Path(self.0.path().to_owned());
        let opened = block_on(Opened::at(&source, &LoadOptions::default()))?;
        Ok(opened.config().clone())
    }
}

fn copy_folder(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&to).unwrap();
            copy_folder(&entry.path(), &to);
        } else {
            std::fs::write(to, std::fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}

const CONFIG: &str = "config.json";
const PICTURES: &str = "preprocessor_config.json";
const PROCESSOR: &str = "processor_config.json";

/// Every value is refused, in a sentence that names the field.
fn refused(case: &str, changes: &[(&str, &str, Value)]) {
    for (file, field, value) in changes {
        let copy = Changed::of(case).set(file, field, value.clone());
        let error = match copy.open() {
            Ok(_) => panic!("{case}: {file}{field} {value} was passed over"),
            Err(error) => error,
        };
        let name = field.rsplit('/').next().unwrap();
        assert!(
            error.to_string().contains(name) && error.exit_code() == 3,
            "{case}: {file}{field} {value}: {error}"
        );
    }
}

/// None of these changes the model.
fn passed_over(case: &str, changes: &[(&str, &str, Value)]) {
    let plain = Changed::of(case).open().unwrap();
    for (file, field, value) in changes {
        let copy = Changed::of(case).set(file, field, value.clone());
        let config = copy.open().unwrap_or_else(|e| panic!("{case}: {file}{field} {value}: {e}"));
        assert_eq!(config, plain, "{case}: {file}{field} {value}");
    }
}

#[test]
fn what_smolvlm_and_granite_docling_ask_that_is_not_done_is_refused_by_name() {
    for case in ["smolvlm", "granite_docling"] {
        let mut changes = Vec::new();
        for key in ["use_resampler", "qk_layer_norms", "rope_interleaved"] {
            changes.push((CONFIG, format!("/{key}"), json!(true)));
            changes.push((CONFIG, format!("/text_config/{key}"), json!(true)));
        }
        for key in ["attention_bias", "mlp_bias"] {
            changes.push((CONFIG, format!("/text_config/{key}"), json!(true)));
        }
        let yarn = json!({"rope_type": "yarn", "factor": 2.0});
        changes.push((CONFIG, "/text_config/rope_scaling".into(), yarn));
        for scale in [0, 5, 64] {
            changes.push((CONFIG, "/scale_factor".into(), json!(scale)));
        }
        changes.push((PROCESSOR, "/image_seq_len".into(), json!(64)));
        for key in ["hidden_size", "image_size", "patch_size"] {
            changes.push((CONFIG, format!("/vision_config/{key}"), Value::Null));
        }
        for (key, value) in [
            ("resample", json!(2)),
            ("resample", json!("lanczos")),
            ("max_image_size", json!({"longest_edge": 20})),
            ("max_image_size", json!(40)),
            ("size", json!({"longest_edge": 50})),
            ("size", json!({"height": 160, "width": 160})),
            ("size", Value::Null),
            ("do_image_splitting", json!("yes")),
            ("do_rescale", json!(false)),
            ("do_normalize", json!(false)),
            ("image_processor_type", json!("SiglipImageProcessor")),
            ("do_thumbnail", json!(true)),
        ] {
            changes.push((PICTURES, format!("/{key}"), value));
        }
        let changes: Vec<_> = changes
            .iter()
            .map(|(file, field, value)| (*file, field.as_str(), value.clone()))
            .collect();
        refused(case, &changes);
    }
}

#[test]
fn what_smolvlm_says_and_nobody_needs_is_passed_over() {
    passed_over(
        "smolvlm",
        &[
            (CONFIG, "/perceiver_config", json!({"resampler_depth": 6})),
            (CONFIG, "/text_config/pixel_shuffle_factor", json!(2)),
            (CONFIG, "/text_config/is_llama_config", json!(false)),
            (CONFIG, "/vision_config/size", json!({"longest_edge": 1})),
            (CONFIG, "/vision_config/model_type", json!("siglip")),
            (CONFIG, "/vision_config/model_type", Value::Null),
            (CONFIG, "/pad_token_id", json!(5)),
            (CONFIG, "/text_config/neftune_noise_alpha", json!(1.0)),
            (CONFIG, "/model_type", json!("idefics3")),
            // What is absent.
            (CONFIG, "/vision_config/num_hidden_layers", json!(12)),
            (CONFIG, "/vision_config/hidden_act", json!("gelu_pytorch_tanh")),
            (CONFIG, "/vision_config/layer_norm_eps", json!(1e-6)),
            (PICTURES, "/video_sampling", Value::Null),
            (PICTURES, "/do_pad", json!(false)),
            (PICTURES, "/resample", Value::Null),
            (PICTURES, "/max_image_size", Value::Null),
        ],
    );
}

#[test]
fn how_smolvlm_cuts_pictures_is_read_from_its_preprocessor() {
    let tiling = |copy: Changed| copy.open().unwrap().preparing.tiling;
    let plain = Tiling::Edges { published: 4, split: true };
    assert_eq!(tiling(Changed::of("smolvlm")), plain);
    let edge = Changed::of("smolvlm").set(PICTURES, "/size", json!({"longest_edge": 80}));
    assert_eq!(tiling(edge), Tiling::Edges { published: 2, split: true });
    let whole = Changed::of("smolvlm").set(PICTURES, "/do_image_splitting", json!(false));
    assert_eq!(tiling(whole), Tiling::Edges { published: 4, split: false });
    let config = Changed::of("smolvlm").open().unwrap();
    assert_eq!((config.preparing.filter, config.preparing.over_white), (Filter::Lanczos, true));
    assert_eq!((config.mean, config.std), ([0.5; 3], [0.5; 3]));
    let cubic = Changed::of("smolvlm").set(PICTURES, "/resample", json!(3)).open().unwrap();
    assert_eq!(cubic.preparing.filter, Filter::Bicubic);
    let ends = Changed::of("smolvlm").set("generation_config.json", "/eos_token_id", json!([9, 3]));
    assert_eq!(ends.open().unwrap().end_ids, [3, 9]);
}

#[test]
fn what_llavas_with_siglip_ask_that_is_not_done_is_refused_by_name() {
    for case in ["llava_interleave", "llava_onevision"] {
        refused(
            case,
            &[
                (CONFIG, "/vision_feature_layer", json!([-1, -2])),
                (CONFIG, "/vision_feature_select_strategy", json!("default")),
                (CONFIG, "/projector_hidden_act", json!("relu")),
                (CONFIG, "/text_config/use_sliding_window", json!(true)),
                (CONFIG, "/vision_config/model_type", json!("dinov2")),
                (PROCESSOR, "/vision_feature_select_strategy", json!("default")),
                (PICTURES, "/size", json!({"shortest_edge": 52})),
                (PICTURES, "/size", json!({"height": 52, "width": 28})),
                (PICTURES, "/resample", json!(2)),
                (PICTURES, "/do_center_crop", json!(true)),
                (PICTURES, "/image_mean", json!([0.5])),
            ],
        );
    }
    for case in ["llava_interleave", "llava_onevision"] {
        for key in ["hidden_size", "image_size", "patch_size"] {
            refused(case, &[(CONFIG, &format!("/vision_config/{key}"), Value::Null)]);
        }
    }
    // Absent, it means one that drops a patch.
    refused("llava_interleave", &[(CONFIG, "/vision_feature_select_strategy", Value::Null)]);
    refused(
        "llava_onevision",
        &[
            (CONFIG, "/image_grid_pinpoints", json!([[28, 30]])),
            (CONFIG, "/image_grid_pinpoints", json!([[28]])),
            (CONFIG, "/image_grid_pinpoints", json!([])),
            (CONFIG, "/image_grid_pinpoints", json!([[28, 28]])),
            (CONFIG, "/image_grid_pinpoints", json!([[28_000, 28_000]])),
            (CONFIG, "/image_grid_pinpoints", Value::Null),
            (CONFIG, "/vision_aspect_ratio", json!("anyres")),
            (CONFIG, "/vision_aspect_ratio", json!("anyres_max_0")),
            (CONFIG, "/vision_aspect_ratio", json!("anyres_max_x")),
            (PROCESSOR, "/vision_aspect_ratio", json!("anyres_max_9")),
            (PROCESSOR, "/num_image_tokens", json!(48)),
            (PICTURES, "/image_grid_pinpoints", json!([[28, 28]])),
        ],
    );
    // As LLaVA-1.5's towers are: with a class token, which `full` would keep.
    let clip = Changed::of("llava_interleave").set(
        CONFIG,
        "/vision_config",
        json!({
            "model_type": "clip_vision_model", "hidden_size": 48, "intermediate_size": 86, "num_hidden_layers": 5,
            "num_attention_heads": 4, "image_size": 52, "patch_size": 10
        }),
    );
    let error = clip.open().unwrap_err().to_string();
    assert!(error.contains("vision_feature_select_strategy"), "{error}");
}

#[test]
fn a_feature_layer_is_counted_from_either_end() {
    let layers = |layer: i64| {
        let copy = Changed::of("llava_interleave");
        copy.set(CONFIG, "/vision_feature_layer", json!(layer)).open().unwrap().vision.layers
    };
    let beyond = Changed::of("llava_interleave").set(CONFIG, "/vision_feature_layer", json!(9));
    assert!(beyond.open().unwrap_err().to_string().contains("vision layer 9 of 5"));
    assert_eq!([layers(-1), layers(5), layers(-2), layers(4), layers(1)], [5, 5, 4, 4, 1]);
}

#[test]
fn what_mobilevlm_asks_that_is_not_done_is_refused_by_name() {
    refused(
        "mobilevlm_v2",
        &[
            (CONFIG, "/mm_projector_type", json!("ldpnet")),
            (CONFIG, "/mm_projector_type", json!("mlp2x_gelu")),
            (CONFIG, "/vision_tower_type", json!("siglip")),
            (CONFIG, "/mm_use_im_start_end", json!(true)),
            (CONFIG, "/mm_vision_select_feature", json!("cls_patch")),
            (CONFIG, "/rope_scaling", json!({"type": "yarn", "factor": 2.0})),
        ],
    );
    // A grid of 22 × 22 patches.
    let copy =
        Changed::of("mobilevlm_v2").set("vision_tower/config.json", "/image_size", json!(66));
    let copy = copy.set("vision_tower/preprocessor_config.json", "/size", json!(66));
    let copy = copy.set("vision_tower/preprocessor_config.json", "/crop_size", json!(66));
    let error = copy.open().unwrap_err().to_string();
    assert!(error.contains("12 × 12 tokens"), "{error}");
}

/// Whether there is a head decides the file; where there is none, the configuration has to say so.
#[test]
fn a_head_is_tied_only_where_somebody_says_so() {
    let tied = |copy: Changed| copy.open().map(|config| config.language.tied);
    assert!(!tied(Changed::of("smolvlm")).unwrap());
    assert!(tied(Changed::of("granite_docling")).unwrap());
    let top = Changed::of("smolvlm").set(CONFIG, "/tie_word_embeddings", json!(true));
    assert!(tied(top).unwrap());
    let inner = Changed::of("smolvlm").set(CONFIG, "/text_config/tie_word_embeddings", json!(true));
    assert!(!tied(inner).unwrap(), "the whole model's flag counts");
    // Qwen2's: false outside, true inside, no head.
    assert!(tied(Changed::of("llava_interleave")).unwrap());
    let none = Changed::of("llava_interleave").set(
        CONFIG,
        "/text_config/tie_word_embeddings",
        json!(false),
    );
    let error = tied(none).unwrap_err().to_string();
    assert!(error.contains("tie_word_embeddings"), "{error}");
}
