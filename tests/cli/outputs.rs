//! Where `-o` may lead: links, pipes and devices are written into, a file keeps its mode, and
//! nothing is replaced that was not named.

use crate::common::{Done, checkpoint, copy_folder, mqt, picture, text, words};
use std::fs;
use std::path::Path;

/// `mqt trace` of a small model into `output`.
fn trace(output: &str, more: &[&str]) -> crate::common::Mqt {
    let (model, picture) = (checkpoint("d-floor-grid"), picture("blobs.png"));
    let line =
        words("trace --adapter cpu -m 2 --model", &[&model, &picture, "What?", "-o", output]);
    mqt(line.into_iter().chain(more.iter().copied()))
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[cfg(unix)]
#[test]
fn links_pipes_and_devices_stay_what_they_are() {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    trace(&text(&at("plain")), &[]).ok();
    let want = fs::read(at("plain")).unwrap();
    fs::write(at("private"), "old").unwrap();
    fs::set_permissions(at("private"), fs::Permissions::from_mode(0o600)).unwrap();
    for (to, link) in [("private", "link"), ("new", "dangling")] {
        symlink(to, at(link)).unwrap();
        trace(&text(&at(link)), &[]).ok();
        assert!(at(link).symlink_metadata().unwrap().is_symlink());
        assert!(fs::read(at(to)).unwrap() == want, "{link}");
    }
    assert_eq!(fs::metadata(at("private")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(names(folder.path()), ["dangling", "link", "new", "plain", "private"]);

    assert!(std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    let from = at("pipe");
    let reader = std::thread::spawn(move || fs::read(from).unwrap());
    trace(&text(&at("pipe")), &[]).ok();
    assert!(
        reader.join().unwrap() == want && fs::metadata(at("pipe")).unwrap().file_type().is_fifo()
    );
    trace("/dev/null", &[]).ok();
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    if cfg!(target_os = "linux") {
        trace("/dev/full", &[]).run().refused(1, "/dev/full cannot be written");
        assert!(fs::metadata("/dev/full").unwrap().file_type().is_char_device());
    }
}

/// Where stdout leads to a file, what is there stays; a pipe gets every byte.
#[cfg(unix)]
#[test]
fn stdout_is_an_output_like_any_other() {
    use std::process::Command;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all");
    fs::write(&file, "before ").unwrap();
    let (model, picture) = (checkpoint("d-floor-grid"), picture("blobs.png"));
    let attention = |output: &str, to: std::process::Stdio| {
        let line =
            words("attention --quiet --adapter cpu --model", &[&model, &picture, "-o", output]);
        Command::new(env!("CARGO_BIN_EXE_mqt")).args(line).stdout(to).output().unwrap()
    };
    let piped = attention("/dev/stdout", std::process::Stdio::piped());
    assert!(piped.status.success() && piped.stdout.starts_with(b"\x89PNG"));
    let open = fs::File::options().append(true).open(&file).unwrap();
    assert!(attention("/dev/fd/1", open.into()).status.success());
    assert!(fs::read(&file).unwrap() == [b"before ", piped.stdout.as_slice()].concat());
}

#[test]
fn what_a_command_reads_is_no_output() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| text(&folder.path().join(name));
    copy_folder(Path::new(&checkpoint("d-floor-grid")), &folder.path().join("model"));
    let picture = at("picture.png");
    fs::copy(crate::common::picture("blobs.png"), &picture).unwrap();
    fs::hard_link(&picture, at("twin.png")).unwrap();
    let model = at("model");
    let said = |command: &str, more: &[&str], output: &str| -> Done {
        let line = words(command, &[&picture]).into_iter().chain(more.iter().copied());
        mqt(line.chain(words("--adapter cpu --model", &[&model, "-o", output]))).run()
    };
    let before = fs::read(&picture).unwrap();
    for output in [&picture, &at("./picture.png"), &at("twin.png")] {
        said("trace -m 2", &["What?"], output).refused(2, "is the picture");
        said("attention", &[], output).refused(2, "is the picture");
    }
    for file in
        names(Path::new(&model)).iter().filter(|name| Path::new(&model).join(name).is_file())
    {
        said("trace -m 2", &["What?"], &format!("{model}/{file}"))
            .refused(2, "a file of the model");
        mqt(words("bench --adapter cpu --model", &[&model, "--plot", &format!("{model}/{file}")]))
            .run()
            .refused(2, "a file of the model");
    }
    assert!(fs::read(&picture).unwrap() == before);
}

#[test]
fn an_output_that_another_mqt_writes_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    fs::write(&output, "old").unwrap();
    let held = fs::File::options().append(true).open(&output).unwrap();
    held.try_lock().unwrap();
    trace(&text(&output), &[]).run().refused(1, "in use by another mqt");
    let line = words(
        "bench --adapter cpu --model",
        &[&checkpoint("d-floor-grid"), "--plot", &text(&output)],
    )
    .iter()
    .map(|&word| word.to_owned())
    .collect::<Vec<_>>();
    mqt(line).run().refused(1, "in use by another mqt");
    assert_eq!(fs::read(&output).unwrap(), b"old");
}

fn convert(checkpoint: &str, output: &Path, weights: &str) -> Done {
    mqt(["convert", checkpoint, "-o", &text(output), "--weights", weights]).run()
}

#[test]
fn a_conversion_replaces_nothing_that_it_has_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (one, other) = (checkpoint("d-floor-grid"), checkpoint("a-f32-tower"));
    for file in [
        "manifest.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "scenes.json",
        "weights-00001.safetensors",
        "convert.journal",
    ] {
        let out = at(&format!("with {file}"));
        fs::create_dir(&out).unwrap();
        fs::write(out.join(file), "mine").unwrap();
        convert(&one, &out, "q8").refused(2, file);
        assert_eq!(
            (names(&out), fs::read(out.join(file)).unwrap()),
            (vec![file.to_owned()], b"mine".to_vec())
        );
    }
    // A pack of the same model is made anew, also with other weights; one of another model stays.
    // Other files are in nobody's way.
    let out = at("pack");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("README.md"), "mine").unwrap();
    for weights in ["q8", "q8", "q4"] {
        assert_eq!(convert(&one, &out, weights).code, 0);
    }
    let before = fs::read(out.join("manifest.json")).unwrap();
    convert(&other, &out, "q4").refused(2, "d-floor-grid");
    assert_eq!(fs::read(out.join("manifest.json")).unwrap(), before);
    mqt(["verify", &text(&out)]).ok();
}

