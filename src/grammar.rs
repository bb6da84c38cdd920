//! What an answer may say: a [`Grammar`], and how far an answer has come in it, a [`Constraint`].
//!
//! The model and its session know only that some tokens are allowed before each step. Making
//! grammars from JSON schemas and lists of choices is a separate feature (`grammar`):
//!
//! ```
//! # #[cfg(all(feature = "native", feature = "grammar"))]
//! # fn main() -> mqt::Result<()> {
//! use mqt::grammar::Compiler;
//! use mqt::model::{LoadOptions, ModelSource};
//! use mqt::{Request, blocking};
//!
//! let model = blocking::load(&ModelSource::Bundled, &LoadOptions::default())?;
//! let compiler = Compiler::new(model.tokenizer(), &model.config().end_ids)?;
//! let mut session = blocking::Session::new(model)?;
//! session.look(&blocking::picture("models/toybox/samples/toybox-1.png")?)?;
//!
//! let mut request = Request::new("Is there a car?");
//! request.grammar = Some(compiler.choices(&["yes", "no"])?);
//! assert_eq!(session.ask(&request)?.text, "yes");
//! # Ok(())
//! # }
//! # #[cfg(not(all(feature = "native", feature = "grammar")))]
//! # fn main() {}
//! ```

use crate::error::{Error, Result};
use std::fmt;
use std::sync::Arc;

#[cfg(feature = "grammar")]
mod compile;

#[cfg(feature = "grammar")]
pub use compile::{Compiler, SCHEMA, check_choices};

/// One answer on its way through a grammar.
pub trait Constraint: Send {
    /// Sets the bits of the tokens that may come next: of end tokens, where the answer may end.
    /// `mask` has one bit per token of the vocabulary, all 0.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] if that takes too much.
    fn allow(&mut self, mask: &mut [u32]) -> Result<()>;

    /// The answer goes on with this token.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] if the grammar does not allow it.
    fn take(&mut self, token: u32) -> Result<()>;

    /// Whether nothing but the end can follow.
    fn is_complete(&self) -> bool;
}

/// A new way through a grammar.
type Begin = dyn Fn() -> Result<Box<dyn Constraint>> + Send + Sync;

/// What answers may say; cheap to clone. Two are equal if one is the other's clone.
#[derive(Clone)]
pub struct Grammar(Arc<Begin>);

impl Grammar {
    /// A grammar from what begins a way through it.
    pub fn new(begin: impl Fn() -> Result<Box<dyn Constraint>> + Send + Sync + 'static) -> Grammar {
        Grammar(Arc::new(begin))
    }

    /// For one answer.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`].
    pub fn begin(&self) -> Result<Box<dyn Constraint>> {
        (self.0)()
    }
}

impl PartialEq for Grammar {
    fn eq(&self, other: &Grammar) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Grammar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Grammar")
    }
}

/// The tokens that a constraint allows next, one bit each of `vocab`.
///
/// # Errors
/// The constraint's, and [`Error::InvalidSetting`] if it allows none.
pub(crate) fn mask(constraint: &mut dyn Constraint, vocab: usize) -> Result<Vec<u32>> {
    let mut mask = vec![0; vocab.div_ceil(32)];
    constraint.allow(&mut mask)?;
    if let Some(last) = mask.last_mut().filter(|_| !vocab.is_multiple_of(32)) {
        *last &= (1 << (vocab % 32)) - 1;
    }
    if mask.iter().all(|word| *word == 0) {
        let why = "no token of the model can go on here";
        return Err(Error::InvalidSetting { what: "the grammar".into(), why: why.into() });
    }
    Ok(mask)
}
