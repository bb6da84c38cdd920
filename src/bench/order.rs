//! What the order of the image tokens costs.

use super::Bench;
use super::time::Samples;
use crate::error::Result;
use crate::model::ImageTokens;
use crate::select;
use web_time::Instant;

impl Bench<'_> {
    /// How many image tokens of a square picture are put in order by how far they lie apart, and
    /// how long that takes.
    pub(super) async fn order(
        &mut self,
        visual: &ImageTokens,
        side: usize,
    ) -> Result<(usize, f64)> {
        self.say("order of the image tokens")?;
        let config = self.model.config();
        let plan = config.least_plan((side, side));
        let candidates = config.tokens(&plan) - config.newlines(&plan);
        let mut samples = Samples::default();
        while !self.enough(&samples) {
            let start = Instant::now();
            let tokens = self.model.read_visual(visual, 0..candidates).await?;
            select::farthest_point(&tokens, config.language.hidden);
            samples.push(start.elapsed().as_secs_f64());
        }
        Ok((candidates, samples.median() * 1e3))
    }
}
