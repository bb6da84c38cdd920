//! `mqt pull`: a model from a Hugging Face-compatible server, or a pack from wherever its manifest
//! is, into the cache.
//!
//! A pull may be ended at any moment: files under their final names are complete and checked, and
//! the rest is resumed later.

use crate::address::is_address;
use crate::args::PullArgs;
use crate::cache;
use crate::console::{Bar, Console};
use crate::disk;
use crate::download::{self, Remote};
use crate::failure::{Failure, Result};
use crate::fetch::Client;
use crate::folder::{Folder, sha256};
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::pulled::Note;
use crate::sources::{Listed, Wanted, list};
use crate::target;
use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub(crate) fn run(args: PullArgs, console: &Console) -> Result<()> {
    if let Some(folder) = &args.output {
        target::refuse_stdout("-o", folder, "a model is a folder")?;
    }
    let shown: Arc<OnceLock<Bar>> = Arc::default();
    let (bar, told) = (shown.clone(), *console);
    Interrupt::install()?.farewell(move || {
        bar.get().into_iter().for_each(|bar| bar.finish_and_clear());
        told.note("what arrived is kept; run the same command again to resume");
    });
    // The token is for the hub, not for whoever has a manifest.
    let token = if is_address(&args.model) { None } else { token()? };
    let client = Client::new(token, Duration::from_secs_f64(args.timeout));
    let listed = list(&client, &args.model)?;
    if listed.hidden > 0 {
        console.note(&format!("{} hidden files of {} are left out", listed.hidden, listed.source));
    }
    let path = match &args.output {
        Some(folder) => folder.clone(),
        None => cache::root()?.join(&listed.folder),
    };
    let folder = Folder::take(&path, |busy| {
        console.note(&format!("{}; waiting until it has ended", busy.sentence(&path)))
    })?;
    let bar = shown.get_or_init(|| console.download(0));
    let done = fetch(&client, &folder, &listed, args.output.is_none(), bar);
    bar.finish_and_clear();
    done?;
    console.line(&format!(
        "{} files; `mqt ask IMAGE QUESTION --model {}` uses them",
        listed.files.len(),
        path.display()
    ));
    Output::new().line(&path.display().to_string())
}

/// `HF_TOKEN`, if it is set to anything; it is never shown.
fn token() -> Result<Option<String>> {
    let Some(token) = std::env::var_os("HF_TOKEN") else { return Ok(None) };
    let token = token.to_string_lossy();
    let token = token.trim();
    if token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(Some(token.to_owned()).filter(|token| !token.is_empty()));
    }
    Err(Failure::usage(
        "HF_TOKEN holds a character that no token has, such as a space or a control character; set it again",
    ))
}

/// What is to be done about a file.
enum Plan {
    /// It is there; its SHA-256.
    Keep(String),
    Fetch,
    /// It is there, and nobody says its SHA-256: fetch it and compare.
    Compare,
}

fn fetch(
    client: &Client,
    folder: &Folder,
    listed: &Listed,
    in_cache: bool,
    bar: &Bar,
) -> Result<()> {
    let mut note = Note::of(&folder.path);
    if let Some(other) = note
        .source
        .as_ref()
        .filter(|source| in_cache && **source != listed.source && !note.files.is_empty())
    {
        let (path, name) = (folder.path.display(), &listed.folder);
        let why = format!(
            "{path} holds a model from {other}, not from {}; `mqt cache rm {name}` removes it, or give a folder with -o",
            listed.source
        );
        return Err(Failure { code: 1, message: Some(why) });
    }
    // Everything is looked at before anything is written.
    bar.set_message("looking at what is there");
    let plans =
        listed.files.iter().map(|file| plan(folder, &note, file)).collect::<Result<Vec<_>>>()?;
    check_room(folder, listed, &plans)?;
    bar.set_length(
        listed.files.iter().filter_map(|file| file.remote.bytes).fold(0, u64::saturating_add),
    );
    note.begin(&listed.source, listed.revision.as_deref());
    for (file, plan) in listed.files.iter().zip(plans) {
        bar.set_message(file.name.clone());
        let sum = match plan {
            Plan::Keep(sum) => {
                bar.inc(file.remote.bytes.unwrap_or(0));
                sum
            }
            plan => one(client, folder, file, &plan, bar)?,
        };
        if let Some(now) = folder.find(&file.name)? {
            note.add(&file.name, &now, sum, file.remote.mark.clone());
        }
    }
    note.finish(true);
    folder.clear();
    Ok(())
}

