//! Two pictures in one question, and the frames of a clip, beside what PyTorch's own classes make
//! of them (`several.py`).

use super::{LOGITS, adapters, check, folder, load, read_json};
use mqt::Budget;
use mqt::cancel::Cancel;
use mqt::image::{Picture, Reading};
use mqt::model::Weights;
use mqt::session::{Request, Session};
use pollster::block_on;
use safetensors::SafeTensors;
use serde_json::Value;
use std::sync::Arc;

/// A case, the name of its tensors, and m of each picture.
const CASES: [(&str, &str, u64); 7] = [
    ("smolvlm", "two.40", 4),
    ("smolvlm", "two.80", 20),
    ("granite_docling", "two.36", 16),
    ("granite_docling", "two.72", 48),
    ("llava_interleave", "two", 25),
    ("llava_onevision", "two", 50),
    ("llava_onevision", "clip", 16),
];

/// Frames are normalised by another library there: in another order.
const PIXELS: f64 = 1e-6;

fn floats(file: &SafeTensors, name: &str) -> Vec<f32> {
    let data = file.tensor(name).unwrap().data();
    data.chunks_exact(4).map(|word| f32::from_le_bytes(word.try_into().unwrap())).collect()
}

fn ints(file: &SafeTensors, name: &str) -> Vec<i32> {
    let data = file.tensor(name).unwrap().data();
    data.chunks_exact(4).map(|word| i32::from_le_bytes(word.try_into().unwrap())).collect()
}

fn read(case: &str, session: &Session) -> Picture {
    let bytes = std::fs::read(folder(case).join("image.png")).unwrap();
    // Over white, whatever the family: that is how the cases were made.
    let reading = match session.model().image_spec().reading(Reading::Reference) {
        Reading::Reference => Reading::ReferenceOverWhite,
        other => other,
    };
    Picture::read(&bytes, reading).unwrap()
}

fn mirrored(picture: &Picture) -> Picture {
    let mut rgb = Vec::new();
    for row in picture.rgb.chunks_exact(3 * picture.width) {
        rgb.extend(row.rchunks_exact(3).flatten());
    }
    Picture::from_rgb(rgb, picture.width, picture.height).unwrap()
}

fn pictures(case: &str, about: &Value, session: &Session) -> Vec<Picture> {
    let first = read(case, session);
    let second = match about["other"].as_str() {
        Some(other) => read(other, session),
        None => mirrored(&first),
    };
    vec![first, second]
}

fn frames(file: &SafeTensors) -> Vec<Picture> {
    let tensor = file.tensor("clip.frames").unwrap();
    let side = tensor.shape()[1];
    let frame = |rgb: &[u8]| Picture::from_rgb(rgb.to_vec(), side, side).unwrap();
    tensor.data().chunks_exact(3 * side * side).map(frame).collect()
}

/// Each unbroken run of image tokens as one.
fn runs(ids: &[i32]) -> Vec<i32> {
    let mut runs = ids.to_vec();
    runs.dedup_by(|a, b| (*a, *b) == (-200, -200));
    runs
}

#[test]
fn prompts_of_several_pictures_equal_pytorch() {
    for (case, name, m) in CASES {
        let bytes = std::fs::read(folder(case).join("several.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let about = read_json(&folder(case).join("several.json"));
        for adapter in adapters() {
            let model = load(folder(case).join("checkpoint"), adapter, Weights::F32).unwrap();
            let mut session = block_on(Session::growing(Arc::new(model), &Cancel::new())).unwrap();
            let what = format!("{case}, {name}, on {}", session.model().adapter().name);
            let mut request = Request::new(about["question"].as_str().unwrap());
            request.budget = Budget::Fixed(m);
            let trace = if name == "clip" {
                block_on(session.trace_clip(&frames(&file), &request, &Cancel::new()))
            } else {
                let pictures = pictures(case, &about, &session);
                block_on(session.trace(&pictures, &request, &Cancel::new()))
            };
            let trace = trace.unwrap();
            let tensor = |part: &str| format!("{name}.{part}");
            let pixels = floats(&file, &tensor("pixel_values"));
            check(&format!("{what}: pixels"), &trace.pixel_values, &pixels, PIXELS);
            let ids = ints(&file, &tensor("input_ids"));
            assert_eq!(trace.input_ids, runs(&ids), "{what}");
            let hidden = session.model().config().language.hidden;
            let tokens = ids.iter().filter(|&&id| id == -200).count();
            assert_eq!(trace.visual_tokens.len(), tokens * hidden, "{what}");
            let logits = floats(&file, &tensor("logits"));
            let got = &trace.logits[trace.logits.len() - logits.len()..];
            check(&format!("{what}: logits"), got, &logits, LOGITS);
        }
    }
}
