//! What a tab of the page can ask for: the calls of `WorkerApi` in `web/ts/messages.ts`, each as it
//! is in `web/src/engine.rs`.

use super::tabs::Job;
use super::wire::Event;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mqt::budget::Speed;
use mqt::error::{Error, Result};
use mqt::image::{Picture, Pixels, Reading};
use mqt::internals::camel::Camel;
use mqt::internals::session::loaded::Offer;
use mqt::internals::settings::{Asked, Measured};
use mqt::internals::{attention, bench};
use mqt::model::Model;
use mqt::session::{Session, Turn};
use pollster::block_on;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;

/// A session of one tab.
pub(crate) struct Tab {
    session: Session,
    /// Milliseconds that are not yet on an answer's account.
    load_ms: f64,
    decode_image_ms: f64,
    pub(crate) used: u64,
}

/// How to open a session; what else the page says of loading has no effect here.
#[derive(Deserialize)]
struct Settings {
    context: Option<usize>,
}

/// Opens a session for a tab.
pub(crate) fn open(model: Arc<Model>, job: &Job) -> Result<Tab> {
    let start = Instant::now();
    let settings: Settings = arg(&job.args, 0)?;
    let most = model.config().max_context();
    let session = match settings.context {
        Some(context) => block_on(Session::new(model, context.min(most), &job.cancel))?,
        None => block_on(Session::growing(model, &job.cancel))?,
    };
    Ok(Tab { session, load_ms: ms(start), decode_image_ms: 0.0, used: 0 })
}

/// Answers a call.
#[allow(clippy::too_many_lines, reason = "a table of calls")]
pub(crate) fn answer(tab: &mut Tab, job: Job) -> Result<Value> {
    let Job { call, args, blobs, cancel, events, .. } = job;
    let session = &mut tab.session;
    match call.as_str() {
        "look" | "lookAlso" => {
            let start = Instant::now();
            let picture = read(&blobs)?;
            let decoded = ms(start);
            let looked = if call == "look" {
                block_on(session.look(&picture, &cancel))?
            } else {
                block_on(session.look_also(&picture, &cancel))?
            };
            // Of a picture that another has replaced nothing is counted.
            let before = if looked.vision_runs > 0 { 0.0 } else { tab.decode_image_ms };
            tab.decode_image_ms = before + decoded;
            let shown = session.shown(session.pictures().saturating_sub(1));
            let shown = shown.ok_or_else(|| wrong("picture", "none was kept"))?;
            let mut view = view(shown, looked.ms());
            view["offer"] = offer(session.offer(None)?)?;
            Ok(view)
        }
        "inspect" => {
            let picture = blobs.first().ok_or_else(|| wrong("picture", "it is missing"))?;
            let spec = session.model().image_spec();
            Ok(view(&Pixels::decode(picture, spec, Reading::People)?, 0.0))
        }
        "forget" => session.forget(arg(&args, 0)?).map(|()| Value::Null),
        "forgetAll" => {
            session.forget_all();
            Ok(Value::Null)
        }
        "pictures" => Ok(session.pictures().into()),
        "offer" => {
            let select: Option<String> = arg(&args, 0)?;
            let select = select.as_deref().map(str::parse).transpose();
            offer(session.offer(select.map_err(|why: String| wrong("select", &why))?)?)
        }
        "prepare" => {
            let request = arg::<Asked>(&args, 0)?.request(String::new())?;
            block_on(session.prepare_for(&request, &cancel)).map(|()| Value::Null)
        }
        "ask" => {
            let request = arg::<Asked>(&args, 1)?.request(arg(&args, 0)?)?;
            let mut show = |text: &str| {
                // Whoever has left stops it by that.
                let _ = events.send(Event::Text(text.to_owned()));
            };
            let answer = block_on(session.ask(&request, &cancel, &mut show))?;
            let load = std::mem::take(&mut tab.load_ms);
            value(&answer.counting(load, std::mem::take(&mut tab.decode_image_ms)))
        }
        "lookedAt" => value(&block_on(session.looked_at(&cancel))?),
        "estimate" => {
            let settings: Asked = arg(&args, 1)?;
            value(&session.estimate(&settings.budget(), &arg::<String>(&args, 0)?)?)
        }
        "bench" => {
            let plan = arg::<Measured>(&args, 0)?.plan(cancel)?;
            let mut tell = |what: &str| _ = events.send(Event::Note(what.to_owned()));
            value(&block_on(bench::run(session.model(), &plan, &mut tell))?)
        }
        "learned" => learned(session.model(), session.speed()),
        "probe" => {
            let model = session.model().clone();
            learned(&model, &block_on(Session::probe(model.clone(), &cancel))?)
        }
        "resamplerMap" => Ok(json!(block_on(session.model().resampler_map(arg(&args, 0)?))?)),
        "heat" => heat(&args, &blobs),
        "takeBack" => {
            session.take_back();
            Ok(Value::Null)
        }
        "startAnew" => {
            session.start_anew();
            Ok(Value::Null)
        }
        "instruct" => {
            let system: Option<String> = arg(&args, 0)?;
            session.instruct(system.as_deref()).map(|()| Value::Null)
        }
        "resume" => session.resume(&arg::<Vec<Turn>>(&args, 0)?).map(|()| Value::Null),
        "memory" => Ok(json!({"wasmBytes": 0, "gpuBytes": session.model().counters().bytes})),
        _ => Err(wrong("call", "this program has none of that name")),
    }
}

