//! One file from the network: in ranges, resumed inside the file, never put together from two
//! versions, checked at the end.
//!
//! A file whose SHA-256 somebody said is what has that sum. Of others we hold on to what the server
//! says about its version (entity tag, date, size): every range must be of the same one, in later
//! runs too, or the file is fetched from its start again.

use crate::address::Address;
use crate::failure::{Failure, Result};
use crate::fetch::{Client, PATIENCE, Range, Trouble, header, length, network, read, refusal};
use crate::folder::{read_small, sha256};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;
use ureq::Body;
use ureq::http::{HeaderMap, Response};

/// A range should take about this long: then a stall is noticed soon, and the cost of asking does
/// not count.
const RANGE_SECONDS: f64 = 10.0;
const RANGE_BYTES: std::ops::RangeInclusive<u64> = 256 << 10..=64 << 20;
/// How often a file may change under our hands.
const CHANGES: u32 = 3;

/// What is to be fetched.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    /// Where it is.
    pub(crate) address: Address,
    /// Its size, if somebody said.
    pub(crate) bytes: Option<u64>,
    /// Its SHA-256 in hex, if somebody said.
    pub(crate) sha256: Option<String>,
    /// What the listing calls this version of it.
    pub(crate) mark: Option<String>,
    /// Most bytes that such a file may have.
    pub(crate) most: u64,
    /// Whether its size must be known before it is fetched.
    pub(crate) sized: bool,
}

/// What a server says about the version of a file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Version {
    etag: Option<String>,
    modified: Option<String>,
    total: Option<u64>,
}

impl Version {
    fn of(headers: &HeaderMap, total: Option<u64>) -> Version {
        // Sent back in requests, so of bounded length.
        let said = |name| header(headers, name).filter(|value| value.len() <= 200);
        Version { etag: said("etag"), modified: said("last-modified"), total }
    }

    /// Whether `other` is certainly another version.
    fn contradicts(&self, other: &Version) -> bool {
        fn differ<T: PartialEq>(a: &Option<T>, b: &Option<T>) -> bool {
            a.is_some() && b.is_some() && a != b
        }
        differ(&self.etag, &other.etag)
            || differ(&self.modified, &other.modified)
            || differ(&self.total, &other.total)
    }

    /// What `If-Range` may carry: a strong entity tag, else a date. A weak tag may not be used
    /// there.
    fn condition(&self) -> Option<&str> {
        match &self.etag {
            Some(etag) => Some(etag.as_str()).filter(|etag| etag.starts_with('"')),
            None => self.modified.as_deref(),
        }
    }
}

/// What an unfinished file is a part of; kept beside it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Begun {
    address: String,
    bytes: Option<u64>,
    sha256: Option<String>,
    mark: Option<String>,
    version: Version,
}

impl Begun {
    fn of(remote: &Remote) -> Begun {
        let Remote { address, bytes, sha256, mark, .. } = remote;
        Begun {
            address: address.to_string(),
            bytes: *bytes,
            sha256: sha256.clone(),
            mark: mark.clone(),
            version: Version::default(),
        }
    }

    /// Whether what was begun is a part of the file that is wanted now, as far as can be told
    /// before asking the server.
    fn is_of(&self, remote: &Remote) -> bool {
        let same = Begun { version: Version::default(), ..self.clone() } == Begun::of(remote);
        match &remote.sha256 {
            Some(_) => self.sha256 == remote.sha256,
            // Of a server that said nothing there is nothing to recognise the file by.
            None => same && self.version != Version::default(),
        }
    }
}

/// Fetches `remote` to the file `part`, resuming what an earlier run left there; its SHA-256.
///
/// # Errors
/// Code 7: the network; what arrived is kept.
pub(crate) fn fetch(
    client: &Client,
    remote: &Remote,
    part: &Path,
    bar: &ProgressBar,
) -> Result<String> {
    loop {
        let mut download = Download::open(client, remote, part, bar)?;
        let resumed = download.at > 0;
        download.rest()?;
        let sum = download
            .file
            .sync_all()
            .and_then(|()| sha256(part))
            .map_err(|e| download.failed(&e))?;
        if remote.sha256.as_ref().is_none_or(|want| *want == sum) {
            return Ok(sum);
        }
        bar.dec(download.at);
        forget(part);
        // What an earlier run left may have been wrong; what came now was not.
        if !resumed {
            return Err(network(&remote.address, "what arrived does not match its SHA-256"));
        }
    }
}

