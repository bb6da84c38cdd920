//! Gathers rows of the embedding table: `out[first + t] = table[ids[t]]`.

use super::check::{Case, F32_LIMIT, random};
use super::{Variant, data_prelude, groups, kernel, params, weight_prelude};
use crate::gpu::{Kernel, Matrix, Recorder, Storage, Tensor};
use crate::quant::{BLOCK, Format, Packed, padded_cols};

params! { rows: u32, blocks: u32, first_row: u32, first_token: u32 }

static KERNEL: Kernel = kernel!("embed", [Read, Read, Read, Write]);

pub(super) fn variants() -> Vec<Variant> {
    let all = Format::ALL.into_iter().flat_map(|format| [(format, false), (format, true)]);
    all.map(|(f, textures)| Variant {
        kernel: &KERNEL,
        preludes: vec![data_prelude(textures), weight_prelude(f)],
        constants: vec![],
    })
    .collect()
}

/// Records the gathering of `n` ids (u32) into rows `first..first + n` of `out` [tokens,
/// table.cols]. Ids are below `table.rows`.
pub fn embed(
    rec: &mut Recorder,
    ids: &Storage,
    n: usize,
    table: &Matrix,
    out: &Tensor,
    first: usize,
) {
    assert!(
        out.cols == table.cols && first + n <= out.rows && n as u64 * 4 <= ids.bytes(),
        "embed: {n} ids at {first}"
    );
    for part in &table.parts {
        let params = Params {
            rows: part.rows as u32,
            blocks: (padded_cols(table.cols) / BLOCK) as u32,
            first_row: part.first_row as u32,
            first_token: first as u32,
        };
        let grid = [groups(padded_cols(table.cols) / 4), n as u32, 1];
        let preludes = [data_prelude(table.in_textures()), weight_prelude(table.format)];
        rec.dispatch(&KERNEL, &preludes, &[], params, &[ids, &part.data, &part.scales, out], grid);
    }
}

/// The twin: ids → [ids, cols].
pub fn reference(ids: &[u32], table: &Packed) -> Vec<f32> {
    ids.iter().flat_map(|&id| table.row(id as usize)).collect()
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for format in Format::ALL {
        for (rows, cols, textures) in
            [(1, 1, false), (700, 72, true), (65, 320, false), (65, 320, true)]
        {
            cases.push(Case::new(
                format!(
                    "embed {} {rows}x{cols}{}",
                    format.name(),
                    if textures { " in textures" } else { "" }
                ),
                F32_LIMIT,
                async move |gpu| {
                    let table = Packed::pack(format, &random(1, rows * cols), rows, cols);
                    let ids: Vec<u32> =
                        (0..7).map(|i| (i * 37 % rows) as u32).chain([rows as u32 - 1]).collect();
                    let ids_gpu = gpu.storage("ids", ids.len() as u64 * 4).await?;
                    gpu.write(&ids_gpu, 0, bytemuck::cast_slice(&ids));
                    let table_gpu = gpu.upload_matrix_as("table", &table, textures).await?;
                    let out = gpu.tensor("out", ids.len() + 1, cols).await?;
                    let mut rec = gpu.recorder();
                    embed(&mut rec, &ids_gpu, ids.len(), &table_gpu, &out, 1);
                    rec.submit();
                    Ok((gpu.read_rows(&out, 1, ids.len()).await?, reference(&ids, &table)))
                },
            ));
        }
    }
    cases
}
