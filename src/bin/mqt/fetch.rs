//! One file from the network: in ranges, going on inside the file after anything, checked before it takes its name.

use crate::failure::{Failure, Result};
use indicatif::ProgressBar;
use mqt::cancel::Cancel;
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Requests in a row that bring no byte before we give up.
const PATIENCE: u32 = 6;
/// A range shall take about so long: then a stall is noticed soon, and the cost of asking does not count.
const RANGE_SECONDS: f64 = 10.0;
const RANGE_BYTES: std::ops::RangeInclusive<u64> = 256 << 10..=64 << 20;
/// Servers may ask for patience; not for more than this.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What is to be fetched.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    /// Where it is.
    pub(crate) url: String,
    /// Its size, if somebody said.
    pub(crate) bytes: Option<u64>,
    /// Its SHA-256 in hex, if somebody said.
    pub(crate) sha256: Option<String>,
}

/// A client with its patience.
pub(crate) struct Client {
    agent: ureq::Agent,
    token: Option<String>,
    cancel: Cancel,
    /// Of one range, and between retries at first.
    pause: Duration,
}

/// Why a request brought less than was asked for.
enum Trouble {
    /// Worth another try, perhaps after a wait that the server asked for.
    Passing {
        why: String,
        wait: Option<Duration>,
    },
    Final(Failure),
}

