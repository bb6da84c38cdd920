//! Whether the numbers of a model are plausible and fit together, wherever they come from.

use super::pictures::are_usable;
use super::{
    Config, LARGEST, Ldp2Config, MlpConfig, Projector, ResamplerConfig, ShuffleConfig, VisionConfig,
};
use crate::error::{Error, Result};
use crate::image::tiles::Tiling;
use crate::kernels::attention::cache::HeadShape;

impl Config {
    /// Checks that the numbers are plausible and fit together, wherever they come from; what
    /// follows relies on it.
    ///
    /// # Errors
    /// [`Error::ModelCorrupt`] about `file`.
    pub(crate) fn check(&self, file: &str) -> Result<()> {
        let bad = |problem: String| Err(Error::ModelCorrupt { file: file.to_owned(), problem });
        let (v, l) = (&self.vision, &self.language);
        let HeadShape { heads, kv_heads, head_dim } = l.shape;
        let counts = [
            v.image_size,
            v.patch,
            v.hidden,
            v.heads,
            v.mlp,
            l.hidden,
            heads,
            kv_heads,
            head_dim,
            l.ffn,
            l.vocab,
            l.max_positions,
        ];
        if let Some(n) = counts.into_iter().find(|n| !(1..=LARGEST as usize).contains(n)) {
            return bad(format!("{n} as a size of its network is not between 1 and {LARGEST}"));
        }
        if v.layers == 0 || l.layers == 0 || v.layers.max(l.layers) > MOST_LAYERS {
            return bad(format!(
                "{} and {} layers are not between 1 and {MOST_LAYERS}",
                v.layers, l.layers
            ));
        }
        if v.image_size > MOST_PIXELS {
            return bad(format!(
                "its pictures have {} pixels a side, more than the {MOST_PIXELS} of any tower",
                v.image_size
            ));
        }
        if !v.hidden.is_multiple_of(v.heads) || v.patch > v.image_size || v.patches() > MOST_PATCHES
        {
            let VisionConfig { hidden, heads, patch, image_size, .. } = v;
            return bad(format!(
                "width {hidden} in {heads} heads, patches of {patch} in {image_size} pixels: these do not fit together"
            ));
        }
        if !heads.is_multiple_of(kv_heads)
            || !head_dim.is_multiple_of(2)
            || head_dim > 1024
            || heads * head_dim > LARGEST as usize
            || l.inv_freq.len() != head_dim / 2
        {
            return bad(format!(
                "{heads} query heads over {kv_heads} key heads of width {head_dim}: these do not fit together"
            ));
        }
        self.check_projector().or_else(bad)?;
        self.check_tiling().or_else(bad)?;
        if !are_usable(&self.mean, &self.std) {
            return bad("image_mean or image_std of the pictures is not a usable number".into());
        }
        let positive = [f64::from(v.eps), f64::from(l.eps), self.std[0], self.std[1], self.std[2]];
        if positive.iter().any(|n| !(n.is_finite() && *n > 0.0))
            || self.mean.iter().chain(&l.inv_freq).any(|n| !n.is_finite())
        {
            return bad(
                "an epsilon, a frequency or the pictures' normalisation is not a usable number"
                    .into(),
            );
        }
        Ok(())
    }

    /// The projector's part of [`Config::check`]; the error is the problem in words.
    fn check_projector(&self) -> Result<(), String> {
        let v = &self.vision;
        match &self.projector {
            // The position table of the queries is a square grid.
            Projector::Resampler(ResamplerConfig { m_max, .. })
                if *m_max == 0 || *m_max > MOST_PATCHES || m_max.isqrt().pow(2) != *m_max =>
            {
                Err(format!(
                    "it has {m_max} queries; their number must be a square up to {MOST_PATCHES}"
                ))
            }
            Projector::Resampler(ResamplerConfig { heads, .. })
                if *heads == 0 || !v.hidden.is_multiple_of(*heads) =>
            {
                Err(format!(
                    "{heads} heads do not divide the resampler's width {} (query_abstractor_num_heads)",
                    v.hidden
                ))
            }
            Projector::Mlp(MlpConfig { linears, .. }) if !(1..=MOST_LINEARS).contains(linears) => {
                Err(format!("its projector has {linears} linear layers, not 1 to {MOST_LINEARS}"))
            }
            Projector::Shuffle(ShuffleConfig { scale })
                if *scale == 0
                    || !v.grid().is_multiple_of(*scale)
                    || scale * scale * v.hidden > LARGEST as usize =>
            {
                Err(format!(
                    "scale_factor {scale} does not divide the tower's grid of {0} × {0} patches",
                    v.grid()
                ))
            }
            Projector::Ldp2(Ldp2Config { side })
                if *side == 0 || !v.grid().is_multiple_of(*side) =>
            {
                Err(format!(
                    "the projector makes {side} × {side} tokens, which does not divide the tower's grid of {0} × {0} patches",
                    v.grid()
                ))
            }
            _ => Ok(()),
        }
    }

