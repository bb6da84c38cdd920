//! START HERE: one conversation about one picture. [`Session::ask`] is the life of a request.
//!
//! What the network has already computed is never computed twice. The session keeps the list of
//! [`Slot`]s whose keys and values lie in the cache; a new prompt is compared with it, the common
//! prefix is kept and only the rest is computed. From that one rule follow the cached system
//! prompt, the picture's tokens shared by all questions, earlier turns, and changes of m: going
//! from 16 to 64 image tokens keeps the first 16.

use crate::budget::{self, Budget, Choice};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::future::Callback;
use crate::model::{Cache, Model, PictureStore, Slot, Want};
use crate::select::Select;
use look::Seen;
use std::sync::Arc;
use web_time::Instant;
use writer::{Written, write_answer};

mod estimate;
mod look;
mod probe;
mod prompt;
mod record;
mod request;
#[cfg(all(test, feature = "native"))]
mod tests;
mod trace;
mod warm_up;
mod writer;

pub use crate::model::Looked;
use record::micro;
pub use record::{
    Answer, AnswerAdapter, AnswerModel, Estimate, FinishReason, Timings, Trace, Turn,
};
pub use request::Request;

/// A turn as the prompt takes it.
struct Told {
    turn: Turn,
    /// Ids after the picture (first turn) or after the previous answer's end token.
    question: Vec<u32>,
}

impl Told {
    /// Tokens of question, answer and the end token.
    fn tokens(&self) -> usize {
        self.question.len() + self.turn.token_ids.len() + 1
    }
}

/// Tokens that must be left for question and answer.
const LEAST_ROOM: usize = 8;

/// Tokens of an answer that room is made for within a conversation.
const LEAST_ANSWER: usize = 64;

/// Tokens that an unwritten question counts as.
const SHORT_QUESTION: usize = 12;

