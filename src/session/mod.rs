//! START HERE: one conversation about pictures. [`Session::ask`] is the life of a request.
//!
//! What the network has already computed is never computed twice. The session keeps the list of
//! [`Slot`]s whose keys and values lie in the cache; a new prompt is compared with it, the common
//! prefix is kept and only the rest is computed. From that one rule follow the cached system
//! prompt, the picture's tokens shared by all questions, earlier turns, and changes of m: going
//! from 16 to 64 image tokens keeps the first 16.

use crate::budget::{self, Budget};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::future::Callback;
use crate::model::{Cache, Model, PictureStore, Slot, Want};
use crate::select::Select;
use crate::text::Template;
use gallery::{Gallery, Hash};
use looked_at::Answered;
use std::sync::Arc;
use turns::Told;
use web_time::Instant;
use writer::{Written, restrict, write_answer};

mod estimate;
mod gallery;
pub(crate) mod loaded;
mod look;
mod looked_at;
mod places;
mod probe;
mod prompt;
mod record;
mod request;
#[cfg(all(test, feature = "native"))]
mod tests;
mod trace;
mod turns;
mod warm_up;
mod writer;

use crate::model::Looked;
pub use looked_at::LookedAt;
use record::micro;
pub use record::{
    Answer, AnswerAdapter, AnswerImage, AnswerModel, Estimate, FinishReason, Timings, Trace, Turn,
};
pub use request::{Request, Watch};

/// Tokens that must be left for question and answer.
const LEAST_ROOM: usize = 8;

/// Tokens of an answer that room is made for within a conversation.
const LEAST_ANSWER: usize = 64;

/// Tokens that an unwritten question counts as.
const SHORT_QUESTION: usize = 12;

/// A conversation: pictures, turns, and the cache that holds what was computed for them.
pub struct Session {
    model: Arc<Model>,
    cache: Cache,
    /// The most tokens there may be room for.
    most: usize,
    cached: Vec<Slot>,
    template: Template,
    /// Ids of everything before the first picture.
    prefix: Vec<u32>,
    gallery: Gallery,
    /// The pictures of the prompt, in its order.
    pictures: Vec<Hash>,
    /// Whether they are the frames of a clip.
    is_clip: bool,
    pending: Looked,
    turns: Vec<Told>,
    /// Turns removed by `take_back`, restored if the next `ask` fails.
    withdrawn: Vec<Told>,
    /// What [`Session::looked_at`] is about.
    answered: Option<Answered>,
    speed: budget::Speed,
    /// Whether kernels were compiled while a picture of the next question was encoded: what that
    /// took says nothing about the device.
    encoded_cold: bool,
    store: Option<Arc<dyn PictureStore>>,
}

impl Session {
    /// A new conversation with room for `context` tokens; computes the system prompt, which also
    /// measures the device.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] if `context` exceeds the model's limit or cannot hold a prompt;
    /// [`Error::ModelCorrupt`] if even that limit cannot; [`Error::Cancelled`]; the device's
    /// failures.
    pub async fn new(model: Arc<Model>, context: usize, cancel: &Cancel) -> Result<Session> {
        let limit = model.config().max_context();
        let prefix = model.template().prefix_ids(model.tokenizer());
        let least = prefix.len() + LEAST_ROOM;
        if limit < least {
            let problem = format!(
                "its configuration allows {limit} tokens (max_position_embeddings or sliding_window), and a prompt needs at least {least}"
            );
            let file = format!("the model {}", crate::untrusted::one_line(model.name()));
            return Err(Error::ModelCorrupt { file, problem });
        }
        if context > limit || context < least {
            let why = format!("{context} is outside what this model allows: {least} to {limit}");
            return Err(Error::InvalidSetting { what: "context".into(), why });
        }
        let (cache, template) = (model.new_cache(context).await?, model.template().clone());
        let mut session = Session {
            model,
            cache,
            most: context,
            cached: Vec::new(),
            template,
            prefix,
            gallery: Gallery::default(),
            pictures: Vec::new(),
            is_clip: false,
            pending: Looked::default(),
            turns: Vec::new(),
            withdrawn: Vec::new(),
            answered: None,
            speed: budget::Speed::default(),
            encoded_cold: false,
            store: None,
        };
        session.warm_up(cancel).await?;
        Ok(session)
    }

    /// A new conversation whose context grows as needed: the default size, and more where a prompt
    /// and its answer need it, as far as the model and the memory allow.
    ///
    /// # Errors
    /// As [`Session::new`].
    pub async fn growing(model: Arc<Model>, cancel: &Cancel) -> Result<Session> {
        let (context, most) = (model.config().default_context(), model.config().max_context());
        let session = Session::new(model, context, cancel).await?;
        Ok(Session { most, ..session })
    }

