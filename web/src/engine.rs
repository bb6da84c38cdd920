//! A loaded model and one conversation about a picture.

use crate::store::{Store, StoredFiles};
use crate::{from_js, to_js};
use mqt::budget::Budget;
use mqt::cancel::Cancel;
use mqt::gpu::AdapterInfo;
use mqt::image::{Pixels, Reading};
use mqt::model::{LoadOptions, Model};
use mqt::session::{Answer, FinishReason, Request, Session, Timings};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use wasm_bindgen::prelude::*;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
export interface LoadSettings {
  /** `auto` (default), `cpu`, or part of an adapter's name. */
  adapter?: string;
  /** `fast` (default) or `exact`. */
  arithmetic?: string;
  /** For checkpoint folders: `q4` (default), `q8`, `f16` or `f32`. A pack has its own. */
  weights?: string;
  /** Room for tokens, at most the model's limit; 2048 by default. */
  context?: number;
}

export interface AskSettings {
  /** Image tokens to spend, 1 to the model's maximum; without it the measured speed decides. */
  imageTokens?: number;
  /** The answer is cut after so many tokens; 512 by default. */
  maxNewTokens?: number;
}
"#;

#[wasm_bindgen]
extern "C" {
    /// The TypeScript interface of that name.
    #[wasm_bindgen(typescript_type = "LoadSettings")]
    pub type LoadSettings;

    /// The TypeScript interface of that name.
    #[wasm_bindgen(typescript_type = "AskSettings")]
    pub type AskSettings;
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    adapter: String,
    arithmetic: String,
    weights: String,
    context: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { adapter: "auto".into(), arithmetic: "fast".into(), weights: "q4".into(), context: 2048 }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Asked {
    image_tokens: Option<u64>,
    max_new_tokens: Option<usize>,
}

/// A model with one conversation.
#[wasm_bindgen]
pub struct Engine {
    session: Session,
}

/// What was loaded, as JavaScript sees it.
#[derive(Serialize)]
struct Loaded<'a> {
    name: &'a str,
    weights: String,
    sha256: &'a str,
    image_tokens_max: usize,
    context_max: usize,
    adapter: &'a AdapterInfo,
    arithmetic: String,
}

/// An answer, as JavaScript sees it: the fields of `mqt ask --json` that do not depend on files.
#[derive(Serialize)]
struct Record {
    answer: String,
    token_ids: Vec<u32>,
    finish_reason: FinishReason,
    image_tokens: usize,
    image_tokens_reason: String,
    prompt_tokens: usize,
    cached_tokens: usize,
    completion_tokens: usize,
    vision_runs: u32,
    timings_ms: Timings,
    tokens_per_second: f64,
}

#[wasm_bindgen]
impl Engine {
    /// Loads the pack or checkpoint in `store`.
    ///
    /// # Errors
    /// An option that makes no sense; the model's, the adapter's and the device's failures.
    #[allow(clippy::arc_with_non_send_sync, reason = "natively a model is Send and Sync, and a session takes it as it is there")]
    pub async fn load(store: Store, options: LoadSettings) -> Result<Engine, JsError> {
        let settings: Settings = from_js(&options)?;
        let options = LoadOptions {
            adapter: settings.adapter.parse().unwrap_or_else(|never: std::convert::Infallible| match never {}),
            weights: settings.weights.parse().map_err(|why: String| JsError::new(&why))?,
            arithmetic: settings.arithmetic.parse().map_err(|why: String| JsError::new(&why))?,
            ..Default::default()
        };
        let model = Model::from_files(Box::new(StoredFiles::new(store)), &options, &mut |_| ()).await?;
        let context = settings.context.min(model.config().max_context());
        Ok(Engine { session: Session::new(Arc::new(model), context).await? })
    }

    /// `{ name, weights, sha256, image_tokens_max, context_max, adapter, arithmetic }`.
    ///
    /// # Errors
    /// Never in practice: the value is plain text and numbers.
    pub fn loaded(&self) -> Result<JsValue, JsError> {
        let model = self.session.model();
        to_js(&Loaded {
            name: model.name(),
            weights: model.weights_name(),
            sha256: model.sha256(),
            image_tokens_max: model.config().m_max(),
            context_max: model.config().max_context(),
            adapter: model.adapter(),
            arithmetic: model.arithmetic().to_string(),
        })
    }

    /// Puts a picture file in front of the model. The same picture again costs nothing; another one starts a new conversation.
    ///
    /// # Errors
    /// The bytes are not a picture, or the device's failures.
    pub async fn look(&mut self, picture: &[u8]) -> Result<(), JsError> {
        let pixels = Pixels::decode(picture, self.session.model().image_spec(), Reading::People)?;
        self.session.look(&pixels, &Cancel::new()).await?;
        Ok(())
    }

    /// Forgets the questions so far, keeps the picture.
    #[wasm_bindgen(js_name = startAnew)]
    pub fn start_anew(&mut self) {
        self.session.start_anew();
    }

    /// Answers a question about the picture, calling `on_text` with each piece of text.
    ///
    /// # Errors
    /// A budget out of range, a full context, the device's failures.
    pub async fn ask(&mut self, question: String, settings: AskSettings, on_text: &js_sys::Function) -> Result<JsValue, JsError> {
        let settings: Asked = from_js(&settings)?;
        let mut request = Request::new(question);
        if let Some(m) = settings.image_tokens {
            request.budget = Budget::Fixed(m);
        }
        if let Some(most) = settings.max_new_tokens {
            request.max_new_tokens = most;
        }
        let mut show = |text: &str| {
            // A listener that throws is the listener's problem; the answer goes on.
            let _ = on_text.call1(&JsValue::UNDEFINED, &text.into());
        };
        let answer = self.session.ask(&request, &mut show).await?;
        to_js(&Record::from(answer))
    }
}

impl From<Answer> for Record {
    fn from(answer: Answer) -> Record {
        Record {
            answer: answer.text,
            token_ids: answer.token_ids,
            finish_reason: answer.finish_reason,
            image_tokens: answer.image_tokens,
            image_tokens_reason: answer.image_tokens_reason,
            prompt_tokens: answer.prompt_tokens,
            cached_tokens: answer.cached_tokens,
            completion_tokens: answer.completion_tokens,
            vision_runs: answer.vision_runs,
            timings_ms: answer.timings,
            tokens_per_second: answer.tokens_per_second,
        }
    }
}
