//! A pack's manifest, then every tensor of the layout that it leads to.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mqt::internals::weights::Supply;
use mqt::internals::weights::layout::layout;
use mqt::internals::weights::pack::Pack;
use mqt_fuzz::Memory;
use pollster::block_on;

fuzz_target!(|bytes: &[u8]| {
    let files = Memory(vec![
        ("manifest.json", bytes.to_vec()),
        ("weights-00001.safetensors", vec![0; 64]),
        ("tokenizer.json", b"{}".to_vec()),
    ]);
    let Ok(pack) = block_on(Pack::open(Box::new(files))) else { return };
    let _ = block_on(pack.tokenizer());
    for entry in layout(&pack.manifest.architecture).iter().take(64) {
        let _ = block_on(pack.matrix(entry));
        let _ = block_on(pack.vector(entry));
    }
});
