//! What each command does when all is well.

use crate::common::{CASES, checkpoint, golden, mqt, picture, text, words};
use serde_json::{Value, json};
use std::fs;

fn ids(record: &Value) -> Vec<u64> {
    record["token_ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect()
}

/// `mqt ask --json` of one question; the records.
fn ask(case: &str, more: &str) -> Vec<Value> {
    let (model, picture) = (checkpoint(case), picture("blobs.png"));
    let line = words(
        "ask --json --adapter cpu --arithmetic exact --model",
        &[&model, &picture, "What is this?"],
    );
    mqt(line.into_iter().chain(more.split_whitespace())).ok().records()
}

#[test]
fn a_draft_and_its_refinement() {
    let both = ask("a-f32-tower", "--max-new-tokens 8 --draft 2 --refine 49");
    assert_eq!(both.len(), 2);
    assert_eq!((&both[0]["image_tokens"], &both[1]["image_tokens"]), (&2.into(), &49.into()));
    assert_eq!((&both[0]["vision_runs"], &both[1]["vision_runs"]), (&1.into(), &0.into()));
    // Each is what it would have been alone.
    for (record, m) in both.iter().zip([2, 49]) {
        assert_eq!(
            ids(record),
            ids(&ask("a-f32-tower", &format!("--max-new-tokens 8 -m {m}"))[0]),
            "m {m}"
        );
    }
}

#[test]
fn sampling_flags() {
    let hot = "--max-new-tokens 24 -m 4 --temperature 2";
    let seeds: Vec<_> = ["--seed 1", "--seed 1", "--seed 2"]
        .iter()
        .map(|seed| ids(&ask("a-f32-tower", &format!("{hot} {seed}"))[0]))
        .collect();
    assert_eq!(seeds[0], seeds[1]);
    assert_ne!(seeds[0], seeds[2]);
    let greedy = ids(&ask("a-f32-tower", "--max-new-tokens 24 -m 4")[0]);
    assert_eq!(ids(&ask("a-f32-tower", &format!("{hot} --top-k 1"))[0]), greedy);
    assert_eq!(ids(&ask("a-f32-tower", &format!("{hot} --top-p 0.000001"))[0]), greedy);
    assert_ne!(
        ids(&ask("a-f32-tower", "--max-new-tokens 24 -m 4 --repetition-penalty 5")[0]),
        greedy
    );
}

#[test]
fn stop_strings_end_an_answer() {
    let plain = &ask("a-f32-tower", "--max-new-tokens 12 -m 2")[0];
    assert_eq!((&plain["finish_reason"], ids(plain).len()), (&"length".into(), 12));
    let text = plain["answer"].as_str().unwrap();
    let (cut, stop) = text
        .char_indices()
        .filter(|(_, c)| c.is_ascii_alphabetic())
        .map(|(i, c)| (i, c.to_string()))
        .nth(5)
        .unwrap();
    let stopped =
        &ask("a-f32-tower", &format!("--max-new-tokens 12 -m 2 --stop nowhere --stop {stop}"))[0];
    assert_eq!(stopped["finish_reason"], "stop");
    assert_eq!(stopped["answer"].as_str().unwrap(), text[..text.find(&stop).unwrap()].trim());
    assert!(text.find(&stop).unwrap() <= cut);
}

#[test]
fn comparing_looks_once() {
    let (model, picture) = (checkpoint("a-f32-tower"), picture("blobs.png"));
    let line = words(
        "compare --adapter cpu --arithmetic exact --max-new-tokens 6 --model",
        &[&model, &picture, "What is this?"],
    );
    let with = |more: &'static [&str]| mqt(line.iter().copied().chain(more.iter().copied())).ok();
    let records = with(&["--json", "--tokens", "16,2,49,2"]).records();
    let tokens: Vec<_> =
        records.iter().map(|record| record["image_tokens"].as_u64().unwrap()).collect();
    assert_eq!(tokens, [2, 16, 49]);
    assert_eq!(
        records.iter().map(|record| record["vision_runs"].as_u64().unwrap()).sum::<u64>(),
        1
    );
    for (record, m) in records.iter().zip(tokens) {
        assert_eq!(
            ids(record),
            ids(&ask("a-f32-tower", &format!("--max-new-tokens 6 -m {m}"))[0]),
            "m {m}"
        );
    }
    let ladder: Vec<_> = with(&["--json"])
        .records()
        .iter()
        .map(|record| record["image_tokens"].as_u64().unwrap())
        .collect();
    assert_eq!(ladder, [2, 4, 8, 16, 36, 49]);
    let text = with(&["--tokens", "2,16"]);
    assert!(text.stdout.starts_with("   2  ") && text.stdout.contains("\n  16  "), "{text:#?}");
}

#[test]
fn packs_answer_as_their_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let pack = text(&folder.path().join("pack"));
    for (case, weights) in CASES.into_iter().zip(["q4", "q8", "f16", "q5", "f32"]) {
        // A folder is rounded with importance guessed.
        let flags = words("--calibrate=none --weights", &[weights]);
        mqt(["convert", &checkpoint(case), "-o", &pack].into_iter().chain(flags)).ok();
        let verified = mqt(["verify", &pack]).ok();
        assert!(verified.stdout.contains("SHA-256"), "{verified:#?}");
        let picture = picture("wide.png");
        let line = words(
            "ask --json --adapter cpu --arithmetic exact --max-new-tokens 12 -m 9",
            &[&picture, "What is this?"],
        );
        let by = |model: &str, more: &'static [&str]| {
            mqt(line.iter().copied().chain(["--model", model]).chain(more.iter().copied()))
                .ok()
                .record()
        };
        let from_pack = by(&pack, &[]);
        assert_eq!(from_pack["model"]["weights"], weights);
        let from_checkpoint = match weights {
            "q5" => by(&checkpoint(case), &[]),
            "q4" => by(&checkpoint(case), &["--weights", "q4"]),
            "q8" => by(&checkpoint(case), &["--weights", "q8"]),
            "f16" => by(&checkpoint(case), &["--weights", "f16"]),
            _ => by(&checkpoint(case), &["--weights", "f32"]),
        };
        assert_eq!(ids(&from_pack), ids(&from_checkpoint), "{case} {weights}");
        fs::remove_dir_all(&pack).unwrap();
    }
}

