//! `mqt serve --open`: the page of this project, with this program as its engine.
//!
//! The page's TypeScript has an engine that asks the addresses below `/page/` instead of a worker
//! (`web/ts/server.ts`). Each tab has a session of its own, on one thread (`tabs.rs`); `calls.rs`
//! has what a tab can ask for, `wire.rs` how it is written.

use super::problem::Problem;
use super::routes::State;
use crate::failure::{Failure, Result};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path as Parts, Request, State as Shared};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;
use std::sync::Arc;
use tabs::{Job, Open, Tabs};
use tokio::sync::mpsc::unbounded_channel;

mod calls;
pub(crate) mod tabs;
mod wire;

/// Name and content of each file.
#[cfg(feature = "page")]
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/page.rs"));
#[cfg(not(feature = "page"))]
const FILES: &[(&str, &[u8])] = &[];

/// Files of the page, by name.
type Files = Vec<(String, Bytes)>;

/// What shows the page and computes for it.
pub(crate) struct Page {
    pub(crate) tabs: Tabs,
    files: Files,
}

impl Page {
    /// With the files in `folder`, or those in the program.
    pub(crate) fn new(folder: &Path, open: Open) -> Result<Page> {
        let files = files(folder)?;
        let tabs = Tabs::start(open).map_err(|why| Failure::output("a thread", &why))?;
        Ok(Page { tabs, files })
    }
}

/// The page's files; refuses to show a page where there is none.
pub(crate) fn files(folder: &Path) -> Result<Files> {
    if folder.as_os_str().is_empty() {
        if FILES.is_empty() {
            let why = "this program was built without the page; `cargo xtask web` and then \
                       `cargo build --release --features page` build one that has it";
            return Err(Failure::usage(why));
        }
        let own = FILES.iter().map(|(name, bytes)| ((*name).to_owned(), Bytes::from_static(bytes)));
        return Ok(own.collect());
    }
    let mut files = Files::new();
    let read = list(folder, "", &mut files);
    if read.is_err() || files.iter().all(|(name, _)| name != "index.html") {
        let why = format!("--page={}: there is no built page", folder.display());
        return Err(Failure::usage(why));
    }
    Ok(files)
}

/// The files of a folder and those one folder below it, such as `assets/`.
fn list(folder: &Path, before: &str, files: &mut Files) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let (path, name) = { entry.map(|entry| (entry.path(), entry.file_name()))? };
        let name = format!("{before}{}", name.to_string_lossy());
        if path.is_file() && name != "sw.js" {
            files.push((name, std::fs::read(&path)?.into()));
        } else if path.is_dir() && before.is_empty() {
            list(&path, &format!("{name}/"), files)?;
        }
    }
    Ok(())
}

/// What the page must not do; its own `meta` element says the rest.
const POLICY: &str = "frame-ancestors 'none'";

/// In place of the worker that keeps the page for use without a network: a page of another version,
/// kept for this address before, would be shown instead of ours.
const NO_COPY: &str = "addEventListener('install', () => skipWaiting());
addEventListener('activate', event => event.waitUntil(registration.unregister()));
";

/// The page's addresses.
pub(crate) fn routes(page: &Page, name: &str) -> Router<Arc<State>> {
    let mut router = Router::new()
        .route("/sw.js", get(async || sent("sw.js", NO_COPY)))
        .route("/page/tabs", post(open))
        .route("/page/tabs/{tab}/stop/{work}", post(stop))
        .route("/page/tabs/{tab}/{call}/{work}", post(call));
    for (file, bytes) in page.files.clone() {
        if file == "index.html" {
            let html = Bytes::from(marked(&String::from_utf8_lossy(&bytes), name));
            router = router.route("/", get(async move || sent("index.html", html)));
        } else if !file.contains(['{', '}']) {
            let path = format!("/{file}");
            router = router.route(&path, get(async move || sent(&file, bytes)));
        }
    }
    router
}

/// The page with a mark that a program computes, and which model it has.
fn marked(html: &str, name: &str) -> String {
    let mut escaped = String::new();
    for c in name.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '<' => escaped.push_str("&lt;"),
            c => escaped.push(c),
        }
    }
    let mark = format!(
        "<head>\n    <meta name=\"mqt-server\" content=\"page/\" data-model=\"{escaped}\" />"
    );
    html.replacen("<head>", &mark, 1)
}

