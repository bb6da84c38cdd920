//! A GGUF file's header: its key-values and its table of tensors. Nothing in it is trusted: every
//! count and every length is compared with the bytes that are there before it is followed.
//! Upstream: ggml's `docs/gguf.md`, versions 2 and 3.

use super::blocks::Kind;
use super::cursor::{Cursor, Stop};
use super::value::Value;
use crate::error::{Error, Result};
use crate::untrusted::{limits, short};
use crate::weights::files::Files;
use std::collections::BTreeMap;
use std::ops::Range;

/// Bytes that are read first: enough for the header of most vision towers.
const FIRST: u64 = 1 << 20;
/// Tensors are aligned to this many bytes unless the file says otherwise.
const ALIGNMENT: u64 = 32;
/// The most dimensions of a tensor.
const DIMENSIONS: u32 = 4;

/// One tensor of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Its type.
    pub kind: Kind,
    /// Shape, outermost first (the file has it innermost first).
    pub shape: Vec<usize>,
    /// Its bytes in the file.
    pub range: Range<u64>,
}

/// A file's header.
#[derive(Clone, Debug)]
pub struct Container {
    /// What the file is called in messages.
    pub file: String,
    /// Bytes of the file.
    pub size: u64,
    /// The format's version.
    pub version: u32,
    /// What it says of the model.
    pub keys: BTreeMap<String, Value>,
    /// Every tensor by name.
    pub tensors: BTreeMap<String, Info>,
}

impl Container {
    /// Reads the header of `name` in `files`; `label` is what messages call it.
    ///
    /// # Errors
    /// [`Error::ModelMissing`] if there is no such file, [`Error::ModelCorrupt`] with what is wrong
    /// in it.
    pub async fn read(files: &dyn Files, name: &str, label: &str) -> Result<Container> {
        let Some(size) = files.size(name).await? else {
            let why = "there is no such file".into();
            return Err(Error::ModelMissing { path: label.into(), why });
        };
        let corrupt = |problem: String| Error::ModelCorrupt { file: label.to_owned(), problem };
        let most = size.min(limits::GGUF);
        let mut there = FIRST.min(most);
        loop {
            let bytes = files.read(name, 0..there).await?;
            match parse(&bytes, size) {
                Ok((version, keys, tensors)) => {
                    return Ok(Container { file: label.into(), size, version, keys, tensors });
                }
                Err(Stop::Wrong(problem)) => return Err(corrupt(problem)),
                Err(Stop::Short(part)) if there == size => {
                    return Err(corrupt(format!(
                        "it ends in {part}, after {size} bytes: it is truncated"
                    )));
                }
                Err(Stop::Short(_)) if there == most => {
                    return Err(corrupt(format!(
                        "its header has more than the {most} bytes of any model"
                    )));
                }
                Err(Stop::Short(_)) => there = (there * 8).min(most),
            }
        }
    }

    /// An error about this file.
    pub(super) fn bad(&self, problem: String) -> Error {
        Error::ModelCorrupt { file: self.file.clone(), problem }
    }
}

type Header = (u32, BTreeMap<String, Value>, BTreeMap<String, Info>);

fn wrong<T>(problem: String) -> Result<T, Stop> {
    Err(Stop::Wrong(problem))
}

/// Reads the header of a file of `size` bytes from its first bytes.
fn parse(bytes: &[u8], size: u64) -> Result<Header, Stop> {
    let mut cursor = Cursor { bytes, at: 0, size, part: "its first bytes" };
    let version = start(&mut cursor)?;
    let (tensors, keys) = (cursor.u64()?, cursor.u64()?);
    // The least that one can take: a name's length, a type, a value; a name's length, the number of
    // dimensions, one dimension, type and offset.
    cursor.check_count("key-values", keys, 8 + 4 + 1)?;
    cursor.check_count("tensors", tensors, 8 + 4 + 8 + 4 + 8)?;
    cursor.part = "its key-values";
    let keys = read_keys(&mut cursor, keys)?;
    let alignment = match keys.get("general.alignment") {
        None => ALIGNMENT,
        Some(Value::Unsigned(n)) if n.is_power_of_two() => *n,
        Some(other) => {
            return wrong(format!("general.alignment is {other}, not a power of two"));
        }
    };
    cursor.part = "its table of tensors";
    let infos = (0..tensors).map(|_| read_info(&mut cursor)).collect::<Result<Vec<_>, _>>()?;
    let Some(data) = (cursor.at as u64).checked_next_multiple_of(alignment) else {
        return wrong(format!("general.alignment is {alignment}: nothing lies there"));
    };
    let tensors = place(infos, data, alignment, size)?;
    Ok((version, keys, tensors))
}

