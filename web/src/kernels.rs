//! Every kernel beside its CPU twin, for the browser's own WGSL compiler: `tests/browser` and the
//! page's diagnostics.

use crate::failure::{Failure, Result};
use crate::{Device, to_js};
use mqt::internals::kernels;
use serde::Serialize;
use wasm_bindgen::prelude::*;

/// What one case gave, as JavaScript sees it.
#[derive(Serialize)]
struct Outcome {
    ok: bool,
    error: f64,
    limit: f64,
    message: String,
}

/// The names of all cases, in the order of the library's list.
#[wasm_bindgen(js_name = kernelCases)]
pub fn kernel_cases() -> Vec<String> {
    kernels::cases().into_iter().map(|case| case.name).collect()
}

#[wasm_bindgen]
impl Device {
    /// Runs the case at `index` of [`kernel_cases`]: `{ ok, error, limit, message }`.
    ///
    /// # Errors
    /// No such case, or the device's own failure; a wrong result is `ok: false`.
    #[wasm_bindgen(js_name = runKernelCase)]
    pub async fn run_kernel_case(&self, index: usize) -> Result<JsValue> {
        let case = kernels::cases()
            .into_iter()
            .nth(index)
            .ok_or_else(|| Failure::invalid("no such kernel case"))?;
        let check = case.run(&self.gpu).await?;
        to_js(&Outcome {
            ok: check.ok,
            error: check.error,
            limit: check.limit,
            message: check.message,
        })
    }
}
