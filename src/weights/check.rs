//! A checkpoint's tensors against what its configuration asks for: everything missing, misshapen,
//! of another type or unknown, by name.

use super::layout::layout;
use super::recipe::{Book, Section};
use super::tensors::{Folder, Tensor};
use crate::error::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};

/// Compares every tensor with the layout.
///
/// # Errors
/// [`Error::TensorMissing`], [`Error::TensorShape`], [`Error::TensorType`] or
/// [`Error::TensorUnknown`] for a single fault, [`Error::Tensors`] for several, each named.
pub(super) fn check_tensors(book: &Book, folder: &Folder, tower: Option<&Folder>) -> Result<()> {
    let recipes =
        layout(book.config).iter().filter_map(|entry| book.recipe(entry)).collect::<Vec<_>>();
    let sections: Vec<Section> =
        recipes.into_iter().flat_map(|r| r.sections).chain(book.folded()).collect();
    let mut faults = Vec::new();
    for section in &sections {
        let tensors = &tower.filter(|_| section.tower).unwrap_or(folder).tensors;
        faults.extend(fault(tensors, section));
    }
    let expected: BTreeSet<&str> = sections.iter().map(|s| s.name.as_str()).collect();
    let known = |name: &str| expected.contains(name) || is_ignored(book, name);
    faults.extend(
        folder
            .tensors
            .keys()
            .filter(|name| !known(name))
            .map(|name| Error::TensorUnknown { name: name.clone() }),
    );
    // A tower's folder holds what else its publisher put there (CLIP's text model); only its own
    // layers are looked at.
    let layers = format!("{}encoder.layers.", book.tower);
    let own =
        tower.into_iter().flat_map(|t| t.tensors.keys()).filter(|name| name.starts_with(&layers));
    faults.extend(
        own.filter(|name| !known(name)).map(|name| Error::TensorUnknown { name: name.clone() }),
    );
    match faults.len() {
        0 => Ok(()),
        1 => Err(faults.remove(0)),
        _ => Err(Error::Tensors { faults }),
    }
}

fn fault(tensors: &BTreeMap<String, Tensor>, section: &Section) -> Option<Error> {
    let name = || section.name.clone();
    match tensors.get(&section.name) {
        None => Some(Error::TensorMissing {
            name: name(),
            hint: "; the download may be incomplete".into(),
        }),
        Some(tensor) if tensor.shape != section.shape => Some(Error::TensorShape {
            name: name(),
            expected: section.shape.clone(),
            got: tensor.shape.clone(),
        }),
        Some(tensor) if !tensor.is_float() => {
            Some(Error::TensorType { name: name(), dtype: tensor.dtype.clone() })
        }
        Some(_) => None,
    }
}

/// What published checkpoints carry and no answer depends on.
fn is_ignored(book: &Book, name: &str) -> bool {
    // It follows from rope_theta.
    if name.ends_with("rotary_emb.inv_freq") || name.ends_with("embeddings.position_ids") {
        return true;
    }
    // A second copy of the embedding table.
    if book.config.language.tied && book.names.head.as_deref() == Some(name) {
        return true;
    }
    let Some(vision) = book.names.vision.as_deref().or(Some(book.tower)).filter(|p| !p.is_empty())
    else {
        return false;
    };
    // The tower's layers after the selected one; all of a tower that another folder replaces.
    let Some(rest) = name.strip_prefix(vision) else { return false };
    let layer = rest
        .strip_prefix("encoder.layers.")
        .and_then(|r| r.split('.').next())
        .and_then(|n| n.parse::<usize>().ok());
    // The last norm where it does not run, and SigLIP's pooling of the whole picture.
    rest.starts_with("post_layernorm.")
        || rest.starts_with("head.")
        || layer.is_some_and(|n| n >= book.config.vision.layers)
        || book.tower != vision
}
