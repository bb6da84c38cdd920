//! `mqt trace --weights f32` and greedy ids against PyTorch's, for every golden model, picture and
//! m.

use crate::common::{adapters, checkpoint, golden, mqt, text, words};
use safetensors::SafeTensors;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs;

/// f32 sums in another order, through a whole tower: `tests/golden/README.md` says why a factor of
/// 100 is left.
const FEATURES: f64 = 1e-4;
const LOGITS: f64 = 1e-3;

#[test]
fn a_f32_tower_equals_pytorch() {
    case("a-f32-tower");
}

#[test]
fn b_f16_shards_equals_pytorch() {
    case("b-f16-shards");
}

#[test]
fn c_crop_equals_pytorch() {
    case("c-crop");
}

#[test]
fn d_floor_grid_equals_pytorch() {
    case("d-floor-grid");
}

/// LLaVA's projector and M3's pooling, from PyTorch's own files.
#[test]
fn e_llava_bins_equals_pytorch() {
    case("e-llava-bins");
}

fn case(case: &str) {
    let index: Value =
        serde_json::from_slice(&fs::read(golden(case).join("index.json")).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let trace = text(&folder.path().join("trace.safetensors"));
    let model = checkpoint(case);
    for adapter in adapters() {
        for run in index["runs"].as_array().unwrap() {
            let file = run["file"].as_str().unwrap();
            let at = format!("{case} {file} on {adapter}");
            let (question, m) = (run["question"].as_str().unwrap(), run["m"].to_string());
            let picture = text(&golden(case).join(run["image"].as_str().unwrap()));
            let mut flags =
                vec!["-m", &m, "--model", &model, "--weights", "f32", "--adapter", adapter];
            if case.starts_with("e-") {
                // This checkpoint was not trained with averages: they have to be asked for.
                flags.extend(["--select", "pool"]);
            }

            mqt(words("trace", &[&picture, question, "-o", &trace])
                .into_iter()
                .chain(flags.clone()))
            .ok();
            let (got, want) =
                (fs::read(&trace).unwrap(), fs::read(golden(case).join(file)).unwrap());
            let (got, want) =
                (SafeTensors::deserialize(&got).unwrap(), SafeTensors::deserialize(&want).unwrap());
            compare(&at, run, &got, &want);

            let ask =
                words("ask --json --arithmetic exact --max-new-tokens 12", &[&picture, question]);
            let record = mqt(ask.into_iter().chain(flags)).ok().record();
            let ids: Vec<i32> = record["token_ids"]
                .as_array()
                .unwrap()
                .iter()
                .map(|id| id.as_i64().unwrap() as i32)
                .collect();
            assert_eq!(ids, i32s(&want, "generated_ids"), "{at}");
            assert_eq!(record["prompt_tokens"], run["spliced_length"], "{at}");
            assert_eq!(record["finish_reason"], "length", "{at}");
        }
    }
}

/// Every tensor that the golden file has.
fn compare(at: &str, run: &Value, got: &SafeTensors, want: &SafeTensors) {
    let mut names = got.names();
    names.sort_unstable();
    assert_eq!(
        names,
        ["input_ids", "logits", "pixel_values", "vision_features", "visual_tokens"],
        "{at}"
    );

    let hash: String = Sha256::digest(got.tensor("pixel_values").unwrap().data())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(run["pixel_values_sha256"], hash.as_str(), "{at}");
    if let Ok(pixels) = want.tensor("pixel_values") {
        assert_eq!(
            (got.tensor("pixel_values").unwrap().shape(), f32s(got, "pixel_values")),
            (pixels.shape(), f32s(want, "pixel_values")),
            "{at}"
        );
    }
    assert_eq!(i32s(got, "input_ids"), i32s(want, "input_ids"), "{at}");
    if let Ok(features) = want.tensor("vision_features") {
        assert_eq!(got.tensor("vision_features").unwrap().shape(), features.shape(), "{at}");
        close(
            &format!("{at}: vision_features"),
            &f32s(got, "vision_features"),
            &f32s(want, "vision_features"),
            FEATURES,
        );
    }
    assert_eq!(
        got.tensor("visual_tokens").unwrap().shape(),
        want.tensor("visual_tokens").unwrap().shape(),
        "{at}"
    );
    close(
        &format!("{at}: visual_tokens"),
        &f32s(got, "visual_tokens"),
        &f32s(want, "visual_tokens"),
        FEATURES,
    );

    let logits = got.tensor("logits").unwrap();
    let [positions, vocab] = *logits.shape() else { panic!("{at}: logits {:?}", logits.shape()) };
    assert_eq!(
        (run["spliced_length"].as_u64(), want.tensor("logits").unwrap().shape()[1]),
        (Some(positions as u64), vocab),
        "{at}"
    );
    let all = f32s(got, "logits");
    let rows: Vec<f32> = i32s(want, "logits_rows")
        .into_iter()
        .flat_map(|row| all[row as usize * vocab..][..vocab].to_vec())
        .collect();
    close(&format!("{at}: logits"), &rows, &f32s(want, "logits"), LOGITS);
}

/// Both ways to say how far apart two tensors are: root of squares over root of squares, and
/// largest over largest.
fn close(what: &str, got: &[f32], want: &[f32], limit: f64) {
    assert_eq!(got.len(), want.len(), "{what}");
    let pairs = || got.iter().zip(want).map(|(&g, &w)| (f64::from(g) - f64::from(w), f64::from(w)));
    assert!(
        pairs().all(|(difference, _)| difference.is_finite()),
        "{what}: not all values are numbers"
    );
    let norm = (pairs().map(|(d, _)| d * d).sum::<f64>()
        / pairs().map(|(_, w)| w * w).sum::<f64>())
    .sqrt();
    let largest = pairs().map(|(d, _)| d.abs()).fold(0.0, f64::max)
        / pairs().map(|(_, w)| w.abs()).fold(0.0, f64::max);
    assert!(
        norm <= limit && largest <= limit,
        "{what}: {norm:.2e} by norm, {largest:.2e} at most, {limit:.0e} allowed"
    );
}

fn f32s(file: &SafeTensors, name: &str) -> Vec<f32> {
    let tensor = file.tensor(name).unwrap();
    assert_eq!(tensor.dtype(), safetensors::Dtype::F32, "{name}");
    tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

fn i32s(file: &SafeTensors, name: &str) -> Vec<i32> {
    let tensor = file.tensor(name).unwrap();
    assert_eq!(tensor.dtype(), safetensors::Dtype::I32, "{name}");
    tensor.data().chunks_exact(4).map(|b| i32::from_le_bytes(b.try_into().unwrap())).collect()
}
