//! A PyTorch `.bin`: its pickle and archive, then every float tensor it claims to have.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mqt::internals::weights::files::Disk;
use mqt::internals::weights::tensors::Folder;
use pollster::block_on;

fuzz_target!(|bytes: &[u8]| {
    let dir = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(dir.path().join("pytorch_model.bin"), bytes).expect("a temporary file");
    let files = Disk::open(dir.path()).expect("it was just made");
    if let Ok(folder) = block_on(Folder::open(Box::new(files))) {
        for name in folder.tensors.keys() {
            let _ = block_on(folder.floats(name));
        }
    }
});
