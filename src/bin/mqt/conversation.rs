//! A loaded model with a picture in front of it, shared by every command that answers.

use crate::answer::{Record, TimingsMs};
use crate::args::ModelArgs;
use crate::choices;
use crate::console::Console;
use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::picture::Picture;
use mqt::budget;
use mqt::cancel::Cancel;
use mqt::image::{Pixels, Reading};
use mqt::model::{Arithmetic, LoadOptions, Model, ModelSource, Tuning};
use mqt::session::{Request, Session};
use pollster::block_on;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The default room for tokens, where the model allows so many.
const CONTEXT: usize = 2048;

/// Loads what the flags name, with a bar on a terminal.
pub(crate) fn load_model(args: &ModelArgs, default: Arithmetic, console: &Console) -> Result<Arc<Model>> {
    load(&args.source()?, args, default, console)
}

/// How long loading may take longer for choosing kernels; what is left over is for the next run.
pub(crate) const TUNING: Tuning = Tuning::Within(Duration::from_millis(150));

/// Loads a model; the flags say how.
pub(crate) fn load(source: &ModelSource, args: &ModelArgs, default: Arithmetic, console: &Console) -> Result<Arc<Model>> {
    load_tuned(source, args, default, TUNING, console)
}

/// The same, with more or less time for choosing kernels.
pub(crate) fn load_tuned(source: &ModelSource, args: &ModelArgs, default: Arithmetic, tuning: Tuning, console: &Console) -> Result<Arc<Model>> {
    let options = LoadOptions {
        adapter: args.adapter.clone(),
        weights: args.weights.unwrap_or_default(),
        arithmetic: args.arithmetic.unwrap_or(default),
        vision_tower: args.vision_tower.clone(),
        choices: choices::read(),
        tuning,
        rehearse: false,
    };
    let mut bar = console.bytes();
    let model = block_on(Model::load(source, &options, &mut |progress| bar.show(&progress)))?;
    drop(bar);
    choices::remember(model.adapter(), model.choices());
    if model.fell_back_to_cpu() {
        console.note("no usable graphics adapter was found, so the processor computes; `mqt doctor` says more");
    }
    if let Some(weights) = args.weights.map(|weights| weights.to_string()).filter(|weights| *weights != model.weights_name()) {
        console.note(&format!("--weights {weights} is for checkpoint folders; this pack holds {}", model.weights_name()));
    }
    Ok(Arc::new(model))
}

/// Room for tokens: what was asked for, else the default as far as the model allows.
pub(crate) fn context(args: &ModelArgs, model: &Model) -> usize {
    args.context.unwrap_or_else(|| CONTEXT.min(model.config().max_context()))
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
    /// Loads the model and warms it up. `budgets` are checked against its M before anything else happens.
    pub(crate) fn start(args: &ModelArgs, default: Arithmetic, budgets: &[u64], console: &Console) -> Result<Conversation> {
        let start = Instant::now();
        let interrupt = Interrupt::install()?;
        let model = load_model(args, default, console)?;
        for &m in budgets {
            budget::fixed(m, &model.config().offer())?;
        }
        let spinner = console.spinner("warming up");
        let session = block_on(Session::new(model.clone(), context(args, &model)))?;
        spinner.finish_and_clear();
        let load_ms = ms(start);
        Ok(Conversation { session, console: *console, interrupt, image: String::new(), load_ms, decode_image_ms: 0.0 })
    }

    /// The loaded model.
    pub(crate) fn model(&self) -> &Arc<Model> {
        self.session.model()
    }

    /// Stops the answer that is being given.
    pub(crate) fn cancel(&self) -> Cancel {
        self.interrupt.cancel()
    }

    /// Puts a picture in front of the model; a note says if another reading of the file gives other pixels.
    pub(crate) fn look(&mut self, picture: &Picture, reading: Reading) -> Result<()> {
        let start = Instant::now();
        let pixels = decode(picture, self.model(), reading)?;
        let decode_image_ms = ms(start);
        let spinner = self.console.spinner("looking at the picture");
        let looked = self.interrupt.during(|cancel| block_on(self.session.look(&pixels, cancel)));
        spinner.finish_and_clear();
        looked?;
        self.decode_image_ms += decode_image_ms;
        self.image.clone_from(&picture.name);
        if pixels.readings_differ && reading == Reading::People {
            let name = &picture.name;
            self.console.note(&format!(
                "{name} is rotated by EXIF, transparent or 16-bit: it was read as a person sees it; the PyTorch reference reads other pixels"
            ));
        }
        Ok(())
    }

    /// Asks about the picture; Ctrl-C stops it and what there is is the answer.
    pub(crate) fn ask(&mut self, mut request: Request, on_text: &mut dyn FnMut(&str)) -> Result<Record> {
        let session = &mut self.session;
        let answer = self.interrupt.during(|cancel| {
            request.cancel = cancel.clone();
            block_on(session.ask(&request, on_text))
        })?;
        let load = std::mem::take(&mut self.load_ms);
        let decode_image = std::mem::take(&mut self.decode_image_ms);
        let timings = TimingsMs::new(load, decode_image, &answer.timings);
        Ok(Record::new(&self.image, &request, answer, timings, self.session.model()))
    }
}

/// The picture as this model's tower takes it.
pub(crate) fn decode(picture: &Picture, model: &Model, reading: Reading) -> Result<Pixels> {
    let bytes = picture.bytes()?;
    Pixels::decode(&bytes, model.image_spec(), reading).map_err(|error| Failure::from(error).about(&picture.name))
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
