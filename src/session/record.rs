//! The records of a conversation: an answer (`mqt.answer/1`), a turn, an estimate, a trace.
//!
//! They are here and nowhere else. `mqt ask --json` prints an [`Answer`] as it is serialised; the
//! browser package hands the same on with its names in camelCase, and its TypeScript types are made
//! from this file by `cargo xtask types`.

use crate::budget::Mode;
use crate::gpu::AdapterInfo;
use crate::model::{Arithmetic, Model};
use crate::select::Select;

/// An answer and what it took: `mqt.answer/1`, whose fields and their order are a contract.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(tag = "schema", rename = "mqt.answer/1")]
#[non_exhaustive]
pub struct Answer {
    /// What the caller calls the picture, if it has a name there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The question, as typed.
    pub question: String,
    /// The answer's text.
    #[serde(rename = "answer")]
    pub text: String,
    /// Its token ids, without the end token.
    pub token_ids: Vec<u32>,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// m: the image tokens used of each picture, at most; `images` says how many of which.
    pub image_tokens: usize,
    /// Whether the caller or the budget chose them.
    pub image_tokens_mode: Mode,
    /// Why this many, as a text to show.
    pub image_tokens_reason: String,
    /// The pictures that were asked about, in the order of the prompt.
    pub images: Vec<AnswerImage>,
    /// Squares that the pictures were cut into, in all.
    pub tiles: usize,
    /// How many of the pictures, the last ones, stand before this question; the others stand before
    /// earlier ones.
    pub new_images: usize,
    /// How image tokens were chosen.
    pub select: Select,
    /// Tokens of the whole prompt, image tokens included.
    pub prompt_tokens: usize,
    /// Tokens generated.
    pub completion_tokens: usize,
    /// How often the vision tower ran for this answer: once for each square that was not encoded
    /// before.
    pub vision_runs: u32,
    /// Milliseconds per stage.
    pub timings_ms: Timings,
    /// Generated tokens per second, the first one excluded; 0 for a single token.
    pub tokens_per_second: f64,
    /// Where it was computed.
    pub adapter: AnswerAdapter,
    /// The model.
    pub model: AnswerModel,
    /// `exact` or `fast`.
    pub arithmetic: Arithmetic,
    /// The seed it was drawn with.
    pub seed: u64,
    /// Mean probability of the generated tokens, 0 to 1; `None` if there are none. A low one says
    /// that more image tokens may help.
    pub mean_probability: Option<f32>,
    /// Of the prompt's tokens, how many were already in the cache.
    pub cached_tokens: usize,
    /// Milliseconds to the first token as they were predicted once the picture was encoded, to
    /// compare with `timings_ms`; `None` before anything was measured.
    pub predicted_first_token_ms: Option<f64>,
}

/// A picture that was asked about.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct AnswerImage {
    /// What the caller calls it, if it has a name there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Its image tokens.
    pub image_tokens: usize,
    /// The squares it was cut into; 1 is the whole picture.
    pub tiles: usize,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum FinishReason {
    /// The model ended it, or a stop string did.
    Stop,
    /// The most new tokens were reached.
    Length,
    /// The caller stopped it; the text so far is kept.
    Cancelled,
    /// The context is full; the text so far is kept.
    Context,
}

/// Milliseconds per stage of one answer; what did not happen again is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Timings {
    /// Loading the model, if this is the first answer.
    pub load: f64,
    /// Decoding the picture's file.
    pub decode_image: f64,
    /// The vision tower; 0 if the picture was encoded before.
    pub vision: f64,
    /// The resampler.
    pub resample: f64,
    /// The prompt, as far as it was not cached.
    pub prefill: f64,
    /// From the question to the first token; with what the picture's encoding made somebody wait,
    /// which is nothing where weights were read meanwhile.
    pub first_token: f64,
    /// From the first token to the last.
    pub decode: f64,
    /// All of it.
    pub total: f64,
}

/// The adapter that an answer was computed on.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct AnswerAdapter {
    /// The driver's name for it, or `cpu`.
    pub name: String,
    /// `vulkan`, `metal`, `dx12`, `webgpu` or `none`.
    pub backend: String,
    /// `discrete`, `integrated`, `virtual`, `software`, `other` or `cpu`.
    pub kind: String,
}

/// The model that an answer is from.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct AnswerModel {
    /// The pack's or folder's name.
    pub name: String,
    /// f32, f16, q8 or q4.
    pub weights: String,
    /// SHA-256 of its manifest; empty for a checkpoint folder.
    pub sha256: String,
}

