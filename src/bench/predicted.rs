//! What a conversation expects of this device before anybody has asked: the budget's figures, to
//! compare with what is measured.

use super::facts::sample_picture;
use crate::budget::Speed;
use crate::cancel::Cancel;
use crate::error::Result;
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
        session.look(&sample_picture(model), cancel).await?;
    }
    Ok(session.speed().clone())
}
