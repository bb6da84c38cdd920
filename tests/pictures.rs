//! Picture files → what the model sees, against Pillow (`golden/pillow`).

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::{Path, PathBuf};

use mqt::image::{Aspect, ImageSpec, Pixels, Reading};
use serde_json::Value;
use sha2::{Digest, Sha256};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn bytes(name: &str) -> Vec<u8> {
    let path = golden().join("pillow").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn index() -> Value {
    serde_json::from_slice(&bytes("index.json")).unwrap()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap_or_else(|| panic!("{key} is a list"))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} is text"))
}

fn pair(value: &Value) -> (usize, usize) {
    let at = |i: usize| value[i].as_u64().unwrap() as usize;
    (at(0), at(1))
}

fn spec(case: &Value) -> ImageSpec {
    let mut spec = ImageSpec::clip(case["size"].as_u64().unwrap() as usize);
    spec.aspect = if case["aspect"] == "pad" { Aspect::Pad } else { Aspect::CropCenter };
    spec
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// [height, width, 3] of one of the expected PNGs.
fn expected(name: &str) -> image::RgbImage {
    image::load_from_memory(&bytes(name)).unwrap().to_rgb8()
}

fn largest_difference(a: &[u8], b: &[u8]) -> u8 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
}

#[test]
fn resizing_decoded_pixels_equals_pillow() {
    for file in list(&index(), "files") {
        let decoded = expected(text(file, "decoded"));
        let (width, height) = (decoded.width() as usize, decoded.height() as usize);
        for case in list(file, "resized") {
            let pixels = Pixels::from_rgb(&decoded, width, height, &spec(case)).unwrap();
            assert_eq!(sha256(&pixels.rgb), text(case, "sha256"), "{} {case}", file["file"]);
        }
    }
}

#[test]
fn resizing_formula_pictures_equals_pillow() {
    for picture in list(&index(), "formula") {
        let (width, height) = pair(&picture["size"]);
        let value = |x: usize, y: usize, c: usize| (x * (3 * c + 2) + y * (2 * c + 5) + ((x * y) >> 4)) as u8;
        let at = |i: usize| value(i / 3 % width, i / 3 / width, i % 3);
        let rgb: Vec<u8> = (0..width * height * 3).map(at).collect();
        assert_eq!(sha256(&rgb), text(picture, "sha256"), "the formula itself");
        for case in list(picture, "resized") {
            let pixels = Pixels::from_rgb(&rgb, width, height, &spec(case)).unwrap();
            assert_eq!(sha256(&pixels.rgb), text(case, "sha256"), "{width} × {height} {case}");
        }
    }
}

#[test]
fn files_read_as_the_reference_equal_pillow() {
    for file in list(&index(), "files") {
        let name = text(file, "file");
        let tolerance = file["tolerance"].as_u64().unwrap() as u8;
        for case in list(file, "resized") {
            let pixels = Pixels::decode(&bytes(name), &spec(case), Reading::Reference).unwrap();
            assert_eq!((pixels.source.0 as usize, pixels.source.1 as usize), pair(&file["size"]), "{name}");
            if tolerance == 0 {
                assert_eq!(sha256(&pixels.rgb), text(case, "sha256"), "{name} {case}");
            } else if let Some(other) = case["pixels"].as_str() {
                // Bicubic overshoots: differences of the decoders may grow a little.
                let difference = largest_difference(&pixels.rgb, &expected(other));
                assert!(difference <= tolerance + 1, "{name} {case}: differs by {difference}");
            }
        }
    }
}

#[test]
fn the_two_readings_differ_where_they_say_so() {
    let spec = ImageSpec::clip(48);
    for file in list(&index(), "files") {
        let name = text(file, "file");
        let people = Pixels::decode(&bytes(name), &spec, Reading::People).unwrap();
        let reference = Pixels::decode(&bytes(name), &spec, Reading::Reference).unwrap();
        assert_eq!((people.source.0 as usize, people.source.1 as usize), pair(&file["oriented_size"]), "{name}");
        assert_eq!(people.readings_differ, reference.readings_differ, "{name}");
        let special = ["rgba.png", "la.png", "p_transparent.png", "rgb_key.png", "lossless.webp", "animated.gif"].contains(&name);
        let expected = special || name.contains("16") || name.contains("exif");
        assert_eq!(people.readings_differ, expected, "{name}");
        if !expected {
            assert_eq!(people, reference, "{name}");
        }
    }
}

#[test]
fn normalised_values_equal_the_reference() {
    let file = bytes("normalised.safetensors");
    let tensors = safetensors::SafeTensors::deserialize(&file).unwrap();
    let clip = ImageSpec::clip(16);
    let half = ImageSpec { mean: [0.5; 3], std: [0.5, 0.25, 0.5], ..clip.clone() };
    // 16 × 16 pixels: every value once, and no resizing.
    let ramp: Vec<u8> = (0..=255u8).flat_map(|value| [value; 3]).collect();
    for (name, spec) in [("clip", clip), ("half", half)] {
        let pixels = Pixels::from_rgb(&ramp, 16, 16, &spec).unwrap();
        assert_eq!(pixels.rgb, ramp);
        let ours: Vec<u8> = pixels.data.iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!(ours, tensors.tensor(name).unwrap().data(), "{name}");
    }
}

#[test]
fn any_file_cut_short_is_refused() {
    let spec = ImageSpec::clip(16);
    for file in list(&index(), "files") {
        let name = text(file, "file");
        let whole = bytes(name);
        for length in 0..whole.len() {
            let result = Pixels::decode(&whole[..length], &spec, Reading::People);
            let error = result.expect_err(&format!("{name} cut to {length} of {} bytes", whole.len()));
            assert_eq!(error.exit_code(), 6);
        }
    }
}

/// What people's reading makes of every file, for the bundled model's size: the browser's tests compare with the same list.
#[test]
fn the_pixels_that_the_model_sees_are_those_listed() {
    let listed: Value = serde_json::from_slice(&std::fs::read(golden().join("seen.json")).unwrap()).unwrap();
    let spec = ImageSpec::clip(listed["size"].as_u64().unwrap() as usize);
    let index = index();
    let seen = list(&index, "files").iter().map(|file| {
        let name = text(file, "file");
        (name.to_owned(), Value::from(sha256(&Pixels::decode(&bytes(name), &spec, Reading::People).unwrap().rgb)))
    });
    let seen = Value::Object(seen.collect());
    assert_eq!(listed["files"], seen, "seen.json should hold {seen:#}");
}
