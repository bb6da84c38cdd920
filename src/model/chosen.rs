//! A prompt whose image tokens the question chooses: read in groups of layers, between which tokens
//! are pruned ([`crate::select::question`]).
//!
//! The layers' caches have different lengths then: [`Cache`] remembers by how many positions each
//! is shorter, and a token of the answer has its own position in each.

use super::back_end::{BackEnd, CHUNK, Rows};
use super::{Cache, Chunk, ImageTokens, Model, Network, PictureTag, Slot, Want, Wanted};
use crate::cancel::{Cancel, Stage};
use crate::error::{Error, Result};
use crate::select::question::{self, Pruned};
use std::ops::Range;

/// What a question chose.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chosen {
    /// Which of the tokens after the picture rated its tokens, counted from 0.
    pub raters: Vec<u32>,
    /// What was decided after each of [`question::LAYERS`].
    pub stages: Vec<Pruned>,
}

impl Model {
    /// As [`Model::extend`], for slots among which are the tokens of one whole picture: the
    /// decoder's layers see fewer and fewer of them, chosen by what comes after it. Only the last
    /// slot's results can be wanted.
    ///
    /// The cache keeps what this question chose: before another one, it has to be rewound to what
    /// lies before the picture ([`Cache::whole`]).
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] if there is no schedule for `budget`, or the slots do not hold one
    /// picture with text behind it; as [`Model::extend`]. The cache is unchanged then.
    ///
    /// # Panics
    /// A slot names a picture that is not among `visuals`; all logits or attention are wanted.
    #[doc(hidden)]
    pub async fn extend_chosen(
        &self,
        cache: &mut Cache,
        slots: &[Slot],
        visuals: &[(PictureTag, &ImageTokens)],
        (budget, want): (usize, Want),
        cancel: &Cancel,
    ) -> Result<(Wanted, Chosen)> {
        assert!(!matches!(want, Want::AllLogits | Want::Attention), "only the last slot is left");
        let need = cache.len + slots.len();
        if need > cache.capacity {
            return Err(Error::ContextFull { need, have: cache.capacity });
        }
        let refused =
            |why: &str| Error::InvalidSetting { what: "select question".into(), why: why.into() };
        let keep = question::schedule(budget)
            .ok_or_else(|| refused("it is for 64, 96, 128 or 192 image tokens"))?;
        let picture = one_picture(slots)
            .filter(|_| cache.removed.is_empty())
            .ok_or_else(|| refused("it takes one picture, and a question behind it"))?;
        cancel.begin(Stage::Prompt, slots.len().div_ceil(CHUNK) * self.config.language.layers);
        let len = cache.len;
        let read = Reading { model: self, slots, visuals, picture, keep, cancel };
        let result = read.run(cache, want).await;
        match &result {
            Ok(_) => cache.len = need,
            Err(_) => {
                (cache.removed, cache.whole) = (Vec::new(), 0);
                cache.rewind(len);
            }
        }
        result
    }

    /// Takes rows through some layers, a chunk at a time; gives what those from `first` on attend
    /// to in the last of the layers, a row [positions up to itself, at least] each.
    async fn run_layers(
        &self,
        cache: &mut Cache,
        x: &mut [f32],
        layers: &Range<usize>,
        first: usize,
        cancel: &Cancel,
    ) -> Result<Vec<Vec<f32>>> {
        let (hidden, mut looked) = (self.config.language.hidden, Vec::new());
        let len = cache.len;
        for (i, x) in x.chunks_mut(CHUNK * hidden).enumerate() {
            let (from, n) = (i * CHUNK, x.len() / hidden);
            let looks = from + n > first;
            let position = len + from;
            let rows = Rows { x, position, layers: layers.clone(), looks };
            let all = match &self.network {
                Network::Gpu(net) => {
                    net.run_layers(&self.config, cache.gpu(), rows, cancel).await?
                }
                Network::Cpu(net) => {
                    net.run_layers(&self.config, cache.cpu(), rows, cancel).await?
                }
            };
            let after = all.chunks_exact(position + n).skip(first.saturating_sub(from));
            looked.extend(after.map(<[f32]>::to_vec));
        }
        Ok(looked)
    }
}

