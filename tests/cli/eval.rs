//! `eval`: spread over shards, resumed, with questions from others. The summary and the plot say
//! what the answers say.

use crate::common::{Done, checkpoint, mqt, picture, text, words};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// (question, m) → answer.
fn answers(path: &Path) -> BTreeMap<(String, u64), String> {
    let row = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap();
        let key =
            (value["question_id"].to_string(), value["metadata"]["image_tokens"].as_u64().unwrap());
        (key, value["text"].as_str().unwrap().to_owned())
    };
    fs::read_to_string(path).unwrap().lines().map(row).collect()
}

#[test]
fn shards_joined_are_one_run() {
    let heldout = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/toybox/heldout");
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let all = fs::read_to_string(heldout.join("questions.jsonl")).unwrap();
    let some: Vec<&str> = all.lines().step_by(18).collect();
    assert_eq!(some.len(), 12);
    fs::write(at("questions.jsonl"), some.join("\n")).unwrap();
    let eval = |output: &str, more: &[&str]| {
        let (questions, images, output) =
            (text(&at("questions.jsonl")), text(&heldout), text(&at(output)));
        let line = [
            "eval",
            &questions,
            "--images",
            &images,
            "-o",
            &output,
            "--tokens",
            "4,64",
            "--adapter",
            "cpu",
            "--max-new-tokens",
            "12",
        ];
        mqt(line.iter().chain(more)).run()
    };
    assert_eq!(eval("whole.jsonl", &[]).code, 0);
    let mut joined = String::new();
    for shard in ["1/5", "2/5", "3/5", "4/5", "5/5"] {
        let part = format!("part-{}.jsonl", &shard[..1]);
        let done = eval(&part, &["--shard", shard]);
        assert_eq!(done.code, 0, "{done:#?}");
        joined += &fs::read_to_string(at(&part)).unwrap();
    }
    fs::write(at("joined.jsonl"), joined).unwrap();
    assert_eq!(answers(&at("joined.jsonl")), answers(&at("whole.jsonl")));

    // Scoring what is there asks nothing more.
    let (summary, plot) = (at("summary.json"), at("plot.svg"));
    let done = eval("joined.jsonl", &["--summary", &text(&summary), "--plot", &text(&plot)]);
    assert!(done.code == 0 && done.stderr.contains("0 answers written"), "{done:#?}");
    let summary: Value = serde_json::from_slice(&fs::read(summary).unwrap()).unwrap();
    assert_eq!(
        (&summary["schema"], &summary["model_id"], &summary["questions"]),
        (&"mqt.eval/1".into(), &"toybox-q8".into(), &12.into())
    );
    let keys: BTreeMap<String, String> = some
        .iter()
        .map(|line| {
            let question: Value = serde_json::from_str(line).unwrap();
            (
                question["question_id"].to_string(),
                question["answer"].as_str().unwrap().to_lowercase(),
            )
        })
        .collect();
    for (row, m) in summary["budgets"].as_array().unwrap().iter().zip([4, 64]) {
        let given = answers(&at("joined.jsonl"));
        let right = keys
            .iter()
            .filter(|(id, key)| {
                given[&((*id).clone(), m)].trim().trim_end_matches('.').to_lowercase() == **key
            })
            .count();
        assert_eq!((&row["image_tokens"], &row["answered"]), (&m.into(), &12.into()), "{row}");
        assert!(
            (row["accuracy"].as_f64().unwrap() - right as f64 / 12.0).abs() < 1e-9,
            "{row}: {right} of 12"
        );
        assert!(row["milliseconds"].as_f64().unwrap() > 0.0, "{row}");
    }
    let svg = fs::read_to_string(plot).unwrap();
    assert!(
        svg.starts_with("<svg")
            && svg.trim_end().ends_with("</svg>")
            && svg.matches("<circle").count() == 4,
        "{svg}"
    );

    for shard in ["0/5", "6/5", "1", "x/2"] {
        eval("bad.jsonl", &["--shard", shard]).refused(2, "i/n");
    }
    eval("bad.jsonl", &["--shard", "13/13"]).refused(2, "fewer questions than shards");
}

