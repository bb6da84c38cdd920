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
use crate::gpu::{AdapterChoice, Learned};
use crate::image::{Pixels, Reading};
use crate::kernels::product::cut::{self, Via};
use crate::quant::{Format, Packed, best_scale, round_to};
use crate::session::{Request, Session};
use crate::synth::Synth;
use crate::weights::Supply;
use crate::weights::files::Local;
use crate::weights::layout::{Entry, Role, layout};
use half::f16;
use pollster::block_on;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// How the values of a decoder layer's matrices are rounded; everything else is as in
/// `--weights q4`, unless it is a plain format.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scheme {
    Plain(Weights),
    Four { block: usize, rounding: Rounding },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Rounding {
    /// The largest magnitude takes the code ±7.
    Absmax,
    /// Both signs, many step widths, least squares: what `--weights q4` does.
    Searched,
    /// A scale and a least value, both f16, over sixteen codes.
    ScaleAndMin,
}

impl Scheme {
    fn name(self) -> String {
        match self {
            Scheme::Plain(weights) => weights.to_string(),
            Scheme::Four { block, rounding } => format!(
                "4 bits, {block}, {}",
                match rounding {
                    Rounding::Absmax => "absmax",
                    Rounding::Searched => "searched",
                    Rounding::ScaleAndMin => "scale + min",
                }
            ),
        }
    }

    /// Bits per weight of a decoder layer's matrices.
    fn bits(self) -> f64 {
        match self {
            Scheme::Plain(Weights::F32) => 32.0,
            Scheme::Plain(Weights::F16) => 16.0,
            Scheme::Plain(Weights::Q8) => 8.25,
            Scheme::Plain(Weights::Q4) => 4.25,
            Scheme::Four { block, rounding } => {
                4.0 + if rounding == Rounding::ScaleAndMin { 32.0 } else { 16.0 } / block as f64
            }
        }
    }

    fn round(self, entry: &Entry, values: &mut [f32]) {
        match self {
            Scheme::Four { block, rounding } if entry.role == Role::Layer => {
                for row in values.chunks_mut(entry.cols) {
                    row.chunks_mut(block).for_each(|values| round_block(values, rounding));
                }
            }
            Scheme::Four { .. } => unpack(Weights::Q4.format(entry.role), entry, values),
            Scheme::Plain(weights) => unpack(weights.format(entry.role), entry, values),
        }
    }
}

fn unpack(format: Format, entry: &Entry, values: &mut [f32]) {
    let packed = Packed::pack(format, values, entry.rows, entry.cols);
    values
        .chunks_mut(entry.cols)
        .enumerate()
        .for_each(|(row, out)| out.copy_from_slice(&packed.row(row)));
}

fn round_block(values: &mut [f32], rounding: Rounding) {
    let mut padded = values.to_vec();
    padded.resize(padded.len().next_multiple_of(8), 0.0);
    let half = |v: f32| f16::from_f32(v).to_f32();
    if rounding == Rounding::ScaleAndMin {
        let (lo, hi) =
            values.iter().fold((f32::MAX, f32::MIN), |(lo, hi), v| (lo.min(*v), hi.max(*v)));
        let (min, scale) = (half(lo), half((hi - lo) / 15.0));
        let code = |v: f32| {
            if scale == 0.0 { 0.0 } else { ((v - min) / scale).round_ties_even().clamp(0.0, 15.0) }
        };
        values.iter_mut().for_each(|v| *v = min + scale * code(*v));
        return;
    }
    let scale = match rounding {
        Rounding::Absmax => half(values.iter().fold(0.0f32, |a, v| a.max(v.abs())) / 7.0),
        _ => best_scale(&padded, &vec![1.0; padded.len()], -8, 7).to_f32(),
    };
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    values.iter_mut().for_each(|v| *v = round_to(*v * inverse, -8, 7) as f32 * scale);
}

/// Squared error and squared size, per kind of tensor.
type Errors = BTreeMap<&'static str, (f64, f64)>;

/// A checkpoint whose matrices went through a scheme and back.
struct Rounded {
    inner: Box<dyn Supply>,
    scheme: Scheme,
    errors: Rc<RefCell<Errors>>,
}

fn kind(entry: &Entry) -> &'static str {
    let last = entry.name.rsplit('.').next().unwrap_or_default();
    match (entry.role, last) {
        (Role::Layer, "qkv") => "q, k, v",
        (Role::Layer, "o") => "o",
        (Role::Layer, "gate_up") => "gate, up",
        (Role::Layer, _) => "down",
        (Role::Head, _) => "embedding, head",
        _ => "tower, projector",
    }
}

