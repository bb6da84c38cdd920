//! Packs from other people: damaged or hostile ones are refused in one sentence, exit code 3.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use mqt::gpu::AdapterChoice;
use mqt::model::{LoadOptions, ModelSource};
use mqt::{Error, Model};
use pollster::block_on;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const SHARD: &str = "weights-00001.safetensors";

fn toybox() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/toybox")
}

/// A copy of the toybox pack to damage.
fn copy() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in ["manifest.json", "tokenizer.json", "tokenizer_config.json", SHARD] {
        std::fs::copy(toybox().join(file), folder.path().join(file)).unwrap();
    }
    folder
}

fn load(folder: &Path) -> Result<Model, Error> {
    let options = LoadOptions::on(AdapterChoice::Cpu);
    block_on(Model::load(&ModelSource::Path(folder.to_owned()), &options, &mut |_| {}))
}

/// What the pack says after a change to its manifest.
fn refused(change: impl Fn(&mut Value)) -> String {
    let folder = copy();
    let path = folder.path().join("manifest.json");
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut manifest);
    std::fs::write(&path, serde_json::to_vec(&manifest).unwrap()).unwrap();
    let error = load(folder.path()).err().unwrap_or_else(|| panic!("this manifest was accepted"));
    assert_eq!(error.exit_code(), 3, "{error}");
    error.to_string()
}

#[test]
fn an_undamaged_copy_loads() {
    assert_eq!(load(copy().path()).unwrap().config().m_max(), 64);
}

/// Ctrl-C while a model of gigabytes is read.
#[test]
fn loading_stops_between_two_tensors() {
    let options = LoadOptions::on(AdapterChoice::Cpu);
    let (cancel, mut ticks) = (options.cancel.clone(), 0);
    let stopped = block_on(Model::load(&ModelSource::Path(toybox()), &options, &mut |_| {
        ticks += 1;
        cancel.cancel();
    }));
    let error = stopped.err().unwrap();
    assert!(
        matches!(error, Error::Cancelled) && error.exit_code() == 130 && ticks == 1,
        "{error} after {ticks}"
    );
}

#[test]
fn numbers_that_make_no_sense_are_refused() {
    let numbers = [
        ("/architecture/vision/heads", json!(0)),
        ("/architecture/vision/heads", json!(7)),
        ("/architecture/vision/patch", json!(0)),
        ("/architecture/vision/patch", json!(113)),
        ("/architecture/vision/image_size", json!(1_000_000_000)),
        ("/architecture/vision/layers", json!(4_000_000)),
        ("/architecture/vision/eps", json!(-1.0)),
        ("/architecture/resampler/m_max", json!(63)),
        ("/architecture/resampler/m_max", json!(1_000_000)),
        ("/architecture/resampler/heads", json!(0)),
        ("/architecture/language/kv_heads", json!(0)),
        ("/architecture/language/kv_heads", json!(3)),
        ("/architecture/language/head_dim", json!(31)),
        ("/architecture/language/vocab", json!(1000)),
        ("/architecture/language/hidden", json!(257)),
        ("/architecture/language/hidden", json!(u64::MAX)),
        ("/architecture/language/inv_freq", json!([])),
        ("/architecture/std", json!([0.0, 1.0, 1.0])),
        ("/format", json!("mqt.pack/0")),
        ("/weights", json!("q3")),
        ("/shards", json!([])),
        ("/shards/0/bytes", json!(1u64 << 60)),
        ("/shards/0/bytes", json!(5)),
        ("/shards/0/sha256", json!("00")),
        ("/tensors/language.embed/rows", json!(1023)),
        ("/tensors/language.embed/parts", json!([])),
        ("/tensors/language.embed/parts/0/shard", json!(9)),
        ("/tensors/language.embed/parts/0/rows", json!(32)),
        ("/tensors/language.embed/format", json!("q4")),
        ("/tensors/language.norm/parts", json!([])),
    ];
    for (path, value) in numbers {
        refused(|manifest| {
            *manifest.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value.clone()
        });
    }
}

/// Before version 2, codes of 4 bits had no zeros; every other format lies as it did.
#[test]
fn packs_of_version_1_are_read_unless_they_hold_4_bits() {
    let folder = copy();
    let path = folder.path().join("manifest.json");
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    manifest["format"] = json!("mqt.pack/1");
    manifest.as_object_mut().unwrap().remove("importance");
    std::fs::write(&path, serde_json::to_vec(&manifest).unwrap()).unwrap();
    assert_eq!(load(folder.path()).unwrap().weights_name(), "q8");
    for (path, value) in [("/weights", "q4"), ("/tensors/language.layers.0.o/format", "q4")] {
        let message = refused(|manifest| {
            manifest["format"] = json!("mqt.pack/1");
            *manifest.pointer_mut(path).unwrap() = json!(value);
        });
        assert!(message.contains("mqt convert CHECKPOINT -o PACK --weights q4"), "{message}");
    }
}

