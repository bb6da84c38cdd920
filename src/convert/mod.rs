//! Checkpoint folder or pair of GGUF files → pack folder: shard by shard, in bounded memory,
//! resuming where an earlier run was killed.

mod calibration;
mod folder;
mod journal;
mod verify;

pub use crate::weights::importance::Grade;
pub use calibration::Calibration;
pub use verify::{Verified, verify};

use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::future::Callback;
use crate::model::open::{check_vocab, folder_name};
use crate::model::{Progress, Weights, WeightsChoice};
use crate::quant::Format;
use crate::text::TemplateChoice;
use crate::weights::Supply;
use crate::weights::checkpoint::Checkpoint;
use crate::weights::files::{Disk, Files, whole};
use crate::weights::gguf;
use crate::weights::importance;
use crate::weights::layout::{Entry, layout};
use crate::weights::pack::{FORMAT, Manifest, SHARD_BYTES, Shard};
use crate::weights::plan::{Item, Plan, is_vector, item_bytes};
use folder::{MANIFEST, write};
use journal::Journal;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};

/// What scenes the model was trained on, for programs that compose some: taken over into the pack
/// as it is.
const SCENES: &str = "scenes.json";
/// What a pack has beside its manifest and its shards.
const SMALL_FILES: [&str; 3] = ["tokenizer.json", "tokenizer_config.json", SCENES];

/// What [`convert`] has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Converted {
    /// Shards of the pack.
    pub shards: usize,
    /// Shards that an earlier, interrupted run had made.
    pub kept: usize,
    /// Their bytes together.
    pub bytes: u64,
}

/// What to convert, and how.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Conversion<'a> {
    /// The checkpoint's folder, or a language model in GGUF.
    pub checkpoint: &'a Path,
    /// The vision half that goes with a language model in GGUF.
    pub mmproj: Option<&'a Path>,
    /// The tower's folder, if the checkpoint does not say where it is.
    pub vision_tower: Option<&'a Path>,
    /// The pack's folder, created if it does not exist.
    pub out: &'a Path,
    /// How matrices are stored.
    pub weights: WeightsChoice,
    /// The prompt template that the pack gets.
    pub template: TemplateChoice,
    /// What importance is measured on.
    pub calibration: Calibration<'a>,
    /// Largest size of a shard: [`SHARD_BYTES`], except in tests, which need many shards of a small
    /// model.
    pub shard_bytes: u64,
}

impl<'a> Conversion<'a> {
    /// A conversion into shards of the usual size, with the tower that the checkpoint names.
    pub fn new(
        checkpoint: &'a Path,
        out: &'a Path,
        weights: impl Into<WeightsChoice>,
    ) -> Conversion<'a> {
        Conversion {
            checkpoint,
            mmproj: None,
            vision_tower: None,
            out,
            weights: weights.into(),
            template: TemplateChoice::default(),
            calibration: Calibration::default(),
            shard_bytes: SHARD_BYTES,
        }
    }
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    Error::OutputFailed { path: path.to_owned(), why: error.to_string() }
}

/// Converts a checkpoint to a pack; `on_start` is told the plan once all checks have passed. The
/// same checkpoint gives the same bytes, even after interruptions: finished shards are listed in a
/// journal, and the manifest is written last; a folder without one is unfinished.
///
/// # Errors
/// The checkpoint's failures, those of writing, and [`Error::Cancelled`], after which the same call
/// resumes; a folder that holds something else, or that another conversion writes.
pub async fn convert(
    what: &Conversion<'_>,
    cancel: &Cancel,
    on_start: &mut Callback<'_, Prospect>,
    on_progress: &mut Callback<'_, Progress>,
) -> Result<Converted> {
    let Conversion { checkpoint: from, out, .. } = *what;
    let (checkpoint, prospect) = open(what, cancel).await?;
    let weights = checkpoint.weights;
    std::fs::create_dir_all(out).map_err(|e| failed(out, &e))?;
    let same = from.canonicalize().is_ok_and(|from| out.canonicalize().is_ok_and(|to| from == to));
    if same {
        return Err(Error::InvalidSetting {
            what: "output".into(),
            why: "it is the checkpoint's own folder; choose another".into(),
        });
    }
    let entries = layout(&checkpoint.config);
    let plan = Plan::new(&entries, weights, what.shard_bytes);
    let written =
        SMALL_FILES.into_iter().map(str::to_owned).chain((0..plan.shards.len()).map(file_name));
    folder::check(out, &folder_name(from), written)?;
    let mut journal = Journal::open(out, &journal::key(&checkpoint, what))?;
    on_start(&prospect);
    let manifest_path = out.join(MANIFEST);
    match std::fs::remove_file(&manifest_path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(failed(&manifest_path, &error));
        }
        _ => {}
    }
    let (shards, kept) =
        make_shards(&checkpoint, &entries, &plan, what, &mut journal, cancel, on_progress).await?;
    let bytes = shards.iter().map(|s| s.bytes).sum();
    let converted = Converted { shards: shards.len(), kept, bytes };
    let manifest = finish(&checkpoint, plan, shards, what).await?;
    write(&manifest_path, &manifest)?;
    journal.remove();
    Ok(converted)
}

