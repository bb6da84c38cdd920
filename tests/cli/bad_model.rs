//! Models that are missing, truncated, hostile or of the wrong shape: exit code 3, one sentence,
//! never a panic.

use crate::common::{copy_folder, golden, mqt, picture, text, words};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A copy of a golden checkpoint that a test may spoil.
pub(super) struct Copy {
    _folder: TempDir,
    pub(super) path: PathBuf,
}

impl Copy {
    pub(super) fn of(case: &str) -> Copy {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint");
        copy_folder(&golden(case).join("checkpoint"), &path);
        Copy { _folder: folder, path }
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Asks the model and expects a refusal that mentions `hint`.
    pub(super) fn refused(&self, hint: &str) {
        let model = text(&self.path);
        mqt(words(
            "ask --adapter cpu -m 2",
            &[&picture("blobs.png"), "What is this?", "--model", &model],
        ))
        .run()
        .refused(3, hint);
        let inspected = mqt(["inspect", &model]).run();
        // What lies in tensors and not in headers, `inspect` does not see.
        assert!(inspected.code == 3 || inspected.code == 0, "{inspected:#?}");
        assert!(!inspected.stderr.contains("panicked"), "{inspected:#?}");
    }
}

/// A checkpoint with one file replaced.
pub(super) fn with_file(case: &str, name: &str, bytes: impl AsRef<[u8]>, hint: &str) {
    let copy = Copy::of(case);
    fs::write(copy.file(name), bytes).unwrap();
    copy.refused(hint);
}

/// A checkpoint with one JSON file changed.
pub(super) fn with_json(case: &str, name: &str, change: impl FnOnce(&mut Value), hint: &str) {
    let mut value =
        serde_json::from_slice(&fs::read(golden(case).join("checkpoint").join(name)).unwrap())
            .unwrap();
    change(&mut value);
    with_file(case, name, value.to_string(), hint);
}

const WEIGHTS: &str = "model.safetensors";

fn weights() -> Vec<u8> {
    fs::read(golden("d-floor-grid/checkpoint").join(WEIGHTS)).unwrap()
}

/// The weights with their header changed and their data as before.
fn with_header(change: impl FnOnce(&mut Value), hint: &str) {
    let bytes = weights();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    change(&mut header);
    let header = header.to_string();
    with_file(
        "d-floor-grid",
        WEIGHTS,
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &bytes[8 + length..]].concat(),
        hint,
    );
}

const NORM: &str = "model.norm.weight";
const DOWN: &str = "model.layers.0.mlp.down_proj.weight";

#[test]
fn missing() {
    let folder = tempfile::tempdir().unwrap();
    let ask = |path: &Path| {
        mqt(words(
            "ask --adapter cpu",
            &[&picture("blobs.png"), "What is this?", "--model", &text(path)],
        ))
        .run()
    };
    ask(&folder.path().join("nothing here")).refused(3, "nothing here");
    ask(folder.path()).refused(3, "");
    ask(&golden("README.md")).refused(3, "README.md");
}

#[test]
fn files_missing() {
    for (case, name) in [
        ("d-floor-grid", "config.json"),
        ("d-floor-grid", WEIGHTS),
        ("a-f32-tower", "tokenizer.model"),
        ("b-f16-shards", "model-00002-of-00003.safetensors"),
        ("a-f32-tower", "clip-56/config.json"),
    ] {
        let copy = Copy::of(case);
        fs::remove_file(copy.file(name)).unwrap();
        copy.refused("");
    }
}

#[test]
fn truncated_files() {
    for (case, name, hint) in [
        ("d-floor-grid", WEIGHTS, WEIGHTS),
        ("b-f16-shards", "model-00003-of-00003.safetensors", "model-00003-of-00003.safetensors"),
        ("b-f16-shards", "model.safetensors.index.json", "model.safetensors.index.json"),
        ("d-floor-grid", "config.json", "config.json"),
        ("b-f16-shards", "tokenizer.json", "tokenizer.json"),
        ("a-f32-tower", "tokenizer.model", "tokenizer.model"),
    ] {
        let bytes = fs::read(golden(case).join("checkpoint").join(name)).unwrap();
        // A JSON file may lose the line break at its end.
        let whole = bytes.trim_ascii_end().len();
        for keep in [0, 4, whole / 2, whole - 1] {
            with_file(case, name, &bytes[..keep], hint);
        }
    }
}

