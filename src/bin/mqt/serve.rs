//! `mqt serve`: the model behind OpenAI's HTTP interface.
//!
//! Handlers (`serve/routes.rs`) read requests and wait; one thread (`serve/worker.rs`) owns the
//! model and answers them one after the other, as the queue (`serve/queue.rs`) says.

use crate::args::ServeArgs;
use crate::console::Console;
use crate::conversation;
use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::output::Output;
use body::Bodies;
use engine::Engine;
use grammars::Grammars;
use guard::Guard;
use log::Level;
use metrics::Metrics;
use mqt::internals::untrusted;
use mqt::model::{Arithmetic, Model};
use page::Page;
use queue::Queue;
use remote::Remote;
use routes::State;
use serde_json::json;
use source::Sources;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread;
use std::time::Duration;
use store::Memory;
use worker::{Open, Worker};

mod body;
mod engine;
mod grammars;
mod guard;
mod listen;
mod log;
mod logprobs;
mod messages;
mod metrics;
mod openapi;
mod page;
mod problem;
mod queue;
mod remote;
mod reply;
mod request;
mod routes;
mod source;
mod store;
mod stream;
mod worker;

/// Threads that handle connections; the model has its own.
const THREADS: usize = 2;
/// Stack of the model's thread: a stranger's schema may be deep.
const STACK: usize = 32 << 20;
/// The share of the cache that is for encoded pictures.
const PICTURES: f64 = 0.25;
const MEGABYTE: f64 = 1e6;

pub(crate) fn run(args: ServeArgs, console: &Console) -> Result<()> {
    if console.is_quiet() {
        log::be_quiet();
    }
    if let Some(folder) = args.page() {
        page::files(folder)?;
    }
    let interrupt = Interrupt::install()?;
    // Before the model is loaded, which may take minutes.
    let listener = bind(&args)?;
    let sources = Arc::new(sources(&args)?);
    // Every line of stderr is JSON from here on, but for the error that ends the program.
    let quiet = Console::new(true);
    let model = conversation::load_model(&args.model, Arithmetic::Fast, &quiet)?;
    let (store, queue, metrics) = (
        Arc::new(Memory::new((args.cache * MEGABYTE * PICTURES) as usize)),
        Arc::new(Queue::new(args.queue)),
        Arc::new(Metrics::default()),
    );
    let page = args.page().map(|folder| Page::new(folder, again(&model, &args))).transpose()?;
    let state = Arc::new(State {
        page,
        name: args.name.clone().unwrap_or_else(|| untrusted::one_line(model.name())),
        fingerprint: fingerprint(&model),
        started: reply::now(),
        guard: Guard::new(&args.api_key, &args.allow_host, &args.allow_origin),
        sources,
        grammars: Arc::new(Grammars::new(
            model.tokenizer().clone(),
            model.config().end_ids.clone(),
        )),
        bodies: Bodies::new((args.max_body * MEGABYTE) as u64),
        queue: queue.clone(),
        metrics: metrics.clone(),
        store: store.clone(),
        ending: AtomicBool::new(false),
        numbers: AtomicU64::new(0),
    });
    let grace = Duration::from_secs_f64(args.grace);
    let is_open = args.api_key.is_empty();
    let engine = engine(model.clone(), &args, &store)?;
    let (shown, opened) = (args.page().is_some(), args.open);
    metrics.kept(engine.size());
    let worker = Worker { engine: Some(engine), open: opener(args, store), queue, metrics };
    let worker =
        thread::Builder::new().name("model".into()).stack_size(STACK).spawn(move || worker.run());
    let worker = worker.map_err(|why| Failure::output("a thread", &why))?;
    interrupt.during(|end| {
        // Whoever reads the address may tell the program to end right away.
        let page = announce(&listener, &state.name, &model, is_open, shown)?;
        if opened {
            page::show(&page);
        }
        drop(model);
        serve(listener, state, end, grace)
    })?;
    // It may be in the middle of a layer; nothing waits for it.
    drop(worker);
    Ok(())
}

