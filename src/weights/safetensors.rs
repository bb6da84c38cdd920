//! A safetensors file's header: names, types, shapes, byte ranges. Trusts nothing in the file; the
//! crate `safetensors` parses and checks it (ranges in order, without overlap, of the right size),
//! and we limit its input.

use super::files::Files;
use crate::error::{Error, Result};
use crate::plain::json_error;
use crate::untrusted::limits;
use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::Metadata;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use std::collections::BTreeSet;
use std::ops::Range;

/// One tensor in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The file it lies in.
    pub file: String,
    /// Element type.
    pub dtype: Dtype,
    /// Shape, outermost first.
    pub shape: Vec<usize>,
    /// Bytes within the file.
    pub range: Range<u64>,
}

/// Every tensor of `file`, by name.
///
/// # Errors
/// [`Error::ModelCorrupt`] with what is wrong; [`Error::ModelMissing`] if there is no such file.
pub async fn read_header(files: &dyn Files, file: &str) -> Result<Vec<(String, Entry)>> {
    let corrupt = |problem: String| Error::ModelCorrupt { file: file.to_owned(), problem };
    let Some(size) = files.size(file).await? else {
        let path = std::path::Path::new(&files.describe()).join(file);
        return Err(Error::ModelMissing {
            path,
            why: "there is no such file; the download may be incomplete".into(),
        });
    };
    if size < 8 {
        return Err(corrupt(format!(
            "{size} bytes are too few for a safetensors file; the download may be incomplete"
        )));
    }
    let first = files.read(file, 0..8).await?;
    let header = u64::from_le_bytes(std::array::from_fn(|i| first[i]));
    if header > size - 8 {
        return Err(corrupt(format!(
            "it claims a header of {header} bytes in a file of {size}: truncated, or not a safetensors file"
        )));
    }
    if header > limits::HEADER {
        return Err(corrupt(format!(
            "its header has {header} bytes, more than the {} of any model",
            limits::HEADER
        )));
    }
    let bytes = files.read(file, 8..8 + header).await?;
    if let Ok(Twice(Some(name))) = serde_json::from_slice(&bytes) {
        return Err(corrupt(format!("its header describes tensor {name} twice")));
    }
    let metadata: Metadata = serde_json::from_slice(&bytes)
        .map_err(|e| corrupt(format!("its header is invalid: {}", json_error(&e))))?;
    let data = metadata.data_len() as u64;
    if data != size - 8 - header {
        return Err(corrupt(format!(
            "its header describes {data} bytes of tensors, the file has {}: truncated or damaged",
            size - 8 - header
        )));
    }
    let mut entries: Vec<_> = metadata
        .tensors()
        .into_iter()
        .map(|(name, info)| {
            let (start, end) =
                (8 + header + info.data_offsets.0 as u64, 8 + header + info.data_offsets.1 as u64);
            (
                name,
                Entry {
                    file: file.to_owned(),
                    dtype: info.dtype,
                    shape: info.shape.clone(),
                    range: start..end,
                },
            )
        })
        .collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(entries)
}

/// The first name that a JSON object has twice: parsers keep the last one and say nothing.
struct Twice(Option<String>);

impl<'de> Deserialize<'de> for Twice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Twice, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Twice;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a header")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Twice, A::Error> {
                let (mut seen, mut twice) = (BTreeSet::new(), None);
                while let Some((name, IgnoredAny)) = map.next_entry::<String, _>()? {
                    if twice.is_none() && seen.contains(&name) {
                        twice = Some(name.clone());
                    }
                    seen.insert(name);
                }
                Ok(Twice(twice))
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

/// A tensor's values as f32, row-major.
///
/// # Errors
/// [`Error::TensorType`] for anything but F32, F16 and BF16.
pub async fn read_floats(files: &dyn Files, name: &str, entry: &Entry) -> Result<Vec<f32>> {
    let convert: fn(&[u8]) -> f32 = match entry.dtype {
        Dtype::F32 => |b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
        Dtype::F16 => |b| f16::from_le_bytes([b[0], b[1]]).to_f32(),
        Dtype::BF16 => |b| bf16::from_le_bytes([b[0], b[1]]).to_f32(),
        other => return Err(Error::TensorType { name: name.into(), dtype: format!("{other:?}") }),
    };
    let bytes = files.read(&entry.file, entry.range.clone()).await?;
    Ok(bytes.chunks_exact(if entry.dtype == Dtype::F32 { 4 } else { 2 }).map(convert).collect())
}

/// A tensor of 32-bit words.
///
/// # Errors
/// [`Error::TensorType`] for anything but U32.
pub async fn read_words(files: &dyn Files, name: &str, entry: &Entry) -> Result<Vec<u32>> {
    if entry.dtype != Dtype::U32 {
        return Err(Error::TensorType { name: name.into(), dtype: format!("{:?}", entry.dtype) });
    }
    let bytes = files.read(&entry.file, entry.range.clone()).await?;
    Ok(bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
}
