//! `mqt cache`: what `mqt pull` has fetched, and the pictures that were encoded.

use crate::args::CacheCommand;
use crate::console::Console;
use crate::failure::{Failure, Result};
use crate::folder::{Folder, find, sha256};
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::pictures::Pictures;
use crate::pulled::Note;
use crate::words::counted;
use mqt::internals::untrusted::check_file_name;
use std::fs;
use std::path::{Path, PathBuf};

fn set(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Where everything lies that can be had again: `MQT_CACHE`, else `mqt` in the user's cache folder;
/// `None` without a home.
pub(crate) fn base() -> Option<PathBuf> {
    let home = || {
        if cfg!(windows) {
            set("LOCALAPPDATA")
        } else {
            set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))
        }
    };
    set("MQT_CACHE").or_else(|| Some(home()?.join("mqt")))
}

/// The models' folder: `MQT_CACHE`, else `mqt/models` in the user's cache folder.
pub(crate) fn root() -> Result<PathBuf> {
    let root = set("MQT_CACHE").or_else(|| Some(base()?.join("models")));
    root.ok_or_else(|| Failure::usage("there is no home folder for a cache; set MQT_CACHE"))
}

pub(crate) fn run(command: CacheCommand, console: &Console) -> Result<()> {
    // Nothing here is half done if it ends early, whatever it is reading.
    Interrupt::install()?;
    match command {
        CacheCommand::Ls => list(console),
        CacheCommand::Rm { name } if name == pictures_name() => remove_pictures(console),
        CacheCommand::Rm { name } => remove(&name, console),
        CacheCommand::Verify { name: Some(name) } => Output::new().line(&verified(&name)?),
        CacheCommand::Verify { name: None } => verify_all(console),
    }
}

/// The models' names: folders, and links to folders that the user has put there.
fn names() -> Result<Vec<String>> {
    let entries =
        fs::read_dir(root()?).into_iter().flatten().flatten().filter(|e| e.path().is_dir());
    let names = entries.filter_map(|e| e.file_name().into_string().ok());
    let mut names: Vec<String> =
        names.filter(|name| check_file_name(name, "the cache").is_ok()).collect();
    names.sort();
    Ok(names)
}

/// The folder of a model in the cache.
fn cached(name: &str) -> Result<PathBuf> {
    let folder = root()?.join(name);
    if check_file_name(name, "the cache").is_ok() && folder.is_dir() {
        Ok(folder)
    } else {
        Err(Failure {
            code: 3,
            message: Some(format!("{name:?} is not in the cache; `mqt cache ls` lists what is")),
        })
    }
}

/// The folder of a model that was pulled by this name, `owner/name` or as the cache calls it, with
/// or without `@revision`: another revision than the one that was pulled is not there.
pub(crate) fn pulled(name: &str) -> Option<PathBuf> {
    let (name, revision) = match name.split_once('@') {
        Some((name, revision)) => (name, Some(revision)),
        None => (name, None),
    };
    let folder = cached(&name.replace('/', "--")).ok().filter(|folder| is_finished(folder))?;
    let is_it = revision.is_none() || Note::of(&folder).revision.as_deref() == revision;
    is_it.then_some(folder)
}

fn list(console: &Console) -> Result<()> {
    let names = names()?;
    let pictures = Pictures::here().map(|pictures| (pictures.size(), pictures));
    let pictures = pictures.filter(|((count, _), _)| *count > 0);
    if names.is_empty() && pictures.is_none() {
        console.line(&format!(
            "nothing in {}; `mqt pull owner/name` fetches a model",
            root()?.display()
        ));
    }
    let mut output = Output::new();
    for name in names {
        let folder = root()?.join(&name);
        let state = if is_finished(&folder) { "" } else { "  unfinished: pull it again to go on" };
        // What a link leads to is not ours to walk through, and may be a whole disk.
        let size = match fs::read_link(&folder) {
            Ok(_) => format!("{:>11}", "a link"),
            Err(_) => format!("{:>8.2} GB", size(&folder) as f64 / 1e9),
        };
        output.line(&format!("{name:<40} {size}  {}{state}", folder.display()))?;
    }
    if let Some(((count, bytes), pictures)) = pictures {
        let what = format!("{} ({})", pictures_name(), counted(count, "picture"));
        let (size, folder) = (gigabytes(bytes), pictures.folder().display().to_string());
        output.line(&format!("{what:<40} {size:>8} GB  {folder}"))?;
    }
    Ok(())
}

