//! stdin, stdout, stderr and signals: who gets what, and what happens when someone leaves.

use crate::common::{checkpoint, finish, mqt, picture, words};
use base64::Engine;
use std::fs;

/// The fields of `mqt.answer/1`, in order.
const FIELDS: [&str; 25] = [
    "schema",
    "image",
    "question",
    "answer",
    "token_ids",
    "finish_reason",
    "image_tokens",
    "image_tokens_mode",
    "image_tokens_reason",
    "images",
    "tiles",
    "new_images",
    "select",
    "prompt_tokens",
    "completion_tokens",
    "vision_runs",
    "timings_ms",
    "tokens_per_second",
    "adapter",
    "model",
    "arithmetic",
    "seed",
    "mean_probability",
    "cached_tokens",
    "predicted_first_token_ms",
];
const TIMINGS: [&str; 8] =
    ["load", "decode_image", "vision", "resample", "prefill", "first_token", "decode", "total"];

pub(super) fn line<'a>(model: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    words("ask --adapter cpu --max-new-tokens 5 --model", &[model])
        .into_iter()
        .chain(more.iter().copied())
        .collect()
}

/// The positions of `"name":` in a line, in the order of `names`.
pub(super) fn in_order(text: &str, names: &[&str]) {
    let places: Vec<usize> = names
        .iter()
        .map(|name| {
            text.find(&format!("\"{name}\":")).unwrap_or_else(|| panic!("no {name} in {text}"))
        })
        .collect();
    assert!(places.is_sorted(), "{names:?} in {text}");
}

#[test]
fn a_record_has_every_field_in_order() {
    let model = checkpoint("a-f32-tower");
    let picture = picture("blobs.png");
    let done =
        mqt(line(&model, &[&picture, "What is this?", "-m", "4", "--json", "--seed", "7"])).ok();
    assert_eq!(done.stderr, "", "{done:#?}");
    in_order(&done.stdout, &FIELDS);
    in_order(&done.stdout, &TIMINGS);
    let record = done.record();
    assert_eq!(record.as_object().unwrap().len(), FIELDS.len(), "{record}");
    assert_eq!(record["timings_ms"].as_object().unwrap().len(), TIMINGS.len(), "{record}");
    assert_eq!(
        (&record["schema"], &record["image"], &record["question"]),
        (&"mqt.answer/1".into(), &picture.into(), &"What is this?".into())
    );
    assert_eq!(
        (&record["image_tokens"], &record["image_tokens_mode"]),
        (&4.into(), &"fixed".into())
    );
    assert_eq!(
        (&record["vision_runs"], &record["completion_tokens"], &record["seed"]),
        (&1.into(), &5.into(), &7.into())
    );
    assert_eq!(
        record["adapter"],
        serde_json::json!({"name": "cpu", "backend": "none", "kind": "cpu"})
    );
    assert_eq!(
        (&record["model"]["name"], &record["model"]["weights"], &record["arithmetic"]),
        (&"a-f32-tower".into(), &"q5".into(), &"fast".into())
    );
    assert_eq!(record["model"]["sha256"].as_str().unwrap().len(), 64, "{record}");
    assert_eq!(record["token_ids"].as_array().unwrap().len(), 5, "{record}");
    assert!(record["timings_ms"]["load"].as_f64().unwrap() > 0.0, "{record}");
    let likely = record["mean_probability"].as_f64().unwrap();
    assert!(likely > 0.0 && likely < 1.0, "{record}");
}

#[test]
fn text_goes_to_stdout_and_stats_to_stderr() {
    let model = checkpoint("a-f32-tower");
    let picture = picture("blobs.png");
    let record = mqt(line(&model, &[&picture, "What is this?", "--json"])).ok().record();
    let done = mqt(line(&model, &[&picture, "What is this?"])).ok();
    assert_eq!(done.stdout, format!("{}\n", record["answer"].as_str().unwrap()), "{done:#?}");
    assert_eq!(done.stderr.lines().count(), 1, "{done:#?}");
    for part in ["cpu", "m ", "auto", "first token", "tokens/s", "--max-new-tokens"] {
        assert!(done.stderr.contains(part), "{part:?} in {done:#?}");
    }
    assert!(!done.stdout.contains('\x1b') && !done.stderr.contains('\x1b'), "{done:#?}");
    assert_eq!(mqt(line(&model, &[&picture, "What is this?", "--quiet"])).ok().stderr, "");
}

#[test]
fn pictures_from_stdin_and_data_urls() {
    let model = checkpoint("a-f32-tower");
    let path = picture("blobs.png");
    let bytes = fs::read(&path).unwrap();
    let url = format!(
        "data:image/png;base64,{}",
        base64::engine::general_purpose::STANDARD.encode(&bytes)
    );
    let by_path = mqt(line(&model, &[&path, "What is this?", "-m", "8", "--json"])).ok().record();
    let by_stdin =
        mqt(line(&model, &["-", "What is this?", "-m", "8", "--json"])).stdin(bytes).ok().record();
    let by_url =
        mqt(line(&model, &[&url, "-q", "What is this?", "-m", "8", "--json"])).ok().record();
    assert_eq!((&by_stdin["image"], &by_url["image"]), (&"-".into(), &"data:image/png".into()));
    assert_eq!(
        (&by_stdin["token_ids"], &by_url["token_ids"]),
        (&by_path["token_ids"], &by_path["token_ids"])
    );
}

