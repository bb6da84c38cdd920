//! What an answer looked at: where in each picture the answer's tokens directed their attention.

use super::gallery::tag;
use super::places::Places;
use super::{Answer, Session};
use crate::attention;
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::image::Picture;
use crate::model::{PictureTag, Slot, Want, Wanted};
use crate::select::Select;

/// What an answer looked at in one picture.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct LookedAt {
    /// What the caller calls the picture, if it has a name there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Columns of the grid over the picture.
    pub columns: usize,
    /// Rows of the grid.
    pub rows: usize,
    /// A weight for each of its cells, row by row; they sum to 1, or are all 0 where the answer did
    /// not look at this picture.
    pub weights: Vec<f32>,
    /// The part of the picture that the grid lies over: [left, top, width, height] in its pixels.
    /// It reaches beyond a picture that was padded to a square.
    pub area: [f64; 4],
    /// How much of all its attention the answer directed at this picture, 0 to 1.
    pub share: f32,
}

impl LookedAt {
    /// A map over a square grid, such as the resampler's, as if an answer had looked like that.
    ///
    /// # Panics
    /// The number of weights is not a square.
    #[doc(hidden)]
    pub fn of_square(image: Option<String>, weights: Vec<f32>, area: [f64; 4]) -> LookedAt {
        let side = weights.len().isqrt();
        assert_eq!(side * side, weights.len(), "weights of a square");
        LookedAt { image, columns: side, rows: side, weights, area, share: 1.0 }
    }

    /// Of a picture of `width` × `height`, the ninth that got the most of the weight, and how much
    /// of it: ("top left", 0.42). What lies beside the picture counts to its edge.
    pub fn mostly(&self, (width, height): (usize, usize)) -> (&'static str, f32) {
        let [left, top, across, down] = self.area;
        attention::heaviest(self.weights.iter().enumerate().map(|(i, &weight)| {
            let (column, row) = ((i % self.columns) as f64 + 0.5, (i / self.columns) as f64 + 0.5);
            let x = (left + column / self.columns as f64 * across) / width as f64;
            let y = (top + row / self.rows as f64 * down) / height as f64;
            (x as f32, y as f32, weight)
        }))
    }

    /// The map drawn over `shown`, which is a picture of `width` × `height` in any size. Weights
    /// are drawn relative to the largest; `opacity` 0 shows the picture alone, 1 the map alone.
    #[must_use]
    pub fn over(&self, (width, height): (usize, usize), shown: &Picture, opacity: f32) -> Picture {
        let [left, top, across, down] = self.area;
        let most = self.weights.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
        let cells = |at: f64, first: f64, length: f64, n: usize| -> Option<usize> {
            let cell = (at - first) / length * n as f64;
            // What was cut off was not looked at.
            (0.0..n as f64).contains(&cell).then_some(cell as usize)
        };
        let mut rgb = shown.rgb.clone();
        for (y, row) in rgb.chunks_exact_mut(shown.width * 3).enumerate() {
            let at = (y as f64 + 0.5) / shown.height as f64 * height as f64;
            let cell_y = cells(at, top, down, self.rows);
            for (x, pixel) in row.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                let at = (x as f64 + 0.5) / shown.width as f64 * width as f64;
                let cell = cell_y.zip(cells(at, left, across, self.columns));
                let weight = cell.map_or(0.0, |(y, x)| self.weights[y * self.columns + x]);
                let heat = attention::colour(weight / most);
                *pixel = std::array::from_fn(|i| {
                    let (seen, heat) = (f32::from(pixel[i]), f32::from(heat[i]));
                    (seen * (1.0 - opacity) + heat * opacity).round() as u8
                });
            }
        }
        Picture { rgb, ..*shown }
    }
}

/// The prompt of the last answer, and the answer.
pub(super) struct Answered {
    /// Without the answer's beginning, where that was given.
    prompt: Vec<Slot>,
    answer: Vec<u32>,
    select: Select,
}

impl Answered {
    /// `prompt` ends with the first `so_far` tokens of the answer.
    pub(super) fn of(mut prompt: Vec<Slot>, answer: &Answer, so_far: usize) -> Answered {
        prompt.truncate(prompt.len() - so_far);
        Answered { prompt, answer: answer.token_ids.clone(), select: answer.select }
    }
}

