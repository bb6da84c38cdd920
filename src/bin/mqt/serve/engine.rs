//! The only part of the server that knows sessions: a conversation goes in, an answer comes out.
//!
//! Sessions are kept, each with what it has computed: a request continues in the one that has the
//! same picture, opening and turns. As many are kept as the memory allows.

use super::problem::Problem;
use super::store::Memory;
use mqt::Error;
use mqt::Sampling;
use mqt::budget::{self, Budget, Offer};
use mqt::cancel::Cancel;
use mqt::future::Callback;
use mqt::grammar::Grammar;
use mqt::image::{Picture, Reading};
use mqt::model::Model;
use mqt::session::{Answer, Request, Session, Turn, Watch};
use mqt::text::Tokenizer;
use pollster::block_on;
use std::sync::Arc;
use std::time::Instant;

/// A picture's file, and the SHA-256 of it.
pub(crate) struct File {
    pub(crate) bytes: Vec<u8>,
    pub(crate) hash: [u8; 32],
}

/// What a person says: pictures and a text.
#[derive(Default)]
pub(crate) struct Said {
    pub(crate) pictures: Vec<File>,
    pub(crate) text: String,
}

/// How many image tokens a request wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Spend {
    /// As many as the device allows within the time that is aimed for.
    #[default]
    Auto,
    /// The most that the model offers up to 16.
    Low,
    /// All.
    High,
    /// So many.
    Exactly(u64),
}

/// `detail: "low"` is the largest offered number up to this one.
const LOW: u64 = 16;

/// A picture that is kept in front of a session may have this many pixels.
const MOST_PIXELS: usize = 50_000_000;

/// A conversation whose last question is to be answered.
pub(crate) struct Ask {
    pub(crate) system: Option<String>,
    /// Questions with their answers, oldest first.
    pub(crate) earlier: Vec<(Said, String)>,
    pub(crate) said: Said,
    pub(crate) spend: Spend,
    pub(crate) sampling: Sampling,
    /// `None`: the model's own.
    pub(crate) max_new_tokens: Option<usize>,
    pub(crate) stop: Vec<String>,
    /// What the answer may say.
    pub(crate) grammar: Option<Grammar>,
    /// How many of the likeliest tokens in each place are wanted; `None`: not even how likely the
    /// answer's own were.
    pub(crate) logprobs: Option<usize>,
}

impl Ask {
    /// What people said, oldest first.
    fn said(&self) -> impl Iterator<Item = &Said> {
        self.earlier.iter().map(|(said, _)| said).chain([&self.said])
    }

    /// Pictures in all.
    pub(crate) fn pictures(&self) -> usize {
        self.said().map(|said| said.pictures.len()).sum()
    }

    /// The pictures in front of the conversation, in its order.
    fn files(&self) -> impl Iterator<Item = &File> {
        self.said().flat_map(|said| &said.pictures)
    }
}

/// A session, and what it has in front of it.
struct Kept {
    session: Session,
    pictures: Vec<[u8; 32]>,
    system: Option<String>,
    /// The texts of its turns' answers.
    answers: Vec<String>,
    bytes: u64,
    used: u64,
}

impl Kept {
    /// How many of these turns it has had, from the first on.
    fn common(&self, earlier: &[(Said, String)]) -> usize {
        let turns = self.session.turns().zip(&self.answers);
        let same = turns.zip(earlier).take_while(|((turn, text), (said, answer))| {
            let shown = turn.new_images.unwrap_or_default();
            turn.question == said.text && *text == answer && shown == said.pictures.len()
        });
        same.count()
    }
}

/// A loaded model and its sessions.
pub(crate) struct Engine {
    model: Arc<Model>,
    /// Room for tokens of each session.
    context: usize,
    target_ms: f64,
    kept: Vec<Kept>,
    /// Bytes of all sessions.
    limit: u64,
    store: Arc<Memory>,
    /// Counts uses.
    clock: u64,
}

impl Engine {
    /// `context`: room for tokens of each session; `limit`: bytes that kept sessions may take, but
    /// one is always kept.
    pub(crate) fn new(
        model: Arc<Model>,
        context: Option<usize>,
        target_ms: f64,
        limit: u64,
        store: Arc<Memory>,
    ) -> Result<Engine, Error> {
        let context = context.unwrap_or_else(|| room(&model));
        let mut engine =
            Engine { model, context, target_ms, kept: Vec::new(), limit, store, clock: 0 };
        engine.open(None)?;
        Ok(engine)
    }

