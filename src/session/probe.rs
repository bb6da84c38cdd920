//! How fast a device answers, measured before the first question: for choosing among devices.

use super::{Request, Session};
use crate::budget::{Budget, Speed};
use crate::cancel::Cancel;
use crate::error::Result;
use crate::image::Picture;
use crate::model::Model;
use std::sync::Arc;

/// Room for the probe's prompt and answer, where the model allows so many tokens.
const CONTEXT: usize = 512;
/// Image tokens and generated tokens of the probe.
const TOKENS: (usize, usize) = (16, 16);
/// The first run may compile kernels; the second one is measured.
const RUNS: u8 = 2;

impl Session {
    /// Measures a picture, a prompt and an answer with this model. What ran while kernels compiled
    /// does not count and is run again.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub async fn probe(model: Arc<Model>, cancel: &Cancel) -> Result<Speed> {
        let config = model.config();
        let (context, m) = (CONTEXT.min(config.max_context()), nearest(&model, TOKENS.0));
        let side = config.vision.image_size;
        let mut session = Session::new(model.clone(), context, cancel).await?;
        for run in 0..RUNS {
            if session.speed.encode_ms.is_none() {
                let rgb = vec![128 + run; 3 * side * side];
                let picture = Picture { rgb, width: side, height: side, readings_differ: false };
                session.look(&picture, cancel).await?;
                session.prepare(&Budget::Fixed(1), cancel).await?;
            }
        }
        for _ in 0..RUNS {
            if session.speed.decode_ms_per_token.is_none() {
                session.start_anew();
                let mut request = Request::new("What is this? Describe it.");
                request.budget = Budget::Fixed(m as u64);
                request.max_new_tokens = TOKENS.1;
                session.ask(&request, cancel, &mut |_| {}).await?;
            }
        }
        Ok(session.speed.clone())
    }
}

/// The number of image tokens on the model's ladder that is nearest to `m`.
fn nearest(model: &Model, m: usize) -> usize {
    let ladder = model.config().offer().ladder();
    ladder.into_iter().min_by_key(|step| step.abs_diff(m)).unwrap_or(1)
}
