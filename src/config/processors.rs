//! Preprocessors of the families with SigLIP towers: pictures are stretched to a square, or cut
//! into several. Settings that would give other pixels are refused by name.
//!
//! Upstream: transformers' `SiglipImageProcessor`, `Idefics3ImageProcessor`,
//! `SmolVLMImageProcessor` and `LlavaOnevisionImageProcessor`.

use super::Preparing;
use super::families::PictureRule;
use super::fields::Fields;
use super::pictures::{
    PROCESSORS, Pictures, check_steps, normalisation, pictures, refuse_unknown, short,
};
use crate::error::Result;
use crate::image::Filter;
use crate::image::tiles::Tiling;

/// What is known of a checkpoint's pictures besides its preprocessor's file.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// The family's rule.
    pub(crate) rule: PictureRule,
    /// The tower has a class token: it is CLIP's.
    pub(crate) clip: bool,
    /// The tower's side in pixels.
    pub(crate) side: usize,
    /// `image_aspect_ratio` pads before the processor starts.
    pub(crate) padded: bool,
    /// Sizes and K of `config.json`, for [`PictureRule::Pinpoints`].
    pub(crate) pinpoints: Option<(Vec<[usize; 2]>, usize)>,
}

/// SigLIP's mean and deviation.
const HALF: ([f64; 3], [f64; 3]) = ([0.5; 3], [0.5; 3]);
/// Fields that every one of these preprocessors has.
const COMMON: [&str; 9] = [
    "image_processor_type",
    "do_convert_rgb",
    "do_resize",
    "resample",
    "do_rescale",
    "rescale_factor",
    "do_normalize",
    "image_mean",
    "image_std",
];
const STRETCHING: [&str; 2] = ["SiglipImageProcessor", "SiglipImageProcessorFast"];
const EDGES: [&str; 4] = [
    "Idefics3ImageProcessor",
    "Idefics3ImageProcessorFast",
    "SmolVLMImageProcessor",
    "SmolVLMImageProcessorFast",
];
const PINPOINTS: [&str; 2] = ["LlavaOnevisionImageProcessor", "LlavaOnevisionImageProcessorFast"];

/// Reads a preprocessor's settings; its publisher's where it is silent.
///
/// # Errors
/// [`Error::ModelCorrupt`](crate::Error::ModelCorrupt), naming the field that cannot be honoured.
pub(crate) fn prepared(fields: Option<Fields>, known: &Known) -> Result<Pictures> {
    let named = match fields {
        Some(fields) => fields.text("image_processor_type")?,
        None => None,
    };
    match known.rule {
        PictureRule::Clip => pictures(fields, known.side, known.padded),
        PictureRule::ByTower if known.clip || named.is_some_and(|n| PROCESSORS.contains(&n)) => {
            pictures(fields, known.side, known.padded)
        }
        PictureRule::ByTower => stretched(fields, known),
        PictureRule::Edges => edges(fields, known),
        PictureRule::Pinpoints => pinpoints(fields, known),
    }
}

/// What the three have in common.
fn common(fields: &Fields, processors: &[&str], more: &[&str], usual: Filter) -> Result<Pictures> {
    refuse_unknown(fields, &[&COMMON, more].concat())?;
    fields.only("image_processor_type", processors)?;
    check_steps(fields)?;
    let filter = match fields.get("resample").map(|value| (value, value.as_f64())) {
        None => usual,
        Some((_, Some(1.0))) => Filter::Lanczos,
        Some((_, Some(3.0))) => Filter::Bicubic,
        Some((other, _)) => {
            return Err(fields.bad(format!(
                "resample {} is not supported; 1, Lanczos, and 3, bicubic, are",
                short(other)
            )));
        }
    };
    let (mean, std) = normalisation(fields, HALF)?;
    let preparing = Preparing { filter, over_white: true, ..Preparing::default() };
    Ok(Pictures { mean, std, padded: false, preparing })
}

/// Pictures of which no file says anything.
fn silent(filter: Filter) -> Pictures {
    let preparing = Preparing { filter, over_white: true, ..Preparing::default() };
    Pictures { mean: HALF.0, std: HALF.1, padded: false, preparing }
}

fn stretched(fields: Option<Fields>, known: &Known) -> Result<Pictures> {
    let mut read = match &fields {
        None => silent(Filter::Bicubic),
        Some(fields) => {
            check_square(fields, known.side)?;
            common(fields, &STRETCHING, &["size"], Filter::Bicubic)?
        }
    };
    // Checkpoints of LLaVA's own code, which pads before its processor starts and drops alpha.
    read.padded = known.padded;
    read.preparing.stretch = !known.padded;
    read.preparing.over_white = !known.padded;
    Ok(read)
}

