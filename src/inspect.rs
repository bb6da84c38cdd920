//! What a model is made of and what it needs, without loading it.

use crate::config::Projector;
use crate::defaults;
use crate::error::Result;
use crate::model::{Arithmetic, ModelSource, Needs, Opened, WeightsChoice, bytes_of};
use crate::quant::Format;
use crate::text::TemplateChoice;
use crate::untrusted::one_line;
use crate::weights::gguf;
pub use crate::weights::gguf::{
    Value,
    listing::{Listing, Stored},
};
use crate::weights::layout::{Entry, Role, layout};
use std::path::Path;

/// A model's shape and size.
#[derive(Clone, Debug, serde::Serialize)]
#[non_exhaustive]
pub struct Inspection {
    /// Schema of the JSON form.
    pub schema: &'static str,
    /// The pack's or folder's name.
    pub name: String,
    /// Formats of the weights.
    pub weights: String,
    /// The prompt template.
    pub template: String,
    /// The numbers.
    pub architecture: crate::model::Config,
    /// M.
    pub image_tokens_max: usize,
    /// Parameters that take part in an answer.
    pub parameters: u64,
    /// The parts: tower, resampler, decoder.
    pub parts: Vec<Part>,
    /// Bytes of all weights on the device.
    pub weight_bytes: u64,
    /// Bytes of keys and values per token with fast arithmetic; twice that with exact.
    pub kv_bytes_per_token: u64,
    /// Bytes of intermediate results, for any m.
    pub activation_bytes: u64,
    /// Device memory for each m and several contexts, with fast arithmetic.
    pub memory: Vec<Memory>,
}

/// One part of the network.
#[derive(Clone, Debug, serde::Serialize)]
#[non_exhaustive]
pub struct Part {
    /// `vision`, `resampler` or `language`.
    pub name: String,
    /// Its tensors.
    pub tensors: usize,
    /// Its parameters.
    pub parameters: u64,
    /// Its bytes on the device.
    pub bytes: u64,
    /// Bits that its matrices take per weight, scales included.
    pub bits_per_weight: f64,
}

/// Memory for one budget.
#[derive(Clone, Debug, serde::Serialize)]
#[non_exhaustive]
pub struct Memory {
    /// m.
    pub image_tokens: usize,
    /// Tokens of context.
    pub context: usize,
    /// Weights, keys and values, activations.
    pub bytes: u64,
}

/// Tokens of question and answer beside the image tokens, in the smallest context that is shown.
const TALK: usize = 512;
/// Contexts worth knowing about: just enough for m, the usual one, the longest.
fn contexts(m: usize, longest: usize) -> Vec<usize> {
    let mut all = vec![m + TALK, defaults::CONTEXT, longest];
    all.retain(|context| *context >= m + TALK && *context <= longest);
    all.sort_unstable();
    all.dedup();
    all
}

/// Reads configuration and tensor shapes of a pack or a checkpoint (as `--weights auto` would hold
/// it).
///
/// # Errors
/// As for loading it, as far as configuration and names are concerned.
pub async fn inspect(source: &ModelSource, vision_tower: Option<&Path>) -> Result<Inspection> {
    Ok(of(&Opened::from_source(source, vision_tower, WeightsChoice::Auto, &TemplateChoice::Own)
        .await?))
}

/// The same for a pair of GGUF files.
///
/// # Errors
/// As [`inspect`].
pub async fn inspect_pair(model: &Path, mmproj: &Path) -> Result<Inspection> {
    Ok(of(&Opened::gguf(model, mmproj, WeightsChoice::Auto).await?))
}

/// What one GGUF file holds, whether it can be run or not.
///
/// # Errors
/// [`crate::Error::ModelMissing`] or [`crate::Error::ModelCorrupt`].
pub async fn inspect_gguf(file: &Path) -> Result<Listing> {
    let gguf::Source { files, name, label } = gguf::on_disk(file)?;
    Ok(Listing::of(&gguf::Container::read(&*files, &name, &label).await?))
}

