//! `pull` against servers that want more than to be asked: to write elsewhere, to be believed, to
//! be told secrets, to have no end.

use super::server::{Reply, Server, hub, listing};
use crate::common::{Done, Mqt, mqt, text};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const CONFIG: &[u8] = b"{}";

/// `mqt`, with this cache and this hub.
fn run(cache: &Path, server: &Server, args: &[&str]) -> Mqt {
    mqt(args.iter().copied()).env("MQT_CACHE", &text(cache)).env("HF_ENDPOINT", &server.base())
}

fn pull_model(cache: &Path, server: &Server) -> Done {
    run(cache, server, &["pull", "someone/model", "--timeout", "0.6"]).run()
}

/// A pull of a model whose listing is `listing` ends with this code and mentions `hint`; nothing
/// has its name then.
fn refused(listing: impl Into<Vec<u8>>, code: i32, hint: &str) {
    let folder = tempfile::tempdir().unwrap();
    pull_model(folder.path(), &hub(listing, &[])).refused(code, hint);
    assert!(!folder.path().join("someone--model/config.json").exists());
}

/// The bundled pack's manifest, changed.
fn manifest(change: impl FnOnce(&mut Value)) -> Server {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/toybox/manifest.json");
    let mut json: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut json);
    Server::scripted(move |request| match request.path.as_str() {
        "manifest.json" => Reply::ok(json.to_string()),
        _ => Reply::ok(CONFIG),
    })
}

#[test]
fn a_note_from_a_server_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let victim = folder.path().join("victim.txt");
    fs::write(&victim, "mine").unwrap();
    let note = json!([{"file": victim, "bytes": 1, "sha256": "0000"}]).to_string();
    let lines = format!(
        "{}\n{}\n",
        json!({"file": {"file": victim, "bytes": 1, "modified": 0, "sha256": "00", "mark": null}}),
        json!({"finished": true})
    );
    let names = [
        ".mqt-files.json",
        ".notes/someone--model.json",
        ".mqt/x.json",
        "../.notes/someone--model.jsonl",
        "config.json",
    ];
    let files: Vec<_> = names
        .iter()
        .map(|name| {
            (*name, if name.contains("jsonl") { lines.as_bytes() } else { note.as_bytes() })
        })
        .collect();
    for (unlisted, served) in [(Some("gone.json"), &files[..]), (None, &files[..3])] {
        let mut all = served.to_vec();
        all.retain(|(name, _)| !name.starts_with(".."));
        all.extend(unlisted.map(|name| (name, &b"larger than all others"[..])));
        let cache = folder.path().join(if unlisted.is_some() { "a" } else { "b" });
        let server = hub(listing(&all), served);
        assert_ne!(pull_model(&cache, &server).code, 0);
        // As an earlier version would have left it.
        let model = cache.join("someone--model");
        fs::create_dir_all(&model).unwrap();
        fs::write(model.join(".mqt-files.json"), &note).unwrap();
        assert!(run(&cache, &server, &["cache", "ls"]).ok().stdout.contains("unfinished"));
        run(&cache, &server, &["cache", "verify"]).run().refused(3, "not finished");
        assert_eq!(fs::read(&victim).unwrap(), b"mine");
    }
}

#[test]
fn files_stay_in_the_folder_and_have_plain_names() {
    let bad = [
        "../evil.json",
        "/tmp/evil.json",
        "a/../evil.json",
        "a\\evil.json",
        "nul.json",
        "a//b.json",
        "verified.json",
        "kernels.json",
        "a\nb.json",
    ];
    for name in bad {
        refused(listing(&[("config.json", CONFIG), (name, CONFIG)]), 3, "names a file");
    }
    refused(listing(&[("config.json", CONFIG), ("config.json", CONFIG)]), 3, "twice");
    refused(listing(&[("config.json", CONFIG), ("Config.json", CONFIG)]), 3, "twice");
    refused(listing(&[("a.json", CONFIG), ("a.json/config.json", CONFIG)]), 3, "folder");
    refused(listing(&[(&format!("{}config.json", "a/".repeat(1000)), CONFIG)]), 3, "longer");
    for name in [
        "../x",
        ".git/hooks/post-commit",
        ".bashrc",
        ".mqt-files.json",
        "sub/x.json",
        "verified.json",
        "convert.journal",
        "manifest.json",
        "con",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let server = manifest(|json| {
            json["files"]
                .as_array_mut()
                .unwrap()
                .push(json!({"file": name, "bytes": 2, "sha256": "0".repeat(64)}))
        });
        mqt(["pull", &server.url("manifest.json"), "-o", &text(&folder.path().join("out"))])
            .run()
            .refused(3, "names");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{name}");
    }
}

