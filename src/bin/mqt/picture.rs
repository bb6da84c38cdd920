//! IMAGE on the command line: a path, `-` for stdin, a `data:` or a `file:` URL; and pictures that
//! a file of questions names.

use crate::failure::{Failure, Result};
use crate::target;
use crate::typed::{file_url, percent_decoded};
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use mqt::Error;
use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Component, Path, PathBuf};

/// More than any picture of 178 megapixels takes: an endless stream ends here.
const MAX_BYTES: u64 = 1 << 30;
const TOO_LARGE: &str = "it is larger than 1 GiB";

/// A picture that was named and can be opened; its content is read when its turn comes.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Picture {
    /// As given; of a `data:` URL only its type.
    pub(crate) name: String,
    source: Source,
}

#[derive(Clone, PartialEq, Eq)]
enum Source {
    File(PathBuf),
    Bytes(Vec<u8>),
}

impl Picture {
    /// Finds out whether there is such a picture, before a model is loaded for it; stdin and URLs
    /// are read here.
    pub(crate) fn find(arg: &OsStr) -> Result<Picture> {
        let text = arg.to_string_lossy();
        let name = text.clone().into_owned();
        if arg == "-" {
            let bytes =
                read_all(io::stdin().lock()).map_err(|error| missing("-", reason(&error)))?;
            return Ok(Picture { name, source: Source::Bytes(bytes) });
        }
        if has_scheme(&text, "data:") {
            return data_url(&text);
        }
        if has_scheme(&text, "http://") || has_scheme(&text, "https://") {
            return Err(missing(
                &name,
                "pictures are not fetched from the network; download it and give the file".into(),
            ));
        }
        let path = if has_scheme(&text, "file:") && !Path::new(arg).exists() {
            file_url(&text).ok_or_else(|| {
                missing(&name, "it is not on this machine; give file:///path".into())
            })?
        } else {
            PathBuf::from(arg)
        };
        let file = open(&path).map_err(|why| missing(&name, why))?;
        if !file.metadata().is_ok_and(|data| data.is_file()) {
            // A pipe can be opened only once.
            let bytes = read_all(file).map_err(|error| missing(&name, reason(&error)))?;
            return Ok(Picture { name, source: Source::Bytes(bytes) });
        }
        Ok(Picture { name, source: Source::File(path) })
    }

    /// A picture that a file of questions names. Whoever wrote it need not be whoever runs it: only
    /// regular files below `folder` are read, unless `outside` allows all.
    pub(crate) fn below(folder: &Path, image: &str, outside: bool) -> Result<Picture> {
        let path = folder.join(image);
        let name = path.display().to_string();
        let out = || {
            missing(&name, "it lies outside --images; --allow-outside reads such pictures".into())
        };
        let folder = folder.canonicalize().map_err(|error| missing(&name, reason(&error)))?;
        let real = match path.canonicalize() {
            Ok(real) => real,
            // Whether there is a file elsewhere is nobody's business.
            Err(_) if !outside && leads_out(image) => return Err(out()),
            Err(error) => return Err(missing(&name, reason(&error))),
        };
        if !outside && !real.starts_with(folder) {
            return Err(out());
        }
        // Before it is opened: a pipe would wait for a writer.
        let data = fs::metadata(&real).map_err(|error| missing(&name, reason(&error)))?;
        if !data.is_file() {
            return Err(missing(&name, format!("it is {}", target::kind(data.file_type()))));
        }
        Ok(Picture { name, source: Source::File(real) })
    }

    /// Where the picture lies, if it is a file.
    pub(crate) fn path(&self) -> Option<&Path> {
        match &self.source {
            Source::File(path) => Some(path),
            Source::Bytes(_) => None,
        }
    }

    /// The file's content.
    pub(crate) fn bytes(&self) -> Result<Cow<'_, [u8]>> {
        match &self.source {
            Source::Bytes(bytes) => Ok(Cow::Borrowed(bytes)),
            Source::File(path) => {
                let file = open(path).map_err(|why| missing(&self.name, why))?;
                if file.metadata().is_ok_and(|data| data.len() > MAX_BYTES) {
                    return Err(missing(&self.name, TOO_LARGE.into()));
                }
                let bytes = read_all(file).map_err(|error| missing(&self.name, reason(&error)))?;
                Ok(Cow::Owned(bytes))
            }
        }
    }
}

/// Whether `text` is a URL of this kind.
pub(crate) fn has_scheme(text: &str, scheme: &str) -> bool {
    text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
}

/// Whether a relative name climbs out of its folder, links apart, or is no relative name.
fn leads_out(name: &str) -> bool {
    let mut depth = 0usize;
    !Path::new(name).components().all(|part| match part {
        Component::Normal(_) => {
            depth += 1;
            true
        }
        Component::CurDir => true,
        Component::ParentDir => depth.checked_sub(1).is_some_and(|above| {
            depth = above;
            true
        }),
        Component::RootDir | Component::Prefix(_) => false,
    })
}

