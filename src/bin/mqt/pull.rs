//! `mqt pull`: a model from a Hugging Face-compatible server, or a pack from wherever its manifest is, into the cache.

use crate::args::PullArgs;
use crate::cache;
use crate::console::Console;
use crate::failure::{Failure, Result};
use crate::fetch::{Client, Remote, network, part_of};
use crate::interrupt::Interrupt;
use crate::output::Output;
use mqt::weights::pack::Manifest;
use serde_json::Value;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// Where models are, unless `HF_ENDPOINT` says otherwise.
const ENDPOINT: &str = "https://huggingface.co";

/// A file of a model: its name in the folder, and where it is.
struct Wanted {
    name: String,
    remote: Remote,
}

pub(crate) fn run(args: PullArgs, console: &Console) -> Result<()> {
    let interrupt = Interrupt::install()?;
    let (folder, files) = interrupt.during(|cancel| -> Result<_> {
        let token = std::env::var("HF_TOKEN").ok().filter(|token| !token.is_empty());
        let is_url = args.model.starts_with("http://") || args.model.starts_with("https://");
        let client = Client::new(token.filter(|_| !is_url), Duration::from_secs_f64(args.timeout), cancel.clone());
        let (name, files, manifest) = if is_url { from_manifest(&client, &args.model)? } else { from_hub(&client, &args.model)? };
        let folder = match &args.output {
            Some(folder) => folder.clone(),
            None => cache::root()?.join(name),
        };
        fetch(&client, &folder, &files, console)?;
        // Last: a folder without a manifest is unfinished.
        if let Some(manifest) = manifest {
            crate::target::write_whole(&folder.join("manifest.json"), &manifest)?;
        }
        Ok((folder, files))
    })?;
    cache::note(&folder, files.iter().map(|f| (f.name.as_str(), f.remote.sha256.as_deref())))?;
    console.line(&format!("{} files; `mqt ask IMAGE QUESTION --model {}` uses them", files.len(), folder.display()));
    Output::new().line(&folder.display().to_string())
}

fn fetch(client: &Client, folder: &Path, files: &[Wanted], console: &Console) -> Result<()> {
    fs::create_dir_all(folder).map_err(|e| Failure::output(&folder.display().to_string(), &e))?;
    let bar = console.download(files.iter().filter_map(|f| f.remote.bytes).sum());
    for file in files {
        let path = folder.join(&file.name);
        bar.set_message(file.name.clone());
        // It took its name once it was checked.
        let size = fs::metadata(&path).ok().map(|meta| meta.len());
        if size.is_some() && (file.remote.bytes.is_none() || size == file.remote.bytes) && !part_of(&path).exists() {
            bar.inc(size.unwrap_or(0));
            continue;
        }
        if let Err(failure) = client.file(&file.remote, &path, &bar) {
            bar.finish_and_clear();
            if failure.code == 130 {
                console.note("what arrived is kept; the same command goes on from there");
            }
            return Err(failure);
        }
    }
    bar.finish_and_clear();
    Ok(())
}

/// A pack's folder name, its files, and the manifest's text.
type Listed = (String, Vec<Wanted>, Option<Vec<u8>>);

fn from_manifest(client: &Client, url: &str) -> Result<Listed> {
    let url = url.split(['?', '#']).next().unwrap_or(url);
    let base = url.strip_suffix("manifest.json").ok_or_else(|| Failure::usage(format!("{url}: give the address of a pack's manifest.json")))?;
    let text = client.small(url)?;
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|e| corrupt(url, &e.to_string()))?;
    let entries = manifest.files.iter().chain(&manifest.shards);
    let files = entries.map(|shard| {
        let name = checked(&shard.file, url)?;
        let remote = Remote { url: format!("{base}{name}"), bytes: Some(shard.bytes), sha256: Some(shard.sha256.clone()) };
        Ok(Wanted { name, remote })
    });
    let files = files.collect::<Result<_>>()?;
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = manifest.name.chars().map(plain).collect();
    Ok((format!("{}-{}", name.trim_start_matches('.'), manifest.weights), files, Some(text)))
}

