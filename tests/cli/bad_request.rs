//! Requests that cannot be answered: one sentence on stderr, nothing on stdout, the documented exit
//! code.

use crate::common::{Done, checkpoint, golden, mqt, picture, text, words};
use std::fs;

/// `mqt ask` of a small model on the processor.
fn ask(more: &[&str]) -> Done {
    let model = checkpoint("d-floor-grid");
    mqt(words("ask --adapter cpu", &["--model", &model]).into_iter().chain(more.iter().copied()))
        .run()
}

/// M of that model.
const MAX: u64 = 9;

#[test]
fn image_tokens_outside_the_model() {
    let picture = picture("blobs.png");
    for m in ["0", &(MAX + 1).to_string(), "1000000", &u64::MAX.to_string()] {
        ask(&[&picture, "What?", "-m", m]).refused(2, "1 to 9");
    }
    for m in ["abc", "-1", "1.5", "", "18446744073709551616"] {
        ask(&[&picture, "What?", "-m", m]).refused(2, "auto");
    }
    ask(&[&picture, "What?", "--draft", "2", "--refine", "10"]).refused(2, "1 to 9");
    let model = checkpoint("d-floor-grid");
    for line in [
        words("compare --tokens 2,10", &[&picture, "What?"]),
        words("trace -m 0 -o trace.safetensors", &[&picture, "What?"]),
    ] {
        mqt(line.into_iter().chain(words("--adapter cpu --model", &[&model])))
            .run()
            .refused(2, "1 to 9");
    }
}

#[test]
fn usage() {
    let picture = picture("blobs.png");
    ask(&[&picture, ""]).refused(2, "question is empty");
    ask(&[&picture, "-q", " \n"]).refused(2, "question is empty");
    ask(&[&picture]).refused(2, "question is missing");
    ask(&["What is this?"]).refused(2, "picture is missing");
    ask(&[&picture, &picture]).refused(2, "is a picture");
    ask(&["-", "-", "What?"]).refused(2, "stdin");
    ask(&[&picture, "What?", "--context", "100000"]).refused(2, "--context");
    ask(&[&picture, "What?", "--context", "3"]).refused(2, "--context");
    ask(&[&picture, "What?", "--weights", "q3"]).refused(2, "q3");
    ask(&[&picture, "What?", "--top-p", "7"]).refused(2, "--top-p");
    ask(&[&picture, "What?", "--temperature", "-1"]).refused(2, "--temperature");
    ask(&[&picture, "What?", "--seed", "x"]).refused(2, "--seed");
    ask(&[&picture, "What?", "--max-new-tokens", "0"]).refused(2, "--max-new-tokens");
    for line in [
        "",
        "frobnicate",
        "ask",
        "ask a.png what --no-such-flag",
        "ask a.png what --draft 2",
        "trace a.png what -m 2",
    ] {
        let done = mqt(line.split_whitespace()).run();
        assert_eq!((done.code, done.stdout.as_str()), (2, ""), "{done:#?}");
    }
}

/// The sentence of a wrong number; which numbers are wrong is tested beside the flags.
#[test]
fn numbers_without_sense() {
    let picture = picture("blobs.png");
    let flags = [
        "--target-ms",
        "--temperature",
        "--top-p",
        "--repetition-penalty",
        "--max-new-tokens",
        "--context",
        "--seed",
        "--top-k",
    ];
    for flag in flags {
        for value in ["nan", "-inf", "1e300", "-1"] {
            ask(&[&picture, "What?", flag, value]).refused(2, flag);
        }
    }
    mqt(["pull", "a/b", "--timeout", "1e300"]).run().refused(2, "--timeout");
    mqt(["bench", "--patience", "1e300"]).run().refused(2, "--patience");
    mqt(["bench", "--contexts", "-1"]).run().refused(2, "--contexts");
    // The largest of each is no reason to fail.
    let largest = "--target-ms 86400000 --temperature 100 --top-p 1 --top-k 4294967295 --repetition-penalty 100 --seed 18446744073709551615";
    let line: Vec<&str> =
        [&*picture, "What?", "-m", "2"].into_iter().chain(largest.split(' ')).collect();
    assert_eq!(ask(&line).code, 0);
    let least = "--target-ms 1e-300 --temperature 1e-45 --top-p 1e-45 --top-k 0 --repetition-penalty 0.01 --max-new-tokens 1";
    let line: Vec<&str> = [&*picture, "What?"].into_iter().chain(least.split(' ')).collect();
    assert_eq!(ask(&line).code, 0);
    assert_eq!(
        ask(&[&picture, "What?", "--context", "60", "--max-new-tokens", "4294967295"]).code,
        0
    );
}

