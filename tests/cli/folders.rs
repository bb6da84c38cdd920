//! `ask -o` and `--sidecar`: answers about many pictures, in files; the same command goes on.

use crate::common::{Done, mqt};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const QUESTION: &str = "How many things are there?";

/// Three pictures and one that is none.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/toybox/samples");
    for n in 1..=3 {
        let name = format!("toybox-{n}.png");
        fs::copy(samples.join(&name), folder.path().join(&name)).unwrap();
    }
    fs::write(folder.path().join("bad.png"), "no picture").unwrap();
    folder
}

const ALL: [&str; 4] = ["toybox-1.png", "bad.png", "toybox-2.png", "toybox-3.png"];

fn ask(folder: &Path, names: &[&str], more: &[&str]) -> Done {
    let line = ["ask", "--adapter", "cpu", "-q", QUESTION, "-m", "16"];
    mqt(line.iter().chain(more).chain(names)).folder(folder).run()
}

fn lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

/// What `--json` says about each picture.
fn records(folder: &Path, names: &[&str]) -> Vec<Value> {
    let done = ask(folder, names, &["--json"]);
    done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_bad_picture_is_recorded_and_the_rest_is_answered() {
    let folder = folder();
    let output = folder.path().join("answers.jsonl");
    let done = ask(folder.path(), &ALL, &["-o", "answers.jsonl"]);
    assert_eq!(done.code, 6, "{done:#?}");
    assert!(done.stderr.contains("bad.png") && done.stderr.contains("3 answers to"), "{done:#?}");
    let (written, wanted) = (lines(&output), records(folder.path(), &ALL));
    assert_eq!(written.len(), 4);
    assert_eq!(written[1]["schema"], "mqt.failure/1");
    assert_eq!((&written[1]["image"], &written[1]["exit_code"]), (&json!("bad.png"), &json!(6)));
    assert!(written[1]["error"].as_str().unwrap().contains("bad.png"), "{}", written[1]);
    for (line, record) in [&written[0], &written[2], &written[3]].into_iter().zip(&wanted) {
        for field in ["schema", "image", "question", "answer", "token_ids", "model"] {
            assert_eq!(line[field], record[field]);
        }
    }
    // Again: nothing is asked twice, the failure is not told twice, and it is still one.
    let before = fs::read(&output).unwrap();
    let again = ask(folder.path(), &ALL, &["-o", "answers.jsonl"]);
    assert!(again.code == 6 && again.stderr.contains("0 answers to"), "{again:#?}");
    assert!(again.stderr.contains("3 answers there before"), "{again:#?}");
    assert_eq!(fs::read(&output).unwrap(), before);
    // Mended, it is answered.
    fs::copy(folder.path().join("toybox-1.png"), folder.path().join("bad.png")).unwrap();
    assert_eq!(ask(folder.path(), &ALL, &["-o", "answers.jsonl"]).code, 0);
    let last = lines(&output).pop().unwrap();
    assert_eq!((&last["image"], &last["answer"]), (&json!("bad.png"), &written[0]["answer"]));
}

#[test]
fn a_file_that_was_cut_goes_on_where_it_was_cut() {
    let folder = folder();
    let names = ["toybox-1.png", "toybox-2.png", "toybox-3.png", "toybox-1.png"];
    let output = folder.path().join("answers.jsonl");
    assert_eq!(ask(folder.path(), &names, &["-o", "answers.jsonl"]).code, 0);
    let whole = fs::read(&output).unwrap();
    let wanted = lines(&output);
    assert_eq!(wanted.len(), 3, "a picture that is named twice is asked about once");
    let second = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let third = second + whole[second..].iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for cut in [0, 5, second - 1, second, second + 9, third - 2, third, whole.len() - 1] {
        fs::write(&output, &whole[..cut]).unwrap();
        let done = ask(folder.path(), &names, &["-o", "answers.jsonl"]);
        assert_eq!(done.code, 0, "cut at {cut}: {done:#?}");
        let answers = |lines: &[Value]| {
            lines.iter().map(|l| (l["image"].clone(), l["token_ids"].clone())).collect::<Vec<_>>()
        };
        assert_eq!(answers(&lines(&output)), answers(&wanted), "cut at {cut}");
    }
}

#[test]
fn answers_with_other_settings_have_a_file_of_their_own() {
    let folder = folder();
    let one = ["toybox-1.png"];
    let asked = |more: &[&str]| ask(folder.path(), &one, &[&["-o", "a.jsonl"], more].concat());
    assert_eq!(asked(&[]).code, 0);
    let before = fs::read(folder.path().join("a.jsonl")).unwrap();
    for (more, name) in [
        (&["--temperature", "0.5"][..], "temperature"),
        (&["--max-new-tokens", "7"], "max_new_tokens"),
        (&["--stop", "x"], "stop"),
        (&["--system", "Short."], "system"),
        (&["--choices", "1,2"], "form"),
        (&["--arithmetic", "exact"], "arithmetic"),
    ] {
        let done = asked(more);
        assert!(
            done.code == 2 && done.stderr.contains(&format!("answers with {name} ")),
            "{done:#?}"
        );
        assert!(done.stderr.contains("choose another file"), "{done:#?}");
    }
    let auto = ["ask", "--adapter", "cpu", "-q", QUESTION, "-o", "a.jsonl", one[0]];
    let said = "image tokens 16, and this is image tokens chosen for a first token within";
    mqt(auto).folder(folder.path()).run().refused(2, said);
    assert_eq!(fs::read(folder.path().join("a.jsonl")).unwrap(), before);
    // Another question is no other setting.
    let line = ["ask", "--adapter", "cpu", "-q", "what do you see?", "-m", "16", "-o", "a.jsonl"];
    assert_eq!(mqt(line.iter().chain(&one)).folder(folder.path()).run().code, 0);
    assert_eq!(lines(&folder.path().join("a.jsonl")).len(), 2);
    // Nor is a file of something else added to.
    for foreign in ["{\"a\": 1}\n", "words\n", "{\"schema\":\"mqt.answer/1\"}\n"] {
        fs::write(folder.path().join("b.jsonl"), foreign).unwrap();
        let done = ask(folder.path(), &one, &["-o", "b.jsonl"]);
        assert_eq!(done.code, 2, "{foreign}: {done:#?}");
        assert_eq!(fs::read_to_string(folder.path().join("b.jsonl")).unwrap(), foreign);
    }
    let done = ask(folder.path(), &one, &["-o", "toybox-1.png"]);
    assert!(done.code == 2 && done.stderr.contains("one of the pictures"), "{done:#?}");
}

#[test]
fn a_sidecar_is_written_beside_each_picture_and_nothing_is_replaced() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("toybox-2.txt"), "mine").unwrap();
    let wanted = records(folder.path(), &["toybox-1.png", "toybox-3.png"]);
    let done = ask(folder.path(), &ALL, &["--sidecar", ".txt"]);
    assert!(done.code == 6 && done.stderr.contains("1 file left alone"), "{done:#?}");
    let read = |name: &str| fs::read_to_string(at(name)).unwrap();
    for (name, record) in ["toybox-1.txt", "toybox-3.txt"].into_iter().zip(&wanted) {
        assert_eq!(read(name), format!("{}\n", record["answer"].as_str().unwrap()));
    }
    assert_eq!(read("toybox-2.txt"), "mine");
    assert!(!at("bad.txt").exists());
    // With a file of answers too: what is on record is not asked again for want of its sidecar.
    let both = ["-o", "answers.jsonl", "--sidecar", ".txt"];
    assert_eq!(ask(folder.path(), &ALL, &both).code, 6);
    assert_eq!(read("toybox-2.txt"), "mine");
    fs::remove_file(at("toybox-1.txt")).unwrap();
    let done = ask(folder.path(), &ALL, &both);
    assert!(done.stderr.contains("0 answers to answers.jsonl, 1 file .txt"), "{done:#?}");
    assert!(at("toybox-1.txt").exists());
    let left: Vec<String> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('.'))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn endings_and_names_that_have_no_file_beside_them_are_refused() {
    let folder = folder();
    fs::copy(folder.path().join("toybox-1.png"), folder.path().join("toybox-1.jpg")).unwrap();
    for (names, more) in [
        (&["toybox-1.png"][..], &["--sidecar", "txt"][..]),
        (&["toybox-1.png"], &["--sidecar", "."]),
        (&["toybox-1.png"], &["--sidecar", "./x"]),
        (&["toybox-1.png", "toybox-1.jpg"], &["--sidecar", ".txt"]),
        (&["-"], &["-o", "a.jsonl"]),
        (&["data:image/png;base64,AAAA"], &["-o", "a.jsonl"]),
        (&["toybox-1.png"], &["-o", "a.jsonl", "--json"]),
        (&["toybox-1.png"], &["-o", "a.jsonl", "--together"]),
    ] {
        let done = ask(folder.path(), names, more);
        assert_eq!(done.code, 2, "{names:?} {more:?} {done:#?}");
    }
    assert!(!folder.path().join("a.jsonl").exists());
}