    /// Sessions that are kept, and their bytes.
    pub(crate) fn size(&self) -> (usize, u64) {
        (self.kept.len(), self.kept.iter().map(|kept| kept.bytes).sum())
    }

    /// The model's tokens.
    pub(crate) fn tokenizer(&self) -> &Tokenizer {
        self.model.tokenizer()
    }

    /// Answers the last question, calling `on_text` with each piece of text as it is certain.
    pub(crate) fn answer(
        &mut self,
        ask: &Ask,
        watch: Option<Watch>,
        cancel: &Cancel,
        on_text: &mut Callback<'_, str>,
    ) -> Result<Answer, Failed> {
        let pictures: Vec<[u8; 32]> = ask.files().map(|file| file.hash).collect();
        let at = self.session_for(ask, &pictures, cancel)?;
        let kept = &mut self.kept[at];
        kept.session.instruct(ask.system.as_deref())?;
        kept.system.clone_from(&ask.system);
        let past = past(kept, &ask.earlier);
        let mut decode_ms = 0.0;
        if !pictures.starts_with(&kept.pictures) {
            kept.session.forget_all();
            kept.pictures.clear();
        }
        for file in ask.files().skip(kept.pictures.len()) {
            let begun = Instant::now();
            let decoded = decode(file, &self.model)?;
            decode_ms += begun.elapsed().as_secs_f64() * 1e3;
            block_on(kept.session.look_also(&decoded, cancel))?;
            kept.pictures.push(file.hash);
        }
        kept.session.start_anew();
        kept.answers.clear();
        let budget = spend(ask.spend, &kept.session.offer(None)?, self.target_ms);
        take_over(kept, past, &ask.earlier, &budget, &ask.said.text)?;
        let mut request = request(ask, budget, &self.model);
        request.watch = watch;
        let answer = block_on(kept.session.ask(&request, cancel, on_text));
        // Whether it was answered or not, pictures may have been encoded.
        kept.bytes = session_bytes(&self.model, self.context) + kept.session.picture_bytes();
        let answer = answer?;
        kept.answers.push(answer.text.clone());
        self.forget_to(at);
        Ok(answer.counting(0.0, decode_ms))
    }

    /// The session to go on in: one with the same pictures, if possible with the same opening and
    /// turns; else one whose pictures are the first of these; else a new one, where there is memory
    /// for it; else the one used least recently.
    fn session_for(
        &mut self,
        ask: &Ask,
        pictures: &[[u8; 32]],
        cancel: &Cancel,
    ) -> Result<usize, Failed> {
        self.clock += 1;
        let begins = |kept: &&(usize, &Kept)| {
            let own = &kept.1.pictures;
            pictures.starts_with(own) && own.is_empty() == pictures.is_empty()
        };
        let best = self.kept.iter().enumerate().collect::<Vec<_>>();
        let best = best.iter().filter(begins).max_by_key(|(_, kept)| {
            let opening = kept.system == ask.system;
            let common = if opening { kept.common(&ask.earlier) } else { 0 };
            (kept.pictures.len(), opening, common, kept.used)
        });
        let at = match best {
            Some((at, _)) => *at,
            None => self.free(cancel)?,
        };
        self.kept[at].used = self.clock;
        Ok(at)
    }

    /// A session for other pictures.
    fn free(&mut self, cancel: &Cancel) -> Result<usize, Failed> {
        if let Some(at) = self.kept.iter().position(|kept| kept.used == 0) {
            return Ok(at);
        }
        let (_, bytes) = self.size();
        if bytes + session_bytes(&self.model, self.context) <= self.limit {
            return Ok(self.open(Some(cancel))?);
        }
        let oldest = self.kept.iter().enumerate().min_by_key(|(_, kept)| kept.used);
        match oldest {
            Some((at, _)) => Ok(at),
            None => Ok(self.open(Some(cancel))?),
        }
    }

    fn open(&mut self, cancel: Option<&Cancel>) -> Result<usize, Error> {
        let cancel = cancel.cloned().unwrap_or_default();
        let mut session = block_on(Session::new(self.model.clone(), self.context, &cancel))?;
        session.keep_pictures(self.store.clone());
        let bytes = session_bytes(&self.model, self.context);
        let answers = Vec::new();
        self.kept.push(Kept {
            session,
            pictures: Vec::new(),
            system: None,
            answers,
            bytes,
            used: 0,
        });
        Ok(self.kept.len() - 1)
    }

