//! `mqt chat`: lines are asked or are errors, pictures come and go.

use crate::common::{checkpoint, mqt, picture, words};
use base64::Engine;
use serde_json::Value;
use std::fs;

#[test]
fn a_chat_looks_once() {
    let model = checkpoint("a-f32-tower");
    let (a, b) = (picture("blobs.png"), picture("wide.png"));
    let chat = |text: &str, more: &[&str]| {
        let words = words("chat --adapter cpu --max-new-tokens 4 --model", &[&model, &a]);
        mqt(words.into_iter().chain(more.iter().copied())).stdin(text).run()
    };
    let field = |records: &[Value], name: &str| {
        records.iter().map(|record| record[name].clone()).collect::<Vec<_>>()
    };

    let done = chat("What is this?\n\nWhere is it?\n", &["--json", "-m", "4"]);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:#?}");
    let records = done.records();
    assert_eq!(field(&records, "vision_runs"), [1, 0]);
    let prompts: Vec<u64> =
        records.iter().map(|record| record["prompt_tokens"].as_u64().unwrap()).collect();
    assert!(prompts[1] > prompts[0] + 4, "the second turn holds the first: {prompts:?}");

    let commands = format!(
        "What is this?\n/m 9\nWhere?\n/refine 16\n/refine\n/new\nWhat is this?\n/forget\n/image {b}\n/m auto\nWhat is this?\n/quit\nNever asked\n"
    );
    let records = chat(&commands, &["--json", "-m", "4"]).records();
    assert_eq!(field(&records, "image_tokens")[..5], [4, 9, 16, 49, 9]);
    assert_eq!(field(&records, "vision_runs"), [1, 0, 0, 0, 0, 1]);
    assert_eq!(records[5]["image"], b);
    assert_eq!(records[5]["image_tokens_mode"], "auto");
    // Refining replaces the answer: the conversation is as long as before, but for the image
    // tokens.
    let text_tokens = |i: usize| {
        records[i]["prompt_tokens"].as_u64().unwrap() - records[i]["image_tokens"].as_u64().unwrap()
    };
    assert_eq!((text_tokens(1), text_tokens(0)), (text_tokens(2), text_tokens(4)));

    let done = chat("/frobnicate\n/help\n/stats\nWhat?\n/stats\n", &[]);
    assert_eq!(done.code, 2, "{done:#?}");
    for part in
        ["there is no /frobnicate", "/help lists", "/refine [M]", "no answer yet", "tokens/s"]
    {
        assert!(done.stderr.contains(part), "{part:?} in {done:#?}");
    }
    assert_eq!(done.stdout.lines().count(), 1, "{done:#?}");

    // What goes wrong is said, the conversation goes on, and a script sees it in the end.
    let done = chat("/m 50\n/m x\n/refine\nWhat is this?\n", &["--json"]);
    assert_eq!(done.code, 2, "{done:#?}");
    assert_eq!((done.stderr.lines().count(), done.records().len()), (3, 1), "{done:#?}");
    let done = chat(&format!("{}\nWhat is this?\n", "word ".repeat(600)), &["--json"]);
    assert_eq!((done.code, done.records().len()), (8, 1), "{done:#?}");
}

