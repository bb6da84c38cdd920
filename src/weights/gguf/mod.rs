//! llama.cpp's pairs of files, a language model and a vision tower with its projector → the files
//! and tensors that a checkpoint folder would have. `docs/gguf.md` says what is read.

pub mod blocks;
mod config;
pub mod container;
mod cursor;
pub mod listing;
mod names;
mod tokenizer;
mod value;

pub use container::{Container, Info};
pub use value::Value;

use super::Weights;
use super::checkpoint::Checkpoint;
use super::files::{Files, Local};
use super::tensors::Tensor;
use crate::error::{Error, Result};
use crate::untrusted::{limits, one_line, short};
use blocks::Kind;
use std::collections::BTreeMap;
use std::ops::Range;

/// A file, and the files among which it lies.
pub struct Source {
    /// Where it lies.
    pub files: Box<dyn Files>,
    /// Its name there.
    pub name: String,
    /// What messages call it; not that of another file.
    pub label: String,
}

/// The two files, seen as a checkpoint folder.
pub struct Pair {
    sources: [Source; 2],
    /// Small files that a folder would have.
    small: BTreeMap<&'static str, Vec<u8>>,
    tensors: BTreeMap<String, Tensor>,
}

/// Opens a pair as a checkpoint.
///
/// # Errors
/// What [`Pair::open`] and [`Checkpoint::open`] say, tensors called as the files call them.
pub async fn open(model: Source, mmproj: Source, weights: Weights) -> Result<Checkpoint> {
    let labels = (model.label.clone(), mmproj.label.clone());
    let pair = Pair::open(model, mmproj).await?;
    let checkpoint = Checkpoint::open(Box::new(pair), None, weights).await;
    checkpoint.map_err(|error| names::in_files_words(error, &labels.0, &labels.1))
}

impl Pair {
    /// Reads the headers of both files.
    ///
    /// # Errors
    /// [`Error::ModelMissing`], [`Error::ModelCorrupt`] naming the file and the key,
    /// [`Error::TensorUnknown`] or [`Error::TensorMissing`].
    pub async fn open(model: Source, mmproj: Source) -> Result<Pair> {
        let language = read(&model).await?;
        check_model(&language)?;
        let vision = read(&mmproj).await?;
        check_mmproj(&vision)?;
        let (mut config, pictures) = config::configuration(&language, &vision)?;
        let (tokenizer, ends) = tokenizer::tokenizer(&language)?;
        config["eos_token_id"] = ends.into();
        let heads = config["head_dim"].as_u64().unwrap_or_default();
        let mut tensors = language_tensors(&language, heads)?;
        tensors.extend(vision_tensors(&vision)?);
        let json = |value: &serde_json::Value| value.to_string().into_bytes();
        let small = BTreeMap::from([
            ("config.json", json(&config)),
            ("preprocessor_config.json", json(&pictures)),
            ("tokenizer.model", tokenizer),
            ("README.md", card(&language)),
        ]);
        Ok(Pair { sources: [model, mmproj], small, tensors })
    }

    fn source(&self, label: &str) -> Option<&Source> {
        self.sources.iter().find(|source| source.label == label)
    }
}

async fn read(source: &Source) -> Result<Container> {
    Container::read(&*source.files, &source.name, &source.label).await
}

fn architecture(file: &Container) -> Result<&str> {
    let found = file.text("general.architecture")?;
    found.ok_or_else(|| file.bad("it has no key general.architecture".into()))
}

/// Refuses a first file that is no language model of ours.
fn check_model(file: &Container) -> Result<()> {
    config::check_general(file)?;
    match architecture(file)? {
        config::LLAMA => Ok(()),
        config::CLIP => Err(file.bad(
            "it is the vision half of a pair (architecture clip); give it with --mmproj, and the language model's file before".into(),
        )),
        other => Err(file.bad(format!(
            "architecture {} is not supported yet; llama is",
            one_line(short(other))
        ))),
    }
}

