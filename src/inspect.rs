//! What a model is made of and what it needs, without loading it.

use crate::error::Result;
use crate::kernels::heads::KvLayer;
use crate::model::config::Projector;
use crate::model::{ModelSource, Opened, Weights, parts};
use crate::quant::Format;
use crate::weights::layout::{Role, layout};
use std::path::Path;

/// A model's shape and size.
#[derive(Clone, Debug, serde::Serialize)]
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
    /// Bytes of keys and values per token with `--arithmetic fast`; twice that with `exact`.
    pub kv_bytes_per_token: u64,
    /// Device memory in bytes for each m, with a context of m + 512 tokens.
    pub memory: Vec<Memory>,
}

/// One part of the network.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Part {
    /// `vision`, `resampler` or `language`.
    pub name: String,
    /// Its tensors.
    pub tensors: usize,
    /// Its parameters.
    pub parameters: u64,
    /// Its bytes on the device.
    pub bytes: u64,
}

/// Memory for one budget.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Memory {
    /// m.
    pub image_tokens: usize,
    /// Tokens of context.
    pub context: usize,
    /// Weights, keys and values.
    pub bytes: u64,
}

/// Reads configuration and tensor shapes of a pack or a checkpoint (taken as q4).
///
/// # Errors
/// As loading it, as far as configuration and names go.
pub async fn inspect(source: &ModelSource, vision_tower: Option<&Path>) -> Result<Inspection> {
    let opened = Opened::from_source(source, vision_tower, Weights::default()).await?;
    let format = |role: Role| opened.weights.format(role);
    let entries = layout(&opened.config);
    let mut all: Vec<Part> = Vec::new();
    for entry in &entries {
        let name = entry.name.split('.').next().unwrap_or_default();
        if all.last().is_none_or(|p| p.name != name) {
            all.push(Part { name: name.into(), tensors: 0, parameters: 0, bytes: 0 });
        }
        let part = all.last_mut().expect("pushed above");
        part.tensors += 1;
        part.parameters += (entry.rows * entry.cols) as u64;
        part.bytes += parts::bytes(entry, &format);
    }
    let l = &opened.config.language;
    let weight_bytes = all.iter().map(|p| p.bytes).sum();
    let kv = |context: usize| l.layers as u64 * KvLayer::bytes(l.shape, context, Format::F16);
    let memory = opened.config.offer().ladder().into_iter().map(|m| Memory { image_tokens: m, context: m + 512, bytes: weight_bytes + kv(m + 512) });
    Ok(Inspection {
        schema: "mqt.inspect/1",
        name: opened.name.clone(),
        weights: opened.weights.to_string(),
        template: opened.template.name.clone(),
        image_tokens_max: opened.config.m_max(),
        parameters: opened.config.parameters(),
        weight_bytes,
        kv_bytes_per_token: kv(32) / 32,
        memory: memory.collect(),
        parts: all,
        architecture: opened.config.clone(),
    })
}

impl std::fmt::Display for Inspection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (v, l) = (&self.architecture.vision, &self.architecture.language);
        let mb = |bytes: u64| bytes as f64 / 1e6;
        writeln!(f, "{} · {} · template {} · {:.1} M parameters", self.name, self.weights, self.template, self.parameters as f64 / 1e6)?;
        writeln!(f, "picture   {0} × {0} pixels, patches of {1} → {2} × {2}", v.image_size, v.patch, v.grid())?;
        writeln!(f, "tower     width {}, {} layers, {} heads", v.hidden, v.layers, v.heads)?;
        match &self.architecture.projector {
            Projector::Resampler(r) => writeln!(f, "resampler 1 to {} image tokens, {} heads", r.m_max, r.heads)?,
            Projector::Mlp(mlp) => writeln!(f, "projector {} linear layers, {} image tokens", mlp.linears, self.image_tokens_max)?,
        }
        let shape = l.shape;
        let context = l.max_positions;
        writeln!(
            f,
            "decoder   width {}, {} layers, {} heads over {} × {}, vocabulary {}, context {context}",
            l.hidden, l.layers, shape.heads, shape.kv_heads, shape.head_dim, l.vocab
        )?;
        for part in &self.parts {
            writeln!(f, "  {:<9} {:>4} tensors {:>12} parameters {:>9.1} MB", part.name, part.tensors, part.parameters, mb(part.bytes))?;
        }
        writeln!(f, "keys and values: {:.1} KB per token; device memory with a context of m + 512:", self.kv_bytes_per_token as f64 / 1e3)?;
        for (i, m) in self.memory.iter().enumerate() {
            let end = if i + 1 == self.memory.len() { "" } else { "\n" };
            write!(f, "  m = {:<4} {:>9.1} MB{end}", m.image_tokens, mb(m.bytes))?;
        }
        Ok(())
    }
}
