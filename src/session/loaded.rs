//! What a page learns about a loaded model and why it runs on its device, both from the engine in
//! the browser and from that of `mqt serve`. The TypeScript interfaces are generated from here.

use super::Session;
use crate::budget;
use crate::gpu::{AdapterInfo, Choices, Reason};
use crate::model::{Arithmetic, Model};
use crate::select::Select;
use serde::Serialize;

/// A loaded model and the device it runs on.
#[derive(Serialize)]
pub struct Loaded<'a> {
    /// The pack's or folder's name.
    pub name: &'a str,
    /// f32, f16, q8 or q4.
    pub weights: String,
    /// SHA-256 of its manifest; empty for a checkpoint folder.
    pub sha256: &'a str,
    /// Which numbers of image tokens it gives.
    pub offer: Offer,
    /// The ways in which its image tokens may be chosen, its own first.
    pub selects: Vec<Select>,
    /// Patches per side of the picture.
    pub grid: usize,
    /// Room for tokens of picture and conversation.
    pub context: usize,
    /// The longest context that the model allows.
    pub context_max: usize,
    /// Where it runs.
    pub adapter: &'a AdapterInfo,
    /// Why there.
    pub why: Why,
    /// `fast` or `exact`.
    pub arithmetic: Arithmetic,
    /// What was learned about this adapter so far: for the next load's settings.
    pub kernels: Choices,
}

impl Session {
    /// What a page learns of this session's model.
    #[doc(hidden)]
    pub fn loaded(&self) -> Loaded<'_> {
        let model = self.model();
        let config = model.config();
        Loaded {
            name: model.name(),
            weights: model.weights_name(),
            sha256: model.sha256(),
            offer: config.offer().into(),
            selects: config.selects().to_vec(),
            grid: config.vision.patches().isqrt(),
            context: self.context(),
            context_max: config.max_context(),
            adapter: model.adapter(),
            why: model.reason().into(),
            arithmetic: model.arithmetic(),
            kernels: Choices::from([(model.adapter().key(), model.learned())]),
        }
    }
}

impl Model {
    /// What was learned of its device, speeds included: settings of the next load.
    #[doc(hidden)]
    pub fn learned_with(&self, speed: &budget::Speed) -> Choices {
        let mut learned = self.learned();
        learned.extend(self.learned_speed(speed));
        Choices::from([(self.adapter().key(), learned)])
    }
}

/// Why a model runs where it runs.
#[derive(Serialize)]
pub struct Why {
    /// `asked`, `card` (a graphics card), `no-adapter`, `not-measured` (the only adapter draws in
    /// software) or `measured`.
    pub kind: &'static str,
    /// The adapter that was not measured, or the device that this one was compared with.
    pub other: Option<String>,
    /// How many times as fast as that one it is, 1 or more.
    pub times: Option<f64>,
}

impl From<&Reason> for Why {
    fn from(reason: &Reason) -> Why {
        let (kind, other, times) = match reason {
            Reason::Asked => ("asked", None, None),
            Reason::Card => ("card", None, None),
            Reason::NoAdapter => ("no-adapter", None, None),
            Reason::NotMeasured { adapter } => ("not-measured", Some(adapter), None),
            Reason::Measured { other, times } => ("measured", Some(other), Some(*times)),
        };
        Why { kind, other: other.cloned(), times }
    }
}

/// Which numbers of image tokens a model gives.
#[derive(Serialize)]
pub struct Offer {
    /// M: the most.
    pub max: usize,
    /// The numbers there are, rising; empty: every one from 1 to `max`.
    pub exactly: Vec<usize>,
    /// Those worth comparing, rising.
    pub ladder: Vec<usize>,
    /// How finely the picture may be cut, rising; one level where it is never cut.
    pub levels: Vec<Level>,
}

/// One way of cutting a picture.
#[derive(Serialize)]
pub struct Level {
    /// All image tokens of the picture when it is cut like this.
    pub image_tokens: usize,
    /// The squares it is cut into; 1 is the whole picture.
    pub tiles: usize,
}

impl From<budget::Offer> for Offer {
    fn from(offer: budget::Offer) -> Offer {
        let ladder = offer.ladder();
        let levels = offer.levels.iter();
        let levels = levels.map(|step| Level { image_tokens: step.tokens, tiles: step.squares });
        Offer { max: offer.max, ladder, levels: levels.collect(), exactly: offer.exactly }
    }
}
