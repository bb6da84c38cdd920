//! The embedding of the token that the state names, and the same times the first norm's gain: how a
//! step of decoding begins.

use super::check::{Case, F32_LIMIT, random};
use super::state::{self, STATE};
use super::{Variant, data_prelude, groups, kernel, params, weight_prelude};
use crate::gpu::{Kernel, Matrix, Recorder, Storage, Tensor};
use crate::quant::{BLOCK, Format, Packed, padded_cols};

params! { rows: u32, blocks: u32, first_row: u32 }

static KERNEL: Kernel = kernel!("embed_step", [Read, Read, Read, Read, Write, Write]);

pub(super) fn variants() -> Vec<Variant> {
    let all = Format::ALL.into_iter().flat_map(|format| [(format, false), (format, true)]);
    all.map(|(f, textures)| Variant {
        kernel: &KERNEL,
        preludes: vec![STATE, data_prelude(textures), weight_prelude(f)],
        constants: vec![],
    })
    .collect()
}

/// Records: row `token` of `table` → `x` [1, cols], times `gain` [1, cols] → `next` [1, cols].
pub fn embed_step(
    rec: &mut Recorder,
    state: &Storage,
    table: &Matrix,
    gain: &Tensor,
    x: &Tensor,
    next: &Tensor,
) {
    assert!(
        x.cols == table.cols && next.cols == table.cols && gain.cols == table.cols,
        "embed_step: widths"
    );
    for part in &table.parts {
        let blocks = (padded_cols(table.cols) / BLOCK) as u32;
        let params = Params { rows: part.rows as u32, blocks, first_row: part.first_row as u32 };
        let grid = [groups(padded_cols(table.cols) / 4), 1, 1];
        let preludes = [STATE, data_prelude(table.in_textures()), weight_prelude(table.format)];
        rec.dispatch(
            &KERNEL,
            &preludes,
            &[],
            params,
            &[state, &part.data, &part.scales, gain, x, next],
            grid,
        );
    }
}

/// The twin: (x, next).
pub fn reference(token: u32, table: &Packed, gain: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let x = table.row(token as usize);
    let next = x.iter().zip(gain).map(|(x, g)| x * g).collect();
    (x, next)
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for format in Format::ALL {
        for (rows, cols, textures) in
            [(1, 1, false), (700, 72, true), (65, 320, false), (65, 320, true)]
        {
            cases.push(Case::new(
                format!(
                    "embed_step {} {rows}x{cols}{}",
                    format.name(),
                    if textures { " in textures" } else { "" }
                ),
                F32_LIMIT,
                async move |gpu| {
                    let table = Packed::pack(format, &random(1, rows * cols), rows, cols);
                    let gain = random(2, cols);
                    let token = rows as u32 * 2 / 3;
                    let state = state::upload(gpu, |state| state.token = token).await?;
                    let (table_gpu, gain_gpu) = (
                        gpu.upload_matrix_as("table", &table, textures).await?,
                        gpu.upload("gain", &gain, 1, cols).await?,
                    );
                    let (x, next) =
                        (gpu.tensor("x", 1, cols).await?, gpu.tensor("next", 1, cols).await?);
                    let mut rec = gpu.recorder();
                    embed_step(&mut rec, &state, &table_gpu, &gain_gpu, &x, &next);
                    rec.submit();
                    let (want, want_next) = reference(token, &table, &gain);
                    let got = [gpu.read_rows(&x, 0, 1).await?, gpu.read_rows(&next, 0, 1).await?]
                        .concat();
                    Ok((got, [want, want_next].concat()))
                },
            ));
        }
    }
    cases
}