/// The image tokens of one picture of a prompt.
struct Run {
    picture: PictureTag,
    /// (position in the prompt, row of the picture's tokens)
    slots: Vec<(usize, u32)>,
}

impl Session {
    /// What the last answer looked at in each picture that it saw, in the order of the prompt.
    ///
    /// It is the attention of the positions that each chose a token of the answer, from the last
    /// one of the prompt on: the mean over them, the heads and the middle third of the decoder's
    /// layers. A picture's part of it goes back to the places that its image tokens have their
    /// values from: through the resampler's map, else to each token's own place. It says where the
    /// decoder looked, not why it answered as it did.
    ///
    /// One pass over the answer's tokens; the conversation goes on as if it had not been asked for.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] if nothing was answered since the pictures changed, or the
    /// question chose the image tokens ([`Select::Question`]);
    /// [`Error::Cancelled`]; the device's failures.
    pub async fn looked_at(&mut self, cancel: &Cancel) -> Result<Vec<LookedAt>> {
        let refused =
            |why: &str| Error::InvalidSetting { what: "the answer".into(), why: why.into() };
        let Some(Answered { prompt, answer, select }) = &self.answered else {
            return Err(refused("there is none yet; ask about the pictures first"));
        };
        if *select == Select::Question {
            return Err(refused(
                "the question chose its image tokens, layer by layer; choose them in another way to see what it looked at",
            ));
        }
        let (runs, last) = (runs(prompt), prompt.len() - 1);
        if runs.is_empty() {
            return Ok(Vec::new());
        }
        let mut slots = prompt.clone();
        let chosen_from = &answer[..answer.len().saturating_sub(1)];
        slots.extend(chosen_from.iter().map(|&id| Slot::Token(id)));
        let kept = self.keep_common_prefix(&slots[..=last]);
        self.extend(&slots[kept..last], Want::Nothing, cancel).await?;
        let attention = match self.extend(&slots[last..], Want::Attention, cancel).await? {
            Wanted::Attention(attention) => attention,
            _ => unreachable!("attention was asked for"),
        };
        let config = self.model.config();
        let map = match config.square_side() {
            0 => Some(self.model.resampler_map(config.m_max()).await?),
            _ => None,
        };
        runs.iter().map(|run| self.looked_at_one(run, &attention, map.as_deref())).collect()
    }

    fn looked_at_one(&self, run: &Run, attention: &[f32], map: Option<&[f32]>) -> Result<LookedAt> {
        let views = self.gallery.views();
        let found =
            views.into_iter().find(|(hash, view)| tag(hash, view.plan.level) == run.picture);
        let Some((_, view)) = found else {
            // The slots of an answer are of pictures that the session still shows.
            let why = "a picture that it saw is no longer kept; ask again".into();
            return Err(Error::InvalidSetting { what: "the answer".into(), why });
        };
        let tokens: Vec<_> = run.slots.iter().map(|&(at, row)| (row, attention[at])).collect();
        let (config, spec) = (self.model.config(), self.model.image_spec());
        let Places { columns, rows, mut weights, area } =
            Places::of(config, spec, &view.plan, &tokens, map);
        let share: f32 = weights.iter().sum();
        if share > 0.0 {
            weights.iter_mut().for_each(|weight| *weight /= share);
        }
        Ok(LookedAt { image: None, columns, rows, weights, area, share })
    }
}

/// The pictures of a prompt. A picture's rows rise, so that what does not is the next one, be it
/// the same picture again.
fn runs(prompt: &[Slot]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (at, slot) in prompt.iter().enumerate() {
        let Slot::Visual { picture, index } = *slot else { continue };
        let goes_on = |run: &&mut Run| {
            run.picture == picture && run.slots.last().is_some_and(|(_, row)| *row < index)
        };
        match runs.last_mut().filter(goes_on) {
            Some(run) => run.slots.push((at, index)),
            None => runs.push(Run { picture, slots: vec![(at, index)] }),
        }
    }
    runs
}
