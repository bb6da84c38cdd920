//! The bundled model's checkpoint in every weight format: the same answers on every adapter, and
//! what quantisation changes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a table to read, and a notice")]

use mqt::budget::{Budget, ladder};
use mqt::gpu::AdapterChoice;
use mqt::image::{Picture, Reading};
use mqt::internals::gpu::Gpu;
use mqt::model::{Arithmetic, LoadOptions, ModelSource, Weights};
use mqt::{Cancel, Model, Request, Session};
use pollster::block_on;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn toybox() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/toybox")
}

/// `None` (and a notice) without an adapter; with `REQUIRE_GPU` that is a failure.
fn gpu() -> Option<AdapterChoice> {
    if block_on(Gpu::open(&AdapterChoice::Gpu)).unwrap().is_some() {
        return Some(AdapterChoice::Gpu);
    }
    assert!(std::env::var("REQUIRE_GPU").is_err(), "REQUIRE_GPU is set, and there is no adapter");
    eprintln!("skipped: no adapter");
    None
}

fn session(adapter: AdapterChoice, weights: Weights) -> Session {
    let mut options = LoadOptions::on(adapter);
    options.weights = weights.into();
    options.arithmetic = Arithmetic::Exact;
    let model = block_on(Model::load(
        &ModelSource::Path(toybox().join("checkpoint")),
        &options,
        &mut |_| {},
    ))
    .unwrap();
    block_on(Session::new(Arc::new(model), 512, &Cancel::new())).unwrap()
}

/// The held-out questions, in order of their pictures: (picture, question, key).
fn heldout() -> Vec<(String, String, String)> {
    let text = std::fs::read_to_string(toybox().join("heldout/questions.jsonl")).unwrap();
    let parse = |line: &str| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let field = |name: &str| row[name].as_str().unwrap().to_owned();
        (field("image"), field("text"), field("answer"))
    };
    text.lines().filter(|l| !l.is_empty()).map(parse).collect()
}

/// Answers every question with m image tokens; the tower runs once per picture.
fn answers(
    session: &mut Session,
    questions: &[(String, String, String)],
    m: usize,
) -> Vec<Vec<u32>> {
    let mut pictures: BTreeMap<&str, Picture> = BTreeMap::new();
    let mut out = Vec::new();
    for (image, question, _) in questions {
        let decode = || {
            let bytes = std::fs::read(toybox().join("heldout").join(image)).unwrap();
            Picture::read(&bytes, Reading::Reference).unwrap()
        };
        block_on(session.look(pictures.entry(image).or_insert_with(decode), &Cancel::new()))
            .unwrap();
        session.start_anew();
        let mut request = Request::new(question.as_str());
        (request.budget, request.max_new_tokens) = (Budget::Fixed(m as u64), 16);
        out.push(block_on(session.ask(&request, &Cancel::new(), &mut |_| {})).unwrap().token_ids);
    }
    out
}

/// Run on llvmpipe and again on SwiftShader, this makes three arithmetics agree: each of them with
/// the processor's.
#[test]
fn every_adapter_gives_the_same_ids_for_every_format_and_m() {
    let Some(gpu) = gpu() else { return };
    let questions: Vec<_> = heldout().into_iter().step_by(50).collect();
    for weights in Weights::ALL {
        let (mut on_gpu, mut on_cpu) =
            (session(gpu.clone(), weights), session(AdapterChoice::Cpu, weights));
        for m in ladder(on_cpu.model().config().m_max()) {
            let (got, want) =
                (answers(&mut on_gpu, &questions, m), answers(&mut on_cpu, &questions, m));
            assert_eq!(got, want, "{weights} m = {m} on {}", on_gpu.model().adapter().name);
        }
    }
}

/// Where the things of a colour question's picture lie, [x, y, extent] each in shares of the padded
/// square, and which one is asked about: made by `python training/looks.py --boxes`.
#[derive(serde::Deserialize)]
struct Things {
    question_id: u64,
    asked: usize,
    things: Vec<[f64; 3]>,
}