/// The tower's side, as a number or as height and width: anything else keeps the aspect.
fn check_square(fields: &Fields, side: usize) -> Result<()> {
    let Some(size) = fields.get("size") else { return Ok(()) };
    let is = |value: Option<&serde_json::Value>| {
        value.and_then(serde_json::Value::as_u64) == Some(side as u64)
    };
    let both = size.as_object().is_some_and(|edges| edges.len() == 2)
        && is(size.get("height"))
        && is(size.get("width"));
    if both || is(Some(size)) {
        return Ok(());
    }
    Err(fields.bad(format!(
        "size {} is not supported; it has to be the {side} × {side} pixels of the tower",
        short(size)
    )))
}

fn edges(fields: Option<Fields>, known: &Known) -> Result<Pictures> {
    let Some(fields) = fields else {
        let file = "preprocessor_config.json";
        let missing = Fields { file, value: &serde_json::Value::Null };
        return Err(missing.bad("it is missing, and with it how pictures are cut".into()));
    };
    let more = ["do_image_splitting", "do_pad", "max_image_size", "size", "video_sampling"];
    let mut read = common(&fields, &EDGES, &more, Filter::Lanczos)?;
    let longest = |key: &str| match fields.inner(key)? {
        None => Ok(None),
        Some(edges) => match edges.value.as_object().map(|all| all.len()) {
            Some(1) => edges.count_or_none("longest_edge"),
            _ => Err(fields.bad(format!("{key} {} is not a longest_edge", short(edges.value)))),
        },
    };
    if let Some(other) = longest("max_image_size")?.filter(|edge| *edge != known.side) {
        return Err(fields.bad(format!(
            "max_image_size is {other}; it has to be the {} pixels of the tower",
            known.side
        )));
    }
    let edge = longest("size")?.ok_or_else(|| fields.bad("size is missing".into()))?;
    if !edge.is_multiple_of(known.side) {
        return Err(fields.bad(format!(
            "size {edge} is not a multiple of the {} pixels of the tower",
            known.side
        )));
    }
    let key = "do_image_splitting";
    let split = fields.get(key).is_none() || fields.flag(key)?;
    read.preparing.tiling = Tiling::Edges { published: edge / known.side, split };
    Ok(read)
}

fn pinpoints(fields: Option<Fields>, known: &Known) -> Result<Pictures> {
    let (sizes, most) = known.pinpoints.clone().expect("read for this rule");
    let mut read = match &fields {
        None => silent(Filter::Bicubic),
        Some(fields) => {
            check_square(fields, known.side)?;
            let own = list(fields)?;
            if own.is_some_and(|own| own != sizes) {
                return Err(fields.bad(
                    "image_grid_pinpoints are others than config.json's; it is not clear which ones count"
                        .into(),
                ));
            }
            let more = ["size", "do_pad", "image_grid_pinpoints"];
            common(fields, &PINPOINTS, &more, Filter::Bicubic)?
        }
    };
    // The whole picture and a frame are stretched.
    read.preparing.stretch = true;
    read.preparing.tiling = Tiling::Pinpoints { sizes, most };
    Ok(read)
}

/// The sizes that pictures may be cut at, [height, width] each; `None` if absent.
fn list(fields: &Fields) -> Result<Option<Vec<[usize; 2]>>> {
    let key = "image_grid_pinpoints";
    let Some(value) = fields.get(key) else { return Ok(None) };
    let pair = |pair: &serde_json::Value| {
        let pair = pair.as_array()?;
        let number = |i: usize| usize::try_from(pair.get(i)?.as_u64()?).ok();
        Some([number(0)?, number(1)?]).filter(|_| pair.len() == 2)
    };
    let sizes: Option<Vec<_>> = value.as_array().and_then(|all| all.iter().map(pair).collect());
    sizes.map(Some).ok_or_else(|| {
        fields.bad(format!("{key} is {}, not a list of heights and widths", short(value)))
    })
}

/// Sizes and K of a whole `config.json`.
///
/// # Errors
/// [`Error::ModelCorrupt`](crate::Error::ModelCorrupt), naming the field.
pub(crate) fn pinpoints_of(fields: Fields, side: usize) -> Result<(Vec<[usize; 2]>, usize)> {
    let key = "vision_aspect_ratio";
    let ratio = fields.text(key)?.unwrap_or("anyres_max_9");
    let most = ratio.strip_prefix("anyres_max_").and_then(|k| k.parse().ok()).filter(|k| *k > 0);
    let Some(most) = most else {
        return Err(fields.bad(format!(
            "{key} {:?} is not supported; anyres_max_ and a number are",
            crate::untrusted::cut(ratio, 60)
        )));
    };
    let sizes =
        list(&fields)?.ok_or_else(|| fields.bad("image_grid_pinpoints is missing".into()))?;
    let other = sizes.iter().flatten().find(|edge| **edge == 0 || !edge.is_multiple_of(side));
    match other {
        Some(edge) => Err(fields.bad(format!(
            "image_grid_pinpoints has {edge}, which is no multiple of the {side} pixels of the tower"
        ))),
        None => Ok((sizes, most)),
    }
}