#[test]
fn a_second_conversion_into_one_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("pack");
    fs::create_dir(&out).unwrap();
    // What a conversion that has just begun has there.
    let journal = fs::File::create(out.join("convert.journal")).unwrap();
    journal.try_lock().unwrap();
    convert(&checkpoint("d-floor-grid"), &out, "q8").refused(1, "in use by another mqt");
    drop(journal);
    assert_eq!(convert(&checkpoint("d-floor-grid"), &out, "q8").code, 0);
    assert!(!out.join("convert.journal").exists());
}

#[cfg(unix)]
#[test]
fn a_conversion_follows_links_and_keeps_modes() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    symlink("real", at("link")).unwrap();
    assert_eq!(convert(&checkpoint("d-floor-grid"), &at("link"), "q8").code, 0);
    assert!(
        at("link").symlink_metadata().unwrap().is_symlink() && at("real/manifest.json").is_file()
    );
    let shard = at("real/weights-00001.safetensors");
    fs::set_permissions(&shard, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(convert(&checkpoint("d-floor-grid"), &at("link"), "q4").code, 0);
    assert_eq!(fs::metadata(&shard).unwrap().permissions().mode() & 0o777, 0o600);
    mqt(["verify", &text(&at("link"))]).ok();
}

/// `-` is stdout where that makes sense; a file of that name is `./-`.
#[test]
fn a_dash_is_stdout_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| text(&folder.path().join(name));
    let model = checkpoint("d-floor-grid");
    let start = "--adapter cpu --model";
    let blobs = picture("blobs.png");
    for command in ["trace -m 2", "attention -m 2"] {
        let more: &[&str] = if command.starts_with("trace") { &["What?"] } else { &[] };
        let run = |output: &str| {
            let line = words(command, &[&blobs]).into_iter().chain(more.to_vec());
            let line = line.chain(words(start, &[&model, "-o", output])).map(str::to_owned);
            let line: Vec<String> = line.collect();
            mqt(line.iter().map(String::as_str)).folder(folder.path()).ok()
        };
        let there = run("./-");
        let want = fs::read(folder.path().join("-")).unwrap();
        fs::remove_file(folder.path().join("-")).unwrap();
        let piped = run("-");
        // As far as text tells bytes apart.
        assert_eq!(piped.stdout, String::from_utf8_lossy(&want));
        assert!(there.stdout.is_empty() && piped.stderr.contains("wrote to stdout"), "{piped:#?}");
        assert_eq!(names(folder.path()), [""; 0]);
    }
    fs::write(at("q.jsonl"), "{\"question_id\": 1, \"image\": \"blobs.png\", \"text\": \"?\"}\n")
        .unwrap();
    let (questions, images) = (at("q.jsonl"), text(Path::new(&blobs).parent().unwrap()));
    let eval = |more: &[&str]| {
        let line = words("eval -m 2 --max-new-tokens 2", &[&questions, "--images", &images]);
        let line = line.into_iter().chain(words(start, &[&model])).chain(more.to_vec());
        mqt(line.collect::<Vec<_>>()).folder(folder.path()).run()
    };
    eval(&["-o", "-"]).refused(2, "./-");
    eval(&["-o", "a", "--summary", "-", "--plot", "-"]).refused(2, "are one file");
    let summary = eval(&["-o", "a", "--summary", "-"]);
    let value: serde_json::Value = serde_json::from_str(&summary.stdout).unwrap();
    assert_eq!((summary.code, &value["schema"]), (0, &"mqt.eval/1".into()), "{summary:#?}");
    let plot = eval(&["-o", "a", "--plot", "-"]);
    assert!(plot.code == 0 && plot.stdout.starts_with("<svg"), "{plot:#?}");
    for line in [vec!["convert", &model, "-o", "-"], words("bench", &["--plot", "-"])] {
        mqt(line).folder(folder.path()).run().refused(2, "./-");
    }
    assert_eq!(names(folder.path()), ["a", "q.jsonl"]);
}
