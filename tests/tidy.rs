//! What is deliberately absent stays absent: dependencies that point up, `wgpu` outside its folder,
//! flags in library texts, names of files that do not exist, files that are too long.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders and files of `src/` from the bottom up: each may use those before it, and itself.
const LAYERS: &[&[&str]] = &[
    &["error", "future", "defaults", "camel"],
    &["untrusted", "cancel", "parallel"],
    &["plain"],
    &["quant", "sample", "image", "attention"],
    &["budget"],
    &["text"],
    &["gpu", "grammar"],
    &["kernels"],
    &["cpu"],
    &["select"],
    &["config"],
    &["weights"],
    &["model"],
    &["session"],
    &["bench", "blocking", "catalogue", "synth", "convert", "inspect"],
    &["settings"],
    &["internals"],
];

/// Source files may have this many lines.
const MOST_LINES: usize = 400;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files below `folder` with one of the endings, as paths from the root.
fn files(folders: &[&str], endings: &[&str]) -> Vec<String> {
    const NOT_OURS: [&str; 4] = ["node_modules", "dist", "pkg", ".git"];
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(at) = open.pop() {
        if at.is_file() {
            found.push(at);
            continue;
        }
        for entry in fs::read_dir(&at).unwrap_or_else(|e| panic!("{}: {e}", at.display())) {
            let entry = entry.unwrap();
            let name = entry.file_name();
            let built =
                entry.path() == root().join("target") || entry.path() == root().join("fuzz/target");
            let ours = !built && !NOT_OURS.iter().any(|other| name == *other);
            if ours && !entry.file_type().unwrap().is_symlink() {
                open.push(entry.path());
            }
        }
    }
    let mut names: Vec<String> = found
        .iter()
        .map(|path| path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/"))
        .filter(|name| endings.iter().any(|ending| name.ends_with(ending)))
        .collect();
    names.sort();
    names
}

fn text(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The lines before a file's tests, with their numbers.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]") && !line.starts_with("#[cfg(all(test"))
        .enumerate()
        .map(|(i, line)| (i + 1, line))
}

/// Library files, without the program and without files of tests.
fn library() -> Vec<String> {
    let tests = |name: &String| name.ends_with("/tests.rs") || name.contains("/tests/");
    files(&["src"], &[".rs"])
        .into_iter()
        .filter(|name| !name.starts_with("src/bin/") && !tests(name))
        .collect()
}

fn none(faults: &[String], rule: &str) {
    assert!(faults.is_empty(), "{rule}:\n{}", faults.join("\n"));
}

#[test]
fn arrows_point_down() {
    let layer = |module: &str| LAYERS.iter().position(|layer| layer.contains(&module));
    let mut faults = Vec::new();
    for name in library() {
        let module = name["src/".len()..].split(['/', '.']).next().unwrap();
        if module == "lib"
            || name.ends_with("/lint.rs")
            || name.ends_with("/quality.rs")
            || name.ends_with("/stand.rs")
        {
            continue;
        }
        let Some(own) = layer(module) else {
            faults.push(format!("{name}: {module} is in no layer of tests/tidy.rs"));
            continue;
        };
        let content = text(&name);
        for (line, code) in code(&content).filter(|(_, line)| !line.trim().starts_with("//")) {
            for used in code.split("crate::").skip(1) {
                let used = used.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap();
                if layer(used).is_some_and(|other| other > own || (other == own && used != module))
                {
                    faults.push(format!("{name}:{line}: {module} uses {used}"));
                }
            }
        }
    }
    none(&faults, "a module uses only what is in a layer below");
}

#[test]
fn only_the_gpu_folder_names_wgpu_and_targets() {
    let mut faults = Vec::new();
    for name in files(&["src", "web/src", "xtask/src", "tests"], &[".rs"]) {
        if name.starts_with("src/gpu/") || name == "tests/tidy.rs" {
            continue;
        }
        for (line, code) in text(&name).lines().enumerate() {
            let code = code.trim();
            let target = code.contains("target_arch")
                && !matches!(name.as_str(), "src/future.rs" | "web/src/lib.rs")
                && !name.starts_with("src/cpu/");
            if !code.starts_with("//") && (code.contains("wgpu::") || target) {
                faults.push(format!("{name}:{}: {code}", line + 1));
            }
        }
    }
    none(&faults, "wgpu stays in src/gpu, cfg(target_arch) there and in src/cpu");
}

/// The strings of a line of code.
fn strings(line: &str) -> Vec<&str> {
    line.split('"').skip(1).step_by(2).collect()
}

#[test]
fn the_library_names_no_flags() {
    let mut faults = Vec::new();
    for name in library() {
        let content = text(&name);
        for (line, code) in code(&content).filter(|(_, line)| !line.trim().starts_with("//")) {
            for string in strings(code) {
                // A whole command, in backquotes, is no flag of the one that runs.
                let rest = match string.split_once("`mqt ") {
                    Some((before, _)) => before,
                    None => string,
                };
                let flag = rest
                    .split("--")
                    .skip(1)
                    .any(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()));
                if flag {
                    faults.push(format!("{name}:{line}: {string:?}"));
                }
            }
        }
    }
    none(&faults, "the library says what happened, the program which flag helps");
}