/// Handles connections until the program is told to end.
fn serve(
    listener: TcpListener,
    state: Arc<State>,
    end: &mqt::Cancel,
    grace: Duration,
) -> Result<()> {
    let failed = |why: std::io::Error| Failure::output("the server's socket", &why);
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(THREADS).enable_all().build().map_err(failed)?;
    let router = routes::router(state.clone());
    let listened = runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        listen::serve(listener, router, state, end, grace).await;
        std::io::Result::Ok(())
    });
    listened.map_err(failed)?;
    // A picture may still be on its way from the network.
    runtime.shutdown_background();
    Ok(())
}

fn bind(args: &ServeArgs) -> Result<TcpListener> {
    let address = SocketAddr::new(args.host, args.port);
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|why| {
        let why = mqt::internals::plain::system_error(&why);
        let message =
            format!("cannot listen on {address}: {why}; --port takes another port, 0 any");
        Failure { code: 1, message: Some(message) }
    })
}

fn sources(args: &ServeArgs) -> Result<Sources> {
    let media = args.media_dir.as_ref().map(|folder| {
        let real = folder.canonicalize().ok().filter(|real| real.is_dir());
        let name = folder.display();
        real.ok_or_else(|| Failure::usage(format!("--media-dir {name}: there is no such folder")))
    });
    let remote = args
        .allow_fetch
        .as_ref()
        .map(|hosts| Remote::new(hosts.iter().filter(|host| !host.is_empty()).cloned().collect()));
    Ok(Sources { media: media.transpose()?, remote, most: (args.max_body * MEGABYTE) as u64 })
}

fn engine(model: Arc<Model>, args: &ServeArgs, store: &Arc<Memory>) -> Result<Engine> {
    let limit = (args.cache * MEGABYTE * (1.0 - PICTURES)) as u64;
    let context = args.model.context;
    Ok(Engine::new(model, context, args.target_ms, limit, store.clone())?)
}

/// Loads the model again.
fn opener(args: ServeArgs, store: Arc<Memory>) -> Open {
    Box::new(move || {
        let quiet = Console::new(true);
        let model = conversation::load_model(&args.model, Arithmetic::Fast, &quiet)?;
        engine(model, &args, &store)
    })
}

/// Gives the page the model, and loads it again after a device was lost.
fn again(model: &Arc<Model>, args: &ServeArgs) -> page::tabs::Open {
    let (mut first, args) = (Some(model.clone()), args.model.clone());
    Box::new(move || match first.take() {
        Some(model) => Ok(model),
        None => conversation::load_model(&args, Arithmetic::Fast, &Console::new(true)),
    })
}

/// The page's address.
fn fingerprint(model: &Model) -> String {
    let sum = model.sha256().get(..8).unwrap_or("folder");
    format!("mqt-{}-{sum}-{}", env!("CARGO_PKG_VERSION"), model.weights_name())
}

/// The addresses on stdout, for whoever started the server; the rest in the log. The page's.
fn announce(
    listener: &TcpListener,
    name: &str,
    model: &Model,
    is_open: bool,
    shows_page: bool,
) -> Result<String> {
    let failed = |why: std::io::Error| Failure::output("the server's socket", &why);
    let address = listener.local_addr().map_err(failed)?;
    let facts = json!({
        "address": address.to_string(), "model": name, "adapter": model.adapter().name,
        "version": env!("CARGO_PKG_VERSION"), "pid": std::process::id(),
    });
    log::line(Level::Info, "listening", facts);
    if is_open && !address.ip().is_loopback() {
        let why = "other machines can ask without a key; --api-key sets one";
        log::line(Level::Warning, "open", json!({"why": why}));
    }
    let page = format!("http://{address}/");
    // At once: whoever reads one line and closes the pipe must not end the server by that.
    let lines = if shows_page { format!("{page}v1\n{page}\n") } else { format!("{page}v1\n") };
    Output::new().write(&lines)?;
    Ok(page)
}
