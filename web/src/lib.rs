//! `mqt` in the browser: a thin shell that turns JavaScript values into library calls. No logic
//! lives here.
//!
//! What it returns are the library's own records, their names in camelCase. Their TypeScript types
//! are in `web/ts/generated.ts`, which `cargo xtask types` makes from the Rust.
//!
//! WebGPU works in pages and in workers; the same calls serve both. For other targets this crate is
//! empty: the library's futures are `Send` there, and JavaScript's are not.

#![cfg(target_arch = "wasm32")]

pub mod converse;
pub mod engine;
pub mod failure;
pub mod kernels;
pub mod pictures;
pub mod settings;
pub mod stop;
pub mod store;
pub mod trace;
pub mod view;

use failure::{Failure, Result};
use mqt::gpu::AdapterChoice;
use mqt::internals::camel::Camel;
use mqt::internals::gpu::Gpu;
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::prelude::*;

/// Where a panic's message and place are kept for the page's report: a property of the worker's
/// global object.
const PANIC: &str = "mqtPanic";

/// Runs once, when the module is loaded: a panic then prints its message and place to the console,
/// and keeps them.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|panic| {
        // An object that takes no property keeps nothing; the console has it.
        let _ = js_sys::Reflect::set(&js_sys::global(), &PANIC.into(), &panic.to_string().into());
        console_error_panic_hook::hook(panic);
    }));
}

/// An opened WebGPU device.
#[wasm_bindgen]
pub struct Device {
    gpu: Gpu,
}

#[wasm_bindgen]
impl Device {
    /// Opens the browser's adapter; `undefined` where there is none.
    ///
    /// # Errors
    /// The adapter refused a device.
    pub async fn open() -> Result<Option<Device>> {
        Ok(Gpu::open(&AdapterChoice::Gpu).await?.map(|gpu| Device { gpu }))
    }

    /// `{ name, backend, kind, driver }`.
    ///
    /// # Errors
    /// Never in practice: the value is plain text.
    #[wasm_bindgen(js_name = adapterInfo)]
    pub fn adapter_info(&self) -> Result<JsValue> {
        to_js(self.gpu.info())
    }
}

/// A plain JavaScript value with the same fields, their names in camelCase.
fn to_js(value: &impl Serialize) -> Result<JsValue> {
    let text =
        serde_json::to_string(&Camel(value)).map_err(|why| Failure::ours(&why.to_string()))?;
    js_sys::JSON::parse(&text).map_err(|_| Failure::ours("a value is not JSON"))
}

/// The fields of a plain JavaScript object; `undefined` counts as an empty one.
fn from_js<T: DeserializeOwned>(value: &JsValue) -> Result<T> {
    let text = js_sys::JSON::stringify(value)
        .ok()
        .and_then(|text| text.as_string())
        .unwrap_or_else(|| "{}".into());
    Ok(serde_json::from_str(&text)?)
}
