//! `mqt convert` measures which inputs count, on its own text or on another, or guesses it.

use crate::common::{Done, checkpoint, mqt, text};
use serde_json::Value;
use std::fs;
use std::path::Path;

fn convert(out: &Path, more: &[&str]) -> Done {
    let (model, out) = (checkpoint("a-f32-tower"), text(out));
    let line = ["convert", &model, "-o", &out].into_iter().map(str::to_owned);
    mqt(line.chain(more.iter().map(|word| (*word).to_owned())).collect::<Vec<_>>()).run()
}

fn manifest(pack: &Path) -> Value {
    serde_json::from_slice(&fs::read(pack.join("manifest.json")).unwrap()).unwrap()
}

fn weights(pack: &Path) -> Vec<u8> {
    fs::read(pack.join("weights-00001.safetensors")).unwrap()
}

#[test]
fn what_counts_is_measured_by_default_and_the_pack_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let done = convert(&at("usual"), &[]);
    assert!(done.code == 0 && done.stderr.contains("weights: q5 (auto"), "{done:#?}");
    assert!(done.stderr.contains("measured on") && done.stderr.contains("tokens"), "{done:#?}");
    let says = |name: &str, field: &str| manifest(&at(name))[field].as_str().unwrap().to_owned();
    let both = |name: &str| (says(name, "weights"), says(name, "importance"));
    assert_eq!(both("usual"), ("q5".into(), "measured".into()));
    assert_eq!(convert(&at("again"), &["--calibrate"]).code, 0);
    assert!(weights(&at("usual")) == weights(&at("again")), "the same text gives the same bytes");

    let done = convert(&at("guessed"), &["--calibrate=none"]);
    assert!(done.code == 0 && done.stderr.contains("guessed from the weights"), "{done:#?}");
    assert_eq!(both("guessed"), ("q5".into(), "guessed".into()));
    assert!(weights(&at("usual")) != weights(&at("guessed")), "a text tells more");

    // Halves are no codes: nothing is weighed.
    let done = convert(&at("halves"), &["--weights", "f16"]);
    assert!(done.code == 0 && !done.stderr.contains("measured"), "{done:#?}");
    assert_eq!(both("halves"), ("f16".into(), "none".into()));
}

#[test]
fn a_text_of_ones_own_is_read_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let with =
        |out: &str, file: &str| convert(&at(out), &[&format!("--calibrate={}", text(&at(file)))]);
    fs::write(at("one.txt"), "A red circle and two blue squares.").unwrap();
    fs::write(at("two.txt"), "What is in the upper left corner?").unwrap();
    fs::write(at("empty.txt"), " \n").unwrap();
    // No text at all: whatever it says, no byte of it stops the program.
    fs::write(at("bytes.txt"), (0..=255).cycle().take(3000).collect::<Vec<u8>>()).unwrap();
    for file in ["one", "two", "bytes"] {
        assert_eq!(with(file, &format!("{file}.txt")).code, 0);
    }
    assert!(weights(&at("one")) != weights(&at("two")), "the text counts");
    with("none", "no such.txt").refused(2, "no such.txt");
    with("none", "empty.txt").refused(2, "holds no text");
    assert!(!at("none").join("manifest.json").exists());
}
