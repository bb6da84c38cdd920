//! What each kind of file becomes. Comparisons with Pillow are in `tests/pictures.rs`.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use super::read::{Picture, read};
use super::*;

fn png(samples: &[u8], width: u32, height: u32, kind: ExtendedColorType) -> Vec<u8> {
    let mut file = Vec::new();
    PngEncoder::new(&mut file).write_image(samples, width, height, kind).unwrap();
    file
}

/// An EXIF block with one entry, the orientation.
fn exif(orientation: u8) -> Vec<u8> {
    let mut block = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    block.extend([orientation, 0, 0, 0, 0, 0, 0]);
    block
}

fn red(picture: &Picture) -> Vec<u8> {
    picture.rgb.iter().copied().step_by(3).collect()
}

fn problem(bytes: &[u8]) -> String {
    let error = Pixels::decode(bytes, &ImageSpec::clip(8), Reading::People).unwrap_err();
    assert_eq!(error.exit_code(), 6);
    error.to_string()
}

/// Big-endian 16-bit samples, as PNG stores them, in the order the encoder wants them.
fn wide(samples: &[u16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_ne_bytes()).collect()
}

#[test]
fn people_see_all_eight_orientations_upright() {
    // 1 2 3
    // 4 5 6
    let rgb: Vec<u8> = (1..=6).flat_map(|value| [value; 3]).collect();
    let upright: [(u8, usize, [u8; 6]); 8] = [
        (1, 3, [1, 2, 3, 4, 5, 6]),
        (2, 3, [3, 2, 1, 6, 5, 4]),
        (3, 3, [6, 5, 4, 3, 2, 1]),
        (4, 3, [4, 5, 6, 1, 2, 3]),
        (5, 2, [1, 4, 2, 5, 3, 6]),
        (6, 2, [4, 1, 5, 2, 6, 3]),
        (7, 2, [6, 3, 5, 2, 4, 1]),
        (8, 2, [3, 6, 2, 5, 1, 4]),
    ];
    for (orientation, width, expected) in upright {
        let mut file = Vec::new();
        let mut encoder = PngEncoder::new(&mut file);
        encoder.set_exif_metadata(exif(orientation)).unwrap();
        encoder.write_image(&rgb, 3, 2, ExtendedColorType::Rgb8).unwrap();

        let people = read(&file, Reading::People).unwrap();
        assert_eq!((people.width, red(&people)), (width, expected.to_vec()), "orientation {orientation}");
        assert_eq!(people.readings_differ, orientation != 1);
        let reference = read(&file, Reading::Reference).unwrap();
        assert_eq!((reference.width, red(&reference)), (3, vec![1, 2, 3, 4, 5, 6]), "orientation {orientation}");
    }
}

#[test]
fn alpha_is_laid_over_white_or_dropped() {
    let file = png(&[10, 20, 30, 0, 10, 20, 30, 51, 10, 20, 30, 255], 3, 1, ExtendedColorType::Rgba8);
    let people = read(&file, Reading::People).unwrap();
    assert_eq!(people.rgb, [255, 255, 255, 206, 208, 210, 10, 20, 30]);
    let reference = read(&file, Reading::Reference).unwrap();
    assert_eq!(reference.rgb, [10, 20, 30].repeat(3));
    assert!(people.readings_differ && reference.readings_differ);

    let opaque = png(&[10, 255, 30, 255], 2, 1, ExtendedColorType::La8);
    assert!(!read(&opaque, Reading::People).unwrap().readings_differ);
}

#[test]
fn sixteen_bits_are_scaled_or_cut() {
    let grey = png(&wide(&[0, 128, 129, 300, 40000, 65535]), 6, 1, ExtendedColorType::L16);
    assert_eq!(red(&read(&grey, Reading::People).unwrap()), [0, 0, 1, 1, 156, 255]);
    assert_eq!(red(&read(&grey, Reading::Reference).unwrap()), [0, 128, 129, 255, 255, 255]);

    let rgb = png(&wide(&[383, 40000, 65535]), 1, 1, ExtendedColorType::Rgb16);
    assert_eq!(read(&rgb, Reading::People).unwrap().rgb, [1, 156, 255]);
    assert_eq!(read(&rgb, Reading::Reference).unwrap().rgb, [1, 156, 255]);
    let high = png(&wide(&[511, 0, 0]), 1, 1, ExtendedColorType::Rgb16);
    assert_eq!(read(&high, Reading::People).unwrap().rgb[0], 2);
    assert_eq!(read(&high, Reading::Reference).unwrap().rgb[0], 1);
}

