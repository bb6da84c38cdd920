//! Encoded pictures on disk: one process encodes, all others read; and who keeps out.

use crate::common::{Mqt, adapters, checkpoint, mqt, picture, text, words};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// A run that keeps pictures in this cache.
fn keeping(cache: &Path, line: &str, more: &[&str]) -> Mqt {
    mqt(words(line, more)).env("MQT_CACHE", &text(cache)).env("MQT_NO_PICTURE_CACHE", "")
}

/// An answer about a picture, from a process of its own.
fn ask(cache: &Path, name: &str, more: &[&str]) -> Value {
    let picture = picture(name);
    let line: Vec<&str> = [picture.as_str(), "What is this?"].iter().chain(more).copied().collect();
    keeping(cache, "ask --json --adapter cpu", &line).ok().record()
}

fn runs(record: &Value) -> (u64, bool) {
    (record["vision_runs"].as_u64().unwrap(), record["timings_ms"]["vision"] == 0.0)
}

fn files(cache: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(cache.join(".pictures")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[test]
fn a_picture_is_encoded_once_for_all_processes() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path();
    let first = ask(cache, "blobs.png", &[]);
    assert_eq!((runs(&first), files(cache).len()), ((1, false), 1), "{first}");
    let second = ask(cache, "blobs.png", &[]);
    assert_eq!(runs(&second), (0, true), "{second}");
    assert_eq!(first["token_ids"], second["token_ids"]);
    assert_eq!(first["mean_probability"], second["mean_probability"], "the very same numbers");
    // Every device reads it, any m is a part of it, another picture is another one.
    for adapter in adapters() {
        let picture = picture("blobs.png");
        let line = ["--adapter", adapter, &picture, "What is this?"];
        let records = keeping(cache, "compare --json", &line).ok().records();
        assert!(records.len() > 3 && records.iter().all(|record| runs(record) == (0, true)));
    }
    assert_eq!(runs(&ask(cache, "wide.png", &[])), (1, false));
    assert_eq!(files(cache).len(), 2);
    // Switched off, by flag or for good.
    assert_eq!(runs(&ask(cache, "blobs.png", &["--no-picture-cache"])), (1, false));
    let off = keeping(cache, "ask --json", &[&picture("blobs.png"), "What?"]);
    assert_eq!(runs(&off.env("MQT_NO_PICTURE_CACHE", "1").ok().record()).0, 1);
    // Listed, and removed.
    let listed = keeping(cache, "cache ls", &[]).ok().stdout;
    assert!(listed.starts_with("pictures (2 pictures)"), "{listed}");
    let gone = keeping(cache, "cache rm pictures", &[]).ok().stderr;
    assert!(gone.starts_with("the encoded pictures are gone"), "{gone}");
    assert_eq!(files(cache).len(), 0);
    assert_eq!(runs(&ask(cache, "blobs.png", &[])), (1, false));
}

#[test]
fn damaged_pictures_are_encoded_again() {
    let folder = tempfile::tempdir().unwrap();
    let first = ask(folder.path(), "blobs.png", &[]);
    let path = files(folder.path()).remove(0);
    let good = fs::read(&path).unwrap();
    for bad in [&good[..good.len() / 2], b"", &[0; 100]] {
        fs::write(&path, bad).unwrap();
        let record = ask(folder.path(), "blobs.png", &[]);
        assert_eq!((runs(&record).0, &record["token_ids"]), (1, &first["token_ids"]));
        assert_eq!(fs::read(&path).unwrap().len(), good.len(), "it is whole again");
    }
}

#[test]
fn models_do_not_share_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let model = text(&Path::new(env!("CARGO_MANIFEST_DIR")).join("models/toybox/checkpoint"));
    ask(folder.path(), "blobs.png", &[]);
    for weights in ["q8", "f32"] {
        let line = ["--model", &model, "--weights", weights];
        assert_eq!(runs(&ask(folder.path(), "blobs.png", &line)), (1, false), "{weights}");
        assert_eq!(runs(&ask(folder.path(), "blobs.png", &line)), (0, true), "{weights}");
    }
    // A checkpoint whose weights have changed is another model, though its shapes are the same.
    let copy = folder.path().join("copy");
    crate::common::copy_folder(Path::new(&checkpoint("a-f32-tower")), &copy);
    let ask = || ask(folder.path(), "blobs.png", &["--model", &text(&copy), "-m", "2"]);
    assert_eq!([runs(&ask()).0, runs(&ask()).0], [1, 0]);
    let path = copy.join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 3;
    bytes[last] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(runs(&ask()).0, 1);
}

#[test]
fn exact_trace_and_eval_keep_out() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, picture) = (folder.path(), picture("blobs.png"));
    let output = text(&cache.join("out.safetensors"));
    ask(cache, "blobs.png", &["--arithmetic", "exact"]);
    let line = [picture.as_str(), "What?", "-o", &output];
    keeping(cache, "trace --adapter cpu --arithmetic fast -m 4", &line).ok();
    let questions = cache.join("questions.jsonl");
    let question = serde_json::json!({"question_id": 1, "image": "blobs.png", "text": "What?"});
    fs::write(&questions, question.to_string()).unwrap();
    let images = Path::new(&picture).parent().unwrap().to_owned();
    let answers = text(&cache.join("answers.jsonl"));
    let line = [&text(&questions), "--images", &text(&images), "-o", &answers];
    keeping(cache, "eval --adapter cpu --arithmetic fast --max-new-tokens 2", &line).ok();
    assert!(!cache.join(".pictures").exists());
    // And what is there is not read.
    ask(cache, "blobs.png", &[]);
    assert_eq!(runs(&ask(cache, "blobs.png", &["--arithmetic", "exact"])), (1, false));
}
