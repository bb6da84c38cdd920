//! Addresses on the network: what may be asked for, and how they are written for people.
//!
//! An address may hold a password (`https://user:password@host/`) and its query may be a signature,
//! so neither is ever shown.

use crate::failure::{Failure, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::fmt;
use ureq::http::Uri;

/// An `http` or `https` address, taken apart.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    secure: bool,
    /// `host` or `host:port`, in small letters.
    host: String,
    /// From the first slash on, with the query.
    path: String,
    /// `user:password`, as it was written.
    login: Option<String>,
}

/// Whether a text is meant as an address.
pub(crate) fn is_address(text: &str) -> bool {
    text.contains("://")
}

impl Address {
    /// Reads a whole address; a fragment is dropped.
    pub(crate) fn parse(text: &str) -> Option<Address> {
        let (scheme, rest) = text.split_once("://")?;
        let secure = scheme.eq_ignore_ascii_case("https");
        if !secure && !scheme.eq_ignore_ascii_case("http") {
            return None;
        }
        let rest = rest.split('#').next().unwrap_or(rest);
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (login, host) = authority
            .rsplit_once('@')
            .map_or((None, authority), |(login, host)| (Some(login.to_owned()), host));
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let address = Address { secure, host: host.to_ascii_lowercase(), path, login };
        // ureq must be able to send it, or it would fail later with a text of its own.
        let uri = address.plain().parse::<Uri>().ok()?;
        let port_is_read = uri.port_u16().is_some()
            || !address.host.trim_start_matches(uri.host()?).starts_with(':');
        (uri.host() != Some("") && port_is_read).then_some(address)
    }

    /// The address that `text`, said at this one, leads to: whole, or relative to this one.
    pub(crate) fn join(&self, text: &str) -> Option<Address> {
        let here = self.path.split('?').next().unwrap_or(&self.path);
        let folder = here.rfind('/').map_or("/", |slash| &here[..=slash]);
        let path = match text {
            _ if text.starts_with("//") => {
                return Address::parse(&format!("{}:{text}", self.scheme()));
            }
            _ if text.starts_with('/') => text.to_owned(),
            _ if text.starts_with('?') => format!("{here}{text}"),
            _ if text.split(['/', '?', '#']).next().is_some_and(|first| first.contains(':')) => {
                return Address::parse(text);
            }
            _ => format!("{folder}{text}"),
        };
        Address::parse(&format!("{}://{}{path}", self.scheme(), self.host))
    }

    /// The same server, another path.
    pub(crate) fn with_path(&self, path: impl Into<String>) -> Address {
        Address { path: path.into(), ..self.clone() }
    }

    /// The path without the query.
    pub(crate) fn path(&self) -> &str {
        self.path.split('?').next().unwrap_or(&self.path)
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.secure
    }

    /// Whether both are served by the same server, over the same protocol: a secret for one is safe
    /// with the other.
    pub(crate) fn is_same_server(&self, other: &Address) -> bool {
        let port =
            |a: &Address| a.host.trim_end_matches(if a.secure { ":443" } else { ":80" }).to_owned();
        self.secure == other.secure && port(self) == port(other)
    }

    /// The value of the header that carries its user and password.
    pub(crate) fn login(&self) -> Option<String> {
        let login = self.login.as_ref()?;
        let login = if login.contains(':') { login.clone() } else { format!("{login}:") };
        Some(format!("Basic {}", BASE64_STANDARD.encode(decoded(&login))))
    }

    /// As it is sent: without user and password.
    pub(crate) fn plain(&self) -> String {
        format!("{}://{}{}", self.scheme(), self.host, self.path)
    }

    fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }
}

/// For people: without user, password and query.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme(), self.host, self.path())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Reads an address that a person gave; what is wrong with it is said without repeating it.
pub(crate) fn given(text: &str, what: &str) -> Result<Address> {
    Address::parse(text).ok_or_else(|| {
        Failure::usage(format!("{what} is no address of the form https://host/path"))
    })
}

/// A file's name as a part of an address.
pub(crate) fn encoded(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                out.push(char::from(byte))
            }
            _ => out += &format!("%{byte:02X}"),
        }
    }
    out
}

fn decoded(text: &str) -> Vec<u8> {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::new(), 0);
    while at < bytes.len() {
        let hex = bytes
            .get(at + 1..at + 3)
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .filter(|hex| !hex.starts_with('+'));
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| bytes[at] == b'%') {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_shown() {
        let address =
            Address::parse("HTTPS://me:p%40ss@Host.example:8443/a/b?signature=s3cret#part")
                .unwrap();
        assert_eq!(address.to_string(), "https://host.example:8443/a/b");
        assert_eq!(format!("{address:?}"), address.to_string());
        assert_eq!(address.plain(), "https://host.example:8443/a/b?signature=s3cret");
        assert_eq!(
            address.login().unwrap(),
            format!("Basic {}", BASE64_STANDARD.encode("me:p@ss"))
        );
        assert_eq!(Address::parse("http://a@b:c@host").unwrap().to_string(), "http://host/");
    }

    #[test]
    fn what_is_no_address_is_none() {
        for text in [
            "",
            "host/a",
            "ftp://host/a",
            "file:///etc/passwd",
            "http://",
            "http://[",
            "http://me@",
            "https://a b/",
            "http://h:99999/",
            "http:///a",
        ] {
            assert_eq!(Address::parse(text), None, "{text}");
        }
    }

    #[test]
    fn redirects_are_whole_or_relative() {
        let base = Address::parse("https://host/a/b?c").unwrap();
        let joined = |text: &str| base.join(text).map(|address| address.plain());
        assert_eq!(joined("/x?y#z").unwrap(), "https://host/x?y");
        assert_eq!(joined("x").unwrap(), "https://host/a/x");
        assert_eq!(joined("?d").unwrap(), "https://host/a/b?d");
        assert_eq!(joined("//other/x").unwrap(), "https://other/x");
        assert_eq!(joined("http://other:80/x").unwrap(), "http://other:80/x");
        assert_eq!(joined("x:y").as_deref(), None);
        assert_eq!(joined("file:///etc/passwd").as_deref(), None);
    }

    #[test]
    fn a_server_is_scheme_host_and_port() {
        let at = |text: &str| Address::parse(text).unwrap();
        assert!(at("https://host/a").is_same_server(&at("https://HOST:443/b")));
        for other in
            ["http://host/a", "https://host:8443/a", "https://host.example/a", "https://other/a"]
        {
            assert!(!at("https://host/a").is_same_server(&at(other)), "{other}");
        }
    }

    #[test]
    fn names_are_encoded() {
        assert_eq!(encoded("vision_tower/a b#1?.json"), "vision_tower/a%20b%231%3F.json");
        assert_eq!(encoded("ü%"), "%C3%BC%25");
    }
}