#[test]
fn a_small_gif_frame_leaves_its_ground() {
    // Screen 2 × 1, palette red green blue black; one pixel, blue, at the right.
    let gif = |transparent: Option<u8>| {
        let mut file = b"GIF89a\x02\0\x01\0\x81\0\0".to_vec();
        file.extend([200, 0, 0, 0, 200, 0, 0, 0, 200, 0, 0, 0]);
        if let Some(entry) = transparent {
            file.extend([0x21, 0xF9, 4, 1, 0, 0, entry, 0]);
        }
        file.extend(b"\x2C\x01\0\0\0\x01\0\x01\0\0\x02\x02\x54\x01\0;");
        file
    };
    for (transparent, left) in [(None, [200, 0, 0]), (Some(1), [0, 200, 0])] {
        let reference = read(&gif(transparent), Reading::Reference).unwrap();
        assert_eq!(reference.rgb, [left, [0, 0, 200]].concat(), "{transparent:?}");
        let people = read(&gif(transparent), Reading::People).unwrap();
        assert_eq!(people.rgb, [255, 255, 255, 0, 0, 200], "{transparent:?}");
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let cases: [(&[u8], &str); 9] = [
        (b"", "empty"),
        (b"just words\n", "text, not a picture"),
        (b"<?xml version='1.0'?><svg/>", "SVG"),
        (b"\0\0\0\x20ftypheic\0\0\0\0", "HEIC"),
        (b"\0\0\0\x20ftypavif\0\0\0\0", "AVIF"),
        (b"II*\0\x08\0\0\0", "TIFF"),
        (b"\0\x01\x02\x03", "not a picture that can be recognised"),
        (b"\xFF\xD8\xFF", "truncated"),
        (b"\x89PNG\r\n\x1A\n", "truncated"),
    ];
    for (bytes, expected) in cases {
        let problem = problem(bytes);
        assert!(problem.contains(expected), "{problem}");
    }
}

#[test]
fn decompression_bombs_are_refused_by_their_header() {
    let bomb = b"GIF89a\xFF\xFF\xFF\xFF\0\0\0\x2C\0\0\0\0\xFF\xFF\xFF\xFF\0\x02\0;";
    assert!(problem(bomb).contains("65535 × 65535 pixels"), "{}", problem(bomb));
    let spec = ImageSpec::clip(8);
    assert!(Pixels::from_rgb(&[0; 12], 2, 3, &spec).is_err());
    assert!(Pixels::from_rgb(&[], 0, 3, &spec).is_err());
}

#[test]
fn equal_pictures_hash_equally() {
    let rgb = png(&[9; 12], 2, 2, ExtendedColorType::Rgb8);
    let grey = png(&[9; 4], 2, 2, ExtendedColorType::L8);
    let other = png(&[8; 4], 2, 2, ExtendedColorType::L8);
    let hash = |file: &[u8]| Pixels::decode(file, &ImageSpec::clip(8), Reading::People).unwrap().hash();
    assert_eq!(hash(&rgb), hash(&grey));
    assert_ne!(hash(&rgb), hash(&other));
}

#[test]
fn adobe_rgb_components_are_renamed() {
    let mut file = b"\xFF\xD8\xFF\xEE\0\x0EAdobe\0d\0\0\0\0\0".to_vec();
    file.extend(b"\xFF\xC0\0\x11\x08\0\x01\0\x01\x03\x01\x11\0\x02\x11\0\x03\x11\0");
    file.extend(b"\xFF\xDA\0\x0C\x03\x01\0\x02\0\x03\0\0?\0\xFF\xD9");
    let renamed = jpeg::adobe_rgb(&file).unwrap();
    let ids = |bytes: &[u8]| -> Vec<u8> { renamed.iter().zip(bytes).filter(|(new, old)| new != old).map(|(new, _)| *new).collect() };
    assert_eq!(ids(&file), b"RGBRGB");
    // A colour transform, or no Adobe segment: nothing to do.
    file[17] = 1;
    assert_eq!(jpeg::adobe_rgb(&file), None);
    assert_eq!(jpeg::adobe_rgb(b"\xFF\xD8\xFF\xD9"), None);
}
