//! A GGUF file taken apart, to be put together again with something wrong in it.

use std::path::{Path, PathBuf};

/// A file of `tests/gguf`.
pub(crate) fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gguf").join(name)
}

/// Numbers of the format for the types of values.
pub(crate) const U32: u32 = 4;
pub(crate) const F32: u32 = 6;
pub(crate) const BOOL: u32 = 7;
pub(crate) const TEXT: u32 = 8;
pub(crate) const LIST: u32 = 9;

/// A row of the table of tensors.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) dims: Vec<u64>,
    pub(crate) kind: u32,
    pub(crate) offset: u64,
}

/// A file's parts.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) version: u32,
    /// Key, type, and the value's bytes.
    pub(crate) keys: Vec<(String, u32, Vec<u8>)>,
    pub(crate) rows: Vec<Row>,
    pub(crate) data: Vec<u8>,
}

struct Bytes<'a>(&'a [u8], usize);

impl Bytes<'_> {
    fn take(&mut self, n: usize) -> Vec<u8> {
        self.1 += n;
        self.0[self.1 - n..self.1].to_vec()
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take(4).try_into().unwrap())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take(8).try_into().unwrap())
    }

    fn text(&mut self) -> String {
        let n = self.u64() as usize;
        String::from_utf8(self.take(n)).unwrap()
    }

    fn skip(&mut self, kind: u32) {
        let n = match kind {
            0 | 1 | BOOL => 1,
            2 | 3 => 2,
            U32 | 5 | F32 => 4,
            10..=12 => 8,
            TEXT => self.u64() as usize,
            _ => {
                let (kind, n) = (self.u32(), self.u64());
                (0..n).for_each(|_| self.skip(kind));
                0
            }
        };
        self.take(n);
    }
}

/// A text as the format has it.
pub(crate) fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

impl Draft {
    pub(crate) fn of(name: &str) -> Draft {
        let bytes = std::fs::read(case(name)).unwrap();
        let mut bytes = Bytes(&bytes, 4);
        let (version, tensors, keys) = (bytes.u32(), bytes.u64(), bytes.u64());
        let key = |bytes: &mut Bytes| {
            let (key, kind) = (bytes.text(), bytes.u32());
            let start = bytes.1;
            bytes.skip(kind);
            (key, kind, bytes.0[start..bytes.1].to_vec())
        };
        let keys = (0..keys).map(|_| key(&mut bytes)).collect();
        let row = |bytes: &mut Bytes| {
            let (name, n) = (bytes.text(), bytes.u32());
            let dims = (0..n).map(|_| bytes.u64()).collect();
            Row { name, dims, kind: bytes.u32(), offset: bytes.u64() }
        };
        let rows = (0..tensors).map(|_| row(&mut bytes)).collect();
        let data = bytes.0[bytes.1.next_multiple_of(32)..].to_vec();
        Draft { version, keys, rows, data }
    }

    /// Bytes before the tensors' data, and where the key-values and the table end.
    pub(crate) fn header(&self) -> (Vec<u8>, usize) {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(self.version.to_le_bytes());
        bytes.extend((self.rows.len() as u64).to_le_bytes());
        bytes.extend((self.keys.len() as u64).to_le_bytes());
        for (key, kind, value) in &self.keys {
            bytes.extend(text(key));
            bytes.extend(kind.to_le_bytes());
            bytes.extend(value);
        }
        let table = bytes.len();
        for Row { name, dims, kind, offset } in &self.rows {
            bytes.extend(text(name));
            bytes.extend((dims.len() as u32).to_le_bytes());
            dims.iter().for_each(|dim| bytes.extend(dim.to_le_bytes()));
            bytes.extend(kind.to_le_bytes());
            bytes.extend(offset.to_le_bytes());
        }
        (bytes, table)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let (mut bytes, _) = self.header();
        bytes.resize(bytes.len().next_multiple_of(32), 0);
        bytes.extend(&self.data);
        bytes
    }

    /// Sets a key, or takes another value for it.
    pub(crate) fn set(&mut self, key: &str, kind: u32, value: impl AsRef<[u8]>) {
        self.keys.retain(|(k, ..)| k != key);
        self.keys.push((key.into(), kind, value.as_ref().to_vec()));
    }

    pub(crate) fn row(&mut self, name: &str) -> &mut Row {
        self.rows.iter_mut().find(|row| row.name == name).unwrap()
    }
}
