//! What a model says reaches a terminal with its control characters escaped, and everything else
//! exactly.

#![cfg(target_os = "linux")]

use crate::common::{adapters, copy_folder, mqt, text};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Writes the clipboard, clears the screen, paints, turns the text around: as JSON and as it comes
/// out of a program.
const HOSTILE: &str = "\u{1b}]52;c;eA==\u{7}\u{1b}[2J\u{9b}31m\u{202e}";
const ESCAPED: &str = "\\x1b]52;c;eA==\\x07\\x1b[2J\\x9b31m\\u{202e}";

/// The bundled pack, whose name and whose words for "a" and "an" are hostile.
fn hostile_pack() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("models/toybox"), folder.path());
    let read = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(folder.path().join(name)).unwrap()).unwrap()
    };
    let (mut tokenizer, mut manifest) = (read("tokenizer.json"), read("manifest.json"));
    for (old, new) in [("▁a", format!("{HOSTILE}a")), ("▁an", format!("{HOSTILE}an"))] {
        let vocab = tokenizer["model"]["vocab"].as_object_mut().unwrap();
        let id = vocab.remove(old).unwrap();
        vocab.insert(new, id);
    }
    let spelled = |merge: &Value| [0, 1].map(|i| merge[i].as_str().unwrap().to_owned());
    let vocab = tokenizer["model"]["vocab"].clone();
    let is_known = |merge: &Value| {
        let [left, right] = spelled(merge);
        [&left, &right, &format!("{left}{right}")]
            .iter()
            .all(|token| vocab.get(token.as_str()).is_some())
    };
    tokenizer["model"]["merges"].as_array_mut().unwrap().retain(is_known);
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
    manifest["name"] = json!(format!("{HOSTILE}toybox"));
    fs::write(folder.path().join("tokenizer.json"), bytes).unwrap();
    fs::write(folder.path().join("manifest.json"), manifest.to_string()).unwrap();
    folder
}

/// What the program writes to a terminal that is its stdout and stderr, made by `script` of
/// util-linux, which every Linux has.
fn on_a_terminal(arguments: &[&str]) -> String {
    let quoted: Vec<String> = [env!("CARGO_BIN_EXE_mqt")]
        .iter()
        .chain(arguments)
        .map(|word| format!("'{word}'"))
        .collect();
    let mut script = Command::new("script");
    script.args(["-qec", &quoted.join(" "), "/dev/null"]).stdin(Stdio::null());
    script.env("MQT_CACHE", concat!(env!("CARGO_TARGET_TMPDIR"), "/cache")).env("TERM", "xterm");
    script.env("MQT_ADAPTER", adapters().last().unwrap());
    let output = script.output().expect("`script` runs (Debian: package bsdutils)");
    String::from_utf8(output.stdout).unwrap()
}

/// Without what the program itself paints and erases.
fn without_our_own(text: &str) -> String {
    let ours = [
        "\u{1b}[0m",
        "\u{1b}[1m",
        "\u{1b}[2m",
        "\u{1b}[1;31m",
        "\u{1b}[2K",
        "\u{1b}[1A",
        "\u{1b}[?25l",
        "\u{1b}[?25h",
        "\r",
    ];
    ours.iter().fold(text.to_owned(), |text, code| text.replace(code, ""))
}

fn steers(text: &str) -> bool {
    text.chars().any(|c| c.is_control() && c != '\n' || c == '\u{202e}')
}

#[test]
fn a_models_words_and_name_do_not_steer_a_terminal() {
    let pack = hostile_pack();
    let model = text(pack.path());
    let picture = concat!(env!("CARGO_MANIFEST_DIR"), "/models/toybox/samples/toybox-1.png");
    let ask = [
        "ask",
        picture,
        "What is in the picture?",
        "-m",
        "64",
        "--adapter",
        "cpu",
        "--model",
        &model,
    ];
    // In a pipe the answer is exact.
    let exact = mqt(ask).ok();
    assert!(exact.stdout.contains(&format!("{HOSTILE}an")), "{exact:#?}");
    let json = mqt(ask.iter().copied().chain(["--json"])).ok();
    assert_eq!(json.record()["answer"], exact.stdout.trim_end());
    assert!(json.stdout.contains('\u{9b}') && json.stdout.contains('\u{202e}'), "{json:#?}");
    let shown = on_a_terminal(&ask);
    let shown = without_our_own(&shown);
    assert!(shown.contains(&format!("{ESCAPED}an")) && !steers(&shown), "{shown:?}");
    // JSON too, which says the same.
    let shown = on_a_terminal(&["inspect", "--json", &model]).replace('\r', "");
    assert!(!steers(&shown), "{shown:?}");
    assert_eq!(serde_json::from_str::<Value>(&shown).unwrap()["name"], format!("{HOSTILE}toybox"));
    let shown = on_a_terminal(&["inspect", &model]).replace('\r', "");
    assert!(shown.starts_with(&format!("{ESCAPED}toybox · q8")) && !steers(&shown), "{shown:?}");
}

#[test]
fn errors_do_not_steer_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/d-floor-grid/checkpoint"),
        folder.path(),
    );
    let weights = folder.path().join("model.safetensors");
    let bytes = fs::read(&weights).unwrap();
    let length = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..length]).unwrap();
    header[HOSTILE] = json!({"dtype": "F32", "shape": [0], "data_offsets": [0, 0]});
    let header = header.to_string();
    fs::write(
        &weights,
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &bytes[length..]].concat(),
    )
    .unwrap();
    let model = text(folder.path());
    // stderr is escaped everywhere: nobody takes it apart.
    mqt(["inspect", &model]).run().refused(3, &format!("tensor {ESCAPED} belongs"));
    let bad = folder.path().join("bad");
    fs::create_dir(&bad).unwrap();
    fs::write(bad.join("config.json"), "{}").unwrap();
    // A pickle with a hostile name in it.
    fs::write(bad.join("pytorch_model.bin"), format!("c{HOSTILE}\nsystem\n(S'x'\ntR.")).unwrap();
    for arguments in [
        ["inspect", model.as_str()],
        ["inspect", &text(&bad)],
        [HOSTILE, "x"],
        ["ask", HOSTILE],
        ["inspect", HOSTILE],
        ["-q", HOSTILE],
    ] {
        let shown = on_a_terminal(&arguments);
        let shown = without_our_own(&shown);
        assert!(shown.contains("error:") && !steers(&shown), "{arguments:?}: {shown:?}");
    }
}
