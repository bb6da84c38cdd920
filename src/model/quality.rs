//! What each way of rounding costs: error per kind of tensor, and next-token logits against f32
//! (docs/quantisation.md).
//!
//! `cargo test --release --lib quality -- --ignored --nocapture`

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and its tables are its output"
)]

use super::open::{LoadOptions, ModelSource, Opened};
use super::{Arithmetic, Model, Network, Slot, Want, Wanted, Weights};
use crate::budget::Budget;
use crate::cancel::Cancel;
use crate::error::Result;
use crate::future::Boxed;
use crate::gpu::{AdapterChoice, Learned};
use crate::image::tiles::{self, Level};
use crate::image::{Picture, Reading};
use crate::kernels::product::cut::{self, Via};
use crate::parallel::Guarded;
use crate::quant::{BLOCK, Format, PANEL, Packed};
use crate::session::{Request, Session};
use crate::synth::Synth;
use crate::text::TemplateChoice;
use crate::weights::Supply;
use crate::weights::layout::{Entry, Role, layout};
use pollster::block_on;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bits per weight of a decoder layer's matrices, but the last one's.
fn bits(weights: Weights) -> f64 {
    let (data, scales) = weights.format(Role::Layer).words(PANEL, BLOCK);
    ((data + scales) * 32) as f64 / (PANEL * BLOCK) as f64
}

fn unpack(format: Format, entry: &Entry, values: &mut [f32]) {
    let packed = Packed::pack(format, values, entry.rows, entry.cols);
    values
        .chunks_mut(entry.cols)
        .enumerate()
        .for_each(|(row, out)| out.copy_from_slice(&packed.row(row)));
}

/// Squared error and squared size, per kind of tensor.
type Errors = BTreeMap<&'static str, (f64, f64)>;

/// A checkpoint whose matrices went through their formats and back, all columns counting alike.
struct Rounded {
    inner: Box<dyn Supply>,
    weights: Weights,
    errors: Arc<Guarded<Errors>>,
}

fn kind(entry: &Entry) -> &'static str {
    let last = entry.name.rsplit('.').next().unwrap_or_default();
    match (entry.role, last) {
        (Role::Layer | Role::LastLayer, "qkv") => "q, k, v",
        (Role::Layer | Role::LastLayer, "o") => "o",
        (Role::Layer | Role::LastLayer, "gate_up") => "gate, up",
        (Role::Layer | Role::LastLayer, _) => "down",
        (Role::Head, _) => "embedding, head",
        _ => "tower, projector",
    }
}

impl Supply for Rounded {
    fn matrix<'a>(&'a self, entry: &'a Entry) -> Boxed<'a, Result<Packed>> {
        Box::pin(async move {
            let exact = self.inner.matrix(entry).await?;
            let values: Vec<f32> = (0..entry.rows).flat_map(|row| exact.row(row)).collect();
            let mut rounded = values.clone();
            unpack(self.weights.format(entry.role), entry, &mut rounded);
            let mut errors = self.errors.lock();
            let (error, size) = errors.entry(kind(entry)).or_default();
            for (a, b) in values.iter().zip(&rounded) {
                *error += f64::from(a - b).powi(2);
                *size += f64::from(*a).powi(2);
            }
            Ok(Packed::pack(Format::F32, &rounded, entry.rows, entry.cols))
        })
    }

    fn vector<'a>(&'a self, entry: &'a Entry) -> Boxed<'a, Result<Vec<f32>>> {
        self.inner.vector(entry)
    }
}

fn load(path: &Path, weights: Weights) -> (Model, Errors) {
    let errors = Arc::new(Guarded::new(Errors::new()));
    let source = ModelSource::Path(path.to_owned());
    let mut opened =
        block_on(Opened::from_source(&source, None, Weights::F32.into(), &TemplateChoice::Own))
            .unwrap();
    let inner = std::mem::replace(&mut opened.supply, Box::new(Nothing));
    opened.supply = Box::new(Rounded { inner, weights, errors: errors.clone() });
    let options = LoadOptions {
        adapter: AdapterChoice::Cpu,
        arithmetic: Arithmetic::Exact,
        ..Default::default()
    };
    let model = block_on(opened.load(&options, &mut |_| {})).unwrap();
    let errors = errors.lock().clone();
    (model, errors)
}

