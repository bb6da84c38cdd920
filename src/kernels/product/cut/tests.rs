//! Cuts cover every product, whatever its size, and read back as they were written.

use super::*;

#[test]
fn every_cut_fits_its_tile_and_has_a_name() {
    for cut in all() {
        assert!(
            matches!(cut.via, Via::Tile | Via::Bytes)
                || cut.columns() <= if cut.slices > 1 { 4 } else { 16 },
            "{cut}"
        );
        assert!(cut.lanes <= 256 && cut.lanes.is_multiple_of(32 * cut.slices), "{cut}");
        assert_eq!(cut.to_string().parse(), Ok(cut));
        let bounded = cut.via == Via::Window || cut.via == Via::Bytes && cut.tokens == 1;
        assert!(cut.takes(Format::Q4, 64) && cut.takes(Format::Q4, 16_448) != bounded, "{cut}");
        assert!(cut.takes(Format::F16, 64) != (cut.via == Via::Bytes), "{cut}");
    }
    assert!("3x3/1@64".parse::<Cut>().is_err());
}

#[test]
fn every_batch_has_a_candidate_and_a_listed_guess() {
    for software in [true, false] {
        for panels in [1, 4, 8, 64] {
            let product =
                Product { software, bytes: false, format: Format::Q4, panels, cols: 4096 };
            for n in 1..=80 {
                assert!(!candidates(product, n, false).is_empty(), "{software} {panels} {n}");
                for cols in [64, 4096] {
                    assert!(
                        all().contains(&guess(software, panels * PANEL, cols, n)),
                        "{software} {panels} {n}"
                    );
                }
            }
            assert!(!candidates(product, 1, true).is_empty());
            assert!(
                guess(software, panels * PANEL, 4096, 1).rows.is_multiple_of(2),
                "gates and ups stand side by side"
            );
        }
    }
}

#[test]
fn bytes_are_candidates_only_where_they_may_be() {
    let has = |product, n| candidates(product, n, false).iter().any(|cut| cut.via == Via::Bytes);
    let product =
        Product { software: false, bytes: true, format: Format::Q4, panels: 64, cols: 4096 };
    assert!(
        !has(product, 1) && candidates(product, 1, true).iter().any(|cut| cut.via == Via::Bytes)
    );
    assert!([2, 4, 5, 17, 64, 300].into_iter().all(|n| has(product, n)));
    for other in [
        Product { software: true, ..product },
        Product { bytes: false, ..product },
        Product { format: Format::F16, ..product },
    ] {
        assert!((1..80).all(|n| !has(other, n)), "{other:?}");
    }
}

#[test]
fn runs_cover_every_token_once() {
    for main in [
        Cut::new(4, 16, 1, 32),
        Cut::uniform(8, 8),
        Cut::EXACT,
        Cut::tile(2),
        Cut::bytes(16, 1, 4, 128),
    ] {
        for n in (1..40).chain([64, 65, 80, 81, 577]) {
            let mut next = 0;
            for (first, count, cut) in runs(n, main, |rest| guess(true, 4096, 4096, rest)) {
                assert!(first == next && count > 0, "{n}");
                // Only the last run may have lanes with tokens too many.
                assert!(
                    next + count == n || count % cut.tokens as usize == 0,
                    "{n}: {count} by {cut}"
                );
                next += count;
            }
            assert_eq!(next, n);
        }
    }
}
