//! Packs with a file too few, too short or too strange.

use crate::common::{mqt, picture, text, words};
use serde_json::Value;
use std::fs;

#[test]
fn spoiled_packs() {
    let folder = tempfile::tempdir().unwrap();
    let pack = folder.path().join("pack");
    mqt([
        "convert",
        &crate::common::checkpoint("d-floor-grid"),
        "-o",
        &text(&pack),
        "--weights",
        "q8",
    ])
    .ok();
    let shard = fs::read_dir(&pack)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|e| e == "safetensors"))
        .unwrap();
    let manifest = pack.join("manifest.json");
    let (weights, text_of) = (fs::read(&shard).unwrap(), fs::read_to_string(&manifest).unwrap());

    let refused = |hint: &str| {
        mqt(["verify", &text(&pack)]).run().refused(3, hint);
        mqt(words("ask --adapter cpu", &[&picture("blobs.png"), "What?", "--model", &text(&pack)]))
            .run()
            .refused(3, hint);
    };
    let name = shard.file_name().unwrap().to_str().unwrap();
    // One bit anywhere.
    for at in [0, 100, weights.len() / 2, weights.len() - 1] {
        let mut spoiled = weights.clone();
        spoiled[at] ^= 1;
        fs::write(&shard, spoiled).unwrap();
        refused(name);
    }
    fs::write(&shard, &weights[..weights.len() - 1]).unwrap();
    refused(name);
    fs::remove_file(&shard).unwrap();
    refused(name);
    fs::write(&shard, &weights).unwrap();
    mqt(["verify", &text(&pack)]).ok();

    for spoiled in [&text_of[..text_of.len() / 2], "", "{}", "[]", "null"] {
        fs::write(&manifest, spoiled).unwrap();
        refused("manifest.json");
    }
    fs::write(&manifest, text_of.replace(name, "../outside.safetensors")).unwrap();
    refused("");
    fs::remove_file(&manifest).unwrap();
    mqt(["verify", &text(&pack)]).run().refused(3, "");
}

#[test]
fn a_packs_name_is_shown_on_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let pack = folder.path().join("pack");
    mqt(["convert", &crate::common::checkpoint("d-floor-grid"), "-o", &text(&pack)]).ok();
    let manifest = pack.join("manifest.json");
    let mut value: Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    value["name"] = "a\nevery SHA-256 right\r\u{2028}\u{1b}[2Jb".into();
    fs::write(&manifest, value.to_string()).unwrap();
    let said = mqt(["verify", &text(&pack)]).ok().stdout;
    assert!(said.starts_with("a every SHA-256 right \\x1b[2Jb: "), "{said:?}");
    assert_eq!((said.lines().count(), said.matches('\u{2028}').count()), (1, 0), "{said:?}");
}
