//! The files of a model, as a server lists them: a hub's listing, or a pack's manifest. Nothing in
//! it is trusted unchecked.

use crate::address::{Address, encoded, given, is_address};
use crate::download::Remote;
use crate::failure::{Failure, Result};
use crate::fetch::{Client, network};
use mqt::Error;
use mqt::internals::plain;
use mqt::internals::untrusted::{
    check_distinct, check_file_name, check_path, check_sha256, limits, short,
};
use mqt::internals::weights::pack::{Manifest, SHARD_BYTES};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::collections::HashSet;

/// Where models are, unless `HF_ENDPOINT` says otherwise.
const ENDPOINT: &str = "https://huggingface.co";
const MANIFEST: &str = "manifest.json";
/// Pages of one listing; servers give about a thousand files on each.
const PAGES: usize = 100;

/// A file of a model.
pub(crate) struct Wanted {
    /// Its path in the model's folder.
    pub(crate) name: String,
    pub(crate) remote: Remote,
    /// Its content, if it is here already.
    pub(crate) content: Option<Vec<u8>>,
}

/// A model.
pub(crate) struct Listed {
    /// What its folder in the cache is called.
    pub(crate) folder: String,
    /// Where it is from: no secrets, for people and notes.
    pub(crate) source: String,
    /// The version that was asked for, where the source has several.
    pub(crate) revision: Option<String>,
    /// In the order in which they are fetched.
    pub(crate) files: Vec<Wanted>,
    /// Hidden files of the listing, which no model needs.
    pub(crate) hidden: usize,
}

/// Asks for the files of `model`: `owner/name`, `owner/name@revision`, or the address of a
/// manifest.
pub(crate) fn list(client: &Client, model: &str) -> Result<Listed> {
    let listed =
        if is_address(model) { from_manifest(client, model)? } else { from_hub(client, model)? };
    check_file_name(&listed.folder, &listed.source)?;
    check_distinct(listed.files.iter().map(|file| file.name.as_str()), &listed.source)?;
    Ok(listed)
}

/// Code 3, in the words of the library.
fn corrupt(address: &Address, problem: impl Into<String>) -> Failure {
    Error::ModelCorrupt { file: address.to_string(), problem: problem.into() }.into()
}

fn from_manifest(client: &Client, url: &str) -> Result<Listed> {
    let address = given(url, "MODEL")?;
    let address = address.with_path(address.path());
    let path = address.path().strip_suffix(MANIFEST).filter(|folder| folder.ends_with('/'));
    let base = path.ok_or_else(|| {
        Failure::usage(format!("{address}: give the address of a pack's manifest.json"))
    })?;
    let text = client.small(&address, limits::MANIFEST)?;
    let manifest: Manifest = plain::object(&text).map_err(|why| corrupt(&address, why))?;
    let from = address.to_string();
    if manifest.files.len() + manifest.shards.len() > limits::FILES {
        return Err(corrupt(&address, format!("it lists more than {} files", limits::FILES)));
    }
    let files = manifest
        .files
        .iter()
        .map(|file| (file, limits::TOKENIZER))
        .chain(manifest.shards.iter().map(|file| (file, 4 * SHARD_BYTES)));
    let files = files.map(|(file, most)| {
        check_file_name(&file.file, &from)?;
        check_sha256(&file.sha256, &file.file, &from)?;
        check_size(&address, &file.file, file.bytes, most)?;
        let at = address.with_path(format!("{base}{}", encoded(&file.file)));
        let remote = Remote {
            address: at,
            bytes: Some(file.bytes),
            sha256: Some(file.sha256.clone()),
            mark: None,
            most,
            sized: true,
        };
        Ok(Wanted { name: file.file.clone(), remote, content: None })
    });
    let mut files = files.collect::<Result<Vec<_>>>()?;
    // Last: a folder without a manifest is unfinished.
    let sum = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
    let bytes = Some(text.len() as u64);
    let remote = Remote {
        address: address.clone(),
        bytes,
        sha256: Some(sum),
        mark: None,
        most: limits::MANIFEST,
        sized: true,
    };
    files.push(Wanted { name: MANIFEST.into(), remote, content: Some(text) });
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = manifest.name.chars().map(plain).collect();
    Ok(Listed {
        folder: format!("{}-{}", name.trim_start_matches('.'), manifest.weights),
        source: from,
        revision: None,
        files,
        hidden: 0,
    })
}

/// An entry of a hub's listing.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    size: Option<u64>,
    /// Names its content, in the hub's own way.
    oid: Option<String>,
    lfs: Option<Large>,
}

/// What a hub says of large files.
#[derive(Deserialize)]
struct Large {
    oid: Option<String>,
    size: Option<u64>,
}