#[test]
fn hidden_files_of_a_listing_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        ("config.json", CONFIG),
        (".vscode/settings.json", CONFIG),
        (".mqt-files.json", CONFIG),
        ("a b#1.json", CONFIG),
    ];
    let done = pull_model(
        folder.path(),
        &hub(listing(&files), &[("config.json", CONFIG), ("a%20b%231.json", CONFIG)]),
    );
    assert_eq!(done.code, 0, "{done:#?}");
    assert!(done.stderr.contains("2 hidden files"), "{done:#?}");
    let model = folder.path().join("someone--model");
    assert!(!model.join(".vscode").exists() && !model.join(".mqt-files.json").exists());
    assert_eq!(fs::read(model.join("a b#1.json")).unwrap(), CONFIG);
}

#[test]
fn what_a_server_says_about_sizes_and_sums_is_checked() {
    let one = |entry: Value| {
        json!([{"type": "file", "path": "config.json", "size": 2}, entry]).to_string()
    };
    let weights = |size: Value, lfs: Value| {
        one(json!({"type": "file", "path": "model.safetensors", "size": size, "lfs": lfs}))
    };
    for size in [json!(-1), json!(1.5), json!("5"), json!(1e30)] {
        refused(weights(size.clone(), Value::Null), 3, "a whole number from 0 on");
        refused(
            weights(json!(5), json!({"oid": "0".repeat(64), "size": size})),
            3,
            "a whole number from 0 on",
        );
    }
    refused(weights(json!(u64::MAX), Value::Null), 3, "more than");
    refused(weights(json!(5), json!({"oid": "0".repeat(64), "size": 6})), 3, "two sizes");
    refused(weights(json!(5), json!({"oid": "../../etc", "size": 5})), 3, "hex");
    refused(
        one(json!({"type": "file", "path": "tokenizer.json", "size": 1u64 << 40})),
        3,
        "more than",
    );
    for (field, value) in [
        ("bytes", json!(u64::MAX)),
        ("bytes", json!(-1)),
        ("sha256", json!("zz")),
        ("sha256", json!("A".repeat(64))),
    ] {
        let server = manifest(|json| json["shards"][0][field] = value.clone());
        mqt(["pull", &server.url("manifest.json"), "-o", "never"])
            .run()
            .refused(3, "is not usable");
    }
    // The listing says 2 bytes, the server has 7.
    let folder = tempfile::tempdir().unwrap();
    pull_model(
        folder.path(),
        &hub(listing(&[("config.json", CONFIG)]), &[("config.json", b"{     }")]),
    )
    .refused(7, "should have 2 bytes");
}