/// Refuses what the disk has no room for, before anything of it is asked for.
fn check_room(folder: &Folder, listed: &Listed, plans: &[Plan]) -> Result<()> {
    let mut need = 0u64;
    for (file, plan) in listed.files.iter().zip(plans) {
        if !matches!(plan, Plan::Keep(_)) {
            let there = fs::metadata(folder.part(&file.name)?).map_or(0, |data| data.len());
            let rest = file.remote.bytes.unwrap_or(0).saturating_sub(there);
            need = need.saturating_add(rest);
        }
    }
    match disk::free_bytes(&folder.path) {
        Some(free) if free < need => Err(no_room(&folder.path, need, free)),
        _ => Ok(()),
    }
}

fn no_room(path: &Path, need: u64, free: u64) -> Failure {
    let gb = |bytes: u64| bytes as f64 / 1e9;
    let why = format!(
        "{:.2} GB are still to be fetched and the disk of {} has {:.2} GB free; nothing was fetched: make room, or give a folder elsewhere with -o",
        gb(need),
        path.display(),
        gb(free)
    );
    Failure { code: 1, message: Some(why) }
}

/// Looks at what is in a file's place. Only what an earlier pull from the same source left there,
/// and nobody changed since, may be replaced.
fn plan(folder: &Folder, note: &Note, file: &Wanted) -> Result<Plan> {
    let Some(now) = folder.find(&file.name)? else { return Ok(Plan::Fetch) };
    let path = folder.path.join(&file.name);
    let noted = note.files.get(&file.name);
    let hash = || match noted.filter(|noted| noted.is_untouched(&now)) {
        Some(noted) => Ok(noted.sha256.clone()),
        None => sha256(&path).map_err(|error| Failure {
            code: 1,
            message: Some(format!("{} cannot be read: {error}", path.display())),
        }),
    };
    let Remote { bytes, sha256: want, mark, .. } = &file.remote;
    let fits = bytes.is_none_or(|bytes| bytes == now.len());
    if noted.is_none() && !fits {
        return Err(different(&path));
    }
    let sum = hash()?;
    let ours = noted.is_some_and(|noted| noted.sha256 == sum);
    match want {
        Some(want) if fits && sum == *want => Ok(Plan::Keep(sum)),
        None if fits && noted.is_some_and(|noted| ours && noted.mark == *mark) => {
            Ok(Plan::Keep(sum))
        }
        _ if ours => Ok(Plan::Fetch),
        None if fits => Ok(Plan::Compare),
        _ => Err(different(&path)),
    }
}

/// Brings one file to its place; its SHA-256.
fn one(client: &Client, folder: &Folder, file: &Wanted, plan: &Plan, bar: &Bar) -> Result<String> {
    let part = folder.part(&file.name)?;
    let sum = match (&file.content, &file.remote.sha256) {
        (Some(content), Some(sum)) => {
            fs::write(&part, content)
                .map_err(|error| Failure::output(&part.display().to_string(), &error))?;
            sum.clone()
        }
        _ => download::fetch(client, &file.remote, &part, bar)?,
    };
    let path = folder.path.join(&file.name);
    if matches!(plan, Plan::Compare) {
        let there =
            sha256(&path).map_err(|error| Failure::output(&path.display().to_string(), &error))?;
        download::forget(&part);
        return if there == sum { Ok(sum) } else { Err(different(&path)) };
    }
    folder.keep(&part, &file.name)?;
    Ok(sum)
}

fn different(path: &Path) -> Failure {
    let why = format!(
        "{} is there and is not what would be fetched; move it away, or give another folder with -o",
        path.display()
    );
    Failure { code: 1, message: Some(why) }
}
