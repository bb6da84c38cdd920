//! Checkpoints that are already quantised: reported in one sentence instead of a list of all their
//! tensors.

use super::files::{Files, json};
use super::tensors::Tensor;
use crate::error::{Error, Result};
use crate::untrusted::{cut, limits};
use serde_json::Value;
use std::collections::BTreeMap;

/// Where configurations say it: at the top, or of a part.
const KEYS: [&str; 3] = ["quantization_config", "compression_config", "quantization"];
const PARTS: [&str; 3] = ["text_config", "llm_config", "vision_config"];
/// What the number of bits is called.
const BITS: [&str; 5] = ["bits", "w_bit", "wbits", "nbits", "num_bits"];
/// Tensors that only a quantised checkpoint has, by the end of their names.
const SIGNS: [(&str, &str); 10] = [
    (".qweight", "GPTQ or AWQ"),
    (".absmax", "bitsandbytes, 4 bits"),
    (".quant_map", "bitsandbytes, 4 bits"),
    (".quant_state.bitsandbytes__nf4", "bitsandbytes, 4 bits"),
    (".quant_state.bitsandbytes__fp4", "bitsandbytes, 4 bits"),
    (".SCB", "bitsandbytes, 8 bits"),
    (".weight_packed", "compressed-tensors"),
    (".weight_scale_inv", "FP8, 8 bits"),
    (".W_q", "HQQ"),
    (".weight_scales", "EETQ, 8 bits"),
];

/// Files that quantisers write beside the weights, and who does.
const SIDE_FILES: [(&str, &str); 3] = [
    ("quantize_config.json", "GPTQ"),
    ("quant_config.json", "AWQ"),
    ("hf_quant_config.json", "ModelOpt"),
];

/// Refuses a checkpoint, or a tower, beside which a quantiser has left its settings; `whose` comes
/// before the file's name in the message.
///
/// # Errors
/// [`Error::ModelCorrupt`], with the method; what reading fails with.
pub(super) async fn check_side_files(files: &dyn Files, whose: &str) -> Result<()> {
    for (name, usual) in SIDE_FILES {
        let Some(settings) = json(files, name).await? else { continue };
        // ModelOpt keeps its settings one level deeper, and names the method in its own way.
        let inner = settings.get("quantization").unwrap_or(&settings);
        let method = inner.get("quant_method").or(inner.get("quant_algo")).and_then(Value::as_str);
        let how = match (usual, method) {
            ("ModelOpt", Some(method)) => format!("ModelOpt, {}", cut(method, 40)),
            (_, Some(method)) => named(method),
            _ => usual.into(),
        };
        let bits = bits(inner, 0).map(|bits| format!(", {bits} bits"));
        let how = format!("{how}{}", bits.unwrap_or_default());
        return Err(refusal(&format!("{whose}{name}"), &how));
    }
    Ok(())
}

/// Refuses a checkpoint whose configuration, in `file`, says that it is quantised.
///
/// # Errors
/// [`Error::ModelCorrupt`], with the method.
pub(super) fn check_config(config: &Value, file: &str) -> Result<()> {
    let parts = PARTS.iter().filter_map(|part| config.get(part));
    let settings = std::iter::once(config)
        .chain(parts)
        .flat_map(|part| KEYS.iter().filter_map(|key| part.get(key)));
    match settings.filter(|value| !value.is_null()).find_map(method) {
        Some(how) => Err(refusal(file, &how)),
        None => Ok(()),
    }
}

/// Refuses a checkpoint whose tensors show it.
///
/// # Errors
/// [`Error::ModelCorrupt`], with the file and the method.
pub(super) fn check_tensors(tensors: &BTreeMap<String, Tensor>) -> Result<()> {
    let sign =
        |name: &String| SIGNS.iter().find(|(end, _)| name.ends_with(end)).map(|(_, how)| *how);
    if let Some((tensor, how)) =
        tensors.iter().find_map(|(name, tensor)| Some((tensor, sign(name)?)))
    {
        return Err(refusal(&tensor.file, how));
    }
    for (name, tensor) in tensors {
        // Values of a byte, or several packed in a word; a matrix of any other wrong type is just
        // that.
        let packed = ["U8", "I8", "U32", "I32"].contains(&tensor.dtype.as_str())
            || ["F8", "F6", "F4"].iter().any(|kind| tensor.dtype.starts_with(kind));
        if packed && name.ends_with(".weight") && tensor.shape.len() > 1 {
            return Err(refusal(
                &tensor.file,
                &format!("{} holds values of type {}", cut(name, limits::NAME), tensor.dtype),
            ));
        }
    }
    Ok(())
}

fn refusal(file: &str, how: &str) -> Error {
    let problem = format!(
        "the checkpoint is already quantised ({how}), which this version does not read; give the original checkpoint, in f32, f16 or bf16"
    );
    Error::ModelCorrupt { file: file.to_owned(), problem }
}

/// The method that these settings name, with its bits; `None` if they say that nothing is
/// quantised.
fn method(settings: &Value) -> Option<String> {
    let on = |key: &str| settings.get(key).and_then(Value::as_bool) == Some(true);
    let of_bytes =
        [("load_in_4bit", 4), ("_load_in_4bit", 4), ("load_in_8bit", 8), ("_load_in_8bit", 8)];
    let loaded = of_bytes.iter().find(|(key, _)| on(key)).map(|(_, bits)| u64::from(*bits as u8));
    let says_so = of_bytes.iter().any(|(key, _)| settings.get(key).is_some());
    let name = settings.get("quant_method").and_then(Value::as_str);
    if loaded.is_none() && says_so {
        // Left over from training, with both switched off.
        return None;
    }
    let name = match name {
        Some(name) => named(name),
        None if loaded.is_some() => "bitsandbytes".into(),
        None => "by a method that it does not name".into(),
    };
    let usual = match name.as_str() {
        "FP8" | "EETQ" => Some(8),
        "mxfp4" => Some(4),
        _ => None,
    };
    let bits = loaded.or_else(|| bits(settings, 0)).or(usual);
    Some(bits.map_or(name.clone(), |bits| format!("{name}, {bits} bits")))
}

/// A method as people write it.
fn named(method: &str) -> String {
    match method {
        "gptq" => "GPTQ".into(),
        "awq" => "AWQ".into(),
        "hqq" => "HQQ".into(),
        "eetq" => "EETQ".into(),
        "fp8" | "fbgemm_fp8" => "FP8".into(),
        other => cut(other, 40),
    }
}

/// The first number of bits in these settings, a few objects deep.
fn bits(settings: &Value, depth: usize) -> Option<u64> {
    let own = BITS.iter().find_map(|key| settings.get(key)?.as_u64());
    own.or_else(|| {
        settings
            .as_object()
            .filter(|_| depth < 4)?
            .values()
            .find_map(|inner| bits(inner, depth + 1))
    })
}