impl Tab {
    /// What was loaded, and where it runs.
    pub(crate) fn loaded(&self) -> Result<Value> {
        value(&self.session.loaded())
    }
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

fn wrong(what: &str, why: &str) -> Error {
    Error::InvalidSetting { what: what.into(), why: why.into() }
}

/// An argument of a call; one that is left out is `null`.
fn arg<T: DeserializeOwned>(args: &[Value], at: usize) -> Result<T> {
    let value = args.get(at).cloned().unwrap_or_default();
    serde_json::from_value(value).map_err(|why| wrong("setting", &why.to_string()))
}

fn value(record: &impl Serialize) -> Result<Value> {
    serde_json::to_value(Camel(record)).map_err(|why| wrong("record", &why.to_string()))
}

fn read(blobs: &[Vec<u8>]) -> Result<Picture> {
    let bytes = blobs.first().ok_or_else(|| wrong("picture", "it is missing"))?;
    Picture::read(bytes, Reading::People)
}

fn view(pixels: &Pixels, encode_ms: f64) -> Value {
    let hash: String = pixels.hash().iter().map(|byte| format!("{byte:02x}")).collect();
    let (width, height) = pixels.source;
    json!({
        "rgb": STANDARD.encode(&pixels.rgb), "size": pixels.size, "width": width,
        "height": height, "readingsDiffer": pixels.readings_differ, "hash": hash,
        "encodeMs": encode_ms,
    })
}

fn offer(offer: mqt::budget::Offer) -> Result<Value> {
    value(&Offer::from(offer))
}

fn learned(model: &Model, speed: &Speed) -> Result<Value> {
    value(&model.learned_with(speed))
}

/// A heat map over pixels; the files are these and the weights, 4 bytes each, little-endian.
fn heat(args: &[Value], blobs: &[Vec<u8>]) -> Result<Value> {
    let (scale, opacity): (usize, f32) = (arg(args, 0)?, arg(args, 1)?);
    let [rgb, weights] = blobs else { return Err(wrong("heat", "picture or weights are missing")) };
    let (weights, rest) = weights.as_chunks::<4>();
    let weights: Vec<f32> = weights.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let size = (rgb.len() / 3).isqrt();
    let sound = size > 0
        && size * size * 3 == rgb.len()
        && !weights.is_empty()
        && rest.is_empty()
        && (1..=16).contains(&scale)
        && size * scale <= MOST_SIDE;
    if !sound {
        return Err(wrong("heat", "it needs a square picture, weights, and a scale of 1 to 16"));
    }
    let (place, share) = attention::mostly(&weights);
    let drawn = attention::overlay(rgb, size, &weights, scale, opacity);
    let rgba: Vec<u8> = drawn.chunks_exact(3).flat_map(|p| [p[0], p[1], p[2], 255]).collect();
    Ok(json!({"rgba": STANDARD.encode(rgba), "place": place, "share": share}))
}

/// The largest side of a heat map, pixels.
const MOST_SIDE: usize = 8192;
