//! Checkpoint folder → pack folder, and checking packs.

use crate::error::{Error, Result};
use crate::model::{ModelSource, Opened, Progress, Weights, parts};
use crate::weights::files::{Disk, Files, whole};
use crate::weights::layout::{Role, layout};
use crate::weights::pack::{FORMAT, Manifest, Pack, Shard, Writer};
use std::path::Path;

/// What [`verify`] found.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The pack's name.
    pub name: String,
    /// Shards whose SHA-256 is right: all of them.
    pub shards: usize,
    /// Bytes read.
    pub bytes: u64,
    /// Tensors found with the right shape.
    pub tensors: usize,
}

impl std::fmt::Display for Verified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} tensors in {} shards, {} bytes, every SHA-256 right", self.name, self.tensors, self.shards, self.bytes)
    }
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    Error::OutputFailed { path: path.to_owned(), why: error.to_string() }
}

/// Writes a file under a temporary name first, so that a kill leaves no half file under the real one.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let part = path.with_extension("part");
    std::fs::write(&part, bytes).and_then(|()| std::fs::rename(&part, path)).map_err(|e| failed(path, &e))
}

/// Converts the checkpoint in `checkpoint` to a pack in `out`. The manifest is written last: a folder without one is unfinished.
///
/// # Errors
/// The checkpoint's failures, and those of writing.
pub async fn convert(
    checkpoint: &Path,
    vision_tower: Option<&Path>,
    out: &Path,
    weights: Weights,
    on_progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    let files = Disk::open(checkpoint)?;
    if files.size("manifest.json").await?.is_some() {
        let why = "it is a pack already; convert the checkpoint it was made from".into();
        return Err(Error::InvalidSetting { what: checkpoint.display().to_string(), why });
    }
    let opened = Opened::from_source(&ModelSource::Path(checkpoint.to_owned()), vision_tower, weights).await?;
    std::fs::create_dir_all(out).map_err(|e| failed(out, &e))?;
    let same = checkpoint.canonicalize().is_ok_and(|from| out.canonicalize().is_ok_and(|to| from == to));
    if same {
        return Err(Error::InvalidSetting { what: "-o".into(), why: "it is the checkpoint's own folder; choose another".into() });
    }
    let manifest_path = out.join("manifest.json");
    match std::fs::remove_file(&manifest_path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(&manifest_path, &error)),
        _ => {}
    }
    let mut sink = |name: &str, bytes: &[u8]| write(&out.join(name), bytes);
    let mut writer = Writer::new(&mut sink);
    let format = |role: Role| weights.format(role);
    let entries = layout(&opened.config);
    let total = entries.iter().map(|e| parts::bytes(e, &format)).sum();
    let mut progress = Progress { phase: "converting", done: 0, total };
    for entry in &entries {
        if matches!(entry.role, Role::Vector | Role::Map) {
            writer.vector(entry, &opened.supply.vector(entry).await?, format(entry.role))?;
        } else {
            writer.matrix(&entry.name, &opened.supply.matrix(entry).await?)?;
        }
        progress.done += parts::bytes(entry, &format);
        on_progress(progress);
    }
    writer.flush()?;
    let (tensors, shards) = (std::mem::take(&mut writer.tensors), std::mem::take(&mut writer.shards));
    let tokenizer = opened.tokenizer.to_json();
    write(&out.join("tokenizer.json"), &tokenizer)?;
    let tokenizer_config = whole(&files, "tokenizer_config.json").await?.unwrap_or_else(|| b"{}\n".to_vec());
    write(&out.join("tokenizer_config.json"), &tokenizer_config)?;
    let card = whole(&files, "README.md").await?.unwrap_or_default();
    let licence = licence(&String::from_utf8_lossy(&card)).unwrap_or_else(|| "unknown: see the source".into());
    let manifest = Manifest {
        format: FORMAT.into(),
        source: format!("{} {}", opened.name, opened.sha256),
        name: opened.name,
        licence,
        weights,
        template: opened.template,
        architecture: opened.config,
        tensors,
        files: vec![Shard::of("tokenizer.json", &tokenizer), Shard::of("tokenizer_config.json", &tokenizer_config)],
        shards,
    };
    let mut json = serde_json::to_vec_pretty(&manifest).expect("a manifest serialises");
    json.push(b'\n');
    write(&manifest_path, &json)
}

/// The `license:` line of a model card's front matter.
fn licence(card: &str) -> Option<String> {
    let front = card.strip_prefix("---")?.split("\n---").next()?;
    front.lines().find_map(|l| l.strip_prefix("license:")).map(|l| l.trim().to_owned())
}

/// Reads every byte of a pack and checks sizes, SHA-256 and shapes.
///
/// # Errors
/// The first thing that is wrong, naming the shard or tensor.
pub async fn verify(pack: &Path) -> Result<Verified> {
    let pack = Pack::open(Box::new(Disk::open(pack)?)).await?;
    let mut bytes = 0;
    for index in 0..pack.manifest.shards.len() {
        bytes += pack.read_shard(index).await?.len() as u64;
    }
    pack.tokenizer().await?;
    let entries = layout(&pack.manifest.architecture);
    for entry in &entries {
        use crate::weights::Supply;
        if matches!(entry.role, Role::Vector | Role::Map) {
            pack.vector(entry).await?;
        } else {
            pack.matrix(entry).await?;
        }
    }
    Ok(Verified { name: pack.manifest.name.clone(), shards: pack.manifest.shards.len(), bytes, tensors: entries.len() })
}
