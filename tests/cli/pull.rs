//! `pull` and `cache` against a server of our own that stalls, cuts, lies about lengths and
//! refuses.

use super::server::{Server, Trouble};
use crate::common::{Done, mqt, text};
use std::fs;
use std::path::Path;

fn toybox() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/toybox")
}

fn pull(server: &Server, out: &Path) -> Done {
    mqt(["pull", &server.url("manifest.json"), "-o", &text(out), "--timeout", "0.6"]).run()
}

#[test]
fn a_bad_server_costs_time_but_no_byte() {
    for trouble in [
        Trouble::None,
        Trouble::Stalls,
        Trouble::Cuts,
        Trouble::LiesAboutLength,
        Trouble::TooMany,
        Trouble::NoRanges,
    ] {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(&toybox(), trouble);
        let done = pull(&server, folder.path());
        assert_eq!(done.code, 0, "{trouble:?} {done:#?}");
        for file in [
            "manifest.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "weights-00001.safetensors",
        ] {
            assert!(
                fs::read(folder.path().join(file)).unwrap()
                    == fs::read(toybox().join(file)).unwrap(),
                "{trouble:?} {file}"
            );
        }
    }
}

#[test]
fn what_is_wrong_is_never_kept() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&toybox(), Trouble::Flips);
    pull(&server, folder.path()).refused(7, "SHA-256");
    assert!(!folder.path().join("weights-00001.safetensors").exists());
    assert!(!folder.path().join("manifest.json").exists());
    // A good server mends it.
    assert_eq!(pull(&Server::start(&toybox(), Trouble::None), folder.path()).code, 0);
    pull(&Server::start(&toybox(), Trouble::Broken), &folder.path().join("new")).refused(7, "500");
    pull(
        &Server::start(folder.path().parent().unwrap(), Trouble::None),
        &folder.path().join("new"),
    )
    .refused(7, "404");
}

#[test]
fn a_checkpoint_from_a_hub_and_the_cache() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = toybox().join("checkpoint");
    let server = Server::start(&checkpoint, Trouble::Cuts);
    let mut listing = Vec::new();
    for file in [
        "config.json",
        "model.safetensors",
        "tokenizer.model",
        "tokenizer_config.json",
        "vision_tower/config.json",
    ] {
        let bytes = fs::read(checkpoint.join(file)).unwrap();
        listing.push(serde_json::json!({"type": "file", "path": file, "size": bytes.len()}));
    }
    listing.push(serde_json::json!({"type": "file", "path": "pytorch_model.bin", "size": 5}));
    listing.push(serde_json::json!({"type": "directory", "path": "vision_tower"}));
    server.add("api/models/someone/toybox/tree/main", serde_json::to_vec(&listing).unwrap());
    let run = |args: &[&str]| {
        mqt(args.iter().copied())
            .env("MQT_CACHE", &text(folder.path()))
            .env("HF_ENDPOINT", &server.base())
    };
    let done = run(&["pull", "someone/toybox", "--timeout", "0.6"]).ok();
    let path = folder.path().join("someone--toybox");
    assert_eq!(done.stdout.trim(), text(&path));
    assert!(
        fs::read(path.join("model.safetensors")).unwrap()
            == fs::read(checkpoint.join("model.safetensors")).unwrap()
    );
    assert!(!path.join("pytorch_model.bin").exists());
    mqt(["inspect", &text(&path)]).ok();

    assert!(run(&["cache", "ls"]).ok().stdout.contains("someone--toybox"));
    assert!(run(&["cache", "verify"]).ok().stdout.contains("someone--toybox: 5 files"));
    fs::write(path.join("config.json"), "{}").unwrap();
    run(&["cache", "verify", "someone--toybox"]).run().refused(3, "config.json");
    run(&["pull", "someone/toybox", "--timeout", "0.6"]).ok();
    run(&["cache", "verify"]).ok();
    run(&["cache", "rm", "../someone--toybox"]).run().refused(3, "not in the cache");
    run(&["cache", "rm", "someone--toybox"]).ok();
    assert!(!path.exists());
    run(&["cache", "rm", "someone--toybox"]).run().refused(3, "not in the cache");
    run(&["pull", "someone"]).run().refused(2, "owner/name");
    // A listing that would write elsewhere.
    server.add(
        "api/models/someone/evil/tree/main",
        br#"[{"type": "file", "path": "../../evil.json", "size": 1}]"#.to_vec(),
    );
    run(&["pull", "someone/evil"]).run().refused(3, "../../evil.json");
}
