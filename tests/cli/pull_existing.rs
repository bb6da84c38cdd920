//! `pull` into a folder that holds something: other files, links, another process. Nothing that it
//! did not write is replaced.

use super::server::{Reply, Server, hub, listing};
use crate::common::{mqt, text, until};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

const FILES: [(&str, &[u8]); 2] = [("config.json", b"{}"), ("vision_tower/config.json", b"{ }")];

fn pull(server: &Server, cache: &Path, out: &Path) -> crate::common::Mqt {
    let args = ["pull", "someone/model", "-o", &text(out), "--timeout", "0.6"];
    mqt(args).env("MQT_CACHE", &text(cache)).env("HF_ENDPOINT", &server.base())
}

#[test]
fn a_different_file_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, out) = (folder.path().join("cache"), folder.path().join("out"));
    let server = hub(listing(&FILES), &FILES);
    fs::create_dir_all(&out).unwrap();
    for other in ["[]", "{\"mine\": true}"] {
        fs::write(out.join("config.json"), other).unwrap();
        pull(&server, &cache, &out)
            .run()
            .refused(1, "config.json is there and is not what would be fetched");
        assert_eq!(fs::read_to_string(out.join("config.json")).unwrap(), other);
    }
    fs::write(out.join("config.json"), "{}").unwrap();
    pull(&server, &cache, &out).ok();
    pull(&server, &cache, &out).ok();
    // Ours, until somebody writes to it.
    let newer: [(&str, &[u8]); 2] = [("config.json", b"{\"new\": 1}"), FILES[1]];
    let update = Arc::new(Mutex::new(FILES));
    let shared = update.clone();
    let server = Server::scripted(move |request| {
        let files = *shared.lock().unwrap();
        match files
            .iter()
            .find(|(name, _)| request.path == format!("someone/model/resolve/main/{name}"))
        {
            Some((_, bytes)) => Reply::part(bytes, request.range),
            None => Reply::ok(listing(&files)),
        }
    });
    let out = folder.path().join("again");
    pull(&server, &cache, &out).ok();
    *update.lock().unwrap() = newer;
    pull(&server, &cache, &out).ok();
    assert_eq!(fs::read(out.join("config.json")).unwrap(), newer[0].1);
    fs::write(out.join("config.json"), "{\"old\": 1}").unwrap();
    pull(&server, &cache, &out).run().refused(1, "config.json is there");
    assert_eq!(fs::read_to_string(out.join("config.json")).unwrap(), "{\"old\": 1}");
}