/// Words of a text that look like files of ours.
fn named_files(line: &str) -> impl Iterator<Item = &str> {
    const ENDINGS: [&str; 7] = [".rs", ".wgsl", ".ts", ".md", ".py", ".mjs", ".css"];
    line.split(|c: char| !c.is_ascii_alphanumeric() && !"_-./".contains(c))
        .map(|word| word.trim_end_matches('.'))
        .filter(|word| {
            ENDINGS.iter().any(|ending| word.len() > ending.len() + 1 && word.ends_with(ending))
        })
        .filter(|word| !word.starts_with('.') && !word.starts_with('/'))
}

#[test]
fn every_file_that_a_comment_names_exists() {
    /// Files of projects that we follow.
    const OTHERS: [&str; 8] = [
        "BmpImagePlugin.py",
        "GifImagePlugin.py",
        "llava/mm_utils.py",
        "llava/conversation.py",
        "gguf-py/gguf/quants.py",
        "gguf-py/gguf/constants.py",
        "conversion/llama.py",
        "convert_image_encoder_to_gguf.py",
    ];
    let all = files(&["."], &[".rs", ".wgsl", ".ts", ".md", ".py", ".mjs", ".css"]);
    let known: BTreeSet<&str> = all.iter().map(String::as_str).collect();
    let mut faults = Vec::new();
    let own = files(
        &["src", "shaders", "web", "www", "xtask", "docs", "ARCHITECTURE.md", "README.md"],
        &[".rs", ".wgsl", ".ts", ".md"],
    );
    for name in own {
        let content = text(&name);
        let prose = name.ends_with(".md");
        for (line, code) in content.lines().enumerate() {
            let Some(said) = (if prose { Some(code) } else { code.split_once("//").map(|c| c.1) })
            else {
                continue;
            };
            if said.contains("://") {
                continue;
            }
            for word in named_files(said) {
                let there =
                    known.iter().any(|file| *file == word || file.ends_with(&format!("/{word}")));
                if !there && !OTHERS.contains(&word) {
                    faults.push(format!("{name}:{}: {word}", line + 1));
                }
            }
        }
    }
    none(&faults, "a file named in a comment or a document exists");
}

#[test]
fn files_are_short_and_lines_fit() {
    const SOURCES: [&str; 5] = [".rs", ".wgsl", ".ts", ".mts", ".mjs"];
    let mut faults = Vec::new();
    for name in files(&["src", "shaders", "web", "xtask", "fuzz", "examples", "tests"], &SOURCES) {
        let content = text(&name);
        let lines = content.lines().count();
        // The browser's tests and the page are reshaped together, later.
        let exempt = name.starts_with("tests/browser/") || name.ends_with("generated.ts");
        if lines > MOST_LINES && !exempt {
            faults.push(format!("{name}: {lines} lines, at most {MOST_LINES}"));
        }
        for (i, line) in content.lines().enumerate() {
            let comment = line.trim_start().starts_with("//");
            if comment && line.chars().count() > 100 && !line.contains("://") {
                faults.push(format!("{name}:{}: a comment of {} columns", i + 1, line.len()));
            }
        }
    }
    none(&faults, "a file is short, and comments end at column 100");
}
