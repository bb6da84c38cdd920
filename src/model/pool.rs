//! Averages over squares of image tokens, as rows behind a picture's own.

use super::parts::Place;
use crate::config::Config;
use crate::error::Result;
use crate::quant::Format;

/// The averages that pooled tokens are, as a mixing map of one head.
pub(super) async fn pool<P: Place>(place: &P, config: &Config) -> Result<Option<P::Map>> {
    let (grid, sides) = (config.square_side(), config.pool_sides());
    if sides.is_empty() {
        return Ok(None);
    }
    let mut map = Vec::new();
    for side in sides {
        let step = grid / side;
        for token in 0..side * side {
            let (y, x) = (token / side, token % side);
            map.extend((0..grid * grid).map(|patch| {
                let inside = patch / grid / step == y && patch % grid / step == x;
                if inside { 1.0 / (step * step) as f32 } else { 0.0 }
            }));
        }
    }
    let patches = grid * grid;
    let tokens = map.len() / patches;
    place.map(map, [1, tokens, patches], Format::F32).await.map(Some)
}