    /// Makes room for `need` tokens, up to the most there may be. What was computed is computed
    /// again, so room grows by half at least.
    ///
    /// # Errors
    /// The device's failures; nothing has changed then.
    async fn make_room(&mut self, need: usize) -> Result<()> {
        let have = self.cache.capacity();
        if need <= have || have >= self.most {
            return Ok(());
        }
        let room = need.max(have + have / 2).next_multiple_of(256).min(self.most);
        self.cache = self.model.new_cache(room).await?;
        self.cached.clear();
        Ok(())
    }

    /// Changes the text that opens the conversation; `None` means the model's own. The turns so far
    /// are kept, and are read again after it.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] if it leaves no room for a question; then nothing has changed.
    pub fn instruct(&mut self, system: Option<&str>) -> Result<()> {
        let own = self.model.template();
        let instructed = system.map(|system| {
            own.instructed(system).ok_or_else(|| Error::InvalidSetting {
                what: "the system prompt".into(),
                why: "this model's prompt has no place for one".into(),
            })
        });
        let template = instructed.transpose()?.unwrap_or_else(|| own.clone());
        let prefix = template.prefix_ids(self.model.tokenizer());
        let picture = self.model.config().offer().ladder().first().copied().unwrap_or(1);
        let (need, most) = (prefix.len() + picture + SHORT_QUESTION + LEAST_ROOM, self.most);
        if need > most {
            // Without a system prompt of the caller's, nobody but the context can be at fault.
            let (what, why) = match system {
                Some(_) => (
                    "the system prompt",
                    format!(
                        "its {} tokens leave no room for a picture and a question in a context of {most}",
                        prefix.len()
                    ),
                ),
                None => (
                    "context",
                    format!(
                        "{most} has no room for this model's prompt, a picture and a question, which take {need}"
                    ),
                ),
            };
            return Err(Error::InvalidSetting { what: what.into(), why });
        }
        (self.template, self.prefix) = (template, prefix);
        self.write_turns_again();
        Ok(())
    }

    /// The model behind this conversation.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// The largest number of tokens that the context can have.
    pub fn context(&self) -> usize {
        self.most
    }

    /// Measured speeds, for estimates.
    pub fn speed(&self) -> &budget::Speed {
        &self.speed
    }

    /// Answers one question about the pictures, calling `on_text` with each piece of text as soon
    /// as it is certain.
    ///
    /// # Errors
    /// [`Error::BudgetOutOfRange`], [`Error::ContextFull`] before anything is computed,
    /// [`Error::Cancelled`] if stopped before the first token, and the device's failures. The
    /// conversation is then unchanged. If it is stopped later, the result is `Ok` with the answer
    /// so far.
    pub async fn ask(
        &mut self,
        request: &Request,
        cancel: &Cancel,
        on_text: &mut Callback<'_, str>,
    ) -> Result<Answer> {
        let start = Instant::now();
        let looked = std::mem::take(&mut self.pending);
        let result = self.answer(request, looked, start, cancel, on_text).await;
        let withdrawn = std::mem::take(&mut self.withdrawn);
        if result.is_err() {
            // As if it had not been asked.
            self.turns.extend(withdrawn.into_iter().rev());
            self.pending = looked;
        }
        result
    }

