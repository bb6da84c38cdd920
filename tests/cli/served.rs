//! A running `mqt serve`, and a client of a few lines for it.

use crate::common::{Mqt, mqt, until};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, ChildStdout};
use std::thread::{self, JoinHandle};

/// A server on a port of its own; it ends with this.
pub(crate) struct Served {
    pub(crate) child: Child,
    /// `host:port`.
    pub(crate) address: String,
    log: Option<JoinHandle<String>>,
}

/// What it answers.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// In small letters.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:#?}"))
    }

    /// The text of a whole answer.
    pub(crate) fn text(&self) -> String {
        assert_eq!(self.status, 200, "{self:#?}");
        self.json()["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let line = self.head.lines().find(|line| line.starts_with(&format!("{name}:")))?;
        Some(line[name.len() + 1..].trim())
    }

    /// The objects of a stream, without the mark at its end.
    pub(crate) fn events(&self) -> Vec<Value> {
        assert_eq!(self.header("content-type"), Some("text/event-stream"), "{self:#?}");
        let mut events: Vec<&str> =
            self.body.split("\n\n").filter(|event| !event.is_empty()).collect();
        assert_eq!(events.pop(), Some("data: [DONE]"), "{self:#?}");
        let read =
            |event: &&str| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap();
        events.iter().map(read).collect()
    }

    /// Checks for a refusal of OpenAI's shape; its sentence.
    pub(crate) fn refused(&self, status: u16, code: &str, param: Option<&str>) -> String {
        let error = &self.json()["error"];
        assert_eq!((self.status, error["code"].as_str()), (status, Some(code)), "{self:#?}");
        assert_eq!(error["param"].as_str(), param, "{self:#?}");
        assert!(error["type"].is_string(), "{self:#?}");
        error["message"].as_str().unwrap().to_owned()
    }
}

impl Served {
    /// One of the bundled model on the processor.
    pub(crate) fn start(flags: &[&str]) -> Served {
        Served::of(mqt(["serve", "--port", "0", "--adapter", "cpu"].iter().chain(flags)))
    }

    pub(crate) fn of(command: Mqt) -> Served {
        let mut child = command.start();
        let mut stdout: BufReader<ChildStdout> = BufReader::new(child.stdout.take().unwrap());
        let mut stderr: ChildStderr = child.stderr.take().unwrap();
        let log = thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").and_then(|rest| rest.strip_suffix("/v1"));
        let Some(address) = address.map(str::to_owned) else {
            panic!("{line:?} is no address; {}", log.join().unwrap());
        };
        Served { child, address, log: Some(log) }
    }

    /// Sends a head and a body, and reads nothing.
    pub(crate) fn send(&self, head: &str, body: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n", body.len()).unwrap();
        stream.write_all(body).unwrap();
        stream
    }

    fn finish(mut stream: TcpStream) -> Reply {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text:?}"));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.unwrap_or_else(|| panic!("{text:?}"));
        Reply { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    /// A request with headers of its own (`name: value`) beside `Host`, unless they name one.
    pub(crate) fn request(&self, line: &str, headers: &[&str], body: &[u8]) -> Reply {
        let own = headers.iter().any(|header| header.to_ascii_lowercase().starts_with("host:"));
        let host = if own { String::new() } else { format!("\r\nhost: {}", self.address) };
        let headers: String = headers.iter().map(|header| format!("\r\n{header}")).collect();
        // In version 1.0 the end of the connection is the end of the body.
        Served::finish(self.send(&format!("{line} HTTP/1.0{host}{headers}"), body))
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.request(&format!("GET {path}"), &[], b"")
    }

    pub(crate) fn chat(&self, body: &Value) -> Reply {
        self.request("POST /v1/chat/completions", &[], body.to_string().as_bytes())
    }

    /// Begins a request and hands its connection out once its answer has begun.
    pub(crate) fn begin(&self, body: &Value) -> TcpStream {
        let head = format!("POST /v1/chat/completions HTTP/1.0\r\nhost: {}", self.address);
        let mut stream = self.send(&head, body.to_string().as_bytes());
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        assert_eq!(byte, *b"H");
        stream
    }

    /// A number of `/metrics`.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = self.get("/metrics").body;
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {text}"))
    }

    /// Ends it as an operating system does; its exit code and its log.
    #[cfg(unix)]
    pub(crate) fn end(mut self) -> (i32, String) {
        let id = self.child.id().to_string();
        assert!(std::process::Command::new("kill").arg(&id).status().unwrap().success());
        let mut code = None;
        until("the server's end", || {
            code = self.child.try_wait().unwrap();
            code.is_some()
        });
        (code.unwrap().code().unwrap_or(-1), self.log.take().unwrap().join().unwrap())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A sample picture of the bundled model, as a path.
pub(crate) fn sample(n: u32) -> String {
    format!("{}/models/toybox/samples/toybox-{n}.png", env!("CARGO_MANIFEST_DIR"))
}

/// The same as a `data:` URL.
pub(crate) fn data_url(n: u32) -> String {
    format!("data:image/png;base64,{}", BASE64_STANDARD.encode(fs::read(sample(n)).unwrap()))
}

/// A user's message about a picture.
pub(crate) fn about(url: &str, text: &str) -> Value {
    json!({"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": text},
    ]})
}

/// A request of these messages, with more fields.
pub(crate) fn request(messages: &Value, more: &Value) -> Value {
    let mut body = json!({"model": "toybox", "messages": messages});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}
