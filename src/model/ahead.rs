//! What happens on a separate thread while weights are read: kernels compile, then a first picture
//! is encoded.

#[cfg(feature = "native")]
mod first;

use super::Opened;
use super::fetch::Progress;
use super::look::{Encoder, Seen};
use super::rehearsal::Beside;
use crate::cancel::Cancel;
use crate::config::Config;
use crate::future::Callback;
#[cfg(feature = "native")]
pub use first::FirstPicture;
#[cfg(feature = "native")]
use {
    super::Measured,
    std::thread::{self, JoinHandle},
    std::time::{Duration, Instant},
};

/// How often a wait looks whether somebody pressed Stop.
#[cfg(feature = "native")]
const GLANCE: Duration = Duration::from_millis(1);
/// A picture of which this share was encoded after the weights were read was encoded by itself.
#[cfg(feature = "native")]
const NEARLY_ALL: f64 = 0.9;

/// Stopped where loading ends early.
#[derive(Default)]
pub(super) struct Meanwhile {
    /// Compiles kernels.
    beside: Option<Beside>,
    /// Is encoded once there is an encoder.
    #[cfg(feature = "native")]
    first: Option<FirstPicture>,
    #[cfg(feature = "native")]
    ahead: Option<Ahead>,
}

impl Meanwhile {
    /// With the picture that `opened` has, if it has one.
    #[cfg_attr(not(feature = "native"), expect(unused_variables, reason = "there are no threads"))]
    pub(super) fn new(beside: Option<Beside>, opened: &mut Opened) -> Meanwhile {
        Meanwhile {
            beside,
            #[cfg(feature = "native")]
            first: opened.first.take(),
            #[cfg(feature = "native")]
            ahead: None,
        }
    }

    /// The encoder is loaded. `identity` is what tells the model from others, where encoded
    /// pictures of it may be kept.
    #[cfg_attr(not(feature = "native"), expect(unused_variables, reason = "there are no threads"))]
    pub(super) fn start(&mut self, encoder: Encoder, config: &Config, identity: Option<&str>) {
        #[cfg(feature = "native")]
        if let Some(first) = self.first.take() {
            let beside = self.beside.take();
            self.ahead = Some(Ahead::start(first, beside, encoder, config, identity));
        }
    }

    /// Waits for its end; somebody who presses Stop waits no longer for a picture.
    #[cfg_attr(not(feature = "native"), expect(unused_variables, reason = "there are no threads"))]
    pub(super) fn finish(
        self,
        cancel: &Cancel,
        on_progress: &mut Callback<'_, Progress>,
    ) -> Option<Seen> {
        if let Some(beside) = self.beside {
            on_progress(&Progress { phase: "compiling kernels", done: 0, total: 0 });
            beside.finish();
        }
        #[cfg(feature = "native")]
        return self.ahead?.finish(cancel, on_progress);
        #[cfg(not(feature = "native"))]
        None
    }
}

/// A picture's thread.
#[cfg(feature = "native")]
struct Ahead {
    cancel: Cancel,
    thread: Option<JoinHandle<Option<Seen>>>,
}

#[cfg(feature = "native")]
impl Ahead {
    /// Kernels are compiled before the picture is encoded.
    fn start(
        first: FirstPicture,
        beside: Option<Beside>,
        encoder: Encoder,
        config: &Config,
        identity: Option<&str>,
    ) -> Ahead {
        let cancel = Cancel::new();
        let (stop, config, identity) =
            (cancel.clone(), config.clone(), identity.map(str::to_owned));
        let run = move || {
            let picture = first.read();
            if let Some(beside) = beside {
                beside.finish();
            }
            picture?.encode(&encoder, &config, identity.as_deref(), &stop)
        };
        // A system without another thread encodes later.
        let thread = thread::Builder::new().name("picture".into()).spawn(run).ok();
        Ahead { cancel, thread }
    }

    fn finish(mut self, cancel: &Cancel, on_progress: &mut Callback<'_, Progress>) -> Option<Seen> {
        let thread = self.thread.take()?;
        on_progress(&Progress { phase: "looking at the picture", done: 0, total: 0 });
        let start = Instant::now();
        while !thread.is_finished() {
            if cancel.is_cancelled() {
                self.cancel.cancel();
            }
            thread::sleep(GLANCE);
        }
        // Where it panicked, whoever asks about the picture will see why.
        let mut seen = thread.join().ok()??;
        let alone_ms = start.elapsed().as_secs_f64() * 1e3;
        if seen.measured == Measured::Beside && alone_ms >= seen.looked.ms() * NEARLY_ALL {
            seen.measured = Measured::Alone;
        }
        Some(seen)
    }
}

#[cfg(feature = "native")]
impl Drop for Ahead {
    fn drop(&mut self) {
        self.cancel.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
