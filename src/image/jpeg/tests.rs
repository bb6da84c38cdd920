//! What is refused, and what small inputs become. Comparisons with Pillow are in
//! `tests/pictures.rs`.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use super::*;

const ONE_SCAN: &[u8] = include_bytes!("../../../tests/golden/field/scans_420_012.jpg");
const THREE_SCANS: &[u8] = include_bytes!("../../../tests/golden/field/scans_420_0-1-2.jpg");
const PROGRESSIVE: &[u8] = include_bytes!("../../../tests/golden/field/progressive_420_0-1-2.jpg");

/// Where this marker stands for the `n`th time.
fn marker(bytes: &[u8], marker: u8, n: usize) -> usize {
    let found = bytes.windows(2).enumerate().filter(|(_, two)| *two == [0xFF, marker]);
    found.map(|(at, _)| at).nth(n).unwrap()
}

fn changed(bytes: &[u8], at: usize, value: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] = value;
    bytes
}

fn problem(bytes: &[u8]) -> String {
    decode(bytes).err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn processes_that_are_not_decoded_are_refused_by_name() {
    let frame = marker(ONE_SCAN, 0xC0, 0);
    let kinds = [
        (0xC3, "lossless"),
        (0xC5, "hierarchical"),
        (0xC7, "hierarchical"),
        (0xC9, "arithmetic"),
        (0xCA, "arithmetic"),
        (0xCB, "arithmetic"),
        (0xCF, "hierarchical"),
        (0xF7, "JPEG-LS"),
    ];
    for (kind, name) in kinds {
        let said = problem(&changed(ONE_SCAN, frame + 1, kind));
        assert!(said.contains(name) && said.contains("cannot be read"), "{kind:x}: {said}");
    }
    assert!(problem(&changed(ONE_SCAN, frame + 4, 12)).contains("12-bit"));
    let fractional = changed(&changed(ONE_SCAN, frame + 11, 0x31), frame + 14, 0x21);
    assert!(problem(&fractional).contains("fractional sampling"), "{}", problem(&fractional));
    let no_height = changed(&changed(ONE_SCAN, frame + 5, 0), frame + 6, 0);
    assert!(problem(&no_height).contains("height"), "{}", problem(&no_height));
}

#[test]
fn a_missing_scan_is_not_taken_for_grey() {
    let last = marker(THREE_SCANS, 0xDA, 2);
    let mut two = THREE_SCANS[..last].to_vec();
    two.extend([0xFF, 0xD9]);
    assert!(problem(&two).contains("missing"), "{}", problem(&two));
    // A progressive picture that stops early is rough, not damaged.
    let end = marker(PROGRESSIVE, 0xDA, 7);
    let mut rough = PROGRESSIVE[..end].to_vec();
    rough.extend([0xFF, 0xD9]);
    assert_eq!(problem(&rough), "");
}

#[test]
fn coded_data_that_end_early_are_refused() {
    let end = ONE_SCAN.len() - 2;
    let mut short = ONE_SCAN[..end - 40].to_vec();
    short.extend([0xFF, 0xD9]);
    assert!(problem(&short).contains("end too early"), "{}", problem(&short));
}

#[test]
fn standard_tables_stand_in_for_those_left_out() {
    let (dc, ac) = huffman::standard();
    assert!(dc[..2].iter().chain(&ac[..2]).all(Option::is_some));
    // The shortest codes of each table in T.81, annex K: two bits each.
    let symbol = |table: &Option<Box<huffman::Table>>, bits: u8| {
        huffman::Bits::new(vec![bits, 0, 0, 0]).symbol(table.as_ref().unwrap())
    };
    assert_eq!(
        [symbol(&dc[0], 0), symbol(&dc[1], 0), symbol(&ac[0], 0), symbol(&ac[1], 0)],
        [Some(0), Some(0), Some(1), Some(0)]
    );
}

#[test]
fn a_file_of_a_thousand_scans_ends_soon() {
    // A frame of 16 000 × 11 000, and scans of a few bytes that ask for a walk over all of it.
    let mut file = b"\xFF\xD8\xFF\xC2\0\x0B\x08\x2A\xF8\x3E\x80\x01\x01\x11\0".to_vec();
    file.extend(b"\xFF\xDB\0\x43\0");
    file.extend([1; 64]);
    // One code, for a run of 2¹⁴ blocks without a coefficient.
    file.extend(b"\xFF\xC4\0\x14\x10\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xE0");
    for _ in 0..1000 {
        file.extend(b"\xFF\xDA\0\x08\x01\x01\0\x01\x3F\0");
        file.extend([0; 400]);
    }
    file.extend(b"\xFF\xD9");
    let said = problem(&file);
    assert!(said.contains("too many scans"), "{said}");
}
