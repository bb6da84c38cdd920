//! Which variants of kernels were fastest on this machine's devices, remembered between runs.
//!
//! The file is a cache: one that cannot be read counts as empty, one that cannot be written is no reason to fail.

use crate::cache;
use crate::output::write_whole;
use mqt::gpu::{AdapterInfo, Choices};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// `mqt.kernels/1`.
#[derive(Serialize, Deserialize)]
struct Remembered {
    schema: String,
    /// Of the program: another one may have other kernels.
    version: String,
    adapters: Choices,
}

const SCHEMA: &str = "mqt.kernels/1";

fn file() -> Option<PathBuf> {
    Some(cache::base()?.join("kernels.json"))
}

/// What is remembered, by adapter.
pub(crate) fn read() -> Choices {
    let text = file().and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
    let remembered = serde_json::from_slice(&text).ok();
    remembered.filter(|r: &Remembered| r.schema == SCHEMA && r.version == env!("CARGO_PKG_VERSION")).map(|r| r.adapters).unwrap_or_default()
}

/// Remembers what an adapter's devices chose, if that is new.
pub(crate) fn remember(adapter: &AdapterInfo, chosen: std::collections::BTreeMap<String, String>) {
    let mut adapters = read();
    if chosen.is_empty() || adapters.get(&adapter.key()) == Some(&chosen) {
        return;
    }
    adapters.entry(adapter.key()).or_default().extend(chosen);
    let remembered = Remembered { schema: SCHEMA.into(), version: env!("CARGO_PKG_VERSION").into(), adapters };
    if let (Some(path), Ok(text)) = (file(), serde_json::to_vec_pretty(&remembered)) {
        let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        let _ = folder.map(|()| write_whole(&path, &text));
    }
}