impl Client {
    /// `stall`: how long a server may take for a range of about a third of that.
    pub(crate) fn new(token: Option<String>, stall: Duration, cancel: Cancel) -> Client {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .user_agent(concat!("mqt/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(stall))
            .timeout_recv_response(Some(stall))
            .timeout_recv_body(Some(stall))
            .build();
        let pause = (stall / 30).clamp(Duration::from_millis(10), Duration::from_secs(1));
        Client { agent: config.new_agent(), token, cancel, pause }
    }

    /// A small file, whole.
    pub(crate) fn small(&self, url: &str) -> Result<Vec<u8>> {
        let folder = tempfile::tempdir().map_err(|e| Failure::output("a temporary folder", &e))?;
        let path = folder.path().join("small");
        let remote = Remote { url: url.into(), bytes: None, sha256: None };
        self.file(&remote, &path, &ProgressBar::hidden())?;
        fs::read(&path).map_err(|e| Failure::output(&path.display().to_string(), &e))
    }

    /// Fetches `remote` to `path`, going on from what an earlier run left in `path` + `.part`.
    ///
    /// # Errors
    /// Code 7: the network; 130: cancelled; in both cases what arrived is kept.
    pub(crate) fn file(&self, remote: &Remote, path: &Path, bar: &ProgressBar) -> Result<()> {
        let failed = |error: io::Error| Failure::output(&path.display().to_string(), &error);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let part = part_of(path);
        // A second time from the start, if what was there before turns out to be of another file.
        for fresh in [false, true] {
            let mut file = OpenOptions::new().create(true).append(true).truncate(false).open(&part).map_err(failed)?;
            let kept = file.metadata().map_err(failed)?.len();
            if fresh || remote.bytes.is_some_and(|bytes| kept > bytes) {
                file.set_len(0).map_err(failed)?;
            }
            self.rest(remote, &mut file, bar)?;
            file.sync_all().map_err(failed)?;
            let arrived = file.metadata().map_err(failed)?.len();
            let sha256 = remote.sha256.as_ref().map(|_| sha256(&part)).transpose().map_err(failed)?;
            if sha256 == remote.sha256 {
                return fs::rename(&part, path).map_err(failed);
            }
            bar.dec(arrived);
            if fresh || kept == 0 {
                fs::remove_file(&part).map_err(failed)?;
                return Err(network(&remote.url, "what arrived does not match its SHA-256"));
            }
        }
        unreachable!("the second round returns")
    }

    /// Appends to `file` until it is complete.
    fn rest(&self, remote: &Remote, file: &mut File, bar: &ProgressBar) -> Result<()> {
        let mut at = file.metadata().map_err(|e| Failure::output("the file", &e))?.len();
        bar.inc(at);
        let mut total = remote.bytes;
        let mut range = *RANGE_BYTES.start() * 4;
        let mut fruitless = 0;
        while total.is_none_or(|total| at < total) {
            if self.cancel.is_cancelled() {
                return Err(Failure::interrupted());
            }
            let (before, start) = (at, Instant::now());
            let end = total.map_or(at + range, |total| total.min(at + range));
            let trouble = match self.range(&remote.url, file, &mut at, end, &mut total, bar) {
                Ok(()) => None,
                Err(Trouble::Final(failure)) => return Err(failure),
                Err(Trouble::Passing { why, wait }) => Some((why, wait)),
            };
            let (got, seconds) = (at.saturating_sub(before), start.elapsed().as_secs_f64());
            let rate = got as f64 / seconds.max(1e-3);
            range = ((rate * RANGE_SECONDS) as u64).clamp(*RANGE_BYTES.start(), *RANGE_BYTES.end());
            let Some((why, wait)) = trouble else {
                fruitless = 0;
                continue;
            };
            fruitless = if got > 0 { 0 } else { fruitless + 1 };
            if fruitless >= PATIENCE {
                return Err(network(&remote.url, &format!("{why}; tried {PATIENCE} times. What arrived is kept; run the same command to go on")));
            }
            self.wait(wait.unwrap_or(self.pause * 2u32.pow(fruitless)).min(LONGEST_WAIT));
        }
        Ok(())
    }

    /// Sleeps, but not through a cancellation.
    fn wait(&self, time: Duration) {
        let start = Instant::now();
        while start.elapsed() < time && !self.cancel.is_cancelled() {
            sleep(Duration::from_millis(20).min(time));
        }
    }

    /// Asks for bytes `at..end` and appends what comes; learns the file's size where nobody said.
    fn range(
        &self,
        url: &str,
        file: &mut File,
        at: &mut u64,
        end: u64,
        total: &mut Option<u64>,
        bar: &ProgressBar,
    ) -> std::result::Result<(), Trouble> {
        let passing = |why: String| Trouble::Passing { why, wait: None };
        let mut request = self.agent.get(url).header("range", format!("bytes={at}-{}", end - 1)).header("accept-encoding", "identity");
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut response = request.call().map_err(|e| passing(e.to_string()))?;
        let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let size = header("content-range").and_then(|v| v.rsplit('/').next()?.parse::<u64>().ok());
        match response.status().as_u16() {
            206 => {
                let first = header("content-range").and_then(|v| v.trim_start_matches("bytes ").split('-').next()?.parse::<u64>().ok());
                if first != Some(*at) {
                    return Err(passing(format!("the server sent another range than asked for ({first:?})")));
                }
                *total = total.or(size);
            }
            // The server ignores ranges: from the start, then.
            200 => {
                file.set_len(0).map_err(|e| Trouble::Final(Failure::output("the file", &e)))?;
                bar.dec(*at);
                *at = 0;
                *total = total.or_else(|| header("content-length").and_then(|v| v.parse().ok()));
            }
            416 if total.is_none() && size == Some(*at) => {
                *total = size;
                return Ok(());
            }
            code @ (408 | 425 | 429 | 500..=599) => {
                let wait = header("retry-after").and_then(|v| v.trim().parse().ok()).map(Duration::from_secs);
                return Err(Trouble::Passing { why: format!("the server answers {code}"), wait });
            }
            code => {
                let hint = match code {
                    401 | 403 => "; a token in HF_TOKEN may help",
                    404 => "; there is no such file",
                    _ => "",
                };
                return Err(Trouble::Final(network(url, &format!("the server answers {code}{hint}"))));
            }
        }
        let whole = response.status().as_u16() == 200;
        let mut body = response.body_mut().as_reader();
        let limit = if whole { *total } else { Some(end) };
        let mut buffer = vec![0; 64 << 10];
        // A server that sends more than it should is not listened to.
        while limit.is_none_or(|limit| *at < limit) {
            if self.cancel.is_cancelled() {
                return Err(Trouble::Final(Failure::interrupted()));
            }
            let most = limit.map_or(buffer.len(), |limit| buffer.len().min(usize::try_from(limit - *at).unwrap_or(usize::MAX)));
            match body.read(&mut buffer[..most]) {
                Ok(0) if limit.is_none() => *total = Some(*at),
                Ok(0) => return Err(passing("the connection ended early".into())),
                Ok(n) => {
                    file.write_all(&buffer[..n]).map_err(|e| Trouble::Final(Failure::output("the file", &e)))?;
                    *at += n as u64;
                    bar.inc(n as u64);
                    continue;
                }
                Err(error) => return Err(passing(error.to_string())),
            }
            break;
        }
        Ok(())
    }
}

/// The name of a file that is not complete.
pub(crate) fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

/// SHA-256 of a file, in hex.
pub(crate) fn sha256(path: &Path) -> io::Result<String> {
    let (mut file, mut hash, mut buffer) = (File::open(path)?, Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize().iter().map(|b| format!("{b:02x}")).collect()),
            n => hash.update(&buffer[..n]),
        }
    }
}

/// Code 7.
pub(crate) fn network(url: &str, why: &str) -> Failure {
    Failure { code: 7, message: Some(format!("{url}: {why}")) }
}