impl Supply for Rounded {
    fn matrix<'a>(&'a self, entry: &'a Entry) -> Local<'a, Result<Packed>> {
        Box::pin(async move {
            let exact = self.inner.matrix(entry).await?;
            let values: Vec<f32> = (0..entry.rows).flat_map(|row| exact.row(row)).collect();
            let mut rounded = values.clone();
            self.scheme.round(entry, &mut rounded);
            let mut errors = self.errors.borrow_mut();
            let (error, size) = errors.entry(kind(entry)).or_default();
            for (a, b) in values.iter().zip(&rounded) {
                *error += f64::from(a - b).powi(2);
                *size += f64::from(*a).powi(2);
            }
            Ok(Packed::pack(Format::F32, &rounded, entry.rows, entry.cols))
        })
    }

    fn vector<'a>(&'a self, entry: &'a Entry) -> Local<'a, Result<Vec<f32>>> {
        self.inner.vector(entry)
    }
}

fn load(path: &Path, scheme: Scheme) -> (Model, Errors) {
    let errors = Rc::new(RefCell::new(Errors::new()));
    let source = ModelSource::Path(path.to_owned());
    let mut opened = block_on(Opened::from_source(&source, None, Weights::F32)).unwrap();
    let inner = std::mem::replace(&mut opened.supply, Box::new(Nothing));
    opened.supply = Box::new(Rounded { inner, scheme, errors: errors.clone() });
    let options = LoadOptions {
        adapter: AdapterChoice::Cpu,
        arithmetic: Arithmetic::Exact,
        ..Default::default()
    };
    let model = block_on(Model::place(opened, &options, &mut |_| {})).unwrap();
    let errors = errors.borrow().clone();
    (model, errors)
}

/// On the GPU, with all of the decoder's products made of bytes, prompts and steps; keys and values
/// are halves, as in all that is fast.
fn load_with_bytes(path: &Path, weights: Weights) -> Model {
    let source = ModelSource::Path(path.to_owned());
    let opened = block_on(Opened::from_source(&source, None, weights)).unwrap();
    let entries = layout(&opened.config)
        .into_iter()
        .filter(|entry| matches!(entry.role, Role::Layer | Role::Head));
    let keys = entries.flat_map(|e| {
        cut::BATCHES.map(|n| (n, false)).into_iter().chain([(1, true)]).map(move |(n, step)| {
            let cut = if step { "1x2/4@128b" } else { "4x1/8@256b" };
            (cut::key(weights.format(e.role), e.rows, e.cols, n, step, true), cut.to_owned())
        })
    });
    let forced = Learned { variants: keys.collect(), ..Learned::default() };
    let options = LoadOptions {
        arithmetic: Arithmetic::Fast,
        choices: [("*".to_owned(), forced)].into(),
        ..Default::default()
    };
    let model = block_on(Model::place(opened, &options, &mut |_| {})).unwrap();
    let Network::Gpu(network) = &model.network else { panic!("no adapter") };
    let layer = &network.parts.language.layers[0];
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
    fn matrix<'a>(&'a self, _: &'a Entry) -> Local<'a, Result<Packed>> {
        unreachable!("replaced at once")
    }

    fn vector<'a>(&'a self, _: &'a Entry) -> Local<'a, Result<Vec<f32>>> {
        unreachable!("replaced at once")
    }
}

struct Asked {
    pixels: Pixels,
    text: String,
    question: Vec<u32>,
    /// What f32 answers; the logits before each of these are compared.
    answer: Vec<u32>,
}

