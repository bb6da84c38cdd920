//! A loaded model with pictures in front of it, shared by every command that answers.

use crate::advice;
use crate::args::{ModelArgs, SystemArgs};
use crate::choices;
use crate::console::Console;
use crate::devices;
use crate::failure::{Failure, Result};
use crate::frames::Clip;
use crate::interrupt::Interrupt;
use crate::known::{Decoded, Known, decode};
use crate::memory;
use crate::picture::Picture;
use crate::pictures::Pictures;
use mqt::budget;
use mqt::cancel::Cancel;
use mqt::defaults;
use mqt::future::Callback;
use mqt::image::{self, Reading};
use mqt::model::Preflight;
use mqt::model::WeightsChoice;
use mqt::model::{
    Arithmetic, LoadOptions, Loading, Looked, Model, ModelSource, Opened, Rehearsal, Tuning,
};
use mqt::session::{Answer, LookedAt, Request, Session};
use pollster::block_on;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// Loads what the flags name, with a bar on a terminal.
pub(crate) fn load_model(
    args: &ModelArgs,
    default: Arithmetic,
    console: &Console,
) -> Result<Arc<Model>> {
    load(&args.source()?, args, default, console)
}

/// How long loading may take longer for choosing kernels; what is left over is for the next run.
pub(crate) const TUNING: Tuning = Tuning::Within(Duration::from_millis(defaults::TUNING_MS));

/// Loads a model; the flags say how.
pub(crate) fn load(
    source: &ModelSource,
    args: &ModelArgs,
    default: Arithmetic,
    console: &Console,
) -> Result<Arc<Model>> {
    load_tuned(source, args, default, TUNING, console)
}

/// The same, with more or less time for choosing kernels.
pub(crate) fn load_tuned(
    source: &ModelSource,
    args: &ModelArgs,
    default: Arithmetic,
    tuning: Tuning,
    console: &Console,
) -> Result<Arc<Model>> {
    let options = options(args, default, tuning, Cancel::new());
    load_opened(block_on(Opened::at(source, &options))?, &options, args, console)
}

/// What the flags say about loading.
pub(crate) fn options(
    args: &ModelArgs,
    default: Arithmetic,
    tuning: Tuning,
    cancel: Cancel,
) -> LoadOptions {
    let mut options = LoadOptions::on(args.adapter.clone());
    options.weights = args.weights.unwrap_or_default();
    options.arithmetic = args.arithmetic.unwrap_or(default);
    options.vision_tower.clone_from(&args.vision_tower);
    options.template = args.template.clone().unwrap_or_default();
    options.choices = choices::read();
    options.tuning = tuning;
    options.rehearsal = Rehearsal::Beside;
    options.context = args.context.unwrap_or(defaults::CONTEXT);
    options.cancel = cancel;
    options
}

fn load_opened(
    opened: Opened,
    options: &LoadOptions,
    args: &ModelArgs,
    console: &Console,
) -> Result<Arc<Model>> {
    let held = opened.weights();
    let was_chosen =
        opened.is_checkpoint() && args.weights.unwrap_or_default() == WeightsChoice::Auto;
    let mut bar = console.bytes();
    let mut bytes = 0;
    let model = block_on(opened.load(options, &mut |loading| match loading {
        Loading::Preflight(preflight) => {
            bytes = preflight.needs.weights;
            if was_chosen && bytes >= LARGE_BYTES {
                console.stats(&format!("--weights auto: {held}, by the decoder's size"));
            }
            announce(preflight, console);
        }
        Loading::Progress(progress) => bar.show(progress),
        _ => {}
    }))?;
    drop(bar);
    devices::check(&options.adapter, model.adapter())?;
    choices::remember(model.adapter(), model.learned());
    if bytes >= LARGE_BYTES {
        let (seconds, gigabytes) = (model.load_times().weights / 1e3, bytes as f64 / 1e9);
        console.stats(&format!(
            "weights loaded in {seconds:.1} s, {:.2} GB/s{}",
            gigabytes / seconds,
            memory::peak()
        ));
    }
    devices::explain(&model, console);
    if let Some(WeightsChoice::Of(weights)) = args.weights.filter(|asked| *asked != held.into()) {
        console.note(&format!(
            "--weights {weights} is for checkpoint folders; this pack holds {}",
            model.weights_name()
        ));
    }
    Ok(Arc::new(model))
}

/// Smaller models are loaded before anybody has read a sentence about them.
const LARGE_BYTES: u64 = 1 << 30;

