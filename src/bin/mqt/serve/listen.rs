//! Connections: accepted while there is room, and closed in an orderly way.

use super::guard::Peer;
use super::log::{self, Level};
use super::queue::Queue;
use super::routes::State;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use mqt::cancel::Cancel;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// Connections at once: those beyond wait to be accepted.
const CONNECTIONS: usize = 1024;
/// How long a client may take for a request's head, and an idle connection may stay.
const HEAD: Duration = Duration::from_secs(60);
/// How often it is looked whether to end.
const LOOK: Duration = Duration::from_millis(20);
/// After the grace: what stopped answers need to say so.
const LAST: Duration = Duration::from_secs(2);

/// Serves until `end` is set; then what waits and runs has `grace` to be answered.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    state: Arc<State>,
    end: &Cancel,
    grace: Duration,
) {
    let connections = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD);
    while !end.is_cancelled() {
        // Beyond the limit, clients wait to be accepted.
        let Ok(Ok(place)) = timeout(LOOK, room.clone().acquire_owned()).await else { continue };
        let (stream, address) = match timeout(LOOK, listener.accept()).await {
            Err(_) => continue,
            Ok(Ok(accepted)) => accepted,
            Ok(Err(error)) => {
                // Such as too many open files: others will be closed.
                log::line(Level::Warning, "not accepted", json!({"why": error.to_string()}));
                sleep(LOOK).await;
                continue;
            }
        };
        // Small pieces of a stream leave at once.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone().layer(Extension(Peer(address))));
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            // A connection that breaks is the client's affair.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    finish(connections, &state, grace).await;
}

async fn finish(connections: GracefulShutdown, state: &State, grace: Duration) {
    let start = Instant::now();
    state.ending.store(true, Ordering::Relaxed);
    state.queue.close();
    log::line(Level::Info, "ending", json!({"waiting": state.queue.len()}));
    let done = async {
        connections.shutdown().await;
        idle(&state.queue).await;
    };
    if timeout(grace, done).await.is_err() {
        state.queue.abort();
        let _ = timeout(LAST, idle(&state.queue)).await;
        // The last lines have to leave.
        sleep(5 * LOOK).await;
    }
    log::line(Level::Info, "ended", json!({"seconds": start.elapsed().as_secs_f64()}));
}

/// Until nothing waits and nothing runs.
async fn idle(queue: &Queue) {
    while queue.len() > 0 || queue.is_busy() {
        sleep(LOOK).await;
    }
}
