//! A `tokenizer.json`: its steps and lists, then a text there and back. A text may grow, but not
//! without limit.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mqt::text::Tokenizer;

const TEXT: &str = "How many  circles\nare there? It's 12 ü ﷺ 日本</s>";

fuzz_target!(|bytes: &[u8]| {
    if let Ok(tokenizer) = Tokenizer::from_files(Some(bytes), None, None) {
        let ids = tokenizer.encode(TEXT);
        assert!(ids.len() < 400 * TEXT.len(), "{} ids", ids.len());
        let _ = tokenizer.decode(&ids);
        let _ = Tokenizer::from_files(Some(&tokenizer.to_json()), None, None);
    }
});