/// Says what a large model will take; and of any model if it is more than there is.
fn announce(preflight: &Preflight, console: &Console) {
    let (needs, gb) = (&preflight.needs, |bytes: u64| bytes as f64 / 1e9);
    let free = memory::available_bytes().filter(|_| preflight.is_in_host_memory());
    if needs.weights >= LARGE_BYTES {
        let largest = match preflight.binding_bytes {
            None => String::new(),
            Some(bytes) => {
                let parts = if preflight.parts() == 1 {
                    "in one part".into()
                } else {
                    format!("in {} parts", preflight.parts())
                };
                format!(
                    "; at most {:.0} MB are bound at once, the largest tensor has {:.0} and lies {parts}",
                    bytes as f64 / 1e6,
                    preflight.largest_bytes as f64 / 1e6
                )
            }
        };
        let memory = free.map_or("the device does not report its memory".into(), |free| {
            format!("{:.1} GB are free", gb(free))
        });
        console.stats(&format!(
            "{} needs {:.2} GB: weights {:.2}, keys and values {:.2} (context {}), activations {:.2}; {memory}{largest}",
            preflight.adapter.name,
            gb(needs.total()),
            gb(needs.weights),
            gb(needs.keys_and_values),
            preflight.context,
            gb(needs.activations),
        ));
    }
    if let Some(free) = free.filter(|free| *free < needs.total()) {
        console.note(&format!(
            "{:.2} GB are needed and {:.2} GB are free: a smaller --context or smaller weights need less",
            gb(needs.total()),
            gb(free)
        ));
    }
}

/// A session with the room that was asked for, else as much as its questions need.
pub(crate) fn open_session(
    model: &Arc<Model>,
    args: &ModelArgs,
    cancel: &Cancel,
) -> Result<Session> {
    Ok(match args.context {
        Some(context) => block_on(Session::new(model.clone(), context, cancel))?,
        None => block_on(Session::growing(model.clone(), cancel))?,
    })
}

/// A session, and what its next answer has to account for.
pub(crate) struct Conversation {
    pub(crate) session: Session,
    console: Console,
    interrupt: Interrupt,
    /// What the pictures are called, in the order of the prompt.
    images: Vec<String>,
    /// The first picture, and its pixels where they were read already.
    first: Option<(Picture, Decoded)>,
    /// Milliseconds not yet on an answer's account.
    load_ms: f64,
    decode_image_ms: f64,
}

impl Conversation {
    /// Loads the model and warms it up. Numbers of image tokens are checked against its M before
    /// anything else happens.
    pub(crate) fn start(
        args: &ModelArgs,
        default: Arithmetic,
        known: Known,
        console: &Console,
    ) -> Result<Conversation> {
        let start = Instant::now();
        let interrupt = Interrupt::install()?;
        let mut options = options(args, default, TUNING, interrupt.cancel());
        options.image_tokens = known.fixed.iter().max().and_then(|&m| usize::try_from(m).ok());
        let opened = block_on(Opened::at(&args.source()?, &options))?;
        let select = opened.config().checked_select(known.select)?;
        let offer = opened.config().offer_by(select);
        for &m in known.fixed {
            budget::fixed(m, &offer)?;
        }
        let first = known.first.map(|picture| (picture.clone(), Decoded::default()));
        let opened = match &first {
            Some((picture, decoded)) => {
                let first = known.picture(picture, decoded, select, opened.config());
                opened.with_picture(first)
            }
            None => opened,
        };
        let model = interrupt.during(|_| load_opened(opened, &options, args, console))?;
        let spinner = console.spinner("warming up");
        let session = open_session(&model, args, &interrupt.cancel())?;
        spinner.finish_and_clear();
        let load_ms = ms(start);
        Ok(Conversation {
            session,
            console: *console,
            interrupt,
            images: Vec::new(),
            first,
            load_ms,
            decode_image_ms: 0.0,
        })
    }

    /// What the conversation opens with, and whether its pictures are kept.
    pub(crate) fn open(&mut self, opening: &SystemArgs) -> Result<()> {
        self.session.instruct(opening.system.as_deref())?;
        if let Some(pictures) = Pictures::shared(opening.no_picture_cache) {
            self.session.keep_pictures(pictures);
        }
        Ok(())
    }

    /// The loaded model.
    pub(crate) fn model(&self) -> &Arc<Model> {
        self.session.model()
    }

    /// Stops the answer that is being given.
    pub(crate) fn cancel(&self) -> Cancel {
        self.interrupt.cancel()
    }

    /// Puts a picture in front of the model, in place of those before it; a note says if another
    /// reading of the file gives other pixels.
    pub(crate) fn look(&mut self, picture: &Picture, reading: Reading) -> Result<()> {
        let decoded = self.decode(picture, reading)?;
        self.encode(&picture.name, |session, cancel| block_on(session.look(&decoded, cancel)))?;
        self.images = vec![picture.name.clone()];
        Ok(())
    }

