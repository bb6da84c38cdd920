//! Pairs of GGUF files on the command line: converted, asked, shown, and what to do about the rest.

use crate::common::{mqt, text};
use std::fs;
use std::path::{Path, PathBuf};

fn case(name: &str) -> String {
    text(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gguf").join(name))
}

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/toybox/samples/toybox-1.png");

/// `mqt convert` of a pair into a folder.
fn convert(model: &str, mmproj: &str, pack: &Path) -> crate::common::Mqt {
    mqt(["convert", model, "--mmproj", mmproj, "-o", &text(pack), "--weights", "f16"])
}

#[test]
fn a_pair_becomes_a_pack_that_answers() {
    let folder = tempfile::tempdir().unwrap();
    let pack = folder.path().join("pack");
    convert(&case("q8_0.gguf"), &case("q8_0-mmproj.gguf"), &pack).ok();
    let manifest: serde_json::Value =
        serde_json::from_slice(&fs::read(pack.join("manifest.json")).unwrap()).unwrap();
    assert_eq!((&manifest["name"], &manifest["licence"]), (&"q8_0".into(), &"cc0-1.0".into()));
    mqt(["verify", &text(&pack)]).ok();
    let pack = text(&pack);
    let ask = ["ask", SAMPLE, "How many?", "--model", &pack, "--adapter", "cpu", "--json"];
    let answer = mqt(ask.into_iter().chain(["--max-new-tokens", "3"])).ok().record();
    assert_eq!(answer["image_tokens"], 4, "{answer}");
}

#[test]
fn converting_again_gives_the_same_bytes_wherever_the_files_lie() {
    let folder = tempfile::tempdir().unwrap();
    let (model, mmproj) = (folder.path().join("q4_k.gguf"), folder.path().join("eyes.gguf"));
    fs::copy(case("q4_k.gguf"), &model).unwrap();
    fs::copy(case("q4_k-mmproj.gguf"), &mmproj).unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    convert(&case("q4_k.gguf"), &case("q4_k-mmproj.gguf"), &first).ok();
    convert("q4_k.gguf", "./eyes.gguf", &second).folder(folder.path()).ok();
    let bytes = |pack: &PathBuf| fs::read(pack.join("weights-00001.safetensors")).unwrap();
    assert!(bytes(&first) == bytes(&second));
}

#[test]
fn inspect_shows_one_file_or_the_two_together() {
    let one = mqt(["inspect", &case("q4_k.gguf"), "--json"]).ok().record();
    assert_eq!(one["schema"], "mqt.gguf/1");
    assert_eq!(one["keys"]["llama.embedding_length"], 256, "{one}");
    assert_eq!(one["types"][0]["name"], "Q4_K", "{one}");
    assert_eq!(one["problem"], serde_json::Value::Null, "{one}");
    let eyes = mqt(["inspect", &case("q4_k-mmproj.gguf")]).ok();
    assert!(eyes.stdout.contains("the vision half of a pair (mmproj)"), "{eyes:#?}");
    let two = mqt(["inspect", &case("q4_k.gguf"), "--mmproj", &case("q4_k-mmproj.gguf"), "--json"]);
    let two = two.ok().record();
    assert_eq!((&two["schema"], &two["name"]), (&"mqt.inspect/1".into(), &"q4_k".into()));
    assert_eq!(two["image_tokens_max"], 4, "{two}");
}

#[test]
fn a_file_that_cannot_be_run_is_shown_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.gguf");
    let bytes = fs::read(case("q4_0.gguf")).unwrap();
    let at = bytes.windows(5).skip(40).position(|window| window == b"llama").unwrap() + 40;
    let other = [&bytes[..at], b"qwen3", &bytes[at + 5..]].concat();
    fs::write(&path, other).unwrap();
    let shown = mqt(["inspect", &text(&path)]).ok();
    let last = shown.stdout.lines().last().unwrap_or_default();
    assert_eq!(
        last,
        "not read by this version: architecture qwen3 is not supported yet; llama and qwen2 are",
        "{shown:#?}"
    );
}

#[test]
fn what_is_missing_is_said_with_what_to_add() {
    let (model, mmproj) = (case("q4_0.gguf"), case("q4_0-mmproj.gguf"));
    let folder = tempfile::tempdir().unwrap();
    let out = text(&folder.path().join("pack"));
    let golden = text(&crate::common::golden("a-f32-tower").join("checkpoint"));
    let nowhere = text(&folder.path().join("nowhere.gguf"));
    for (args, code, hint) in [
        (vec!["convert", &model, "-o", &out], 2, "--mmproj: it is missing"),
        (vec!["convert", &mmproj, "--mmproj", &model, "-o", &out], 3, "give it as the mmproj"),
        (vec!["convert", &model, "--mmproj", &model, "-o", &out], 2, "is given as both files"),
        (vec!["convert", &golden, "--mmproj", &mmproj, "-o", &out], 2, "is a folder"),
        (vec!["convert", &model, "--mmproj", &golden, "-o", &out], 3, "give a GGUF file"),
        (vec!["convert", &nowhere, "--mmproj", &mmproj, "-o", &out], 3, "nowhere.gguf cannot be"),
        (vec!["convert", &model, "--mmproj", SAMPLE, "-o", &out], 3, "it is no GGUF file"),
        (vec!["ask", SAMPLE, "hi", "--model", &model], 3, "`mqt convert"),
    ] {
        mqt(args).run().refused(code, hint);
        assert!(!Path::new(&out).exists(), "{hint}");
    }
    let both = ["convert", &model, "--mmproj", &mmproj, "--vision-tower", &golden, "-o", &out];
    assert_eq!(mqt(both).run().code, 2);
}
