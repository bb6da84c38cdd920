//! The two halves of a pair: what each must be, and its tensors under their published names.

use super::blocks::Kind;
use super::config::Decoder;
use super::container::{Container, Info};
use super::{config, mmproj, names, tokenizer};
use crate::error::{Error, Result};
use crate::untrusted::{one_line, short};
use crate::weights::tensors::Tensor;
use std::collections::BTreeMap;

fn architecture(file: &Container) -> Result<&str> {
    let found = file.text("general.architecture")?;
    found.ok_or_else(|| file.bad("it has no key general.architecture".into()))
}

/// Refuses a first file that is no language model of ours.
pub(super) fn check_model(file: &Container) -> Result<()> {
    config::check_general(file)?;
    if architecture(file)? == config::CLIP {
        return Err(file.bad(
            "it is the vision half of a pair (architecture clip); give it as the mmproj, and the language model's file before".into(),
        ));
    }
    Decoder::of(file).map(drop)
}

/// Refuses a second file that is no vision tower.
pub(super) fn check_mmproj(file: &Container) -> Result<()> {
    config::check_general(file)?;
    match architecture(file)? {
        config::CLIP => Ok(()),
        other => Err(file.bad(format!(
            "an mmproj is the vision half of a pair and has architecture clip; this has {}",
            one_line(short(other))
        ))),
    }
}

/// Which half of a pair a file is.
///
/// # Errors
/// Why this version does not read it; what only its partner tells is not looked at.
pub(super) fn half(file: &Container) -> Result<&'static str> {
    if architecture(file).is_ok_and(|found| found == config::CLIP) {
        check_mmproj(file)?;
        mmproj::vision(file)?;
        vision_tensors(file)?;
        return Ok("the vision half of a pair (mmproj)");
    }
    check_model(file)?;
    let (_, head_dim) = config::language(file)?;
    tokenizer::tokenizer(file)?;
    language_tensors(file, head_dim)?;
    Ok("the language model of a pair; its vision half, the mmproj, goes with it")
}

/// Halves of two models: the projector must end in the decoder's width.
pub(super) fn check_widths(language: &Container, vision: &Container) -> Result<()> {
    let takes = language.whole(&format!("{}embedding_length", Decoder::of(language)?.prefix()))?;
    let mut projector = vision
        .tensors
        .iter()
        .filter(|(name, _)| name.starts_with("mm.") && name.ends_with("weight"));
    let gives = projector.next_back().map(|(_, info)| info.shape[0] as u64);
    match (takes, gives) {
        (Some(takes), Some(gives)) if takes != gives => Err(vision.bad(format!(
            "it does not belong to {}: its projector gives vectors of {gives} numbers, the model takes {takes}",
            language.file
        ))),
        _ => Ok(()),
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

/// The decoder's tensors. llama.cpp rotates neighbours in LLaMA's decoders, so its files have the
/// rows of q and k in that order.
pub(super) fn language_tensors(
    file: &Container,
    head_dim: usize,
) -> Result<BTreeMap<String, Tensor>> {
    let swapped = Decoder::of(file)? == Decoder::Llama;
    let named = file.tensors.iter().map(|(name, info)| {
        if name == "rope_freqs.weight" {
            return Err(file.bad(
                "rope_freqs.weight stretches the rotation (Llama 3.1), which is not supported yet"
                    .into(),
            ));
        }
        let published = names::language(name).ok_or_else(|| unknown(name))?;
        let rotated = swapped
            && ["self_attn.q_proj", "self_attn.k_proj"].iter().any(|p| published.contains(p));
        let tensor = tensor(file, name, info, if rotated { head_dim } else { 0 })?;
        Ok((published, tensor))
    });
    named.collect()
}

/// The tensors of the tower and of the projector.
pub(super) fn vision_tensors(file: &Container) -> Result<BTreeMap<String, Tensor>> {
    mmproj::refuse_tiles(file)?;
    let hint = "; it is no projector of LLaVA's, Idefics3's or MobileVLM's";
    let there = |name: &str| file.tensors.contains_key(name);
    let projector = names::PROJECTORS.iter().any(|name| there(name));
    for (needed, found) in
        [("v.patch_embd.weight", there("v.patch_embd.weight")), (names::PROJECTORS[0], projector)]
    {
        if !found {
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
        let mut tensor = tensor(file, name, info, 0)?;
        // A convolution of one channel to one: the converter leaves out what is 1.
        if published == names::CONVOLUTION && tensor.shape.len() == 3 {
            tensor.shape.insert(1, 1);
        }
        Ok((published, tensor))
    });
    named.collect()
}