/// README's table is what its command gives, in the two columns that stand for the others: all of
/// them would take CI minutes.
#[test]
fn the_bundled_models_accuracy_is_as_the_readme_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let heldout = root.join("models/toybox/heldout");
    let (questions, images) = (text(&heldout.join("questions.jsonl")), text(&heldout));
    let (output, summary) =
        (text(&folder.path().join("answers.jsonl")), folder.path().join("summary.json"));
    let line = [
        "eval",
        &questions,
        "--images",
        &images,
        "--adapter",
        "cpu",
        "--tokens",
        "2,64",
        "-o",
        &output,
        "--summary",
        &text(&summary),
    ];
    assert_eq!(mqt(line).run().code, 0);
    let summary: Value = serde_json::from_slice(&fs::read(summary).unwrap()).unwrap();
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let row = |start: &str| -> Vec<String> {
        let line = readme.lines().find(|line| line.starts_with(start)).unwrap();
        line.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let (heads, shares) = (row("| m |"), row("| exact match |"));
    for budget in summary["budgets"].as_array().unwrap() {
        let column = heads
            .iter()
            .position(|head| head.parse().ok() == budget["image_tokens"].as_u64())
            .unwrap();
        assert_eq!(
            shares[column],
            format!("{:.1} %", 100.0 * budget["accuracy"].as_f64().unwrap()),
            "m = {}",
            heads[column]
        );
    }
}

/// `mqt eval` of a small random model, with the program's own cases at hand.
pub(super) struct Eval {
    folder: tempfile::TempDir,
}

