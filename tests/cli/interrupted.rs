//! `convert` and `pull`, killed at random points: what comes out in the end is byte for byte what
//! an undisturbed run gives.

use super::server::{Server, Trouble};
use crate::common::{mqt, text};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

const KILLS: u64 = 10;

/// Every file of a folder that is part of the result.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap).filter(|e| e.path().is_file());
    entries.map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap())).collect()
}

/// A number below 1, different for each `i`, the same in every run of the tests.
fn fraction(i: u64) -> f64 {
    ((i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11) as f64 / (1u64 << 53) as f64
}

fn toybox() -> String {
    format!("{}/models/toybox", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_conversion_killed_ten_times_gives_the_same_pack() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
    let checkpoint = format!("{}/checkpoint", toybox());
    let convert = |out: &Path| {
        mqt([
            "convert",
            &checkpoint,
            "-o",
            &text(out),
            "--weights",
            "q4",
            "--shard-bytes",
            "1400000",
        ])
    };
    let start = Instant::now();
    convert(&whole).ok();
    let took = start.elapsed();
    for i in 0..KILLS {
        let mut child = convert(&broken).start();
        sleep(took.mul_f64(fraction(i)));
        let _ = child.kill();
        child.wait().unwrap();
    }
    convert(&broken).ok();
    let (whole, broken) = (contents(&whole), contents(&broken));
    assert!(whole.len() > 10, "{:?}", whole.keys());
    assert_eq!(
        whole.keys().collect::<Vec<_>>(),
        broken.keys().filter(|name| !name.ends_with(".part")).collect::<Vec<_>>()
    );
    assert!(whole.iter().all(|(name, bytes)| broken[name] == *bytes));
}

#[test]
fn a_pull_killed_ten_times_gives_the_same_files() {
    let folder = tempfile::tempdir().unwrap();
    // Two seconds and more at 3 MB/s: most kills fall into the middle.
    let server = Server::start(Path::new(&toybox()), Trouble::Slow(3_000_000));
    let out = folder.path().join("pack");
    for i in 0..KILLS {
        let mut child = mqt(["pull", &server.url("manifest.json"), "-o", &text(&out)]).start();
        sleep(Duration::from_secs_f64(0.1 + 0.4 * fraction(i)));
        let _ = child.kill();
        child.wait().unwrap();
    }
    mqt(["pull", &server.url("manifest.json"), "-o", &text(&out)]).ok();
    for file in
        ["manifest.json", "tokenizer.json", "tokenizer_config.json", "weights-00001.safetensors"]
    {
        assert!(
            fs::read(out.join(file)).unwrap() == fs::read(format!("{}/{file}", toybox())).unwrap(),
            "{file}"
        );
    }
    mqt(["verify", &text(&out)]).ok();
    // Each kill lost at most what was on its way: together far less than ten downloads.
    let size: u64 = contents(&out).values().map(|bytes| bytes.len() as u64).sum();
    assert!(server.sent() < 3 * size, "{} bytes were sent", server.sent());
}