#[test]
fn adapters_that_are_not_there() {
    let model = checkpoint("d-floor-grid");
    mqt(words("ask --adapter voodoo", &["--model", &model, &picture("blobs.png"), "What?"]))
        .run()
        .refused(4, "cpu");
    let doctor = mqt(words("doctor --adapter voodoo --json", &[])).run();
    assert_eq!(doctor.code, 4, "{doctor:#?}");
    assert_eq!(
        (&doctor.record()["usable"], &doctor.record()["adapter"]),
        (&false.into(), &serde_json::Value::Null)
    );
}

#[test]
fn pictures_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        text(&path)
    };
    let refused = |path: &str, hint: &str| ask(&[path, "What?"]).refused(6, hint);
    refused("no such.png", "no such.png");
    refused(&text(folder.path()), "folder");
    refused("https://example.org/a.png", "network");
    refused(&file("empty.png", b""), "empty.png");
    refused(
        &file("text.jpg", b"This is not a picture at all, whatever its name says."),
        "text.jpg",
    );
    for name in [
        "rgb.png",
        "interlaced.png",
        "rgb.jpg",
        "progressive.jpg",
        "cmyk.jpg",
        "lossy.webp",
        "lossless.webp",
        "animated.gif",
        "rgb.bmp",
    ] {
        let bytes = fs::read(golden("pillow").join(name)).unwrap();
        for keep in [1, 20, bytes.len() / 2, bytes.len() - 3] {
            refused(&file(&format!("cut {keep} {name}"), &bytes[..keep]), name);
        }
    }
    // A header that promises 65535 × 65535 pixels.
    let mut bomb = fs::read(golden("pillow/rgb.png")).unwrap();
    bomb[16..24].copy_from_slice(&[0, 0, 255, 255, 0, 0, 255, 255]);
    refused(&file("bomb.png", &bomb), "bomb.png");
}

#[test]
fn pictures_by_other_ways() {
    for url in [
        "data:",
        "data:image/png;base64",
        "data:image/png,abc",
        "data:image/png;base64,@@@@",
        "data:image/png;base64,AAAA",
    ] {
        ask(&[url, "What?"]).refused(6, "");
    }
    let line = ["ask", "-", "What?", "--adapter", "cpu", "--model", &checkpoint("d-floor-grid")];
    mqt(line).run().refused(6, "-: ");
    mqt(line).stdin("not a picture").run().refused(6, "-: ");
}

#[test]
fn a_bad_picture_does_not_stop_the_others() {
    let (good, other) = (picture("blobs.png"), picture("wide.png"));
    let folder = tempfile::tempdir().unwrap();
    let empty = text(&folder.path().join("empty.png"));
    fs::write(&empty, b"").unwrap();
    let done = ask(&["no such.png", &good, &empty, &other, "-q", "What?", "--json"]);
    assert_eq!(done.code, 6, "{done:#?}");
    let images: Vec<_> =
        done.records().iter().map(|record| record["image"].as_str().unwrap().to_owned()).collect();
    assert_eq!(images, [good, other]);
    assert_eq!(done.stderr.lines().count(), 2, "{done:#?}");
    assert!(done.stderr.contains("no such.png") && done.stderr.contains("empty.png"), "{done:#?}");
}

