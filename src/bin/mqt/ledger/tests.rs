use super::*;
use serde_json::{Value, json};
use std::fs;

fn question(id: &Value, image: &str, text: &str) -> Question {
    let mut question: Question =
        serde_json::from_value(json!({"question_id": id, "image": image, "text": text})).unwrap();
    question.is_first = true;
    question
}

fn given(text: &str) -> Given {
    Given { text: text.to_owned(), image_tokens: 4, milliseconds: Some(1.5) }
}

/// Four questions in several alphabets, and the file of their answers.
fn answered(path: &Path) -> Vec<Question> {
    let ids = [json!(0), json!("zwei"), json!("三"), json!(3)];
    let questions: Vec<Question> = ids
        .iter()
        .zip(["a.png", "b.png"].iter().cycle())
        .map(|(id, image)| question(id, image, "これは何？"))
        .collect();
    let mut ledger = Ledger::open(path).unwrap();
    ledger.begin("model-q8".into()).unwrap();
    for question in &questions {
        ledger.add(question, 4, given("ein Würfel \u{1f3b2}"), Some(0.5)).unwrap();
    }
    questions
}

/// What is missing when the file is opened again.
fn missing(path: &Path, questions: &[Question]) -> Vec<usize> {
    let ledger = Ledger::open(path).unwrap();
    (0..questions.len()).filter(|i| !ledger.has(&questions[*i], 4)).collect()
}

#[test]
fn a_file_cut_at_any_byte_loses_the_cut_line_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.jsonl");
    let questions = answered(&path);
    let plain = fs::read(&path).unwrap();
    let with_mark = [b"\xef\xbb\xbf", plain.as_slice()].concat();
    let with_returns = String::from_utf8(plain.clone()).unwrap().replace('\n', "\r\n").into_bytes();
    let tails = [&b""[..], b"\0", b"\0\0\0\0"];
    for (whole, tails) in
        [(&plain, &tails[..]), (&with_mark, &tails[..1]), (&with_returns, &tails[..1])]
    {
        for cut in 0..=whole.len() {
            // A line without its line break is whole.
            let kept = whole[..cut]
                .split(|byte| *byte == b'\n')
                .filter(|line| line.trim_ascii_end().ends_with(b"}}"))
                .count();
            for tail in tails {
                fs::write(&path, [&whole[..cut], *tail].concat()).unwrap();
                let mut ledger = Ledger::open(&path).unwrap();
                assert_eq!(
                    (ledger.answers.len(), ledger.journal.damaged()),
                    (kept, &[][..]),
                    "cut at {cut}"
                );
                ledger.begin("model-q8".into()).unwrap();
                for question in &questions[kept..] {
                    assert!(!ledger.has(question, 4), "cut at {cut}");
                    ledger.add(question, 4, given("again"), None).unwrap();
                }
                drop(ledger);
                assert_eq!(missing(&path, &questions), [0; 0], "cut at {cut}");
                let text = fs::read_to_string(&path).unwrap();
                assert!(text.lines().count() == 4 && !text.contains('\0'), "cut at {cut}: {text}");
            }
        }
    }
}

#[test]
fn a_line_cut_in_the_middle_of_the_file_is_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.jsonl");
    let questions = answered(&path);
    let whole = fs::read(&path).unwrap();
    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    for cut in 1..lines[1].len() - 2 {
        // Parts that were joined: the first one ends in a cut line, so the next line stands behind
        // it.
        fs::write(&path, [lines[0], &lines[1][..cut], lines[2], lines[3]].concat()).unwrap();
        assert_eq!(missing(&path, &questions), [1], "cut at {cut}");
        assert_mended(&path, &questions, &[lines[0], lines[2], lines[3]].concat());
        // Zeros in its place, and its end.
        let zeros = vec![0; lines[1].len() - 1];
        fs::write(
            &path,
            [lines[0], &lines[1][..cut], &zeros[cut..], b"\n", lines[2], lines[3]].concat(),
        )
        .unwrap();
        assert_eq!(missing(&path, &questions), [1], "zeros from {cut}");
        assert_mended(&path, &questions, &[lines[0], lines[2], lines[3]].concat());
    }
    // Zeros alone.
    fs::write(&path, [lines[0], b"\0\0\n", lines[2], lines[3]].concat()).unwrap();
    assert_mended(&path, &questions, &[lines[0], lines[2], lines[3]].concat());
}

/// Asks the second question again; the file has then `kept` and its answer, and nothing damaged.
fn assert_mended(path: &Path, questions: &[Question], kept: &[u8]) {
    let mut ledger = Ledger::open(path).unwrap();
    assert!(ledger.damage_note().unwrap().starts_with("line 2 of "));
    ledger.begin("model-q8".into()).unwrap();
    ledger.add(&questions[1], 4, given("again"), None).unwrap();
    // Nobody else may write what is at the path now.
    let other = fs::File::options().append(true).open(path).unwrap();
    assert!(!cfg!(unix) || other.try_lock().is_err());
    drop((ledger, other));
    let now = fs::read(path).unwrap();
    assert!(now.starts_with(kept) && now.iter().filter(|byte| **byte == b'\n').count() == 4);
    assert_eq!(missing(path, questions), [0; 0]);
    assert!(Ledger::open(path).unwrap().damage_note().is_none());
}

