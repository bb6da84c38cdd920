//! Every published layout, made by `src/synth`: opened, asked, converted, and asked again with
//! the same ids.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use mqt::Select;
use mqt::budget::Budget;
use mqt::cancel::Cancel;
use mqt::convert::{Calibration, Conversion, convert};
use mqt::gpu::AdapterChoice;
use mqt::image::Picture;
use mqt::internals::synth::{Layout, Synth};
use mqt::model::{Arithmetic, LoadOptions, ModelSource, Weights};
use mqt::session::Request;
use mqt::{Model, Session};
use pollster::block_on;
use std::path::Path;
use std::sync::Arc;

const LAYOUTS: [Layout; 4] =
    [Layout::MqtLlava, Layout::Llava15, Layout::LlavaHf, Layout::LlavaHfNew];

fn synth(layout: Layout, folder: &Path) {
    let synth = Synth { layout: Some(layout), shard_bytes: 5_000_000, ..Synth::new("toybox") };
    synth.write(folder, &Cancel::new(), &mut |_| {}).unwrap();
}

fn load(path: &Path, weights: Weights) -> Arc<Model> {
    let mut options = LoadOptions::on(AdapterChoice::Cpu);
    options.weights = weights.into();
    options.arithmetic = Arithmetic::Exact;
    Arc::new(
        block_on(Model::load(&ModelSource::Path(path.to_owned()), &options, &mut |_| {})).unwrap(),
    )
}

/// Greedy ids of one question for each m.
fn ids(model: &Arc<Model>, budgets: &[u64]) -> Vec<Vec<u32>> {
    let bytes =
        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/models/toybox/samples/toybox-1.png"))
            .unwrap();
    let picture = Picture::read(&bytes, mqt::image::Reading::Reference).unwrap();
    let mut session = block_on(Session::new(model.clone(), 256, &Cancel::new())).unwrap();
    block_on(session.look(&picture, &Cancel::new())).unwrap();
    let ask = |m: &u64| {
        session.start_anew();
        let mut request = Request::new("How many?");
        (request.budget, request.max_new_tokens) = (Budget::Fixed(*m), 3);
        block_on(session.ask(&request, &Cancel::new(), &mut |_| {})).unwrap().token_ids
    };
    budgets.iter().map(ask).collect()
}

#[test]
fn a_pack_answers_as_the_folder_it_came_from() {
    for layout in LAYOUTS {
        let folder = tempfile::tempdir().unwrap();
        let (checkpoint, pack) = (folder.path().join("checkpoint"), folder.path().join("pack"));
        synth(layout, &checkpoint);
        let formats = if layout == Layout::Llava15 {
            vec![Weights::F16, Weights::Q8, Weights::Q5, Weights::Q4]
        } else {
            vec![Weights::Q4]
        };
        for weights in formats {
            // Folders are rounded with importance guessed.
            let mut what = Conversion::new(&checkpoint, &pack, weights);
            what.calibration = Calibration::Off;
            block_on(convert(&what, &Cancel::new(), &mut |_| {}, &mut |_| {})).unwrap();
            // All there are with a projector, some of those with a query transformer.
            let budgets = [4, 64];
            let (from_folder, from_pack) =
                (ids(&load(&checkpoint, weights), &budgets), ids(&load(&pack, weights), &budgets));
            assert_eq!(from_folder, from_pack, "{layout:?} {weights}");
        }
    }
}

#[test]
fn the_same_model_in_every_layout_of_llava_gives_the_same_answers() {
    let folder = tempfile::tempdir().unwrap();
    let models = LAYOUTS[1..].iter().map(|layout| {
        let checkpoint = folder.path().join(format!("{layout:?}"));
        synth(*layout, &checkpoint);
        load(&checkpoint, Weights::Q8)
    });
    let models: Vec<_> = models.collect();
    let first = models[0].config();
    assert_eq!(first.offer_by(Select::Pool).exactly, [1, 4, 16, 64]);
    assert_eq!(first.offer().ladder(), [2, 4, 8, 16, 36, 64]);
    let answers = ids(&models[0], &[1, 4, 16, 64]);
    assert!(
        answers.iter().any(|ids| *ids != answers[0]),
        "{answers:?}: the picture does not matter"
    );
    for model in &models[1..] {
        let config = model.config();
        assert_eq!((&config.vision, &config.projector), (&first.vision, &first.projector));
        assert_eq!(config.language.vocab, first.language.vocab + 64);
        assert_eq!(ids(model, &[1, 4, 16, 64]), answers);
    }
}

#[test]
fn synthesis_is_a_function_of_its_seed() {
    let folder = tempfile::tempdir().unwrap();
    let make = |name: &str, seed| {
        let path = folder.path().join(name);
        Synth { seed, ..Synth::new("toybox") }.write(&path, &Cancel::new(), &mut |_| {}).unwrap();
        std::fs::read(path.join("model.safetensors")).unwrap()
    };
    let first = make("a", 1);
    assert!(first == make("b", 1));
    assert!(first != make("c", 2));
}
