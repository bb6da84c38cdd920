//! A picture file, read both ways.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mqt::image::{ImageSpec, Pixels, Reading};

fuzz_target!(|bytes: &[u8]| {
    for reading in [Reading::People, Reading::Reference] {
        let _ = Pixels::decode(bytes, &ImageSpec::clip(28), reading);
    }
});
