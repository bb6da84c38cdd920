//! A loaded model with a picture in front of it, shared by every command that answers.

use crate::args::{ModelArgs, SystemArgs};
use crate::choices;
use crate::console::Console;
use crate::devices;
use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::memory;
use crate::picture::Picture;
use crate::pictures::Pictures;
use mqt::budget;
use mqt::cancel::Cancel;
use mqt::defaults;
use mqt::future::Callback;
use mqt::image::{self, Reading};
use mqt::model::preflight::Preflight;
use mqt::model::{Arithmetic, LoadOptions, Loading, Model, ModelSource, Opened, Rehearsal, Tuning};
use mqt::select::Select;
use mqt::session::{Answer, Request, Session};
use mqt::weights::WeightsChoice;
use pollster::block_on;
use std::sync::Arc;
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
    LoadOptions {
        adapter: args.adapter.clone(),
        weights: args.weights.unwrap_or_default(),
        arithmetic: args.arithmetic.unwrap_or(default),
        vision_tower: args.vision_tower.clone(),
        template: args.template.clone().unwrap_or_default(),
        choices: choices::read(),
        tuning,
        rehearsal: Rehearsal::Beside,
        context: args.context.unwrap_or(defaults::CONTEXT),
        cancel,
    }
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

/// Numbers of image tokens and the way they are chosen, to check before a model is loaded.
#[derive(Clone, Copy, Default)]
pub(crate) struct Budgets<'a> {
    pub(crate) fixed: &'a [u64],
    pub(crate) select: Option<Select>,
}

/// A session, and what its next answer has to account for.
pub(crate) struct Conversation {
    pub(crate) session: Session,
    console: Console,
    interrupt: Interrupt,
    image: String,
    /// Milliseconds not yet on an answer's account.
    load_ms: f64,
    decode_image_ms: f64,
}

impl Conversation {
    /// Loads the model and warms it up. `budgets` are checked against its M before anything else
    /// happens.
    pub(crate) fn start(
        args: &ModelArgs,
        default: Arithmetic,
        budgets: Budgets,
        console: &Console,
    ) -> Result<Conversation> {
        let start = Instant::now();
        let interrupt = Interrupt::install()?;
        let options = options(args, default, TUNING, interrupt.cancel());
        let opened = block_on(Opened::at(&args.source()?, &options))?;
        let select = opened.config().checked_select(budgets.select)?;
        let offer = opened.config().offer_by(select);
        for &m in budgets.fixed {
            budget::fixed(m, &offer)?;
        }
        let model = interrupt.during(|_| load_opened(opened, &options, args, console))?;
        let spinner = console.spinner("warming up");
        let session = open_session(&model, args, &interrupt.cancel())?;
        spinner.finish_and_clear();
        let load_ms = ms(start);
        Ok(Conversation {
            session,
            console: *console,
            interrupt,
            image: String::new(),
            load_ms,
            decode_image_ms: 0.0,
        })
    }

    /// What the conversation opens with, and whether its pictures are kept.
    pub(crate) fn open(&mut self, opening: &SystemArgs) -> Result<()> {
        self.session.instruct(opening.system.as_deref())?;
        if let Some(pictures) = Pictures::here().filter(|_| !opening.no_picture_cache) {
            self.session.keep_pictures(Arc::new(pictures));
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

    /// Puts a picture in front of the model; a note says if another reading of the file gives other
    /// pixels.
    pub(crate) fn look(&mut self, picture: &Picture, reading: Reading) -> Result<()> {
        let start = Instant::now();
        let decoded = decode(picture, self.model(), reading)?;
        let decode_image_ms = ms(start);
        let spinner = self.console.spinner("looking at the picture");
        let looked = self.interrupt.during(|cancel| block_on(self.session.look(&decoded, cancel)));
        spinner.finish_and_clear();
        looked.map_err(|error| match error {
            mqt::Error::ImageUnreadable { .. } => Failure::from(error).about(&picture.name),
            _ => error.into(),
        })?;
        self.decode_image_ms += decode_image_ms;
        self.image.clone_from(&picture.name);
        if decoded.readings_differ && reading == Reading::People {
            let name = &picture.name;
            self.console.note(&format!(
                "{name} is rotated by EXIF, transparent or 16-bit: it was read as a person sees it; the PyTorch reference reads other pixels"
            ));
        }
        Ok(())
    }

    /// Asks about the picture; Ctrl-C stops it, and the text so far becomes the answer.
    pub(crate) fn ask(
        &mut self,
        request: Request,
        on_text: &mut Callback<'_, str>,
    ) -> Result<Answer> {
        let session = &mut self.session;
        let answer =
            self.interrupt.during(|cancel| block_on(session.ask(&request, cancel, on_text)))?;
        let load = std::mem::take(&mut self.load_ms);
        let decode_image = std::mem::take(&mut self.decode_image_ms);
        let mut answer = answer.counting(load, decode_image);
        answer.image = Some(self.image.clone());
        for image in &mut answer.images {
            image.image = Some(self.image.clone());
        }
        devices::remember(&self.session);
        Ok(answer)
    }
}

/// The picture, read for a person or as this model's reference reads it.
pub(crate) fn decode(picture: &Picture, model: &Model, reading: Reading) -> Result<image::Picture> {
    let bytes = picture.bytes()?;
    image::Picture::read(&bytes, model.image_spec().reading(reading))
        .map_err(|error| Failure::from(error).about(&picture.name))
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
