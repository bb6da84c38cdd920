//! Pictures that were looked at, with their encoded image tokens: each once, however often it is in
//! a prompt, and kept for a while after it has left the prompt.

use crate::config::Config;
use crate::image::tiles::{Level, Plan};
use crate::image::{Picture, Pixels};
use crate::model::{ImageTokens, PictureTag};
use crate::select::{self, Select};

/// SHA-256 of what is a picture to this model.
pub(super) type Hash = [u8; 32];

/// Which fixed permutation `random` is.
const RANDOM_SEED: u64 = 0x6d71_7421;

/// The most bytes of image tokens, and of pictures, that are kept of what no prompt shows.
const MOST_BYTES: usize = 64 << 20;

/// Pictures, the one looked at last at the end.
#[derive(Default)]
pub(super) struct Gallery(Vec<Seen>);

/// A picture, and what was encoded of it.
pub(super) struct Seen {
    pub(super) hash: Hash,
    /// Width and height.
    pub(super) size: (usize, usize),
    /// The picture itself, where other levels may be wanted later.
    pub(super) source: Option<Picture>,
    pub(super) views: Vec<View>,
    /// The first square, as the model sees it, without its floats.
    pub(super) shown: Pixels,
}

/// A picture cut at one level and encoded.
pub(super) struct View {
    pub(super) plan: Plan,
    pub(super) visual: ImageTokens,
    /// The order in which its tokens spread, once fewer than all were wanted.
    pub(super) spread: Option<Vec<u32>>,
}

impl Gallery {
    pub(super) fn get(&self, hash: &Hash) -> Option<&Seen> {
        self.0.iter().find(|seen| seen.hash == *hash)
    }

    pub(super) fn get_mut(&mut self, hash: &Hash) -> Option<&mut Seen> {
        self.0.iter_mut().find(|seen| seen.hash == *hash)
    }

    /// Adds a picture that is not there yet.
    pub(super) fn add(&mut self, seen: Seen) {
        self.0.push(seen);
    }

    /// Says that a picture was looked at just now.
    pub(super) fn touch(&mut self, hash: &Hash) {
        if let Some(at) = self.0.iter().position(|seen| seen.hash == *hash) {
            let seen = self.0.remove(at);
            self.0.push(seen);
        }
    }

    /// Lets go of pictures that are not among `shown`, those looked at longest ago first, until the
    /// others are small enough.
    pub(super) fn tidy(&mut self, shown: &[Hash], config: &Config) {
        let mut room = MOST_BYTES;
        let mut newest_first = std::mem::take(&mut self.0);
        newest_first.reverse();
        newest_first.retain(|seen| {
            let bytes = seen.bytes(config);
            let stays = shown.contains(&seen.hash) || bytes <= room;
            if stays && !shown.contains(&seen.hash) {
                room -= bytes;
            }
            stays
        });
        newest_first.reverse();
        self.0 = newest_first;
    }

    /// Bytes that all of them take.
    pub(super) fn bytes(&self, config: &Config) -> usize {
        self.0.iter().map(|seen| seen.bytes(config)).sum()
    }

    /// What is encoded, and of which picture.
    pub(super) fn views(&self) -> Vec<(&Hash, &View)> {
        let mut all = Vec::new();
        for seen in &self.0 {
            all.extend(seen.views.iter().map(|view| (&seen.hash, view)));
        }
        all
    }

    /// What is encoded, under the names that slots use.
    pub(super) fn visuals(&self) -> Vec<(PictureTag, &ImageTokens)> {
        let views = self.views().into_iter();
        views.map(|(hash, view)| (tag(hash, view.plan.level), &view.visual)).collect()
    }
}

impl Seen {
    /// What is encoded at this level.
    pub(super) fn view(&self, level: Level) -> Option<&View> {
        self.views.iter().find(|view| view.plan.level == level)
    }

    /// Bytes that it takes, of image tokens and of the picture itself.
    fn bytes(&self, config: &Config) -> usize {
        let row = config.language.hidden * size_of::<f32>();
        let tokens: usize = self.views.iter().map(|view| config.rows(&view.plan) * row).sum();
        tokens + self.source.as_ref().map_or(0, |source| source.rgb.len())
    }
}

impl View {
    /// Rows of the image tokens that `m` of them are, in the order of the prompt.
    pub(super) fn rows(&self, config: &Config, select: Select, m: usize) -> Vec<u32> {
        let all = config.tokens(&self.plan);
        let newlines = config.newlines(&self.plan);
        match select {
            Select::Pool => range(config.first_pooled(m), m),
            // The decoder itself chooses.
            Select::Question => range(0, all),
            _ if m >= all => range(0, all),
            Select::Nested => range(0, m),
            Select::Spread | Select::Random => {
                let kept = if m > newlines { newlines } else { 0 };
                let mut rows = self.chosen(config, select, m - kept);
                rows.extend(range(all - newlines, kept));
                rows
            }
        }
    }

    /// The same for a frame of a clip: its newline stands behind the last frame only, and does not
    /// count.
    pub(super) fn frame(
        &self,
        config: &Config,
        select: Select,
        m: usize,
        is_last: bool,
    ) -> Vec<u32> {
        let newlines = config.newlines(&self.plan);
        if newlines == 0 {
            return self.rows(config, select, m);
        }
        let all = config.tokens(&self.plan) - newlines;
        let mut rows = if m >= all { range(0, all) } else { self.chosen(config, select, m) };
        if is_last {
            rows.extend(range(all, newlines));
        }
        rows
    }

    /// `m` of the rows that may be chosen, rising.
    fn chosen(&self, config: &Config, select: Select, m: usize) -> Vec<u32> {
        let candidates = config.tokens(&self.plan) - config.newlines(&self.plan);
        match (select, &self.spread) {
            (Select::Spread, Some(order)) => select::first(order, m),
            _ => select::first(&select::random(candidates, RANDOM_SEED), m),
        }
    }
}

fn range(from: usize, n: usize) -> Vec<u32> {
    (from as u32..(from + n) as u32).collect()
}

/// What slots call a picture at this level.
pub(super) fn tag(hash: &Hash, level: Level) -> PictureTag {
    let mut tag = [0; 16];
    tag[..14].copy_from_slice(&hash[..14]);
    tag[14..].copy_from_slice(&level.code());
    tag
}
