//! A safetensors file: its header, then every float tensor it claims to have.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mqt::internals::weights::tensors::Folder;
use mqt_fuzz::Memory;
use pollster::block_on;

fuzz_target!(|bytes: &[u8]| {
    let files = Memory(vec![("model.safetensors", bytes.to_vec())]);
    if let Ok(folder) = block_on(Folder::open(Box::new(files))) {
        for name in folder.tensors.keys() {
            let _ = block_on(folder.floats(name));
        }
    }
});
