//! A small HTTP server of files, and the ways in which it misbehaves.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
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
    /// Answers of weights promise ten bytes more than there are, and files twice their size; the
    /// manifest tells the truth about them.
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

/// What a client asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// Without the query.
    pub(crate) path: String,
    pub(crate) query: String,
    /// First and last byte.
    pub(crate) range: Option<(usize, usize)>,
    pub(crate) if_range: Option<String>,
    pub(crate) authorization: Option<String>,
}

/// What a scripted server answers: a status with headers, and a body that is sent as it is.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    head: String,
    body: Vec<u8>,
    end: End,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Stays,
    Closes,
    Hangs,
    /// The body is sent again and again, as chunks.
    Repeats,
}

impl Reply {
    pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Reply {
        let body = body.into();
        Reply { head: format!("200 OK\r\ncontent-length: {}", body.len()), body, end: End::Stays }
    }

    pub(crate) fn status(status: &str) -> Reply {
        Reply { head: format!("{status}\r\ncontent-length: 0"), body: Vec::new(), end: End::Stays }
    }

    pub(crate) fn redirect(to: &str) -> Reply {
        Reply::status("302 Found").with("location", to)
    }

    /// What was asked for of a file: a range, or all of it.
    pub(crate) fn part(file: &[u8], range: Option<(usize, usize)>) -> Reply {
        let Some((first, last)) = range else { return Reply::ok(file) };
        if first >= file.len() {
            return Reply::status("416 Range Not Satisfiable")
                .with("content-range", &format!("bytes */{}", file.len()));
        }
        let last = last.min(file.len() - 1);
        let reply = Reply::ok(&file[first..=last]);
        let head = reply.head.replace("200 OK", "206 Partial Content");
        Reply { head, ..reply }
            .with("content-range", &format!("bytes {first}-{last}/{}", file.len()))
    }

    /// Nothing, and the connection stays.
    pub(crate) fn silent() -> Reply {
        Reply { head: String::new(), body: Vec::new(), end: End::Hangs }
    }

    /// What is no HTTP.
    pub(crate) fn garbage() -> Reply {
        Reply { head: String::new(), body: b"garbage\r\n\r\n".to_vec(), end: End::Closes }
    }

    /// A body without end.
    pub(crate) fn endless(piece: &[u8]) -> Reply {
        Reply {
            head: "200 OK\r\ntransfer-encoding: chunked".into(),
            body: piece.to_vec(),
            end: End::Repeats,
        }
    }

    /// A body that is cut.
    pub(crate) fn cut(length: u64, body: &[u8]) -> Reply {
        Reply { end: End::Closes, ..Reply::promising(length, body) }
    }

    /// A body that promises more than it has.
    pub(crate) fn promising(length: u64, body: &[u8]) -> Reply {
        Reply {
            head: format!("200 OK\r\ncontent-length: {length}"),
            body: body.to_vec(),
            end: End::Hangs,
        }
    }

    pub(crate) fn with(mut self, header: &str, value: &str) -> Reply {
        self.head += &format!("\r\n{header}: {value}");
        self
    }

    fn send(&self, stream: &mut TcpStream) -> std::io::Result<bool> {
        if !self.head.is_empty() {
            write!(stream, "HTTP/1.1 {}\r\n\r\n", self.head)?;
        }
        match self.end {
            End::Repeats => loop {
                write!(stream, "{:x}\r\n", self.body.len())?;
                stream.write_all(&self.body)?;
                stream.write_all(b"\r\n")?;
            },
            End::Stays => stream.write_all(&self.body).map(|()| true),
            End::Closes => stream.write_all(&self.body).map(|()| false),
            End::Hangs => {
                stream.write_all(&self.body)?;
                stream.flush()?;
                // The client leaves, or the test ends.
                while stream.read(&mut [0])? > 0 {}
                Ok(false)
            }
        }
    }
}

type Script = Box<dyn Fn(&Request) -> Reply + Send + Sync>;

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
    script: Option<Script>,
    log: Mutex<Vec<Request>>,
}

impl Server {
    pub(crate) fn start(root: &Path, trouble: Trouble) -> Server {
        Server::run(root, trouble, None)
    }

    /// A server that answers as the script says.
    pub(crate) fn scripted(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
        Server::run(Path::new(""), Trouble::None, Some(Box::new(script)))
    }

