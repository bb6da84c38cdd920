//! `mqt cache`: what `mqt pull` has fetched.

use crate::args::CacheCommand;
use crate::console::Console;
use crate::failure::{Failure, Result};
use crate::fetch::sha256;
use crate::output::Output;
use crate::pull::cached;
use crate::target::write_whole;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// What a pull has noted: each file with its SHA-256.
const NOTE: &str = ".mqt-files.json";

#[derive(Debug, Serialize, Deserialize)]
struct Noted {
    file: String,
    bytes: u64,
    sha256: String,
}

fn set(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Where everything lies that can be had again: `MQT_CACHE`, else `mqt` in the user's cache folder; `None` without a home.
pub(crate) fn base() -> Option<PathBuf> {
    let home = || if cfg!(windows) { set("LOCALAPPDATA") } else { set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache"))) };
    set("MQT_CACHE").or_else(|| Some(home()?.join("mqt")))
}

/// The models' folder: `MQT_CACHE`, else `mqt/models` in the user's cache folder.
pub(crate) fn root() -> Result<PathBuf> {
    let root = set("MQT_CACHE").or_else(|| Some(base()?.join("models")));
    root.ok_or_else(|| Failure::usage("there is no home folder for a cache; set MQT_CACHE"))
}

/// Notes what a pull has brought; SHA-256s that nobody told are computed.
pub(crate) fn note<'a>(folder: &Path, files: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> Result<()> {
    let mut noted = Vec::new();
    for (file, known) in files {
        let path = folder.join(file);
        let failed = |e: std::io::Error| Failure::output(&path.display().to_string(), &e);
        let bytes = fs::metadata(&path).map_err(failed)?.len();
        let sha256 = known.map_or_else(|| sha256(&path), |known| Ok(known.to_owned())).map_err(failed)?;
        noted.push(Noted { file: file.into(), bytes, sha256 });
    }
    let json = serde_json::to_vec_pretty(&noted).expect("our records have only string keys");
    write_whole(&folder.join(NOTE), &json)
}

pub(crate) fn run(command: CacheCommand, console: &Console) -> Result<()> {
    match command {
        CacheCommand::Ls => list(console),
        CacheCommand::Rm { name } => {
            let folder = cached(&name)?;
            let bytes = size(&folder);
            fs::remove_dir_all(&folder).map_err(|e| Failure::output(&folder.display().to_string(), &e))?;
            console.line(&format!("{name} is gone, {:.2} GB are free", bytes as f64 / 1e9));
            Ok(())
        }
        CacheCommand::Verify { name } => {
            let names = name.map_or_else(names, |name| Ok(vec![name]))?;
            let mut output = Output::new();
            for name in names {
                output.line(&format!("{name}: {} files, every SHA-256 right", verify(&name)?))?;
            }
            Ok(())
        }
    }
}

fn names() -> Result<Vec<String>> {
    let entries = fs::read_dir(root()?).into_iter().flatten().flatten().filter(|e| e.path().is_dir());
    let mut names: Vec<String> = entries.filter_map(|e| e.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

fn list(console: &Console) -> Result<()> {
    let names = names()?;
    if names.is_empty() {
        console.line(&format!("nothing in {}; `mqt pull owner/name` fetches a model", root()?.display()));
    }
    let mut output = Output::new();
    for name in names {
        let folder = root()?.join(&name);
        let state = if folder.join(NOTE).is_file() { "" } else { "  unfinished: pull it again to go on" };
        output.line(&format!("{name:<40} {:>8.2} GB  {}{state}", size(&folder) as f64 / 1e9, folder.display()))?;
    }
    Ok(())
}

/// Bytes of a folder.
fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|e| if e.path().is_dir() { size(&e.path()) } else { e.metadata().map_or(0, |m| m.len()) }).sum()
}

/// Hashes every file of a model again; how many there are.
fn verify(name: &str) -> Result<usize> {
    let folder = cached(name)?;
    let wrong = |why: String| Failure { code: 3, message: Some(format!("{name}: {why}; pull it again")) };
    let text = fs::read(folder.join(NOTE)).map_err(|_| wrong("its download has not finished".into()))?;
    let noted: Vec<Noted> = serde_json::from_slice(&text).map_err(|e| wrong(format!("{NOTE} is damaged ({e})")))?;
    for Noted { file, bytes, sha256: want } in &noted {
        let path = folder.join(file);
        let found = fs::metadata(&path).map_err(|e| wrong(format!("{file}: {e}")))?.len();
        if found != *bytes || sha256(&path).map_err(|e| wrong(format!("{file}: {e}")))? != *want {
            // Gone, so that the next pull fetches it.
            let _ = fs::remove_file(&path);
            return Err(wrong(format!("{file} does not match its SHA-256 and was removed")));
        }
    }
    Ok(noted.len())
}
