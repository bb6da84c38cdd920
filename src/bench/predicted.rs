//! What a conversation predicts for this device before the first question: the budget's figures, to
//! compare with what is measured.

use super::{FirstToken, Prediction};
use crate::budget::{Budget, Speed};
use crate::cancel::Cancel;
use crate::error::Result;
use crate::image::Picture;
use crate::model::Model;
use crate::session::Session;
use std::sync::Arc;

/// Room for the system prompt, where the model allows so many tokens.
const CONTEXT: usize = 256;

/// The speeds that a new conversation measures by itself, the tower's too if `vision` says so.
pub(super) async fn speed(model: &Arc<Model>, vision: bool, cancel: &Cancel) -> Result<Speed> {
    let context = CONTEXT.min(model.config().max_context());
    let mut session = Session::new(model.clone(), context, cancel).await?;
    if vision {
        let side = model.config().vision.image_size;
        let rgb = (0..3 * side * side).map(|i| (i % 97) as u8 * 2).collect();
        let picture = Picture { rgb, width: side, height: side, readings_differ: false };
        session.look(&picture, cancel).await?;
        // Where a picture may be cut in several ways, only now is one square encoded.
        session.prepare(&Budget::Fixed(1), cancel).await?;
    }
    Ok(session.speed().clone())
}

/// How far the predictions of `rows` are off.
pub(super) fn errors(rows: &[FirstToken]) -> Option<Prediction> {
    let error = |row: &FirstToken| row.predicted_ms.map(|ms| (ms / row.ms - 1.0).abs());
    let mut errors: Vec<f64> = rows.iter().filter_map(error).collect();
    errors.sort_by(f64::total_cmp);
    let worst_error = *errors.last()?;
    Some(Prediction { median_error: errors[errors.len() / 2], worst_error })
}
