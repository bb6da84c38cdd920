//! Every family's tiny random checkpoint beside what PyTorch's own classes make of it: features,
//! image tokens, logits and greedy ids, from the same pixels and the same ids.
//!
//! `tests/families/README.md` says how the cases were made.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "families/chosen.rs"]
mod chosen;
#[path = "families/gguf.rs"]
mod gguf;
#[path = "families/knob.rs"]
mod knob;
#[path = "families/pair.rs"]
mod pair;
#[path = "families/settings.rs"]
mod settings;
#[path = "families/several.rs"]
mod several;
#[path = "families/vocabulary.rs"]
mod vocabulary;

use mqt::Sampling;
use mqt::cancel::Cancel;
use mqt::convert::{Conversion, convert};
use mqt::gpu::AdapterChoice;
use mqt::image::Pixels;
use mqt::internals::image::tiles::{Level, Plan, Whole};
use mqt::internals::kernels::check::compare;
use mqt::internals::model::{Slot, Want, Wanted};
use mqt::model::{Arithmetic, LoadOptions, ModelSource, Rehearsal, Weights};
use mqt::{Error, Model};
use pollster::block_on;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Features and image tokens: f32 in another order of sums, layer after layer.
const FEATURES: f64 = 1e-4;
/// Logits: the same behind the decoder's layers.
const LOGITS: f64 = 1e-3;

/// A case: its folder, and how its picture is cut for each m.
struct Case {
    name: &'static str,
    plans: &'static [(usize, Level, usize, usize, Whole)],
    /// What every smaller m selects from.
    all: usize,
}

const CASES: [Case; 5] = [
    Case {
        name: "smolvlm",
        plans: &[(4, Level::Edge(1), 0, 0, Whole::Alone), (20, Level::Edge(2), 2, 2, Whole::Last)],
        all: 4,
    },
    Case {
        name: "granite_docling",
        plans: &[(16, Level::Edge(1), 0, 0, Whole::Alone), (48, Level::Edge(2), 2, 1, Whole::Last)],
        all: 16,
    },
    Case { name: "llava_interleave", plans: &[(25, Level::Square, 0, 0, Whole::Alone)], all: 25 },
    Case {
        name: "llava_onevision",
        plans: &[
            (17, Level::Frame, 0, 0, Whole::Alone),
            (50, Level::Padded, 0, 0, Whole::Alone),
            (161, Level::Pinpoints(9), 3, 2, Whole::First),
        ],
        all: 0,
    },
    Case { name: "mobilevlm_v2", plans: &[(144, Level::Square, 0, 0, Whole::Alone)], all: 144 },
];