/// What a conversion is going to do.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Prospect {
    /// How matrices will be stored.
    pub weights: Weights,
    /// How errors are weighted.
    pub importance: Grade,
    /// Tokens that the decoder reads for it.
    pub tokens: usize,
    /// About how many seconds that takes here.
    pub seconds: f64,
}

/// The checkpoint, with what weighs its errors.
async fn open(what: &Conversion<'_>, cancel: &Cancel) -> Result<(Checkpoint, Prospect)> {
    let checkpoint = opened(what).await?;
    // Before hours of work, not after them.
    let template = checkpoint.template(&what.template).await?;
    check_vocab(&checkpoint.tokenizer, &template, &checkpoint.config)?;
    let texts = what.calibration.texts(&checkpoint)?;
    let tokens = texts.iter().map(Vec::len).sum();
    let checkpoint = if texts.is_empty() { checkpoint } else { checkpoint.measured(texts, cancel) };
    let (weights, importance) = (checkpoint.weights, checkpoint.grade);
    let (tokens, seconds) = if importance == Grade::Measured {
        (tokens, importance::seconds(&checkpoint.config, tokens))
    } else {
        (0, 0.0)
    };
    Ok((checkpoint, Prospect { weights, importance, tokens, seconds }))
}

/// Opens what is to be converted.
async fn opened(what: &Conversion<'_>) -> Result<Checkpoint> {
    let Conversion { checkpoint: from, mmproj, vision_tower, weights, .. } = *what;
    if let Some(checkpoint) = gguf::pair_on_disk(from, mmproj, vision_tower, weights).await? {
        return Ok(checkpoint);
    }
    let files = Disk::open(from)?;
    if files.size(MANIFEST).await?.is_some() {
        let why = "it is a pack already; convert the checkpoint it was made from".into();
        return Err(Error::InvalidSetting { what: from.display().to_string(), why });
    }
    let tower = match vision_tower {
        Some(tower) => Some(Box::new(Disk::open(tower)?) as Box<dyn Files>),
        None => None,
    };
    Checkpoint::open(Box::new(files), tower, weights).await
}

/// Makes every shard that the journal does not list; all of them, and how many were there.
async fn make_shards(
    checkpoint: &Checkpoint,
    entries: &[Entry],
    plan: &Plan,
    what: &Conversion<'_>,
    journal: &mut Journal,
    cancel: &Cancel,
    on_progress: &mut Callback<'_, Progress>,
) -> Result<(Vec<Shard>, usize)> {
    let total = plan
        .shards
        .iter()
        .flatten()
        .map(|item| item_bytes(&entries[item.entry], item, checkpoint.weights))
        .sum();
    let mut progress = Progress { phase: "converting", done: 0, total };
    let mut shards: Vec<Option<Shard>> = Vec::new();
    for (i, items) in plan.shards.iter().enumerate() {
        let found = journal.find(&file_name(i));
        if found.is_some() {
            progress.done += items
                .iter()
                .map(|item| item_bytes(&entries[item.entry], item, checkpoint.weights))
                .sum::<u64>();
        }
        shards.push(found);
    }
    let kept = shards.iter().flatten().count();
    on_progress(&progress);
    // Hashing and writing one shard go on beside the packing of the next.
    let (send, receive) = sync_channel::<(String, Vec<u8>)>(1);
    let out = what.out;
    std::thread::scope(|scope| {
        let writer = scope.spawn(move || write_shards(receive, out, journal));
        let made = pollster::block_on(async {
            for (i, items) in plan.shards.iter().enumerate() {
                if shards[i].is_some() {
                    continue;
                }
                let mut tensors = Vec::new();
                for item in items {
                    cancel.check()?;
                    tensors.extend(tensors_of(checkpoint, &entries[item.entry], item, plan).await?);
                    progress.done += item_bytes(&entries[item.entry], item, checkpoint.weights);
                    on_progress(&progress);
                }
                if send.send((file_name(i), serialise(&tensors))).is_err() {
                    break;
                }
            }
            drop(send);
            Ok(())
        });
        let written = writer.join().expect("the writer does not panic");
        made?;
        let mut written = written?.into_iter();
        let all = shards
            .into_iter()
            .map(|found| found.or_else(|| written.next()).expect("a shard was kept or written"))
            .collect();
        Ok((all, kept))
    })
}