/// On the processor, with the same weights as [`load_with_bytes`].
fn load_with_floats(path: &Path, weights: Weights) -> Model {
    let source = ModelSource::Path(path.to_owned());
    let options = LoadOptions {
        adapter: AdapterChoice::Cpu,
        weights: weights.into(),
        arithmetic: Arithmetic::Exact,
        ..Default::default()
    };
    block_on(Model::load(&source, &options, &mut |_| {})).unwrap()
}

/// On the GPU, with all of the decoder's products made of bytes, prompts and steps; keys and values
/// are halves, as in all that is fast.
fn load_with_bytes(path: &Path, weights: Weights) -> Model {
    let source = ModelSource::Path(path.to_owned());
    let opened =
        block_on(Opened::from_source(&source, None, weights.into(), &TemplateChoice::Own)).unwrap();
    let entries = layout(&opened.config)
        .into_iter()
        .filter(|entry| matches!(entry.role, Role::Layer | Role::LastLayer | Role::Head));
    let keys = entries.flat_map(|e| {
        cut::BATCHES.map(|n| (n, false)).into_iter().chain([(1, true)]).map(move |(n, step)| {
            let cut = if step { "1x2/4@128b" } else { "4x1/8@256b" };
            (cut::key(weights.format(e.role), e.rows, e.cols, n, step, true), cut.to_owned())
        })
    });
    let forced = Learned { variants: keys.collect(), ..Learned::default() };
    let options = LoadOptions {
        adapter: AdapterChoice::Gpu,
        arithmetic: Arithmetic::Fast,
        choices: [("*".to_owned(), forced)].into(),
        ..Default::default()
    };
    let model = block_on(opened.load(&options, &mut |_| {})).unwrap();
    let Network::Gpu(network) = &model.network else { panic!("no adapter") };
    let layer = &network.language.0.layers[0];
    for w in [&layer.qkv.weight, &layer.o, &layer.gate_up, &layer.down] {
        assert!(
            [1, 5, 90].into_iter().all(|n| cut::cut(&network.gpu, w, n, false).via == Via::Bytes),
            "{} x {}",
            w.rows,
            w.cols
        );
    }
    model
}

struct Nothing;

impl Supply for Nothing {
    fn matrix<'a>(&'a self, _: &'a Entry) -> Boxed<'a, Result<Packed>> {
        unreachable!("replaced at once")
    }

    fn vector<'a>(&'a self, _: &'a Entry) -> Boxed<'a, Result<Vec<f32>>> {
        unreachable!("replaced at once")
    }
}

struct Asked {
    picture: Picture,
    text: String,
    question: Vec<u32>,
    /// What f32 answers; the logits before each of these are compared.
    answer: Vec<u32>,
}

/// Logits [positions, vocab] before each token of the answer, read with it in place; the answer
/// itself if there is none yet.
fn logits(model: &Model, asked: &mut Asked, m: usize) -> Vec<f32> {
    let cancel = Cancel::new();
    let (plan, squares) =
        tiles::squares(&asked.picture, model.image_spec(), Level::Square).unwrap();
    let (visual, _) = block_on(model.look(&squares, &plan, &cancel)).unwrap();
    let mut cache = block_on(model.new_cache(512)).unwrap();
    let mut slots: Vec<Slot> =
        model.template().prefix_ids(model.tokenizer()).into_iter().map(Slot::Token).collect();
    slots.extend((0..m).map(|index| Slot::Visual { picture: [0; 16], index: index as u32 }));
    slots.extend(asked.question.iter().map(|id| Slot::Token(*id)));
    let mut extend = |slots: &[Slot]| match block_on(model.extend(
        &mut cache,
        slots,
        &[([0; 16], &visual)],
        Want::Logits,
        &cancel,
    ))
    .unwrap()
    {
        Wanted::Logits(logits) => logits,
        other => panic!("{other:?}"),
    };
    let mut all = extend(&slots);
    let mut last = all.clone();
    for i in 0..12 {
        if asked.answer.len() == i {
            asked.answer.push(best(&last));
        }
        if model.config().is_end(asked.answer[i]) || i == 11 {
            break;
        }
        last = extend(&[Slot::Token(asked.answer[i])]);
        all.extend_from_slice(&last);
    }
    all
}