#[test]
fn hostile_lengths() {
    let bytes = weights();
    for length in [1 << 63, u64::MAX, bytes.len() as u64, bytes.len() as u64 - 8, 0, 1] {
        with_file("d-floor-grid", WEIGHTS, [&length.to_le_bytes(), &bytes[8..]].concat(), WEIGHTS);
    }
}

#[test]
fn not_safetensors() {
    with_file("d-floor-grid", WEIGHTS, "this is a text file, whatever its name says", WEIGHTS);
    with_file("d-floor-grid", WEIGHTS, [&2u64.to_le_bytes()[..], b"[]"].concat(), WEIGHTS);
    let deep = "[".repeat(100_000);
    with_file(
        "d-floor-grid",
        WEIGHTS,
        [&(deep.len() as u64).to_le_bytes(), deep.as_bytes()].concat(),
        WEIGHTS,
    );
}

#[test]
fn headers_that_lie() {
    // Transposed: as many bytes, another shape.
    with_header(|header| header[DOWN]["shape"].as_array_mut().unwrap().reverse(), DOWN);
    with_header(|header| header[NORM]["shape"] = serde_json::json!([4, 11]), NORM);
    with_header(|header| header[NORM]["dtype"] = "I16".into(), NORM);
    with_header(|header| header[NORM]["dtype"] = "F64".into(), WEIGHTS);
    with_header(|header| header[NORM]["dtype"] = "X99".into(), WEIGHTS);
    // Two tensors in one place.
    with_header(
        |header| {
            header[NORM]["data_offsets"] =
                header["model.layers.0.input_layernorm.weight"]["data_offsets"].clone()
        },
        WEIGHTS,
    );
    with_header(|header| header[NORM]["data_offsets"] = serde_json::json!([-8, 80]), WEIGHTS);
    with_header(
        |header| header[NORM]["data_offsets"] = serde_json::json!([u64::MAX - 87, u64::MAX]),
        WEIGHTS,
    );
    with_header(
        |header| header[NORM]["shape"] = serde_json::json!([1u64 << 62, 1u64 << 62]),
        WEIGHTS,
    );
    // A tensor by another name.
    let rename = |header: &mut Value, from: &str| {
        let tensor = header.as_object_mut().unwrap().remove(from).unwrap();
        header["another.name"] = tensor;
    };
    for name in [NORM, DOWN, "model.embed_tokens.weight"] {
        with_header(|header| rename(header, name), name);
    }
}

#[test]
fn tensors_that_are_there_twice() {
    // In one header, with a place of its own each time.
    let bytes = weights();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = std::str::from_utf8(&bytes[8..8 + length]).unwrap();
    let twice = header.replacen("model.layers.0.input_layernorm.weight", NORM, 1);
    assert_ne!(twice, header);
    with_file(
        "d-floor-grid",
        WEIGHTS,
        [&(twice.len() as u64).to_le_bytes(), twice.as_bytes(), &bytes[8 + length..]].concat(),
        "model.norm.weight twice",
    );
    // In two files: the second is a copy of the first, under the name of one that the index does
    // not miss.
    let copy = Copy::of("c-crop");
    fs::remove_file(copy.file("model.safetensors.index.json")).unwrap();
    fs::copy(
        copy.file("model-00001-of-00002.safetensors"),
        copy.file("model-00003-of-00002.safetensors"),
    )
    .unwrap();
    copy.refused("is also in model-00001-of-00002.safetensors");
}

#[test]
fn torch_files_that_lie() {
    const SHARD: &str = "pytorch_model-00001-of-00002.bin";
    const TOWER: &str = "openai/clip-40/pytorch_model.bin";
    for name in [SHARD, TOWER] {
        let bytes = fs::read(golden("e-llava-bins/checkpoint").join(name)).unwrap();
        for keep in [0, 4, bytes.len() / 2, bytes.len() - 1] {
            let copy = Copy::of("e-llava-bins");
            fs::write(copy.file(name), &bytes[..keep]).unwrap();
            copy.refused("pytorch_model");
        }
    }
    with_file("e-llava-bins", SHARD, "this is a text file, whatever its name says", SHARD);
    // A pickle that would run a command if it were executed: `os.system` on load.
    let folder = tempfile::tempdir().unwrap();
    let trace = text(&folder.path().join("executed"));
    let pickle = format!("cos\nsystem\n(S'touch {trace}'\ntR.");
    with_file("e-llava-bins", SHARD, pickle, SHARD);
    assert!(!Path::new(&trace).exists());
    let copy = Copy::of("e-llava-bins");
    fs::remove_file(copy.file(SHARD)).unwrap();
    copy.refused(SHARD);
    for target in ["../pytorch_model-00001-of-00002.bin", "/etc/passwd", ""] {
        with_json(
            "e-llava-bins",
            "pytorch_model.bin.index.json",
            |index| index["weight_map"]["model.norm.weight"] = target.into(),
            "",
        );
    }
}

