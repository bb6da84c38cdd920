//! IMAGE on the command line: a path, `-` for stdin, or a `data:` URL.

use crate::failure::{Failure, Result};
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use mqt::Error;
use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// More than any picture of 178 megapixels takes: an endless stream ends here.
const MAX_BYTES: u64 = 1 << 30;

/// A picture that was named and can be opened; its content is read when its turn comes.
pub(crate) struct Picture {
    /// As given; of a `data:` URL only its type.
    pub(crate) name: String,
    source: Source,
}

enum Source {
    File(PathBuf),
    Bytes(Vec<u8>),
}

impl Picture {
    /// Finds out whether there is such a picture, before a model is loaded for it; stdin and URLs are read here.
    pub(crate) fn find(arg: &OsStr) -> Result<Picture> {
        let text = arg.to_string_lossy();
        let name = text.clone().into_owned();
        if arg == "-" {
            let bytes = read_all(io::stdin().lock()).map_err(|error| missing("-", reason(&error)))?;
            return Ok(Picture { name, source: Source::Bytes(bytes) });
        }
        if has_scheme(&text, "data:") {
            return data_url(&text);
        }
        if has_scheme(&text, "http://") || has_scheme(&text, "https://") {
            return Err(missing(&name, "pictures are not fetched from the network; download it and give the file".into()));
        }
        let path = PathBuf::from(arg);
        let file = open(&path).map_err(|why| missing(&name, why))?;
        if !file.metadata().is_ok_and(|data| data.is_file()) {
            // A pipe can be opened only once.
            let bytes = read_all(file).map_err(|error| missing(&name, reason(&error)))?;
            return Ok(Picture { name, source: Source::Bytes(bytes) });
        }
        Ok(Picture { name, source: Source::File(path) })
    }

    /// The file's content.
    pub(crate) fn bytes(&self) -> Result<Cow<'_, [u8]>> {
        match &self.source {
            Source::Bytes(bytes) => Ok(Cow::Borrowed(bytes)),
            Source::File(path) => {
                let file = open(path).map_err(|why| missing(&self.name, why))?;
                let bytes = read_all(file).map_err(|error| missing(&self.name, reason(&error)))?;
                Ok(Cow::Owned(bytes))
            }
        }
    }
}

fn has_scheme(text: &str, scheme: &str) -> bool {
    text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}

/// `data:image/png;base64,iVBOR…` → its bytes.
fn data_url(url: &str) -> Result<Picture> {
    let unusable = |name: &str, problem: &str| Failure::from(Error::ImageUnreadable { problem: problem.to_owned() }).about(name);
    let (head, body) = url.split_once(',').ok_or_else(|| unusable("data:", "the data: URL has no comma before its data"))?;
    let mut parts = head.split(';');
    let name = parts.next().unwrap_or(head).to_owned();
    if !parts.any(|part| part.trim().eq_ignore_ascii_case("base64")) {
        return Err(unusable(&name, "the data: URL is not in base64"));
    }
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let bytes = GeneralPurpose::new(&alphabet::STANDARD, config).decode(body);
    let bytes = bytes.map_err(|error| unusable(&name, &format!("the data: URL is not valid base64: {error}")))?;
    Ok(Picture { name, source: Source::Bytes(bytes) })
}

fn open(path: &Path) -> std::result::Result<File, String> {
    let file = File::open(path).map_err(|error| reason(&error))?;
    if file.metadata().is_ok_and(|data| data.is_dir()) {
        return Err("it is a folder".into());
    }
    Ok(file)
}

fn read_all(source: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::other("it is larger than 1 GiB"));
    }
    Ok(bytes)
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "there is no such file".into(),
        ErrorKind::PermissionDenied => "you may not read it".into(),
        _ => error.to_string(),
    }
}

fn missing(path: &str, why: String) -> Failure {
    Error::ImageMissing { path: path.to_owned(), why }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str) -> Result<Picture> {
        Picture::find(OsStr::new(text))
    }

    #[test]
    fn data_urls() {
        for url in ["data:image/png;base64,AQID", "DATA:image/png;charset=x;BASE64,AQ ID\n", "data:image/png;base64,AQID"] {
            let picture = find(url).unwrap();
            assert_eq!(*picture.bytes().unwrap(), [1, 2, 3]);
            assert!(picture.name.eq_ignore_ascii_case("data:image/png"), "{}", picture.name);
        }
        assert_eq!(*find("data:;base64,AQ").unwrap().bytes().unwrap(), [1]);
        for url in ["data:", "data:image/png;base64", "data:image/png,abc", "data:image/png;base64,@@"] {
            assert_eq!(find(url).err().unwrap().code, 6, "{url}");
        }
    }

    #[test]
    fn what_is_not_there() {
        for name in ["no such.png", ".", "https://example.org/a.png", ""] {
            let failure = find(name).err().unwrap();
            assert_eq!(failure.code, 6, "{name}");
        }
    }
}
