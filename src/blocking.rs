//! The library without an executor: every call waits for its result.
//!
//! In native builds only; in the browser nothing may wait. Where an executor is already running,
//! use [`Model`] and [`crate::Session`] directly: their futures are `Send`.

use crate::cancel::Cancel;
use crate::error::Result;
use crate::gpu::AdapterInfo;
use crate::image::{Picture, Reading};
use crate::model::{LoadOptions, Looked, Model, ModelSource};
use crate::session::{Answer, Request};
use std::path::Path;
use std::sync::Arc;

/// Loads a model. It may serve any number of sessions, on any thread.
///
/// # Errors
/// As [`Model::load`].
pub fn load(source: &ModelSource, options: &LoadOptions) -> Result<Arc<Model>> {
    Ok(Arc::new(pollster::block_on(Model::load(source, options, &mut |_| {}))?))
}

/// The graphics devices of this machine, best first; [`LoadOptions::adapter`] can name one.
pub fn adapters() -> Vec<AdapterInfo> {
    pollster::block_on(crate::gpu::adapters())
}

/// Reads a picture's file as a person sees it.
///
/// # Errors
/// [`crate::Error::ImageMissing`] if it cannot be opened; [`crate::Error::ImageUnreadable`] if it
/// is no picture.
pub fn picture(path: impl AsRef<Path>) -> Result<Picture> {
    let path = path.as_ref();
    let missing = |error: std::io::Error| crate::Error::ImageMissing {
        path: path.display().to_string(),
        why: crate::plain::system_error(&error),
    };
    Picture::read(&std::fs::read(path).map_err(missing)?, Reading::People)
}

/// A conversation about pictures: [`crate::Session`], where each call waits for its result. Methods
/// that need no waiting are called on the session itself, to which this dereferences.
pub struct Session {
    session: crate::Session,
    cancel: Cancel,
}

impl Session {
    /// A new conversation, with room that grows as questions need it.
    ///
    /// # Errors
    /// As [`crate::Session::growing`].
    pub fn new(model: Arc<Model>) -> Result<Session> {
        let cancel = Cancel::new();
        let session = pollster::block_on(crate::Session::growing(model, &cancel))?;
        Ok(Session { session, cancel })
    }

    /// The flag that stops what is being computed; it may be set from another thread. The next call
    /// resets it.
    pub fn cancel(&self) -> Cancel {
        self.cancel.clone()
    }

    /// As [`crate::Session::look`].
    ///
    /// # Errors
    /// The same.
    pub fn look(&mut self, picture: &Picture) -> Result<Looked> {
        self.cancel.reset();
        pollster::block_on(self.session.look(picture, &self.cancel))
    }

    /// As [`crate::Session::look_also`].
    ///
    /// # Errors
    /// The same.
    pub fn look_also(&mut self, picture: &Picture) -> Result<Looked> {
        self.cancel.reset();
        pollster::block_on(self.session.look_also(picture, &self.cancel))
    }

    /// As [`crate::Session::watch`].
    ///
    /// # Errors
    /// The same.
    pub fn watch(&mut self, frames: impl IntoIterator<Item = Picture>) -> Result<Looked> {
        self.cancel.reset();
        pollster::block_on(self.session.watch(frames, &self.cancel))
    }

    /// As [`crate::Session::ask`], with the whole answer at the end.
    ///
    /// # Errors
    /// The same.
    pub fn ask(&mut self, request: &Request) -> Result<Answer> {
        self.stream(request, |_| {})
    }

    /// As [`crate::Session::ask`]: `on_text` is called with each piece of text as it is certain.
    ///
    /// # Errors
    /// The same.
    pub fn stream(
        &mut self,
        request: &Request,
        mut on_text: impl FnMut(&str) + Send,
    ) -> Result<Answer> {
        self.cancel.reset();
        pollster::block_on(self.session.ask(request, &self.cancel, &mut |text| on_text(text)))
    }
}

impl std::ops::Deref for Session {
    type Target = crate::Session;

    fn deref(&self) -> &crate::Session {
        &self.session
    }
}

impl std::ops::DerefMut for Session {
    fn deref_mut(&mut self) -> &mut crate::Session {
        &mut self.session
    }
}
