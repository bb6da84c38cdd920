//! A SentencePiece model, then a text there and back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mqt::text::Tokenizer;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(tokenizer) = Tokenizer::from_files(None, Some(bytes), None) {
        let ids = tokenizer.encode("How many  circles\nare there? ü</s>");
        let _ = tokenizer.decode(&ids);
        let _ = tokenizer.to_json();
    }
});
