//! `mqt serve` among strangers: who may ask, what a picture's address may lead to, what is too
//! much, and what happens to a request whose client or server leaves.

use super::served::{Served, about, data_url, request, sample};
use super::server::{Reply, Server, Trouble};
use crate::common::{mqt, text, until};
use mqt::cancel::Cancel;
use mqt::internals::synth::Synth;
use serde_json::{Value, json};
use std::fs;
use std::io::Read;
use std::path::Path;

const QUESTION: &str = "How many things are there?";

fn question(url: &str) -> Value {
    request(&json!([about(url, QUESTION)]), &json!({"image_tokens": 16}))
}

/// A model with random weights never ends an answer by itself: it fills its context.
fn rambler(folder: &Path) -> Vec<String> {
    Synth { shard_bytes: 50_000_000, ..Synth::new("toybox") }
        .write(folder, &Cancel::new(), &mut |_| {})
        .unwrap();
    ["serve", "--port", "0", "--adapter", "cpu", "--name", "rambler", "--model"]
        .map(str::to_owned)
        .into_iter()
        .chain([text(folder)])
        .collect()
}

/// A long answer of the rambler.
fn ramble(stream: bool) -> Value {
    let messages = json!([{"role": "user", "content": "Tell me everything."}]);
    request(&messages, &json!({"model": "rambler", "stream": stream, "max_tokens": 100_000}))
}

#[test]
fn what_there_is_beside_answers() {
    let served = Served::start(&[]);
    assert_eq!(served.get("/health").json(), json!({"status": "ok"}));
    let models = served.get("/v1/models").json();
    assert_eq!((&models["object"], &models["data"][0]["id"]), (&"list".into(), &"toybox".into()));
    assert_eq!(served.get("/v1/models/toybox").json(), models["data"][0]);
    served.get("/v1/models/a/b").refused(404, "model_not_found", Some("model"));
    served.get("/v1/nothing").refused(404, "unknown_url", None);
    served.get("/v1/chat/completions").refused(405, "method_not_allowed", None);
    let description = served.get("/openapi.json").json();
    assert!(description["paths"]["/v1/chat/completions"]["post"].is_object());
    served.chat(&question(&data_url(1)));
    assert_eq!(served.metric("mqt_answers_total"), 1);
    assert_eq!(served.metric("mqt_image_tokens_total"), 16);
    assert_eq!(served.metric("mqt_answer_seconds_count"), 1);
    assert_eq!(served.metric("mqt_requests_total{status=\"404\"}"), 2);
}

#[test]
fn only_who_may_ask_is_answered() {
    let served = Served::start(&["--api-key", "s3cret", "--allow-origin", "https://app.example"]);
    let body = question(&data_url(1)).to_string();
    let post = |headers: &[&str]| {
        let key = ["authorization: Bearer s3cret"];
        let headers: Vec<&str> = headers.iter().copied().chain(key).collect();
        served.request("POST /v1/chat/completions", &headers, body.as_bytes())
    };
    assert_eq!(post(&[]).status, 200);
    let own = format!("origin: http://{}", served.address);
    assert_eq!(post(&[&own]).status, 200);
    let allowed = post(&["origin: https://app.example"]);
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://app.example"));
    for headers in [&["origin: http://evil.example"][..], &["origin: null"]] {
        let reply = post(headers);
        reply.refused(403, "origin_not_allowed", None);
        assert_eq!(reply.header("access-control-allow-origin"), None);
    }
    for host in ["host: evil.example", "host: evil.example:8080", "host:"] {
        post(&[host]).refused(403, "host_not_allowed", None);
    }
    let preflight = |origin: &str| {
        served.request("OPTIONS /v1/chat/completions", &[&format!("origin: {origin}")], b"")
    };
    assert_eq!(preflight("https://app.example").status, 204);
    preflight("https://evil.example").refused(403, "origin_not_allowed", None);
    for headers in [&[][..], &["authorization: Bearer wrong"], &["authorization: s3cret"]] {
        for line in ["GET /v1/models", "GET /metrics", "POST /v1/chat/completions", "GET /nothing"]
        {
            let reply = served.request(line, headers, b"");
            reply.refused(401, "invalid_api_key", None);
            assert!(reply.header("www-authenticate").is_some());
        }
    }
    assert_eq!(served.get("/health").status, 200);
}

