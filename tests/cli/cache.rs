//! `cache` where its folder holds what no pull has put there: loops of links, links that lead out,
//! pipes.
#![cfg(unix)]

use super::server::{Server, hub, listing};
use crate::common::{Mqt, mqt, text};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

const FILES: [(&str, &[u8]); 2] = [("config.json", b"{}"), ("vision_tower/config.json", b"{ }")];

fn cache(folder: &Path, args: &[&str]) -> Mqt {
    mqt(["cache"].iter().chain(args).copied()).env("MQT_CACHE", &text(folder))
}

/// A cache with one model.
fn pulled(folder: &Path) -> (Server, PathBuf) {
    let server = hub(listing(&FILES), &FILES);
    mqt(["pull", "someone/model"])
        .env("MQT_CACHE", &text(folder))
        .env("HF_ENDPOINT", &server.base())
        .ok();
    (server, folder.join("someone--model"))
}

#[test]
fn links_and_pipes_in_the_cache_do_not_hold_it_up() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, model) = pulled(folder.path());
    for name in ["a", "b", "c"] {
        symlink("..", model.join(name)).unwrap();
        symlink(".", folder.path().join(format!("self-{name}"))).unwrap();
    }
    symlink("/dev/zero", model.join("zero.json")).unwrap();
    symlink("lost", folder.path().join("lost")).unwrap();
    assert!(
        std::process::Command::new("mkfifo")
            .arg(model.join("pipe.json"))
            .arg(folder.path().join("pipe"))
            .status()
            .unwrap()
            .success()
    );
    let listed = cache(folder.path(), &["ls"]).ok().stdout;
    assert!(
        listed.contains("someone--model")
            && listed.contains("0.00 GB")
            && listed.contains("unfinished"),
        "{listed}"
    );
    assert!(
        !listed.contains("lost") && !listed.contains("pipe") && !listed.contains(".notes"),
        "{listed}"
    );
    cache(folder.path(), &["verify", "someone--model"]).ok();
    cache(folder.path(), &["rm", "someone--model"]).ok();
    assert!(!model.exists());
}

#[test]
fn a_link_is_listed_and_not_walked_through() {
    let folder = tempfile::tempdir().unwrap();
    let (root, elsewhere) = (folder.path().join("cache"), folder.path().join("elsewhere"));
    fs::create_dir_all(&root).unwrap();
    fs::create_dir_all(&elsewhere).unwrap();
    fs::File::create(elsewhere.join("large")).unwrap().set_len(7_000_000_000).unwrap();
    symlink(&elsewhere, root.join("linked")).unwrap();
    let listed = cache(&root, &["ls"]).ok().stdout;
    assert!(listed.contains("linked") && listed.contains("a link"), "{listed}");
    assert!(!listed.contains("GB"), "{listed}");
    // The same folder in its own place has a size.
    fs::remove_file(root.join("linked")).unwrap();
    fs::rename(&elsewhere, root.join("linked")).unwrap();
    assert!(cache(&root, &["ls"]).ok().stdout.contains("7.00 GB"));
}

#[test]
fn removing_a_link_leaves_what_it_leads_to() {
    let folder = tempfile::tempdir().unwrap();
    let (root, elsewhere) = (folder.path().join("cache"), folder.path().join("elsewhere"));
    fs::create_dir_all(&root).unwrap();
    fs::create_dir_all(&elsewhere).unwrap();
    fs::write(elsewhere.join("config.json"), "mine").unwrap();
    symlink(&elsewhere, root.join("linked")).unwrap();
    cache(&root, &["rm", "linked"]).ok();
    assert!(!root.join("linked").exists());
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(elsewhere.join("config.json")).unwrap(), "mine");
}

#[test]
fn verify_removes_only_plain_files_inside_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let outside = folder.path().join("outside");
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("config.json"), "mine").unwrap();
    let root = folder.path().join("cache");
    let (_server, model) = pulled(&root);
    fs::remove_dir_all(model.join("vision_tower")).unwrap();
    symlink(&outside, model.join("vision_tower")).unwrap();
    cache(&root, &["verify"]).run().refused(3, "a link");
    fs::remove_file(model.join("vision_tower")).unwrap();
    cache(&root, &["verify"]).run().refused(3, "missing");
    for to in [outside.join("config.json"), PathBuf::from("/dev/zero")] {
        let _ = fs::remove_file(model.join("config.json"));
        symlink(to, model.join("config.json")).unwrap();
        cache(&root, &["verify"]).run().refused(3, "a link");
    }
    // A note that a person or an older version has written.
    let note = root.join(".notes/someone--model.jsonl");
    let victim = outside.join("config.json");
    for file in [text(&victim), "../../outside/config.json".into(), "/dev/zero".into()] {
        let line = serde_json::json!({"file": {"file": file, "bytes": 1, "modified": 0, "sha256": "00", "mark": null}});
        fs::write(&note, format!("{line}\n{{\"finished\":true}}\n")).unwrap();
        cache(&root, &["verify"]).run().refused(3, "its notes do not name the files");
        assert!(cache(&root, &["ls"]).ok().stdout.contains("unfinished"));
    }
    // Beside one that is right.
    let good = |name: &str, bytes: u64| serde_json::json!({"file": {"file": name, "bytes": bytes, "modified": 0, "sha256": "00", "mark": null}});
    let lines = [good("config.json", 2), good("../x", 1)].map(|line| format!("{line}\n")).concat();
    for lines in [String::new(), lines] {
        fs::write(&note, format!("{lines}{{\"finished\":true}}\n")).unwrap();
        cache(&root, &["verify"]).run().refused(3, "its notes do not name the files");
    }
    assert_eq!(fs::read_to_string(victim).unwrap(), "mine");
}

#[test]
fn names_are_names_of_models() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, model) = pulled(folder.path());
    for name in
        ["", ".", "..", "../x", "someone--model/vision_tower", "/etc", ".notes", "a\\b", "none"]
    {
        for command in ["rm", "verify"] {
            cache(folder.path(), &[command, name]).run().refused(3, "not in the cache");
        }
    }
    assert!(model.join("vision_tower/config.json").is_file());
}

#[test]
fn a_model_called_pictures_is_listed_and_removed_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("pictures");
    fs::create_dir_all(&model).unwrap();
    assert!(cache(folder.path(), &["ls"]).ok().stdout.starts_with("pictures "));
    let gone = cache(folder.path(), &["rm", ".pictures"]).ok().stderr;
    assert!(gone.contains("no encoded pictures") && model.exists(), "{gone}");
    cache(folder.path(), &["rm", "pictures"]).ok();
    assert!(!model.exists());
    let gone = cache(folder.path(), &["rm", "pictures"]).ok().stderr;
    assert!(gone.contains("no encoded pictures"), "{gone}");
}

#[test]
fn another_revision_than_the_one_that_was_pulled_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, _) = pulled(folder.path());
    let picture = crate::common::picture("blobs.png");
    let ask = |model: &str| {
        let line = ["ask", picture.as_str(), "What?", "--model", model];
        mqt(line).env("MQT_CACHE", &text(folder.path())).run().stderr
    };
    let fetches = |model: &str| ask(model).contains(&format!("`mqt pull {model}` fetches it"));
    assert!(fetches("someone/model@other"), "{}", ask("someone/model@other"));
    // Those that are there are opened, and are no models.
    for model in ["someone/model", "someone/model@main"] {
        assert!(!fetches(model), "{}", ask(model));
    }
}