/// Pictures join the conversation and leave it; each is encoded once.
#[test]
fn a_chat_is_about_several_pictures() {
    let model = checkpoint("a-f32-tower");
    let (a, b) = (picture("blobs.png"), picture("wide.png"));
    let chat = |text: &str, more: &[&str]| {
        let words = words("chat --adapter cpu --max-new-tokens 2 -m 4 --model", &[&model, &a]);
        mqt(words.into_iter().chain(more.iter().copied())).stdin(text).run()
    };
    let lines = format!(
        "One?\n/image {b}\nTwo?\nThe first?\n/image {a}\nThree?\n/forget 1\nThe rest?\n/forget\nNone?\n"
    );
    let done = chat(&lines, &["--json"]);
    assert_eq!(done.code, 0, "{done:#?}");
    let records = done.records();
    let named = |record: &Value| {
        let names = record["images"].as_array().unwrap().iter();
        names.map(|image| image["image"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (one, two) = (a.as_str(), b.as_str());
    let wanted: [&[&str]; 6] =
        [&[one], &[one, two], &[one, two], &[one, two, one], &[two, one], &[]];
    for (record, wanted) in records.iter().zip(wanted) {
        assert_eq!(named(record), wanted, "{record}");
    }
    let field = |name: &str| records.iter().map(|r| r[name].clone()).collect::<Vec<_>>();
    // The picture that stands there twice is encoded once.
    assert_eq!(field("vision_runs"), [1, 1, 0, 0, 0, 0]);
    assert_eq!(field("new_images"), [1, 1, 0, 1, 0, 0]);
    assert_eq!(records[5]["image_tokens"], 0);
    let cached = |i: usize| records[i]["cached_tokens"].as_u64().unwrap();
    let prompt = |i: usize| records[i]["prompt_tokens"].as_u64().unwrap();
    assert!((1..4).all(|i| cached(i) >= prompt(i - 1)), "{records:#?}");

    let done = chat(&format!("/image {b}\n/images\n/forget 3\n/forget 1\n/images\n"), &[]);
    assert_eq!(done.code, 2, "{done:#?}");
    for part in [
        "it is picture 2",
        &format!("1  {a}\n2  {b}\n"),
        "/forget takes a picture's number, 1 to 2",
        &format!("{a} is forgotten"),
        &format!("1  {b}\n"),
    ] {
        assert!(done.stderr.contains(part), "{part:?} in {}", done.stderr);
    }
}

/// A file of the cases from the field.
fn case(name: &str) -> Vec<u8> {
    fs::read(
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/program").join(name),
    )
    .unwrap()
}

/// `mqt chat --json` with these lines; the questions that were asked, and the rest.
fn chat(lines: &[u8]) -> (Vec<String>, crate::common::Done) {
    let (model, picture) = (checkpoint("a-f32-tower"), picture("blobs.png"));
    let done = mqt(words(
        "chat --json --adapter cpu --max-new-tokens 2 -m 2 --model",
        &[&model, &picture],
    ))
    .stdin(lines)
    .run();
    (
        done.records()
            .iter()
            .map(|record| record["question"].as_str().unwrap().to_owned())
            .collect(),
        done,
    )
}

#[test]
fn a_line_of_a_chat_is_asked_or_is_an_error() {
    let (asked, done) = chat(&case("14_slash.txt"));
    assert_eq!((done.code, asked), (2, vec!["What is this?".to_owned()]), "{done:#?}");
    assert!(done.stderr.contains("there is no /what"), "{done:#?}");
    // A command that takes nothing is not given when something follows it.
    let (asked, done) = chat(b"Where?\n/new York, is it?\n/quit smoking?\nWhat?\n");
    assert_eq!((done.code, asked), (2, vec!["Where?".to_owned(), "What?".to_owned()]), "{done:#?}");
    assert_eq!(done.stderr.lines().count(), 2, "{done:#?}");
    let (asked, done) = chat(b"Where\xff?\nWhat?\n");
    assert_eq!((done.code, asked), (2, vec!["What?".to_owned()]), "{done:#?}");
    assert!(done.stderr.contains("line 1 is not UTF-8"), "{done:#?}");
}

#[test]
fn marks_and_line_breaks_of_other_systems_are_no_part_of_a_question() {
    let (asked, done) = chat(&case("14_bom.txt"));
    assert_eq!((done.code, asked), (0, vec!["What is this?".to_owned()]), "{done:#?}");
    let (asked, done) = chat(b"\xef\xbb\xbf/stats\r\n\xef\xbb\xbfWhat?\r\n\r\nWhere?");
    assert_eq!((done.code, asked), (0, vec!["What?".to_owned(), "Where?".to_owned()]), "{done:#?}");
    let (_, done) = chat(b"\xff\xfeW\0h\0a\0t\0?\0\n\0");
    done.refused(2, "UTF-16");
}

#[test]
fn a_line_of_a_chat_has_a_largest_length() {
    let mut line = b"/image data:image/png;base64,".to_vec();
    line.resize(65 << 20, b'A');
    let (asked, done) = chat(&line);
    assert!(asked.is_empty());
    done.refused(2, "longer than 64 MiB");
}

#[cfg(unix)]
#[test]
fn pictures_are_found_however_they_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = fs::read(picture("wide.png")).unwrap();
    let path = folder.path().join("it's a picture.png");
    fs::write(&path, &bytes).unwrap();
    let (model, home, path) =
        (checkpoint("a-f32-tower"), folder.path().to_str().unwrap(), path.to_str().unwrap());
    let url = format!("file://{}", path.replace(' ', "%20"));
    let base64 = base64::engine::general_purpose::STANDARD.encode(&bytes);
    let encoded = base64.replace('+', "%2B").replace('/', "%2f").replace('=', "%3D");
    let url_safe = base64.replace('+', "-").replace('/', "_").replace('=', "");
    let plain: String = bytes.iter().map(|byte| format!("%{byte:02x}")).collect();
    let urls = [
        format!("data:image/png;base64,{encoded}"),
        format!("data:image/png;base64,{url_safe}"),
        format!("data:image/png,{plain}"),
        url,
    ];
    let names = [
        path.to_owned(),
        format!("\"{path}\""),
        path.replace(' ', "\\ ").replace('\'', "\\'"),
        format!("'{}'", path.replace('\'', r"'\''")),
        "~/it's a picture.png".into(),
        "\"~/it's a picture.png\"".into(),
    ];
    let lines: String =
        names.iter().chain(&urls).map(|name| format!("/forget\n/image {name}\nWhat?\n")).collect();
    let first = picture("blobs.png");
    let line =
        words("chat --json --adapter cpu --max-new-tokens 2 -m 2 --model", &[&model, &first]);
    let done = mqt(line).env("HOME", home).stdin(lines).ok();
    let records = done.records();
    assert_eq!(records.len(), names.len() + urls.len(), "{done:#?}");
    let want = mqt(words(
        "ask --json --adapter cpu --max-new-tokens 2 -m 2 --model",
        &[&model, path, "What?"],
    ))
    .ok()
    .record();
    assert!(records.iter().all(|record| record["token_ids"] == want["token_ids"]), "{done:#?}");
    for url in &urls {
        let record = mqt(words(
            "ask --json --adapter cpu --max-new-tokens 2 -m 2 --model",
            &[&model, url, "-q", "What?"],
        ))
        .ok()
        .record();
        assert_eq!(record["token_ids"], want["token_ids"], "{record}");
    }
}
