//! `preprocessor_config.json` → what happens to a picture before the tower sees it. Settings that
//! would give other pixels are refused by name.
//!
//! Upstream: transformers' `CLIPImageProcessor`, and `LlavaImageProcessor`, which can pad.
//! `docs/checkpoints.md` lists every field.

use super::Preparing;
use crate::config::fields::Fields;
use crate::error::Result;
use crate::image::ImageSpec;
use serde_json::Value;

/// What a checkpoint says of its pictures, as far as models differ in it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pictures {
    /// Subtracted, per channel.
    pub(crate) mean: [f64; 3],
    /// Divided by, per channel.
    pub(crate) std: [f64; 3],
    /// Padded to a square with the mean colour.
    pub(crate) padded: bool,
    /// What else happens to them.
    pub(crate) preparing: Preparing,
}

/// Processors whose steps are those of [`ImageSpec`].
pub(super) const PROCESSORS: [&str; 5] = [
    "CLIPImageProcessor",
    "CLIPImageProcessorFast",
    "CLIPFeatureExtractor",
    "LlavaImageProcessor",
    "LlavaImageProcessorFast",
];
/// Those of them that pad where `do_pad` says so.
const PADDING: [&str; 2] = ["LlavaImageProcessor", "LlavaImageProcessorFast"];
/// Fields that change no pixel: names of classes, and how arrays are handed over in Python.
const HARMLESS: [&str; 9] = [
    "_valid_processor_keys",
    "data_format",
    "default_to_square",
    "device",
    "disable_grouping",
    "input_data_format",
    "processor_class",
    "return_tensors",
    "transformers_version",
];
/// Fields that are read here.
const READ: [&str; 14] = [
    "image_processor_type",
    "feature_extractor_type",
    "do_convert_rgb",
    "do_resize",
    "size",
    "resample",
    "do_center_crop",
    "crop_size",
    "do_rescale",
    "rescale_factor",
    "do_normalize",
    "image_mean",
    "image_std",
    "do_pad",
];
/// Pillow's number for bicubic.
const BICUBIC: i64 = 3;

/// Reads the settings of a tower for pictures of `side` pixels; CLIP's where they are silent.
/// `padded`: whether the checkpoint's `image_aspect_ratio` pads before the processor starts.
///
/// # Errors
/// [`Error::ModelCorrupt`](crate::Error::ModelCorrupt), naming the field that cannot be honoured.
pub(crate) fn pictures(fields: Option<Fields>, side: usize, padded: bool) -> Result<Pictures> {
    let clip = ImageSpec::clip(side);
    let Some(fields) = fields else {
        let preparing = Preparing::default();
        return Ok(Pictures { mean: clip.mean, std: clip.std, padded, preparing });
    };
    refuse_unknown(&fields, &READ)?;
    for key in ["image_processor_type", "feature_extractor_type"] {
        fields.only(key, &PROCESSORS)?;
    }
    check_steps(&fields)?;
    let resample = fields.get("resample").filter(|value| value.as_f64() != Some(BICUBIC as f64));
    if let Some(other) = resample {
        return Err(fields
            .bad(format!("resample {} is not supported; {BICUBIC}, bicubic, is", short(other))));
    }
    let pads = fields.flag("do_pad")?;
    if pads
        && !padded
        && !fields.text("image_processor_type")?.is_some_and(|name| PADDING.contains(&name))
    {
        return Err(fields.bad(
            "do_pad is not supported with this image_processor_type; LlavaImageProcessor's is"
                .into(),
        ));
    }
    let padded = padded || pads;
    // A square comes out of resizing as large as the tower's pictures: there is nothing left to cut
    // away.
    let crops = fields.get("do_center_crop").is_none() || fields.flag("do_center_crop")?;
    if !padded && !crops {
        return Err(fields.bad(
            "do_center_crop false is not supported for pictures that are not padded to a square"
                .into(),
        ));
    }
    check_size(&fields, "size", side, padded)?;
    check_size(&fields, "crop_size", side, true)?;
    let (mean, std) = normalisation(&fields, (clip.mean, clip.std))?;
    Ok(Pictures { mean, std, padded, preparing: Preparing::default() })
}