#[test]
fn absurd_sizes_are_refused_before_anything_is_read() {
    let message = refused(|manifest| {
        manifest["shards"] = json!(vec![json!({"file": "a", "bytes": 0, "sha256": ""}); 20_000])
    });
    assert!(message.contains("more than the 10000 of any model"), "{message}");
    let message = refused(|manifest| manifest["files"][0]["bytes"] = json!(200u64 << 20));
    assert!(message.contains("a file of this kind has at most"), "{message}");
    let message = refused(|manifest| manifest["template"]["system"] = json!("a".repeat(1 << 20)));
    assert!(message.contains("prompt template"), "{message}");
    let message = refused(|manifest| manifest["more"] = json!("a".repeat(9 << 20)));
    assert!(message.contains("manifest.json") && message.contains("at most 8388608"), "{message}");
    let message = refused(|manifest| manifest["format"] = json!(vec![0; 1000]));
    assert!(message.contains("more characters") && message.len() < 400, "{message}");
    let vision =
        |manifest: &mut Value, key: &str| manifest["architecture"]["vision"][key] = json!(1 << 20);
    let message =
        refused(|manifest| ["image_size", "patch"].iter().for_each(|key| vision(manifest, key)));
    assert!(message.contains("pixels a side"), "{message}");
    // A million tensors' worth of something that nobody reads takes no memory.
    let folder = copy();
    let path = folder.path().join("manifest.json");
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    manifest["more"] = json!(vec![json!([]); 2_500_000]);
    std::fs::write(&path, manifest.to_string()).unwrap();
    assert_eq!(load(folder.path()).unwrap().config().m_max(), 64);
}

#[test]
fn a_tokenizer_that_multiplies_text_is_refused_by_name() {
    use sha2::{Digest, Sha256};
    let folder = copy();
    let read = |name: &str| -> Value {
        serde_json::from_slice(&std::fs::read(folder.path().join(name)).unwrap()).unwrap()
    };
    let (mut tokenizer, mut manifest) = (read("tokenizer.json"), read("manifest.json"));
    let step = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aaaaaaaaaa"});
    tokenizer["normalizer"] = json!({"type": "Sequence", "normalizers": vec![step; 7]});
    let bytes = tokenizer.to_string().into_bytes();
    for file in manifest["files"]
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .filter(|file| file["file"] == "tokenizer.json")
    {
        file["bytes"] = json!(bytes.len());
        file["sha256"] = json!(
            Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        );
    }
    std::fs::write(folder.path().join("tokenizer.json"), bytes).unwrap();
    std::fs::write(folder.path().join("manifest.json"), manifest.to_string()).unwrap();
    let error = load(folder.path()).err().unwrap();
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().contains("tokenizer.json is not usable: its normaliser and pre-tokenizer may make a text 10000000 times"), "{error}");
}

#[test]
fn names_may_not_leave_the_folder() {
    for name in ["../weights-00001.safetensors", "/etc/passwd", "a/b", "..", ""] {
        let message = refused(|manifest| manifest["shards"][0]["file"] = json!(name));
        assert!(message.contains("no file of a model"), "{name}: {message}");
    }
}

#[test]
fn a_missing_tensor_is_named() {
    let message = refused(|manifest| {
        drop(manifest["tensors"].as_object_mut().unwrap().remove("language.layers.2.down"))
    });
    assert!(message.contains("language.layers.2.down"), "{message}");
}

#[test]
fn a_flipped_byte_a_cut_and_a_lost_shard_name_the_shard() {
    let folder = copy();
    let path = folder.path().join(SHARD);
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let flipped = load(folder.path()).err().unwrap();
    std::fs::write(&path, &bytes[..at]).unwrap();
    let cut = load(folder.path()).err().unwrap();
    std::fs::remove_file(&path).unwrap();
    let lost = load(folder.path()).err().unwrap();
    for error in [flipped, cut, lost] {
        assert!(error.to_string().contains(SHARD) && error.exit_code() == 3, "{error}");
    }
}

#[test]
fn another_tokenizer_is_refused() {
    let folder = copy();
    let path = folder.path().join("tokenizer.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("red", "der", 1)).unwrap();
    let error = load(folder.path()).err().unwrap();
    assert!(error.to_string().contains("tokenizer.json") && error.exit_code() == 3, "{error}");
}
