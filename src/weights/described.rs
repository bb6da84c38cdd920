//! The numbers of a checkpoint, from its configuration and its tensors' shapes.

use super::names::{Names, ProjectorNames};
use super::tensors::Tensor;
use crate::error::{Error, Result};
use crate::model::config::{Config, Projector};
use crate::model::published::{self, Fields, Seen};
use crate::text::Tokenizer;
use serde_json::Value;
use std::collections::BTreeMap;

/// What configuration is read from.
pub(super) struct Described<'a> {
    pub(super) tensors: &'a BTreeMap<String, Tensor>,
    pub(super) names: &'a Names,
    pub(super) projector: &'a ProjectorNames,
    pub(super) fields: Fields<'a>,
}

impl Described<'_> {
    fn shape2(&self, name: &str) -> Result<[usize; 2]> {
        let tensor = self.tensors.get(name).ok_or_else(|| Error::TensorMissing { name: name.into(), hint: String::new() })?;
        <[usize; 2]>::try_from(tensor.shape.as_slice()).map_err(|_| Error::TensorShape {
            name: name.into(),
            expected: vec![0, 0],
            got: tensor.shape.clone(),
        })
    }

    /// # Errors
    /// [`Error::ModelCorrupt`], naming the file and the key; [`Error::TensorMissing`] or [`Error::TensorShape`].
    pub(super) fn config(&self, vision: &Value, preprocessor: Option<&Value>, generation: Option<&Value>, tokenizer: &Tokenizer) -> Result<Config> {
        let fields = self.fields;
        self.refuse_unsupported()?;
        let select = fields.get("mm_vision_select_layer").or_else(|| fields.get("vision_feature_layer")).and_then(Value::as_i64).unwrap_or(-2);
        let vision = published::vision(Fields { file: "the vision tower's config.json", value: vision }, select)?;
        let text = fields.inner("text_config").unwrap_or(fields);
        let language = published::language(text, self.seen()?)?;
        let projector = match self.projector {
            ProjectorNames::Resampler(prefix) => {
                let name = format!("{prefix}query");
                let [m_max, d] = self.shape2(&name)?;
                if d != vision.hidden {
                    return Err(Error::TensorShape { name, expected: vec![m_max, vision.hidden], got: vec![m_max, d] });
                }
                Projector::Resampler(published::resampler(fields, m_max)?)
            }
            ProjectorNames::Mlp(linears) => Projector::Mlp(published::mlp(fields, linears.len())?),
        };
        let preprocessor = preprocessor.map(|value| Fields { file: "preprocessor_config.json", value });
        let (mean, std) = published::normalisation(preprocessor)?;
        let generation = generation.map(|value| Fields { file: "generation_config.json", value });
        let end_ids = published::end_ids(&[Some(text), Some(fields), generation], tokenizer.eos());
        let pad_to_square = fields.text("image_aspect_ratio") == Some("pad");
        let config = Config { vision, projector, language, pad_to_square, mean, std, end_ids };
        config.check("config.json")?;
        Ok(config)
    }

    /// What would change the answer unseen.
    fn refuse_unsupported(&self) -> Result<()> {
        let fields = self.fields;
        for (key, known) in [("mm_vision_select_feature", "patch"), ("vision_feature_select_strategy", "default"), ("mm_patch_merge_type", "flat")] {
            if let Some(other) = fields.text(key).filter(|value| *value != known) {
                return Err(fields.bad(format!("{key} {other:?} is not supported; {known} is")));
            }
        }
        if fields.get("mm_use_im_start_end").and_then(Value::as_bool) == Some(true) {
            return Err(fields.bad("mm_use_im_start_end is not supported: the prompt would lack its tokens around the picture".into()));
        }
        match fields.text("image_aspect_ratio") {
            None | Some("pad" | "square") => Ok(()),
            Some(other) => Err(fields.bad(format!("image_aspect_ratio {other:?} is not supported; pad and square are"))),
        }
    }

    fn seen(&self) -> Result<Seen> {
        let layer = |i: usize, rest: &str| format!("{}layers.{i}.{rest}", self.names.language);
        let gate = layer(0, "mlp.gate_proj.weight");
        let ffn = if self.tensors.contains_key(&gate) { self.shape2(&gate)?[0] } else { 0 };
        Ok(Seen {
            embed: self.shape2(&format!("{}embed_tokens.weight", self.names.language))?,
            ffn,
            layers: (0..).take_while(|i| self.tensors.contains_key(&layer(*i, "input_layernorm.weight"))).count(),
            head: self.names.head.is_some(),
            qkv_bias: self.tensors.contains_key(&layer(0, "self_attn.q_proj.bias")),
        })
    }
}
