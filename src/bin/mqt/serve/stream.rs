//! An answer as a stream of server-sent events, while it is given.

use super::problem::Problem;
use super::queue::Event;
use super::reply::{Head, Trim};
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use hyper::body::Frame;
use mqt::cancel::Cancel;
use serde_json::Value;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc::UnboundedReceiver;

/// Stops an answer when it is dropped, which is what happens when a client leaves.
pub(crate) struct Leaving(pub(crate) Cancel);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// What a request wants of its stream.
#[derive(Clone, Copy)]
pub(crate) struct Options {
    /// It ends with a chunk that has the usage.
    pub(crate) include_usage: bool,
    /// Pieces come with how likely their tokens were.
    pub(crate) logprobs: bool,
}

/// The body of a stream.
struct Stream {
    head: Head,
    include_usage: bool,
    events: UnboundedReceiver<Event>,
    trim: Trim,
    /// Tokens since the last piece of text; `None` where nobody asked how likely they were.
    tokens: Option<Vec<Value>>,
    /// Written, but not yet sent.
    ready: VecDeque<Bytes>,
    ended: bool,
    _leaving: Leaving,
}

/// A response that begins with what has come already.
pub(crate) fn response(
    head: Head,
    Options { include_usage, logprobs }: Options,
    first: Event,
    events: UnboundedReceiver<Event>,
    leaving: Leaving,
) -> Response {
    let mut stream = Stream {
        head,
        include_usage,
        events,
        trim: Trim::default(),
        tokens: logprobs.then(Vec::new),
        ready: VecDeque::new(),
        ended: false,
        _leaving: leaving,
    };
    stream.say(&stream.head.opening());
    stream.hear(first);
    let mut response = Response::new(Body::new(stream));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Some proxies would keep the pieces back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

impl Stream {
    fn say(&mut self, value: &Value) {
        self.ready.push_back(Bytes::from(format!("data: {value}\n\n")));
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Token(token) => {
                if let Some(tokens) = &mut self.tokens {
                    tokens.push(token);
                }
            }
            Event::Text(text) => {
                let piece = self.trim.push(&text);
                if !piece.is_empty() {
                    let tokens = self.tokens.as_mut().map(std::mem::take);
                    self.say(&self.head.piece(&piece, tokens));
                }
            }
            Event::Done(answered) => {
                let tokens = self.tokens.take().filter(|tokens| !tokens.is_empty());
                self.say(&self.head.closing(&answered, tokens));
                if self.include_usage {
                    self.say(&self.head.usage(&answered));
                }
                self.end();
            }
            Event::Failed(problem) => {
                self.say(&problem.json());
                self.end();
            }
        }
    }

    fn end(&mut self) {
        self.ready.push_back(Bytes::from_static(b"data: [DONE]\n\n"));
        self.ended = true;
    }
}

impl hyper::body::Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            match self.events.poll_recv(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(event)) => self.hear(event),
                Poll::Ready(None) => self.hear(Event::Failed(Problem::internal())),
            }
        }
    }
}