#[test]
fn inspecting() {
    for case in CASES {
        let record = mqt(["inspect", &checkpoint(case), "--json"]).ok().record();
        assert!(record["parameters"].as_u64().unwrap() > 10_000, "{record}");
        assert_eq!(
            record["image_tokens_max"],
            [49, 64, 25, 9, 36][CASES.iter().position(|c| *c == case).unwrap()]
        );
        let done = mqt(["inspect", &checkpoint(case)]).ok();
        assert!(done.stdout.contains("image tokens") && done.stderr.is_empty(), "{done:#?}");
    }
}

#[test]
fn notes_when_readings_differ() {
    let model = checkpoint("a-f32-tower");
    for (name, differ) in [
        ("rgb.png", false),
        ("exif6.jpg", true),
        ("rgba.png", true),
        ("grey16.png", true),
        ("l.png", false),
    ] {
        let picture = text(&golden("pillow").join(name));
        let done = mqt(words(
            "ask --adapter cpu --max-new-tokens 2 --model",
            &[&model, &picture, "What?"],
        ))
        .ok();
        assert_eq!(done.stderr.contains("note: "), differ, "{done:#?}");
    }
}

/// Lines of answers without what a clock said.
fn timeless(answers: &str) -> Vec<Value> {
    let line = |line: &str| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        assert!(
            value["metadata"]
                .as_object_mut()
                .unwrap()
                .remove("milliseconds")
                .unwrap()
                .as_f64()
                .unwrap()
                > 0.0,
            "{line}"
        );
        assert!(
            (0.0..=1.0).contains(&value["metadata"]["mean_probability"].as_f64().unwrap()),
            "{line}"
        );
        value
    };
    answers.lines().map(line).collect()
}