/// Of 9 questions for the colour of a thing, in pictures of 4 things at the median. By chance the
/// largest weight would lie on the thing once or twice. `training/looks.py` measures 300.
#[test]
fn what_an_answer_looked_at_is_the_thing_asked_about() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("tests/cases/toybox-things.jsonl")).unwrap();
    let all: Vec<Things> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let questions = heldout();
    let mut session = session(AdapterChoice::Cpu, Weights::F32);
    let m = session.model().config().m_max();
    let mut hits = 0;
    for Things { question_id, asked, things } in &all {
        let question = &questions[*question_id as usize..][..1];
        answers(&mut session, question, m);
        let looked = block_on(session.looked_at(&Cancel::new())).unwrap();
        let [map] = &looked[..] else { panic!("one picture: {looked:?}") };
        let on = |cell: usize| {
            let centre = |at: usize, n: usize| (at as f64 + 0.5) / n as f64;
            let (x, y) =
                (centre(cell % map.columns, map.columns), centre(cell / map.columns, map.rows));
            let [cx, cy, extent] = things[*asked];
            (x - cx).abs().max((y - cy).abs()) <= extent / 2.0
        };
        let most = (0..map.weights.len())
            .max_by(|&a, &b| map.weights[a].total_cmp(&map.weights[b]))
            .unwrap();
        hits += usize::from(on(most));
    }
    assert!(hits >= 7, "{hits} of {} maxima lie on the thing", all.len());
}

#[test]
fn quantisation_changes_few_answers() {
    compare_formats(&[64, 16]);
}

/// docs/quantisation.md's table:
/// `cargo test --release --test toybox every_m -- --ignored --nocapture`.
#[test]
#[ignore = "minutes long; run it when formats change"]
fn quantisation_at_every_m() {
    compare_formats(&[64, 36, 16, 8, 4, 2, 1]);
}

/// Prints the share of answers that stay the same, and of right ones, for each m, the largest
/// first; fails if too few stay the same.
fn compare_formats(steps: &[usize]) {
    let questions = heldout();
    let share = |a: &[Vec<u32>], b: &[Vec<u32>]| {
        100.0 * a.iter().zip(b).filter(|(a, b)| a == b).count() as f64 / a.len() as f64
    };
    // On the processor: the test above ties every adapter to it, and it is the fastest on a machine
    // without a GPU.
    let mut reference = session(AdapterChoice::Cpu, Weights::F32);
    let exact: Vec<_> = steps.iter().map(|&m| answers(&mut reference, &questions, m)).collect();
    let heads: Vec<String> = steps.iter().map(|m| format!(" m = {m} |")).collect();
    println!("| weights, same as f32 (right) |{}", heads.concat());
    println!("|---|{}", "---|".repeat(steps.len()));
    for (weights, least) in Weights::ALL.into_iter().zip([100.0, 99.0, 99.0, 98.0, 97.0]) {
        let mut quantised = session(AdapterChoice::Cpu, weights);
        let got: Vec<_> = steps.iter().map(|&m| answers(&mut quantised, &questions, m)).collect();
        let same: Vec<f64> = got.iter().zip(&exact).map(|(a, b)| share(a, b)).collect();
        let text = |ids: &[u32]| quantised.model().tokenizer().decode(ids).trim().to_lowercase();
        let right = |ids: &[Vec<u32>]| {
            let hits =
                ids.iter().zip(&questions).filter(|(ids, q)| text(ids) == q.2.to_lowercase());
            100.0 * hits.count() as f64 / questions.len() as f64
        };
        let cells = got
            .iter()
            .zip(&same)
            .map(|(ids, same)| format!(" {same:.1} % ({:.1} %) |", right(ids)));
        println!("| {weights} |{}", cells.collect::<String>());
        assert!(same[0] >= least, "{weights}: {} % of {} answers", same[0], questions.len());
    }
}
