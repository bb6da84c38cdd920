//! Other families as a user has them: pulled by name, asked, converted, compared.

use super::server::{Server, hub, listing};
use crate::common::{Done, mqt, text, words};
use serde_json::Value;
use std::path::{Path, PathBuf};

const FAMILIES: [&str; 5] =
    ["smolvlm", "granite_docling", "llava_interleave", "llava_onevision", "mobilevlm_v2"];

fn family(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/families").join(name)
}

/// The files of a checkpoint, with their paths in its folder.
fn files(folder: &Path, below: &str) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = format!("{below}{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            all.extend(files(&entry.path(), &format!("{name}/")));
        } else {
            all.push((name, std::fs::read(entry.path()).unwrap()));
        }
    }
    all
}

/// A hub with this family's tiny checkpoint as `someone/model`.
fn hub_of(name: &str) -> Server {
    let files = files(&family(name).join("checkpoint"), "");
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
    hub(listing(&files), &files)
}

fn run(cache: &Path, line: &str, more: &[&str]) -> Done {
    mqt(words(line, more)).env("MQT_CACHE", &text(cache)).ok()
}

/// The ids of an answer of this model.
fn ids(cache: &Path, picture: &str, model: &str, m: &str) -> Vec<u64> {
    let more = [picture, "What is this?", "--model", model, "-m", m, "--weights", "f32"];
    let record = run(cache, "ask --json --max-new-tokens 4 --arithmetic exact", &more).record();
    record["token_ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect()
}

#[test]
fn every_family_is_pulled_asked_and_converted_by_name() {
    for name in FAMILIES {
        let folder = tempfile::tempdir().unwrap();
        let (cache, pack) = (folder.path().join("cache"), folder.path().join("pack"));
        let server = hub_of(name);
        mqt(["pull", "someone/model"])
            .env("MQT_CACHE", &text(&cache))
            .env("HF_ENDPOINT", &server.base())
            .ok();
        let picture = text(&family(name).join("image.png"));
        let pack_text = text(&pack);
        run(&cache, "convert --weights f32 --calibrate=none", &["someone/model", "-o", &pack_text]);
        for m in ["1", "3"] {
            let by_name = ids(&cache, &picture, "someone/model", m);
            let published = text(&family(name).join("checkpoint"));
            assert_eq!(by_name, ids(&cache, &picture, &published, m), "{name} {m}");
            assert_eq!(by_name, ids(&cache, &picture, &pack_text, m), "{name} {m}: the pack");
        }
        let compared = run(
            &cache,
            "compare --json --max-new-tokens 2",
            &[&picture, "What is this?", "--model", "someone/model"],
        );
        let used: Vec<u64> = compared
            .records()
            .iter()
            .map(|record| record["image_tokens"].as_u64().unwrap())
            .collect();
        assert!(used.len() > 1 && used.is_sorted(), "{name}: {used:?}");
        // Each reads all of its own image tokens, so that times can be compared: what was read
        // before differs by a few tokens that stand before the first square.
        let kept: Vec<u64> = compared
            .records()
            .iter()
            .map(|record| record["cached_tokens"].as_u64().unwrap())
            .collect();
        let (least, most) = (kept.iter().min().unwrap(), kept.iter().max().unwrap());
        assert!(most - least < used[0], "{name}: {kept:?} of {used:?}");
    }
}

#[test]
fn a_name_that_was_not_pulled_is_a_missing_model() {
    let cache = tempfile::tempdir().unwrap();
    let picture = text(&family("smolvlm").join("image.png"));
    mqt(["ask", &picture, "what?", "--model", "someone/model"])
        .env("MQT_CACHE", &text(cache.path()))
        .run()
        .refused(3, "`mqt pull someone/model` fetches it");
}

#[test]
fn ways_of_choosing_that_a_model_has_not_are_refused_before_it_loads() {
    let picture = text(&family("smolvlm").join("image.png"));
    let model = text(&family("smolvlm").join("checkpoint"));
    let done = mqt(["ask", &picture, "what?", "--model", &model, "--select", "pool"]).run();
    done.refused(2, "--select pool: this model's image tokens are chosen by spread or random");
    let done = mqt(["ask", &picture, "what?", "--select", "pool"]).run();
    done.refused(2, "chosen by nested, spread or random");
    let done = mqt(["bench", "--adapter", "cpu", "--select", "question"]).run();
    done.refused(2, "chosen by nested, spread or random");
}

/// A row for each number of image tokens that there is a schedule for.
#[test]
fn a_benchmark_measures_what_choosing_by_the_question_takes() {
    let model = text(&family("sparse_vlm").join("checkpoint"));
    let few = "bench --adapter cpu --no-vision --patience 0.01 --contexts 16 --prefill 16 --json";
    let asked = ["--batches", "1", "-m", "16", "--select", "question", "--model", &model];
    let done = mqt(few.split(' ').chain(asked)).run();
    let report = done.record();
    let rows = report["chosen"].as_array().unwrap();
    let tokens: Vec<u64> = rows.iter().map(|row| row["image_tokens"].as_u64().unwrap()).collect();
    assert_eq!(tokens, [64, 96, 128, 192]);
    for row in rows {
        for time in ["question_ms", "spread_ms", "spread_again_ms", "all_ms"] {
            assert!(row[time].as_f64().unwrap() > 0.0, "{time} of {row}");
        }
    }
}

/// LLaVA-1.5's layout: one encoding serves every m and every way of choosing.
#[test]
fn one_encoding_serves_several_budgets_and_the_records_say_how_tokens_were_chosen() {
    let picture = text(&family("farthest_point").join("image.png"));
    let model = text(&family("farthest_point").join("checkpoint"));
    for (how, ms) in [("spread", "144,64,16"), ("random", "144,64,16"), ("pool", "144,36,9")] {
        let line = words(
            "compare --json --adapter cpu --max-new-tokens 2 --model",
            &[&model, &picture, "What is this?", "--tokens", ms, "--select", how],
        );
        let records = mqt(line).ok().records();
        let field = |name: &str| records.iter().map(|record| record[name].clone()).collect();
        let used: Vec<Value> = field("image_tokens");
        let mut wanted: Vec<u64> = ms.split(',').map(|m| m.parse().unwrap()).collect();
        wanted.sort_unstable();
        assert_eq!(Value::from(used), Value::from(wanted), "{how}");
        let runs: Vec<Value> = field("vision_runs");
        assert_eq!(runs.iter().filter_map(Value::as_u64).sum::<u64>(), 1, "{how}: {runs:?}");
        let ways: Vec<Value> = field("select");
        assert!(ways.iter().all(|way| way == how), "{ways:?}");
    }
    // The model's own way, where nobody asks for another.
    let line = words(
        "ask --json --adapter cpu --max-new-tokens 2 -m 16 --model",
        &[&model, &picture, "What is this?"],
    );
    assert_eq!(mqt(line).ok().record()["select"], "spread");
}

#[test]
fn known_models_are_listed_with_what_they_need() {
    let cache = tempfile::tempdir().unwrap();
    let listed = run(cache.path(), "models --json", &[]).records();
    assert!(listed.len() >= 10);
    for row in &listed {
        assert!(row["needs_bytes"].as_u64().unwrap() > 100_000_000, "{row}");
        assert!(row["folder"].is_null(), "{row}");
    }
    let table = run(cache.path(), "models", &[]).stdout;
    assert!(table.contains("SmolVLM-256M-Instruct") && table.contains("Apache-2.0"), "{table}");
}
