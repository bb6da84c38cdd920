//! Pictures of families that cut them into squares: against PyTorch's classes (`families`),
//! Pillow (`golden/tiles`) and the published numbers of tokens.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::{Path, PathBuf};

use mqt::image::{Aspect, Filter, ImageSpec, Picture, Pixels, Reading};
use mqt::internals::image::tiles::{Level, Plan, Tiling, Whole, squares};
use serde_json::Value;
use sha2::{Digest, Sha256};

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn siglip(size: usize, tiling: Tiling) -> ImageSpec {
    let filter = match tiling {
        Tiling::Edges { .. } => Filter::Lanczos,
        _ => Filter::Bicubic,
    };
    let mut spec = ImageSpec::clip(size);
    (spec.aspect, spec.filter, spec.tiling) = (Aspect::Stretch, filter, tiling);
    (spec.over_white, spec.mean, spec.std) = (true, [0.5; 3], [0.5; 3]);
    spec
}

fn edges(size: usize, published: usize) -> ImageSpec {
    siglip(size, Tiling::Edges { published, split: true })
}

/// Sizes of up to `sides` squares along a side, as LLaVA-OneVision lists them.
fn pinpoints(size: usize, sides: usize, most: usize) -> ImageSpec {
    let sizes = (1..=sides).flat_map(|r| (1..=sides).map(move |c| [r * size, c * size])).collect();
    siglip(size, Tiling::Pinpoints { sizes, most })
}