impl Eval {
    /// A folder of pictures, `images`, that has `toybox-1.png`.
    pub(super) fn new() -> Eval {
        let eval = Eval { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(eval.at("images")).unwrap();
        fs::copy(picture("blobs.png"), eval.at("images/toybox-1.png")).unwrap();
        eval
    }

    pub(super) fn at(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn run(&self, questions: &Path, output: &str, more: &[&str]) -> Done {
        let (questions, images, output, model) = (
            text(questions),
            text(&self.at("images")),
            text(&self.at(output)),
            checkpoint("d-floor-grid"),
        );
        let line = words(
            "eval --adapter cpu --max-new-tokens 4",
            &[&questions, "--images", &images, "-o", &output, "--model", &model],
        );
        mqt(line.into_iter().chain(more.iter().copied())).run()
    }
}

fn case(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(name)
}

#[test]
fn questions_that_share_an_id_are_all_answered_and_counted() {
    let eval = Eval::new();
    let done = eval.run(&case("program/10_same_id.jsonl"), "answers.jsonl", &["--tokens", "2,9"]);
    assert!(done.code == 0 && done.stderr.contains("4 answers written"), "{done:#?}");
    assert!(
        eval.run(&case("program/10_same_id.jsonl"), "answers.jsonl", &["--tokens", "2,9"])
            .stderr
            .contains("0 answers written")
    );

    // Twins, and the same question about another picture, in the spelling of MME and of TextVQA; a
    // mark before the text.
    fs::copy(picture("wide.png"), eval.at("images/b.png")).unwrap();
    let lines = [
        "{\"question_id\": \"a\", \"image\": \"toybox-1.png\", \"text\": \"What?\", \"answer\": \"x\"}",
        "{\"question_id\": \"a\", \"image\": \"b.png\", \"text\": \"What?\", \"answer\": \"x\"}",
        "{\"question_id\": \"a\", \"image\": \"toybox-1.png\", \"text\": \"What?\", \"answer\": \"x\"}",
        "{\"question_id\": \"a\", \"image\": \"toybox-1.png\", \"text\": \"Where?\", \"answer\": \"x\"}",
    ];
    let questions = eval.at("questions.jsonl");
    fs::write(&questions, format!("\u{feff}{}\r\n", lines.join("\r\n"))).unwrap();
    assert!(eval.run(&questions, "whole.jsonl", &["-m", "2"]).stderr.contains("4 answers written"));
    let whole = fs::read_to_string(eval.at("whole.jsonl")).unwrap();
    // Resumed after each line, the rest follows: which one is open is clear.
    for kept in 0..4 {
        let some: String = whole.lines().take(kept).map(|line| format!("{line}\n")).collect();
        fs::write(eval.at("part.jsonl"), some).unwrap();
        let done = eval.run(&questions, "part.jsonl", &["-m", "2"]);
        assert!(done.stderr.contains(&format!("{} answer", 4 - kept)), "{done:#?}");
        let texts = |text: &str| -> Vec<Value> {
            text.lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap()["text"].clone())
                .collect()
        };
        assert_eq!(texts(&fs::read_to_string(eval.at("part.jsonl")).unwrap()), texts(&whole));
    }
    // Parts joined are the whole, twins and all.
    let mut joined = String::new();
    for shard in ["1/2", "2/2"] {
        let done = eval.run(&questions, &shard.replace('/', "-"), &["-m", "2", "--shard", shard]);
        assert!(done.stderr.contains("2 answers written"), "{done:#?}");
        joined += &fs::read_to_string(eval.at(&shard.replace('/', "-"))).unwrap();
    }
    fs::write(eval.at("joined.jsonl"), joined).unwrap();
    let summary = eval.at("summary.json");
    let done = eval.run(&questions, "joined.jsonl", &["-m", "2", "--summary", &text(&summary)]);
    assert!(done.stderr.contains("0 answers written"), "{done:#?}");
    let summary: Value = serde_json::from_slice(&fs::read(summary).unwrap()).unwrap();
    assert_eq!((&summary["questions"], &summary["budgets"][0]["answered"]), (&4.into(), &4.into()));
}

#[test]
fn an_answers_file_cut_inside_a_character_is_resumed() {
    let eval = Eval::new();
    let cut = fs::read(case("program/11_answers_cut_in_a_character.jsonl")).unwrap();
    assert!(std::str::from_utf8(&cut).is_err());
    fs::write(eval.at("answers.jsonl"), &cut).unwrap();
    let (questions, images, output) = (
        text(&case("program/11_questions.jsonl")),
        text(&eval.at("images")),
        text(&eval.at("answers.jsonl")),
    );
    let line = [
        "eval",
        &questions,
        "--images",
        &images,
        "-o",
        &output,
        "--tokens",
        "4",
        "--adapter",
        "cpu",
        "--max-new-tokens",
        "4",
    ];
    let done = mqt(line).run();
    assert!(done.code == 0 && done.stderr.contains("1 answer written"), "{done:#?}");
    let answers = fs::read_to_string(eval.at("answers.jsonl")).unwrap();
    let kept = cut.split_inclusive(|byte| *byte == b'\n').next().unwrap();
    assert!(answers.as_bytes().starts_with(kept) && answers.lines().count() == 2, "{answers}");
}

#[test]
fn a_second_evaluation_on_one_file_is_refused() {
    let eval = Eval::new();
    let questions = case("program/10_same_id.jsonl");
    assert_eq!(eval.run(&questions, "answers.jsonl", &["-m", "2"]).code, 0);
    let before = fs::read(eval.at("answers.jsonl")).unwrap();
    // What a running evaluation holds.
    let held = fs::File::options().append(true).open(eval.at("answers.jsonl")).unwrap();
    held.try_lock().unwrap();
    eval.run(&questions, "answers.jsonl", &["-m", "4"]).refused(1, "in use by another mqt");
    fs::hard_link(eval.at("answers.jsonl"), eval.at("other name")).unwrap();
    eval.run(&questions, "other name", &["-m", "4"]).refused(1, "in use by another mqt");
    eval.run(&questions, "third.jsonl", &["-m", "4", "--summary", &text(&eval.at("other name"))])
        .refused(1, "in use by another mqt");
    drop(held);
    assert_eq!(fs::read(eval.at("answers.jsonl")).unwrap(), before);
    assert_eq!(eval.run(&questions, "answers.jsonl", &["-m", "4"]).code, 0);
}

#[test]
fn outputs_of_an_evaluation_are_apart() {
    let eval = Eval::new();
    let questions = eval.at("questions.jsonl");
    fs::copy(case("program/10_same_id.jsonl"), &questions).unwrap();
    let at = |name: &str| text(&eval.at(name));
    let (same, picture) = (at("answers.jsonl"), at("images/toybox-1.png"));
    let asked = text(&questions);
    for [more, hint] in [[&*same, "one file"], [&*asked, "the questions"], [&*picture, "a picture"]]
    {
        eval.run(&questions, "answers.jsonl", &["--summary", more]).refused(2, hint);
    }
    eval.run(&questions, "answers.jsonl", &["--summary", &at("s"), "--plot", &at("s")])
        .refused(2, "one file");
    assert_eq!(fs::read(&questions).unwrap(), fs::read(case("program/10_same_id.jsonl")).unwrap());
}

#[cfg(unix)]
#[test]
fn an_evaluation_reads_regular_files_below_its_folder_only() {
    let eval = Eval::new();
    fs::copy(picture("blobs.png"), eval.at("secret.png")).unwrap();
    std::os::unix::fs::symlink("../secret.png", eval.at("images/link.png")).unwrap();
    assert!(
        std::process::Command::new("mkfifo")
            .arg(eval.at("images/pipe"))
            .status()
            .unwrap()
            .success()
    );
    let mut lines = fs::read_to_string(case("hostile/eval-outside.jsonl"))
        .unwrap()
        .replace("/ABSOLUTE/PATH/OF", &text(eval.folder.path()));
    for (id, image) in [(8, "pipe"), (9, "link.png"), (10, "toybox-1.png")] {
        lines +=
            &format!("{{\"question_id\": {id}, \"image\": \"{image}\", \"text\": \"What?\"}}\n");
    }
    fs::write(eval.at("questions.jsonl"), &lines).unwrap();
    let done = eval.run(&eval.at("questions.jsonl"), "answers.jsonl", &["-m", "2"]);
    assert!(done.code == 6 && done.stderr.contains("1 answer written"), "{done:#?}");
    assert_eq!(done.stderr.matches("outside --images").count(), 4, "{done:#?}");
    for part in ["question 1: ", "question 8: ", "a named pipe", "question 9: "] {
        assert!(done.stderr.contains(part), "{part:?} in {done:#?}");
    }
    // Who wants them says so: `../`, an absolute path and a link. A pipe is refused all the same.
    let done =
        eval.run(&eval.at("questions.jsonl"), "answers.jsonl", &["-m", "2", "--allow-outside"]);
    assert!(
        done.code == 6
            && done.stderr.contains("3 answers written")
            && done.stderr.contains("a named pipe"),
        "{done:#?}"
    );
}

#[cfg(unix)]
#[test]
fn an_evaluation_does_not_wait_for_a_pipe() {
    let eval = Eval::new();
    assert!(std::process::Command::new("mkfifo").arg(eval.at("pipe")).status().unwrap().success());
    std::os::unix::fs::symlink("pipe", eval.at("link")).unwrap();
    for output in ["pipe", "link"] {
        eval.run(&case("program/10_same_id.jsonl"), output, &[]).refused(2, "a named pipe");
    }
    // A link to a file is followed, its mode stays.
    std::os::unix::fs::symlink("real.jsonl", eval.at("answers.jsonl")).unwrap();
    assert_eq!(eval.run(&case("program/10_same_id.jsonl"), "answers.jsonl", &["-m", "2"]).code, 0);
    assert_eq!(fs::read_to_string(eval.at("real.jsonl")).unwrap().lines().count(), 2);
    assert!(eval.at("answers.jsonl").symlink_metadata().unwrap().is_symlink());
}
