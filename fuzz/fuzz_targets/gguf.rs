//! A GGUF file: what `mqt inspect` says of it, then every tensor as a half of a pair whose other
//! half is sound, then the pair as a checkpoint and its tokenizer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mqt::model::Weights;
use mqt::inspect::Listing;
use mqt::internals::weights::gguf::{Container, Pair, Source, open};
use mqt::internals::weights::tensors::Folder;
use mqt_fuzz::Memory;
use pollster::block_on;

const MODEL: &[u8] = include_bytes!("../../tests/gguf/q4_0.gguf");
const MMPROJ: &[u8] = include_bytes!("../../tests/gguf/q4_0-mmproj.gguf");

fn source(label: &'static str, bytes: &[u8]) -> Source {
    let files = Box::new(Memory(vec![(label, bytes.to_vec())]));
    Source { files, name: label.into(), label: label.into() }
}

fuzz_target!(|bytes: &[u8]| {
    let Source { files, name, label } = source("input", bytes);
    let Ok(file) = block_on(Container::read(&*files, &name, &label)) else { return };
    let _ = Listing::of(&file).to_string();
    let is_vision = file.text("general.architecture").is_ok_and(|name| name == Some("clip"));
    let pair = || match is_vision {
        true => (source("model", MODEL), source("mmproj", bytes)),
        false => (source("model", bytes), source("mmproj", MMPROJ)),
    };
    let (model, mmproj) = pair();
    if let Ok(pair) = block_on(Pair::open(model, mmproj)) {
        let folder = block_on(Folder::open(Box::new(pair))).expect("its tensors are known");
        for name in folder.tensors.keys() {
            let _ = block_on(folder.floats(name));
        }
    }
    let (model, mmproj) = pair();
    if let Ok(checkpoint) = block_on(open(model, mmproj, Weights::Q4.into())) {
        let ids = checkpoint.tokenizer.encode("How many  circles\nare there? ü 日本</s>");
        let _ = checkpoint.tokenizer.decode(&ids);
    }
});
