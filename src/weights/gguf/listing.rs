//! What a GGUF file holds, without its partner: for `mqt inspect`.

use super::halves::half;
use super::{Container, Value};
use crate::error::Error;
use crate::untrusted::{cut, one_line};
use std::collections::BTreeMap;
use std::fmt;

/// A file's keys and tensors in short.
#[derive(Clone, Debug, serde::Serialize)]
#[non_exhaustive]
pub struct Listing {
    /// Schema of the JSON form.
    pub schema: &'static str,
    /// The file as given.
    pub file: String,
    /// The format's version.
    pub version: u32,
    /// Bytes of the file.
    pub bytes: u64,
    /// Every key and its value; long lists as how long they are.
    pub keys: BTreeMap<String, Value>,
    /// Which half of a pair it is; `None` if it is none that this version reads.
    pub half: Option<&'static str>,
    /// Why not.
    pub problem: Option<String>,
    /// Tensors by type.
    pub types: Vec<Stored>,
    /// Tensors together.
    pub tensors: usize,
}

/// The tensors of one type.
#[derive(Clone, Debug, serde::Serialize)]
#[non_exhaustive]
pub struct Stored {
    /// Its name.
    pub name: &'static str,
    /// Whether this version reads it.
    pub read: bool,
    /// Tensors.
    pub tensors: usize,
    /// Their values.
    pub parameters: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Listing {
    /// Sums a file up.
    #[doc(hidden)]
    pub fn of(file: &Container) -> Listing {
        let mut types: Vec<Stored> = Vec::new();
        for info in file.tensors.values() {
            let kind = info.kind;
            let at = types.iter().position(|stored| stored.name == kind.name);
            let at = at.unwrap_or_else(|| {
                let (name, read) = (kind.name, kind.decoded.is_some());
                types.push(Stored { name, read, tensors: 0, parameters: 0, bytes: 0 });
                types.len() - 1
            });
            let bytes = info.range.end - info.range.start;
            types[at].tensors += 1;
            types[at].parameters += bytes / kind.bytes as u64 * kind.values as u64;
            types[at].bytes += bytes;
        }
        types.sort_by_key(|stored| std::cmp::Reverse(stored.bytes));
        let (half, problem) = match half(file) {
            Ok(half) => (Some(half), None),
            Err(Error::ModelCorrupt { problem, .. }) => (None, Some(problem)),
            Err(error) => (None, Some(error.to_string())),
        };
        Listing {
            schema: "mqt.gguf/1",
            file: file.file.clone(),
            version: file.version,
            bytes: file.size,
            keys: file.keys.clone(),
            half,
            problem,
            types,
            tensors: file.tensors.len(),
        }
    }
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mb = |bytes: u64| bytes as f64 / 1e6;
        let (file, bytes) = (one_line(&self.file), mb(self.bytes));
        writeln!(f, "{file}: GGUF version {}, {bytes:.1} MB", self.version)?;
        for (key, value) in &self.keys {
            writeln!(f, "  {} = {}", one_line(&cut(key, 80)), one_line(&value.to_string()))?;
        }
        writeln!(f, "{} tensors", self.tensors)?;
        for stored in &self.types {
            let Stored { name, read, tensors, parameters, bytes } = stored;
            let note = if *read { "" } else { "  (not read by this version)" };
            let mb = mb(*bytes);
            writeln!(
                f,
                "  {name:<7} {tensors:>4} tensors {parameters:>12} parameters {mb:>9.1} MB{note}"
            )?;
        }
        match (self.half, &self.problem) {
            (_, Some(problem)) => write!(f, "not read by this version: {}", one_line(problem)),
            (half, None) => write!(f, "{}", half.unwrap_or_default()),
        }
    }
}