#[test]
fn indexes_that_point_elsewhere() {
    for target in [
        "../model-00001-of-00003.safetensors",
        "/etc/passwd",
        "..",
        "",
        "model-9.safetensors",
        "a\0b",
        "sub/../../x",
    ] {
        with_json(
            "b-f16-shards",
            "model.safetensors.index.json",
            |index| index["weight_map"]["model.norm.weight"] = target.into(),
            "",
        );
    }
    with_json(
        "b-f16-shards",
        "model.safetensors.index.json",
        |index| index["weight_map"] = 7.into(),
        "model.safetensors.index.json",
    );
}

#[test]
fn towers_that_point_elsewhere() {
    // Like an absolute or parent path, a name on a hub is no folder of ours; without the tower
    // there are no numbers.
    for tower in ["../../secret", "/etc", "someone/some-clip"] {
        let copy = Copy::of("d-floor-grid");
        fs::remove_dir_all(copy.file("towers")).unwrap();
        let mut config: Value =
            serde_json::from_slice(&fs::read(copy.file("config.json")).unwrap()).unwrap();
        config["mm_vision_tower"] = tower.into();
        fs::write(copy.file("config.json"), config.to_string()).unwrap();
        copy.refused("--vision-tower");
    }
}

#[test]
fn absurd_numbers() {
    for (key, value, want) in [
        ("rms_norm_eps", "1e40", "rms_norm_eps is 1e+40, not a usable positive number"),
        ("rope_theta", "1e-60", "e-60, not a usable positive number"),
        ("rms_norm_eps", "NaN", "NaN and Infinity are no numbers there"),
        ("hidden_size", "0", ""),
        ("hidden_size", "-44", ""),
        ("hidden_size", "43", ""),
        ("hidden_size", "1e400", ""),
        ("hidden_size", "18446744073709551615", ""),
        ("num_attention_heads", "0", ""),
        ("num_attention_heads", "4194303", ""),
        ("num_key_value_heads", "3", ""),
        ("num_hidden_layers", "4000000", ""),
        ("intermediate_size", "\"many\"", ""),
        ("query_abstractor_num_heads", "7", ""),
        ("rms_norm_eps", "-1", ""),
        ("rope_theta", "0", ""),
        ("rope_scaling", "{\"type\": \"unheard of\"}", ""),
        ("hidden_act", "\"relu\"", ""),
    ] {
        let path = golden("d-floor-grid/checkpoint/config.json");
        let config = fs::read_to_string(path).unwrap();
        let end = config.rfind('}').unwrap();
        // Written as text, for numbers that JSON libraries refuse; the last of two equal keys
        // counts.
        with_file(
            "d-floor-grid",
            "config.json",
            format!("{}, \"{key}\": {value}}}", &config[..end]),
            want,
        );
    }
}

#[test]
fn a_model_of_another_family() {
    with_json(
        "d-floor-grid",
        "config.json",
        |config| *config = serde_json::json!({"model_type": "bert", "hidden_size": 8}),
        "",
    );
}

#[test]
fn what_would_change_the_answer_unseen_is_refused() {
    // A tensor of a decoder layer that this architecture does not have: here the last norm's,
    // renamed.
    let extra = "model.layers.0.self_attn.o_proj.bias";
    with_header(
        |header| {
            let tensors = header.as_object_mut().unwrap();
            let norm = tensors.remove(NORM).unwrap();
            tensors.insert(extra.into(), norm);
        },
        extra,
    );
    with_json(
        "d-floor-grid",
        "config.json",
        |config| config["mm_use_im_start_end"] = true.into(),
        "mm_use_im_start_end",
    );
}
