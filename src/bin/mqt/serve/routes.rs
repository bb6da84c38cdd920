//! What the server offers, by path.

use super::engine::Ask;
use super::grammars::Grammars;
use super::guard::{self, Asker, Guard, Id};
use super::log::{self, Level};
use super::metrics::Metrics;
use super::page::Page;
use super::problem::Problem;
use super::queue::{Event, Job, Queue};
use super::reply::Head;
use super::request::{self, Asked};
use super::source::Sources;
use super::store::Memory;
use super::stream::{self, Leaving, Options};
use super::{body, openapi, page};
use axum::extract::{Path, Request, State as Shared};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router, middleware};
use mqt::cancel::Cancel;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// What all requests share.
pub(crate) struct State {
    /// The model's name here.
    pub(crate) name: String,
    pub(crate) fingerprint: String,
    /// Seconds since 1970 when the server was started.
    pub(crate) started: u64,
    pub(crate) guard: Guard,
    /// With --open: the page.
    pub(crate) page: Option<Page>,
    pub(crate) sources: Arc<Sources>,
    pub(crate) grammars: Arc<Grammars>,
    pub(crate) bodies: body::Bodies,
    pub(crate) queue: Arc<Queue>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) store: Arc<Memory>,
    /// The server is about to end.
    pub(crate) ending: AtomicBool,
    pub(crate) numbers: AtomicU64,
}

impl State {
    /// The next request's number: unlike any other's of this server.
    pub(crate) fn number(&self) -> String {
        let n = self.numbers.fetch_add(1, Ordering::Relaxed);
        format!("{:x}{:08x}{n:08x}", self.started, std::process::id())
    }
}

/// The paths, behind the guard.
pub(crate) fn router(state: Arc<State>) -> Router {
    let page = state.page.as_ref().map(|page| page::routes(page, &state.name));
    page.unwrap_or_default()
        .route("/v1/chat/completions", post(chat))
        .route("/v1/models", get(models))
        .route("/v1/models/{*name}", get(model))
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(description))
        .fallback(async || {
            let message = "there is nothing at this address; /openapi.json says what there is";
            Problem::new(StatusCode::NOT_FOUND, "unknown_url", message)
        })
        .method_not_allowed_fallback(async || {
            let message = "this address takes another method; /openapi.json says which";
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
        })
        .layer(middleware::from_fn_with_state(state.clone(), guard::around))
        .with_state(state)
}

async fn chat(
    Shared(state): Shared<Arc<State>>,
    Extension(Asker(client)): Extension<Asker>,
    Extension(Id(id)): Extension<Id>,
    request: Request,
) -> Result<Response, Problem> {
    let since = Instant::now();
    if state.ending.load(Ordering::Relaxed) {
        return Err(Problem::ending());
    }
    let (bytes, memory) = state.bodies.read(request).await?;
    let here = state.clone();
    // Base64 of megabytes, files, the network: nothing to do between other requests.
    let read = tokio::task::spawn_blocking(move || {
        request::read(&bytes, &here.name, &here.sources, &here.grammars)
    });
    let Asked { ask, stream, include_usage, ignored } =
        read.await.map_err(|_| Problem::internal())??;
    let (pictures, logprobs) = (ask.pictures(), ask.logprobs.is_some());
    let (mut events, leaving) = push(&state, &client, ask, memory, since)?;
    let head = Head::new(&id, &state.name, &state.fingerprint);
    let first = events.recv().await.unwrap_or_else(|| Event::Failed(Problem::internal()));
    let mut response = match first {
        Event::Failed(problem) => return Err(problem),
        first if stream => {
            let options = Options { include_usage, logprobs };
            stream::response(head, options, first, events, leaving)
        }
        first => {
            let response = whole(&head, logprobs, first, &mut events).await?;
            drop(leaving);
            response
        }
    };
    log::line(Level::Info, "asked", json!({"id": id, "pictures": pictures, "stream": stream}));
    if let Some(names) = header_of(&ignored) {
        response.headers_mut().insert("x-mqt-ignored", names);
    }
    Ok(response)
}

/// Lets a request wait for its turn. Dropping what comes with its events stops it.
fn push(
    state: &State,
    client: &str,
    ask: Ask,
    memory: OwnedSemaphorePermit,
    since: Instant,
) -> Result<(UnboundedReceiver<Event>, Leaving), Problem> {
    let (sender, events) = unbounded_channel();
    let cancel = Cancel::new();
    let leaving = Leaving(cancel.clone());
    let job = Job { ask, cancel, events: sender, since, _memory: Some(memory) };
    state.queue.push(client, job)?;
    Ok((events, leaving))
}

/// An answer that is sent once it is whole.
async fn whole(
    head: &Head,
    logprobs: bool,
    first: Event,
    events: &mut UnboundedReceiver<Event>,
) -> Result<Response, Problem> {
    let mut event = Some(first);
    let mut tokens = logprobs.then(Vec::new);
    loop {
        match event {
            Some(Event::Token(token)) => tokens.iter_mut().for_each(|all| all.push(token.clone())),
            Some(Event::Text(_)) => {}
            Some(Event::Done(answered)) => {
                return Ok(Json(head.whole(&answered, tokens)).into_response());
            }
            Some(Event::Failed(problem)) => return Err(problem),
            None => return Err(Problem::internal()),
        }
        event = events.recv().await;
    }
}

/// Names of fields, as far as a header can hold them.
fn header_of(names: &[String]) -> Option<HeaderValue> {
    const LONGEST: usize = 1000;
    let plain = |c: char| if c.is_ascii_graphic() && c != ',' { c } else { '?' };
    let names: Vec<String> =
        names.iter().map(|name| name.chars().take(80).map(plain).collect()).collect();
    let mut text = names.join(", ");
    text.truncate(LONGEST);
    if text.is_empty() { None } else { HeaderValue::from_str(&text).ok() }
}

fn card(state: &State) -> Value {
    json!({"id": state.name, "object": "model", "created": state.started, "owned_by": "mqt"})
}

async fn models(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    Json(json!({"object": "list", "data": [card(&state)]}))
}

async fn model(
    Shared(state): Shared<Arc<State>>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    if name == state.name {
        Ok(Json(card(&state)))
    } else {
        Err(request::no_model(&name, &state.name))
    }
}

async fn health(Shared(state): Shared<Arc<State>>) -> Response {
    if state.ending.load(Ordering::Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "ending"})))
            .into_response();
    }
    Json(json!({"status": "ok"})).into_response()
}

async fn metrics(Shared(state): Shared<Arc<State>>) -> Response {
    let text = state.metrics.text(&state.queue, &state.store);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

async fn description(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    Json(openapi::document(&state.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_fields_fit_a_header() {
        let of = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&name| name.into()).collect();
            header_of(&names).map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["user", "a\r\nb: c", "ü"]).unwrap(), "user, a??b:?c, ?");
        assert!(of(&["x".repeat(500).as_str(); 100]).unwrap().len() <= 1000);
    }
}
