//! What rows of the residual stream attend to, on the processor.

use super::kernels::{Kernels, Memories};
use super::{KvCache, forward_layer};
use crate::attention;
use crate::config::{Config, LanguageConfig};
use crate::cpu::{self, KvRows, Matrix};
use crate::error::Result;
use crate::model::Want;
use crate::model::back_end::Rows;
use crate::model::parts::Language;
use crate::parallel;
use std::ops::Range;

/// Runs some layers over rows of the residual stream, as the GPU's.
pub(super) async fn run_layers(
    config: &Config,
    w: &Language<Matrix, Vec<f32>>,
    cache: &mut KvCache,
    rows: Rows<'_>,
    kernels: Kernels<'_>,
    memory: &mut Memories,
) -> Result<Vec<f32>> {
    let l = &config.language;
    let Rows { x, position, layers, looks } = rows;
    let n = x.len() / l.hidden;
    memory.x = x.to_vec();
    let rope = &cache.rope;
    let mut looked = vec![0.0; if looks { n * (position + n) } else { 0 }];
    for i in layers.clone() {
        kernels.cancel.breathe().await?;
        let kv = &mut cache.layers[i];
        let at = (&mut *kv, &rope[..], position);
        parallel::inside(|| forward_layer(l, &w.layers[i], at, kernels, memory));
        if looks && i + 1 == layers.end {
            let share = 1.0 / l.shape.heads as f32;
            cpu::attention_weights(&memory.q, kv, position, share, &mut looked);
        }
    }
    kernels.cancel.check()?;
    x.copy_from_slice(&memory.x);
    Ok(looked)
}

/// What the slots of a chunk attend to, where that is wanted.
pub(super) struct Looks {
    layers: Range<usize>,
    /// 1 / (heads · layers)
    share: f32,
    /// [slots, keys]
    pub(super) rows: Vec<f32>,
}

impl Looks {
    pub(super) fn new(l: &LanguageConfig, want: Want, len: usize) -> Looks {
        let layers = attention::middle_third(l.layers);
        let share = 1.0 / (l.shape.heads * layers.len()) as f32;
        if want == Want::Attention {
            Looks { layers, share, rows: vec![0.0; len] }
        } else {
            Looks { layers: 0..0, share, rows: Vec::new() }
        }
    }

    /// Adds what the queries of layer `i` attend to.
    pub(super) fn add(&mut self, i: usize, q: &[f32], kv: &KvRows, position: usize) {
        if self.layers.contains(&i) {
            cpu::attention_weights(q, kv, position, self.share, &mut self.rows);
        }
    }
}