/// A conversation: a picture, turns, and the cache that holds what was computed for them.
pub struct Session {
    model: Arc<Model>,
    cache: Cache,
    /// The most tokens there may be room for.
    most: usize,
    cached: Vec<Slot>,
    prefix: Vec<u32>,
    picture: Option<Seen>,
    pending: Looked,
    turns: Vec<Told>,
    /// Turns removed by `take_back`, restored if the next `ask` fails.
    withdrawn: Vec<Told>,
    speed: budget::Speed,
    /// Whether kernels were compiled while the last picture was encoded: what that took says
    /// nothing about the device.
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
        let cache = model.new_cache(context).await?;
        let (picture, pending, speed, withdrawn) =
            (None, Looked::default(), budget::Speed::default(), Vec::new());
        let mut session = Session {
            model,
            cache,
            most: context,
            cached: Vec::new(),
            prefix,
            picture,
            pending,
            turns: Vec::new(),
            withdrawn,
            speed,
            encoded_cold: false,
            store: None,
        };
        session.warm_up(cancel).await?;
        Ok(session)
    }

    /// A new conversation whose room follows from what is asked: the default context, more where a
    /// prompt and its answer need more, as far as model and memory allow.
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

    /// Changes the text that opens the conversation; `None`: the model's own. The turns so far
    /// stay, and are read again after it.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] if it leaves no room for a question; nothing has changed then.
    pub fn instruct(&mut self, system: Option<&str>) -> Result<()> {
        let own = self.model.template();
        let instructed = system.map(|system| {
            own.instructed(system).ok_or_else(|| Error::InvalidSetting {
                what: "the system prompt".into(),
                why: "this model's prompt has no place for one".into(),
            })
        });
        let template = instructed.transpose()?;
        let prefix = template.as_ref().unwrap_or(own).prefix_ids(self.model.tokenizer());
        let picture = self.model.config().offer().ladder().first().copied().unwrap_or(1);
        if prefix.len() + picture + SHORT_QUESTION + LEAST_ROOM > self.cache.capacity() {
            let why = format!(
                "its {} tokens leave no room for a picture and a question in a context of {}",
                prefix.len(),
                self.cache.capacity()
            );
            return Err(Error::InvalidSetting { what: "the system prompt".into(), why });
        }
        self.prefix = prefix;
        Ok(())
    }

    /// The model behind this conversation.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// The turns so far, oldest first.
    pub fn turns(&self) -> impl ExactSizeIterator<Item = &Turn> {
        self.turns.iter().map(|told| &told.turn)
    }

    /// Tokens there can be room for.
    pub fn context(&self) -> usize {
        self.most
    }

    /// Measured speeds, for estimates.
    pub fn speed(&self) -> &budget::Speed {
        &self.speed
    }

    /// Forgets the turns, keeps the picture.
    pub fn start_anew(&mut self) {
        self.turns.clear();
        self.withdrawn.clear();
    }

    /// Takes over the turns of an earlier conversation, oldest first. Nothing is computed before
    /// the next question; then all of it is.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`] if a turn cannot be this model's; nothing has changed then.
    pub fn resume(&mut self, turns: &[Turn]) -> Result<()> {
        let config = self.model.config();
        let (vocab, offer) = (config.language.vocab, config.offer());
        let is_ours = |turn: &Turn| {
            turn.token_ids.iter().all(|&id| (id as usize) < vocab)
                && budget::fixed(turn.image_tokens as u64, &offer).is_ok()
        };
        if !turns.iter().all(is_ours) {
            let why = "an earlier turn is not of this model".into();
            return Err(Error::InvalidSetting { what: "turns".into(), why });
        }
        self.start_anew();
        for turn in turns {
            let question = self.question_ids(&turn.question);
            self.turns.push(Told { turn: turn.clone(), question });
        }
        Ok(())
    }

    /// Takes back the last turn, so that its question can be asked again with another budget
    /// (draft, then refine). Should that next question fail, the turn is back.
    pub fn take_back(&mut self) {
        self.withdrawn.extend(self.turns.pop());
    }

    /// Answers one question about the picture, calling `on_text` with each piece of text as it is
    /// certain.
    ///
    /// # Errors
    /// [`Error::BudgetOutOfRange`], [`Error::ContextFull`] before anything is computed,
    /// [`Error::Cancelled`] if stopped before the first token, and the device's failures. The
    /// conversation is unchanged then. Stopped later, the answer so far is `Ok`.
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
        let encode = if request.seen_ahead { 0.0 } else { looked.ms() };
        let question = self.question_ids(&request.question);
        let warm = if self.encoded_cold { self.speed.encode_ms.unwrap_or(0.0) } else { encode };
        let choice = self.choose(request, &offer, question.len(), warm.min(encode))?;
        let more = self.encode(&choice, select, cancel).await?;
        let (looked, encode_all) = (looked.and(more), encode + more.ms());
        let prompt = self.roomy_prompt(request, &choice, select, &question).await?;

        let cached_tokens = self.keep_common_prefix(&prompt);
        let unread = prompt.len() - cached_tokens;
        let predicted = self.speed.first_token_ms(unread).map(|ms| encode_all + ms);
        let (prefill, compiled) = (Instant::now(), self.model.compiled());
        let seen: Vec<u32> = prompt.iter().filter_map(Slot::token).collect();
        let model = self.model.clone();
        let limit = request.max_new_tokens.saturating_sub(request.so_far.len());
        model.begin(
            &mut self.cache,
            prompt.len(),
            limit,
            &request.sampling,
            &seen,
            &model.config().end_ids,
        );
        self.extend(&prompt[cached_tokens..], Want::Pick, cancel).await?;
        let mut generation = model.generation(&mut self.cache);
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
        let images = self.images(&choice);
        let answer = Answer {
            image: None,
            question: request.question.clone(),
            text,
            finish_reason,
            image_tokens: choice.m,
            image_tokens_mode: choice.mode,
            tiles: images.iter().map(|image| image.tiles).sum(),
            images,
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
        self.turns.push(Told { turn: Turn::from(&answer), question });
        Ok(answer)
    }

    /// The whole prompt, once there is room for it and for an answer.
    ///
    /// # Errors
    /// As [`Session::ask`].
    async fn roomy_prompt(
        &mut self,
        request: &Request,
        choice: &Choice,
        select: Select,
        question: &[u32],
    ) -> Result<Vec<Slot>> {
        let length = self.prompt(choice, select, question).len() + request.so_far.len();
        let answer = request.max_new_tokens.saturating_sub(request.so_far.len());
        self.make_room((length + answer).min(self.most)).await?;
        self.whole_prompt(choice, select, question, &request.so_far)
    }

    /// Computes the visual part of the prompt ahead of the question, while the person still types.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub async fn prepare(&mut self, budget: &Budget, cancel: &Cancel) -> Result<()> {
        let request = Request { budget: budget.clone(), ..Request::new("") };
        let (select, offer) = (self.model.config().checked_select(None)?, self.offer(None)?);
        let measured = self.measure_tower(budget, &offer, cancel).await?;
        let choice = self.choose(&request, &offer, SHORT_QUESTION, 0.0)?;
        let looked = self.encode(&choice, select, cancel).await?;
        self.pending = self.pending.and(measured).and(looked);
        let prompt = self.prompt(&choice, select, &[]);
        self.make_room(prompt.len() + SHORT_QUESTION + LEAST_ANSWER).await?;
        let kept = self.keep_common_prefix(&prompt).min(prompt.len());
        self.extend(&prompt[kept..], Want::Nothing, cancel).await?;
        Ok(())
    }
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
