//! Packs: a manifest, a tokenizer and safetensors shards of at most 64 MiB whose matrices lie as
//! the kernels read them.
//!
//! A matrix `x` in n parts is stored as `x#0.data`, `x#0.scales`, … (U32 words), whole panels each;
//! vectors are F32, the resampler's map F16 or F32. Every shard's SHA-256 is checked before any of
//! it is used: of large packs once, as long as the file does not change (`remembered.rs`).

mod manifest;

pub(super) use manifest::HEADER_BYTES;
pub use manifest::{FORMAT, Manifest, Part, SHARD_BYTES, Shard, Stored};

use super::Supply;
use super::files::{Files, whole};
use super::layout::Entry;
#[cfg(feature = "native")]
use super::remembered::Remembered;
use super::safetensors::{self, read_floats, read_words};
use crate::error::{Error, Result};
use crate::future::Boxed;
use crate::parallel::Guarded;
use crate::plain;
use crate::quant::{PANEL, Packed};
use crate::text::Tokenizer;
use crate::untrusted::{cut, limits};
use manifest::{BEFORE, Head};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ops::Range;

/// An opened pack.
pub struct Pack {
    files: Box<dyn Files>,
    /// The manifest.
    pub manifest: Manifest,
    /// SHA-256 of the manifest, in hex: it names every byte of the pack.
    pub sha256: String,
    /// The shard read last, verified: tensors come in order.
    open: Guarded<Option<OpenShard>>,
    #[cfg(feature = "native")]
    remembered: Remembered,
}

struct OpenShard {
    index: usize,
    memory: Memory,
    tensors: BTreeMap<String, safetensors::Entry>,
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

impl Pack {
    /// Opens a folder with a manifest.
    ///
    /// # Errors
    /// [`Error::ModelCorrupt`] if the manifest is not one this version reads.
    pub async fn open(files: Box<dyn Files>) -> Result<Pack> {
        const FILE: &str = "manifest.json";
        let corrupt = |problem: String| Error::ModelCorrupt { file: FILE.into(), problem };
        let bytes = whole(&*files, FILE).await?.ok_or_else(|| corrupt("it is missing".into()))?;
        // First the format alone, of whatever version; a value for everything in the file would
        // take twenty times its size.
        let head: Head = plain::object(&bytes).map_err(corrupt)?;
        let version = head.format.as_str();
        if ![Some(FORMAT), Some(BEFORE)].contains(&version) {
            let found = cut(&head.format.to_string(), limits::NAME);
            return Err(corrupt(format!(
                "its format is {found}, this version reads {FORMAT:?}; convert the checkpoint again"
            )));
        }
        let manifest: Manifest = plain::object(&bytes).map_err(corrupt)?;
        manifest.check(FILE)?;
        if version == Some(BEFORE) && manifest.has_codes() {
            return Err(corrupt(
                "its 4-bit weights lie as an earlier version of mqt stored them; `mqt convert CHECKPOINT -o PACK --weights q4` makes the pack anew"
                    .into(),
            ));
        }
        #[cfg(feature = "native")]
        let remembered = Remembered::of(&*files, &manifest.shards);
        Ok(Pack {
            files,
            sha256: hex(&Sha256::digest(&bytes)),
            manifest,
            open: Guarded::new(None),
            #[cfg(feature = "native")]
            remembered,
        })
    }

    /// The tokenizer.
    ///
    /// # Errors
    /// [`Error::ModelCorrupt`].
    pub async fn tokenizer(&self) -> Result<Tokenizer> {
        let listed = |name: &str| self.manifest.files.iter().find(|f| f.file == name);
        let Some(json) = listed("tokenizer.json") else {
            return Err(Error::ModelCorrupt {
                file: "manifest.json".into(),
                problem: "it lists no tokenizer.json".into(),
            });
        };
        let json = self.read_checked(json).await?;
        let config = match listed("tokenizer_config.json") {
            Some(config) => Some(self.read_checked(config).await?),
            None => None,
        };
        Tokenizer::from_files(Some(&json), None, config.as_deref())
    }