    /// The part of [`Config::check`] about cutting pictures; the error is the problem in words.
    fn check_tiling(&self) -> Result<(), String> {
        let side = self.vision.image_size;
        match &self.preparing.tiling {
            Tiling::Edges { published, .. } if !(1..=MOST_EDGE).contains(published) => Err(
                format!("pictures of {published} squares a side are not between 1 and {MOST_EDGE}"),
            ),
            Tiling::Edges { .. } | Tiling::Pinpoints { .. }
                if matches!(self.projector, Projector::Resampler(_) | Projector::Ldp2(_)) =>
            {
                Err("its projector does not go with pictures in several squares".into())
            }
            Tiling::Pinpoints { .. } if !matches!(&self.projector, Projector::Mlp(mlp) if mlp.newline) => {
                Err("pictures in squares of given sizes need a projector with image_newline".into())
            }
            Tiling::Pinpoints { sizes, most } => {
                if sizes.is_empty()
                    || sizes.len() > MOST_PINPOINTS
                    || !(1..=MOST_SQUARES).contains(most)
                {
                    return Err(format!(
                        "it has {} sizes of pictures and reduces above {most} squares; 1 to {MOST_PINPOINTS} and 1 to {MOST_SQUARES} are possible",
                        sizes.len()
                    ));
                }
                let fits = |[height, width]: &&[usize; 2]| {
                    let (rows, columns) = (height / side, width / side);
                    rows * side == *height
                        && columns * side == *width
                        && rows >= 1
                        && columns >= 1
                        && rows.saturating_mul(columns) <= MOST_SQUARES
                };
                if let Some(size) = sizes.iter().find(|size| !fits(size)) {
                    return Err(format!(
                        "image_grid_pinpoints has {size:?}, which is not up to {MOST_SQUARES} squares of the tower's {side} pixels"
                    ));
                }
                let tokens = self.largest_plans().iter().map(|plan| self.tokens(plan)).max();
                match tokens.filter(|tokens| *tokens > MOST_TOKENS) {
                    Some(tokens) => Err(format!(
                        "its largest pictures are {tokens} image tokens; {MOST_TOKENS} is the most"
                    )),
                    None => Ok(()),
                }
            }
            Tiling::Square | Tiling::Edges { .. } => Ok(()),
        }
    }
}

/// The most patches of a picture and the most image tokens: WebGPU runs at most 65 535 workgroups
/// along a dimension.
const MOST_PATCHES: usize = 1 << 14;
/// The most pixels along a side of a tower's picture: one of them as floats takes 200 MB.
const MOST_PIXELS: usize = 4096;

/// The most squares along a side of a picture: [`crate::image::tiles::Level::Edge`] counts them.
const MOST_EDGE: usize = 16;
/// The most image tokens of a picture in several squares: each is a workgroup along a dimension, of
/// which WebGPU runs at most 65 535.
const MOST_TOKENS: usize = 65_535;
/// The most squares of a picture, and the most sizes that a checkpoint may list.
const MOST_SQUARES: usize = 256;
const MOST_PINPOINTS: usize = 256;

/// The most linear layers of a projector.
const MOST_LINEARS: usize = 16;
/// The most layers of a tower or decoder.
const MOST_LAYERS: usize = 1024;