#[test]
fn a_pictures_address_leads_nowhere_by_itself() {
    let served = Served::start(&[]);
    for url in [
        "file:///etc/passwd",
        "http://127.0.0.1/a.png",
        "https://example.org/a.png",
        "ftp://host/a",
    ] {
        let reply = served.chat(&question(url));
        assert_eq!(
            (reply.status, &reply.json()["error"]["code"]),
            (400, &"unsupported_value".into())
        );
    }
    let pictures = tempfile::tempdir().unwrap();
    fs::copy(sample(1), pictures.path().join("a.png")).unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::copy(sample(1), outside.path().join("b.png")).unwrap();
    let folder = text(&pictures.path().canonicalize().unwrap());
    let served = Served::start(&["--allow-fetch", "--media-dir", &folder]);
    let wanted = served.chat(&question(&data_url(1))).text();
    assert_eq!(served.chat(&question(&format!("file://{folder}/a.png"))).text(), wanted);
    for url in [
        "file:///etc/passwd".to_owned(),
        format!(
            "file://{folder}/../{}/b.png",
            outside.path().file_name().unwrap().to_str().unwrap()
        ),
        format!("file://{}/b.png", text(outside.path())),
        format!("file://{folder}/none.png"),
    ] {
        let reply = served.chat(&question(&url)).json();
        let message = reply["error"]["message"].as_str().unwrap();
        assert!(message.ends_with("there is no such file below --media-dir"), "{url}: {message}");
    }
    // A server that is there, and whose address is private.
    let files = Server::start(pictures.path(), Trouble::None);
    for url in [
        files.url("a.png"),
        files.url("a.png").replace("127.0.0.1", "localhost"),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "http://[::1]/a.png".to_owned(),
    ] {
        let reply = served.chat(&question(&url)).json();
        let message = reply["error"]["message"].as_str().unwrap();
        assert!(message.contains("private network"), "{url}: {message}");
    }
    assert_eq!(files.log().len(), 0);
}

#[test]
fn pictures_are_fetched_from_hosts_that_are_named() {
    let picture = fs::read(sample(1)).unwrap();
    let server = Server::scripted(move |request| match request.path.trim_start_matches('/') {
        "a.png" => Reply::ok(picture.clone()),
        "to" => Reply::redirect("/a.png"),
        "away" => Reply::redirect("http://localhost:1/a.png"),
        "round" => Reply::redirect("/round"),
        "endless" => Reply::endless(&[0; 4096]),
        _ => Reply::status("404 Not Found"),
    });
    let served = Served::start(&["--allow-fetch=127.0.0.1", "--max-body", "0.2"]);
    let wanted = served.chat(&question(&data_url(1))).text();
    assert_eq!(served.chat(&question(&server.url("a.png"))).text(), wanted);
    assert_eq!(served.chat(&question(&server.url("to"))).text(), wanted);
    for (file, why) in [
        ("away", "none of those"),
        ("round", "redirects too often"),
        ("endless", "larger than 200000 bytes"),
        ("none", "answers 404"),
    ] {
        let reply = served.chat(&question(&server.url(file))).json();
        let message = reply["error"]["message"].as_str().unwrap();
        assert!(message.contains(why) && !message.contains("127.0.0.1"), "{file}: {message}");
    }
}

#[test]
fn a_body_of_60_megabytes_is_refused_and_read_to_its_end() {
    let served = Served::start(&[]);
    let body = vec![b' '; 60_000_000];
    let reply = served.request("POST /v1/chat/completions", &[], &body);
    let message = reply.refused(413, "body_too_large", None);
    assert!(message.contains("50000000"), "{message}");
    assert_eq!(served.get("/health").status, 200);
}

