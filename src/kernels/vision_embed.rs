//! Puts the class token before the patch embeddings and adds positions. Upstream:
//! `CLIPVisionEmbeddings.forward`.

use super::check::{Case, F32_LIMIT, random};
use super::{Variant, groups, kernel, params};
use crate::gpu::{Kernel, Recorder, Tensor};

params! { cols: u32, stride: u32 }

static KERNEL: Kernel = kernel!("vision_embed", [Read, Read, Read, Write]);

pub(super) fn variants() -> Vec<Variant> {
    vec![Variant { kernel: &KERNEL, preludes: vec![], constants: vec![] }]
}

/// Records patches [patches, hidden], class [1, hidden], position [patches + 1, hidden] → out
/// [patches + 1, hidden].
pub fn vision_embed(
    rec: &mut Recorder,
    patches: &Tensor,
    class: &Tensor,
    position: &Tensor,
    out: &Tensor,
) {
    assert!(
        out.rows == patches.rows + 1 && position.rows == out.rows && out.cols == patches.cols,
        "vision_embed: shapes"
    );
    let params = Params { cols: out.cols as u32, stride: out.stride() as u32 };
    rec.dispatch(
        &KERNEL,
        &[],
        &[],
        params,
        &[patches, class, position, out],
        [groups(out.cols), out.rows as u32, 1],
    );
}

/// The twin: patches [patches, hidden], class, position [patches + 1, hidden] → [patches + 1,
/// hidden].
pub fn reference(patches: &[f32], class: &[f32], position: &[f32]) -> Vec<f32> {
    class.iter().chain(patches).zip(position).map(|(x, p)| x + p).collect()
}

pub(super) fn cases() -> Vec<Case> {
    let case = |(patches, hidden): (usize, usize)| {
        Case::new(format!("vision_embed {patches}x{hidden}"), F32_LIMIT, async move |gpu| {
            let (x, class, position) =
                (random(1, patches * hidden), random(2, hidden), random(3, (patches + 1) * hidden));
            let x_gpu = gpu.upload("patches", &x, patches, hidden).await?;
            let class_gpu = gpu.upload("class", &class, 1, hidden).await?;
            let position_gpu = gpu.upload("position", &position, patches + 1, hidden).await?;
            let out = gpu.tensor("out", patches + 1, hidden).await?;
            let mut rec = gpu.recorder();
            vision_embed(&mut rec, &x_gpu, &class_gpu, &position_gpu, &out);
            rec.submit();
            Ok((gpu.read_rows(&out, 0, patches + 1).await?, reference(&x, &class, &position)))
        })
    };
    [(1, 1), (9, 65), (64, 192)].into_iter().map(case).collect()
}
