//! What travels between the page and the program.
//!
//! A call is the length of a JSON text (4 bytes, little-endian), that text (`{args, sizes}`), and
//! files of those sizes. The answer is lines of JSON: `{step}` and `{text}` while it works, and
//! `{value}` or `{error}` at its end.

use super::super::problem::Problem;
use super::super::stream::Leaving;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use hyper::body::Frame;
use mqt::cancel::{Cancel, Stage};
use serde::Deserialize;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Interval, interval};

/// How often work says how far it has come.
const STEP: Duration = Duration::from_millis(100);

/// What happens to a call.
pub(crate) enum Event {
    Text(String),
    /// What the work says of itself.
    Note(String),
    /// The end, good or bad.
    Done(Value),
    Failed(Value),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    args: Vec<Value>,
    sizes: Vec<usize>,
}

/// The arguments of a call and its files.
pub(crate) fn read(bytes: &[u8]) -> Result<(Vec<Value>, Vec<Vec<u8>>), Problem> {
    let wrong = || {
        let why = "the body is not a call of the page";
        Problem::new(StatusCode::BAD_REQUEST, "invalid_body", why)
    };
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or_else(wrong)?;
    let length = u32::from_le_bytes(*length) as usize;
    let (head, mut rest) = rest.split_at_checked(length).ok_or_else(wrong)?;
    let Head { args, sizes } = serde_json::from_slice(head).map_err(|_| wrong())?;
    let mut blobs = Vec::new();
    for size in sizes {
        let (blob, left) = rest.split_at_checked(size).ok_or_else(wrong)?;
        blobs.push(blob.to_vec());
        rest = left;
    }
    if rest.is_empty() { Ok((args, blobs)) } else { Err(wrong()) }
}

/// The answer to a call, while it is worked on. Whoever leaves stops it.
pub(crate) fn response(events: UnboundedReceiver<Event>, cancel: Cancel) -> Response {
    let leaving = Leaving(cancel.clone());
    let lines = Lines {
        events,
        cancel,
        ticks: interval(STEP),
        last: None,
        ended: false,
        _leaving: leaving,
    };
    let mut response = Response::new(Body::new(lines));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

struct Lines {
    events: UnboundedReceiver<Event>,
    cancel: Cancel,
    ticks: Interval,
    /// The step that was said last.
    last: Option<(Stage, f32)>,
    ended: bool,
    _leaving: Leaving,
}

impl Lines {
    fn hear(&mut self, event: Event) -> Value {
        match event {
            Event::Text(text) => json!({"text": text}),
            Event::Note(text) => json!({"note": text}),
            Event::Done(value) => {
                self.ended = true;
                json!({"value": value})
            }
            Event::Failed(error) => {
                self.ended = true;
                json!({"error": error})
            }
        }
    }
}

impl hyper::body::Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let line = match self.events.poll_recv(context) {
            Poll::Ready(Some(event)) => self.hear(event),
            // The thread is gone.
            Poll::Ready(None) => {
                let why = "the program broke off";
                self.hear(Event::Failed(json!({"code": "internal", "message": why, "facts": {}})))
            }
            Poll::Pending => loop {
                if self.ticks.poll_tick(context).is_pending() {
                    return Poll::Pending;
                }
                let now = self.cancel.progress();
                if let Some((stage, share)) = now
                    && now != self.last
                {
                    self.last = now;
                    let phase = if stage == Stage::Picture { "encoding" } else { "prefilling" };
                    break json!({"step": {"phase": phase, "share": share}});
                }
            },
        };
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(format!("{line}\n"))))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(head: &str, files: &[u8]) -> Vec<u8> {
        let length = u32::try_from(head.len()).unwrap().to_le_bytes();
        [&length, head.as_bytes(), files].concat()
    }

    #[test]
    fn a_call_is_read_and_what_is_none_is_refused() {
        let (args, files) = read(&call(r#"{"args":[1,"x"],"sizes":[2,1]}"#, b"abc")).unwrap();
        assert_eq!(
            (args, files),
            (vec![json!(1), json!("x")], vec![b"ab".to_vec(), b"c".to_vec()])
        );
        let long = [&u32::MAX.to_le_bytes(), b"{}".as_slice()].concat();
        for bytes in [
            &b""[..],
            b"abc",
            &long,
            &call("{}", b""),
            &call(r#"{"args":[],"sizes":[2]}"#, b"a"),
            &call(r#"{"args":[],"sizes":[]}"#, b"a"),
            &call(r#"{"args":[],"sizes":[18446744073709551615]}"#, b"a"),
        ] {
            assert_eq!(read(bytes).unwrap_err().code, "invalid_body");
        }
    }
}