/// The likeliest token.
fn best(logits: &[f32]) -> u32 {
    let top = logits
        .iter()
        .enumerate()
        .fold((0, f32::MIN), |top, (i, v)| if *v > top.1 { (i, *v) } else { top });
    top.0 as u32
}

/// Mean KL(f32 ‖ rounded) in nats and the share of equal top-1 over all positions.
fn compare(want: &[Vec<f32>], got: &[Vec<f32>], vocab: usize) -> (f64, f64) {
    let (mut kl, mut same, mut n) = (0.0, 0, 0);
    for (p, q) in
        want.iter().zip(got).flat_map(|(w, g)| w.chunks_exact(vocab).zip(g.chunks_exact(vocab)))
    {
        let log_total = |x: &[f32]| {
            let top = f64::from(x.iter().copied().fold(f32::MIN, f32::max));
            top + x.iter().map(|v| (f64::from(*v) - top).exp()).sum::<f64>().ln()
        };
        let (lp, lq) = (log_total(p), log_total(q));
        kl += p
            .iter()
            .zip(q)
            .map(|(p, q)| {
                (f64::from(*p) - lp).exp() * ((f64::from(*p) - lp) - (f64::from(*q) - lq))
            })
            .sum::<f64>();
        same += usize::from(best(p) == best(q));
        n += 1;
    }
    (kl / f64::from(n), same as f64 / f64::from(n))
}

fn questions(path: &Path, n: usize) -> Vec<Asked> {
    let (model, _) = load(path, Weights::F32);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/toybox/heldout");
    let text = std::fs::read_to_string(folder.join("questions.jsonl")).unwrap();
    let ask = |line: &str| {
        let question: serde_json::Value = serde_json::from_str(line).unwrap();
        let bytes = std::fs::read(folder.join(question["image"].as_str().unwrap())).unwrap();
        let picture = Picture::read(&bytes, Reading::Reference).unwrap();
        let text = question["text"].as_str().unwrap().to_owned();
        let ids = model.template().question_ids(model.tokenizer(), &text);
        Asked { picture, text, question: ids, answer: Vec::new() }
    };
    text.lines().take(n).map(ask).collect()
}

const ROUNDED: [Weights; 4] = [Weights::F16, Weights::Q8, Weights::Q5, Weights::Q4];

fn table(title: &str, path: &Path, asked: usize, m: usize) -> Vec<(Weights, f64, f64)> {
    let mut asked = questions(path, asked);
    let (exact, _) = load(path, Weights::F32);
    let vocab = exact.config().language.vocab;
    let want: Vec<Vec<f32>> = asked.iter_mut().map(|a| logits(&exact, a, m)).collect();
    let positions: usize = want.iter().map(|w| w.len() / vocab).sum();
    println!("\n{title}: {} questions, {positions} positions, m = {m}", asked.len());
    println!(
        "| weights | bits | q, k, v | o | gate, up | down | embedding, head | tower, projector | mean KL | top-1 |\n|---|---|---|---|---|---|---|---|---|---|"
    );
    let mut rows = Vec::new();
    for weights in ROUNDED {
        let (model, errors) = load(path, weights);
        let got: Vec<Vec<f32>> = asked.iter_mut().map(|a| logits(&model, a, m)).collect();
        let (kl, same) = compare(&want, &got, vocab);
        let relative = ["q, k, v", "o", "gate, up", "down", "embedding, head", "tower, projector"]
            .map(|kind| {
                let (error, size) = errors[kind];
                format!("{:.3} %", 100.0 * (error / size).sqrt())
            });
        println!(
            "| {} | {:.3} | {} | {kl:.2e} | {:.2} % |",
            weights,
            bits(weights),
            relative.join(" | "),
            100.0 * same
        );
        rows.push((weights, kl, same));
    }
    for weights in [Weights::Q8, Weights::Q5, Weights::Q4] {
        let model = load_with_bytes(path, weights);
        let got: Vec<Vec<f32>> = asked.iter_mut().map(|a| logits(&model, a, m)).collect();
        let (kl, same) = compare(&want, &got, vocab);
        println!(
            "| {weights}, bytes, f16 keys and values | {:.3} | {}{kl:.2e} | {:.2} % |",
            bits(weights),
            "as above | ".repeat(6),
            100.0 * same
        );
    }
    rows
}