#[test]
fn a_pack_does_not_overwrite_either() {
    let folder = tempfile::tempdir().unwrap();
    let toybox = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/toybox");
    let server = Server::start(&toybox, super::server::Trouble::None);
    for name in ["manifest.json", "tokenizer.json", "weights-00001.safetensors"] {
        let path = folder.path().join(name);
        fs::write(&path, "mine").unwrap();
        mqt(["pull", &server.url("manifest.json"), "-o", &text(folder.path())])
            .run()
            .refused(1, name);
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        assert!(
            !folder.path().join("tokenizer_config.json").exists(),
            "nothing is written before everything was looked at"
        );
        fs::remove_file(path).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn links_and_special_files_are_not_written_through() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let (cache, outside) = (folder.path().join("cache"), folder.path().join("outside"));
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("config.json"), "mine").unwrap();
    let server = hub(listing(&FILES), &FILES);
    let make = |name: &str, to: &Path| {
        let out = folder.path().join("out");
        let _ = fs::remove_dir_all(&out);
        fs::create_dir_all(out.join("x")).unwrap();
        symlink(to, out.join(name)).unwrap();
        out
    };
    let file = outside.join("config.json");
    for (name, to) in [
        ("vision_tower", &outside),
        ("config.json", &file),
        ("config.json", &folder.path().join("none")),
        (".mqt", &outside),
    ] {
        let out = make(name, to);
        pull(&server, &cache, &out).run().refused(1, "a link");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1, "{name}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    }
    let out = make("unused", &outside);
    fs::create_dir(out.join("config.json")).unwrap();
    pull(&server, &cache, &out).run().refused(1, "a folder");
    let out = make("unused", &outside);
    assert!(
        std::process::Command::new("mkfifo")
            .arg(out.join("config.json"))
            .status()
            .unwrap()
            .success()
    );
    pull(&server, &cache, &out).run().refused(1, "no plain file");
    // The folder itself may be a link: it was asked for.
    let out = folder.path().join("linked");
    symlink(&outside, &out).unwrap();
    fs::remove_file(&file).unwrap();
    pull(&server, &cache, &out).ok();
    assert_eq!(fs::read(&file).unwrap(), FILES[0].1);
}

#[test]
fn a_second_pull_waits_for_the_first_and_nothing_is_removed_under_it() {
    let folder = tempfile::tempdir().unwrap();
    let cache = text(folder.path());
    let go = Arc::new(AtomicBool::new(false));
    let gate = go.clone();
    let weights: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    let served = weights.clone();
    let server = Server::scripted(move |request| match request.path.as_str() {
        "someone/model/resolve/main/model.safetensors" => {
            until("the test", || gate.load(Ordering::SeqCst));
            Reply::part(&served, request.range)
        }
        _ => Reply::ok(listing(&[("model.safetensors", &served)])),
    });
    let run = |args: &[&str]| {
        mqt(args.iter().copied()).env("MQT_CACHE", &cache).env("HF_ENDPOINT", &server.base())
    };
    let model = folder.path().join("someone--model");
    let first = run(&["pull", "someone/model"]).start();
    until("the first request", || {
        server.log().iter().any(|request| request.path.ends_with("model.safetensors"))
    });
    let who = format!("process {}", first.id());
    let others: Vec<_> = [
        vec!["pull", "someone/model"],
        vec!["pull", "someone/model", "-o", model.to_str().unwrap()],
    ]
    .into_iter()
    .map(|args| (run(&args).start(), args))
    .collect();
    run(&["cache", "rm", "someone--model"]).run().refused(1, &who);
    run(&["cache", "verify", "someone--model"]).run().refused(1, &who);
    run(&["cache", "verify"]).run().refused(1, &who);
    // Both have asked for the listing; what they do then is to wait.
    until("the other listings", || {
        server.log().iter().filter(|request| request.path.starts_with("api/")).count() == 3
    });
    #[cfg(unix)]
    {
        let third = run(&["pull", "someone/model"]).start();
        until("its listing", || {
            server.log().iter().filter(|request| request.path.starts_with("api/")).count() == 4
        });
        crate::common::interrupt(&third);
        assert_eq!(crate::common::finish(third, "the third".into()).code, 130);
    }
    go.store(true, Ordering::SeqCst);
    assert_eq!(crate::common::finish(first, "the first".into()).code, 0);
    for (child, args) in others {
        let done = crate::common::finish(child, format!("{args:?}"));
        assert_eq!(done.code, 0, "{done:#?}");
    }
    assert!(fs::read(model.join("model.safetensors")).unwrap() == weights);
    let fetched =
        server.log().iter().filter(|request| request.path.ends_with("model.safetensors")).count();
    assert!(fetched <= 3, "once, not three times: {fetched}");
    run(&["cache", "verify"]).ok();
    run(&["cache", "rm", "someone--model"]).ok();
    assert!(!model.exists());
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_pull_whatever_it_waits_for() {
    let hangs = |path: &'static str, reply: Reply| {
        Server::scripted(move |request| match request.path.as_str() {
            found if found.ends_with(path) => reply.clone(),
            _ => Reply::ok(listing(&[("model.safetensors", &[0; 100])])),
        })
    };
    let patient = Reply::status("503 Busy").with("retry-after", "18446744073709551615");
    let replies = [
        ("tree/main", Reply::promising(10, b"[")),
        (".safetensors", Reply::promising(100, b"a")),
        ("tree/main", patient),
    ];
    for (path, reply) in replies {
        let folder = tempfile::tempdir().unwrap();
        let server = hangs(path, reply);
        let args = ["pull", "someone/model", "--timeout", "86400"];
        let child = mqt(args)
            .env("MQT_CACHE", &text(folder.path()))
            .env("HF_ENDPOINT", &server.base())
            .start();
        until("the request", || server.log().iter().any(|request| request.path.ends_with(path)));
        crate::common::interrupt(&child);
        let done = crate::common::finish(child, path.into());
        assert_eq!(done.code, 130, "{done:#?}");
        assert!(done.stderr.contains("what arrived is kept"), "{done:#?}");
    }
    // A file that is there is compared first: 64 GiB of zeros take minutes to hash.
    let folder = tempfile::tempdir().unwrap();
    let size = 64u64 << 30;
    let listing =
        serde_json::json!([{"type": "file", "path": "model.safetensors", "size": size, "lfs": {"oid": "0".repeat(64), "size": size}}]).to_string();
    let server = hub(listing, &[]);
    fs::File::create(folder.path().join("model.safetensors")).unwrap().set_len(size).unwrap();
    let child = pull(&server, folder.path(), folder.path()).start();
    until("the listing", || !server.log().is_empty());
    crate::common::interrupt(&child);
    assert_eq!(crate::common::finish(child, "hashing".into()).code, 130);
}