#[test]
fn more_than_the_context_holds() {
    let long = "word ".repeat(2000);
    ask(&[&picture("blobs.png"), &long]).refused(8, "context");
    // A context that holds the prompt and little more cuts the answer, and says so.
    let model = checkpoint("d-floor-grid");
    let picture = picture("blobs.png");
    let line = words(
        "ask --adapter cpu --json -m 9 --context 60",
        &["--model", &model, &picture, "What is this?"],
    );
    let record = mqt(line).ok().record();
    assert_eq!(record["finish_reason"], "context", "{record}");
    assert_eq!(
        record["prompt_tokens"].as_u64().unwrap() + record["completion_tokens"].as_u64().unwrap(),
        60,
        "{record}"
    );
}

#[test]
fn outputs_that_cannot_be() {
    let model = checkpoint("d-floor-grid");
    let trace = |path: &str| {
        mqt(words(
            "trace --adapter cpu -m 2",
            &["--model", &model, &picture("blobs.png"), "What?", "-o", path],
        ))
        .run()
    };
    trace("no/such/folder/trace.safetensors").refused(2, "no folder");
    trace(&text(&golden("pillow"))).refused(2, "folder");
}

#[test]
fn wrong_numbers_are_refused_in_plain_words() {
    let picture = picture("blobs.png");
    let of_answers = "--target-ms --max-new-tokens --temperature --top-p --top-k --repetition-penalty --seed --context -m";
    let lines: Vec<(&str, &str)> = of_answers
        .split(' ')
        .map(|flag| ("ask", flag))
        .chain(
            ["--tokens", "--contexts", "--prefill", "--batches", "--patience"]
                .map(|f| ("bench", f)),
        )
        .chain([("compare", "-m"), ("attention -o a.png", "-m"), ("trace -o a", "-m")])
        .chain([("ask --refine 2", "--draft"), ("ask --draft 2", "--refine")])
        .chain([("eval -o a --images a", "-m"), ("eval -o a --images a", "--shard")])
        .chain([("pull -o a", "--timeout"), ("convert -o a", "--shard-bytes")])
        .collect();
    for (command, flag) in lines {
        for value in ["x", "-1", "1e99", "", "18446744073709551616"] {
            let operands: &[&str] = match command.split(' ').next().unwrap_or_default() {
                "ask" | "compare" | "trace" => &[&picture, "What?"],
                "bench" => &[],
                _ => &[&picture],
            };
            let line = words(command, operands).into_iter().chain([flag, value]);
            let done = mqt(line).run();
            assert_eq!(done.code, 2, "{done:#?}");
            assert!(done.stderr.starts_with("error: invalid value"), "{done:#?}");
            for word in super::odd_settings::RUSTS_WORDS {
                assert!(!done.stderr.contains(word), "{word} in {done:#?}");
            }
        }
    }
}

#[test]
fn what_the_system_and_the_libraries_say_is_said_plainly() {
    ask(&["data:", "What?"]).refused(6, "error: data: the picture cannot be used");
    let done = ask(&["data:;base64,@@", "What?"]);
    done.refused(6, "error: data: the picture cannot be used: the data: URL is not valid base64");
    // One that accepts and says nothing, then one that says what is no HTTP, then none.
    let silent = super::server::Server::scripted(|_| super::server::Reply::silent());
    let garbage = super::server::Server::scripted(|_| super::server::Reply::garbage());
    let folder = tempfile::tempdir().unwrap();
    let pull = |address: &str| {
        let line = ["pull", "a/b", "--timeout", "0.1", "-o", &text(folder.path())];
        mqt(line).env("HF_ENDPOINT", address).run()
    };
    pull(&silent.base()).refused(7, "the server does not answer in time; tried 6 times");
    pull(&garbage.base()).refused(7, "the server's answer is not HTTP; tried 6 times");
    pull("http://127.0.0.1:1").refused(7, "the server refuses the connection; tried 6 times");
}

#[test]
fn a_context_without_room_for_a_question_is_named_itself() {
    let picture = picture("blobs.png");
    let ask = |context: &str| ask(&[&picture, "What?", "--context", context]);
    let bounds = ask("1");
    bounds.refused(2, "--context");
    let least = bounds.stderr.split("allows: ").nth(1).unwrap().split(' ').next().unwrap();
    let tight = ask(least);
    tight.refused(2, "--context");
    assert!(!tight.stderr.contains("system prompt"), "{tight:#?}");
}
