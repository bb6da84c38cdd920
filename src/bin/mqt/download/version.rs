//! Which version of a file a server sends, and what an unfinished file is a part of.

use super::Remote;
use crate::fetch::header;
use serde::{Deserialize, Serialize};
use ureq::http::HeaderMap;

/// What a server says about the version of a file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Version {
    etag: Option<String>,
    modified: Option<String>,
    pub(super) total: Option<u64>,
}

impl Version {
    pub(super) fn of(headers: &HeaderMap, total: Option<u64>) -> Version {
        // Sent back in requests, so of bounded length.
        let said = |name| header(headers, name).filter(|value| value.len() <= 200);
        Version { etag: said("etag"), modified: said("last-modified"), total }
    }

    /// Whether anything tells this version from another one. A size does not.
    pub(super) fn is_marked(&self) -> bool {
        self.etag.is_some() || self.modified.is_some()
    }

    /// Whether `other` is certainly this version: a mark says so, and nothing contradicts it.
    pub(super) fn is_confirmed_by(&self, other: &Version) -> bool {
        let same = self.etag.is_some() && self.etag == other.etag
            || self.modified.is_some() && self.modified == other.modified;
        same && !self.contradicts(other)
    }

    /// Whether `other` is certainly another version.
    pub(super) fn contradicts(&self, other: &Version) -> bool {
        fn differ<T: PartialEq>(a: &Option<T>, b: &Option<T>) -> bool {
            a.is_some() && b.is_some() && a != b
        }
        differ(&self.etag, &other.etag)
            || differ(&self.modified, &other.modified)
            || differ(&self.total, &other.total)
    }

    /// What `If-Range` may carry: a strong entity tag, else a date. A weak tag may not be used
    /// there.
    pub(super) fn condition(&self) -> Option<&str> {
        match &self.etag {
            Some(etag) => Some(etag.as_str()).filter(|etag| etag.starts_with('"')),
            None => self.modified.as_deref(),
        }
    }
}

/// What an unfinished file is a part of; kept beside it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Begun {
    address: String,
    bytes: Option<u64>,
    sha256: Option<String>,
    mark: Option<String>,
    pub(super) version: Version,
}

impl Begun {
    pub(super) fn of(remote: &Remote) -> Begun {
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
    pub(super) fn is_of(&self, remote: &Remote) -> bool {
        let same = Begun { version: Version::default(), ..self.clone() } == Begun::of(remote);
        match &remote.sha256 {
            Some(_) => self.sha256 == remote.sha256,
            // Without a mark there is nothing to recognise the version by.
            None => same && self.version.is_marked(),
        }
    }
}
