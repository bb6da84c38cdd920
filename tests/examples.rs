//! The examples run, and answer.

#![cfg(feature = "native")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::PathBuf;
use std::process::Command;

/// What an example of this name prints. `cargo test` builds examples beside the tests.
fn run(name: &str, words: &[&str]) -> String {
    let folder = std::env::current_exe().unwrap().parent().unwrap().join("../examples");
    let program = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    let output = Command::new(&program)
        .args(words)
        .env("MQT_CACHE", concat!(env!("CARGO_TARGET_TMPDIR"), "/examples"))
        .output()
        .unwrap_or_else(|error| {
            panic!("{}: {error}; `cargo build --examples` builds it", program.display())
        });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

fn sample(n: u8) -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.join(format!("models/toybox/samples/toybox-{n}.png")).to_str().unwrap().to_owned()
}

#[test]
fn every_example_answers() {
    let (one, two) = (sample(1), sample(2));
    let question = "How many things are there?";
    assert!(run("ask", &[&one, question]).starts_with("3 ("));
    let talk = run("stream", &[&one, question, "What is there?"]);
    assert!(talk.starts_with('3') && talk.lines().count() == 2, "{talk}");
    let all = run("compare", &[&one, question]);
    assert_eq!(all.lines().count(), 6, "{all}");
    assert!(all.lines().last().unwrap().ends_with('3'), "{all}");
    let frames = run("frames", &["What is there?", &one, &two, &one]);
    assert!(frames.contains("(3 frames, "), "{frames}");
}
