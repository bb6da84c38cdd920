//! The numbers of a checkpoint, from its configuration and its tensors' shapes.

use super::names::{Names, ProjectorNames};
use super::tensors::Tensor;
use super::tower::Tower;
use crate::config::pictures::{Pictures, pictures, short};
use crate::config::published::{self, Fields, Seen};
use crate::config::silent;
use crate::config::{Config, Preparing, Projector};
use crate::error::{Error, Result};
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
        let tensor = self
            .tensors
            .get(name)
            .ok_or_else(|| Error::TensorMissing { name: name.into(), hint: String::new() })?;
        <[usize; 2]>::try_from(tensor.shape.as_slice()).map_err(|_| Error::TensorShape {
            name: name.into(),
            expected: vec![0, 0],
            got: tensor.shape.clone(),
        })
    }

    /// # Errors
    /// [`Error::ModelCorrupt`], naming the file and the key; [`Error::TensorMissing`] or
    /// [`Error::TensorShape`].
    pub(super) fn config(
        &self,
        tower: &Tower,
        generation: Option<&Value>,
        tokenizer: &Tokenizer,
    ) -> Result<Config> {
        let fields = self.fields;
        let (vision, preprocessors) = (&tower.config, tower.preprocessors.as_slice());
        self.refuse_unsupported()?;
        let vision = Fields { file: "the vision tower's config.json", value: vision };
        silent::check_tower(vision)?;
        let there = tower.layers(self.tensors);
        let vision = published::vision(vision, self.selected_layer()?, there)?;
        if let Some(width) = fields
            .get("mm_hidden_size")
            .filter(|width| width.as_u64() != Some(vision.hidden as u64))
        {
            return Err(fields.bad(format!(
                "mm_hidden_size is {}, the vision tower's width {}",
                short(width),
                vision.hidden
            )));
        }
        let text = fields.inner("text_config")?.unwrap_or(fields);
        published::refuse_unsupported(text)?;
        silent::check_kinds(text)?;
        silent::check_decoder(text, self.seen()?)?;
        let language = published::language(text, self.seen()?)?;
        let projector = match self.projector {
            ProjectorNames::Resampler(prefix) => {
                let name = format!("{prefix}query");
                let [m_max, d] = self.shape2(&name)?;
                if d != vision.hidden {
                    return Err(Error::TensorShape {
                        name,
                        expected: vec![m_max, vision.hidden],
                        got: vec![m_max, d],
                    });
                }
                Projector::Resampler(published::resampler(fields, m_max)?)
            }
            ProjectorNames::Mlp(linears) => Projector::Mlp(published::mlp(fields, linears.len())?),
        };
        let pictures = self.pictures(preprocessors, vision.image_size)?;
        let generation = generation.map(|value| Fields { file: "generation_config.json", value });
        let end_ids = published::end_ids(&[Some(text), Some(fields), generation], tokenizer.eos())?;
        let Pictures { mean, std, padded: pad_to_square } = pictures;
        let preparing = Preparing::default();
        let config = Config {
            vision,
            projector,
            language,
            pad_to_square,
            preparing,
            reads_documents: false,
            mean,
            std,
            end_ids,
        };
        config.check("config.json")?;
        Ok(config)
    }

    /// What would change the answer unseen.
    fn refuse_unsupported(&self) -> Result<()> {
        let fields = self.fields;
        published::refuse_unsupported(fields)?;
        silent::check_kinds(fields)?;
        for (key, known) in [
            ("mm_vision_select_feature", &["patch"][..]),
            ("vision_feature_select_strategy", &["default"]),
            ("mm_patch_merge_type", &["flat"]),
            ("image_aspect_ratio", &["pad", "square"]),
        ] {
            fields.only(key, known)?;
        }
        match self.projector {
            ProjectorNames::Resampler(_) => fields.only("query_abstractor_type", &["matry_query"]),
            ProjectorNames::Mlp(_) => Ok(()),
        }
    }

    /// Which of the tower's layers is read: LLaVA's own name of the field or llava-hf's.
    fn selected_layer(&self) -> Result<i64> {
        let (own, hf) = (
            self.fields.layer("mm_vision_select_layer")?,
            self.fields.layer("vision_feature_layer")?,
        );
        match (own, hf) {
            (Some(own), Some(hf)) if own != hf => {
                Err(self.fields.bad(format!("mm_vision_select_layer is {own}, vision_feature_layer {hf}; it is not clear which one counts")))
            }
            _ => Ok(own.or(hf).unwrap_or(-2)),
        }
    }

    /// How pictures are prepared. The tower's own file counts; one beside the checkpoint must not
    /// say anything else.
    fn pictures(&self, preprocessors: &[(String, Value)], side: usize) -> Result<Pictures> {
        let padded = self.fields.text("image_aspect_ratio")? == Some("pad");
        let read =
            |(file, value): &(String, Value)| pictures(Some(Fields { file, value }), side, padded);
        let Some(first) = preprocessors.first() else { return pictures(None, side, padded) };
        let said = read(first)?;
        for other in &preprocessors[1..] {
            if read(other)? != said {
                let problem = format!("it prepares pictures in another way than {}", first.0);
                return Err(Error::ModelCorrupt { file: other.0.clone(), problem });
            }
        }
        Ok(said)
    }

    fn seen(&self) -> Result<Seen> {
        let layer = |i: usize, rest: &str| format!("{}layers.{i}.{rest}", self.names.language);
        let gate = layer(0, "mlp.gate_proj.weight");
        let ffn = if self.tensors.contains_key(&gate) { self.shape2(&gate)?[0] } else { 0 };
        Ok(Seen {
            embed: self.shape2(&format!("{}embed_tokens.weight", self.names.language))?,
            ffn,
            layers: (0..)
                .take_while(|i| self.tensors.contains_key(&layer(*i, "input_layernorm.weight")))
                .count(),
            head: self.names.head.is_some(),
            qkv_bias: self.tensors.contains_key(&layer(0, "self_attn.q_proj.bias")),
        })
    }
}