#[test]
fn an_answer_that_is_too_large_or_no_listing_is_not_read() {
    let many: Vec<Value> =
        (0..20_000).map(|i| json!({"type": "file", "path": format!("{i}.json")})).collect();
    refused(Value::from(many).to_string(), 3, "more than 10000");
    for nested in [
        "",
        r#"[{"type": "file", "path": "config.json", "more": "#,
        r#"[{"type": "file", "path": "#,
    ] {
        refused(format!("{nested}{}", "[".repeat(100_000)), 3, "is not usable");
    }
    refused("<html>log in</html>", 7, "a web page where JSON should be");
    refused("\n <!doctype html>", 7, "a web page where JSON should be");
    refused(r#"[["file", "a.json", 1, null, null]]"#, 3, "in entry 1, it holds no JSON object");
    refused("{}", 3, "is not usable");
    refused(r#"[{"type": 5, "path": "a"}]"#, 3, "is not usable");
    let answers = [
        ("larger than", Reply::promising(600 << 20, b"[")),
        ("larger than", Reply::endless(&[b' '; 1 << 16])),
    ];
    let zipped = ("gzip", Reply::ok("[]").with("content-encoding", "gzip"));
    let large = ("too large", Reply::ok("[]").with("x-large", &"x".repeat(200_000)));
    for (hint, reply) in answers.into_iter().chain([zipped, large]) {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::scripted(move |_| reply.clone());
        pull_model(folder.path(), &server).refused(7, hint);
        mqt(["pull", &server.url("manifest.json"), "-o", "never", "--timeout", "0.6"])
            .run()
            .refused(7, hint);
    }
}

#[test]
fn a_file_without_a_size_has_an_end() {
    for (name, hint) in
        [("config.json", "more than"), ("model.safetensors", "does not say how large")]
    {
        let folder = tempfile::tempdir().unwrap();
        let listing = json!([{"type": "file", "path": name}]).to_string();
        let server = Server::scripted(move |request| match request.path.starts_with("api/") {
            true => Reply::ok(listing.clone()),
            false => Reply::endless(&[b' '; 1 << 20]),
        });
        pull_model(folder.path(), &server).refused(7, hint);
        assert!(!folder.path().join("someone--model").join(name).exists());
    }
}

#[test]
fn a_token_is_told_to_one_server_only() {
    let folder = tempfile::tempdir().unwrap();
    let files = [("config.json", CONFIG)];
    let other = hub("", &files);
    let elsewhere = other.base();
    let server = Server::scripted(move |request| match request.path.as_str() {
        "api/models/someone/model/tree/main" => Reply::redirect("/moved"),
        "moved" => Reply::ok(listing(&[("config.json", CONFIG)])),
        path => Reply::redirect(&format!("{elsewhere}/{path}")),
    });
    run(folder.path(), &server, &["pull", "someone/model"]).env("HF_TOKEN", "s3cret").ok();
    assert!(
        server
            .log()
            .iter()
            .all(|request| request.authorization.as_deref() == Some("Bearer s3cret")),
        "{:?}",
        server.log()
    );
    assert!(server.log().iter().any(|request| request.path == "moved"));
    assert!(!other.log().is_empty());
    assert!(other.log().iter().all(|request| request.authorization.is_none()), "{:?}", other.log());
}

#[test]
fn redirects_end_and_stay_on_the_network() {
    for (to, hint) in [
        ("/again", "more than 10"),
        ("file:///etc/passwd", "no http"),
        ("ftp://x/y", "no http"),
        ("http://[", "no http"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let to = to.to_owned();
        pull_model(folder.path(), &Server::scripted(move |_| Reply::redirect(&to)))
            .refused(7, hint);
    }
}

#[test]
fn a_password_in_an_address_is_sent_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let server = hub("", &[]);
    let address =
        server.url("manifest.json?signature=s3cret").replace("http://", "http://me:s3cret@");
    let done = mqt(["pull", &address]).run();
    done.refused(7, "404");
    assert!(!done.stderr.contains("s3cret"), "{done:#?}");
    assert!(
        server
            .log()
            .iter()
            .all(|request| request.authorization.as_deref() == Some("Basic bWU6czNjcmV0"))
    );
    let endpoint = server.base().replace("http://", "http://me:s3cret@");
    for (model, code) in [("someone/model", 3), ("someone/none", 7)] {
        let done = mqt(["pull", model])
            .env("HF_ENDPOINT", &endpoint)
            .env("MQT_CACHE", &text(folder.path()))
            .run();
        done.refused(code, "/api/models/");
        assert!(!done.stderr.contains("s3cret"), "{done:#?}");
    }
    for model in [
        "ftp://me:s3cret@host/manifest.json",
        "http://me:s3cret@[/manifest.json",
        "me:s3cret@host/manifest.json",
    ] {
        let done = mqt(["pull", model]).run();
        done.refused(2, "MODEL is");
        assert!(!done.stderr.contains("s3cret"), "{done:#?}");
    }
    let done = mqt(["pull", "someone/model"]).env("HF_ENDPOINT", "htp://me:s3cret@host").run();
    done.refused(2, "HF_ENDPOINT");
    assert!(!done.stderr.contains("s3cret"), "{done:#?}");
}

#[test]
fn a_timeout_is_a_number_of_seconds() {
    for timeout in ["1e300", "inf", "nan", "0", "-1", "86401", "x"] {
        mqt(["pull", "someone/model", "--timeout", timeout])
            .run()
            .refused(2, "a number of seconds");
    }
}

#[test]
fn a_model_is_not_replaced_by_another_of_the_same_name() {
    let folder = tempfile::tempdir().unwrap();
    let files = [("config.json", CONFIG)];
    let (first, second) = (hub(listing(&files), &files), hub(listing(&files), &files));
    assert_eq!(pull_model(folder.path(), &first).code, 0);
    pull_model(folder.path(), &second).refused(1, "holds a model from");
    run(folder.path(), &second, &["cache", "rm", "someone--model"]).ok();
    assert_eq!(pull_model(folder.path(), &second).code, 0);
}