fn from_hub(client: &Client, model: &str) -> Result<Listed> {
    let (model, revision) = model.split_once('@').unwrap_or((model, "main"));
    let word = |text: &str| !text.is_empty() && !text.starts_with('.') && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    let Some((owner, name)) = model.split_once('/').filter(|(owner, name)| word(owner) && word(name) && word(revision)) else {
        return Err(Failure::usage(format!("{model:?}: give owner/name, owner/name@revision or the address of a manifest.json")));
    };
    let endpoint = std::env::var("HF_ENDPOINT").ok().filter(|e| !e.is_empty()).unwrap_or_else(|| ENDPOINT.into());
    let endpoint = endpoint.trim_end_matches('/');
    let listing = format!("{endpoint}/api/models/{owner}/{name}/tree/{revision}?recursive=true");
    let json: Value = serde_json::from_slice(&client.small(&listing)?).map_err(|e| corrupt(&listing, &e.to_string()))?;
    let entries = json.as_array().ok_or_else(|| corrupt(&listing, "it is no list of files"))?;
    let paths = |entry: &Value| entry["path"].as_str().filter(|_| entry["type"] == "file").map(str::to_owned);
    let all: Vec<String> = entries.iter().filter_map(paths).collect();
    let mut files = Vec::new();
    for entry in entries {
        let Some(path) = paths(entry).filter(|path| is_wanted(path, &all)) else { continue };
        let name_in = checked(&path, &listing)?;
        let sha256 = entry["lfs"]["oid"].as_str().map(|oid| oid.trim_start_matches("sha256:").to_owned());
        let bytes = entry["lfs"]["size"].as_u64().or(entry["size"].as_u64());
        files.push(Wanted { remote: Remote { url: format!("{endpoint}/{owner}/{name}/resolve/{revision}/{path}"), bytes, sha256 }, name: name_in });
    }
    if files.is_empty() {
        return Err(network(&listing, "it lists no model"));
    }
    // Small ones first: a mistake shows before gigabytes have come.
    files.sort_by_key(|file| (file.remote.bytes, file.name.clone()));
    Ok((format!("{owner}--{name}"), files, None))
}

/// Weights once, and the small files that describe them.
fn is_wanted(path: &str, all: &[String]) -> bool {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let has_safetensors = all.iter().any(|p| p.ends_with(".safetensors") && p.rsplit_once('/').map_or("", |(f, _)| f) == folder);
    let name = path.rsplit('/').next().unwrap_or(path);
    let torch = name.starts_with("pytorch_model") && (name.ends_with(".bin") || name.ends_with(".bin.index.json"));
    let small = name.ends_with(".json") && !name.ends_with(".bin.index.json") || name == "tokenizer.model" || name == "README.md";
    small || name.ends_with(".safetensors") || torch && !has_safetensors
}

/// A name that stays inside its folder.
fn checked(name: &str, from: &str) -> Result<String> {
    let inside = Path::new(name).components().all(|c| matches!(c, Component::Normal(_)));
    let plain = !name.is_empty() && !name.contains(['\\', ':', '\0']);
    if inside && plain { Ok(name.to_owned()) } else { Err(corrupt(from, &format!("it names a file outside its folder: {name:?}"))) }
}

fn corrupt(url: &str, why: &str) -> Failure {
    Failure { code: 3, message: Some(format!("{url} is not usable: {why}")) }
}

/// The folder of a model in the cache.
pub(crate) fn cached(name: &str) -> Result<PathBuf> {
    let folder = cache::root()?.join(checked(name, "the name")?);
    if folder.is_dir() {
        Ok(folder)
    } else {
        Err(Failure { code: 3, message: Some(format!("{name} is not in the cache; `mqt cache ls` lists what is")) })
    }
}