fn from_hub(client: &Client, model: &str) -> Result<Listed> {
    let (model, revision) = model.split_once('@').unwrap_or((model, "main"));
    let word = |text: &str| {
        !text.is_empty()
            && !text.starts_with('.')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    let Some((owner, name)) =
        model.split_once('/').filter(|(owner, name)| word(owner) && word(name) && word(revision))
    else {
        // Not repeated: it may be an address with a password.
        return Err(Failure::usage(
            "MODEL is not known: give owner/name, owner/name@revision or the address of a manifest.json",
        ));
    };
    // One that is no text is refused, not passed over: the token is for that server.
    let endpoint = std::env::var_os("HF_ENDPOINT").filter(|endpoint| !endpoint.is_empty());
    let endpoint = endpoint.map_or(ENDPOINT.into(), |e| e.to_string_lossy().into_owned());
    let endpoint = given(&endpoint, "HF_ENDPOINT")?;
    let prefix = endpoint.path().trim_end_matches('/').to_owned();
    let listing = endpoint
        .with_path(format!("{prefix}/api/models/{owner}/{name}/tree/{revision}?recursive=true"));
    let entries = entries(client, &listing)?;
    let mut hidden = 0;
    let mut files = Vec::new();
    for entry in wanted(&entries) {
        if is_hidden(&entry.path) {
            hidden += 1;
            continue;
        }
        check_path(&entry.path, &listing.to_string())?;
        let at = endpoint.with_path(format!(
            "{prefix}/{owner}/{name}/resolve/{revision}/{}",
            encoded(&entry.path)
        ));
        files.push(Wanted {
            name: entry.path.clone(),
            remote: remote(entry, at, &listing)?,
            content: None,
        });
    }
    if files.is_empty() {
        return Err(network(&listing, "it lists no model"));
    }
    // Small ones first: a mistake shows before gigabytes have come. A pack's manifest last: without
    // it the folder is unfinished.
    files.sort_by_key(|file| (file.name == MANIFEST, file.remote.bytes, file.name.clone()));
    let source = endpoint.with_path(format!("{prefix}/{owner}/{name}")).to_string();
    let (folder, revision) = (format!("{owner}--{name}"), Some(revision.to_owned()));
    Ok(Listed { folder, source, revision, files, hidden })
}

/// A whole listing, page after page of the same server.
fn entries(client: &Client, listing: &Address) -> Result<Vec<Entry>> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut at = listing.clone();
    for _ in 0..PAGES {
        let page = client.page(&at, limits::LISTING)?;
        let more: Vec<&RawValue> = serde_json::from_slice(&page.bytes)
            .map_err(|error| corrupt(listing, plain::json_error(&error)))?;
        let (there, most) = (entries.len() + more.len(), limits::FILES);
        if there > most {
            return Err(corrupt(listing, format!("it lists {there} files, more than {most}")));
        }
        for entry in more {
            let number = entries.len() + 1;
            let wrong = |why: String| corrupt(listing, format!("in entry {number}, {why}"));
            entries.push(plain::object(entry.get().as_bytes()).map_err(wrong)?);
        }
        let Some(next) = page.next else { return Ok(entries) };
        let next = at.join(&next).filter(|next| next.is_same_server(listing));
        at = next.ok_or_else(|| {
            network(listing, "its listing continues on another server, which is not followed")
        })?;
    }
    Err(network(listing, &format!("its listing has more than {PAGES} pages")))
}

fn remote(entry: &Entry, address: Address, listing: &Address) -> Result<Remote> {
    let large = entry.lfs.as_ref();
    let sum = large.and_then(|lfs| lfs.oid.as_deref()).map(|oid| oid.trim_start_matches("sha256:"));
    if let Some(sum) = sum {
        check_sha256(sum, &entry.path, &listing.to_string())?;
    }
    let bytes = match (large.and_then(|lfs| lfs.size), entry.size) {
        (Some(a), Some(b)) if a != b => {
            return Err(corrupt(
                listing,
                format!("it gives two sizes for {:?}, {a} and {b} bytes", short(&entry.path)),
            ));
        }
        (a, b) => a.or(b),
    };
    let is_weights = entry.path.ends_with(".safetensors") || entry.path.ends_with(".bin");
    let most = if is_weights { limits::WEIGHTS } else { limits::TOKENIZER };
    if let Some(bytes) = bytes {
        check_size(listing, &entry.path, bytes, most)?;
    }
    let mark = entry.oid.as_deref().map(|oid| short(oid).to_owned());
    Ok(Remote { address, bytes, sha256: sum.map(str::to_owned), mark, most, sized: is_weights })
}

fn check_size(from: &Address, name: &str, bytes: u64, most: u64) -> Result<()> {
    let problem = || {
        format!("it gives {bytes} bytes for {:?}, more than the {most} of such a file", short(name))
    };
    if bytes > most { Err(corrupt(from, problem())) } else { Ok(()) }
}

/// Whether a file or one of its folders is hidden.
fn is_hidden(path: &str) -> bool {
    path.split('/').any(|part| part.starts_with('.') && part != "." && part != "..")
}

/// Weights once, and the small files that describe them.
fn wanted(entries: &[Entry]) -> impl Iterator<Item = &Entry> {
    let folder = |path: &str| path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
    let files = entries.iter().filter(|entry| entry.kind == "file");
    let with_safetensors: HashSet<String> = files
        .clone()
        .map(|e| &*e.path)
        .filter(|p| p.ends_with(".safetensors"))
        .map(folder)
        .collect();
    files.filter(move |entry| {
        let name = entry.path.rsplit('/').next().unwrap_or(&entry.path);
        let torch = name.starts_with("pytorch_model")
            && (name.ends_with(".bin") || name.ends_with(".bin.index.json"));
        let small = name.ends_with(".json") && !name.ends_with(".bin.index.json")
            || name == "tokenizer.model"
            || name == "chat_template.jinja"
            || name == "README.md";
        small
            || name.ends_with(".safetensors")
            || torch && !with_safetensors.contains(&folder(&entry.path))
    })
}
