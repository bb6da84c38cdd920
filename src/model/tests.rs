//! The network stage by stage: GPU = plain Rust = PyTorch (tests/golden), for every weight format
//! where it applies.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::budget::Budget;
use crate::gpu::AdapterChoice;
use crate::image::tiles::{self, Level};
use crate::image::{Picture, Reading};
use crate::kernels::check::{compare, gpu_or_skip};
use crate::session::{Request, Session};
use pollster::block_on;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const CASES: [&str; 5] = ["a-f32-tower", "b-f16-shards", "c-crop", "d-floor-grid", "e-llava-bins"];
/// PyTorch f32 against f64 differs by 1e-6 in features and 5e-6 in logits (tests/golden/README.md);
/// ten times that.
const FEATURES: f64 = 1e-5;
const LOGITS: f64 = 5e-5;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn load(case: &str, adapter: AdapterChoice, weights: Weights) -> Arc<Model> {
    let options = LoadOptions {
        adapter,
        weights: weights.into(),
        arithmetic: Arithmetic::Exact,
        ..Default::default()
    };
    let source = ModelSource::Path(golden().join(case).join("checkpoint"));
    Arc::new(block_on(Model::load(&source, &options, &mut |_| {})).unwrap())
}

fn adapters() -> Vec<AdapterChoice> {
    let mut all = vec![AdapterChoice::Cpu];
    if gpu_or_skip().is_some() {
        all.push(AdapterChoice::Gpu);
    }
    all
}

struct Run {
    picture: Picture,
    question: String,
    m: usize,
    file: safetensors::SafeTensors<'static>,
}

impl Run {
    fn floats(&self, name: &str) -> Option<Vec<f32>> {
        let tensor = self.file.tensor(name).ok()?;
        Some(
            tensor
                .data()
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
                .collect(),
        )
    }

    fn ints(&self, name: &str) -> Vec<i32> {
        self.file
            .tensor(name)
            .unwrap()
            .data()
            .chunks_exact(4)
            .map(|b| i32::from_le_bytes(b.try_into().unwrap()))
            .collect()
    }
}

/// The PyTorch runs of a case, from its index.json.
fn runs(case: &str) -> Vec<Run> {
    let folder = golden().join(case);
    let index: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("index.json")).unwrap()).unwrap();
    let runs = index["runs"].as_array().unwrap().iter().map(|run| {
        let picture = std::fs::read(folder.join(run["image"].as_str().unwrap())).unwrap();
        let bytes: &'static [u8] =
            std::fs::read(folder.join(run["file"].as_str().unwrap())).unwrap().leak();
        Run {
            picture: Picture::read(&picture, Reading::Reference).unwrap(),
            question: run["question"].as_str().unwrap().to_owned(),
            m: run["m"].as_u64().unwrap() as usize,
            file: safetensors::SafeTensors::deserialize(bytes).unwrap(),
        }
    });
    runs.collect()
}

#[test]
fn every_stage_equals_pytorch() {
    for case in CASES {
        for adapter in adapters() {
            let model = load(case, adapter, Weights::F32);
            let mut session = block_on(Session::new(model.clone(), 256, &Cancel::new())).unwrap();
            let runs = runs(case);
            assert!(runs.len() >= 5);
            for run in &runs {
                let what = format!("{case} m={} on {}", run.m, model.adapter().name);
                let mut request = Request::new(run.question.as_str());
                request.budget = Budget::Fixed(run.m as u64);
                request.select = Some(model.config().mapped_select());
                request.max_new_tokens = 12;
                let trace = block_on(session.trace(
                    std::slice::from_ref(&run.picture),
                    &request,
                    &Cancel::new(),
                ))
                .unwrap();
                if let Some(pixels) = run.floats("pixel_values") {
                    assert_eq!(trace.pixel_values, pixels, "{what}: pixels");
                }
                let close = |stage: &str, got: &[f32], want: &[f32], limit: f64| {
                    let check = compare(got, want, limit);
                    assert!(check.ok, "{what}: {stage}: {}", check.message);
                };
                if let Some(features) = run.floats("vision_features") {
                    close("features", &trace.vision_features, &features, FEATURES);
                }
                close(
                    "image tokens",
                    &trace.visual_tokens,
                    &run.floats("visual_tokens").unwrap(),
                    FEATURES,
                );
                assert_eq!(trace.input_ids, run.ints("input_ids"), "{what}");
                let vocab = model.config().language.vocab;
                let rows = run.ints("logits_rows");
                let got: Vec<f32> = rows
                    .iter()
                    .flat_map(|&r| trace.logits[r as usize * vocab..][..vocab].to_vec())
                    .collect();
                close("logits", &got, &run.floats("logits").unwrap(), LOGITS);

                let answer = block_on(session.ask(&request, &Cancel::new(), &mut |_| {})).unwrap();
                let want: Vec<u32> =
                    run.ints("generated_ids").iter().map(|&id| id as u32).collect();
                assert_eq!(answer.token_ids, want, "{what}: greedy ids");
            }
        }
    }
}

#[test]
fn the_first_m_of_all_equal_a_run_with_m_bit_for_bit() {
    // The last one's projector gives patches and averages of them, which are no beginnings of each
    // other.
    for case in &CASES[..4] {
        for adapter in adapters() {
            for weights in [Weights::F32, Weights::Q4] {
                let model = load(case, adapter.clone(), weights);
                let run = &runs(case)[0];
                let (hidden, max) = (model.config().language.hidden, model.config().m_max());
                let tokens = |n: usize| {
                    let (_, squares) =
                        tiles::squares(&run.picture, model.image_spec(), Level::Square).unwrap();
                    let (visual, _) =
                        block_on(model.look_at(&squares[0], n, &Cancel::new())).unwrap();
                    block_on(model.read_visual(&visual, 0..n)).unwrap()
                };
                let all = tokens(max);
                for m in [1, 2, 3, max - 1] {
                    assert!(tokens(m) == all[..m * hidden], "{case} {weights} m={m}");
                }
            }
        }
    }
}

/// Quantised networks differ from the f32 one, but not from themselves on another device.
#[test]
fn every_format_gives_the_same_ids_on_gpu_and_cpu() {
    if gpu_or_skip().is_none() {
        return;
    }
    for case in CASES {
        for weights in [Weights::F16, Weights::Q8, Weights::Q5, Weights::Q4] {
            let ids = |adapter| {
                let model = load(case, adapter, weights);
                let run = &runs(case)[1];
                let mut session = block_on(Session::new(model, 256, &Cancel::new())).unwrap();
                block_on(session.look(&run.picture, &Cancel::new())).unwrap();
                let mut request = Request::new(run.question.as_str());
                request.budget = Budget::Fixed(run.m as u64);
                request.select = Some(session.model().config().mapped_select());
                request.max_new_tokens = 8;
                block_on(session.ask(&request, &Cancel::new(), &mut |_| {})).unwrap().token_ids
            };
            assert_eq!(ids(AdapterChoice::Gpu), ids(AdapterChoice::Cpu), "{case} {weights}");
        }
    }
}
