//! Finding the vision tower of a checkpoint: its tensors may lie in the checkpoint or in a folder
//! of their own.

use super::files::{Files, json};
use super::names::{self, Names};
use super::quantised;
use super::tensors::Folder;
use crate::config::published::{self, Fields};
use crate::error::{Error, Result};
use serde_json::Value;

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
    let trained =
        fields.flag("unfreeze_mm_vision_tower")? && given.is_none() && names.vision.is_some();
    let mut candidates: Vec<Box<dyn Files>> = given.into_iter().collect();
    candidates.extend(files.folder(named).filter(|_| !named.is_empty()));
    candidates.extend(files.folder("vision_tower"));
    let mut config = None;
    let mut preprocessors: Vec<(String, Value)> = Vec::new();
    let mut own = None;
    let mut looked_in = Vec::new();
    for folder in candidates {
        looked_in.push(folder.describe());
        if config.is_none() {
            let json = json(&*folder, "config.json").await?;
            config = json.map(|json| {
                json.get("vision_config").filter(|v| v.is_object()).cloned().unwrap_or(json)
            });
        }
        if preprocessors.is_empty() {
            preprocessors.extend(preprocessor(&*folder, "the vision tower's ").await?);
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
    preprocessors.extend(preprocessor(files, "").await?);
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
    Ok(Tower { folder, prefix, config, preprocessors })
}

/// A folder's `preprocessor_config.json`; since transformers 5 it may lie in
/// `processor_config.json`.
async fn preprocessor(files: &dyn Files, whose: &str) -> Result<Option<(String, Value)>> {
    let (own, joint) = (
        json(files, "preprocessor_config.json").await?,
        json(files, "processor_config.json").await?,
    );
    let inner = joint.as_ref().map(|value| Fields { file: "processor_config.json", value });
    let inner = match inner {
        Some(joint) => {
            joint.only("vision_feature_select_strategy", &["default"])?;
            joint.inner("image_processor")?.map(|fields| fields.value.clone())
        }
        None => None,
    };
    let file = if own.is_some() { "preprocessor_config.json" } else { "processor_config.json" };
    Ok(own.or(inner).map(|value| (format!("{whose}{file}"), value)))
}