    /// Puts one more picture in front of the model, before the next question.
    pub(crate) fn look_also(&mut self, picture: &Picture, reading: Reading) -> Result<()> {
        let decoded = self.decode(picture, reading)?;
        self.encode(&picture.name, |session, cancel| {
            block_on(session.look_also(&decoded, cancel))
        })?;
        self.images.push(picture.name.clone());
        Ok(())
    }

    /// Puts the frames of a clip in front of the model, in place of the pictures before them.
    pub(crate) fn watch(&mut self, clip: &Clip) -> Result<()> {
        let (model, mut failure, mut decode_ms) = (self.model().clone(), None, 0.0);
        let mut frames = clip.pictures(|picture| decode(picture, &model, Reading::People))?;
        let decoded = std::iter::from_fn(|| {
            let start = Instant::now();
            let frame = frames.next();
            decode_ms += ms(start);
            frame?.map_err(|error| failure = Some(error)).ok()
        });
        self.encode("the clip", |session, cancel| block_on(session.watch(decoded, cancel)))?;
        self.decode_image_ms += decode_ms;
        self.images.clone_from(&clip.names);
        failure.map_or(Ok(()), Err)
    }

    /// What the pictures are called, in the order of the prompt.
    pub(crate) fn images(&self) -> &[String] {
        &self.images
    }

    /// Takes one picture away, counted from 0; its name.
    pub(crate) fn forget(&mut self, picture: usize) -> Result<String> {
        self.session.forget(picture)?;
        Ok(self.images.remove(picture))
    }

    /// Takes all pictures away, and the turns about them.
    pub(crate) fn forget_all(&mut self) {
        self.session.forget_all();
        self.images.clear();
    }

    fn decode(&mut self, picture: &Picture, reading: Reading) -> Result<image::Picture> {
        let start = Instant::now();
        let ahead =
            self.first.take().filter(|(first, _)| first == picture && reading == Reading::People);
        let ahead = ahead
            .and_then(|(_, decoded)| decoded.lock().unwrap_or_else(PoisonError::into_inner).take());
        let decoded = match ahead {
            Some(decoded) => decoded,
            None => decode(picture, self.model(), reading)?,
        };
        self.decode_image_ms += ms(start);
        if decoded.readings_differ && reading == Reading::People {
            let name = &picture.name;
            self.console.note(&format!(
                "{name} is rotated by EXIF, transparent or 16-bit: it was read as a person sees it; the PyTorch reference reads other pixels"
            ));
        }
        Ok(decoded)
    }

    fn encode(
        &mut self,
        name: &str,
        look: impl FnOnce(&mut Session, &Cancel) -> mqt::Result<Looked>,
    ) -> Result<()> {
        let spinner = self.console.spinner("looking at the picture");
        let looked = self.interrupt.during(|cancel| look(&mut self.session, cancel));
        spinner.finish_and_clear();
        looked.map(|_| ()).map_err(|error| match error {
            mqt::Error::ImageUnreadable { .. } => Failure::from(error).about(name),
            _ => error.into(),
        })
    }

    /// What the last answer looked at, in each picture.
    pub(crate) fn looked_at(&mut self) -> Result<Vec<LookedAt>> {
        let session = &mut self.session;
        let mut looked = self.interrupt.during(|cancel| block_on(session.looked_at(cancel)))?;
        for (looked, name) in looked.iter_mut().zip(&self.images) {
            looked.image = Some(name.clone());
        }
        Ok(looked)
    }

    /// Asks about the pictures; Ctrl-C stops it, and the text so far becomes the answer.
    pub(crate) fn ask(
        &mut self,
        request: Request,
        on_text: &mut Callback<'_, str>,
    ) -> Result<Answer> {
        let session = &mut self.session;
        let answer =
            self.interrupt.during(|cancel| block_on(session.ask(&request, cancel, on_text)));
        let limit = self.model().config().max_context();
        let answer = answer.map_err(|error| Failure {
            message: Some(advice::within(&error, limit)),
            ..error.into()
        })?;
        let load = std::mem::take(&mut self.load_ms);
        let decode_image = std::mem::take(&mut self.decode_image_ms);
        let mut answer = answer.counting(load, decode_image);
        if let [one] = &self.images[..] {
            answer.image = Some(one.clone());
        }
        for (image, name) in answer.images.iter_mut().zip(&self.images) {
            image.image = Some(name.clone());
        }
        devices::remember(&self.session);
        Ok(answer)
    }
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
