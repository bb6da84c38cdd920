//! What each kind of file becomes. Comparisons with Pillow are in `tests/pictures.rs`.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use ::image::codecs::png::PngEncoder;
use ::image::{ExtendedColorType, ImageEncoder};

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

        let people = Picture::read(&file, Reading::People).unwrap();
        assert_eq!(
            (people.width, red(&people)),
            (width, expected.to_vec()),
            "orientation {orientation}"
        );
        assert_eq!(people.readings_differ, orientation != 1);
        let reference = Picture::read(&file, Reading::Reference).unwrap();
        assert_eq!(
            (reference.width, red(&reference)),
            (3, vec![1, 2, 3, 4, 5, 6]),
            "orientation {orientation}"
        );
    }
}

#[test]
fn alpha_is_laid_over_white_or_dropped() {
    let file =
        png(&[10, 20, 30, 0, 10, 20, 30, 51, 10, 20, 30, 255], 3, 1, ExtendedColorType::Rgba8);
    let people = Picture::read(&file, Reading::People).unwrap();
    assert_eq!(people.rgb, [255, 255, 255, 206, 208, 210, 10, 20, 30]);
    let reference = Picture::read(&file, Reading::Reference).unwrap();
    assert_eq!(reference.rgb, [10, 20, 30].repeat(3));
    assert!(people.readings_differ && reference.readings_differ);
    let white = ImageSpec { over_white: true, ..ImageSpec::clip(8) }.reading(Reading::Reference);
    assert_eq!(Picture::read(&file, white).unwrap().rgb, people.rgb);
    assert_eq!(ImageSpec::clip(8).reading(Reading::Reference), Reading::Reference);

    let opaque = png(&[10, 255, 30, 255], 2, 1, ExtendedColorType::La8);
    assert!(!Picture::read(&opaque, Reading::People).unwrap().readings_differ);
}

#[test]
fn sixteen_bits_are_scaled_or_cut() {
    let grey = png(&wide(&[0, 128, 129, 300, 40000, 65535]), 6, 1, ExtendedColorType::L16);
    assert_eq!(red(&Picture::read(&grey, Reading::People).unwrap()), [0, 0, 1, 1, 156, 255]);
    assert_eq!(
        red(&Picture::read(&grey, Reading::Reference).unwrap()),
        [0, 128, 129, 255, 255, 255]
    );

    let rgb = png(&wide(&[383, 40000, 65535]), 1, 1, ExtendedColorType::Rgb16);
    assert_eq!(Picture::read(&rgb, Reading::People).unwrap().rgb, [1, 156, 255]);
    assert_eq!(Picture::read(&rgb, Reading::Reference).unwrap().rgb, [1, 156, 255]);
    let high = png(&wide(&[511, 0, 0]), 1, 1, ExtendedColorType::Rgb16);
    assert_eq!(Picture::read(&high, Reading::People).unwrap().rgb[0], 2);
    assert_eq!(Picture::read(&high, Reading::Reference).unwrap().rgb[0], 1);
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
        let reference = Picture::read(&gif(transparent), Reading::Reference).unwrap();
        assert_eq!(reference.rgb, [left, [0, 0, 200]].concat(), "{transparent:?}");
        let people = Picture::read(&gif(transparent), Reading::People).unwrap();
        assert_eq!(people.rgb, [255, 255, 255, 0, 0, 200], "{transparent:?}");
    }
}

#[test]
fn a_gif_frame_without_pixels_is_refused() {
    for flags in [0, 0x40] {
        let mut file = b"GIF89a\x02\0\x01\0\0\0\0\x2C\0\0\0\0\0\0\x05\0".to_vec();
        file.extend([flags, 2, 0, b';']);
        assert!(problem(&file).contains("no pixels"), "{}", problem(&file));
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
    let hash =
        |file: &[u8]| Pixels::decode(file, &ImageSpec::clip(8), Reading::People).unwrap().hash();
    assert_eq!(hash(&rgb), hash(&grey));
    assert_ne!(hash(&rgb), hash(&other));
}

/// A PNG of one pixel with this chunk in front of its data.
fn png_with(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let plain = png(&[10, 20, 30], 1, 1, ExtendedColorType::Rgb8);
    let data = plain.windows(4).position(|name| name == b"IDAT").unwrap() - 4;
    let mut file = plain[..data].to_vec();
    file.extend((body.len() as u32).to_be_bytes());
    file.extend(kind);
    file.extend(body);
    // Nobody asks for the checksum of a chunk that is passed over.
    file.extend([0; 4]);
    file.extend(&plain[data..]);
    file
}

#[test]
fn profiles_and_texts_that_swell_are_never_unpacked() {
    let packed = fdeflate::compress_to_vec(&vec![b'0'; 40 << 20]);
    let behind = |head: &[u8]| [head, &packed].concat();
    let bombs = [
        png_with(b"iCCP", &behind(b"name\0\0")),
        png_with(b"zTXt", &behind(b"Comment\0\0")),
        png_with(b"zTXt", &behind(b"Raw profile type exif\0\0")),
        png_with(b"iTXt", &behind(b"XML:com.adobe.xmp\0\x01\0\0\0")),
    ];
    for bomb in bombs {
        let picture = Picture::read(&bomb, Reading::People).unwrap();
        assert_eq!((picture.rgb, picture.readings_differ), (vec![10, 20, 30], false));
    }
}

#[test]
fn orientation_is_found_in_every_form_that_pillow_finds() {
    let said = |exif: &[u8]| turn::orientation(Some(exif), None);
    let plain = exif(6);
    assert_eq!(said(&plain), 6);
    assert_eq!(said(&[b"Exif\0\0", &plain[..]].concat()), 6);
    assert_eq!(said(&[b"Exif\0\0Exif\0\0", &plain[..]].concat()), 6);
    let long = b"II*\0\x09\0\0\0-\x01\0\x12\x01\x04\0\x01\0\0\0\x08\0\0\0\0\0\0\0";
    assert_eq!(said(long), 8);
    // A directory that is cut, a number out of range, bytes instead of a number, no EXIF at all.
    let mut many = plain.clone();
    many[9] = 200;
    assert_eq!(said(&many), 6);
    assert_eq!(said(&exif(9)), 1);
    assert_eq!(said(&plain[..12]), 1);
    let mut bytes = plain.clone();
    bytes[13] = 1;
    assert_eq!(said(&bytes), 1);
    assert_eq!(said(b"nonsense"), 1);
    let xmp = |packet: &str| turn::orientation(None, Some(packet.as_bytes()));
    assert_eq!(xmp("<a tiff:Orientation=\"3\"/>"), 3);
    assert_eq!(xmp("<tiff:Orientation>5</tiff:Orientation>"), 5);
    assert_eq!(xmp("tiff:Orientation"), 1);
    // EXIF is asked first.
    assert_eq!(turn::orientation(Some(&plain), Some(b"tiff:Orientation=\"3\"")), 6);
}
