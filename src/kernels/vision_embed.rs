//! Adds positions to the patch embeddings, behind a class token where the tower has one. Upstream:
//! `CLIPVisionEmbeddings.forward`, `SiglipVisionEmbeddings.forward`.

use super::check::{Case, F32_LIMIT, random};
use super::{Variant, groups, kernel, params};
use crate::gpu::{Kernel, Recorder, Tensor};

params! { cols: u32, stride: u32 }

static KERNEL: Kernel = kernel!("vision_embed", [Read, Read, Read, Write]);

pub(super) fn variants() -> Vec<Variant> {
    [0, 1]
        .map(|class| Variant {
            kernel: &KERNEL,
            preludes: vec![],
            constants: vec![("CLASS", class)],
        })
        .into()
}

/// Records patches [patches, hidden], class [1, hidden] if any, position [tokens, hidden] → out
/// [tokens, hidden]; tokens = patches, and one more with a class token.
pub fn vision_embed(
    rec: &mut Recorder,
    patches: &Tensor,
    class: Option<&Tensor>,
    position: &Tensor,
    out: &Tensor,
) {
    assert!(
        out.rows == patches.rows + usize::from(class.is_some())
            && position.rows == out.rows
            && out.cols == patches.cols,
        "vision_embed: shapes"
    );
    let params = Params { cols: out.cols as u32, stride: out.stride() as u32 };
    let constants = [("CLASS", u32::from(class.is_some()))];
    // Without a class token the patches stand in for it: a binding must exist.
    let class = class.unwrap_or(patches);
    rec.dispatch(
        &KERNEL,
        &[],
        &constants,
        params,
        &[patches, class, position, out],
        [groups(out.cols), out.rows as u32, 1],
    );
}

/// The twin: patches [patches, hidden], class, position [tokens, hidden] → [tokens, hidden].
pub fn reference(patches: &[f32], class: Option<&[f32]>, position: &[f32]) -> Vec<f32> {
    class.unwrap_or(&[]).iter().chain(patches).zip(position).map(|(x, p)| x + p).collect()
}

pub(super) fn cases() -> Vec<Case> {
    let case = |(patches, hidden, with_class): (usize, usize, bool)| {
        let name = format!("vision_embed {patches}x{hidden} class {with_class}");
        Case::new(name, F32_LIMIT, async move |gpu| {
            let tokens = patches + usize::from(with_class);
            let (x, class, position) =
                (random(1, patches * hidden), random(2, hidden), random(3, tokens * hidden));
            let x_gpu = gpu.upload("patches", &x, patches, hidden).await?;
            let class_gpu = gpu.upload("class", &class, 1, hidden).await?;
            let position_gpu = gpu.upload("position", &position, tokens, hidden).await?;
            let out = gpu.tensor("out", tokens, hidden).await?;
            let mut rec = gpu.recorder();
            let class_gpu = with_class.then_some(&class_gpu);
            vision_embed(&mut rec, &x_gpu, class_gpu, &position_gpu, &out);
            rec.submit();
            let want = reference(&x, with_class.then_some(&class[..]), &position);
            Ok((gpu.read_rows(&out, 0, tokens).await?, want))
        })
    };
    let shapes = [(1, 1, true), (9, 65, true), (64, 192, true), (1, 1, false), (9, 65, false)];
    shapes.into_iter().map(case).collect()
}