#[test]
fn several_pictures_take_one_load() {
    let model = checkpoint("a-f32-tower");
    let (a, b) = (picture("blobs.png"), picture("wide.png"));
    let done = mqt(line(&model, &[&a, &b, &a, "What is this?", "-m", "8", "--json"])).ok();
    let records = done.records();
    assert_eq!(
        records.iter().map(|r| r["image"].as_str().unwrap()).collect::<Vec<_>>(),
        [&a, &b, &a]
    );
    assert_eq!(
        records.iter().map(|r| r["timings_ms"]["load"] != 0.0).collect::<Vec<_>>(),
        [true, false, false]
    );
    assert_eq!(records[0]["token_ids"], records[2]["token_ids"]);
    assert_ne!(records[0]["token_ids"], records[1]["token_ids"]);
    // In text, each answer says whose it is.
    let done = mqt(line(&model, &[&a, &b, "What is this?", "-m", "8"])).ok();
    assert!(done.stdout.contains(&format!("{b}: ")), "{done:#?}");
    // The same picture twice in a row is looked at once, and its second answer is not a second
    // turn.
    let records = mqt(line(&model, &[&a, &a, "What is this?", "-m", "8", "--json"])).ok().records();
    assert_eq!(
        (&records[1]["vision_runs"], &records[1]["token_ids"]),
        (&0.into(), &records[0]["token_ids"])
    );
}

/// A pipe that nobody writes to: the program waits, and still ends at once.
#[cfg(unix)]
#[test]
fn ctrl_c_ends_the_wait_for_a_picture() {
    use std::process::Command;
    use std::time::{Duration, Instant};
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let child = mqt(["ask", pipe.to_str().unwrap(), "What?", "--adapter", "cpu"]).start();
    let is_ready = || {
        fs::read_to_string(format!("/proc/{}/status", child.id()))
            .is_ok_and(|text| text.contains("State:\tS") && text.contains("Threads:\t2"))
    };
    let start = Instant::now();
    while cfg!(target_os = "linux") && !is_ready() && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success()
    );
    assert_eq!(finish(child, "mqt ask of a pipe, interrupted".into()).code, 130);
}

#[test]
fn a_reader_that_leaves_ends_it_quietly() {
    let model = checkpoint("a-f32-tower");
    let picture = picture("blobs.png");
    for more in [&["--json"][..], &[]] {
        let words = line(&model, &[&picture, &picture, &picture, "-q", "What is this?"])
            .into_iter()
            .chain(more.iter().copied());
        let mut child = mqt(words).start();
        drop(child.stdout.take());
        let done = finish(child, "mqt ask with a closed stdout".into());
        assert_eq!(done.code, 0, "{done:#?}");
        assert!(!done.stderr.contains("error") && !done.stderr.contains("panicked"), "{done:#?}");
    }
    let mut child = mqt(["--help"]).start();
    drop(child.stdout.take());
    let done = finish(child, "mqt --help with a closed stdout".into());
    assert!(!done.stderr.contains("panicked"), "{done:#?}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_the_text() {
    use std::io::Read;
    use std::process::Command;
    let model = checkpoint("c-crop");
    let picture = picture("blobs.png");
    let line = words(
        "ask --adapter cpu --max-new-tokens 450 -m 2 --model",
        &[&model, &picture, "What is this?"],
    );
    let mut child = mqt(line).start();
    let mut first = [0; 1];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    assert!(
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success()
    );
    let done = finish(child, "mqt ask, interrupted".into());
    assert_eq!(done.code, 130, "{done:#?}");
    assert!(done.stdout.ends_with('\n'), "{done:#?}");
    assert!(done.stderr.contains("stopped") && done.stderr.lines().count() == 1, "{done:#?}");
}

/// `script`, which every Linux has, gives the program a terminal.
#[cfg(target_os = "linux")]
#[test]
fn colours_only_for_terminals_that_want_them() {
    use std::process::Command;
    let command = format!("'{}' ask nosuch.png what --adapter cpu", env!("CARGO_BIN_EXE_mqt"));
    let said = |no_colour: Option<&str>| {
        let mut script = Command::new("script");
        script.args(["-qec", &command, "/dev/null"]).env_remove("NO_COLOR").env("TERM", "xterm");
        if let Some(value) = no_colour {
            script.env("NO_COLOR", value);
        }
        script.output().ok().map(|output| {
            (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
        })
    };
    // bsdutils, which brings it, is essential on Debian but not everywhere.
    let Some((code, text)) = said(None) else { return };
    assert_eq!(code, Some(6), "{text}");
    assert!(text.contains("\x1b[1;31merror:\x1b[0m"), "{text:?}");
    assert!(said(Some("")).unwrap().1.contains('\x1b'), "an empty NO_COLOR counts as unset");
    let (_, text) = said(Some("1")).unwrap();
    assert!(text.contains("error: ") && !text.contains('\x1b'), "{text:?}");
}

#[test]
fn a_system_prompt_opens_the_conversation() {
    let model = checkpoint("a-f32-tower");
    let picture = picture("blobs.png");
    let tokens = |more: &[&str]| {
        mqt(line(&model, &[&picture, "What is this?", "-m", "4", "--json"])
            .into_iter()
            .chain(more.iter().copied()))
        .ok()
        .record()["prompt_tokens"]
            .as_u64()
            .unwrap()
    };
    let (own, brief) = (tokens(&[]), tokens(&["--system", "Be brief."]));
    assert!(brief < own, "{brief} {own}");
    mqt(line(
        &model,
        &[&picture, "What is this?", "--context", "100", "--system", &"word ".repeat(200)],
    ))
    .run()
    .refused(2, "system prompt");
    // A model is measured under the prompt it was trained with.
    let eval = mqt([
        "eval",
        "questions.jsonl",
        "--images",
        ".",
        "-o",
        "answers.jsonl",
        "--system",
        "Be brief.",
    ])
    .run();
    assert!(eval.code == 2 && eval.stderr.contains("--system"), "{eval:#?}");
}
