//! The vision tower's numbers: its kind of transformer, described property by property.

use crate::kernels::attention::cache::HeadShape;
use crate::kernels::product::Act;

/// A vision transformer of CLIP's or SigLIP's kind.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct VisionConfig {
    /// Side of the square picture in pixels.
    pub image_size: usize,
    /// Side of a patch in pixels.
    pub patch: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width of the MLP.
    pub mlp: usize,
    /// Layers that run: up to the selected one.
    pub layers: usize,
    /// LayerNorm's ε.
    pub eps: f32,
    /// The MLP's activation function; packs made before there were three say whether it is exact.
    #[serde(alias = "exact_gelu")]
    pub act: Activation,
    /// A learned token stands before the patches (CLIP).
    #[serde(default = "yes")]
    pub class_token: bool,
    /// A norm before the first layer (CLIP).
    #[serde(default = "yes")]
    pub pre_norm: bool,
    /// The patches' matrix has a bias (SigLIP).
    #[serde(default)]
    pub patch_bias: bool,
    /// A norm after the last layer that runs.
    #[serde(default)]
    pub post_norm: bool,
}

fn yes() -> bool {
    true
}

/// A tower's activation function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase", from = "Spelling")]
#[non_exhaustive]
pub enum Activation {
    /// x · σ(1.702 x): CLIP's.
    Quick,
    /// x · Φ(x).
    Erf,
    /// The same by its approximation with tanh: SigLIP's.
    Tanh,
}

/// An activation function as manifests spell it.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Spelling {
    Exact(bool),
    Named(Name),
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Name {
    Quick,
    Erf,
    Tanh,
}

impl From<Spelling> for Activation {
    fn from(spelling: Spelling) -> Activation {
        match spelling {
            Spelling::Exact(false) | Spelling::Named(Name::Quick) => Activation::Quick,
            Spelling::Exact(true) | Spelling::Named(Name::Erf) => Activation::Erf,
            Spelling::Named(Name::Tanh) => Activation::Tanh,
        }
    }
}

impl From<Activation> for Act {
    fn from(act: Activation) -> Act {
        match act {
            Activation::Quick => Act::QuickGelu,
            Activation::Erf => Act::Gelu,
            Activation::Tanh => Act::GeluTanh,
        }
    }
}

impl VisionConfig {
    /// Patches per side; pixels that no whole patch covers are not seen.
    pub fn grid(&self) -> usize {
        self.image_size / self.patch
    }

    /// Patches per picture.
    pub fn patches(&self) -> usize {
        self.grid() * self.grid()
    }

    /// Rows of the residual stream: the patches, behind the class token if there is one.
    pub fn tokens(&self) -> usize {
        self.first_patch() + self.patches()
    }

    /// The row of the first patch.
    #[doc(hidden)]
    pub fn first_patch(&self) -> usize {
        usize::from(self.class_token)
    }

    /// Its heads, as the attention kernels see them.
    pub fn shape(&self) -> HeadShape {
        HeadShape { heads: self.heads, kv_heads: self.heads, head_dim: self.hidden / self.heads }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn manifests_from_before_there_were_three_activations_are_read() {
        let old = |exact: bool| json!({"image_size": 112, "patch": 14, "hidden": 192, "heads": 3, "mlp": 768, "layers": 7, "eps": 1e-5, "exact_gelu": exact});
        let read = |value| serde_json::from_value::<VisionConfig>(value).unwrap();
        let quick = read(old(false));
        assert_eq!((quick.act, quick.class_token, quick.pre_norm), (Activation::Quick, true, true));
        assert_eq!((quick.patch_bias, quick.post_norm), (false, false));
        assert_eq!(read(old(true)).act, Activation::Erf);
        for act in [Activation::Quick, Activation::Erf, Activation::Tanh] {
            let config = VisionConfig { act, class_token: false, ..quick.clone() };
            assert_eq!(read(serde_json::to_value(&config).unwrap()), config);
        }
        let mut unknown = old(true);
        unknown["exact_gelu"] = json!("relu");
        assert!(serde_json::from_value::<VisionConfig>(unknown).is_err());
    }
}