/// Refuses a second file that is no vision tower.
fn check_mmproj(file: &Container) -> Result<()> {
    config::check_general(file)?;
    match architecture(file)? {
        config::CLIP => Ok(()),
        other => Err(file.bad(format!(
            "--mmproj takes the vision half of a pair, which has architecture clip; this has {}",
            one_line(short(other))
        ))),
    }
}

/// A tensor under its published name; its values can be decoded.
fn tensor(file: &Container, name: &str, info: &Info, neighbours: usize) -> Result<Tensor> {
    let Info { kind, shape, range } = info;
    let about = |what: String| file.bad(format!("tensor {:?} {what}", short(name)));
    if kind.decoded.is_none() {
        return Err(about(format!(
            "is stored as {}, which this version does not read; it reads {}",
            kind.name,
            Kind::read()
        )));
    }
    // Rows of one value: no block holds whole ones.
    if shape.len() == 1 && kind.values > 1 {
        return Err(about(format!("is a vector in {}; vectors are floats", kind.name)));
    }
    if neighbours > 0 && !(neighbours.is_multiple_of(2) && shape[0].is_multiple_of(neighbours)) {
        return Err(about(format!("has {} rows, not whole heads of {neighbours}", shape[0])));
    }
    Ok(Tensor::in_gguf(&file.file, kind.name, shape.clone(), range.clone(), neighbours))
}

fn unknown(name: &str) -> Error {
    Error::TensorUnknown { name: short(name).to_owned() }
}

/// The decoder's tensors. llama.cpp rotates neighbours, so its files have the rows of q and k in
/// that order.
fn language_tensors(file: &Container, head_dim: u64) -> Result<BTreeMap<String, Tensor>> {
    let head_dim = usize::try_from(head_dim).unwrap_or_default();
    let named = file.tensors.iter().map(|(name, info)| {
        if name == "rope_freqs.weight" {
            return Err(file.bad(
                "rope_freqs.weight stretches the rotation (Llama 3.1), which is not supported yet"
                    .into(),
            ));
        }
        let published = names::language(name).ok_or_else(|| unknown(name))?;
        let rotated =
            ["self_attn.q_proj", "self_attn.k_proj"].iter().any(|p| published.contains(p));
        let tensor = tensor(file, name, info, if rotated { head_dim } else { 0 })?;
        Ok((published, tensor))
    });
    named.collect()
}

/// The tensors of the tower and of the projector.
fn vision_tensors(file: &Container) -> Result<BTreeMap<String, Tensor>> {
    if file.tensors.contains_key("model.image_newline") {
        return Err(file.bad(
            "it has model.image_newline: LLaVA-1.6 cuts pictures into several squares, which is not supported yet"
                .into(),
        ));
    }
    let hint = "; it is no projector of LLaVA's";
    for needed in ["v.patch_embd.weight", "mm.0.weight"] {
        let bare = needed.starts_with("mm.") && file.tensors.contains_key("mm.weight");
        if !file.tensors.contains_key(needed) && !bare {
            return Err(Error::TensorMissing { name: needed.into(), hint: hint.into() });
        }
    }
    // The first matrix of a layer takes the tower's width, whatever it is called.
    let width = file.whole("clip.vision.embedding_length")?;
    let swapped = |layer: usize| {
        let down = file.tensors.get(&format!("v.blk.{layer}.ffn_down.weight"));
        down.and_then(|info| info.shape.get(1)).map(|n| *n as u64) == width
    };
    let named = file.tensors.iter().map(|(name, info)| {
        let published = names::vision(name, swapped).ok_or_else(|| unknown(name))?;
        Ok((published, tensor(file, name, info, 0)?))
    });
    named.collect()
}

/// A model card of the one line that a pack takes from it.
fn card(file: &Container) -> Vec<u8> {
    let licence = file.text("general.license").ok().flatten().unwrap_or_default();
    if licence.is_empty() {
        return Vec::new();
    }
    format!(
        "---\nlicense: {}\n---\n",
        one_line(crate::untrusted::cut(licence, limits::NAME).as_str())
    )
    .into_bytes()
}

impl Files for Pair {
    fn describe(&self) -> String {
        self.sources[0].label.clone()
    }