/// `data:image/png;base64,iVBOR…` → its bytes. Percent signs, both alphabets of base64 and missing
/// padding are read as browsers do; without `;base64` the data are the text itself.
fn data_url(url: &str) -> Result<Picture> {
    let unusable = |name: &str, problem: &str| {
        Failure::from(Error::ImageUnreadable { problem: problem.to_owned() }).about(name)
    };
    let (head, body) = url
        .split_once(',')
        .ok_or_else(|| unusable("data:", "the data: URL has no comma before its data"))?;
    let mut parts = head.split(';');
    let name = parts.next().unwrap_or(head).to_owned();
    let mut bytes = percent_decoded(body.split('#').next().unwrap_or_default());
    if parts.any(|part| part.trim().eq_ignore_ascii_case("base64")) {
        bytes.retain(|byte| !byte.is_ascii_whitespace());
        for byte in &mut bytes {
            *byte = match *byte {
                b'-' => b'+',
                b'_' => b'/',
                other => other,
            };
        }
        let config = GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true);
        let decoded = GeneralPurpose::new(&alphabet::STANDARD, config).decode(bytes);
        bytes = decoded.map_err(|_| unusable(&name, "the data: URL is not valid base64"))?;
    }
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
        return Err(io::Error::other(TOO_LARGE));
    }
    Ok(bytes)
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "there is no such file".into(),
        ErrorKind::PermissionDenied => "you may not read it".into(),
        _ => mqt::internals::plain::system_error(error),
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
        let urls = [
            "data:image/png;base64,+/8BAgM=",
            "DATA:image/png;charset=x;BASE64,+/8B AgM\n",
            "data:image/png;base64,%2B%2F8BAgM%3D",
            "data:image/png;base64,-_8BAgM",
            "data:image/png;base64,%2b/8B%0AAgM%3d#top",
            "data:image/png,%FB%ff%01%02%03",
        ];
        for url in urls {
            let picture = find(url).unwrap();
            assert_eq!(*picture.bytes().unwrap(), [0xfb, 0xff, 1, 2, 3], "{url}");
            assert!(picture.name.eq_ignore_ascii_case("data:image/png"), "{}", picture.name);
        }
        assert_eq!(*find("data:;base64,AQ").unwrap().bytes().unwrap(), [1]);
        assert_eq!(*find("data:,a%20b+c").unwrap().bytes().unwrap(), *b"a b+c");
        for url in [
            "data:",
            "data:image/png;base64",
            "data:image/png;base64,@@",
            "data:image/png;base64,%zz",
            "data:image/png;base64,A",
        ] {
            assert_eq!(find(url).err().unwrap().code, 6, "{url}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn questions_name_files_below_their_folder_only() {
        use std::os::unix::fs::symlink;
        let all = tempfile::tempdir().unwrap();
        let at = |name: &str| all.path().join(name);
        fs::create_dir_all(at("images/sub")).unwrap();
        for name in ["secret.png", "images/a.png", "images/sub/b.png"] {
            fs::write(at(name), name).unwrap();
        }
        symlink(at("secret.png"), at("images/out.png")).unwrap();
        symlink(all.path(), at("images/up")).unwrap();
        symlink("sub/b.png", at("images/in.png")).unwrap();
        symlink(at("images"), at("linked")).unwrap();
        let below = |folder: &str, name: &str, outside: bool| {
            let bytes = Picture::below(&at(folder), name, outside)
                .map(|picture| picture.bytes().unwrap().into_owned());
            bytes
                .map(|bytes| String::from_utf8(bytes).unwrap())
                .map_err(|failure| (failure.code, failure.message.unwrap()))
        };
        let absolute = |name: &str| at(name).to_str().unwrap().to_owned();
        for folder in ["images", "linked"] {
            for name in
                ["a.png", "./a.png", "sub/../a.png", "../images/a.png", &absolute("images/a.png")]
            {
                assert_eq!(below(folder, name, false).unwrap(), "images/a.png", "{name}");
            }
            assert_eq!(below(folder, "in.png", false).unwrap(), "images/sub/b.png");
            for name in [
                "../secret.png",
                "sub/../../secret.png",
                "out.png",
                "up/secret.png",
                &absolute("secret.png"),
            ] {
                let (code, why) = below(folder, name, false).unwrap_err();
                assert!(code == 6 && why.contains("outside --images"), "{name}: {why}");
                assert_eq!(below(folder, name, true).unwrap(), "secret.png", "{name}");
            }
            // Files that are not there are not told from others.
            for name in ["../no such.png", &absolute("no such.png")] {
                assert!(
                    below(folder, name, false).unwrap_err().1.contains("outside --images"),
                    "{name}"
                );
            }
            for name in ["no such.png", "", "sub"] {
                assert_eq!(below(folder, name, false).unwrap_err().0, 6, "{name}");
            }
        }
        assert!(below("images", "/dev/zero", true).unwrap_err().1.contains("a device"));
    }

    #[test]
    fn what_is_not_there() {
        for name in [
            "no such.png",
            ".",
            "https://example.org/a.png",
            "",
            "file://server/a.png",
            "file:///no%20such.png",
        ] {
            let failure = find(name).err().unwrap();
            assert_eq!(failure.code, 6, "{name}");
        }
    }
}
