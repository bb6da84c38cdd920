//! How much an error in each column of a matrix counts: the mean square of the input that the
//! column is multiplied by. Knowing which inputs are strong is nearly everything that makes
//! rounding good (tests/formats/README.md).
//!
//! A [`Walk`] goes through the decoder in the order in which its matrices are read anyway: each one
//! is shown to it row by row, and the importance of the next one follows. What it shows them is a
//! `guess` from the weights, or a `text`.

mod guess;
mod products;
#[cfg(all(test, feature = "native"))]
mod tests;
mod text;

pub use products::seconds;
pub use text::{TOKENS, windows};

use super::layout::{Entry, Role, layout};
use crate::cancel::Cancel;
use crate::config::Config;
use crate::error::Result;
use guess::Guess;
use std::ops::Range;
use text::Texts;

/// How importance was got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Grade {
    /// All columns alike.
    #[default]
    None,
    /// From the weights themselves, as they are read.
    Guessed,
    /// From a text that the decoder reads.
    Measured,
}

impl std::fmt::Display for Grade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Grade::None => "none",
            Grade::Guessed => "guessed",
            Grade::Measured => "measured",
        })
    }
}

/// Writes row i of a matrix into a slice of zeros.
pub(super) type Fill<'a> = &'a (dyn Fn(usize, &mut [f32]) + Send + Sync);

/// The matrices of the decoder that are passed on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Embed,
    Qkv,
    O,
    GateUp,
    Down,
}

/// What goes through the decoder: strengths of its channels, or tokens of a text.
trait Signal {
    /// Rows of the embedding table.
    fn embed(&mut self, rows: Range<usize>, fill: Fill);

    /// Rows of the matrix that comes next; those before them came before.
    fn rows(&mut self, rows: Range<usize>, fill: Fill);

    /// After all rows of `part`: the importance of the next matrix's columns. `vector`: the bias of
    /// q, k and v, or the gain of the norm that follows; empty where there is none.
    fn finish(&mut self, part: Part, vector: &[f32]) -> Vec<f32>;
}

/// A walk through the decoder.
pub struct Walk {
    /// Every matrix on the way.
    steps: Vec<(Part, Entry)>,
    signal: Box<dyn Signal + Send>,
    /// What is known: of the embedding table nothing, then of each matrix so far. The last one is
    /// where the walk stands.
    known: Vec<Vec<f32>>,
    /// Rows of it that were shown.
    seen: usize,
    cancel: Cancel,
}

impl Walk {
    /// Guesses from the weights.
    pub fn guess(config: &Config) -> Walk {
        Walk::of(config, Box::new(Guess::new(&config.language)))
    }

    /// Measures on texts: token ids below the vocabulary's size, each text by itself.
    pub fn measure(config: &Config, texts: Vec<Vec<u32>>) -> Walk {
        Walk::of(config, Box::new(Texts::new(&config.language, texts)))
    }

    /// The same, which ends with an error once `cancel` says so.
    pub fn stoppable(self, cancel: Cancel) -> Walk {
        Walk { cancel, ..self }
    }

    /// # Errors
    /// [`crate::Error::Cancelled`].
    pub fn check(&self) -> Result<()> {
        self.cancel.check()
    }

    fn of(config: &Config, signal: Box<dyn Signal + Send>) -> Walk {
        let matrices = layout(config)
            .into_iter()
            .filter(|e| e.name == EMBED || matches!(e.role, Role::Layer | Role::LastLayer));
        let steps = matrices.filter_map(|e| Some((part(&e.name)?, e))).collect();
        Walk { steps, signal, known: vec![Vec::new()], seen: 0, cancel: Cancel::new() }
    }

    /// Where a matrix stands in the walk, if it does.
    pub fn place(&self, entry: &Entry) -> Option<usize> {
        self.steps.iter().position(|(_, step)| step.name == entry.name)
    }

    /// The importance of the columns at a place, once the walk has come there; empty: all alike.
    pub fn importance(&self, place: usize) -> Option<&[f32]> {
        self.known.get(place).map(Vec::as_slice)
    }

    /// The matrix where the walk stands, and its rows that are still to be shown.
    pub fn next(&self) -> (&Entry, Range<usize>) {
        let entry = &self.steps[self.known.len() - 1].1;
        (entry, self.seen..entry.rows)
    }

    /// Shows rows of a matrix; those that are not the next ones are passed over.
    pub fn show(&mut self, entry: &Entry, rows: Range<usize>, fill: Fill) {
        let (part, step) = &self.steps[self.known.len() - 1];
        if step.name != entry.name || rows.start != self.seen {
            return;
        }
        self.seen = rows.end;
        match part {
            Part::Embed => self.signal.embed(rows, fill),
            _ => self.signal.rows(rows, fill),
        }
    }

    /// The vector that [`Walk::step`] needs: a bias that may not exist, or a norm's gain.
    pub fn vector(&self) -> Option<String> {
        let at = self.known.len() - 1;
        let sibling = |entry: &Entry, name: &str| {
            entry.name.rsplit_once('.').map(|(layer, _)| format!("{layer}.{name}"))
        };
        match &self.steps[at] {
            (Part::Qkv, entry) => Some(format!("{}.bias", entry.name)),
            (Part::O, entry) => sibling(entry, "norm2"),
            (Part::GateUp, _) => None,
            (Part::Embed | Part::Down, _) => sibling(&self.steps.get(at + 1)?.1, "norm1"),
        }
    }

    /// Goes on to the next matrix, once all rows of this one were shown.
    pub fn step(&mut self, vector: &[f32]) {
        let part = self.steps[self.known.len() - 1].0;
        self.seen = 0;
        self.known.push(self.signal.finish(part, vector));
    }
}

/// The embedding table.
const EMBED: &str = "language.embed";

fn part(name: &str) -> Option<Part> {
    Some(match name.rsplit('.').next()? {
        "embed" => Part::Embed,
        "qkv" => Part::Qkv,
        "o" => Part::O,
        "gate_up" => Part::GateUp,
        "down" => Part::Down,
        _ => return None,
    })
}