    fn size<'a>(&'a self, name: &'a str) -> Local<'a, Result<Option<u64>>> {
        Box::pin(async move {
            match self.source(name) {
                Some(source) => source.files.size(&source.name).await,
                None => Ok(self.small.get(name).map(|bytes| bytes.len() as u64)),
            }
        })
    }

    fn read<'a>(&'a self, name: &'a str, range: Range<u64>) -> Local<'a, Result<Vec<u8>>> {
        Box::pin(async move {
            if let Some(source) = self.source(name) {
                return source.files.read(&source.name, range).await;
            }
            let part = |bytes: &Vec<u8>| {
                bytes.get(range.start as usize..range.end as usize).map(<[u8]>::to_vec)
            };
            self.small.get(name).and_then(part).ok_or_else(|| Error::ModelCorrupt {
                file: name.into(),
                problem: "a range outside the file was asked for".into(),
            })
        })
    }

    fn list(&self) -> Vec<String> {
        self.small.keys().map(|name| (*name).to_owned()).collect()
    }

    fn path(&self, name: &str) -> Option<std::path::PathBuf> {
        let source = self.source(name)?;
        source.files.path(&source.name)
    }

    fn tensors(&self) -> Option<BTreeMap<String, Tensor>> {
        Some(self.tensors.clone())
    }

    fn folder(&self, _: &str) -> Option<Box<dyn Files>> {
        None
    }
}

/// What to do with a GGUF file where a folder was expected.
#[cfg(feature = "native")]
pub(super) fn how_to_convert(path: &std::path::Path) -> String {
    format!(
        "it is a GGUF file; `mqt convert {} --mmproj MMPROJ.gguf -o PACK` makes a pack of it and its vision tower's, which can be given",
        path.display()
    )
}

/// A file on disk.
///
/// # Errors
/// [`Error::ModelMissing`] if it is none, or no GGUF file.
#[cfg(feature = "native")]
pub fn on_disk(path: &std::path::Path) -> Result<Source> {
    use super::files::{Disk, is_gguf};
    let missing = |why: String| Error::ModelMissing { path: path.to_owned(), why };
    match std::fs::metadata(path) {
        Err(error) => return Err(missing(error.to_string())),
        Ok(meta) if !meta.is_file() => {
            return Err(missing("it is no file; give a GGUF file".into()));
        }
        Ok(_) if !is_gguf(path) => return Err(missing("it is no GGUF file".into())),
        Ok(_) => {}
    }
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => std::path::Path::new("."),
    };
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return Err(missing("its name is not UTF-8".into()));
    };
    let (name, label) = (name.to_owned(), path.display().to_string());
    Ok(Source { files: Box::new(Disk::open(folder)?), name, label })
}

/// A pair as a checkpoint, if `model` is a GGUF file; `None` for a folder without `mmproj`.
///
/// # Errors
/// [`Error::InvalidSetting`] where one of two files is missing, or a folder is among them, or they
/// are one file; what [`open`] says.
#[cfg(feature = "native")]
pub async fn pair_on_disk(
    model: &std::path::Path,
    mmproj: Option<&std::path::Path>,
    vision_tower: Option<&std::path::Path>,
    weights: Weights,
) -> Result<Option<Checkpoint>> {
    let invalid =
        |what: &str, why: String| Err(Error::InvalidSetting { what: what.to_owned(), why });
    let is_file = super::files::is_gguf(model);
    let Some(mmproj) = mmproj else {
        let why = "it is a GGUF file; add its vision half with --mmproj MMPROJ.gguf";
        return if is_file { invalid(&model.display().to_string(), why.into()) } else { Ok(None) };
    };
    if !is_file && model.is_dir() {
        let why = format!("it goes with a GGUF file, and {} is a folder", model.display());
        return invalid("--mmproj", why);
    }
    if vision_tower.is_some() {
        return invalid("--vision-tower", "the vision tower of GGUF files is in --mmproj".into());
    }
    let (model, mmproj) = (on_disk(model)?, on_disk(mmproj)?);
    if model.label == mmproj.label {
        return invalid("--mmproj", format!("{} is given as both files", mmproj.label));
    }
    open(model, mmproj, weights).await.map(Some)
}
