//! `pull` while the file changes on the server: what comes out is one version, whole, however the
//! server tells versions apart.

use super::server::{Reply, Request, Server, Trouble};
use crate::common::{Mqt, mqt, text};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Three ranges.
const BYTES: usize = 3_000_000;

/// How a server tells that a file changed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Tells {
    /// By an entity tag, and it honours `If-Range`.
    Etag,
    /// By an entity tag, and it answers every range.
    EtagOnly,
    /// By a weak entity tag.
    Weak,
    /// By a date, and it honours `If-Range`.
    Date,
    /// By nothing but another size.
    Size,
    /// By nothing at all.
    Nothing,
    /// By nothing, and it sends pieces only, even where the whole file is asked for.
    Pieces,
    /// It has no ranges either.
    NoRanges,
}

fn version(i: usize, tells: Tells) -> Vec<u8> {
    let bytes = BYTES + if matches!(tells, Tells::Size) { 100_000 * i } else { 0 };
    vec![u8::try_from(i + 1).unwrap(); bytes]
}

fn answer(request: &Request, i: usize, tells: Tells) -> Reply {
    let (etag, date) =
        (format!("\"version-{i}\""), format!("Mon, 0{} Jan 2024 00:00:00 GMT", i + 1));
    let condition = if tells == Tells::Date { &date } else { &etag };
    let honours = matches!(tells, Tells::Etag | Tells::Date);
    let stale = honours && request.if_range.as_ref().is_some_and(|said| said != condition);
    // At most 1 MB at a time: several answers make a file.
    let asked = request.range.or((tells == Tells::Pieces).then_some((0, usize::MAX)));
    let range = asked
        .map(|(first, last)| (first, last.min(first + 999_999)))
        .filter(|_| !stale && tells != Tells::NoRanges);
    let reply = Reply::part(&version(i, tells), range);
    match tells {
        Tells::Etag | Tells::EtagOnly => reply.with("etag", &etag),
        Tells::Weak => reply.with("etag", &format!("W/{etag}")),
        Tells::Date => reply.with("last-modified", &date),
        Tells::Size | Tells::Nothing | Tells::Pieces | Tells::NoRanges => reply,
    }
}

/// A hub whose file is of version `at(n)` for its n-th request, from 0; `None`: gone.
fn changing(
    tells: Tells,
    listed: bool,
    at: impl Fn(usize) -> Option<usize> + Send + Sync + 'static,
) -> Server {
    let n = AtomicUsize::new(0);
    Server::scripted(move |request| {
        if request.path.starts_with("api/") {
            let size = if listed { json!(BYTES) } else { json!(null) };
            return Reply::ok(
                json!([{"type": "file", "path": "model.safetensors", "size": size}]).to_string(),
            );
        }
        match at(n.fetch_add(1, Ordering::SeqCst)) {
            Some(i) => answer(request, i, tells),
            None => Reply::status("404 Not Found"),
        }
    })
}

fn pull(server: &Server, cache: &Path) -> Mqt {
    let args = ["pull", "someone/model", "--timeout", "0.6"];
    mqt(args).env("MQT_CACHE", &text(cache)).env("HF_ENDPOINT", &server.base())
}

fn is_version(cache: &Path, i: usize, tells: Tells) -> bool {
    fs::read(cache.join("someone--model/model.safetensors")).unwrap() == version(i, tells)
}

const ALL: [Tells; 7] = [
    Tells::Etag,
    Tells::EtagOnly,
    Tells::Weak,
    Tells::Date,
    Tells::Size,
    Tells::Nothing,
    Tells::NoRanges,
];

#[test]
fn a_file_that_changes_during_a_download_is_of_one_version() {
    for tells in ALL {
        let folder = tempfile::tempdir().unwrap();
        pull(&changing(tells, tells != Tells::Size, |n| Some(usize::from(n > 0))), folder.path())
            .ok();
        assert!(
            is_version(folder.path(), usize::from(tells != Tells::NoRanges), tells),
            "{tells:?}"
        );
    }
}

#[test]
fn a_file_that_changes_between_two_runs_is_of_one_version() {
    for tells in ALL {
        let folder = tempfile::tempdir().unwrap();
        let gone = Arc::new(AtomicUsize::new(0));
        let state = gone.clone();
        let server = changing(tells, tells != Tells::Size, move |n| {
            match (state.load(Ordering::SeqCst), n) {
                (0, 0) => Some(0),
                (0, _) => None,
                _ => Some(1),
            }
        });
        let first = pull(&server, folder.path()).run();
        gone.store(1, Ordering::SeqCst);
        if tells == Tells::NoRanges {
            assert_eq!(first.code, 0, "{first:#?}");
            continue;
        }
        first.refused(7, "404");
        pull(&server, folder.path()).ok();
        assert!(is_version(folder.path(), 1, tells), "{tells:?}");
    }
}

