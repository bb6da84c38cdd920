//! Stop, from JavaScript: one object per question, and pauses in which its call can arrive.

use mqt::cancel::{Cancel, Stage};
use mqt::future::Boxed;
use std::cell::Cell;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

/// The processor's network lets messages in this often.
const PAUSE_MS: f64 = 30.0;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(callback: &js_sys::Function, ms: i32) -> JsValue;
}

thread_local! {
    static LAST_PAUSE: Cell<f64> = const { Cell::new(0.0) };
}

/// Lets the worker handle its messages, if it has not for a while.
fn pause() -> Boxed<'static, ()> {
    Box::pin(async {
        let now = js_sys::Date::now();
        if now - LAST_PAUSE.get() < PAUSE_MS {
            return;
        }
        // A promise alone would come back before any message: only a new task lets them in.
        let task = js_sys::Promise::new(&mut |resolve, _| {
            set_timeout(&resolve, 0);
        });
        let _ = JsFuture::from(task).await;
        LAST_PAUSE.set(js_sys::Date::now());
    })
}

/// Stops the work it was given to.
#[wasm_bindgen]
pub struct Stop {
    pub(crate) cancel: Cancel,
}

#[wasm_bindgen]
impl Stop {
    /// Not stopped.
    #[wasm_bindgen(constructor)]
    #[allow(clippy::new_without_default, reason = "it is a constructor in JavaScript")]
    pub fn new() -> Stop {
        Stop { cancel: Cancel::with_pause(pause) }
    }

    /// What is being computed before the first token: `encoding` or `prefilling`; none before the
    /// work has begun.
    #[wasm_bindgen(getter)]
    pub fn stage(&self) -> Option<String> {
        let (stage, _) = self.cancel.progress()?;
        Some(String::from(if stage == Stage::Picture { "encoding" } else { "prefilling" }))
    }

    /// How much of that stage is done, 0 to 1.
    #[wasm_bindgen(getter)]
    pub fn share(&self) -> f32 {
        self.cancel.progress().map_or(0.0, |(_, share)| share)
    }

    /// Stops at the next opportunity, within some tens of milliseconds.
    pub fn stop(&self) {
        self.cancel.cancel();
    }
}
