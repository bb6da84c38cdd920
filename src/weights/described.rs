//! The numbers of a checkpoint, from its configuration and its tensors' shapes.

use super::names::{Names, ProjectorNames};
use super::tensors::Tensor;
use super::tower::Tower;
use crate::config::families::{Family, PictureRule, Tower as Kind};
use crate::config::fields::Fields;
use crate::config::pictures::{Pictures, short};
use crate::config::processors::{Known, pinpoints_of, prepared};
use crate::config::published::{self, Seen};
use crate::config::silent;
use crate::config::{Config, Projector, VisionConfig};
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
        let family = Family::of(fields)?;
        self.refuse_unsupported()?;
        let inner = Fields { file: "the vision tower's config.json", value: &tower.config };
        let kind = family.tower(inner)?;
        silent::check_tower(inner, kind)?;
        self.check_strategy(tower, family, kind)?;
        let (select, there) = (self.selected_layer(family)?, tower.layers(self.tensors));
        let vision = published::vision(inner, (family, kind), select, there)?;
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
        let seen = self.seen(text)?;
        silent::check_decoder(text, seen)?;
        let language = published::language(text, seen)?;
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
            ProjectorNames::Mlp(linears) => {
                let newline = family.pictures == PictureRule::Pinpoints;
                Projector::Mlp(published::mlp(fields, linears.len(), newline)?)
            }
            ProjectorNames::Shuffle(_) => Projector::Shuffle(published::shuffle(fields)?),
            ProjectorNames::Ldp2(..) => Projector::Ldp2(published::ldp2(fields)?),
        };
        let pictures = self.pictures(tower, family, &vision)?;
        let generation = generation.map(|value| Fields { file: "generation_config.json", value });
        let end_ids = published::end_ids(&[generation, Some(text), Some(fields)], tokenizer.eos())?;
        let Pictures { mean, std, padded: pad_to_square, preparing } = pictures;
        let config = Config {
            vision,
            projector,
            language,
            pad_to_square,
            preparing,
            reads_documents: tokenizer.writes_documents(),
            mean,
            std,
            end_ids,
        };
        config.check("config.json")?;
        self.check_processor(tower, &config)?;
        Ok(config)
    }

    /// Refuses a selection of features that is not every patch and nothing else, and processors
    /// that count on another one.
    fn check_strategy(&self, tower: &Tower, family: &Family, kind: &Kind) -> Result<()> {
        let key = "vision_feature_select_strategy";
        let wanted = kind.strategy();
        self.fields.only(key, &[wanted])?;
        if self.fields.get(key).is_none() && family.strategy != wanted {
            return Err(self.fields.bad(format!(
                "{key} is missing, which means {:?}; for {}'s towers {wanted:?} is supported",
                family.strategy, kind.name
            )));
        }
        for (file, value) in &tower.processors {
            Fields { file, value }.only(key, &[wanted])?;
        }
        Ok(())
    }

    /// Refuses a processor that counts other image tokens than the network makes.
    fn check_processor(&self, tower: &Tower, config: &Config) -> Result<()> {
        for (file, value) in &tower.processors {
            let fields = Fields { file, value };
            for key in ["image_seq_len", "num_image_tokens"] {
                let made = config.square_tokens();
                if let Some(other) = fields.get(key).filter(|n| n.as_u64() != Some(made as u64)) {
                    return Err(fields.bad(format!(
                        "{key} is {}, but a square gives {made} image tokens",
                        short(other)
                    )));
                }
            }
            let (key, own) = ("vision_aspect_ratio", self.fields.get("vision_aspect_ratio"));
            if let (Some(other), Some(own)) = (fields.get(key), own)
                && other != own
            {
                return Err(fields.bad(format!(
                    "{key} is {}, in config.json {}; it is not clear which one counts",
                    short(other),
                    short(own)
                )));
            }
        }
        Ok(())
    }

    /// What would change the answer unseen.
    fn refuse_unsupported(&self) -> Result<()> {
        let fields = self.fields;
        published::refuse_unsupported(fields)?;
        silent::check_kinds(fields)?;
        for (key, known) in [
            ("mm_vision_select_feature", &["patch"][..]),
            ("mm_patch_merge_type", &["flat"]),
            ("image_aspect_ratio", &["pad", "square"]),
        ] {
            fields.only(key, known)?;
        }
        match self.projector {
            ProjectorNames::Resampler(_) => fields.only("query_abstractor_type", &["matry_query"]),
            _ => Ok(()),
        }
    }

    /// Which of the tower's layers is read: LLaVA's own name of the field or llava-hf's.
    fn selected_layer(&self, family: &Family) -> Result<i64> {
        let (own, hf) = (
            self.fields.layer("mm_vision_select_layer")?,
            self.fields.layer("vision_feature_layer")?,
        );
        match (own, hf) {
            (Some(own), Some(hf)) if own != hf => {
                Err(self.fields.bad(format!("mm_vision_select_layer is {own}, vision_feature_layer {hf}; it is not clear which one counts")))
            }
            _ => Ok(own.or(hf).unwrap_or(family.layer)),
        }
    }

    /// How pictures are prepared. The tower's own file counts; one beside the checkpoint must not
    /// say anything else.
    fn pictures(&self, tower: &Tower, family: &Family, vision: &VisionConfig) -> Result<Pictures> {
        let side = vision.image_size;
        let pinpoints = match family.pictures {
            PictureRule::Pinpoints => Some(pinpoints_of(self.fields, side)?),
            _ => None,
        };
        let known = Known {
            rule: family.pictures,
            clip: vision.class_token,
            side,
            padded: self.fields.text("image_aspect_ratio")? == Some("pad"),
            pinpoints,
        };
        let read = |(file, value): &(String, Value)| prepared(Some(Fields { file, value }), &known);
        let Some(first) = tower.preprocessors.first() else { return prepared(None, &known) };
        let said = read(first)?;
        for other in &tower.preprocessors[1..] {
            if read(other)? != said {
                let problem = format!("it prepares pictures in another way than {}", first.0);
                return Err(Error::ModelCorrupt { file: other.0.clone(), problem });
            }
        }
        Ok(said)
    }

    /// Whether the embedding table is the head. The file's own head counts unless the whole model's
    /// configuration says otherwise; where there is none, somebody has to say so.
    fn tied(&self, text: Fields) -> Result<bool> {
        let key = "tie_word_embeddings";
        let (whole, inner) = (self.fields.flag(key)?, text.flag(key)?);
        match (&self.names.head, self.fields.get(key)) {
            (Some(_), Some(_)) => Ok(whole),
            (Some(_), None) => Ok(inner),
            (None, _) if whole || inner => Ok(true),
            (None, _) => {
                Err(self.fields.bad(format!("{key} is not true, but there is no lm_head.weight")))
            }
        }
    }

    fn seen(&self, text: Fields) -> Result<Seen> {
        let layer = |i: usize, rest: &str| format!("{}layers.{i}.{rest}", self.names.language);
        let gate = layer(0, "mlp.gate_proj.weight");
        let ffn = if self.tensors.contains_key(&gate) { self.shape2(&gate)?[0] } else { 0 };
        Ok(Seen {
            embed: self.shape2(&format!("{}embed_tokens.weight", self.names.language))?,
            ffn,
            layers: (0..)
                .take_while(|i| self.tensors.contains_key(&layer(*i, "input_layernorm.weight")))
                .count(),
            tied: self.tied(text)?,
            qkv_bias: self.tensors.contains_key(&layer(0, "self_attn.q_proj.bias")),
        })
    }
}
