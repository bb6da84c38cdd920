//! `eval` spread over shards: joined, the answers are those of one run; the summary and the plot say what the answers say.

use crate::common::{mqt, text};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// (question, m) → answer.
fn answers(path: &Path) -> BTreeMap<(String, u64), String> {
    let row = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap();
        let key = (value["question_id"].to_string(), value["metadata"]["image_tokens"].as_u64().unwrap());
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
        let (questions, images, output) = (text(&at("questions.jsonl")), text(&heldout), text(&at(output)));
        let line = ["eval", &questions, "--images", &images, "-o", &output, "--tokens", "4,64", "--adapter", "cpu", "--max-new-tokens", "12"];
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
    assert_eq!((&summary["schema"], &summary["model_id"], &summary["questions"]), (&"mqt.eval/1".into(), &"toybox-q8".into(), &12.into()));
    let keys: BTreeMap<String, String> = some
        .iter()
        .map(|line| {
            let question: Value = serde_json::from_str(line).unwrap();
            (question["question_id"].to_string(), question["answer"].as_str().unwrap().to_lowercase())
        })
        .collect();
    for (row, m) in summary["budgets"].as_array().unwrap().iter().zip([4, 64]) {
        let given = answers(&at("joined.jsonl"));
        let right = keys.iter().filter(|(id, key)| given[&((*id).clone(), m)].trim().trim_end_matches('.').to_lowercase() == **key).count();
        assert_eq!((&row["image_tokens"], &row["answered"]), (&m.into(), &12.into()), "{row}");
        assert!((row["accuracy"].as_f64().unwrap() - right as f64 / 12.0).abs() < 1e-9, "{row}: {right} of 12");
        assert!(row["milliseconds"].as_f64().unwrap() > 0.0, "{row}");
    }
    let svg = fs::read_to_string(plot).unwrap();
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>") && svg.matches("<circle").count() == 4, "{svg}");

    for shard in ["0/5", "6/5", "1", "x/2"] {
        eval("bad.jsonl", &["--shard", shard]).refused(2, "i/n");
    }
    eval("bad.jsonl", &["--shard", "13/13"]).refused(2, "fewer questions than shards");
}

/// README's table is what its command gives, in the two columns that stand for the others: all of them would take CI minutes.
#[test]
fn the_bundled_models_accuracy_is_as_the_readme_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let heldout = root.join("models/toybox/heldout");
    let (questions, images) = (text(&heldout.join("questions.jsonl")), text(&heldout));
    let (output, summary) = (text(&folder.path().join("answers.jsonl")), folder.path().join("summary.json"));
    let line = ["eval", &questions, "--images", &images, "--adapter", "cpu", "--tokens", "2,64", "-o", &output, "--summary", &text(&summary)];
    assert_eq!(mqt(line).run().code, 0);
    let summary: Value = serde_json::from_slice(&fs::read(summary).unwrap()).unwrap();
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let row = |start: &str| -> Vec<String> {
        let line = readme.lines().find(|line| line.starts_with(start)).unwrap();
        line.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let (heads, shares) = (row("| m |"), row("| exact match |"));
    for budget in summary["budgets"].as_array().unwrap() {
        let column = heads.iter().position(|head| head.parse().ok() == budget["image_tokens"].as_u64()).unwrap();
        assert_eq!(shares[column], format!("{:.1} %", 100.0 * budget["accuracy"].as_f64().unwrap()), "m = {}", heads[column]);
    }
}