/// Removes an unfinished file.
pub(crate) fn forget(part: &Path) {
    let _ = fs::remove_file(part);
    let _ = fs::remove_file(beside(part));
}

fn beside(part: &Path) -> PathBuf {
    part.with_extension("json")
}

struct Download<'a> {
    client: &'a Client,
    remote: &'a Remote,
    part: &'a Path,
    bar: &'a ProgressBar,
    file: File,
    /// Bytes there are.
    at: u64,
    begun: Begun,
    changes: u32,
}

impl<'a> Download<'a> {
    fn open(
        client: &'a Client,
        remote: &'a Remote,
        part: &'a Path,
        bar: &'a ProgressBar,
    ) -> Result<Download<'a>> {
        let failed = |error: io::Error| Failure::output(&part.display().to_string(), &error);
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .truncate(false)
            .open(part)
            .map_err(failed)?;
        let mut at = file.metadata().map_err(failed)?.len();
        let old =
            read_small(&beside(part)).and_then(|text| serde_json::from_slice::<Begun>(&text).ok());
        let old = old.filter(|old| {
            old.is_of(remote) && remote.bytes.or(old.version.total).is_none_or(|bytes| at <= bytes)
        });
        if old.is_none() {
            file.set_len(0).map_err(failed)?;
            at = 0;
        }
        bar.inc(at);
        let download = Download {
            client,
            remote,
            part,
            bar,
            file,
            at,
            begun: old.unwrap_or_else(|| Begun::of(remote)),
            changes: 0,
        };
        download.note()?;
        Ok(download)
    }

    fn failed(&self, error: &io::Error) -> Failure {
        Failure::output(&self.part.display().to_string(), error)
    }

    /// Says beside the file what it is a part of.
    fn note(&self) -> Result<()> {
        let json = serde_json::to_vec(&self.begun).expect("our records have only string keys");
        fs::write(beside(self.part), json).map_err(|e| self.failed(&e))
    }

    /// Drops what there is.
    fn restart(&mut self, version: Version) -> Result<()> {
        self.file.set_len(0).map_err(|e| self.failed(&e))?;
        self.bar.dec(self.at);
        self.at = 0;
        self.begun.version = version;
        self.note()
    }

    /// Its size, as far as it is known.
    fn total(&self) -> Option<u64> {
        self.remote.bytes.or(self.begun.version.total)
    }

    /// Fetches until the file is complete.
    fn rest(&mut self) -> Result<()> {
        let mut range = *RANGE_BYTES.start() * 4;
        let (mut fruitless, mut furthest) = (0, self.at);
        while self.total().is_none_or(|total| self.at < total) {
            let (before, start) = (self.at, Instant::now());
            let end = self.total().map_or(self.at + range, |total| total.min(self.at + range));
            let trouble = match self.range(end) {
                Ok(()) => None,
                Err(Trouble::Final(failure)) => return Err(failure),
                Err(Trouble::Passing { why, wait }) => Some((why, wait)),
            };
            let rate =
                self.at.saturating_sub(before) as f64 / start.elapsed().as_secs_f64().max(1e-3);
            range = ((rate * RANGE_SECONDS) as u64).clamp(*RANGE_BYTES.start(), *RANGE_BYTES.end());
            // A server that begins from the start each time brings nothing new until it gets
            // further.
            fruitless = if self.at > furthest || trouble.is_none() { 0 } else { fruitless + 1 };
            furthest = furthest.max(self.at);
            let Some((why, wait)) = trouble else { continue };
            if fruitless >= PATIENCE {
                let why = format!(
                    "{why}; tried {PATIENCE} times. What arrived is kept; run the same command to go on"
                );
                return Err(network(&self.remote.address, &why));
            }
            self.client.wait(wait, fruitless);
        }
        Ok(())
    }

    /// Asks for the bytes up to `end` and appends what comes.
    fn range(&mut self, end: u64) -> std::result::Result<(), Trouble> {
        // With a SHA-256 the content decides; servers of one file may disagree about its version.
        let version =
            self.begun.version.condition().filter(|_| self.at > 0 && self.remote.sha256.is_none());
        let response =
            self.client.get(&self.remote.address, Some(Range { first: self.at, end, version }))?;
        let said = header(response.headers(), "content-range");
        let (bounds, total) = said
            .as_deref()
            .and_then(|v| v.trim_start_matches("bytes ").split_once('/'))
            .unwrap_or_default();
        let total = total.trim().parse::<u64>().ok();
        match response.status().as_u16() {
            206 => {
                let bounds = bounds.split_once('-').and_then(|(first, last)| {
                    Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
                });
                let Some((_, last)) =
                    bounds.filter(|&(first, last): &(u64, u64)| first == self.at && last >= first)
                else {
                    return Err(Trouble::passing("the server sent another range than asked for"));
                };
                self.recognise(Version::of(response.headers(), total))?;
                let end = self.total().unwrap_or(u64::MAX).min(end).min(last.saturating_add(1));
                self.append(response, Some(end), Some(self.client.deadline()))
            }
            // The server ignores ranges, or the file is another one now: from the start.
            200 => {
                let seen = Version::of(response.headers(), length(response.headers()));
                if self.at > 0 && self.begun.version.contradicts(&seen) {
                    self.changed()?;
                }
                self.restart(Version::default())?;
                self.recognise(seen)?;
                let end = self.total();
                // However long all of it takes: asking again would begin again.
                self.append(response, end, None)
            }
            // All of it was there.
            416 if self.total().is_none() && total == Some(self.at) => {
                self.begun.version.total = total;
                Ok(())
            }
            416 if self.at > 0 => {
                self.changed()?;
                self.restart(Version::default())?;
                Err(Trouble::passing("the file became shorter on the server"))
            }
            _ => Err(refusal(&self.remote.address, &response)),
        }
    }

    /// Compares an answer's version with what is there already; the first answer decides.
    fn recognise(&mut self, seen: Version) -> std::result::Result<(), Trouble> {
        let Remote { address, bytes, sha256, most, sized, .. } = self.remote;
        if sha256.is_some() {
            self.begun.version.total = self.begun.version.total.or(seen.total);
        } else if self.at > 0 && self.begun.version.contradicts(&seen) {
            self.changed()?;
            self.restart(Version::default())?;
            return Err(Trouble::passing("the file changed on the server"));
        } else if self.at == 0 {
            self.begun.version = seen.clone();
            self.note()?;
        }
        match (*bytes, seen.total) {
            (Some(bytes), Some(total)) if bytes != total && sha256.is_none() => Err(network(
                address,
                &format!("it should have {bytes} bytes, and the server has {total}"),
            )
            .into()),
            (None, Some(total)) if total > *most => Err(network(
                address,
                &format!("it has {total} bytes, more than the {most} of such a file"),
            )
            .into()),
            (None, None) if *sized && self.total().is_none() => {
                Err(network(address, "the server does not say how large it is").into())
            }
            _ => Ok(()),
        }
    }

    fn changed(&mut self) -> Result<()> {
        self.changes += 1;
        if self.changes > CHANGES {
            return Err(network(
                &self.remote.address,
                "it changes on the server while it is fetched; try again later",
            ));
        }
        Ok(())
    }

    /// Appends an answer, up to `end` or, if nobody knows the size, to its own end.
    fn append(
        &mut self,
        mut response: Response<Body>,
        end: Option<u64>,
        deadline: Option<Instant>,
    ) -> std::result::Result<(), Trouble> {
        let mut body = response.body_mut().as_reader();
        let mut buffer = vec![0; 64 << 10];
        // A server that sends more than it should is not listened to.
        while end.is_none_or(|end| self.at < end) {
            let most = end.map_or(buffer.len(), |end| {
                buffer.len().min(usize::try_from(end - self.at).unwrap_or(usize::MAX))
            });
            match read(&mut body, &mut buffer[..most], deadline)? {
                0 if end.is_none() => {
                    self.begun.version.total = Some(self.at);
                    return Ok(());
                }
                0 => return Err(Trouble::passing("the connection ended early")),
                n => {
                    self.file.write_all(&buffer[..n]).map_err(|e| self.failed(&e))?;
                    self.at += n as u64;
                    self.bar.inc(n as u64);
                }
            }
            if self.at > self.remote.most {
                return Err(network(
                    &self.remote.address,
                    &format!("it has more than the {} bytes of such a file", self.remote.most),
                )
                .into());
            }
        }
        Ok(())
    }
}
