//! Synthetic checkpoints: random weights of a named shape in a published layout, so that everything
//! around real ones can be tried at their size without them. The same seed gives the same bytes.

mod bytes;
mod families;
mod layout;
mod settings;
#[cfg(test)]
mod tests;
mod values;

pub use layout::Layout;

use crate::cancel::Cancel;
use crate::config::shapes;
use crate::config::{Config, MlpConfig, Projector};
use crate::error::{Error, Result};
use crate::future::Callback;
use crate::model::Progress;
use layout::{Dtype, Tensor};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use values::Stream;

/// Where transformers cuts checkpoints by default.
const SHARD_BYTES: u64 = 5_000_000_000;
/// Elements made at once.
const CHUNK: usize = 4 << 20;

/// What to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synth {
    /// One of [`shapes::NAMES`].
    pub shape: String,
    /// The layout; `None`: MQT-LLaVA's, or LLaVA-1.5's where the shape is its.
    pub layout: Option<Layout>,
    /// Chooses the values.
    pub seed: u64,
    /// Largest file of weights.
    pub shard_bytes: u64,
}

impl Synth {
    /// The shape's own layout, in files of the published size.
    pub fn new(shape: &str) -> Synth {
        Synth { shape: shape.into(), layout: None, seed: 0, shard_bytes: SHARD_BYTES }
    }

    fn config(&self) -> Result<(Config, Layout)> {
        let Some(mut config) = shapes::named(&self.shape) else {
            let why =
                format!("{:?} is no shape; there are {}", self.shape, shapes::NAMES.join(", "));
            return Err(Error::InvalidSetting { what: "shape".into(), why });
        };
        let own = Layout::own(&config);
        let layout = self.layout.unwrap_or(own);
        let refused = |why: String| Error::InvalidSetting { what: "layout".into(), why };
        match &config.projector {
            _ if layout == own => {}
            // LLaVA's layouts go with each other, and stand for MQT's tower and decoder, too.
            Projector::Mlp(_) if layout == Layout::MqtLlava => {
                return Err(refused(format!(
                    "{} has no query transformer, which mqt-llava is about",
                    self.shape
                )));
            }
            Projector::Resampler(_) | Projector::Mlp(_)
                if layout.is_llava() && config.vision.class_token =>
            {
                config.projector = Projector::Mlp(MlpConfig::plain(2));
            }
            _ => return Err(refused(format!("{} is published in one layout only", self.shape))),
        }
        Ok((config, layout))
    }

    /// Writes the checkpoint into `out`, tensor after tensor.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] for an unknown shape or one that the layout cannot hold,
    /// [`Error::OutputFailed`].
    pub fn write(
        &self,
        out: &Path,
        cancel: &Cancel,
        on_progress: &mut Callback<'_, Progress>,
    ) -> Result<()> {
        let (config, layout) = self.config()?;
        self.write_config(&config, layout, out, cancel, on_progress)
    }

    fn write_config(
        &self,
        config: &Config,
        layout: Layout,
        out: &Path,
        cancel: &Cancel,
        on_progress: &mut Callback<'_, Progress>,
    ) -> Result<()> {
        let mut folders =
            vec![(out.to_owned(), layout.tensors(config), layout.dtype(), self.shard_bytes)];
        if let Some((folder, tensors)) = layout.tower(config) {
            folders.push((out.join(folder), tensors, Dtype::F32, u64::MAX));
        }
        let total = folders
            .iter()
            .flat_map(|(_, tensors, dtype, _)| tensors.iter().map(|t| t.bytes(*dtype)))
            .sum();
        let mut progress = Progress { phase: "writing", done: 0, total };
        for (folder, tensors, dtype, shard_bytes) in &folders {
            std::fs::create_dir_all(folder).map_err(|e| failed(folder, &e))?;
            let files = shards(tensors, *dtype, *shard_bytes);
            for (name, tensors) in &files {
                let path = folder.join(name);
                let written = self.shard(&path, tensors, *dtype, cancel, &mut |bytes| {
                    progress.done += bytes;
                    on_progress(&progress);
                });
                written.map_err(|e| failed(&path, &e))?;
                cancel.check()?;
            }
            if files.len() > 1 {
                put_json(&folder.join("model.safetensors.index.json"), &index(&files, *dtype))?;
            }
        }
        settings::write(config, layout, &self.shape, out)
    }

    fn shard(
        &self,
        path: &Path,
        tensors: &[&Tensor],
        dtype: Dtype,
        cancel: &Cancel,
        done: &mut Callback<'_, u64>,
    ) -> std::io::Result<()> {
        let mut header = serde_json::Map::new();
        let mut at = 0;
        for tensor in tensors {
            let end = at + tensor.bytes(dtype);
            header.insert(
                tensor.name.clone(),
                json!({"dtype": dtype.name(), "shape": tensor.shape, "data_offsets": [at, end]}),
            );
            at = end;
        }
        header.insert("__metadata__".into(), json!({"format": "pt"}));
        let mut header = serde_json::to_vec(&Value::Object(header)).expect("a header serialises");
        header.resize(header.len().next_multiple_of(8), b' ');
        let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        for tensor in tensors {
            let stream = Stream::new(self.seed, tensor);
            let n = tensor.elements();
            for first in (0..n).step_by(CHUNK) {
                // The caller says so; a half file is written again.
                if cancel.is_cancelled() {
                    return Ok(());
                }
                let bytes = stream.bytes(first..n.min(first + CHUNK), dtype);
                file.write_all(&bytes)?;
                done(&(bytes.len() as u64));
            }
        }
        file.flush()
    }
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    Error::OutputFailed { path: path.to_owned(), why: error.to_string() }
}

fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).map_err(|e| failed(path, &e))
}

fn put_json(path: &Path, value: &Value) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value).expect("JSON serialises");
    text.push(b'\n');
    put(path, &text)
}

/// Tensors in files of at most `limit` bytes, named as transformers does.
fn shards(tensors: &[Tensor], dtype: Dtype, limit: u64) -> Vec<(String, Vec<&Tensor>)> {
    let mut groups: Vec<Vec<&Tensor>> = Vec::new();
    let mut room = 0;
    for tensor in tensors {
        let bytes = tensor.bytes(dtype);
        if groups.is_empty() || bytes > room {
            groups.push(Vec::new());
            room = limit;
        }
        room = room.saturating_sub(bytes);
        groups.last_mut().expect("pushed above").push(tensor);
    }
    if groups.len() == 1 {
        return vec![("model.safetensors".into(), groups.remove(0))];
    }
    let n = groups.len();
    groups
        .into_iter()
        .enumerate()
        .map(|(i, group)| (format!("model-{:05}-of-{n:05}.safetensors", i + 1), group))
        .collect()
}

fn index(files: &[(String, Vec<&Tensor>)], dtype: Dtype) -> Value {
    let all = || files.iter().flat_map(|(file, tensors)| tensors.iter().map(move |t| (file, t)));
    let map: serde_json::Map<String, Value> =
        all().map(|(file, t)| (t.name.clone(), json!(file))).collect();
    let total: u64 = all().map(|(_, t)| t.bytes(dtype)).sum();
    json!({"metadata": {"total_size": total}, "weight_map": map})
}