/// A picture of one of the cases is, square by square and bit by bit, what PyTorch was given.
fn equals(case: &str, spec: &ImageSpec, level: Level, key: &str) {
    let folder = tests().join("families").join(case);
    let file = std::fs::read(folder.join("image.png")).unwrap();
    let picture = Picture::read(&file, spec.reading(Reading::Reference)).unwrap();
    let (plan, all) = squares(&picture, spec, level).unwrap();
    assert_eq!(all.len(), plan.squares(), "{case} {key}");
    let ours: Vec<u8> =
        all.iter().flat_map(|square| &square.data).flat_map(|v| v.to_le_bytes()).collect();
    let expected = std::fs::read(folder.join("expected.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&expected).unwrap();
    assert!(ours == tensors.tensor(key).unwrap().data(), "{case} {key}: other pixels");
}

#[test]
fn pictures_of_the_cases_equal_the_processors_bit_for_bit() {
    let smolvlm = edges(40, 4);
    equals("smolvlm", &smolvlm, Level::Edge(1), "pixel_values.4");
    equals("smolvlm", &smolvlm, Level::Edge(2), "pixel_values.20");
    equals("smolvlm", &smolvlm, Level::Unsplit, "pixel_values.unsplit");
    let docling = edges(36, 4);
    equals("granite_docling", &docling, Level::Edge(1), "pixel_values.16");
    equals("granite_docling", &docling, Level::Edge(2), "pixel_values.48");
    equals("granite_docling", &docling, Level::Unsplit, "pixel_values.unsplit");
    let interleave = siglip(52, Tiling::Square);
    equals("llava_interleave", &interleave, Level::Square, "pixel_values.25");
    let onevision = pinpoints(28, 3, 2);
    equals("llava_onevision", &onevision, Level::Frame, "pixel_values.17");
    equals("llava_onevision", &onevision, Level::Padded, "pixel_values.50");
    equals("llava_onevision", &onevision, Level::Pinpoints(9), "pixel_values.161");
    equals("mobilevlm_v2", &ImageSpec::clip(72), Level::Square, "pixel_values");
}

/// The formula of `golden/tiles/make.py`.
fn formula(width: usize, height: usize) -> Picture {
    let value =
        |x: usize, y: usize, c: usize| (x * (3 * c + 2) + y * (2 * c + 5) + ((x * y) >> 4)) as u8;
    let rgb = (0..width * height * 3).map(|i| value(i / 3 % width, i / 3 / width, i % 3)).collect();
    Picture::from_rgb(rgb, width, height).unwrap()
}

#[test]
fn squares_of_many_shapes_equal_pillow() {
    let file = std::fs::read(tests().join("golden/tiles/vectors.json")).unwrap();
    let rows: Value = serde_json::from_slice(&file).unwrap();
    let rows = rows.as_array().unwrap();
    assert!(rows.len() > 200);
    let mut wrong = Vec::new();
    for row in rows {
        let number = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
        let (side, argument) = (number(&row["side"]), number(&row["argument"]));
        let few = u8::try_from(argument).unwrap();
        let (spec, level) = match row["level"].as_str().unwrap() {
            "edges" => (edges(side, 4), Level::Edge(few)),
            "unsplit" => (edges(side, argument), Level::Unsplit),
            "frame" => (pinpoints(side, 6, 9), Level::Frame),
            "padded" => (pinpoints(side, 6, 9), Level::Padded),
            _ => (pinpoints(side, 6, 9), Level::Pinpoints(few)),
        };
        let picture = formula(number(&row["size"][0]), number(&row["size"][1]));
        let (plan, all) = squares(&picture, &spec, level).unwrap();
        let mut hash = Sha256::new();
        all.iter().for_each(|square| hash.update(&square.rgb));
        let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let counts = [plan.rows, plan.columns, plan.squares()];
        if counts != ["rows", "columns", "squares"].map(|key| number(&row[key]))
            || hex != row["sha256"]
        {
            wrong.push(format!("{counts:?} {row}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_one_square_is_what_it_was_before_there_were_tiles() {
    let picture = formula(90, 61);
    for aspect in [Aspect::Pad, Aspect::CropCenter, Aspect::Stretch] {
        let mut spec = ImageSpec::clip(30);
        spec.aspect = aspect;
        let (plan, all) = squares(&picture, &spec, Level::Square).unwrap();
        assert_eq!((plan.squares(), plan.whole), (1, Whole::Alone));
        assert_eq!(all, [Pixels::from_rgb(&picture.rgb, 90, 61, &spec).unwrap()], "{aspect:?}");
    }
}

#[test]
fn levels_go_from_cheap_to_dear() {
    assert_eq!(ImageSpec::clip(336).levels(), [Level::Square]);
    assert_eq!(edges(512, 4).levels(), [1, 2, 3, 4].map(Level::Edge));
    let unsplit = siglip(512, Tiling::Edges { published: 4, split: false });
    assert_eq!(unsplit.levels(), [Level::Unsplit]);
    let few = |list: &[u8]| {
        let tiled = list.iter().map(|most| Level::Pinpoints(*most));
        [Level::Frame, Level::Padded].into_iter().chain(tiled).collect::<Vec<_>>()
    };
    assert_eq!(pinpoints(384, 6, 9).levels(), few(&[1, 4, 36]));
    assert_eq!(pinpoints(384, 2, 9).levels(), few(&[1, 4]));
    assert_eq!(pinpoints(384, 1, 9).levels(), few(&[1]));
    let sizes = vec![[384, 768], [768, 768]];
    assert_eq!(siglip(384, Tiling::Pinpoints { sizes, most: 9 }).levels(), few(&[4]));
}

#[test]
fn smolvlms_tiles_follow_the_published_table() {
    let spec = edges(512, 4);
    let [square, photo, wide, double, triple] = [
        [(0, 0, 64), (2, 2, 320), (3, 3, 640), (4, 4, 1088)],
        [(0, 0, 64), (2, 2, 320), (3, 3, 640), (3, 4, 832)],
        [(0, 0, 64), (2, 2, 320), (2, 3, 448), (3, 4, 832)],
        [(0, 0, 64), (1, 2, 192), (2, 3, 448), (2, 4, 576)],
        [(0, 0, 64), (1, 2, 192), (1, 3, 256), (2, 4, 576)],
    ];
    for (size, table) in [
        ((1, 1), square),
        ((3000, 3000), square),
        ((640, 480), photo),
        ((4000, 3000), photo),
        ((600, 400), wide),
        ((1920, 1080), wide),
        ((200, 100), double),
        ((300, 100), triple),
    ] {
        for (n, (rows, columns, tokens)) in (1..).zip(table) {
            for (upright, size) in [(false, size), (true, (size.1, size.0))] {
                let plan = spec.plan(Level::Edge(n), size.0, size.1);
                let expected = if upright { (columns, rows) } else { (rows, columns) };
                assert_eq!((plan.rows, plan.columns), expected, "{size:?} at {n}");
                assert_eq!(plan.tokens(8, &spec.tiling), tokens, "{size:?} at {n}");
                let whole = if rows == 0 { Whole::Alone } else { Whole::Last };
                assert_eq!(plan.whole, whole);
            }
        }
    }
}

#[test]
fn onevisions_tokens_follow_the_published_table() {
    let spec = pinpoints(384, 6, 9);
    for (size, runs, tokens) in [
        ((384, 384), 2, 1485),
        ((100, 100), 2, 1485),
        ((640, 480), 5, 2929),
        ((1024, 768), 7, 4725),
        ((1920, 1080), 16, 7269),
        ((4000, 3000), 31, 7309),
    ] {
        let plan = spec.plan(Level::Pinpoints(36), size.0, size.1);
        assert_eq!((plan.squares(), plan.whole), (runs, Whole::First), "{size:?}");
        assert_eq!(plan.tokens(27, &spec.tiling), tokens, "{size:?}");
        let cheap = |level| spec.plan(level, size.0, size.1).tokens(27, &spec.tiling);
        assert_eq!((cheap(Level::Frame), cheap(Level::Padded)), (197, 730));
        assert!(cheap(Level::Pinpoints(1)) <= 729 + 27 * 28);
    }
}

#[test]
fn the_case_of_onevision_has_its_tokens() {
    let spec = pinpoints(28, 3, 2);
    let tokens = |level| spec.plan(level, 61, 150).tokens(7, &spec.tiling);
    assert_eq!([Level::Frame, Level::Padded, Level::Pinpoints(9)].map(tokens), [17, 50, 161]);
    let plan = spec.plan(Level::Pinpoints(9), 61, 150);
    assert_eq!((plan.rows, plan.columns, plan.grid(7)), (3, 2, (21, 14)));
    let (rows, columns) = plan.unpadded(7);
    assert_eq!((rows, columns), (0..21, 3..11));
}

#[test]
fn the_thinnest_pictures_are_planned_and_cut() {
    let specs = [edges(24, 4), edges(15, 4), pinpoints(20, 6, 9), ImageSpec::clip(20)];
    for (width, height) in [(1, 65535), (65535, 1), (2, 65535), (65535, 2), (1, 1), (1, 2)] {
        let rgb = vec![7; width * height * 3];
        let picture = Picture::from_rgb(rgb, width, height).unwrap();
        for spec in &specs {
            for level in spec.levels() {
                let (plan, all) = squares(&picture, spec, level).unwrap();
                assert_eq!(all.len(), plan.squares());
                assert!(plan.squares() <= 37, "{width} × {height}: {plan:?}");
                assert!(all.iter().all(|square| square.rgb.len() == spec.size * spec.size * 3));
                let tokens = plan.tokens(5, &spec.tiling);
                assert!((1..=37 * 30).contains(&tokens), "{width} × {height}: {tokens}");
                let (rows, columns) = plan.unpadded(5);
                assert!(!rows.is_empty() && !columns.is_empty());
            }
        }
    }
}

#[test]
fn tilings_of_absurdly_many_squares_are_refused() {
    let problem = |spec: &ImageSpec| spec.tiling.check(spec.size).unwrap_err();
    assert_eq!(edges(512, 4).tiling.check(512), Ok(()));
    assert_eq!(edges(384, 4).tiling.check(384), Ok(()));
    assert_eq!(pinpoints(384, 6, 9).tiling.check(384), Ok(()));
    assert_eq!(
        problem(&edges(40, 100)),
        "its pictures would be cut into up to 100 × 100 squares of 40 pixels, more than is run"
    );
    assert!(problem(&edges(4096, 2)).contains("2 × 2 squares"));
    assert!(problem(&edges(40, usize::MAX)).contains("more than is run"));
    assert!(problem(&edges(40, 0)).contains("0 × 0"));
    let odd = siglip(28, Tiling::Pinpoints { sizes: vec![[28, 28], [28, 30]], most: 9 });
    assert!(problem(&odd).contains("28 × 30"));
    let huge = siglip(28, Tiling::Pinpoints { sizes: vec![[2800, 2800]], most: 9 });
    assert!(problem(&huge).contains("2800 × 2800"));
    assert!(problem(&siglip(28, Tiling::Pinpoints { sizes: vec![], most: 9 })).contains("0 sizes"));
    assert!(
        problem(&siglip(28, Tiling::Pinpoints { sizes: vec![[28, 28]], most: 0 }))
            .contains("0 squares'")
    );
}

#[test]
fn reduction_keeps_a_row_and_a_column() {
    let plan = Plan {
        level: Level::Pinpoints(4),
        picture: (1, 60000),
        rows: 2,
        columns: 2,
        whole: Whole::First,
    };
    let (rows, columns) = plan.unpadded(27);
    assert_eq!((rows, columns.len()), (0..54, 2));
    assert!(plan.reduced(27, 1).1 >= 1);
}