/// The first bytes: what the file is, and its version.
fn start(cursor: &mut Cursor) -> Result<u32, Stop> {
    if cursor.take(4)? != b"GGUF" {
        return wrong("it does not begin as GGUF files do".into());
    }
    match cursor.u32()? {
        version @ (2 | 3) => Ok(version),
        1 => wrong(
            "it is of version 1 of GGUF, which llama.cpp no longer reads either; versions 2 and 3 are read"
                .into(),
        ),
        version if version & 0xFFFF == 0 && version != 0 => {
            wrong("its numbers are big-endian; only little-endian files are read".into())
        }
        version => wrong(format!("it is of version {version} of GGUF; versions 2 and 3 are read")),
    }
}

fn read_keys(cursor: &mut Cursor, count: u64) -> Result<BTreeMap<String, Value>, Stop> {
    let mut keys = BTreeMap::new();
    for _ in 0..count {
        let key = cursor.name("key")?;
        let kind = cursor.u32()?;
        let value = Value::read(cursor, &key, kind)?;
        if keys.insert(key.clone(), value).is_some() {
            return wrong(format!("it has the key {:?} twice", short(&key)));
        }
    }
    Ok(keys)
}

/// A row of the table, as it stands there.
struct Row {
    name: String,
    dims: Vec<u64>,
    kind: u32,
    offset: u64,
}

fn read_info(cursor: &mut Cursor) -> Result<Row, Stop> {
    let name = cursor.name("tensor")?;
    let n = cursor.u32()?;
    if !(1..=DIMENSIONS).contains(&n) {
        return wrong(format!(
            "tensor {:?} has {n} dimensions, not 1 to {DIMENSIONS}",
            short(&name)
        ));
    }
    let dims = (0..n).map(|_| cursor.u64()).collect::<Result<_, _>>()?;
    Ok(Row { name, dims, kind: cursor.u32()?, offset: cursor.u64()? })
}

/// Where each tensor lies; they must lie in the file, aligned, and not on each other.
fn place(
    rows: Vec<Row>,
    data: u64,
    alignment: u64,
    size: u64,
) -> Result<BTreeMap<String, Info>, Stop> {
    let mut tensors = BTreeMap::new();
    for row in rows {
        let name = row.name.clone();
        let info = located(row, data, alignment, size)
            .map_err(|problem| Stop::Wrong(format!("tensor {:?} {problem}", short(&name))))?;
        if tensors.insert(name.clone(), info).is_some() {
            return wrong(format!("it has the tensor {:?} twice", short(&name)));
        }
    }
    let mut order: Vec<(&String, &Info)> = tensors.iter().collect();
    order.sort_by_key(|(_, info)| info.range.start);
    for pair in order.windows(2) {
        let ((first, a), (second, b)) = (pair[0], pair[1]);
        if a.range.end > b.range.start {
            return wrong(format!(
                "its tensors {:?} and {:?} overlap",
                short(first),
                short(second)
            ));
        }
    }
    Ok(tensors)
}

/// The error is what the tensor's name begins the sentence of.
fn located(row: Row, data: u64, alignment: u64, size: u64) -> Result<Info, String> {
    let Row { dims, kind, offset, .. } = row;
    let Some(kind) = Kind::of(kind) else {
        return Err(format!("has type {kind}, which GGUF does not know"));
    };
    let (block, bytes) = (kind.values as u64, kind.bytes as u64);
    let values = dims.iter().try_fold(1u64, |n, dim| n.checked_mul(*dim)).filter(|n| *n > 0);
    let Some(bytes) = values.and_then(|n| (n / block).checked_mul(bytes)) else {
        return Err(format!("has the dimensions {dims:?}, which no tensor has"));
    };
    if dims[0] % block != 0 {
        return Err(format!(
            "has rows of {} values, which are no whole blocks of {block} ({})",
            dims[0], kind.name
        ));
    }
    if offset % alignment != 0 {
        return Err(format!("begins at {offset}, which is not a multiple of {alignment}"));
    }
    let start = data.checked_add(offset);
    match start.and_then(|start| Some(start..start.checked_add(bytes)?)) {
        Some(range) if range.end <= size => {
            let shape =
                dims.iter().rev().map(|dim| usize::try_from(*dim)).collect::<Result<_, _>>();
            let shape =
                shape.map_err(|_| format!("has the dimensions {dims:?}: too large here"))?;
            Ok(Info { kind, shape, range })
        }
        _ => Err(format!(
            "has {bytes} bytes from {offset} on, the file {size} in all: it is truncated or damaged"
        )),
    }
}