#[test]
fn a_file_that_stays_the_same_is_resumed() {
    for tells in [Tells::Etag, Tells::EtagOnly, Tells::Weak, Tells::Date] {
        let folder = tempfile::tempdir().unwrap();
        let server = changing(tells, true, |n| if n == 1 { None } else { Some(0) });
        pull(&server, folder.path()).run().refused(7, "404");
        pull(&server, folder.path()).ok();
        assert!(is_version(folder.path(), 0, tells), "{tells:?}");
        let starts = server
            .log()
            .iter()
            .filter(|request| request.range.is_some_and(|(first, _)| first == 0))
            .filter(|r| !r.path.starts_with("api/"))
            .count();
        assert_eq!(starts, 1, "{tells:?}");
    }
}

#[test]
fn a_file_that_never_stays_the_same_is_given_up() {
    for tells in [Tells::EtagOnly, Tells::Weak] {
        let folder = tempfile::tempdir().unwrap();
        pull(&changing(tells, true, |n| Some(n % 200)), folder.path())
            .run()
            .refused(7, "changes on the server");
        assert!(!folder.path().join("someone--model/model.safetensors").exists());
    }
}

#[test]
fn a_server_that_begins_again_and_again_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let listing = json!([{"type": "file", "path": "model.safetensors", "size": BYTES}]).to_string();
    // No ranges, and every answer is cut, sooner or later.
    let n = AtomicUsize::new(0);
    let server = Server::scripted(move |request| match request.path.starts_with("api/") {
        true => Reply::ok(listing.clone()),
        false => {
            Reply::cut(BYTES as u64, &vec![7; 1000 + 1000 * (n.fetch_add(1, Ordering::SeqCst) % 2)])
        }
    });
    pull(&server, folder.path()).run().refused(7, "tried 6 times");
}

#[test]
fn a_file_without_a_mark_is_never_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let server = changing(Tells::Nothing, true, |n| if n == 1 { None } else { Some(0) });
    pull(&server, folder.path()).run().refused(7, "404");
    pull(&server, folder.path()).ok();
    assert!(is_version(folder.path(), 0, Tells::Nothing));
    let files = server.log().into_iter().filter(|request| !request.path.starts_with("api/"));
    let resumed = files.filter(|request| request.range.is_some_and(|(first, _)| first > 0)).count();
    assert_eq!(resumed, 0);
}

#[test]
fn pieces_without_a_mark_are_not_put_together() {
    for listed in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        pull(&changing(Tells::Pieces, listed, |n| Some(usize::from(n > 0))), folder.path())
            .run()
            .refused(7, "only in pieces and does not mark their version");
        assert!(!folder.path().join("someone--model/model.safetensors").exists());
    }
}

/// Answers of one file that come from two servers, of which one says no version.
#[test]
fn a_mark_that_is_missing_later_is_not_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let n = AtomicUsize::new(0);
    let listing = json!([{"type": "file", "path": "model.safetensors", "size": BYTES}]).to_string();
    let server = Server::scripted(move |request| match request.path.starts_with("api/") {
        true => Reply::ok(listing.clone()),
        false => match n.fetch_add(1, Ordering::SeqCst) {
            0 => answer(request, 0, Tells::EtagOnly),
            _ => answer(request, 1, Tells::Nothing),
        },
    });
    pull(&server, folder.path()).ok();
    assert!(is_version(folder.path(), 1, Tells::Nothing));
}

#[test]
fn an_answer_without_a_mark_may_take_longer_than_the_timeout() {
    let folder = tempfile::tempdir().unwrap();
    let root = tempfile::tempdir().unwrap();
    // Two seconds at this rate, and the timeout is 0.6.
    fs::write(root.path().join("model.safetensors"), version(0, Tells::Nothing)).unwrap();
    let server = Server::start(root.path(), Trouble::Slow(1_500_000));
    let listing = json!([{"type": "file", "path": "model.safetensors", "size": BYTES}]).to_string();
    server.add("api/models/someone/model/tree/main", listing.into_bytes());
    pull(&server, folder.path()).ok();
    assert!(is_version(folder.path(), 0, Tells::Nothing));
}

#[test]
fn an_answer_without_a_mark_that_is_cut_each_time_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let listing = json!([{"type": "file", "path": "model.safetensors", "size": BYTES}]).to_string();
    // Each time it gets a little further.
    let n = AtomicUsize::new(1);
    let server = Server::scripted(move |request| match request.path.starts_with("api/") {
        true => Reply::ok(listing.clone()),
        false => Reply::cut(BYTES as u64, &vec![7; 1000 * n.fetch_add(1, Ordering::SeqCst)]),
    });
    pull(&server, folder.path()).run().refused(7, "tried 6 times. The server does not mark");
}