fn write_shards(
    receive: Receiver<(String, Vec<u8>)>,
    out: &Path,
    journal: &mut Journal,
) -> Result<Vec<Shard>> {
    let mut shards = Vec::new();
    for (file, bytes) in receive {
        write(&out.join(&file), &bytes)?;
        let shard = Shard::of(&file, &bytes);
        journal.add(&shard)?;
        shards.push(shard);
    }
    Ok(shards)
}

fn file_name(shard: usize) -> String {
    format!("weights-{:05}.safetensors", shard + 1)
}

/// Name, type, shape and bytes of a tensor in a shard.
type Plane = (String, safetensors::Dtype, Vec<usize>, Vec<u8>);

async fn tensors_of(
    checkpoint: &Checkpoint,
    entry: &Entry,
    item: &Item,
    plan: &Plan,
) -> Result<Vec<Plane>> {
    use safetensors::Dtype;
    let Entry { name, rows, cols, .. } = entry;
    if is_vector(entry) {
        let values = checkpoint.vector(entry).await?;
        let (dtype, bytes) = match plan.tensors[name].format {
            Format::F16 => (
                Dtype::F16,
                values.iter().flat_map(|v| half::f16::from_f32(*v).to_le_bytes()).collect(),
            ),
            _ => (Dtype::F32, values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        };
        return Ok(vec![(name.clone(), dtype, vec![*rows, *cols], bytes)]);
    }
    let packed = checkpoint.panels(entry, item.panels.clone()).await?;
    let plane = |kind: &str, words: Vec<u32>| {
        let bytes = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        (format!("{name}#{}.{kind}", item.part), Dtype::U32, vec![words.len()], bytes)
    };
    let mut planes = vec![plane("data", packed.data)];
    if packed.format.is_scaled() {
        planes.push(plane("scales", packed.scales));
    }
    Ok(planes)
}

fn serialise(tensors: &[Plane]) -> Vec<u8> {
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        let view = safetensors::tensor::TensorView::new(*dtype, shape.clone(), bytes)
            .expect("shape and bytes agree");
        (name.as_str(), view)
    });
    safetensors::serialize(views, None).expect("tensors in memory serialise")
}

/// Writes the small files; the manifest's text.
async fn finish(
    checkpoint: &Checkpoint,
    plan: Plan,
    shards: Vec<Shard>,
    what: &Conversion<'_>,
) -> Result<Vec<u8>> {
    let tokenizer = checkpoint.tokenizer.to_json();
    write(&what.out.join("tokenizer.json"), &tokenizer)?;
    let tokenizer_config = whole(checkpoint.files(), "tokenizer_config.json")
        .await?
        .unwrap_or_else(|| b"{}\n".to_vec());
    write(&what.out.join("tokenizer_config.json"), &tokenizer_config)?;
    let mut files = vec![
        Shard::of("tokenizer.json", &tokenizer),
        Shard::of("tokenizer_config.json", &tokenizer_config),
    ];
    if let Some(scenes) = whole(checkpoint.files(), SCENES).await? {
        write(&what.out.join(SCENES), &scenes)?;
        files.push(Shard::of(SCENES, &scenes));
    }
    let card = whole(checkpoint.files(), "README.md").await?.unwrap_or_default();
    let licence = licence(&String::from_utf8_lossy(&card))
        .unwrap_or_else(|| "unknown: see the source".into());
    let template = checkpoint.template(&what.template).await?;
    let name = folder_name(what.checkpoint);
    let manifest = Manifest {
        format: FORMAT.into(),
        source: format!("{name} {}", checkpoint.fingerprint()),
        name,
        licence,
        weights: checkpoint.weights,
        importance: checkpoint.grade,
        template,
        architecture: checkpoint.config.clone(),
        tensors: plan.tensors,
        files,
        shards,
    };
    let mut json = serde_json::to_vec_pretty(&manifest).expect("a manifest serialises");
    json.push(b'\n');
    Ok(json)
}

/// The `license:` line of a model card's front matter.
fn licence(card: &str) -> Option<String> {
    let front = card.strip_prefix("---")?.split("\n---").next()?;
    front.lines().find_map(|l| l.strip_prefix("license:")).map(|l| l.trim().to_owned())
}