    /// Reads shard `index` and checks its size and SHA-256, whatever is remembered of it.
    ///
    /// # Errors
    /// [`Error::ModelMissing`] or [`Error::ModelCorrupt`], naming the shard.
    pub async fn read_shard(&self, index: usize) -> Result<Vec<u8>> {
        let shard = self.shard(index)?;
        let bytes = self.read_checked(shard).await?;
        self.remember(shard);
        Ok(bytes)
    }

    fn shard(&self, index: usize) -> Result<&Shard> {
        let problem = || format!("it names shard {index}, which it does not list");
        self.manifest
            .shards
            .get(index)
            .ok_or_else(|| Error::ModelCorrupt { file: "manifest.json".into(), problem: problem() })
    }

    /// A file of the pack, its size and SHA-256 checked.
    async fn read_checked(&self, shard: &Shard) -> Result<Vec<u8>> {
        let bytes = self.read_sized(shard).await?;
        if hex(&Sha256::digest(&bytes)) != shard.sha256 {
            let problem = "its content does not match its SHA-256; fetch it again".into();
            return Err(Error::ModelCorrupt { file: shard.file.clone(), problem });
        }
        Ok(bytes)
    }

    #[cfg(feature = "native")]
    fn remember(&self, shard: &Shard) {
        self.remembered.add(shard);
    }

    #[cfg(feature = "native")]
    fn is_remembered(&self, shard: &Shard) -> bool {
        self.remembered.knows(shard)
    }

    #[cfg(not(feature = "native"))]
    fn remember(&self, _: &Shard) {}

    #[cfg(not(feature = "native"))]
    fn is_remembered(&self, _: &Shard) -> bool {
        self.files.are_verified()
    }

    /// A file of the pack, its size checked.
    async fn read_sized(&self, shard: &Shard) -> Result<Vec<u8>> {
        let corrupt =
            |file: &str, problem: String| Error::ModelCorrupt { file: file.into(), problem };
        let path = || std::path::Path::new(&self.files.describe()).join(&shard.file);
        let size = self.files.size(&shard.file).await?;
        let size = size.ok_or_else(|| Error::ModelMissing {
            path: path(),
            why: "this file of the pack is missing; fetch it again".into(),
        })?;
        if size != shard.bytes {
            return Err(corrupt(
                &shard.file,
                format!("it has {size} bytes instead of {}; fetch it again", shard.bytes),
            ));
        }
        self.files.read(&shard.file, 0..size).await
    }

    /// Makes shard `index` the open one.
    async fn ensure(&self, index: usize) -> Result<()> {
        if self.open.lock().as_ref().is_some_and(|o| o.index == index) {
            return Ok(());
        }
        self.open.replace(None);
        let shard = self.shard(index)?;
        let bytes = if self.is_remembered(shard) {
            self.read_sized(shard).await?
        } else {
            self.read_shard(index).await?
        };
        let memory = Memory { file: "shard".into(), bytes };
        let tensors = safetensors::read_header(&memory, "shard").await?.into_iter().collect();
        self.open.replace(Some(OpenShard { index, memory, tensors }));
        Ok(())
    }

    fn stored(&self, entry: &Entry) -> Result<&Stored> {
        let missing =
            || Error::TensorMissing { name: entry.name.clone(), hint: " in its manifest".into() };
        let stored = self.manifest.tensors.get(&entry.name).ok_or_else(missing)?;
        if (stored.rows, stored.cols) != (entry.rows, entry.cols) {
            return Err(Error::TensorShape {
                name: entry.name.clone(),
                expected: vec![entry.rows, entry.cols],
                got: vec![stored.rows, stored.cols],
            });
        }
        Ok(stored)
    }

