//! Encoded pictures, kept through JavaScript: as bytes under a name.

use half::f16;
use mqt::future::Boxed;
use mqt::model::{PictureKey, PictureStore};
use wasm_bindgen::prelude::*;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** Where encoded pictures are kept. It may forget any of them at any time. */
export interface Pictures {
  /** The bytes kept under a name, `undefined` if there are none. */
  get(name: string): Promise<Uint8Array | undefined>;
  /** Keeps bytes under a name. */
  put(name: string, bytes: Uint8Array): Promise<void>;
}
"#;

#[wasm_bindgen]
extern "C" {
    /// The TypeScript interface of that name.
    #[wasm_bindgen(typescript_type = "Pictures")]
    pub type Pictures;

    #[wasm_bindgen(method, structural, catch)]
    async fn get(this: &Pictures, name: &str) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, structural, catch)]
    async fn put(
        this: &Pictures,
        name: &str,
        bytes: js_sys::Uint8Array,
    ) -> Result<JsValue, JsValue>;
}

/// Bytes of a half.
const HALF: usize = 2;

/// A [`PictureStore`] of JavaScript's. What it cannot read is not there, what it cannot write is
/// not kept.
pub(crate) struct Kept(pub(crate) Pictures);

impl PictureStore for Kept {
    fn get<'a>(&'a self, key: &'a PictureKey, len: usize) -> Boxed<'a, Option<Vec<f16>>> {
        Box::pin(async move {
            let bytes = self.0.get(&key.name()).await.ok()?;
            let bytes = bytes.dyn_into::<js_sys::Uint8Array>().ok()?;
            // Another length is no picture of this model's.
            if bytes.length() as usize != HALF * len {
                return None;
            }
            let halves = bytes.to_vec();
            let halves =
                halves.chunks_exact(HALF).map(|pair| f16::from_le_bytes([pair[0], pair[1]]));
            let values: Vec<f16> = halves.collect();
            values.iter().all(|value| value.is_finite()).then_some(values)
        })
    }

    fn put<'a>(&'a self, key: &'a PictureKey, values: &'a [f16]) -> Boxed<'a, ()> {
        Box::pin(async move {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            // A full storage is no reason to fail.
            let _ = self.0.put(&key.name(), js_sys::Uint8Array::from(&bytes[..])).await;
        })
    }
}
