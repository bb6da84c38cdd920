//! The library's errors as JavaScript errors: the message for people, `code` for programs, and the
//! facts behind it.

use mqt::Error;
use wasm_bindgen::prelude::*;

/// A JavaScript `Error` with a `code`, and `need`, `have` or `file` where the library knows them.
pub struct Failure(JsValue);

/// What the shell's functions return.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// An error of the caller's making.
    pub(crate) fn invalid(message: &str) -> Failure {
        Failure::new(message, "invalid-setting")
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
        let failure = Failure::new(&error.to_string(), error.code());
        match &error {
            Error::ModelCorrupt { file, .. } => failure.with("file", &file.as_str().into()),
            Error::OutOfMemory { bytes, what } => {
                failure.with("need", &(*bytes as f64).into()).with("file", &what.as_str().into())
            }
            Error::LimitTooSmall { need, have, .. } => {
                failure.with("need", &(*need as f64).into()).with("have", &(*have as f64).into())
            }
            Error::ContextFull { need, have } => {
                failure.with("need", &(*need as f64).into()).with("have", &(*have as f64).into())
            }
            _ => failure,
        }
    }
}
