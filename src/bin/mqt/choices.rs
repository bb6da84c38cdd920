//! What was learned about this machine's devices, remembered between runs: which variants of
//! kernels were fastest, how many pipelines each model takes, and how fast it answers.
//!
//! The file is a cache: if it cannot be read it counts as empty, and if it cannot be written
//! nothing fails.

use crate::cache;
use crate::target::write_whole;
use mqt::budget::Speed;
use mqt::gpu::{AdapterInfo, Choices, Learned};
use mqt::internals::untrusted::limits;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// `mqt.kernels/2`. Version 1 had no pipelines of their own; such a file counts as empty and is
/// replaced.
#[derive(Serialize, Deserialize)]
struct Remembered {
    schema: String,
    /// Of the program: another one may have other kernels.
    version: String,
    adapters: Choices,
}

const SCHEMA: &str = "mqt.kernels/2";
/// What takes less than this share of the known time is worth writing down.
const CLEARLY: f64 = 0.9;
/// The prompt by which two speeds of reading are compared.
const PROMPT: usize = 64;

fn file() -> Option<PathBuf> {
    Some(cache::base()?.join("kernels.json"))
}

/// What is remembered, by adapter.
pub(crate) fn read() -> Choices {
    file().map(|path| read_from(&path)).unwrap_or_default()
}

fn read_from(path: &Path) -> Choices {
    // Not a pipe, nor a file that cannot be ours. A link that the user has put there is followed.
    let is_one = std::fs::metadata(path).is_ok_and(|d| d.is_file() && d.len() <= limits::NOTE);
    let text = if is_one { std::fs::read(path).unwrap_or_default() } else { Vec::new() };
    let remembered = serde_json::from_slice(&text).ok();
    remembered
        .filter(|r: &Remembered| r.schema == SCHEMA && r.version == env!("CARGO_PKG_VERSION"))
        .map(|r| r.adapters)
        .unwrap_or_default()
}

/// Remembers what was learned about an adapter, if that is new.
pub(crate) fn remember(adapter: &AdapterInfo, learned: Learned) {
    if let Some(path) = file() {
        remember_in(&path, &adapter.key(), learned);
    }
}

/// Takes the better of two speeds in each part, since a busy machine only makes them worse; whether
/// that is clearly better than what was known.
fn is_news(known: &Speed, new: &mut Speed) -> bool {
    let mut is_news = false;
    let mut is_better = |known: Option<f64>, new: Option<f64>| {
        is_news |= new.is_some_and(|new| known.is_none_or(|known| new < CLEARLY * known));
        new.is_some_and(|new| known.is_none_or(|known| new < known))
    };
    if !is_better(known.encode_ms, new.encode_ms) {
        new.encode_ms = known.encode_ms;
    }
    if !is_better(known.first_token_ms(PROMPT), new.first_token_ms(PROMPT)) {
        (new.prefill_ms, new.prefill_ms_per_token) = (known.prefill_ms, known.prefill_ms_per_token);
    }
    if !is_better(known.decode_ms_per_token, new.decode_ms_per_token) {
        new.decode_ms_per_token = known.decode_ms_per_token;
    }
    is_news
}

fn remember_in(path: &Path, adapter: &str, mut learned: Learned) {
    let mut adapters = read_from(path);
    let known = adapters.get(adapter);
    let known_speeds = known.map(|known| &known.speeds);
    learned.speeds.retain(|model, speed| {
        known_speeds.and_then(|all| all.get(model)).is_none_or(|known| is_news(known, speed))
    });
    if learned.is_empty() || known == Some(&learned) {
        return;
    }
    adapters.entry(adapter.to_owned()).or_default().extend(learned);
    let remembered =
        Remembered { schema: SCHEMA.into(), version: env!("CARGO_PKG_VERSION").into(), adapters };
    if let Ok(text) = serde_json::to_vec_pretty(&remembered) {
        let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        let _ = folder.map(|()| write_whole(path, &text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn learned(kernel: &str, variant: &str) -> Learned {
        let mut learned = Learned::default();
        learned.variants.insert(kernel.to_owned(), variant.to_owned());
        learned.pipelines.insert("fast 0123456789ab".to_owned(), 25);
        learned
    }

    #[test]
    fn variants_and_counts_of_pipelines_are_two_things() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/kernels.json");
        remember_in(&path, "card", learned("a", "1"));
        remember_in(&path, "card", learned("b", "2"));
        remember_in(&path, "nothing learned", Learned::default());
        let value: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(
            value["adapters"],
            json!({"card": {"variants": {"a": "1", "b": "2"}, "pipelines": {"fast 0123456789ab": 25}, "speeds": {}}})
        );
        assert_eq!(read_from(&path)["card"].variants.len(), 2);
    }

    #[test]
    fn the_best_speeds_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kernels.json");
        let remember = |encode: f64, decode: f64| {
            let mut learned = Learned::default();
            let mut speed = Speed::default();
            speed.encode_ms = Some(encode);
            speed.prefill_ms_per_token = Some(1.0);
            speed.decode_ms_per_token = Some(decode);
            learned.speeds.insert("model".into(), speed);
            remember_in(&path, "cpu", learned);
            let speed = read_from(&path)["cpu"].speeds["model"].clone();
            (speed.encode_ms.unwrap(), speed.decode_ms_per_token.unwrap())
        };
        assert_eq!(remember(10.0, 5.0), (10.0, 5.0));
        assert_eq!(remember(30.0, 4.0), (10.0, 4.0));
        assert_eq!(remember(9.9, 4.0), (10.0, 4.0), "a little better is not worth writing");
        assert_eq!(remember(2.0, 50.0), (2.0, 4.0));
    }

    #[test]
    fn a_file_that_is_too_long_to_be_ours_counts_as_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kernels.json");
        remember_in(&path, "card", learned("a", "1"));
        assert_eq!(read_from(&path).len(), 1);
        let mut text = std::fs::read(&path).unwrap();
        text.resize(limits::NOTE as usize + 1, b' ');
        std::fs::write(&path, text).unwrap();
        assert!(read_from(&path).is_empty());
        assert!(read_from(folder.path()).is_empty());
    }

    #[test]
    fn a_file_of_an_earlier_version_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kernels.json");
        let old = json!({"schema": "mqt.kernels/1", "version": env!("CARGO_PKG_VERSION"), "adapters": {"card": {"a": "1", "pipelines fast 0": "25"}}});
        for text in [old.to_string(), "{".into(), String::new(), "[]".into()] {
            std::fs::write(&path, text).unwrap();
            assert!(read_from(&path).is_empty());
            remember_in(&path, "card", learned("a", "1"));
            assert_eq!(read_from(&path)["card"], learned("a", "1"));
        }
    }
}