    async fn answer(
        &mut self,
        request: &Request,
        looked: Looked,
        start: Instant,
        cancel: &Cancel,
        on_text: &mut Callback<'_, str>,
    ) -> Result<Answer> {
        let select = self.model.config().checked_select(request.select)?;
        let offer = self.offer(Some(select))?;
        let looked = looked.and(self.measure_tower(&request.budget, &offer, cancel).await?);
        let encode = if request.seen_ahead { 0.0 } else { looked.waited_ms() };
        let question = self.question_ids(&request.question);
        let spent = self.spent(looked, encode);
        let choice = self.choose(request, &offer, question.len(), spent)?;
        let more = self.encode(choice.m, select, cancel).await?;
        let (looked, encode_all) = (looked.and(more), encode + more.waited_ms());
        let prompt = self.roomy_prompt(request, choice.m, select, &question).await?;

        let cached_tokens = self.keep_for(select, request.reread, &prompt);
        let unread = prompt.len() - cached_tokens;
        let predicted = self.speed.first_token_ms(unread).map(|ms| encode_all + ms);
        let (prefill, compiled) = (Instant::now(), self.model.compiled());
        let seen: Vec<u32> = prompt.iter().filter_map(Slot::token).collect();
        let model = self.model.clone();
        let limit = request.max_new_tokens.saturating_sub(request.so_far.len());
        let (ends, sampling) = (&model.config().end_ids, &request.sampling);
        model.begin(&mut self.cache, prompt.len(), limit, sampling, &seen, ends);
        let constraint = restrict(&model, &mut self.cache, request)?;
        let picked = self.read((select, choice.m), &prompt[cached_tokens..], cancel).await?;
        let mut generation = model.generation(&mut self.cache).within(constraint).showing(picked);
        let first = generation.next(cancel).await?;
        let (vision, resample) = (looked.vision_ms, looked.resample_ms);
        let mut timings = Timings { vision, resample, prefill: ms(prefill), ..Default::default() };
        if model.compiled() == compiled {
            self.speed.prefilled(unread, timings.prefill);
        }
        timings.first_token = encode + ms(start);

        let (decode, compiled) = (Instant::now(), model.compiled());
        let Written { text, token_ids, finish_reason, mean_probability } =
            write_answer(&model, &mut generation, first, request, cancel, on_text).await?;
        let new = &token_ids[request.so_far.len()..];
        let computed = generation.finish(new.len());
        self.cached.extend(new[..computed.min(new.len())].iter().map(|&id| Slot::Token(id)));
        timings.decode = ms(decode);
        timings.total = encode + ms(start);
        let steps =
            token_ids.len().saturating_sub(usize::from(finish_reason != FinishReason::Stop));
        if model.compiled() == compiled {
            self.speed.decoded(steps, timings.decode);
        }
        let tokens_per_second = if steps > 0 { steps as f64 * 1e3 / timings.decode } else { 0.0 };
        let (images, new_images) = (self.images(choice.m, select), self.new_pictures());
        let answer = Answer {
            image: None,
            question: request.question.clone(),
            text,
            finish_reason,
            image_tokens: choice.m,
            image_tokens_mode: choice.mode,
            tiles: images.iter().map(|image| image.tiles).sum(),
            images,
            new_images,
            image_tokens_reason: choice.reason,
            select,
            prompt_tokens: prompt.len(),
            completion_tokens: token_ids.len(),
            vision_runs: looked.vision_runs,
            timings_ms: timings.rounded(),
            tokens_per_second: (tokens_per_second * 100.0).round() / 100.0,
            adapter: model.adapter().into(),
            model: (&*model).into(),
            arithmetic: model.arithmetic(),
            seed: request.sampling.seed,
            mean_probability,
            cached_tokens,
            predicted_first_token_ms: predicted.map(micro),
            token_ids,
        };
        self.answered = Some(Answered::of(prompt, &answer, request.so_far.len()));
        self.turns.push(Told { turn: Turn::from(&answer), new_images, question });
        Ok(answer)
    }

    /// What encoding took of `ms` milliseconds on a device whose kernels are compiled.
    fn spent(&mut self, looked: Looked, ms: f64) -> f64 {
        let runs = f64::from(looked.vision_runs);
        let warm = || self.speed.encode_ms.unwrap_or(0.0) * runs;
        if std::mem::take(&mut self.encoded_cold) { warm().min(ms) } else { ms }
    }

    /// The whole prompt, once there is room for it and for an answer.
    ///
    /// # Errors
    /// As [`Session::ask`].
    async fn roomy_prompt(
        &mut self,
        request: &Request,
        m: usize,
        select: Select,
        question: &[u32],
    ) -> Result<Vec<Slot>> {
        let length = self.prompt(m, select, question).len() + request.so_far.len();
        let answer = request.max_new_tokens.saturating_sub(request.so_far.len());
        self.make_room((length + answer).min(self.most)).await?;
        self.whole_prompt(m, select, question, &request.so_far)
    }

    /// Computes the picture's part of the prompt before the question, while the person is still
    /// typing.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub async fn prepare(&mut self, budget: &Budget, cancel: &Cancel) -> Result<()> {
        self.prepare_for(&Request { budget: budget.clone(), ..Request::new("") }, cancel).await
    }

    /// The same for a request with its budget and its way of choosing image tokens.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub async fn prepare_for(&mut self, request: &Request, cancel: &Cancel) -> Result<()> {
        if self.pictures.is_empty() {
            return Ok(());
        }
        let select = self.model.config().checked_select(request.select)?;
        let offer = self.offer(Some(select))?;
        let measured = self.measure_tower(&request.budget, &offer, cancel).await?;
        let m = self.choose(request, &offer, SHORT_QUESTION, 0.0)?.m;
        let looked = self.encode(m, select, cancel).await?;
        self.pending = self.pending.and(measured).and(looked);
        let prompt = self.prompt(m, select, &[]);
        self.make_room(prompt.len() + SHORT_QUESTION + LEAST_ANSWER).await?;
        let kept = self.keep_common_prefix(&prompt).min(prompt.len());
        self.extend(&prompt[kept..], Want::Nothing, cancel).await?;
        Ok(())
    }
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
