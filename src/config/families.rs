//! What a checkpoint's `model_type` implies and its files do not say. Another family is another row
//! here.
//!
//! Upstream: the configuration classes of transformers, and the code that LLaVA's and MobileVLM's
//! checkpoints were trained with.

use super::fields::Fields;
use super::vision::Activation;
use crate::error::Result;

/// One family.
#[derive(Debug)]
pub(crate) struct Family {
    /// Values of `model_type`; none: every other.
    model_types: &'static [&'static str],
    /// Towers that it is published with, the usual one first.
    towers: &'static [&'static Tower],
    /// Its only tower, whatever the inner `model_type` says, which some files lack.
    one_tower: bool,
    /// The tower's default for `num_attention_heads`, where the family has its own.
    pub(crate) heads: Option<usize>,
    /// The selected layer where no field says so: an index into the hidden states.
    pub(crate) layer: i64,
    /// The tower's last norm runs.
    pub(crate) post_norm: bool,
    /// `vision_feature_select_strategy` where it is absent.
    pub(crate) strategy: &'static str,
    /// A tower inside the checkpoint was trained with it: no other is used.
    pub(crate) own_tower: bool,
    /// How its pictures are prepared.
    pub(crate) pictures: PictureRule,
}

/// Which rules a family's pictures follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PictureRule {
    /// CLIP's: padded or cut.
    Clip,
    /// By the tower: CLIP's, or SigLIP's stretching.
    ByTower,
    /// Idefics3's squares along the longer edge.
    Edges,
    /// LLaVA-OneVision's sizes.
    Pinpoints,
}

/// A kind of vision tower.
#[derive(Debug, PartialEq)]
pub(crate) struct Tower {
    /// How it is called.
    pub(crate) name: &'static str,
    /// Values of the tower's own `model_type`.
    pub(crate) model_types: &'static [&'static str],
    /// What the names of its classes begin with.
    pub(crate) class: &'static str,
    pub(crate) class_token: bool,
    pub(crate) pre_norm: bool,
    pub(crate) patch_bias: bool,
    /// Defaults of the fields that files may leave out.
    pub(crate) act: &'static str,
    pub(crate) eps: f64,
    pub(crate) layers: Option<usize>,
    pub(crate) mlp: Option<usize>,
    pub(crate) heads: Option<usize>,
}

const CLIP: Tower = Tower {
    name: "CLIP",
    model_types: &["clip_vision_model", "clip"],
    class: "CLIP",
    class_token: true,
    pre_norm: true,
    patch_bias: false,
    act: "quick_gelu",
    eps: 1e-5,
    layers: None,
    mlp: None,
    heads: None,
};

const SIGLIP: Tower = Tower {
    name: "SigLIP",
    model_types: &["siglip_vision_model", "siglip"],
    class: "Siglip",
    class_token: false,
    pre_norm: false,
    patch_bias: true,
    act: "gelu_pytorch_tanh",
    eps: 1e-6,
    layers: Some(12),
    mlp: Some(3072),
    heads: Some(12),
};

/// LLaVA's own layout, MQT-LLaVA's and their kin: what has none of the names below.
static OTHER: Family = LLAVA;
const LLAVA: Family = Family {
    model_types: &[],
    towers: &[&CLIP],
    one_tower: false,
    heads: None,
    layer: -2,
    post_norm: false,
    strategy: "default",
    own_tower: false,
    pictures: PictureRule::Clip,
};

static FAMILIES: [Family; 4] = [
    Family {
        model_types: &["llava"],
        towers: &[&CLIP, &SIGLIP],
        pictures: PictureRule::ByTower,
        ..LLAVA
    },
    Family {
        model_types: &["smolvlm", "idefics3"],
        towers: &[&SIGLIP],
        one_tower: true,
        heads: Some(16),
        layer: -1,
        post_norm: true,
        strategy: "full",
        pictures: PictureRule::Edges,
        ..LLAVA
    },
    Family {
        model_types: &["llava_onevision"],
        towers: &[&SIGLIP],
        layer: -1,
        strategy: "full",
        pictures: PictureRule::Pinpoints,
        ..LLAVA
    },
    Family { model_types: &["mobilevlm"], own_tower: true, ..LLAVA },
];

impl Family {
    /// The family of a whole `config.json`.
    ///
    /// # Errors
    /// [`Error::ModelCorrupt`](crate::Error::ModelCorrupt) if `model_type` is no text.
    pub(crate) fn of(fields: Fields) -> Result<&'static Family> {
        let kind = fields.text("model_type")?.unwrap_or_default();
        Ok(FAMILIES.iter().find(|family| family.model_types.contains(&kind)).unwrap_or(&OTHER))
    }

    /// The kind of its tower, whose own configuration is `tower`.
    ///
    /// # Errors
    /// [`Error::ModelCorrupt`](crate::Error::ModelCorrupt), naming a field that says it is another.
    pub(crate) fn tower(&self, tower: Fields) -> Result<&'static Tower> {
        let usual = self.towers[0];
        if self.one_tower {
            return Ok(usual);
        }
        let known: Vec<&str> =
            self.towers.iter().flat_map(|tower| tower.model_types).copied().collect();
        tower.only("model_type", &known)?;
        let kind = tower.text("model_type")?;
        let named = |kind: &str| self.towers.iter().find(|tower| tower.model_types.contains(&kind));
        Ok(kind.and_then(named).copied().unwrap_or(usual))
    }
}

impl Tower {
    /// The `vision_feature_select_strategy` that keeps every patch and nothing else.
    pub(crate) fn strategy(&self) -> &'static str {
        if self.class_token { "default" } else { "full" }
    }
}

/// An activation function by transformers' name.
pub(crate) fn activation(name: &str) -> Option<Activation> {
    match name {
        "quick_gelu" => Some(Activation::Quick),
        "gelu" => Some(Activation::Erf),
        "gelu_pytorch_tanh" => Some(Activation::Tanh),
        _ => None,
    }
}
