//! Which files of a folder hold the model's weights: those an index names, else those with the
//! usual names. Other files, such as adapters, optimizer states and other programs' copies, are
//! ignored.

use super::files::{Files, json, whole};
use crate::error::{Error, Result};
use crate::untrusted::{check_file_name, cut, limits};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The files to read.
pub(super) struct Choice {
    /// Their names, sorted.
    pub(super) files: Vec<String>,
    /// The index that names them, if one does.
    pub(super) index: Option<Index>,
}

/// An index file.
pub(super) struct Index {
    /// Its name.
    pub(super) name: &'static str,
    /// Tensor → file.
    pub(super) tensors: BTreeMap<String, String>,
}

/// One of the ways in which weights are published.
struct Kind {
    single: &'static str,
    index: &'static str,
    /// Around `00001-of-00002`.
    shard: (&'static str, &'static str),
}

/// The better one first: where both lie side by side they hold the same.
const KINDS: [Kind; 2] = [
    Kind {
        single: "model.safetensors",
        index: "model.safetensors.index.json",
        shard: ("model-", ".safetensors"),
    },
    Kind {
        single: "pytorch_model.bin",
        index: "pytorch_model.bin.index.json",
        shard: ("pytorch_model-", ".bin"),
    },
];

/// How files begin that belong to training or to another model.
const SIDE: [&str; 7] = [
    "adapter_",
    "optimizer",
    "scheduler",
    "training_args",
    "rng_state",
    "mm_projector",
    "non_lora",
];

/// Chooses the files; none if there are no weights.
///
/// # Errors
/// [`Error::ModelCorrupt`] about an index, or about files of which it is not clear which ones
/// count; [`Error::ModelMissing`] for a missing file of several.
pub(super) async fn choose(files: &dyn Files) -> Result<Choice> {
    let all: Vec<String> = files.list().into_iter().filter(|name| !name.starts_with('.')).collect();
    let mut unmet = None;
    for kind in &KINDS {
        if let Some(choice) = by_index(files, kind.index).await? {
            if any_exists(files, &choice.files).await? {
                return Ok(choice);
            }
            // The index of a kind that was not downloaded.
            unmet = unmet.or(Some(choice));
        }
        let usual = usual(files, kind, &all)?;
        if !usual.is_empty() {
            return Ok(Choice { files: usual, index: None });
        }
    }
    if let Some(choice) = unmet {
        return Ok(choice);
    }
    let others: Vec<String> = all
        .into_iter()
        .filter(|name| {
            name.ends_with(".safetensors") && !SIDE.iter().any(|side| name.starts_with(side))
        })
        .collect();
    if others.len() > 1 {
        let problem = format!(
            "it has no model.safetensors and no index, but {}; it is not clear which one is the model",
            cut(&others.join(", "), limits::NAME)
        );
        return Err(Error::ModelCorrupt { file: files.describe(), problem });
    }
    Ok(Choice { files: others, index: None })
}

async fn by_index(files: &dyn Files, name: &'static str) -> Result<Option<Choice>> {
    #[derive(serde::Deserialize)]
    struct Content {
        weight_map: BTreeMap<String, String>,
    }
    let Some(bytes) = whole(files, name).await? else { return Ok(None) };
    let corrupt = |problem: String| Error::ModelCorrupt { file: name.into(), problem };
    let content: Content = crate::plain::object(&bytes)
        .map_err(|why| corrupt(format!("it has no weight_map that can be read: {why}")))?;
    let named: BTreeSet<&String> = content.weight_map.values().collect();
    if named.len() > limits::FILES {
        return Err(corrupt(format!(
            "it names {} files, more than the {} of any model",
            named.len(),
            limits::FILES
        )));
    }
    for file in &named {
        check_file_name(file, name)?;
    }
    let files = named.into_iter().cloned().collect();
    Ok(Some(Choice { files, index: Some(Index { name, tensors: content.weight_map }) }))
}

async fn any_exists(files: &dyn Files, names: &[String]) -> Result<bool> {
    for name in names {
        if files.size(name).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The usual names of a kind among all: one file, or all of several.
fn usual(files: &dyn Files, kind: &Kind, all: &[String]) -> Result<Vec<String>> {
    if all.iter().any(|name| name == kind.single) {
        return Ok(vec![kind.single.into()]);
    }
    let (before, after) = kind.shard;
    let numbered = |name: &String| {
        let (number, total) = name.strip_prefix(before)?.strip_suffix(after)?.split_once("-of-")?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        (digits(number) && digits(total)).then(|| Some((number.parse().ok()?, total.to_owned())))?
    };
    let shards: Vec<(usize, String, &String)> = all
        .iter()
        .filter_map(|name| numbered(name).map(|(number, total)| (number, total, name)))
        .collect();
    let totals: BTreeSet<&String> = shards.iter().map(|(_, total, _)| total).collect();
    if totals.len() > 1 {
        let problem = format!(
            "it has {before}…{after} files of {} different sets and no index that says which ones count",
            totals.len()
        );
        return Err(Error::ModelCorrupt { file: files.describe(), problem });
    }
    if let Some(total) = totals.first() {
        let there: BTreeSet<usize> = shards.iter().map(|(number, ..)| *number).collect();
        let count = total.parse::<usize>().unwrap_or(usize::MAX).min(limits::FILES);
        if let Some(number) = (1..=count).find(|number| !there.contains(number)) {
            let name = format!("{before}{number:0width$}-of-{total}{after}", width = total.len());
            let path = std::path::Path::new(&files.describe()).join(name);
            return Err(Error::ModelMissing {
                path,
                why: "there is no such file; the download may be incomplete".into(),
            });
        }
    }
    Ok(shards.into_iter().map(|(.., name)| name.clone()).collect())
}

/// What a folder without a model's weights, or without a configuration, is instead.
pub(super) async fn what_else(files: &dyn Files, otherwise: &str) -> Error {
    let all = files.list();
    let why = if all
        .iter()
        .any(|name| name == "adapter_config.json" || name.starts_with("adapter_model."))
    {
        let config = json(files, "adapter_config.json").await.ok().flatten().unwrap_or_default();
        let base = config
            .get("base_model_name_or_path")
            .and_then(Value::as_str)
            .map_or("its base model".into(), |name| cut(name, limits::NAME));
        format!(
            "it is a LoRA adapter, not a model; merge it into {base} and give the merged checkpoint"
        )
    } else if all.iter().any(|name| name.ends_with(".gguf")) {
        "it holds GGUF files; what can be given is a pack made of a pair of them".into()
    } else if all
        .iter()
        .any(|name| matches!(name.as_str(), "mm_projector.bin" | "query_abstractor.bin"))
    {
        "it holds a projector alone, without the language model; give the whole checkpoint".into()
    } else {
        otherwise.to_owned()
    };
    Error::ModelMissing { path: files.describe().into(), why }
}
