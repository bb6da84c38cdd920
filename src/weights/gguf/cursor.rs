//! Reads numbers and texts from the beginning of a file, never beyond its end.

use crate::error::Result;
use crate::untrusted::short;

/// Why reading stopped.
pub(super) enum Stop {
    /// The bytes end inside this part of the file; there may be more of them.
    Short(&'static str),
    /// What is wrong with the file.
    Wrong(String),
}

/// A place in the first bytes of a file.
pub(super) struct Cursor<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
    /// Bytes of the whole file.
    pub(super) size: u64,
    /// What is being read, for messages.
    pub(super) part: &'static str,
}

impl<'a> Cursor<'a> {
    /// The next `n` bytes.
    pub(super) fn take(&mut self, n: usize) -> Result<&'a [u8], Stop> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..n).ok_or(Stop::Short(self.part))?;
        self.at += n;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let bytes = self.take(N)?;
        Ok(std::array::from_fn(|i| bytes[i]))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Stop> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Stop> {
        self.array().map(u64::from_le_bytes)
    }

    /// Refuses a count of things, each of at least `least` bytes, that the rest of the file cannot
    /// hold.
    pub(super) fn check_count(&self, what: &str, count: u64, least: u64) -> Result<(), Stop> {
        if count > (self.size - self.at as u64) / least {
            return Err(Stop::Wrong(format!(
                "it claims {count} {what} in a file of {} bytes: it is truncated or damaged",
                self.size
            )));
        }
        Ok(())
    }

    /// The bytes of a text: their number, then they themselves.
    pub(super) fn text(&mut self) -> Result<&'a [u8], Stop> {
        let n = self.u64()?;
        if n > self.size - self.at as u64 {
            return Err(Stop::Wrong(format!(
                "it claims a text of {n} bytes in a file of {}: it is truncated or damaged",
                self.size
            )));
        }
        // It is at most the file's size, which a pointer may still not reach.
        self.take(usize::try_from(n).map_err(|_| Stop::Short(self.part))?)
    }

    /// The name of a key or a tensor.
    pub(super) fn name(&mut self, what: &str) -> Result<String, Stop> {
        let bytes = self.text()?;
        match std::str::from_utf8(bytes) {
            Ok("") => Err(Stop::Wrong(format!("a {what} has no name"))),
            Ok(name) => Ok(name.to_owned()),
            Err(_) => {
                let name = String::from_utf8_lossy(bytes);
                Err(Stop::Wrong(format!("the {what} {:?} is not UTF-8", short(&name))))
            }
        }
    }
}
