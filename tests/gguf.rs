//! llama.cpp's pairs of files (`tests/gguf/make.py` writes them): every value as the PyPI package
//! `gguf` decodes it, and the logits of a folder that holds these values in LLaVA's layout.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "gguf/draft.rs"]
mod draft;
#[path = "gguf/refused.rs"]
mod refused;

use draft::case;
use mqt::cancel::Cancel;
use mqt::convert::{Conversion, convert};
use mqt::gpu::AdapterChoice;
use mqt::image::{Picture, Reading};
use mqt::internals::weights::gguf::{Pair, on_disk};
use mqt::internals::weights::tensors::Folder;
use mqt::model::{Arithmetic, LoadOptions, ModelSource, Weights};
use mqt::session::Trace;
use mqt::{Budget, Model, Request, Session};
use pollster::block_on;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

const TYPES: [&str; 11] =
    ["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "q4_k", "q5_k", "q6_k"];

fn expected(name: &str) -> Value {
    let all: Value =
        serde_json::from_slice(&std::fs::read(case("expected.json")).unwrap()).unwrap();
    all[name].clone()
}

/// A tensor's shape and its values, little-endian.
type Plain = (Vec<usize>, Vec<u8>);

/// Every tensor of a pair under its published name, compared with what `gguf` decodes.
fn tensors(name: &str) -> BTreeMap<String, Plain> {
    let (model, mmproj) = (case(&format!("{name}.gguf")), case(&format!("{name}-mmproj.gguf")));
    let pair = block_on(Pair::open(on_disk(&model).unwrap(), on_disk(&mmproj).unwrap())).unwrap();
    let folder = block_on(Folder::open(Box::new(pair))).unwrap();
    let expected = expected(name);
    let expected = expected["tensors"].as_object().unwrap();
    assert!(folder.tensors.keys().eq(expected.keys().collect::<std::collections::BTreeSet<_>>()));
    let read = |(published, tensor): (&String, &Value)| {
        let found = &folder.tensors[published];
        let values = block_on(folder.floats(published)).unwrap();
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let sum: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(found.dtype, tensor["type"].as_str().unwrap(), "{name} {published}");
        assert_eq!(sum, tensor["sha256"].as_str().unwrap(), "{name} {published} {tensor}");
        (published.clone(), (found.shape.clone(), bytes))
    };
    expected.iter().map(read).collect()
}

/// The same values as a checkpoint folder in LLaVA's layout.
fn write_folder(name: &str, folder: &Path) {
    let mut tensors = tensors(name);
    // llama.cpp leaves the tower's last layer out, which nobody reads; a folder has it.
    let layers = expected(name)["tower"]["num_hidden_layers"].as_u64().unwrap();
    let (kept, last) = (format!(".layers.{}.", layers - 2), format!(".layers.{}.", layers - 1));
    let tower = |name: &&String| name.contains("vision_tower") && name.contains(&kept);
    let copies: Vec<_> = tensors.keys().filter(tower).cloned().collect();
    for name in copies {
        let copy = tensors[&name].clone();
        tensors.entry(name.replace(&kept, &last)).or_insert(copy);
    }
    let views = tensors.iter().map(|(name, (shape, bytes))| {
        (name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
    });
    let tower = folder.join("vision_tower");
    std::fs::create_dir_all(&tower).unwrap();
    std::fs::write(folder.join("model.safetensors"), safetensors::serialize(views, None).unwrap())
        .unwrap();
    let expected = expected(name);
    let write = |path: &Path, value: &Value| std::fs::write(path, value.to_string()).unwrap();
    write(&folder.join("config.json"), &expected["config"]);
    write(&tower.join("config.json"), &expected["tower"]);
    write(&tower.join("preprocessor_config.json"), &expected["preprocessor"]);
    let mut tokenizer = std::fs::read(case("tokenizer.model")).unwrap();
    if expected["space_prefix"] == false {
        // A protobuf's last value of a field counts: normaliser (3), without the prefix (3).
        tokenizer.extend([3 << 3 | 2, 2, 3 << 3, 0]);
    }
    std::fs::write(folder.join("tokenizer.model"), tokenizer).unwrap();
}

fn load(pack: &Path) -> Arc<Model> {
    let mut options = LoadOptions::on(AdapterChoice::Cpu);
    options.weights = Weights::F32.into();
    options.arithmetic = Arithmetic::Exact;
    let source = ModelSource::Path(pack.to_owned());
    Arc::new(block_on(Model::load(&source, &options, &mut |_| {})).unwrap())
}

fn trace(model: &Arc<Model>) -> Trace {
    let bytes =
        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/models/toybox/samples/toybox-1.png"))
            .unwrap();
    let picture = Picture::read(&bytes, Reading::Reference).unwrap();
    let mut session = block_on(Session::new(model.clone(), 512, &Cancel::new())).unwrap();
    let mut request = Request::new("How many red circles\nare <mark> there? Größe 3");
    request.budget = Budget::Fixed(4);
    block_on(session.trace(std::slice::from_ref(&picture), &request, &Cancel::new())).unwrap()
}

#[test]
fn every_value_is_what_the_gguf_package_decodes() {
    for name in TYPES {
        let tensors = tensors(name);
        assert!(tensors.len() > 30, "{name}: {}", tensors.len());
    }
}

#[test]
fn a_pair_gives_the_logits_of_a_folder_with_the_same_values() {
    for name in TYPES {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = folder.path().join("checkpoint");
        write_folder(name, &checkpoint);
        let pack = folder.path().join("pack");
        let (model, mmproj) = (case(&format!("{name}.gguf")), case(&format!("{name}-mmproj.gguf")));
        let mut what = Conversion::new(&model, &pack, Weights::F32);
        what.mmproj = Some(&mmproj);
        block_on(convert(&what, &Cancel::new(), &mut |_| {}, &mut |_| {})).unwrap();
        let (ours, folders) = (load(&pack), load(&checkpoint));
        assert_eq!(ours.config(), folders.config(), "{name}");
        let (ours, folders) = (trace(&ours), trace(&folders));
        assert_eq!(ours.input_ids, folders.input_ids, "{name}");
        assert_eq!(ours.vision_features, folders.vision_features, "{name}");
        let same = ours.logits.iter().zip(&folders.logits).all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(same && ours.logits.len() == folders.logits.len(), "{name}");
        // Neither a constant nor a network that forgot its input.
        let (first, last) = (&ours.logits[..300], &ours.logits[ours.logits.len() - 300..]);
        assert!(first.iter().zip(last).any(|(a, b)| (a - b).abs() > 0.01), "{name}");
        assert!(ours.logits.iter().all(|x| x.is_finite()), "{name}");
    }
}