/// One is answered, one waits, the others are told to come again.
#[test]
fn a_full_queue_says_when_to_come_again() {
    let folder = tempfile::tempdir().unwrap();
    let line = rambler(folder.path());
    let served = Served::of(mqt(line.iter().map(String::as_str).chain(["--queue", "1"])));
    let replies = std::thread::scope(|scope| {
        let asks: Vec<_> = (0..8).map(|_| scope.spawn(|| served.chat(&ramble(false)))).collect();
        asks.into_iter().map(|ask| ask.join().unwrap()).collect::<Vec<_>>()
    });
    let (answered, refused): (Vec<_>, Vec<_>) =
        replies.iter().partition(|reply| reply.status == 200);
    assert!(!answered.is_empty() && !refused.is_empty(), "{replies:#?}");
    let first = answered[0].text();
    assert!(answered.iter().all(|reply| reply.text() == first));
    for reply in refused {
        reply.refused(429, "queue_full", None);
        let seconds: u64 = reply.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&seconds));
    }
}

#[test]
fn a_client_that_leaves_stops_its_answer() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::of(mqt(rambler(folder.path())));
    for (stream, before) in [(true, 0), (false, 1)] {
        // A machine that is busy elsewhere may be too slow to leave before the answer's end.
        until("an answer that was stopped", || {
            if stream {
                drop(served.begin(&ramble(true)));
            } else {
                let head =
                    format!("POST /v1/chat/completions HTTP/1.1\r\nhost: {}", served.address);
                let left = served.send(&head, ramble(false).to_string().as_bytes());
                until("its turn", || {
                    served.metric("mqt_busy") == 1 || served.metric("mqt_answers_total") > 0
                });
                drop(left);
            }
            until("an idle server", || served.metric("mqt_busy") == 0);
            served.metric("mqt_stopped_total") > before
        });
    }
}

#[cfg(unix)]
#[test]
fn the_end_leaves_time_to_answer_and_then_says_so() {
    // Nothing to do: it ends at once.
    assert_eq!(Served::start(&[]).end().0, 0);
    let folder = tempfile::tempdir().unwrap();
    let line = rambler(folder.path());
    for (grace, told) in [("60", "[DONE]"), ("0.001", "shutting_down")] {
        let served = Served::of(mqt(line.iter().map(String::as_str).chain(["--grace", grace])));
        let mut stream = served.begin(&ramble(true));
        let (code, log) = served.end();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        assert!(code == 0 && rest.ends_with("data: [DONE]\n\n"), "{grace}: {code} {log}");
        assert!(rest.contains(told), "{grace}: {}", &rest[rest.len().saturating_sub(500)..]);
    }
}

#[test]
fn where_it_listens_is_an_address_and_a_port() {
    for (flag, value, want) in
        [("--port", "99999", "0 to 65535"), ("--host", "here", "such as 127.0.0.1")]
    {
        mqt(["serve", flag, value]).run().refused(2, want);
    }
}

#[cfg(unix)]
#[test]
fn the_log_is_json_and_holds_no_secret() {
    let served = Served::start(&["--api-key", "s3cret-key"]);
    let key = ["authorization: Bearer s3cret-key"];
    let url = data_url(1);
    let messages =
        json!([{"role": "system", "content": "SYSTEM-TEXT"}, about(&url, "QUESTION-TEXT?")]);
    let more = json!({"user": "USER-TEXT", "stop": "STOP-TEXT"});
    let reply = served.request(
        "POST /v1/chat/completions",
        &key,
        request(&messages, &more).to_string().as_bytes(),
    );
    assert_eq!(reply.status, 200, "{reply:#?}");
    let wrong = request(&messages, &json!({"model": "MODEL-TEXT"})).to_string();
    served.request("POST /v1/chat/completions", &key, wrong.as_bytes()).refused(
        404,
        "model_not_found",
        Some("model"),
    );
    served.request("GET /PATH-TEXT?QUERY-TEXT", &["authorization: Bearer OTHER-TEXT"], b"");
    let answer = reply.text();
    let (code, log) = served.end();
    assert_eq!(code, 0, "{log}");
    let lines: Vec<Value> = log
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let events: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(events.iter().filter(|event| **event == "request").count(), 3, "{log}");
    assert!(events.starts_with(&["listening"]) && events.ends_with(&["ended"]), "{log}");
    let id = reply.header("x-request-id").unwrap();
    assert!(lines.iter().any(|line| line["id"] == id && line["status"] == 200), "{log}");
    assert!(!log.contains("-TEXT") && !log.contains("s3cret"), "{log}");
    assert!(!log.contains(&url[30..60]) && (answer.len() < 3 || !log.contains(&answer)), "{log}");
}
