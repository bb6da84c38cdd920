//! `pull`: listings of several pages, and what is said around them.

use super::server::{Reply, Server};
use crate::common::{Mqt, mqt, text};
use serde_json::json;
use std::path::Path;

fn pull(server: &Server, cache: &Path) -> Mqt {
    let args = ["pull", "someone/model", "--timeout", "0.6"];
    mqt(args).env("MQT_CACHE", &text(cache)).env("HF_ENDPOINT", &server.base())
}

/// A hub that lists one file on each of `pages` pages; `next` is what leads to page `n`.
fn paged(pages: usize, next: impl Fn(usize) -> String + Send + Sync + 'static) -> Server {
    Server::scripted(move |request| {
        let Some(name) = request.path.strip_prefix("someone/model/resolve/main/") else {
            let page = request.query.split("cursor=").nth(1).map_or(0, |n| n.parse().unwrap());
            // Pages keep the rest of the query.
            assert!(request.query.starts_with("recursive=true"), "{}", request.query);
            let name = format!("{page}.json");
            let listing = json!([{"type": "file", "path": name, "size": name.len()}]).to_string();
            let link = format!("<{}>; rel=\"next\"", next(page + 1));
            let reply = Reply::ok(listing);
            return if page + 1 < pages { reply.with("link", &link) } else { reply };
        };
        Reply::part(name.as_bytes(), request.range)
    })
}

const HERE: &str = "/api/models/someone/model/tree/main?recursive=true&cursor=";

#[test]
fn a_listing_is_read_to_its_last_page() {
    let folder = tempfile::tempdir().unwrap();
    pull(&paged(3, |n| format!("{HERE}{n}")), folder.path()).ok();
    for n in 0..3 {
        assert!(folder.path().join(format!("someone--model/{n}.json")).is_file(), "{n}");
    }
}

#[test]
fn a_listing_does_not_lead_to_another_server_and_has_an_end() {
    let folder = tempfile::tempdir().unwrap();
    let other = paged(2, |n| format!("{HERE}{n}"));
    let elsewhere = other.url(&HERE[1..]);
    pull(&paged(2, move |n| format!("{elsewhere}{n}")), folder.path())
        .run()
        .refused(7, "continues on another server");
    assert!(other.log().is_empty());
    for next in ["http://", "ftp://host/", "::"] {
        pull(&paged(2, move |_| next.into()), folder.path())
            .run()
            .refused(7, "continues on another");
    }
    let endless = paged(usize::MAX, |n| format!("{HERE}{n}"));
    pull(&endless, folder.path()).run().refused(7, "more than 100 pages");
    assert!(endless.log().len() <= 100);
}

#[test]
fn a_token_that_is_none_is_named_and_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let server = paged(1, |_| String::new());
    for token in ["s3cret\u{1b}x", "s3cret\nx", "s3cret x", "s3crät"] {
        let done = pull(&server, folder.path()).env("HF_TOKEN", token).run();
        done.refused(2, "HF_TOKEN holds a character");
        assert!(!done.stderr.contains("s3cr"), "{done:#?}");
    }
    assert!(server.log().is_empty());
    // Blank space around it comes from files.
    pull(&server, folder.path()).env("HF_TOKEN", " s3cret\r\n").ok();
    assert_eq!(server.log()[0].authorization.as_deref(), Some("Bearer s3cret"));
}

#[test]
fn a_folder_is_not_called_as_stdout_is() {
    let folder = tempfile::tempdir().unwrap();
    mqt(["pull", "someone/model", "-o", "-"]).folder(folder.path()).run().refused(2, "./-");
}
