//! One file from the network: in ranges, resumed inside the file, never assembled from two
//! versions, checked at the end.
//!
//! If a file's SHA-256 is known, the SHA-256 decides. For other files we remember how the server
//! marks the version (entity tag, date): every range must carry the same mark, in later runs too,
//! or the file is fetched again from its start. A file without a mark must come in one answer: a
//! size alone does not distinguish two versions.

mod version;

use crate::address::Address;
use crate::failure::{Failure, Result};
use crate::fetch::{Client, PATIENCE, Range, Trouble, header, length, network, read, refusal};
use crate::folder::{read_small, sha256};
use indicatif::ProgressBar;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;
use ureq::Body;
use ureq::http::Response;
use version::{Begun, Version};

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
    /// How often it began from the start again.
    restarts: u32,
    /// Asked for in one request without a range: the server does not mark its versions.
    whole: bool,
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
            restarts: 0,
            whole: false,
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
        self.restarts += 1;
        self.begun.version = version;
        self.note()
    }

    /// Whether what there is can be continued without mixing two versions.
    fn can_go_on(&self) -> bool {
        self.remote.sha256.is_some() || self.begun.version.is_marked()
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
            let (before, restarts, changes) = (self.at, self.restarts, self.changes);
            let start = Instant::now();
            let trouble = match self.step(range) {
                Ok(()) => None,
                Err(Trouble::Final(failure)) => return Err(failure),
                Err(Trouble::Passing { why, wait }) => Some((why, wait)),
            };
            let rate =
                self.at.saturating_sub(before) as f64 / start.elapsed().as_secs_f64().max(1e-3);
            range = ((rate * RANGE_SECONDS) as u64).clamp(*RANGE_BYTES.start(), *RANGE_BYTES.end());
            if self.changes > changes {
                // Another file, which has to get as far first.
                furthest = 0;
            }
            // Who begins from the start each time brings nothing new, however far it gets.
            if self.at > furthest && self.restarts == restarts {
                fruitless = 0;
            } else if trouble.is_some() {
                fruitless += 1;
            }
            furthest = furthest.max(self.at);
            let Some((why, wait)) = trouble else { continue };
            if fruitless >= PATIENCE {
                return Err(self.given_up(&why));
            }
            self.client.wait(wait, fruitless);
        }
        Ok(())
    }

    fn given_up(&self, why: &str) -> Failure {
        let next = if self.can_go_on() {
            "What arrived is kept; run the same command to go on"
        } else {
            "The server does not mark the file's version, so another run fetches it from its start"
        };
        network(&self.remote.address, &format!("{why}; tried {PATIENCE} times. {next}"))
    }

    /// One request: for the next `range` bytes, or for all of a file without a mark.
    fn step(&mut self, range: u64) -> std::result::Result<(), Trouble> {
        if self.at > 0 && !self.can_go_on() {
            self.restart(Version::default())?;
            self.whole = true;
        }
        let end = self.total().map_or(self.at + range, |total| total.min(self.at + range));
        if self.whole && self.at == 0 { self.range(None) } else { self.range(Some(end)) }
    }

    /// Asks for the bytes up to `end`, or for the whole file, and appends what comes.
    fn range(&mut self, end: Option<u64>) -> std::result::Result<(), Trouble> {
        // With a SHA-256 the content decides; servers of one file may disagree about its version.
        let version =
            self.begun.version.condition().filter(|_| self.at > 0 && self.remote.sha256.is_none());
        let range = end.map(|end| Range { first: self.at, end, version });
        let response = self.client.get(&self.remote.address, range)?;
        let said = header(response.headers(), "content-range");
        let (bounds, total) = said
            .as_deref()
            .and_then(|v| v.trim_start_matches("bytes ").split_once('/'))
            .unwrap_or_default();
        let total = total.trim().parse::<u64>().ok();
        match response.status().as_u16() {
            206 => {
                let Some(end) = end else { return Err(self.only_pieces().into()) };
                let bounds = bounds.split_once('-').and_then(|(first, last)| {
                    Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
                });
                let Some((_, last)) =
                    bounds.filter(|&(first, last): &(u64, u64)| first == self.at && last >= first)
                else {
                    return Err(Trouble::passing("the server sent another range than asked for"));
                };
                self.recognise(Version::of(response.headers(), total))?;
                let all =
                    self.at == 0 && total.is_some_and(|total| last.saturating_add(1) >= total);
                if !all && !self.can_go_on() {
                    // The next piece could be of another version.
                    self.whole = true;
                    return Ok(());
                }
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
            416 if self.total().is_none()
                && total == Some(self.at)
                && self.is_still_of(&response) =>
            {
                self.begun.version.total = total;
                Ok(())
            }
            416 if self.at > 0 => {
                self.changed()?;
                self.restart(Version::default())?;
                self.whole = true;
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
        } else if self.at > 0 && !self.begun.version.is_confirmed_by(&seen) {
            let why = if self.begun.version.contradicts(&seen) {
                self.changed()?;
                "the file changed on the server"
            } else {
                self.whole = true;
                "the server no longer says which version of the file it sends"
            };
            self.restart(Version::default())?;
            return Err(Trouble::passing(why));
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

    /// Whether an answer without content is about the version of which all is here.
    fn is_still_of(&self, response: &Response<Body>) -> bool {
        let seen = Version::of(response.headers(), None);
        self.at == 0 || self.remote.sha256.is_some() || self.begun.version.is_confirmed_by(&seen)
    }

    fn only_pieces(&self) -> Failure {
        network(
            &self.remote.address,
            "the server sends the file only in pieces and does not mark their version (no ETag, no \
             Last-Modified), so that they may belong to two versions; take it from another server",
        )
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
