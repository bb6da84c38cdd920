//! A small HTTP server of files, and the ways in which it misbehaves.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Trouble {
    None,
    /// So many bytes a second.
    Slow(u64),
    /// Every second answer stops in its middle and says nothing more.
    Stalls,
    /// Every second answer is cut in its middle.
    Cuts,
    /// Answers of weights promise ten bytes more than there are, and files twice their size; the manifest tells the truth about them.
    LiesAboutLength,
    /// Two of three requests are one too many.
    TooMany,
    /// Ranges are ignored.
    NoRanges,
    /// One byte of every large file is another.
    Flips,
    /// Nothing but errors.
    Broken,
}

/// A server of one folder, until it is dropped.
pub(crate) struct Server {
    address: String,
    state: Arc<State>,
}

struct State {
    root: PathBuf,
    trouble: Trouble,
    /// What else there is, such as a listing.
    extra: Mutex<HashMap<String, Vec<u8>>>,
    requests: AtomicU64,
    sent: AtomicU64,
}

impl Server {
    pub(crate) fn start(root: &Path, trouble: Trouble) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(State { root: root.to_owned(), trouble, extra: Mutex::default(), requests: AtomicU64::new(0), sent: AtomicU64::new(0) });
        let shared = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = shared.clone();
                // The client leaves when it likes.
                thread::spawn(move || drop(serve(&state, stream)));
            }
        });
        Server { address, state }
    }

    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn url(&self, file: &str) -> String {
        format!("{}/{file}", self.base())
    }

    pub(crate) fn add(&self, path: &str, bytes: Vec<u8>) {
        self.state.extra.lock().unwrap().insert(path.to_owned(), bytes);
    }

    /// Bytes of bodies so far.
    pub(crate) fn sent(&self) -> u64 {
        self.state.sent.load(Ordering::SeqCst)
    }
}

fn serve(state: &State, mut stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or("/").split('?').next().unwrap_or("/").trim_start_matches('/').to_owned();
        let mut range = None;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let lower = header.trim().to_ascii_lowercase();
            if let Some(bytes) = lower.strip_prefix("range: bytes=") {
                let (first, last) = bytes.split_once('-').unwrap_or((bytes, ""));
                range = Some((first.parse::<usize>().unwrap_or(0), last.parse::<usize>().unwrap_or(usize::MAX)));
            }
            if lower.is_empty() {
                break;
            }
        }
        if !answer(state, &mut stream, &path, range)? {
            return Ok(());
        }
    }
}

/// Answers one request; whether the connection stays.
fn answer(state: &State, stream: &mut TcpStream, path: &str, range: Option<(usize, usize)>) -> std::io::Result<bool> {
    let n = state.requests.fetch_add(1, Ordering::SeqCst);
    let simple = |stream: &mut TcpStream, status: &str| write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").map(|()| true);
    match state.trouble {
        Trouble::Broken => return simple(stream, "500 Broken"),
        Trouble::TooMany if n % 3 != 2 => return simple(stream, "429 Too Many Requests\r\nretry-after: 0"),
        _ => {}
    }
    let extra = state.extra.lock().unwrap().get(path).cloned();
    let file = path.rsplit("resolve/main/").next().unwrap_or(path);
    let Some(mut bytes) = extra.or_else(|| fs::read(state.root.join(file)).ok()) else { return simple(stream, "404 Not Found") };
    if state.trouble == Trouble::Flips && bytes.len() > 1_000_000 {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    }
    let total = bytes.len();
    let range = range.filter(|_| state.trouble != Trouble::NoRanges);
    let (first, end) = range.map_or((0, total), |(first, last)| (first.min(total), total.min(last.saturating_add(1))));
    let body = &bytes[first..end];
    let lie = if state.trouble == Trouble::LiesAboutLength && path.ends_with(".safetensors") { 10 } else { 0 };
    if range.is_some() {
        let shown = if lie > 0 { 2 * total } else { total };
        write!(stream, "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes {first}-{}/{shown}\r\n", end.saturating_sub(1))?;
    } else {
        write!(stream, "HTTP/1.1 200 OK\r\n")?;
    }
    write!(stream, "content-length: {}\r\n\r\n", body.len() + lie)?;
    let bad = n.is_multiple_of(2) && body.len() > 10_000;
    let until = if bad && matches!(state.trouble, Trouble::Stalls | Trouble::Cuts) { body.len() / 2 } else { body.len() };
    for piece in body[..until].chunks(16 << 10) {
        stream.write_all(piece)?;
        state.sent.fetch_add(piece.len() as u64, Ordering::SeqCst);
        if let Trouble::Slow(rate) = state.trouble {
            thread::sleep(Duration::from_secs_f64(piece.len() as f64 / rate as f64));
        }
    }
    stream.flush()?;
    if until < body.len() && state.trouble == Trouble::Stalls {
        thread::sleep(Duration::from_secs(60));
    }
    Ok(until == body.len() && lie == 0)
}
