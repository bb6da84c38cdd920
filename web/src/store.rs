//! A model's files, read through JavaScript by ranges: from the network, from storage, from files
//! on disk.
//!
//! The WebAssembly heap holds one range at a time, never a whole model.

use mqt::error::{Error, Result};
use mqt::future::Boxed;
use mqt::model::Files;
use std::ops::Range;
use wasm_bindgen::prelude::*;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** Where a model's files come from. Names are relative to the model's folder, with `/` between folders. */
export interface Store {
  /** Size in bytes; `undefined` if there is no such file. */
  size(name: string): Promise<number | undefined>;
  /** Exactly the bytes from `start` to `end`, which lie inside the file. */
  read(name: string, start: number, end: number): Promise<Uint8Array>;
  /** Names of the files of a folder (`""`: the model's own). Checkpoints need it to find their parts, packs do not. */
  list?(folder: string): string[];
  /** Whether every file was compared with its SHA-256 before it is handed out; otherwise the engine does that, more slowly. */
  readonly verified?: boolean;
}
"#;

#[wasm_bindgen]
extern "C" {
    /// The TypeScript interface of that name.
    #[wasm_bindgen(typescript_type = "Store")]
    #[derive(Clone)]
    pub type Store;

    #[wasm_bindgen(method, structural, catch)]
    async fn size(this: &Store, name: &str) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, structural, catch)]
    async fn read(this: &Store, name: &str, start: f64, end: f64) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, structural, getter)]
    fn verified(this: &Store) -> JsValue;

    #[wasm_bindgen(method, structural, catch)]
    fn list(this: &Store, folder: &str) -> Result<Vec<String>, JsValue>;
}

/// A folder of a [`Store`].
pub(crate) struct StoredFiles {
    store: Store,
    /// The folder's path with a `/` at its end, or empty.
    folder: String,
}

impl StoredFiles {
    pub(crate) fn new(store: Store) -> StoredFiles {
        StoredFiles { store, folder: String::new() }
    }

    fn path(&self, name: &str) -> String {
        format!("{}{name}", self.folder)
    }
}

impl Files for StoredFiles {
    fn describe(&self) -> String {
        self.folder.trim_end_matches('/').to_owned()
    }

    fn size<'a>(&'a self, name: &'a str) -> Boxed<'a, Result<Option<u64>>> {
        Box::pin(async move {
            let path = self.path(name);
            let size = self.store.size(&path).await.map_err(|reason| missing(&path, &reason))?;
            Ok(size.as_f64().map(|bytes| bytes as u64))
        })
    }

    fn read<'a>(&'a self, name: &'a str, range: Range<u64>) -> Boxed<'a, Result<Vec<u8>>> {
        Box::pin(async move {
            let path = self.path(name);
            // A double holds every size up to 2^53 exactly.
            let bytes = self
                .store
                .read(&path, range.start as f64, range.end as f64)
                .await
                .map_err(|reason| missing(&path, &reason))?;
            let bytes = bytes
                .dyn_into::<js_sys::Uint8Array>()
                .map_err(|_| corrupt(&path, "the store gave no bytes".into()))?;
            let want = range.end - range.start;
            if u64::from(bytes.length()) != want {
                return Err(corrupt(
                    &path,
                    format!(
                        "{want} bytes from {} were asked for, {} came",
                        range.start,
                        bytes.length()
                    ),
                ));
            }
            Ok(bytes.to_vec())
        })
    }

    fn list(&self) -> Vec<String> {
        // A store without the method throws, and lists nothing.
        let mut names = self.store.list(self.folder.trim_end_matches('/')).unwrap_or_default();
        names.sort();
        names
    }

    fn are_verified(&self) -> bool {
        self.store.verified().is_truthy()
    }

    fn folder(&self, name: &str) -> Option<Box<dyn Files>> {
        let parts: Vec<&str> =
            name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        if name.starts_with('/') || parts.contains(&"..") {
            return None;
        }
        let inner = StoredFiles {
            store: self.store.clone(),
            folder: self.path(&format!("{}/", parts.join("/"))),
        };
        // An empty folder is as good as none.
        if inner.list().is_empty() { None } else { Some(Box::new(inner)) }
    }
}

fn missing(path: &str, reason: &JsValue) -> Error {
    let why = reason.dyn_ref::<js_sys::Error>().map(|error| String::from(error.message()));
    Error::ModelMissing {
        path: path.into(),
        why: why.or_else(|| reason.as_string()).unwrap_or_else(|| "no reason given".into()),
    }
}

fn corrupt(path: &str, problem: String) -> Error {
    Error::ModelCorrupt { file: path.into(), problem }
}
