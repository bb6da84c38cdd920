//! Every format's bounds, its zeros and what is no number.

use super::*;
use crate::kernels::check::random;
use half::f16;

#[test]
fn every_format_keeps_its_error_bound() {
    for (rows, cols) in [(1, 1), (31, 63), (32, 64), (33, 65), (70, 200)] {
        let values = random(rows as u64 * 31 + cols as u64, rows * cols);
        for (format, bound) in Format::ALL.into_iter().zip([0.0, 5e-4, 6e-3, 0.035, 0.07]) {
            let packed = Packed::pack(format, &values, rows, cols);
            let (data, scales) = format.words(rows, cols);
            assert_eq!((packed.data.len() as u64, packed.scales.len() as u64), (data, scales));
            let (mut error, mut norm) = (0.0f64, 0.0f64);
            for row in 0..rows {
                for (got, want) in packed.row(row).iter().zip(&values[row * cols..]) {
                    error += f64::from(got - want).powi(2);
                    norm += f64::from(*want).powi(2);
                }
            }
            // Uniform values on a grid of 2^b steps: the bound is about half a step over the
            // spread, a little more for one tiny row.
            let error = (error / norm).sqrt();
            assert!(error <= bound, "{} {rows}x{cols}: {error}", format.name());
        }
    }
}

#[test]
fn the_search_never_loses_to_absmax() {
    for seed in 0..50 {
        let values: [f32; BLOCK] = random(seed, BLOCK).try_into().unwrap();
        let values = values.map(|v| v * v * v);
        let peak = values.iter().fold(0.0f32, |a, b| a.max(b.abs()));
        let error = |scale: f32| -> f32 {
            values.iter().map(|w| (w - round_to(w / scale, -127, 127) as f32 * scale).powi(2)).sum()
        };
        let plain = f16::from_f32(peak / 127.0).to_f32();
        assert!(error(best_scale(&values, &[1.0; BLOCK]).to_f32()) <= error(plain));
    }
}

/// What a column that counts a hundred times as much loses, beside all columns counting alike.
#[test]
fn what_is_important_is_kept_better() {
    let (rows, cols) = (64, 256);
    let values: Vec<f32> = random(3, rows * cols).into_iter().map(|v| v * v * v).collect();
    let importance: Vec<f32> = (0..cols).map(|c| if c % 32 == 5 { 100.0 } else { 1.0 }).collect();
    for format in Format::SCALED {
        let error = |importance: Option<&[f32]>| -> f32 {
            let packed = Packed::pack_weighed(format, &values, rows, cols, importance);
            let at = |row: usize| (5..cols).step_by(32).map(move |c| (row, c));
            (0..rows)
                .flat_map(at)
                .map(|(row, c)| (packed.row(row)[c] - values[row * cols + c]).powi(2))
                .sum()
        };
        assert!(error(Some(&importance)) < error(None) / 2.0, "{}", format.name());
    }
}

/// Kernels read what lies beyond a row's columns, and embeddings write it.
#[test]
fn padding_is_exactly_zero() {
    for format in Format::ALL {
        for cols in [1, 31, 33, 63, 65, 100] {
            let values: Vec<f32> = random(1, cols).into_iter().map(|v| v + 0.3).collect();
            let packed = Packed::pack(format, &values, 1, cols);
            let mut row = vec![1.0; padded_cols(cols)];
            packed.unpack_row(0, 0, &mut row);
            assert!(row[cols..].iter().all(|v| *v == 0.0), "{} {cols}: {row:?}", format.name());
            packed.unpack_row(0, 7, &mut row);
            assert!(row.iter().all(|v| *v == 0.0), "{} {cols}: a row too many", format.name());
        }
    }
}

#[test]
fn zeros_infinities_and_nan_do_not_panic() {
    for value in [0.0, f32::INFINITY, f32::NAN, 1e-30, 1e30] {
        for format in [Format::F16, Format::Q8, Format::Q5, Format::Q4] {
            Packed::pack(format, &[value; 70], 1, 70).row(0);
            let mut mixed = [0.5; 70];
            mixed[3] = value;
            Packed::pack_weighed(format, &mixed, 1, 70, Some(&mixed)).row(0);
        }
    }
}

#[test]
fn every_byte_is_a_scale_of_its_own() {
    let all: Vec<f32> = (0..=255).map(block::scale_of).collect();
    assert!(all.is_sorted() && all.iter().all(|s| s.is_normal()));
    for byte in 8..=247u8 {
        // The definition: the upper byte of a half without its sign.
        let half = f16::from_bits(u16::from(byte) << 7).to_f32() / 1024.0;
        assert_eq!(block::scale_of(byte), half);
    }
}