/// What the session answers, decoding included.
fn generated(model: Model, asked: &[Asked], m: usize) -> Vec<Vec<u32>> {
    let mut session = block_on(Session::new(Arc::new(model), 512, &Cancel::new())).unwrap();
    let ask = |asked: &Asked| {
        block_on(session.look(&asked.picture, &Cancel::new())).unwrap();
        session.start_anew();
        let request = Request {
            budget: Budget::Fixed(m as u64),
            max_new_tokens: 12,
            ..Request::new(asked.text.as_str())
        };
        block_on(session.ask(&request, &Cancel::new(), &mut |_| {})).unwrap().token_ids
    };
    asked.iter().map(ask).collect()
}

/// What `--arithmetic fast` may do on devices that multiply bytes faster, beside the same weights
/// and floats.
#[test]
fn bytes_change_few_answers() {
    if crate::kernels::check::gpu_or_skip().is_none() {
        return;
    }
    let toybox = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models/toybox/checkpoint");
    let mut asked = questions(&toybox, 8);
    for weights in [Weights::Q8, Weights::Q5, Weights::Q4] {
        asked.iter_mut().for_each(|a| a.answer.clear());
        let floats = load_with_floats(&toybox, weights);
        let want: Vec<Vec<f32>> = asked.iter_mut().map(|a| logits(&floats, a, 16)).collect();
        let bytes = load_with_bytes(&toybox, weights);
        let got: Vec<Vec<f32>> = asked.iter_mut().map(|a| logits(&bytes, a, 16)).collect();
        let (kl, same) = compare(&want, &got, floats.config().language.vocab);
        let alike = generated(floats, &asked, 16)
            .iter()
            .zip(generated(bytes, &asked, 16))
            .filter(|(a, b)| **a == *b)
            .count();
        println!(
            "{weights}: KL {kl:.2e}, the same likeliest token in {:.2} %, {alike} of {} answers alike",
            100.0 * same,
            asked.len()
        );
        // One answer may hang on a tie.
        assert!(
            kl <= BYTES_KL && same >= 0.95 && alike + 1 >= asked.len(),
            "{weights}: KL {kl}, top-1 {same}, {alike} alike"
        );
    }
}

/// Mean KL that bytes for activations may cost beside floats: somewhat over twice the most that was
/// seen.
const BYTES_KL: f64 = 3e-4;

/// Prints the tables, and holds the chosen formats to their promise.
#[test]
#[ignore = "minutes long; run it when formats change"]
fn tables() {
    let toybox = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models/toybox/checkpoint");
    let rows = table("toybox", &toybox, 200, 64);
    let q4 = rows.iter().find(|(weights, ..)| *weights == Weights::Q4).unwrap();
    assert!(q4.1 <= 0.02 && q4.2 >= 0.97, "q4: KL {}, top-1 {}", q4.1, q4.2);
    let folder = tempfile::tempdir().unwrap();
    Synth { seed: 7, ..Synth::new("llama-60m") }
        .write(folder.path(), &Cancel::new(), &mut |_| {})
        .unwrap();
    table("random, with outlier channels", folder.path(), 12, 16);
}