#[test]
fn a_form_is_kept_to_or_refused() {
    let folder = folder();
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer", "maximum": 9, "minimum": 0}},
        "required": ["n"], "additionalProperties": false});
    fs::write(folder.path().join("s.json"), schema.to_string()).unwrap();
    let one = ["toybox-1.png"];
    let done = ask(folder.path(), &one, &["--json-schema", "s.json"]);
    let value: Value = serde_json::from_str(&done.stdout).unwrap();
    assert!(done.code == 0 && value["n"].is_u64(), "{done:#?}");
    let done = ask(folder.path(), &one, &["--choices", "a zebra,a whale"]);
    assert!(["a zebra\n", "a whale\n"].contains(&done.stdout.as_str()), "{done:#?}");
    for (more, said) in [
        (&["--json-schema", "none.json"][..], "none.json"),
        (&["--json-schema", "toybox-1.png"], "toybox-1.png"),
        (&["--choices", "a,"], "--choices"),
        // Before a model is looked for.
        (&["--choices", "a,", "--model", "none"], "--choices"),
        (&["--choices", "a", "--stop", "b"], "--stop"),
    ] {
        let done = ask(folder.path(), &one, more);
        assert!(done.code == 2 && done.stderr.contains(said), "{done:#?}");
    }
    fs::write(folder.path().join("s.json"), "{\"not\": {}}").unwrap();
    let done = ask(folder.path(), &one, &["--json-schema", "s.json"]);
    assert!(done.code == 2 && done.stderr.contains("no answer can be kept"), "{done:#?}");
}
