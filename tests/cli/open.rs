//! `mqt serve --open`: the page, and the calls that it makes of the program.

use super::served::{Reply, Served, sample};
use crate::common::mqt;
use serde_json::{Value, json};
use std::fs;
use tempfile::TempDir;

/// A server with a page of two files.
fn served(folder: &TempDir) -> Served {
    let page = folder.path().join("page");
    fs::create_dir_all(page.join("assets")).unwrap();
    fs::write(page.join("index.html"), "<html><head></head>a page</html>").unwrap();
    fs::write(page.join("assets/a-1.js"), "1").unwrap();
    fs::write(folder.path().join("secret.txt"), "secret").unwrap();
    Served::start(&[&format!("--page={}", page.display())])
}

/// A call of the page: `path` below `/page/`.
fn call(served: &Served, path: &str, args: &Value, files: &[&[u8]]) -> Reply {
    let sizes: Vec<usize> = files.iter().map(|file| file.len()).collect();
    let head = json!({"args": args, "sizes": sizes}).to_string();
    let length = u32::try_from(head.len()).unwrap().to_le_bytes();
    let body = [&length, head.as_bytes(), &files.concat()].concat();
    let line = format!("POST /page/{path}");
    served.request(&line, &["content-type: application/octet-stream"], &body)
}

/// The lines of an answer, and the last one's value or error.
fn lines(reply: &Reply) -> (Vec<Value>, Value) {
    assert_eq!(reply.status, 200, "{reply:#?}");
    let mut lines: Vec<Value> =
        reply.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.pop().unwrap_or_else(|| panic!("{reply:#?}"));
    (lines, last)
}

#[test]
fn without_a_page_the_command_that_builds_one_is_named() {
    if cfg!(feature = "page") {
        return;
    }
    for flag in ["--open", "--page"] {
        mqt(["serve", "--port", "0", flag]).run().refused(2, "`cargo xtask web` and then");
    }
    let folder = TempDir::new().unwrap();
    let nothing = format!("--page={}", folder.path().display());
    mqt(["serve", "--port", "0", &nothing]).run().refused(2, "there is no built page");
}

#[test]
fn the_page_is_shown_and_nothing_beside_it() {
    let folder = TempDir::new().unwrap();
    let served = served(&folder);
    let page = served.get("/");
    assert!(page.body.contains("name=\"mqt-server\" content=\"page/\" data-model=\"toybox\""));
    assert_eq!(page.header("content-security-policy"), Some("frame-ancestors 'none'"));
    assert_eq!(served.get("/assets/a-1.js").body, "1");
    for path in ["/secret.txt", "/../secret.txt", "/assets/../../secret.txt", "/assets/"] {
        assert_eq!(served.get(path).status, 404, "{path}");
    }
    // Another page's script may ask for nothing, and no form can.
    let foreign = served.request(
        "POST /page/tabs",
        &["origin: https://elsewhere.example", "content-type: application/octet-stream"],
        b"",
    );
    foreign.refused(403, "origin_not_allowed", None);
    let form = served.request("POST /page/tabs", &["content-type: text/plain"], b"");
    form.refused(415, "invalid_body", None);
}

#[test]
fn a_tab_looks_asks_and_leaves() {
    let folder = TempDir::new().unwrap();
    let served = served(&folder);
    let (_, opened) = lines(&call(&served, "tabs", &json!([{"context": 1024}]), &[]));
    let tab = opened["value"]["tab"].as_str().unwrap();
    assert_eq!(opened["value"]["loaded"]["name"], "toybox");
    assert_eq!(opened["value"]["loaded"]["context"], 1024);
    let path = |name: &str| format!("tabs/{tab}/{name}/0");
    let picture = fs::read(sample(1)).unwrap();
    let (_, seen) = lines(&call(&served, &path("look"), &json!([]), &[&picture]));
    assert_eq!(seen["value"]["offer"]["max"], 64, "{seen}");
    let looked_at = || lines(&call(&served, &path("lookedAt"), &json!([]), &[])).1;
    assert_eq!(looked_at()["error"]["code"], "invalid-setting", "nothing was answered");
    let question = "How many things are there?";
    let settings = json!({"imageTokens": 16});
    let (said, answer) = lines(&call(&served, &path("ask"), &json!([question, settings]), &[]));
    let wanted = mqt(["ask", "--adapter", "cpu", &sample(1), question, "-m", "16", "--json"]);
    let wanted = wanted.ok().record();
    assert_eq!(answer["value"]["answer"], wanted["answer"]);
    assert_eq!(answer["value"]["tokenIds"], wanted["token_ids"]);
    assert!(said.iter().any(|line| line["text"].is_string()), "{said:?}");
    let maps = looked_at()["value"].take();
    let weights = maps[0]["weights"].as_array().unwrap();
    let sum: f64 = weights.iter().map(|weight| weight.as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-4 && maps.as_array().unwrap().len() == 1, "{maps}");
    assert_eq!((&maps[0]["columns"], weights.len()), (&8.into(), 64), "{maps}");
    // What cannot be done is said with the package's codes, and the tab goes on.
    for (name, args, code) in [
        ("ask", json!([question, {"imageTokens": 1000}]), "budget-out-of-range"),
        ("ask", json!([question, {"colour": 1}]), "invalid-setting"),
        ("look", json!([]), "invalid-setting"),
        ("fly", json!([]), "invalid-setting"),
        ("heat", json!([16, 0.5]), "invalid-setting"),
    ] {
        let (_, last) = lines(&call(&served, &path(name), &args, &[]));
        assert_eq!(last["error"]["code"], code, "{name}: {last}");
    }
    let (_, last) = lines(&call(&served, &path("look"), &json!([]), &[b"no picture"]));
    assert_eq!(last["error"]["code"], "image-unreadable");
    let (_, last) = lines(&call(&served, &path("dispose"), &json!([]), &[]));
    assert_eq!(last["value"], Value::Null);
    // Its session is gone: the page loads anew.
    let (_, last) = lines(&call(&served, &path("pictures"), &json!([]), &[]));
    assert_eq!(last["error"]["code"], "device-lost");
}
