//! Measuring by hand: what wins, what is remembered, what is measured again.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::gpu::{Choices, Learned};
use crate::kernels::check::gpu_or_skip;
use crate::quant::Packed;
use pollster::block_on;

fn matrix(gpu: &Gpu) -> Matrix {
    block_on(gpu.upload_matrix("w", &Packed::zeros(Format::Q4, 256, 128))).unwrap()
}

#[test]
fn what_was_measured_is_a_variant_and_is_not_measured_again() {
    let Some(gpu) = gpu_or_skip() else { return };
    let w = matrix(&gpu);
    let shape = HeadShape { heads: 4, kv_heads: 2, head_dim: 32 };
    let tuner = Tuner { gpu: &gpu, deadline: None };
    let run = || {
        block_on(tuner.step(&Family { matrices: vec![&w, &w], role: Role::Residual })).unwrap();
        block_on(tuner.batch(&[&w], 4)).unwrap();
        block_on(tuner.split(shape)).unwrap();
    };
    run();
    let chosen = gpu.learned().variants;
    assert_eq!(
        chosen.keys().collect::<Vec<_>>(),
        ["attention/step 4/2x32", "product q4 256x128 by 4", "product/step q4 256x128 by 1"]
    );
    assert!(chosen["attention/step 4/2x32"].parse::<Split>().is_ok());
    assert_eq!(chosen["product q4 256x128 by 4"].parse(), Ok(cut::cut(&gpu, &w, 4, false)));
    assert_eq!(chosen["product/step q4 256x128 by 1"].parse(), Ok(cut::cut(&gpu, &w, 1, true)));
    let before = gpu.counters().dispatches;
    run();
    assert_eq!(gpu.counters().dispatches, before);
}

#[test]
fn the_faster_variant_wins_unless_time_is_up() {
    let Some(gpu) = gpu_or_skip() else { return };
    let w = matrix(&gpu);
    let n = 64;
    let (x, out) =
        (block_on(gpu.tensor("x", n, 128)).unwrap(), block_on(gpu.tensor("out", n, 256)).unwrap());
    // Variants that repeat the product this many times.
    let record = |rec: &mut Recorder, times: usize, _: usize| {
        (0..times).for_each(|_| product(rec, x.slice(0..n), How::plain(&w, Cut::EXACT), (&out, 0)));
    };
    let late = Tuner { gpu: &gpu, deadline: Some(Instant::now()) };
    block_on(late.choose("late".into(), &[40, 1], |_, _| MARGIN, record)).unwrap();
    block_on(Tuner { gpu: &gpu, deadline: None }.choose(
        "in time".into(),
        &[40, 1, 40],
        |_, _| MARGIN,
        record,
    ))
    .unwrap();
    assert_eq!((gpu.chosen("late"), gpu.chosen("in time").as_deref()), (None, Some("1")));
}

#[test]
fn choices_are_recalled_for_the_adapter_they_were_made_on() {
    let Some(gpu) = gpu_or_skip() else { return };
    let w = matrix(&gpu);
    let variants = [(cut::key(w.format, 256, 128, 1, true, false), "1x2/8@256".to_owned())];
    let learned = Learned { variants: variants.into(), ..Learned::default() };
    let choices = |adapter: &str| Choices::from([(adapter.to_owned(), learned.clone())]);
    gpu.recall(&choices("another adapter"));
    assert_eq!(cut::cut(&gpu, &w, 1, true), cut::guess(gpu.is_software(), 256, 128, 1));
    gpu.recall(&choices(&gpu.info().key()));
    assert_eq!(cut::cut(&gpu, &w, 1, true).to_string(), "1x2/8@256");
}

#[test]
fn bytes_are_for_the_decoder_alone_whatever_a_file_says() {
    let Some(gpu) = gpu_or_skip() else { return };
    let tower = matrix(&gpu);
    let decoder = Matrix { may_round: true, ..tower.clone() };
    for (n, step, name) in [(5, false, "4x1/8@256b"), (1, true, "1x2/8@256b")] {
        for w in [&tower, &decoder] {
            gpu.choose(cut::key(w.format, w.rows, w.cols, n, step, w.may_round), name.into());
        }
        assert_eq!(
            (
                cut::cut(&gpu, &decoder, n, step).to_string(),
                cut::cut(&gpu, &tower, n, step).via == Via::Bytes
            ),
            (name.into(), false)
        );
    }
    gpu.forget_packed_dot();
    assert_ne!(cut::cut(&gpu, &decoder, 5, false).via, Via::Bytes);
}

#[test]
fn a_choice_that_is_no_candidate_is_measured_anew() {
    let Some(gpu) = gpu_or_skip() else { return };
    let w = matrix(&gpu);
    let key = cut::key(w.format, 256, 128, 4, false, false);
    gpu.choose(key.clone(), "3x3/3@96".into());
    block_on(Tuner { gpu: &gpu, deadline: None }.batch(&[&w], 4)).unwrap();
    assert!(gpu.chosen(&key).unwrap().parse::<Cut>().is_ok());
}