/// What `ls` and `rm` call the encoded pictures: with a point, which no model's name begins with,
/// where a model has the plain name.
fn pictures_name() -> &'static str {
    if cached("pictures").is_ok() { ".pictures" } else { "pictures" }
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.2}", bytes as f64 / 1e9)
}

fn remove_pictures(console: &Console) -> Result<()> {
    let Some(pictures) = Pictures::here() else { return Ok(()) };
    let failed =
        |error: std::io::Error| Failure::output(&pictures.folder().display().to_string(), &error);
    let (count, _) = pictures.size();
    if count == 0 {
        console.line("no encoded pictures are kept");
        return Ok(());
    }
    let freed = pictures.clear().map_err(failed)?;
    console.line(&format!("the encoded pictures are gone, {:.1} MB are free", freed as f64 / 1e6));
    Ok(())
}

/// Whether a pull came to its end and left every file in its full size.
fn is_finished(folder: &Path) -> bool {
    let note = Note::of(folder);
    let is_there = |name: &str, bytes: u64| {
        find(folder, name).is_ok_and(|meta| meta.is_some_and(|meta| meta.len() == bytes))
    };
    note.finished
        && note.is_sound()
        && note.files.values().all(|file| is_there(&file.file, file.bytes))
}

/// Bytes of a folder's files. Links are not followed, so that it ends; other special files have no
/// size.
fn size(folder: &Path) -> u64 {
    let (mut bytes, mut folders) = (0, vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => {
                    bytes += entry.metadata().map_or(0, |meta| meta.len())
                }
                _ => {}
            }
        }
    }
    bytes
}

fn remove(name: &str, console: &Console) -> Result<()> {
    let folder = cached(name)?;
    let failed = |error: std::io::Error| Failure::output(&folder.display().to_string(), &error);
    if fs::symlink_metadata(&folder).map_err(failed)?.is_symlink() {
        fs::remove_file(&folder).map_err(failed)?;
        console.line(&format!("{name} was a link and is gone; what it led to is left as it is"));
        return Ok(());
    }
    let _taken = Folder::try_take(&folder)?.map_err(|busy| busy.refusal(&folder))?;
    Note::of(&folder).remove();
    let bytes = size(&folder);
    fs::remove_dir_all(&folder).map_err(failed)?;
    console.line(&format!("{name} is gone, {:.2} GB are free", bytes as f64 / 1e9));
    Ok(())
}

fn verify_all(console: &Console) -> Result<()> {
    let (mut output, mut worst) = (Output::new(), None);
    for name in names()? {
        match verified(&name) {
            Ok(line) => output.line(&line)?,
            Err(failure) => {
                failure.message.iter().for_each(|message| console.error(message));
                worst = worst.max(Some(failure.code));
            }
        }
    }
    worst.map_or(Ok(()), |code| Err(Failure::reported(code)))
}

fn verified(name: &str) -> Result<String> {
    Ok(format!("{name}: {} files, every SHA-256 right", verify(name)?))
}

/// Hashes every file of a model again; how many there are. A wrong one is removed, so that the next
/// pull fetches it.
fn verify(name: &str) -> Result<usize> {
    let folder = cached(name)?;
    let wrong =
        |why: String| Failure { code: 3, message: Some(format!("{name}: {why}; pull it again")) };
    // A folder that no pull has used, or that cannot be written to, is left as it is, and nobody
    // fetches into it.
    let taken = if Folder::was_taken(&folder) { Folder::try_take(&folder).ok() } else { None };
    let taken = taken.transpose().map_err(|busy| busy.refusal(&folder))?;
    let mut note = Note::of(&folder);
    if !note.finished {
        return Err(wrong("its download has not finished".into()));
    }
    if !note.is_sound() {
        return Err(wrong("its notes do not name the files that were fetched".into()));
    }
    for file in note.files.clone().into_values() {
        let meta = find(&folder, &file.file).map_err(&wrong)?;
        let found = meta.ok_or_else(|| wrong(format!("{} is missing", file.file)))?.len();
        let path = folder.join(&file.file);
        if found != file.bytes
            || sha256(&path).map_err(|e| wrong(format!("{}: {e}", file.file)))? != file.sha256
        {
            note.finish(false);
            let removed = taken.is_some() && fs::remove_file(&path).is_ok();
            let done = if removed { " and was removed" } else { "" };
            return Err(wrong(format!("{} does not match its SHA-256{done}", file.file)));
        }
    }
    Ok(note.files.len())
}
