//! How JavaScript asks to load a model, as a plain object, and what that means to the library. How
//! it asks a question or to measure is `src/settings.rs` of the library; the TypeScript interfaces
//! are made from both.

use crate::failure::{Failure, Result};
use mqt::Select;
use mqt::defaults;
use mqt::gpu::{AdapterChoice, Choices};
use mqt::model::{LoadOptions, Rehearsal, Tuning};
use serde::Deserialize;
use std::convert::Infallible;
use std::str::FromStr;
use wasm_bindgen::prelude::*;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
import type { AskSettings, BenchSettings, LoadSettings } from "../ts/generated";
"#;

#[wasm_bindgen]
extern "C" {
    /// The TypeScript interface of that name.
    #[wasm_bindgen(typescript_type = "LoadSettings")]
    pub type LoadSettings;

    /// The TypeScript interface of that name.
    #[wasm_bindgen(typescript_type = "AskSettings")]
    pub type AskSettings;

    /// The TypeScript interface of that name.
    #[wasm_bindgen(typescript_type = "BenchSettings")]
    pub type BenchSettings;
}

/// How to load a model.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Settings {
    /// `auto` (default: what was measured to be fastest), `cpu`, `gpu`, or part of a device's name.
    pub(crate) adapter: Option<String>,
    /// `fast` (default) or `exact`.
    pub(crate) arithmetic: Option<String>,
    /// For checkpoint folders: `auto` (default: by the decoder's size), `q4`, `q5`, `q8`, `f16` or
    /// `f32`. A pack has its own.
    pub(crate) weights: Option<String>,
    /// Room for tokens, at most the model's limit.
    pub(crate) context: Option<usize>,
    /// What was learned before, by adapter, as `Loaded` told.
    pub(crate) kernels: Choices,
}

impl Settings {
    /// Room for tokens.
    pub(crate) fn context(&self) -> usize {
        self.context.unwrap_or(defaults::CONTEXT)
    }

    /// Options for the library; loading may take `tuning` longer.
    pub(crate) fn options(&self, tuning: Tuning) -> Result<LoadOptions> {
        let adapter = self.adapter.as_deref().map_or(Ok(AdapterChoice::Auto), str::parse);
        let adapter = adapter.unwrap_or_else(|never: Infallible| match never {});
        let mut options = LoadOptions::on(adapter);
        options.weights = parsed(self.weights.as_deref())?;
        options.arithmetic = parsed(self.arithmetic.as_deref())?;
        options.context = self.context();
        options.rehearsal = Rehearsal::Before;
        options.choices = self.kernels.clone();
        options.tuning = tuning;
        Ok(options)
    }
}

/// A setting of few words, or its default.
fn parsed<T: Default + FromStr<Err = String>>(text: Option<&str>) -> Result<T> {
    text.map_or(Ok(T::default()), |text| text.parse().map_err(|why: String| Failure::invalid(&why)))
}

/// A way of choosing image tokens; without one, the model's own.
pub(crate) fn parsed_select(text: Option<&str>) -> Result<Option<Select>> {
    text.map(str::parse::<Select>).transpose().map_err(|why| Failure::invalid(&why))
}