/// Refuses steps that are left out, and samples on another scale.
pub(super) fn check_steps(fields: &Fields) -> Result<()> {
    for key in ["do_convert_rgb", "do_resize", "do_rescale", "do_normalize"] {
        if fields.get(key).is_some() && !fields.flag(key)? {
            return Err(fields
                .bad(format!("{key} false is not supported; pictures are always {}", done(key))));
        }
    }
    let factor = fields
        .get("rescale_factor")
        .filter(|value| value.as_f64().is_none_or(|v| (v * 255.0 - 1.0).abs() > 1e-6));
    if let Some(other) = factor {
        return Err(
            fields.bad(format!("rescale_factor {} is not supported; 1 / 255 is", short(other)))
        );
    }
    Ok(())
}

/// Mean and deviation, `usual` where the file has none.
pub(super) fn normalisation(
    fields: &Fields,
    usual: ([f64; 3], [f64; 3]),
) -> Result<([f64; 3], [f64; 3])> {
    let mean = fields.triple("image_mean")?.unwrap_or(usual.0);
    let std = fields.triple("image_std")?.unwrap_or(usual.1);
    if !are_usable(&mean, &std) {
        return Err(fields.bad(format!(
            "image_mean {mean:?} and image_std {std:?} cannot be used; a deviation has to be above 0, and neither may be too large or too small for 32-bit floats"
        )));
    }
    Ok((mean, std))
}

/// Whether pixels can be normalised with these, as the 32-bit floats that they become.
pub(crate) fn are_usable(mean: &[f64; 3], std: &[f64; 3]) -> bool {
    mean.iter().zip(std).all(|(mean, std)| {
        *std > 0.0 && ((1.0 / std) as f32).is_normal() && ((mean / std) as f32).is_finite()
    })
}

/// A number is the shorter edge, or both edges of a crop. Height and width of a picture that is no
/// square would stretch it.
fn check_size(fields: &Fields, key: &str, side: usize, square: bool) -> Result<()> {
    let Some(value) = fields.get(key) else { return Ok(()) };
    let is_side = |value: &Value| value.as_u64() == Some(side as u64);
    let edges: Vec<(&str, &Value)> = value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.as_str(), value))
        .collect();
    let right = match edges.as_slice() {
        [] => is_side(value),
        [("shortest_edge", edge)] => is_side(edge),
        [("height", height), ("width", width)] => square && is_side(height) && is_side(width),
        _ => false,
    };
    if right {
        return Ok(());
    }
    Err(fields.bad(format!(
        "{key} {} is not supported; it has to be the {side} pixels of the tower{}",
        short(value),
        if square { "" } else { ", as the shortest edge" }
    )))
}

/// A field that nobody here knows may change pixels, unless it says no.
pub(super) fn refuse_unknown(fields: &Fields, read: &[&str]) -> Result<()> {
    let known = |key: &str| HARMLESS.contains(&key) || read.contains(&key);
    let off = |value: &Value| matches!(value, Value::Null | Value::Bool(false));
    let unknown = fields
        .value
        .as_object()
        .into_iter()
        .flatten()
        .find(|(key, value)| !known(key) && !off(value));
    unknown.map_or(Ok(()), |(key, value)| {
        Err(fields.bad(format!(
            "{} {} is not supported",
            crate::untrusted::cut(key, 60),
            short(value)
        )))
    })
}

fn done(key: &str) -> &'static str {
    match key {
        "do_convert_rgb" => "converted to RGB",
        "do_resize" => "resized",
        "do_rescale" => "scaled to 0..1",
        _ => "normalised",
    }
}

