//! File names as people type or drop them where no shell interprets them: quoted, with escaped
//! spaces, `~`, `file://`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The file that is meant. A name that exists as it was typed is never read in another way.
pub(crate) fn file_name(text: &str) -> OsString {
    if Path::new(text).exists() {
        return text.into();
    }
    let text = unquoted(text).unwrap_or_else(|| text.to_owned());
    from_home(&text).map_or_else(|| text.into(), PathBuf::into_os_string)
}

/// `~` and `~/a.png` with the home folder in its place.
fn from_home(text: &str) -> Option<PathBuf> {
    let rest = text.strip_prefix('~')?;
    let home = PathBuf::from(
        std::env::var_os(if cfg!(windows) { "USERPROFILE" } else { "HOME" })
            .filter(|home| !home.is_empty())?,
    );
    if rest.is_empty() { Some(home) } else { Some(home.join(rest.strip_prefix('/')?)) }
}

/// The word that a shell would make of this, white space apart; `None` if a quote has no end.
fn unquoted(text: &str) -> Option<String> {
    if cfg!(windows) {
        // A backslash is no escape there, and an apostrophe no quote.
        return text.strip_prefix('"')?.strip_suffix('"').map(str::to_owned);
    }
    let mut out = String::new();
    let mut quote = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), _) if c == open => quote = None,
            (None, '\\') => out.push(chars.next()?),
            (Some('"'), '\\') if chars.peek().is_some_and(|next| "\"\\$`".contains(*next)) => {
                out.extend(chars.next())
            }
            _ => out.push(c),
        }
    }
    quote.is_none().then_some(out)
}

/// The bytes that `text` stands for, `%2F` as `/`; a sign that begins no such pair stands for
/// itself.
pub(crate) fn percent_decoded(text: &str) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair = (bytes[at] == b'%')
            .then(|| Some((digit(bytes.get(at + 1))?, digit(bytes.get(at + 2))?)))
            .flatten();
        let (byte, step) = pair
            .and_then(|(high, low)| u8::try_from(16 * high + low).ok())
            .map_or((bytes[at], 1), |byte| (byte, 3));
        out.push(byte);
        at += step;
    }
    out
}

/// The path in `file:///a%20b.png`; `None` if it is on another machine, or no name this system
/// could have.
pub(crate) fn file_url(url: &str) -> Option<PathBuf> {
    let rest = url.get("file:".len()..)?;
    let path = match rest.strip_prefix("//") {
        Some(rest) => {
            rest.strip_prefix("localhost").filter(|rest| rest.starts_with('/')).unwrap_or(rest)
        }
        None => rest,
    };
    let path = path.split(['?', '#']).next().filter(|path| path.starts_with('/'))?;
    let bytes = percent_decoded(path);
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStringExt;
        Some(OsString::from_vec(bytes).into())
    }
    #[cfg(not(unix))]
    {
        // file:///C:/a.png
        let path = String::from_utf8(bytes).ok()?;
        Some(
            path.strip_prefix('/')
                .filter(|rest| rest.as_bytes().get(1) == Some(&b':'))
                .unwrap_or(&path)
                .into(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn names_are_read_as_a_shell_reads_them() {
        let home = std::env::var("HOME").unwrap();
        let cases = [
            ("no such.png", "no such.png"),
            ("\"no such.png\"", "no such.png"),
            ("'no such.png'", "no such.png"),
            (r"no\ such\ \(1\).png", "no such (1).png"),
            (r"'it'\''s not there.png'", "it's not there.png"),
            (r#""a \"b\" \c.png""#, r#"a "b" \c.png"#),
            ("it's not there.png", "it's not there.png"),
            ("nothing\\", "nothing\\"),
            ("~", &home),
            ("~/no such.png", &format!("{home}/no such.png")),
            ("'~/no such.png'", &format!("{home}/no such.png")),
            ("~someone/a.png", "~someone/a.png"),
            ("日本\\ 語.png", "日本 語.png"),
        ];
        for (text, want) in cases {
            assert_eq!(file_name(text), *want, "{text}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_name_that_exists_is_taken_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["'quoted'.png", r"back\ slash.png", "it's.png", "~"] {
            let path = folder.path().join(name);
            std::fs::write(&path, "").unwrap();
            assert_eq!(file_name(path.to_str().unwrap()), path, "{name}");
        }
    }

    #[test]
    fn percent_signs() {
        assert_eq!(percent_decoded("a%20b%2f%C3%A9%"), b"a b/\xc3\xa9%");
        assert_eq!(percent_decoded("100%zz%4"), b"100%zz%4");
    }

    #[cfg(unix)]
    #[test]
    fn file_urls() {
        for url in [
            "file:///a%20b.png",
            "file://localhost/a%20b.png",
            "FILE:///a b.png",
            "file:/a%20b.png",
            "file:///a b.png#top",
        ] {
            assert_eq!(file_url(url), Some("/a b.png".into()), "{url}");
        }
        for url in
            ["file://server/a.png", "file:a.png", "file://localhostile/a.png", "file://", "file:"]
        {
            assert_eq!(file_url(url), None, "{url}");
        }
    }
}