/// The places of a prompt's only picture, if text follows it and its tokens stand together.
fn one_picture(slots: &[Slot]) -> Option<Range<usize>> {
    let is_visual = |slot: &Slot| slot.token().is_none();
    let first = slots.iter().position(is_visual)?;
    let last = slots.iter().rposition(is_visual)?;
    let is_one = slots[first..=last].iter().all(is_visual);
    (is_one && last + 1 < slots.len()).then_some(first..last + 1)
}

/// A prompt on its way through the decoder.
struct Reading<'a> {
    model: &'a Model,
    slots: &'a [Slot],
    visuals: &'a [(PictureTag, &'a ImageTokens)],
    picture: Range<usize>,
    keep: [usize; 3],
    cancel: &'a Cancel,
}

impl Reading<'_> {
    async fn run(&self, cache: &mut Cache, want: Want) -> Result<(Wanted, Chosen)> {
        let Reading { model, slots, picture, cancel, .. } = self;
        let language = &model.config.language;
        let hidden = language.hidden;
        let row = |i: usize| i * hidden;
        let mut x = self.embedded().await?;
        let raters = question::raters(
            &x[row(picture.start)..row(picture.end)],
            &x[row(picture.end)..],
            hidden,
        );
        let mut chosen = Chosen { raters, stages: Vec::new() };
        let (mut seen, mut first_layer) = (picture.len(), 0);
        let mut removed = vec![0; language.layers];
        for stage in 0..=self.keep.len() {
            let end = question::LAYERS.get(stage).map_or(language.layers, |layer| layer + 1);
            let layers = first_layer..end.min(language.layers);
            first_layer = layers.end;
            removed[layers.clone()].fill(slots.len() - x.len() / hidden);
            let text = picture.start + seen;
            let looked = model.run_layers(cache, &mut x, &layers, text, cancel).await?;
            let Some(&keep) = self.keep.get(stage) else { break };
            let first = cache.len + picture.start;
            let scores = scores(&looked, &chosen.raters, first..first + seen);
            let (pruned, rows) = question::prune(scores, &x[row(picture.start)..row(text)], keep);
            seen = rows.len() / hidden;
            x = [&x[..row(picture.start)], &rows, &x[row(text)..]].concat();
            chosen.stages.push(pruned);
        }
        let last = &x[x.len() - hidden..];
        let config = &model.config;
        let wanted = match &model.network {
            Network::Gpu(net) => net.finish(config, cache.gpu(), last, want, cancel).await?,
            Network::Cpu(net) => net.finish(config, cache.cpu(), last, want, cancel).await?,
        };
        (cache.removed, cache.whole) = (removed, cache.len + picture.start);
        Ok((wanted, chosen))
    }

    /// The slots as they enter the decoder, [slots, hidden].
    async fn embedded(&self) -> Result<Vec<f32>> {
        let (config, want) = (&self.model.config, Want::Nothing);
        let mut x = Vec::new();
        for slots in self.slots.chunks(CHUNK) {
            let (position, removed) = (0, &[][..]);
            match &self.model.network {
                Network::Gpu(net) => {
                    let visuals: Vec<_> =
                        self.visuals.iter().map(|(key, v)| (*key, v.gpu())).collect();
                    let chunk = Chunk { slots, position, removed, visuals: &visuals, want };
                    x.extend(net.embed(config, chunk).await?);
                }
                Network::Cpu(net) => {
                    let visuals: Vec<_> =
                        self.visuals.iter().map(|(key, v)| (*key, v.cpu())).collect();
                    let chunk = Chunk { slots, position, removed, visuals: &visuals, want };
                    x.extend(net.embed(config, chunk).await?);
                }
            }
        }
        Ok(x)
    }
}

/// The mean of what the raters attend to among `columns`.
fn scores(looked: &[Vec<f32>], raters: &[u32], columns: Range<usize>) -> Vec<f32> {
    let mut scores = vec![0.0f32; columns.len()];
    for &rater in raters {
        let row = &looked[rater as usize][columns.clone()];
        scores.iter_mut().zip(row).for_each(|(sum, weight)| *sum += weight / raters.len() as f32);
    }
    scores
}
