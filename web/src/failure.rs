//! The library's errors as JavaScript errors: the message for people, `code` for programs, and the
//! facts behind it.

use crate::to_js;
use mqt::{Error, ErrorCode};
use wasm_bindgen::prelude::*;

/// A JavaScript `Error` with a `code` and `facts`.
pub struct Failure(JsValue);

/// What the shell's functions return.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// An error of the caller's making.
    pub(crate) fn invalid(message: &str) -> Failure {
        Failure::new(message, ErrorCode::InvalidSetting.as_str())
    }

    /// A fault of this shell's making.
    pub(crate) fn ours(message: &str) -> Failure {
        Failure::new(message, "internal")
    }

    fn new(message: &str, code: &str) -> Failure {
        Failure(js_sys::Error::new(message).into()).with("code", &code.into())
    }

    fn with(self, key: &str, value: &JsValue) -> Failure {
        // A fresh error object takes any property.
        let _ = js_sys::Reflect::set(&self.0, &key.into(), value);
        self
    }
}

impl From<Failure> for JsValue {
    fn from(failure: Failure) -> JsValue {
        failure.0
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Failure {
        Failure::invalid(&error.to_string())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let failure = Failure::new(&error.to_string(), error.code().as_str());
        match to_js(&error.facts()) {
            Ok(facts) => failure.with("facts", &facts),
            Err(_) => failure,
        }
    }
}

/// The kinds of error that only the browser package has, beside those of [`mqt::ErrorCode`]. Its
/// TypeScript throws them; they are here so that all codes are written in Rust.
pub enum PackageErrorCode {
    /// A file does not match its SHA-256, from the server or in storage.
    BadShard,
    /// A server cannot be asked, or answers with something else.
    Network,
    /// The browser's storage has no room for the model, or there is no storage.
    StorageFull,
    /// Another tab holds the model.
    SecondTab,
    /// A fault of mqt: the engine broke off, and nothing of it may be used again.
    Internal,
}