fn folder(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/families").join(case)
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

struct Expected(safetensors::SafeTensors<'static>);

impl Expected {
    fn of(case: &str) -> Expected {
        let bytes = std::fs::read(folder(case).join("expected.safetensors")).unwrap().leak();
        Expected(safetensors::SafeTensors::deserialize(bytes).unwrap())
    }

    /// The words of `name.m`, or of `name` where it is the same for every m.
    fn words(&self, name: &str, m: usize) -> Option<Vec<[u8; 4]>> {
        let tensor = self.0.tensor(&format!("{name}.{m}")).or_else(|_| self.0.tensor(name)).ok()?;
        Some(tensor.data().chunks_exact(4).map(|word| word.try_into().unwrap()).collect())
    }

    fn floats(&self, name: &str, m: usize) -> Vec<f32> {
        let words = self.words(name, m).unwrap_or_else(|| panic!("{name}.{m}"));
        words.into_iter().map(f32::from_le_bytes).collect()
    }

    fn ints(&self, name: &str, m: usize) -> Option<Vec<i32>> {
        Some(self.words(name, m)?.into_iter().map(i32::from_le_bytes).collect())
    }
}

fn adapters() -> Vec<AdapterChoice> {
    let gpu = block_on(mqt::internals::gpu::Gpu::open(&AdapterChoice::Gpu)).ok().flatten();
    assert!(gpu.is_some() || std::env::var("REQUIRE_GPU").is_err(), "there is no adapter");
    let gpu = gpu.map(|_| AdapterChoice::Gpu);
    [AdapterChoice::Cpu].into_iter().chain(gpu).collect()
}

fn load(checkpoint: PathBuf, adapter: AdapterChoice, weights: Weights) -> Result<Model, Error> {
    let mut options = LoadOptions::on(adapter);
    options.weights = weights.into();
    options.arithmetic = Arithmetic::Exact;
    // The kernels of every family run on a network of zeros, too.
    options.rehearsal = Rehearsal::Before;
    block_on(Model::load(&ModelSource::Path(checkpoint), &options, &mut |_| {}))
}

/// The squares that PyTorch's processor made.
fn squares(expected: &Expected, m: usize, size: usize) -> Vec<Pixels> {
    let values = expected.floats("pixel_values", m);
    let square = |data: &[f32]| Pixels::of_values(data.to_vec(), size);
    values.chunks_exact(3 * size * size).map(square).collect()
}

/// The prompt: the picture's id stands once for each image token, or -200 for all of them.
fn prompt(case: &str, expected: &Expected, m: usize, rows: &[usize]) -> Vec<Slot> {
    let config = read_json(&folder(case).join("checkpoint/config.json"));
    let image = config.get("image_token_id").or(config.get("image_token_index"));
    let image = image.and_then(Value::as_i64).unwrap_or(-1) as i32;
    let visual = |row: &usize| Slot::Visual { picture: [0; 16], index: *row as u32 };
    let with = expected
        .ints("processor_ids", m)
        .filter(|_| expected.0.tensor(&format!("processor_ids.{m}")).is_ok());
    let mut next = rows.iter();
    let slots: Vec<Slot> = match with {
        Some(ids) => {
            ids.iter()
                .map(|id| {
                    if *id == image {
                        visual(next.next().unwrap())
                    } else {
                        Slot::Token(*id as u32)
                    }
                })
                .collect()
        }
        None => {
            let ids = expected.ints("input_ids", m).unwrap();
            let slots = |id: &i32| match u32::try_from(*id) {
                Ok(id) => vec![Slot::Token(id)],
                Err(_) => next.by_ref().map(visual).collect(),
            };
            ids.iter().flat_map(slots).collect()
        }
    };
    assert!(next.next().is_none(), "{case} m={m}: every image token has its place");
    slots
}

fn check(what: &str, got: &[f32], want: &[f32], limit: f64) -> f64 {
    let check = compare(got, want, limit);
    assert!(check.ok, "{what}: {}", check.message);
    check.error
}

#[test]
fn every_stage_equals_pytorch() {
    for case in &CASES {
        for adapter in adapters() {
            let model = load(folder(case.name).join("checkpoint"), adapter, Weights::F32).unwrap();
            assert_eq!(model.config().end_ids, ends(case), "{}: what ends an answer", case.name);
            run(case, &model);
        }
    }
}

fn ends(case: &Case) -> Vec<u32> {
    let about = read_json(&folder(case.name).join("case.json"));
    about["end_ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

fn run(case: &Case, model: &Model) {
    let expected = Expected::of(case.name);
    let about = read_json(&folder(case.name).join("case.json"));
    let side = |key: &str| about["shape"][key].as_u64().unwrap() as usize;
    let picture = (side("W"), side("H"));
    let end_ids = ends(case);
    let cancel = Cancel::new();
    for &(tokens, level, rows, columns, whole) in case.plans {
        let plan = Plan { level, picture, rows, columns, whole };
        let squares = squares(&expected, tokens, model.image_spec().size);
        assert_eq!(model.config().tokens(&plan), tokens, "{}", case.name);
        let what = format!("{} {level:?} on {}", case.name, model.adapter().name);
        let mut features = Vec::new();
        for square in &squares {
            features.extend(block_on(model.vision_features(square, &cancel)).unwrap());
        }
        let want = expected.floats("vision_features", tokens);
        let features = check(&format!("{what}: features"), &features, &want, FEATURES);
        let (visual, looked) = block_on(model.look(&squares, &plan, &cancel)).unwrap();
        assert_eq!(looked.vision_runs as usize, squares.len());
        let got = block_on(model.read_visual(&visual, 0..tokens)).unwrap();
        let hidden = model.config().language.hidden;
        for m in about["ms"].as_array().unwrap() {
            let m = m.as_u64().unwrap() as usize;
            if m != tokens && (tokens != case.all || m > tokens) {
                continue;
            }
            let chosen: Vec<usize> = match expected.ints("selected", m) {
                Some(chosen) if m < tokens => chosen.iter().map(|&row| row as usize).collect(),
                _ => (0..tokens).collect(),
            };
            let what = format!("{what}, m = {m}");
            let selected: Vec<f32> =
                chosen.iter().flat_map(|row| got[row * hidden..][..hidden].to_vec()).collect();
            let want = expected.floats("visual_tokens", m);
            let tokens = check(&format!("{what}: image tokens"), &selected, &want, FEATURES);
            let slots = prompt(case.name, &expected, m, &chosen);
            let logits = logits(&what, model, &visual, &slots, &expected, m);
            let ids = greedy(model, &visual, &slots, &end_ids);
            let want: Vec<u32> = about["greedy"][m.to_string()]
                .as_array()
                .unwrap()
                .iter()
                .map(|id| id.as_u64().unwrap() as u32)
                .collect();
            assert_eq!(ids, want, "{what}: greedy ids");
            report(&format!(
                "{what}: features {features:.1e}, tokens {tokens:.1e}, logits {logits:.1e}, ids equal"
            ));
        }
    }
}

fn report(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The error of the rows that the case has.
fn logits(
    what: &str,
    model: &Model,
    visual: &mqt::internals::model::ImageTokens,
    slots: &[Slot],
    expected: &Expected,
    m: usize,
) -> f64 {
    let mut cache = block_on(model.new_cache(slots.len())).unwrap();
    let got = block_on(model.extend(
        &mut cache,
        slots,
        &[([0; 16], visual)],
        Want::AllLogits,
        &Cancel::new(),
    ));
    let Wanted::Logits(all) = got.unwrap() else { panic!("all logits were asked for") };
    let vocab = model.config().language.vocab;
    let rows = expected.ints("logit_rows", m).unwrap();
    let got: Vec<f32> =
        rows.iter().flat_map(|&row| all[row as usize * vocab..][..vocab].to_vec()).collect();
    check(&format!("{what}: logits"), &got, &expected.floats("logits", m), LOGITS)
}

fn greedy(
    model: &Model,
    visual: &mqt::internals::model::ImageTokens,
    slots: &[Slot],
    end_ids: &[u32],
) -> Vec<u32> {
    let cancel = Cancel::new();
    let mut cache = block_on(model.new_cache(slots.len() + 12)).unwrap();
    model.begin(&mut cache, slots.len(), 12, &Sampling::default(), &[], end_ids);
    block_on(model.extend(&mut cache, slots, &[([0; 16], visual)], Want::Pick, &cancel)).unwrap();
    let mut generation = model.generation(&mut cache);
    let mut ids = Vec::new();
    while let Some(picked) = block_on(generation.next(&cancel)).unwrap() {
        ids.push(picked.token);
        if end_ids.contains(&picked.token) {
            break;
        }
    }
    ids
}

/// Quantised networks differ from the f32 one, but not from themselves on another device.
#[test]
fn every_format_gives_the_same_image_tokens_on_gpu_and_cpu() {
    let adapters = adapters();
    for case in &CASES {
        let expected = Expected::of(case.name);
        for weights in [Weights::F16, Weights::Q8, Weights::Q4] {
            let &(tokens, level, rows, columns, whole) = case.plans.last().unwrap();
            let seen: Vec<Vec<f32>> = adapters
                .iter()
                .map(|adapter| {
                    let checkpoint = folder(case.name).join("checkpoint");
                    let model = load(checkpoint, adapter.clone(), weights).unwrap();
                    let plan = Plan { level, picture: (61, 150), rows, columns, whole };
                    let squares = squares(&expected, tokens, model.image_spec().size);
                    let (visual, _) =
                        block_on(model.look(&squares, &plan, &Cancel::new())).unwrap();
                    block_on(model.read_visual(&visual, 0..tokens)).unwrap()
                })
                .collect();
            for other in &seen[1..] {
                check(&format!("{} {weights}", case.name), other, &seen[0], 1e-5);
            }
        }
    }
}

/// A pack of every case gives what its folder gives.
#[test]
fn packs_of_every_family_equal_pytorch() {
    for case in &CASES {
        let folder_of_packs = tempfile::tempdir().unwrap();
        let (checkpoint, pack) =
            (folder(case.name).join("checkpoint"), folder_of_packs.path().join("pack"));
        let what = Conversion::new(&checkpoint, &pack, Weights::F32);
        block_on(convert(&what, &Cancel::new(), &mut |_| {}, &mut |_| {})).unwrap();
        let model = load(pack, AdapterChoice::Cpu, Weights::F32).unwrap();
        let (mut config, read) =
            (model.config().clone(), settings::Changed::of(case.name).open().unwrap());
        // Numbers in JSON are read to within a last bit.
        for (got, want) in config.language.inv_freq.iter_mut().zip(&read.language.inv_freq) {
            assert!((*got - want).abs() <= 1e-15, "{}: {got}, not {want}", case.name);
            *got = *want;
        }
        assert_eq!(config, read, "{}", case.name);
        run(case, &model);
    }
}