#[expect(clippy::too_many_lines, reason = "one run after the other on the same files")]
#[test]
fn an_evaluation_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let model = checkpoint("a-f32-tower");
    let (questions, answers) =
        (folder.path().join("questions.jsonl"), folder.path().join("answers.jsonl"));
    let lines = [
        json!({"question_id": 1, "image": "blobs.png", "text": "What is this?", "answer": "nothing", "kind": "what"}),
        json!({"question_id": "two", "image": "wide.png", "text": "Where?", "answer": "nowhere", "kind": "where", "more": [1, 2]}),
        json!({"question_id": 3, "image": "blobs.png", "text": "Why?"}),
    ];
    let write = |lines: &[Value]| {
        fs::write(&questions, lines.iter().map(|line| format!("{line}\n")).collect::<String>())
            .unwrap()
    };
    let eval = |tokens: &str, weights: &str| {
        let (questions, answers, images) =
            (text(&questions), text(&answers), text(&golden("pictures")));
        let line = words(
            "eval --adapter cpu --max-new-tokens 4 --tokens",
            &[
                tokens,
                &questions,
                "--images",
                &images,
                "-o",
                &answers,
                "--model",
                &model,
                "--weights",
                weights,
            ],
        );
        mqt(line).run()
    };
    write(&lines);
    let done = eval("2,16", "q4");
    assert_eq!((done.code, done.stdout.as_str()), (0, ""), "{done:#?}");
    assert!(
        done.stderr.contains("6 answers written") && done.stderr.contains("m = 16"),
        "{done:#?}"
    );
    let first = fs::read_to_string(&answers).unwrap();
    let records: Vec<Value> =
        first.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        records
            .iter()
            .map(|r| (r["question_id"].clone(), r["metadata"]["image_tokens"].clone()))
            .collect::<Vec<_>>()[2..4],
        [(json!("two"), json!(2)), (json!("two"), json!(16))]
    );
    let mut fields: Vec<_> = records[0].as_object().unwrap().keys().cloned().collect();
    fields.sort();
    assert_eq!(fields, ["answer_id", "metadata", "model_id", "prompt", "question_id", "text"]);
    assert_eq!(
        (&records[0]["prompt"], &records[0]["model_id"]),
        (&"What is this?".into(), &"a-f32-tower-q4".into())
    );

    // Cut off inside the fifth line: two answers are missing, and come out as before.
    let keep = first.match_indices('\n').nth(3).unwrap().0 + 20;
    fs::write(&answers, &first[..keep]).unwrap();
    assert!(eval("2,16", "q4").stderr.contains("2 answers written"));
    let second = fs::read_to_string(&answers).unwrap();
    assert_eq!(timeless(&second), timeless(&first));
    // All there: nothing is asked, everything is scored.
    let done = eval("16,2", "q4");
    assert!(done.stderr.contains("0 answers written") && done.stderr.contains("all"), "{done:#?}");
    assert_eq!(fs::read_to_string(&answers).unwrap(), second);
    // Another m is added.
    assert!(eval("2,9,16", "q4").stderr.contains("3 answers written"));

    // Scoring by what the model says.
    let right = records[0]["text"].as_str().unwrap().to_uppercase() + ".";
    write(&[
        json!({"question_id": 1, "image": "blobs.png", "text": "What is this?", "answer": right, "kind": "what"}),
    ]);
    assert!(eval("2", "q4").stderr.contains("100.0 %"));

    // Mistakes.
    eval("2", "q8").refused(2, "a-f32-tower-q4");
    write(&[json!({"question_id": 8, "image": "no such.png", "text": "?"}), lines[0].clone()]);
    let done = eval("4", "q4");
    assert_eq!(done.code, 6, "{done:#?}");
    assert!(
        done.stderr.contains("question 8") && done.stderr.contains("1 answer written"),
        "{done:#?}"
    );
    fs::write(&questions, "{\"question_id\": 1}\n").unwrap();
    eval("2", "q4").refused(2, "line 1");
    fs::write(&questions, "").unwrap();
    eval("2", "q4").refused(2, "no questions");
    // A question may be there twice; each is answered.
    write(&[lines[0].clone(), lines[0].clone()]);
    assert!(eval("2", "q4").stderr.contains("1 answer written"));
    assert!(eval("2", "q4").stderr.contains("0 answers written"));
}

#[test]
fn help_teaches() {
    let help = mqt(["--help"]).ok().stdout;
    for part in ["Examples:", "Exit codes:", "130", "bundled model", "mqt ask"] {
        assert!(help.contains(part), "{part:?} in {help}");
    }
    let commands = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty());
    let commands: Vec<&str> = commands
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    assert!(
        commands.len() >= 13 && commands.contains(&"cache") && commands.contains(&"doctor"),
        "{commands:?}"
    );
    for command in commands {
        let own = mqt([command, "--help"]).ok().stdout;
        assert!(own.contains("Example") && own.contains(&format!("mqt {command}")), "{own}");
    }
    let version = mqt(["--version"]).ok().stdout;
    assert_eq!(version, format!("mqt {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn an_evaluation_never_spoils_a_file_that_is_not_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notes.jsonl");
    let question =
        json!({"question_id": 1, "image": "blobs.png", "text": "What is this?"}).to_string();
    let other = folder.path().join("questions.jsonl");
    fs::write(&other, &question).unwrap();
    let eval = |questions: &std::path::Path, adapter: &str| {
        let (questions, output, images) = (text(questions), text(&file), text(&golden("pictures")));
        mqt(words("eval", &[&questions, "--images", &images, "-o", &output, "--adapter", adapter]))
            .run()
            .code
    };
    // Another text, without a line break at its end; the file of the questions itself.
    for (content, questions) in [("my notes", &other), (question.as_str(), &file)] {
        fs::write(&file, content).unwrap();
        assert_eq!(eval(questions, "cpu"), 2);
        assert_eq!(fs::read_to_string(&file).unwrap(), content);
    }
    // An answer that was cut off stays as it is until the model is there.
    fs::write(&file, "{\"question_id\":").unwrap();
    assert_eq!(eval(&other, "no such adapter"), 4);
    assert_eq!(fs::read_to_string(&file).unwrap(), "{\"question_id\":");
}

#[test]
fn a_pack_or_its_own_folder_is_no_target_of_a_conversion() {
    let folder = tempfile::tempdir().unwrap();
    let (model, pack) = (checkpoint("a-f32-tower"), text(&folder.path().join("pack")));
    assert_eq!(mqt(["convert", model.as_str(), "-o", pack.as_str()]).run().code, 0);
    assert_eq!(
        mqt(["convert", pack.as_str(), "-o", text(&folder.path().join("again")).as_str()])
            .run()
            .code,
        2
    );
    assert_eq!(mqt(["convert", model.as_str(), "-o", model.as_str()]).run().code, 2);
    // A file where the folder should be: the output cannot be written.
    let blocked = folder.path().join("blocked");
    fs::write(&blocked, "").unwrap();
    assert_eq!(mqt(["convert", model.as_str(), "-o", text(&blocked).as_str()]).run().code, 1);
}