fn sent(name: &str, bytes: impl Into<Body>) -> Response {
    let kind = match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "png" => "image/png",
        "webp" => "image/webp",
        "svg" => "image/svg+xml",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    };
    // Built files carry a hash in their names; all others are asked for again.
    let kept = if name.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let mut response = Response::new(bytes.into());
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, kept),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Opens the page in the browser of whoever started the program; says nothing if that fails, for
/// the address stands on stdout.
pub(crate) fn show(address: &str) {
    let (program, before): (&str, &[&str]) = if cfg!(target_os = "macos") {
        ("open", &[])
    } else if cfg!(windows) {
        ("cmd", &["/C", "start", ""])
    } else {
        ("xdg-open", &[])
    };
    let mut command = std::process::Command::new(program);
    let quiet = std::process::Stdio::null;
    command.args(before).arg(address).stdin(quiet()).stdout(quiet()).stderr(quiet());
    if let Ok(mut child) = command.spawn() {
        std::thread::spawn(move || child.wait());
    }
}

/// The tabs, or why there are none.
fn tabs(state: &State) -> std::result::Result<&Tabs, Problem> {
    let missing = || {
        let why = "this server shows no page; it was started without --open";
        Problem::new(StatusCode::NOT_FOUND, "unknown_url", why)
    };
    state.page.as_ref().map(|page| &page.tabs).ok_or_else(missing)
}

/// A tab was opened, or loads anew.
async fn open(
    state: Shared<Arc<State>>,
    request: Request,
) -> std::result::Result<Response, Problem> {
    begun(&state, secret(), "load".into(), 0, request).await
}

/// A name that nobody guesses: whoever knows a tab's name can ask in its place.
fn secret() -> String {
    // Its keys are the system's random numbers.
    let part = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", part(), part())
}

/// `work` is what `stop` calls it; 0 cannot be stopped.
async fn call(
    state: Shared<Arc<State>>,
    Parts((tab, call, work)): Parts<(String, String, u64)>,
    request: Request,
) -> std::result::Result<Response, Problem> {
    begun(&state, tab, call, work, request).await
}

/// Waits for its turn, and sends what happens as it happens.
async fn begun(
    state: &State,
    tab: String,
    call: String,
    work: u64,
    request: Request,
) -> std::result::Result<Response, Problem> {
    let tabs = tabs(state)?;
    // A page of another origin could send what needs no preflight.
    let kind = request.headers().get(header::CONTENT_TYPE);
    if kind.is_none_or(|kind| kind != "application/octet-stream") {
        let why = "the body is application/octet-stream";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid_body", why));
    }
    let (bytes, memory) = state.bodies.read(request).await?;
    let (args, blobs) = wire::read(&bytes)?;
    let (events, heard) = unbounded_channel();
    let cancel = tabs.begin(&tab, work);
    let job = Job {
        tab: tab.clone(),
        call,
        work,
        args,
        blobs,
        cancel: cancel.clone(),
        events,
        _memory: memory,
    };
    tabs.push(job)?;
    Ok(wire::response(heard, cancel))
}

async fn stop(
    state: Shared<Arc<State>>,
    Parts((tab, work)): Parts<(String, u64)>,
) -> std::result::Result<Response, Problem> {
    tabs(&state)?.stop(&tab, work);
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_tabs_have_one_name() {
        let names: std::collections::HashSet<String> = (0..1000).map(|_| secret()).collect();
        assert_eq!(names.len(), 1000);
        assert!(names.iter().all(|name| name.len() == 32));
    }

    #[test]
    fn the_page_is_told_of_the_model_and_nothing_else() {
        let html = marked("<html><head><title>x</title></head>", "a\"><script>&");
        let mark = "<meta name=\"mqt-server\" content=\"page/\" \
                    data-model=\"a&quot;>&lt;script>&amp;\" />";
        assert!(html.contains(mark), "{html}");
        assert_eq!(html.matches("<head>").count(), 1);
    }
}
