//! Finding the vision tower of a checkpoint: its tensors may be in the checkpoint or in a folder of
//! their own.

use super::files::{Files, json};
use super::names::{self, Names};
use super::quantised;
use super::tensors::{Folder, Tensor};
use crate::config::families::Family;
use crate::config::fields::Fields;
use crate::config::published;
use crate::error::{Error, Result};
use serde_json::Value;
use std::collections::BTreeMap;

/// A tower, and what describes it.
pub(super) struct Tower {
    /// A folder of its own, or the checkpoint's.
    pub(super) folder: Option<Folder>,
    /// Before its tensors' names.
    pub(super) prefix: String,
    /// Its configuration.
    pub(super) config: Value,
    /// What its preprocessor does, and where that was read; first the file that counts.
    pub(super) preprocessors: Vec<(String, Value)>,
    /// `processor_config.json`, and whose it is.
    pub(super) processors: Vec<(String, Value)>,
}

impl Tower {
    /// How many layers have tensors, from the first on: in its own folder, or in `checkpoint`.
    pub(super) fn layers(&self, checkpoint: &BTreeMap<String, Tensor>) -> usize {
        let tensors = self.folder.as_ref().map_or(checkpoint, |folder| &folder.tensors);
        let name = |i: usize| format!("{}encoder.layers.{i}.layer_norm1.weight", self.prefix);
        (0..).take_while(|i| tensors.contains_key(&name(*i))).count()
    }
}

/// Looks in `given`, in the folder that the configuration names, in
/// `vision_tower/`, then in the checkpoint.
///
/// # Errors
/// [`Error::TowerMissing`] where nothing describes the tower, or nothing holds its tensors.
pub(super) async fn find(
    files: &dyn Files,
    given: Option<Box<dyn Files>>,
    names: &Names,
    fields: Fields<'_>,
) -> Result<Tower> {
    let named = fields.text("mm_vision_tower")?.unwrap_or_default();
    // Trained along with the rest: then its values are the checkpoint's, and a folder has those
    // from before.
    let trained = (fields.flag("unfreeze_mm_vision_tower")? || Family::of(fields)?.own_tower)
        && given.is_none()
        && names.vision.is_some();
    let mut candidates: Vec<Box<dyn Files>> = given.into_iter().collect();
    candidates.extend(files.folder(named).filter(|_| !named.is_empty()));
    candidates.extend(files.folder("vision_tower"));
    let mut config = None;
    let mut preprocessors: Vec<(String, Value)> = Vec::new();
    let mut processors: Vec<(String, Value)> = Vec::new();
    let mut own = None;
    let mut looked_in = Vec::new();
    for folder in candidates {
        looked_in.push(folder.describe());
        quantised::check_side_files(&*folder, "the vision tower's ").await?;
        if let Some(json) = json(&*folder, "config.json").await? {
            quantised::check_config(&json, "the vision tower's config.json")?;
            if config.is_none() {
                config = Some(numbers(json)?);
            }
        }
        if preprocessors.is_empty() {
            let whose = "the vision tower's ";
            preprocessors.extend(preprocessor(&*folder, whose, &mut processors).await?);
        }
        let folder = Folder::open(folder).await?;
        quantised::check_tensors(&folder.tensors)?;
        if own.is_none() && !trained && !folder.tensors.is_empty() {
            let Some(prefix) = names::vision_prefix(&folder.tensors) else {
                let hint = format!("; looked in {}", folder.files.describe());
                return Err(Error::TensorMissing {
                    name: "vision_model.embeddings.patch_embedding.weight".into(),
                    hint,
                });
            };
            own = Some((folder, prefix));
        }
    }
    preprocessors.extend(preprocessor(files, "", &mut processors).await?);
    let config = match (config, fields.get("vision_config").filter(|v| v.is_object())) {
        (Some(config), _) => config,
        (None, Some(inner)) => inner.clone(),
        (None, None) if named == "openai/clip-vit-large-patch14-336" => {
            serde_json::from_str(published::CLIP_L_336).expect("the constant is valid JSON")
        }
        (None, None) => {
            let why = format!("nothing here describes {named:?}");
            return Err(Error::TowerMissing { why });
        }
    };
    let (folder, prefix) = match (own, &names.vision) {
        (Some((folder, prefix)), _) => (Some(folder), prefix),
        (None, Some(prefix)) => (None, prefix.clone()),
        (None, None) => {
            let why = match looked_in.as_slice() {
                [] => "neither the checkpoint nor a folder in it has its tensors".into(),
                folders => format!("there are no weights in {}", folders.join(" or ")),
            };
            return Err(Error::TowerMissing { why });
        }
    };
    Ok(Tower { folder, prefix, config, preprocessors, processors })
}

/// A tower's numbers, where a whole CLIP or LLaVA model has them inside its own.
fn numbers(json: Value) -> Result<Value> {
    let whole = Fields { file: "the vision tower's config.json", value: &json };
    let Some(inner) = whole.inner("vision_config")? else { return Ok(json) };
    let kind = whole.text("model_type")?.filter(|kind| !kind.starts_with("llava"));
    if kind.is_some() {
        whole.only("model_type", &["clip", "clip_vision_model"])?;
    }
    Ok(inner.value.clone())
}

/// A folder's `preprocessor_config.json`; since transformers 5 it may lie in
/// `processor_config.json`, which goes to `joints` too.
async fn preprocessor(
    files: &dyn Files,
    whose: &str,
    joints: &mut Vec<(String, Value)>,
) -> Result<Option<(String, Value)>> {
    let own = json(files, "preprocessor_config.json").await?;
    let own = own.map(|value| (format!("{whose}preprocessor_config.json"), value));
    let Some(joint) = json(files, "processor_config.json").await? else { return Ok(own) };
    let file = format!("{whose}processor_config.json");
    let inner = Fields { file: &file, value: &joint }.inner("image_processor")?;
    let inner = inner.map(|fields| (file.clone(), fields.value.clone()));
    joints.push((file, joint));
    Ok(own.or(inner))
}