    /// Drops the sessions used least recently until all fit; never the one just used.
    fn forget_to(&mut self, at: usize) {
        let newest = self.kept[at].used;
        while self.size().1 > self.limit {
            let others = self.kept.iter().enumerate().filter(|(_, kept)| kept.used != newest);
            let Some((oldest, _)) = others.min_by_key(|(_, kept)| kept.used) else { return };
            self.kept.remove(oldest);
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The request's fault.
    Refused(Problem),
    /// The library's report.
    Error(Error),
}

impl From<Problem> for Failed {
    fn from(problem: Problem) -> Failed {
        Failed::Refused(problem)
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Failed {
        Failed::Error(error)
    }
}

/// Room for the most image tokens, a question and an answer, where nobody says otherwise.
fn room(model: &Model) -> usize {
    let config = model.config();
    let most = config.offer().max + 2 * mqt::defaults::MAX_NEW_TOKENS;
    config.default_context().max(most).min(config.max_context())
}

/// What a session without pictures takes.
fn session_bytes(model: &Model, context: usize) -> u64 {
    context as u64 * model.cache_bytes_per_token()
}

/// The turns that the session has had itself, as it had them.
fn past(kept: &Kept, earlier: &[(Said, String)]) -> Vec<Turn> {
    kept.session.turns().take(kept.common(earlier)).cloned().collect()
}

/// Makes these turns the session's: `past` as it had them, the others from their texts.
fn take_over(
    kept: &mut Kept,
    past: Vec<Turn>,
    earlier: &[(Said, String)],
    budget: &Budget,
    question: &str,
) -> Result<(), Error> {
    if earlier.is_empty() {
        return Ok(());
    }
    let session = &mut kept.session;
    let m = match (past.last(), budget) {
        (Some(turn), Budget::Auto { .. }) => turn.image_tokens,
        (_, Budget::Fixed(m)) => {
            // What only other pictures have is as many as this one has.
            let offer = session.offer(None)?;
            budget::fixed((*m).min(offer.max as u64), &offer)?.tokens
        }
        _ => session.estimate(budget, question)?.image_tokens,
    };
    let mut turns = past;
    for (said, answer) in &earlier[turns.len()..] {
        let (template, tokenizer) = (session.model().template(), session.model().tokenizer());
        let ids = template.answer_ids(tokenizer, answer);
        let m = if turns.is_empty() && said.pictures.is_empty() { 0 } else { m };
        turns.push(Turn::new(said.text.as_str(), ids, m).showing(said.pictures.len()));
    }
    session.resume(&turns)?;
    kept.answers = earlier.iter().map(|(_, answer)| answer.clone()).collect();
    Ok(())
}

/// What a request wants of what there is.
fn spend(spend: Spend, offer: &Offer, target_ms: f64) -> Budget {
    let low = || {
        let few = offer.exactly.iter().rfind(|&&m| m as u64 <= LOW);
        let m = few.or(offer.exactly.first()).map_or(LOW, |&m| m as u64);
        m.min(offer.max as u64)
    };
    match spend {
        Spend::Auto => Budget::Auto { target_ms },
        Spend::Low => Budget::Fixed(low()),
        Spend::High => Budget::Fixed(offer.max as u64),
        Spend::Exactly(m) => Budget::Fixed(m),
    }
}

fn request(ask: &Ask, budget: Budget, model: &Model) -> Request {
    let mut request = Request::new(ask.said.text.as_str());
    request.budget = budget;
    request.sampling = ask.sampling;
    request.max_new_tokens =
        ask.max_new_tokens.unwrap_or_else(|| model.config().default_new_tokens());
    request.stop.clone_from(&ask.stop);
    request.grammar.clone_from(&ask.grammar);
    request
}

fn decode(file: &File, model: &Model) -> Result<Picture, Problem> {
    let reading = model.image_spec().reading(Reading::People);
    let picture = Picture::read(&file.bytes, reading).map_err(|error| Problem::from(&error))?;
    let pixels = picture.width * picture.height;
    if pixels > MOST_PIXELS {
        let why = format!(
            "a picture has {} million pixels; {} million are the most here",
            pixels / 1_000_000,
            MOST_PIXELS / 1_000_000
        );
        return Err(Problem::picture(why));
    }
    Ok(picture)
}
