//! llama.cpp's pairs of files, a language model and a vision tower with its projector → the files
//! and tensors that a checkpoint folder would have. `docs/gguf.md` says what is read.

pub mod blocks;
mod bytes;
mod config;
pub mod container;
mod cursor;
mod halves;
mod keys;
pub mod listing;
mod mmproj;
mod names;
mod pair;
mod tokenizer;
mod value;

pub use container::{Container, Info};
pub use pair::Pair;
pub use value::Value;

use super::WeightsChoice;
use super::checkpoint::Checkpoint;
use super::files::Files;
#[cfg(feature = "native")]
use crate::error::Error;
use crate::error::Result;

/// A file, and the files among which it lies.
pub struct Source {
    /// Where it lies.
    pub files: Box<dyn Files>,
    /// Its name there.
    pub name: String,
    /// What messages call it; not that of another file.
    pub label: String,
}

/// Opens a pair as a checkpoint.
///
/// # Errors
/// What [`Pair::open`] and [`Checkpoint::open`] say, tensors called as the files call them.
pub async fn open(model: Source, mmproj: Source, weights: WeightsChoice) -> Result<Checkpoint> {
    let labels = (model.label.clone(), mmproj.label.clone());
    let pair = Pair::open(model, mmproj).await?;
    let decoder = pair.decoder;
    let checkpoint = Checkpoint::open(Box::new(pair), None, weights).await;
    checkpoint.map_err(|error| names::in_files_words(error, (&labels.0, decoder), &labels.1))
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
    weights: WeightsChoice,
) -> Result<Option<Checkpoint>> {
    let invalid =
        |what: &str, why: String| Err(Error::InvalidSetting { what: what.to_owned(), why });
    let is_file = super::files::is_gguf(model);
    let Some(mmproj) = mmproj else {
        let why = format!("it is missing: {} is a GGUF file, half of a pair", model.display());
        return if is_file { invalid("mmproj", why) } else { Ok(None) };
    };
    if !is_file && model.is_dir() {
        let why = format!("it goes with a GGUF file, and {} is a folder", model.display());
        return invalid("mmproj", why);
    }
    if vision_tower.is_some() {
        return invalid("vision_tower", "GGUF files have theirs in the mmproj".into());
    }
    let (model, mmproj) = (on_disk(model)?, on_disk(mmproj)?);
    if model.label == mmproj.label {
        return invalid("mmproj", format!("{} is given as both files", mmproj.label));
    }
    open(model, mmproj, weights).await.map(Some)
}