/// A value as it stands in a message.
pub(crate) fn short(value: &Value) -> String {
    crate::untrusted::cut(&value.to_string(), 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(change: Value, padded: bool) -> Result<Pictures> {
        let mut value = json!({
            "image_processor_type": "CLIPImageProcessor", "do_resize": true, "size": {"shortest_edge": 112}, "resample": 3, "do_center_crop": true,
            "crop_size": {"height": 112, "width": 112}, "do_rescale": true, "rescale_factor": 0.003_921_568_627_450_98, "do_normalize": true,
            "do_convert_rgb": true, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25],
        });
        value.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        pictures(Some(Fields { file: "preprocessor_config.json", value: &value }), 112, padded)
    }

    #[test]
    fn what_would_give_other_pixels_is_refused_by_name() {
        for (key, value) in [
            ("size", json!({"shortest_edge": 56})),
            ("size", json!({"height": 112, "width": 56})),
            ("size", json!({"longest_edge": 112})),
            ("size", json!(336)),
            ("size", json!("112")),
            ("crop_size", json!(56)),
            ("crop_size", json!({"height": 112, "width": 111})),
            ("resample", json!(2)),
            ("resample", json!("bicubic")),
            ("rescale_factor", json!(1.0)),
            ("rescale_factor", json!(1.0 / 127.5)),
            ("do_rescale", json!(false)),
            ("do_normalize", json!(false)),
            ("do_normalize", json!("true")),
            ("do_resize", json!(false)),
            ("do_convert_rgb", json!(false)),
            ("do_center_crop", json!(0)),
            ("image_mean", json!(0.5)),
            ("image_mean", json!([0.5, 0.5])),
            ("image_std", json!([0.5, 0.5, "1"])),
            ("image_processor_type", json!("SiglipImageProcessor")),
            ("image_processor_type", json!(["CLIPImageProcessor"])),
            ("do_image_splitting", json!(true)),
            ("do_flip_channel_order", json!(true)),
            ("rescale_offset", json!(0.5)),
            ("image_grid_pinpoints", json!([[112, 224]])),
        ] {
            for padded in [true, false] {
                // Where pictures are padded the crop takes nothing away.
                let error = read(json!({key: value}), padded)
                    .err()
                    .unwrap_or_else(|| panic!("{key} {value} was ignored"));
                assert!(error.to_string().contains(key) && error.exit_code() == 3, "{error}");
            }
        }
        for (key, value) in [
            ("do_pad", json!(true)),
            ("do_center_crop", json!(false)),
            ("size", json!({"height": 112, "width": 112})),
        ] {
            let error = read(json!({key: value}), false).unwrap_err();
            assert!(error.to_string().contains(key), "{error}");
        }
    }

    #[test]
    fn what_gives_the_same_pixels_is_read() {
        let preparing = Preparing::default();
        let plain = Pictures { mean: [0.5; 3], std: [0.25; 3], padded: false, preparing };
        for change in [
            json!({}),
            json!({"size": 112, "crop_size": 112, "feature_extractor_type": "CLIPFeatureExtractor", "image_processor_type": null}),
            json!({"do_pad": false, "do_image_splitting": false, "size_divisor": null, "_valid_processor_keys": ["images"], "do_convert_rgb": null}),
        ] {
            assert_eq!(read(change, false).unwrap(), plain);
        }
        for change in [
            json!({"do_center_crop": false}),
            json!({"size": {"height": 112, "width": 112}}),
            json!({"do_pad": true}),
        ] {
            assert_eq!(read(change, true).unwrap(), Pictures { padded: true, ..plain.clone() });
        }
        let llava = json!({"image_processor_type": "LlavaImageProcessorFast", "do_pad": true});
        assert_eq!(read(llava, false).unwrap(), Pictures { padded: true, ..plain.clone() });
        let clip = ImageSpec::clip(112);
        assert_eq!(
            pictures(None, 112, true).unwrap(),
            Pictures { mean: clip.mean, std: clip.std, ..Pictures { padded: true, ..plain } }
        );
    }
}