    fn run(root: &Path, trouble: Trouble, script: Option<Script>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (extra, log) = (Mutex::default(), Mutex::default());
        let (requests, sent) = (AtomicU64::new(0), AtomicU64::new(0));
        let state =
            Arc::new(State { root: root.to_owned(), trouble, extra, requests, sent, script, log });
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

    /// The requests so far.
    pub(crate) fn log(&self) -> Vec<Request> {
        self.state.log.lock().unwrap().clone()
    }

    /// Bytes of bodies so far.
    pub(crate) fn sent(&self) -> u64 {
        self.state.sent.load(Ordering::SeqCst)
    }
}

/// A hub with one model, `someone/model`: its listing, and files without anything that tells their
/// version.
pub(crate) fn hub(listing: impl Into<Vec<u8>>, files: &[(&str, &[u8])]) -> Server {
    let listing = listing.into();
    let files: HashMap<String, Vec<u8>> = files
        .iter()
        .map(|(name, bytes)| (format!("someone/model/resolve/main/{name}"), bytes.to_vec()))
        .collect();
    Server::scripted(move |request| match files.get(&request.path) {
        Some(bytes) => Reply::part(bytes, request.range),
        None if request.path.starts_with("api/models/someone/model/") => Reply::ok(listing.clone()),
        None => Reply::status("404 Not Found"),
    })
}

/// A listing of these files, with their sizes and nothing else.
pub(crate) fn listing(files: &[(&str, &[u8])]) -> String {
    let entries = files.iter().map(
        |(path, bytes)| serde_json::json!({"type": "file", "path": path, "size": bytes.len()}),
    );
    serde_json::Value::from(entries.collect::<Vec<_>>()).to_string()
}

fn serve(state: &State, mut stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let whole = line.split(' ').nth(1).unwrap_or("/");
        let (path, query) = whole.split_once('?').unwrap_or((whole, ""));
        let (path, query) = (path.trim_start_matches('/').to_owned(), query.to_owned());
        let mut request = Request { path, query, ..Request::default() };
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let Some((name, value)) = header.trim().split_once(": ") else { break };
            match name.to_ascii_lowercase().as_str() {
                "range" => {
                    let (first, last) =
                        value.trim_start_matches("bytes=").split_once('-').unwrap_or((value, ""));
                    request.range =
                        Some((first.parse().unwrap_or(0), last.parse().unwrap_or(usize::MAX)));
                }
                "if-range" => request.if_range = Some(value.to_owned()),
                "authorization" => request.authorization = Some(value.to_owned()),
                _ => {}
            }
        }
        state.log.lock().unwrap().push(request.clone());
        let stays = match &state.script {
            Some(script) => script(&request).send(&mut stream)?,
            None => answer(state, &mut stream, &request.path, request.range)?,
        };
        if !stays {
            return Ok(());
        }
    }
}

/// Answers one request; whether the connection stays.
fn answer(
    state: &State,
    stream: &mut TcpStream,
    path: &str,
    range: Option<(usize, usize)>,
) -> std::io::Result<bool> {
    let n = state.requests.fetch_add(1, Ordering::SeqCst);
    let simple = |stream: &mut TcpStream, status: &str| {
        write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").map(|()| true)
    };
    match state.trouble {
        Trouble::Broken => return simple(stream, "500 Broken"),
        Trouble::TooMany if n % 3 != 2 => {
            return simple(stream, "429 Too Many Requests\r\nretry-after: 0");
        }
        _ => {}
    }
    let extra = state.extra.lock().unwrap().get(path).cloned();
    let file = path.rsplit("resolve/main/").next().unwrap_or(path);
    let Some(mut bytes) = extra.or_else(|| fs::read(state.root.join(file)).ok()) else {
        return simple(stream, "404 Not Found");
    };
    if state.trouble == Trouble::Flips && bytes.len() > 1_000_000 {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    }
    let total = bytes.len();
    let range = range.filter(|_| state.trouble != Trouble::NoRanges);
    let (first, end) = range
        .map_or((0, total), |(first, last)| (first.min(total), total.min(last.saturating_add(1))));
    let body = &bytes[first..end];
    let lie = if state.trouble == Trouble::LiesAboutLength && path.ends_with(".safetensors") {
        10
    } else {
        0
    };
    if range.is_some() {
        let shown = if lie > 0 { 2 * total } else { total };
        write!(
            stream,
            "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes {first}-{}/{shown}\r\n",
            end.saturating_sub(1)
        )?;
    } else {
        write!(stream, "HTTP/1.1 200 OK\r\n")?;
    }
    write!(stream, "content-length: {}\r\n\r\n", body.len() + lie)?;
    let bad = n.is_multiple_of(2) && body.len() > 10_000;
    let until = if bad && matches!(state.trouble, Trouble::Stalls | Trouble::Cuts) {
        body.len() / 2
    } else {
        body.len()
    };
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