impl Answer {
    /// Adds what happened before the question, and whose milliseconds belong to this answer.
    #[must_use]
    #[doc(hidden)]
    pub fn counting(mut self, load: f64, decode_image: f64) -> Answer {
        self.timings_ms.load += load;
        self.timings_ms.decode_image += decode_image;
        self.timings_ms.total += load + decode_image;
        self.timings_ms = self.timings_ms.rounded();
        self
    }

    /// Image tokens of all pictures together.
    pub fn all_image_tokens(&self) -> usize {
        self.images.iter().map(|image| image.image_tokens).sum()
    }

    /// Milliseconds from the question to the answer's end, without loading and looking.
    pub fn answering_ms(&self) -> f64 {
        self.timings_ms.prefill + self.timings_ms.decode
    }
}

/// To whole microseconds: more digits say nothing.
pub(super) fn micro(ms: f64) -> f64 {
    (ms * 1e3).round() / 1e3
}

impl Timings {
    /// To whole microseconds: more digits say nothing.
    pub(super) fn rounded(self) -> Timings {
        let Timings { load, decode_image, vision, resample, prefill, first_token, decode, total } =
            self;
        let all = [load, decode_image, vision, resample, prefill, first_token, decode, total];
        let [load, decode_image, vision, resample, prefill, first_token, decode, total] =
            all.map(micro);
        Timings { load, decode_image, vision, resample, prefill, first_token, decode, total }
    }
}

impl From<&AdapterInfo> for AnswerAdapter {
    fn from(adapter: &AdapterInfo) -> AnswerAdapter {
        let AdapterInfo { name, backend, kind, .. } = adapter.clone();
        AnswerAdapter { name, backend, kind }
    }
}

impl From<&Model> for AnswerModel {
    fn from(model: &Model) -> AnswerModel {
        AnswerModel {
            name: model.name().to_owned(),
            weights: model.weights_name(),
            sha256: model.sha256().to_owned(),
        }
    }
}

/// A question and its answer, to continue a conversation from. An [`Answer`] is read as one: other
/// fields are ignored.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Turn {
    /// The question, as typed.
    pub question: String,
    /// The answer's token ids, without the end token.
    #[serde(alias = "tokenIds")]
    pub token_ids: Vec<u32>,
    /// The image tokens of each picture, at most, that it was answered with.
    #[serde(alias = "imageTokens")]
    pub image_tokens: usize,
    /// Pictures that stand before its question, after those of earlier turns; `None`: all of them
    /// before the first turn, none before a later one.
    #[serde(default, alias = "newImages", skip_serializing_if = "Option::is_none")]
    pub new_images: Option<usize>,
}

impl Turn {
    /// A turn of these parts, in a conversation whose pictures all stand before the first turn.
    pub fn new(question: impl Into<String>, token_ids: Vec<u32>, image_tokens: usize) -> Turn {
        Turn { question: question.into(), token_ids, image_tokens, new_images: None }
    }

    /// The same with so many pictures of its own before the question.
    #[must_use]
    pub fn showing(self, pictures: usize) -> Turn {
        Turn { new_images: Some(pictures), ..self }
    }
}

impl From<&Answer> for Turn {
    fn from(answer: &Answer) -> Turn {
        Turn::new(answer.question.as_str(), answer.token_ids.clone(), answer.image_tokens)
            .showing(answer.new_images)
    }
}

/// What a question would cost.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Estimate {
    /// m: what would be used.
    pub image_tokens: usize,
    /// Why, as a text to show.
    pub reason: String,
    /// Milliseconds to the first token with what is computed already; `None` before anything was
    /// measured.
    pub first_token_ms: Option<f64>,
    /// The same as if no image token were in the cache: what comparing different m needs.
    pub first_token_from_scratch_ms: Option<f64>,
    /// Generated tokens per second; `None` before the first answer.
    pub tokens_per_second: Option<f64>,
    /// Bytes that the image tokens take in the cache.
    pub cache_bytes: u64,
    /// Tokens that the conversation would take with this question.
    pub context_used: usize,
    /// Tokens there is room for.
    pub context: usize,
}

/// What the intermediate stages of one prompt are: `mqt trace`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Trace {
    /// m.
    pub image_tokens: usize,
    /// Squares the picture was cut into.
    pub tiles: usize,
    /// The tower's input, [tiles, 3, S, S].
    pub pixel_values: Vec<f32>,
    /// [tiles, patches, d_vision]
    pub vision_features: Vec<f32>,
    /// [m, hidden]
    pub visual_tokens: Vec<f32>,
    /// Rows of the picture's tokens that `visual_tokens` are, where fewer than all were chosen by
    /// spread or by chance: one index for each.
    pub selected: Option<Vec<u32>>,
    /// The prompt; −200 marks each unbroken run of image tokens.
    pub input_ids: Vec<i32>,
    /// [prompt with the picture spliced in, vocab]
    pub logits: Vec<f32>,
}