/// Logits [positions, vocab] before each token of the answer, read with it in place; the answer
/// itself if there is none yet.
fn logits(model: &Model, asked: &mut Asked, m: usize) -> Vec<f32> {
    let cancel = Cancel::new();
    let (visual, _) = block_on(model.look(&asked.pixels, &cancel)).unwrap();
    let mut cache = block_on(model.new_cache(512)).unwrap();
    let mut slots: Vec<Slot> =
        model.template().prefix_ids(model.tokenizer()).into_iter().map(Slot::Token).collect();
    let first = model.config().first_visual(m);
    slots.extend(
        (first..first + m).map(|index| Slot::Visual { picture: [0; 8], index: index as u32 }),
    );
    slots.extend(asked.question.iter().map(|id| Slot::Token(*id)));
    let mut extend = |slots: &[Slot]| match block_on(model.extend(
        &mut cache,
        slots,
        Some(&visual),
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
    let (model, _) = load(path, Scheme::Plain(Weights::F32));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/toybox/heldout");
    let text = std::fs::read_to_string(folder.join("questions.jsonl")).unwrap();
    let ask = |line: &str| {
        let question: serde_json::Value = serde_json::from_str(line).unwrap();
        let bytes = std::fs::read(folder.join(question["image"].as_str().unwrap())).unwrap();
        let pixels = Pixels::decode(&bytes, model.image_spec(), Reading::Reference).unwrap();
        let text = question["text"].as_str().unwrap().to_owned();
        let ids = model.template().question_ids(model.tokenizer(), &text);
        Asked { pixels, text, question: ids, answer: Vec::new() }
    };
    text.lines().take(n).map(ask).collect()
}

const SCHEMES: [Scheme; 10] = [
    Scheme::Plain(Weights::F16),
    Scheme::Plain(Weights::Q8),
    Scheme::Plain(Weights::Q4),
    Scheme::Four { block: 32, rounding: Rounding::Absmax },
    Scheme::Four { block: 64, rounding: Rounding::Absmax },
    Scheme::Four { block: 32, rounding: Rounding::ScaleAndMin },
    Scheme::Four { block: 64, rounding: Rounding::ScaleAndMin },
    Scheme::Four { block: 32, rounding: Rounding::Searched },
    Scheme::Four { block: 64, rounding: Rounding::Searched },
    Scheme::Four { block: 128, rounding: Rounding::Searched },
];

fn table(title: &str, path: &Path, asked: usize, m: usize) -> Vec<(Scheme, f64, f64)> {
    let mut asked = questions(path, asked);
    let (exact, _) = load(path, Scheme::Plain(Weights::F32));
    let vocab = exact.config().language.vocab;
    let want: Vec<Vec<f32>> = asked.iter_mut().map(|a| logits(&exact, a, m)).collect();
    let positions: usize = want.iter().map(|w| w.len() / vocab).sum();
    println!("\n{title}: {} questions, {positions} positions, m = {m}", asked.len());
    println!(
        "| weights | bits | q, k, v | o | gate, up | down | embedding, head | tower, projector | mean KL | top-1 |\n|---|---|---|---|---|---|---|---|---|---|"
    );
    let mut rows = Vec::new();
    for scheme in SCHEMES {
        let (model, errors) = load(path, scheme);
        let got: Vec<Vec<f32>> = asked.iter_mut().map(|a| logits(&model, a, m)).collect();
        let (kl, same) = compare(&want, &got, vocab);
        let relative = ["q, k, v", "o", "gate, up", "down", "embedding, head", "tower, projector"]
            .map(|kind| {
                let (error, size) = errors[kind];
                format!("{:.3} %", 100.0 * (error / size).sqrt())
            });
        println!(
            "| {} | {:.3} | {} | {kl:.2e} | {:.2} % |",
            scheme.name(),
            scheme.bits(),
            relative.join(" | "),
            100.0 * same
        );
        rows.push((scheme, kl, same));
    }
    for weights in [Weights::Q8, Weights::Q4] {
        let model = load_with_bytes(path, weights);
        let got: Vec<Vec<f32>> = asked.iter_mut().map(|a| logits(&model, a, m)).collect();
        let (kl, same) = compare(&want, &got, vocab);
        println!(
            "| {weights}, bytes, f16 keys and values | {:.3} | {}{kl:.2e} | {:.2} % |",
            Scheme::Plain(weights).bits(),
            "as above | ".repeat(6),
            100.0 * same
        );
    }
    rows
}

/// What the session answers, decoding included.
fn generated(model: Model, asked: &[Asked], m: usize) -> Vec<Vec<u32>> {
    let mut session = block_on(Session::new(Arc::new(model), 512)).unwrap();
    let ask = |asked: &Asked| {
        block_on(session.look(&asked.pixels, &Cancel::new())).unwrap();
        session.start_anew();
        let request = Request {
            budget: Budget::Fixed(m as u64),
            max_new_tokens: 12,
            ..Request::new(asked.text.as_str())
        };
        block_on(session.ask(&request, &mut |_| {})).unwrap().token_ids
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
    for weights in [Weights::Q8, Weights::Q4] {
        asked.iter_mut().for_each(|a| a.answer.clear());
        let (floats, _) = load(&toybox, Scheme::Plain(weights));
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
    let q4 = rows.iter().find(|(scheme, ..)| *scheme == Scheme::Plain(Weights::Q4)).unwrap();
    assert!(q4.1 <= 0.02 && q4.2 >= 0.97, "q4: KL {}, top-1 {}", q4.1, q4.2);
    let folder = tempfile::tempdir().unwrap();
    Synth { seed: 7, ..Synth::new("llama-60m") }
        .write(folder.path(), &Cancel::new(), &mut |_| {})
        .unwrap();
    table("random, with outlier channels", folder.path(), 12, 16);
}