fn of(opened: &Opened) -> Inspection {
    let format = |role: Role| opened.weights.format(role);
    let entries = layout(&opened.config);
    let mut all: Vec<Part> = Vec::new();
    for entry in &entries {
        let name = entry.name.split('.').next().unwrap_or_default();
        if all.last().is_none_or(|p| p.name != name) {
            all.push(Part {
                name: name.into(),
                tensors: 0,
                parameters: 0,
                bytes: 0,
                bits_per_weight: bits_per_weight(&entries, name, &format),
            });
        }
        let part = all.last_mut().expect("pushed above");
        part.tensors += 1;
        part.parameters += (entry.rows * entry.cols) as u64;
        part.bytes += bytes_of(entry, &format);
    }
    let l = &opened.config.language;
    let weight_bytes = all.iter().map(|p| p.bytes).sum();
    let needs =
        |context: usize| Needs::of(&opened.config, opened.weights, Arithmetic::Fast, context);
    let row = |m: usize, context: usize| Memory {
        image_tokens: m,
        context,
        bytes: needs(context).total(),
    };
    let ladder = opened.config.offer().ladder().into_iter();
    let memory = ladder
        .flat_map(|m| contexts(m, l.max_positions).into_iter().map(move |context| row(m, context)));
    Inspection {
        schema: "mqt.inspect/1",
        name: opened.name.clone(),
        weights: opened.weights.to_string(),
        template: opened.template.name.clone(),
        image_tokens_max: opened.config.m_max(),
        parameters: crate::weights::layout::parameters(&opened.config),
        weight_bytes,
        kv_bytes_per_token: needs(32).keys_and_values / 32,
        activation_bytes: needs(32).activations,
        memory: memory.collect(),
        parts: all,
        architecture: opened.config.clone(),
    }
}

/// Of a part's matrices as they are stored, padding included; 0 if it has none.
fn bits_per_weight(entries: &[Entry], part: &str, format: &(dyn Fn(Role) -> Format + Sync)) -> f64 {
    let matrices = entries
        .iter()
        .filter(|entry| entry.name.split('.').next() == Some(part) && entry.role != Role::Vector);
    let (bytes, weights) = matrices.fold((0, 0), |(bytes, weights), entry| {
        (bytes + bytes_of(entry, format), weights + entry.rows * entry.cols)
    });
    bytes as f64 * 8.0 / weights.max(1) as f64
}

impl std::fmt::Display for Inspection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (v, l) = (&self.architecture.vision, &self.architecture.language);
        let mb = |bytes: u64| bytes as f64 / 1e6;
        let (name, template) = (one_line(&self.name), one_line(&self.template));
        writeln!(
            f,
            "{name} · {} · template {template} · {:.1} M parameters",
            self.weights,
            self.parameters as f64 / 1e6
        )?;
        writeln!(
            f,
            "picture   {0} × {0} pixels, patches of {1} → {2} × {2}",
            v.image_size,
            v.patch,
            v.grid()
        )?;
        writeln!(f, "tower     width {}, {} layers, {} heads", v.hidden, v.layers, v.heads)?;
        match &self.architecture.projector {
            Projector::Resampler(r) => {
                writeln!(f, "resampler 1 to {} image tokens, {} heads", r.m_max, r.heads)?
            }
            Projector::Mlp(mlp) => writeln!(
                f,
                "projector {} linear layers, {} image tokens",
                mlp.linears, self.image_tokens_max
            )?,
            Projector::Shuffle(shuffle) => writeln!(
                f,
                "projector {0} × {0} patches to a token, {1} image tokens a square",
                shuffle.scale, self.image_tokens_max
            )?,
            Projector::Ldp2(_) => writeln!(
                f,
                "projector 2 linear layers, means and a convolution, {} image tokens",
                self.image_tokens_max
            )?,
        }
        let shape = l.shape;
        let context = l.max_positions;
        writeln!(
            f,
            "decoder   width {}, {} layers, {} heads over {} × {}, vocabulary {}, context {context}",
            l.hidden, l.layers, shape.heads, shape.kv_heads, shape.head_dim, l.vocab
        )?;
        for part in &self.parts {
            writeln!(
                f,
                "  {:<9} {:>4} tensors {:>12} parameters {:>9.1} MB, {:.2} bits per weight",
                part.name,
                part.tensors,
                part.parameters,
                mb(part.bytes),
                part.bits_per_weight
            )?;
        }
        let (kv, activations) = (self.kv_bytes_per_token as f64 / 1e3, mb(self.activation_bytes));
        write!(
            f,
            "keys and values {kv:.1} KB per token, activations {activations:.1} MB; device memory in MB (context):"
        )?;
        for rows in self.memory.chunk_by(|a, b| a.image_tokens == b.image_tokens) {
            write!(f, "\n  m = {:<4}", rows[0].image_tokens)?;
            for Memory { context, bytes, .. } in rows {
                write!(f, " {:>9.1} {:<7}", mb(*bytes), format!("({context})"))?;
            }
        }
        Ok(())
    }
}
