//! With the feature `page`: a list of the built page's files, for the program to hold.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// What `cargo xtask web` builds.
const DIST: &str = "www/dist";
/// What the page does not need when a program computes: the engine for browsers, the bundled model,
/// the copy for use without a network.
const NOT_NEEDED: [&str; 3] = ["models/", "sw.js", "assets/worker-"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_PAGE").is_none() {
        return;
    }
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("Cargo says where"));
    let dist = root.join(DIST);
    println!("cargo::rerun-if-changed={}", dist.display());
    assert!(
        dist.join("index.html").is_file(),
        "the feature `page` needs the built page in {DIST}: run `cargo xtask web` first"
    );
    let mut files = Vec::new();
    list(&dist, &mut files);
    files.sort();
    let mut text = String::from("&[\n");
    for file in files {
        let name = file.strip_prefix(&dist).expect("it lies there").display().to_string();
        let name = name.replace('\\', "/");
        if name.ends_with(".wasm") || NOT_NEEDED.iter().any(|start| name.starts_with(start)) {
            continue;
        }
        let path = file.display().to_string();
        writeln!(text, "    ({name:?}, include_bytes!({path:?}).as_slice()),").expect("a string");
    }
    text.push(']');
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("Cargo says where"));
    fs::write(out.join("page.rs"), text).expect("the build's own folder");
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the built page can be read") {
        let path = entry.expect("the built page can be read").path();
        if path.is_dir() { list(&path, files) } else { files.push(path) }
    }
}