    /// One plane of the open shard.
    async fn words(&self, name: &str, expected: usize) -> Result<Vec<u32>> {
        let (memory, found) = self.find(name)?;
        let words = read_words(&memory, name, &found).await?;
        if words.len() != expected {
            return Err(Error::TensorShape {
                name: name.into(),
                expected: vec![expected],
                got: vec![words.len()],
            });
        }
        Ok(words)
    }

    /// A tensor of the open shard: its bytes alone, as a file, and where they lie in it.
    fn find(&self, name: &str) -> Result<(Memory, safetensors::Entry)> {
        let open = self.open.lock();
        let open = open.as_ref().expect("a shard is open");
        let found = open.tensors.get(name).ok_or_else(|| Error::TensorMissing {
            name: name.into(),
            hint: " in its shard".into(),
        })?;
        let bytes =
            open.memory.bytes[found.range.start as usize..found.range.end as usize].to_vec();
        let range = 0..bytes.len() as u64;
        Ok((
            Memory { file: found.file.clone(), bytes },
            safetensors::Entry { range, ..found.clone() },
        ))
    }
}

impl Supply for Pack {
    fn matrix<'a>(&'a self, entry: &'a Entry) -> Boxed<'a, Result<Packed>> {
        Box::pin(async move {
            let stored = self.stored(entry)?;
            let empty = Packed {
                format: stored.format,
                rows: entry.rows,
                cols: entry.cols,
                data: Vec::new(),
                scales: Vec::new(),
            };
            let (data_words, scale_words) = (empty.panel_data_words(), empty.panel_scale_words());
            let mut packed = empty;
            for (i, part) in stored.parts.iter().enumerate() {
                self.ensure(part.shard).await?;
                let panels = part.rows.div_ceil(PANEL);
                if panels > packed.panels() {
                    return Err(Error::TensorShape {
                        name: entry.name.clone(),
                        expected: vec![entry.rows],
                        got: vec![part.rows],
                    });
                }
                packed.data.extend(
                    self.words(&format!("{}#{i}.data", entry.name), panels * data_words).await?,
                );
                if stored.format.is_scaled() {
                    packed.scales.extend(
                        self.words(&format!("{}#{i}.scales", entry.name), panels * scale_words)
                            .await?,
                    );
                }
            }
            if packed.data.len() != packed.panels() * data_words {
                let rows = stored.parts.iter().map(|p| p.rows).sum();
                return Err(Error::TensorShape {
                    name: entry.name.clone(),
                    expected: vec![entry.rows],
                    got: vec![rows],
                });
            }
            Ok(packed)
        })
    }

    fn vector<'a>(&'a self, entry: &'a Entry) -> Boxed<'a, Result<Vec<f32>>> {
        Box::pin(async move {
            let stored = self.stored(entry)?;
            let shard = stored.parts.first().map_or(usize::MAX, |p| p.shard);
            self.ensure(shard).await?;
            let (memory, found) = self.find(&entry.name)?;
            let values = read_floats(&memory, &entry.name, &found).await?;
            if values.len() != entry.rows * entry.cols {
                return Err(Error::TensorShape {
                    name: entry.name.clone(),
                    expected: vec![entry.rows, entry.cols],
                    got: vec![values.len()],
                });
            }
            Ok(values)
        })
    }
}

/// One file in memory.
struct Memory {
    file: String,
    bytes: Vec<u8>,
}

impl Files for Memory {
    fn describe(&self) -> String {
        self.file.clone()
    }

    fn size<'a>(&'a self, _: &'a str) -> Boxed<'a, Result<Option<u64>>> {
        Box::pin(async move { Ok(Some(self.bytes.len() as u64)) })
    }

    fn read<'a>(&'a self, _: &'a str, range: Range<u64>) -> Boxed<'a, Result<Vec<u8>>> {
        Box::pin(async move { Ok(self.bytes[range.start as usize..range.end as usize].to_vec()) })
    }

    fn list(&self) -> Vec<String> {
        Vec::new()
    }

    fn folder(&self, _: &str) -> Option<Box<dyn Files>> {
        None
    }
}
