//! Picture files → what the model sees, against Pillow (`golden/pillow`, `golden/field`).

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::{Path, PathBuf};

use mqt::image::{Aspect, ImageSpec, Picture, Pixels, Reading};
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
        let value = |x: usize, y: usize, c: usize| {
            (x * (3 * c + 2) + y * (2 * c + 5) + ((x * y) >> 4)) as u8
        };
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
        for case in list(file, "resized") {
            let pixels = Pixels::decode(&bytes(name), &spec(case), Reading::Reference).unwrap();
            assert_eq!(
                (pixels.source.0 as usize, pixels.source.1 as usize),
                pair(&file["size"]),
                "{name}"
            );
            assert_eq!(sha256(&pixels.rgb), text(case, "sha256"), "{name} {case}");
        }
    }
}

fn field(name: &str) -> Vec<u8> {
    let path = golden().join("field").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Size and hash of both readings, for people first.
fn both(name: &str) -> [((usize, usize), String); 2] {
    [Reading::People, Reading::Reference].map(|reading| {
        let picture =
            Picture::read(&field(name), reading).unwrap_or_else(|error| panic!("{name}: {error}"));
        ((picture.width, picture.height), sha256(&picture.rgb))
    })
}

#[test]
fn pictures_from_the_field_equal_pillow_in_both_readings() {
    let index: Value = serde_json::from_slice(&field("index.json")).unwrap();
    let files = index.as_array().unwrap();
    assert!(files.len() > 100);
    let mut wrong = Vec::new();
    for file in files {
        let name = text(file, "file");
        let wanted = ["people", "reference"].map(|reading| {
            (pair(&file[reading]["size"]), text(&file[reading], "sha256").to_owned())
        });
        if both(name) != wanted {
            wrong.push(format!("{name}: {}", file["shows"]));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn one_picture_in_several_scans_is_the_same_picture() {
    let index: Value = serde_json::from_slice(&field("index.json")).unwrap();
    let mut seen: std::collections::BTreeMap<&str, Vec<String>> = Default::default();
    for file in index.as_array().unwrap().iter().filter(|file| file["same"].is_string()) {
        seen.entry(text(file, "same")).or_default().push(both(text(file, "file"))[0].1.clone());
    }
    assert_eq!(seen.len(), 7);
    for (same, hashes) in seen {
        assert_eq!(hashes.len(), 5, "{same}");
        assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{same}");
    }
}

#[test]
fn reported_pictures_look_like_their_twins() {
    let twins = [
        ("01_scans_420.jpg", "01_twin_one_scan_420.jpg"),
        ("02_jfif_adobe0.jpg", "02_twin_jfif.jpg"),
        ("03_alpha_all_zero.bmp", "03_twin_24bit.bmp"),
        ("06_exif_prefix.webp", "06_twin.webp"),
        ("06_exif_prefix.png", "06_twin.png"),
        ("06_raw_profile_exif.png", "06_twin.png"),
        ("07_screen_0x0.gif", "07_twin.gif"),
        ("07_frame_larger_than_screen.gif", "07_twin.gif"),
    ];
    for (file, twin) in twins {
        assert_eq!(
            both(&format!("reported/{file}"))[0],
            both(&format!("reported/{twin}"))[0],
            "{file}"
        );
    }
    // Coded apart, so not of the same bits: the same colours nearly everywhere.
    let read = |name: &str| {
        Picture::read(&field(&format!("reported/{name}")), Reading::People).unwrap().rgb
    };
    let (progressive, baseline) =
        (read("02_progressive_adobe0_ids123.jpg"), read("02_twin_baseline_adobe0.jpg"));
    let near = progressive.iter().zip(&baseline).filter(|(a, b)| a.abs_diff(**b) <= 8).count();
    assert!(near * 100 > baseline.len() * 99, "{near} of {}", baseline.len());
}

#[test]
fn files_from_the_field_cut_short_are_refused() {
    let names = [
        "scans_420_0-1-2.jpg",
        "scans_unequal_0-12.jpg",
        "progressive_411_0-1-2.jpg",
        "reported/04_rle8_top.bmp",
        "reported/05_exif_flag_nochunk.webp",
        "reported/06_raw_profile_exif.png",
        "reported/07_screen_0x0.gif",
    ];
    for name in names {
        let whole = field(name);
        // Behind the last pixel of a run-length picture come only marks that say so.
        let last = whole.len() - if name.ends_with("bmp") { 8 } else { 1 };
        for length in (0..=last).rev().step_by(7) {
            let error = Picture::read(&whole[..length], Reading::People)
                .expect_err(&format!("{name} cut to {length} of {} bytes", whole.len()));
            assert_eq!(error.exit_code(), 6);
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
        assert_eq!(
            (people.source.0 as usize, people.source.1 as usize),
            pair(&file["oriented_size"]),
            "{name}"
        );
        assert_eq!(people.readings_differ, reference.readings_differ, "{name}");
        let special = [
            "rgba.png",
            "la.png",
            "p_transparent.png",
            "rgb_key.png",
            "lossless.webp",
            "animated.gif",
        ]
        .contains(&name);
        let expected = special || name.contains("16") || name.contains("exif");
        assert_eq!(people.readings_differ, expected, "{name}");
        if !expected {
            assert_eq!(people, reference, "{name}");
        }
        let mut white = spec.clone();
        white.over_white = true;
        let white = Pixels::decode(&bytes(name), &white, Reading::Reference).unwrap();
        let like = if name == "rgb_key.png" || name.contains("exif") || !special {
            reference
        } else {
            people
        };
        if !name.contains("16") {
            assert_eq!(white.rgb, like.rgb, "{name}");
        }
    }
}

#[test]
fn normalised_values_equal_the_reference() {
    let file = bytes("normalised.safetensors");
    let tensors = safetensors::SafeTensors::deserialize(&file).unwrap();
    let clip = ImageSpec::clip(16);
    let mut half = clip.clone();
    (half.mean, half.std) = ([0.5; 3], [0.5, 0.25, 0.5]);
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
            let error =
                result.expect_err(&format!("{name} cut to {length} of {} bytes", whole.len()));
            assert_eq!(error.exit_code(), 6);
        }
    }
}

/// What people's reading makes of every file, for the bundled model's size: the browser's tests
/// compare with the same list.
#[test]
fn the_pixels_that_the_model_sees_are_those_listed() {
    let listed: Value =
        serde_json::from_slice(&std::fs::read(golden().join("seen.json")).unwrap()).unwrap();
    let spec = ImageSpec::clip(listed["size"].as_u64().unwrap() as usize);
    let index = index();
    let seen = list(&index, "files").iter().map(|file| {
        let name = text(file, "file");
        (
            name.to_owned(),
            Value::from(sha256(&Pixels::decode(&bytes(name), &spec, Reading::People).unwrap().rgb)),
        )
    });
    let seen = Value::Object(seen.collect());
    assert_eq!(listed["files"], seen, "seen.json should hold {seen:#}");
}
