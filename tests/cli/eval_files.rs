//! `eval` on files as people have them: numbers that no machine word holds, lists in an object's
//! place, damaged lines, line ends of old systems.

use super::eval::Eval;
use std::fs;

const QUESTION: &str = r#"{"question_id": 1, "image": "toybox-1.png", "text": "What?"}"#;

#[test]
fn a_large_id_and_a_large_answer_keep_their_digits() {
    let eval = Eval::new();
    // The same number for a reader with 64 bits, and beyond it.
    let ids = ["18446744073709551617", "18446744073709551618", "-9223372036854775809", "0.10"];
    let lines: String = ids.iter().map(|id| QUESTION.replacen('1', id, 1) + "\n").collect();
    fs::write(eval.at("questions.jsonl"), lines).unwrap();
    let done = eval.run(&eval.at("questions.jsonl"), "answers.jsonl", &["-m", "2"]);
    assert!(done.code == 0 && done.stderr.contains("4 answers written"), "{done:#?}");
    let answers = fs::read_to_string(eval.at("answers.jsonl")).unwrap();
    for (line, id) in answers.lines().zip(ids) {
        assert!(line.starts_with(&format!("{{\"question_id\":{id},")), "{line}");
    }
    let done = eval.run(&eval.at("questions.jsonl"), "answers.jsonl", &["-m", "2"]);
    assert!(done.stderr.contains("0 answers written"), "{done:#?}");
}

#[test]
fn a_line_that_is_no_object_is_refused_with_its_number() {
    let eval = Eval::new();
    for (line, hint) in [
        (r#"[1,"toybox-1.png","What?"]"#, "it holds no JSON object"),
        ("7", "it holds no JSON object"),
        ("{\"question_id\": 1", "its JSON ends in the middle"),
        (
            r#"{"question_id": 1, "image": 5, "text": "?"}"#,
            "image is neither a name nor a list of names",
        ),
        (r#"{"question_id": 1, "image": "a.png"}"#, "the field \"text\" is missing"),
        (r#"{"question_id": null, "image": "a.png", "text": "?"}"#, "neither a number nor a text"),
        (r#"{"question_id": [1], "image": "a.png", "text": "?"}"#, "neither a number nor a text"),
    ] {
        fs::write(eval.at("questions.jsonl"), format!("{QUESTION}\n\n{line}\n")).unwrap();
        let done = eval.run(&eval.at("questions.jsonl"), "answers.jsonl", &["-m", "2"]);
        done.refused(2, "questions.jsonl, line 3: ");
        done.refused(2, hint);
        assert!(!eval.at("answers.jsonl").exists());
    }
}

#[test]
fn carriage_returns_alone_are_named() {
    let eval = Eval::new();
    let second = QUESTION.replacen('1', "2", 1);
    fs::write(eval.at("questions.jsonl"), format!("{QUESTION}\r{second}\r")).unwrap();
    eval.run(&eval.at("questions.jsonl"), "answers.jsonl", &["-m", "2"])
        .refused(2, "line 1 has carriage returns alone as line ends");
    // Blank space between objects, as JSON sees it.
    fs::write(eval.at("questions.jsonl"), format!("{QUESTION}\r\n{second}\r\n")).unwrap();
    let done = eval.run(&eval.at("questions.jsonl"), "answers.jsonl", &["-m", "2"]);
    assert!(done.code == 0 && done.stderr.contains("2 answers written"), "{done:#?}");
    let answers = fs::read_to_string(eval.at("answers.jsonl")).unwrap();
    fs::write(eval.at("answers.jsonl"), answers.replace('\n', "\r")).unwrap();
    let before = fs::read(eval.at("answers.jsonl")).unwrap();
    eval.run(&eval.at("questions.jsonl"), "answers.jsonl", &["-m", "2"])
        .refused(2, "line 1 has carriage returns alone as line ends");
    assert_eq!(fs::read(eval.at("answers.jsonl")).unwrap(), before);
}

#[test]
fn a_damaged_line_in_the_middle_is_named_left_out_and_asked_again() {
    let eval = Eval::new();
    let lines: String =
        ["1", "2", "3"].iter().map(|id| QUESTION.replacen('1', id, 1) + "\n").collect();
    fs::write(eval.at("questions.jsonl"), lines).unwrap();
    let run = || eval.run(&eval.at("questions.jsonl"), "answers.jsonl", &["-m", "2"]);
    assert_eq!(run().code, 0);
    let answers = fs::read_to_string(eval.at("answers.jsonl")).unwrap();
    let lines: Vec<&str> = answers.lines().collect();
    let damaged = format!("{}\n{}\n{}\n", lines[0], &lines[1][..40], lines[2]);
    fs::write(eval.at("answers.jsonl"), damaged).unwrap();
    let done = run();
    assert!(done.code == 0 && done.stderr.contains("1 answer written"), "{done:#?}");
    assert!(done.stderr.contains("line 2 of "), "{done:#?}");
    assert!(done.stderr.contains("is left out, and its questions are asked again"), "{done:#?}");
    let now = fs::read_to_string(eval.at("answers.jsonl")).unwrap();
    let ids: Vec<String> = now
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|value| value["question_id"].to_string())
        .collect();
    assert_eq!(ids, ["1", "3", "2"]);
    assert!(run().stderr.contains("0 answers written"));
}