#[cfg(unix)]
#[test]
fn a_file_with_two_names_is_mended_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("answers.jsonl"), folder.path().join("other"));
    let questions = answered(&path);
    let whole = fs::read(&path).unwrap();
    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    fs::write(&path, [lines[0], &lines[1][..30], b"\n", lines[2], lines[3]].concat()).unwrap();
    fs::hard_link(&path, &other).unwrap();
    assert_mended(&path, &questions, &[lines[0], lines[2], lines[3]].concat());
    assert_eq!(fs::read(&other).unwrap(), fs::read(&path).unwrap());
}

#[test]
fn files_of_others_are_refused_and_stay() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let others = [
        "my notes",
        "my notes\n",
        "{\"question_id\":1}\n",
        "{\"question_id\": 1, \"text\": \"cut here",
        "{\"a\":1}",
        "[1, 2]\n",
        "[1,\"?\",\"\",\"\",\"m\",{\"image_tokens\":4}]\n",
        "{\"question_id\":1,\"prompt\":\"?\",\"text\":\"\",\"answer_id\":\"\",\"model_id\":\"m\",\"metadata\":[4]}\n",
        "\u{feff}notes\n",
        "{\"question_id\":1,\"prompt\":\"?\",\"text\":\"\",\"answer_id\":\"\",\"model_id\":\"m\",\"metadata\":{}}",
    ];
    for text in others {
        fs::write(&path, text).unwrap();
        assert_eq!(Ledger::open(&path).err().unwrap().code, 2, "{text}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn questions_that_share_an_id_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.jsonl");
    let id = json!("003a");
    let mut questions = [
        question(&id, "a.png", "What?"),
        question(&id, "a.png", "Where?"),
        question(&id, "b.png", "What?"),
        question(&id, "a.png", "What?"),
    ];
    (questions[2].is_first, questions[3].is_first, questions[3].twin) = (false, false, 1);
    let mut ledger = Ledger::open(&path).unwrap();
    ledger.begin("model-q8".into()).unwrap();
    for (i, question) in questions.iter().enumerate() {
        assert!(!ledger.has(question, 4), "{i}");
        ledger.add(question, 4, given(&i.to_string()), None).unwrap();
    }
    drop(ledger);
    let ledger = Ledger::open(&path).unwrap();
    let answers: Vec<_> = questions
        .iter()
        .map(|question| ledger.answers.get(question, 4).unwrap().text.clone())
        .collect();
    assert_eq!(answers, ["0", "1", "2", "3"]);
    let text = fs::read_to_string(&path).unwrap();
    let ids: std::collections::HashSet<String> = text
        .lines()
        .map(|line| serde_json::from_str::<Line>(line).unwrap().answer_id)
        .inspect(|id| assert_eq!(id.len(), 22))
        .collect();
    assert_eq!(ids.len(), 4);
}

#[test]
fn an_answer_of_an_earlier_version_is_the_first_questions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.jsonl");
    let line = json!({"question_id": 1, "prompt": "What?", "text": "old", "answer_id": "", "model_id": "m-q8", "metadata": {"image_tokens": 4}});
    fs::write(&path, format!("{line}\n")).unwrap();
    let ledger = Ledger::open(&path).unwrap();
    let first = question(&json!(1), "a.png", "What?");
    let mut second = question(&json!(1), "b.png", "What?");
    second.is_first = false;
    assert_eq!(
        ledger.answers.get(&first, 4).unwrap(),
        &Given { text: "old".into(), image_tokens: 4, milliseconds: None }
    );
    assert!(
        !ledger.has(&second, 4)
            && !ledger.has(&first, 2)
            && !ledger.has(&question(&json!(1), "a.png", "Where?"), 4)
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disc_ends_with_code_1() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(&folder.path().join("answers.jsonl")).unwrap();
    ledger.model_id = Some("model-q8".into());
    ledger.journal.write_to(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let asked = question(&json!(1), "a.png", "What?");
    assert_eq!(ledger.add(&asked, 4, given("x"), None).unwrap_err().code, 1);
    assert!(!ledger.has(&asked, 4));
}

#[test]
fn answers_are_told_apart_by_the_m_asked_for_and_say_the_m_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.jsonl");
    let question = question(&json!(1), "a.png", "What?");
    let mut ledger = Ledger::open(&path).unwrap();
    ledger.begin("model-q8".into()).unwrap();
    for m in [4, 9, 16] {
        ledger.add(&question, m, given(&format!("with {m}")), None).unwrap();
    }
    drop(ledger);
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let noted = |name: &str| lines.iter().map(|l| l["metadata"][name].clone()).collect::<Vec<_>>();
    assert_eq!(noted("image_tokens"), [json!(4), json!(4), json!(4)]);
    assert_eq!(noted("asked"), [json!(null), json!(9), json!(16)]);
    let ledger = Ledger::open(&path).unwrap();
    for m in [4, 9, 16] {
        let found = ledger.answers.get(&question, m).unwrap();
        assert_eq!((found.text.as_str(), found.image_tokens), (format!("with {m}").as_str(), 4));
    }
    assert!(!ledger.has(&question, 5));
}
