//! Bodies of requests: limited in size, each and all together, and read to their end even if they
//! are refused.

use super::problem::Problem;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{StatusCode, header};
use hyper::body::Body as _;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// How long a client may take to send a body.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a body that is refused is read on: a client that still sends hears no answer.
const DRAIN: Duration = Duration::from_secs(10);
/// Bodies of this many times the limit may be in memory at once.
const TOGETHER: u64 = 6;
/// What memory is counted in.
const UNIT: u64 = 1024;

/// The room for bodies, and for the pictures that come out of them.
pub(crate) struct Bodies {
    most: u64,
    room: Arc<Semaphore>,
}

impl Bodies {
    /// For bodies of up to `most` bytes.
    pub(crate) fn new(most: u64) -> Bodies {
        let room = usize::try_from(most * TOGETHER / UNIT).unwrap_or(Semaphore::MAX_PERMITS);
        Bodies { most, room: Arc::new(Semaphore::new(room.clamp(1, Semaphore::MAX_PERMITS))) }
    }

    /// The whole body, and the room that it takes until it is dropped.
    pub(crate) async fn read(
        &self,
        request: Request,
    ) -> Result<(Bytes, OwnedSemaphorePermit), Problem> {
        let length = request.headers().get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        let mut body = request.into_body();
        if length.is_some_and(|length| length > self.most) {
            let _ = timeout(DRAIN, drain(&mut body)).await;
            return Err(self.too_large());
        }
        let units = u32::try_from(length.unwrap_or(self.most).div_ceil(UNIT)).unwrap_or(u32::MAX);
        let room = self.room.clone().acquire_many_owned(units).await;
        let room = room.map_err(|_| Problem::ending())?;
        let late = || {
            let why = "the body did not come in time";
            Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", why)
        };
        let bytes = timeout(PATIENCE, self.collect(&mut body)).await.map_err(|_| late())??;
        Ok((bytes, room))
    }

    async fn collect(&self, body: &mut Body) -> Result<Bytes, Problem> {
        let mut bytes = Vec::new();
        while let Some(piece) = next(body).await {
            let piece = piece.map_err(|_| {
                let why = "the body ended early";
                Problem::new(StatusCode::BAD_REQUEST, "invalid_body", why)
            })?;
            if (bytes.len() + piece.len()) as u64 > self.most {
                drop(bytes);
                let _ = timeout(DRAIN, drain(body)).await;
                return Err(self.too_large());
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.into())
    }

    fn too_large(&self) -> Problem {
        let message = format!("the body is larger than {} bytes; send smaller pictures", self.most);
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    }
}

/// The next piece of a body; `None` at its end.
async fn next(body: &mut Body) -> Option<Result<Bytes, axum::Error>> {
    loop {
        let frame = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await?;
        match frame.map(hyper::body::Frame::into_data) {
            Ok(Ok(data)) => return Some(Ok(data)),
            // Trailers say nothing.
            Ok(Err(_)) => {}
            Err(error) => return Some(Err(error)),
        }
    }
}

async fn drain(body: &mut Body) {
    while let Some(Ok(_)) = next(body).await {}
}
