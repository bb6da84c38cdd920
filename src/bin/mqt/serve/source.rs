//! Where a request's pictures come from: `data:` URLs and bare base64; if the server was started
//! with the flags for it, also files below one folder and addresses on the network.

use super::engine::File;
use super::problem::Problem;
use super::remote::Remote;
use crate::picture::{Picture, has_scheme};
use crate::typed::file_url;
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::io::Read;
use std::path::PathBuf;

/// What is read.
pub(crate) struct Sources {
    /// The folder that `file:` addresses may lead to, without links in its path.
    pub(crate) media: Option<PathBuf>,
    /// `None`: nothing is fetched.
    pub(crate) remote: Option<Remote>,
    /// Bytes of a picture's file.
    pub(crate) most: u64,
}

impl Sources {
    /// The picture's file; `at` is where the request names it.
    pub(crate) fn read(&self, at: &str, url: String) -> Result<File, Problem> {
        let bytes = if has_scheme(&url, "data:") {
            written(at, url)?
        } else if has_scheme(&url, "http://") || has_scheme(&url, "https://") {
            let Some(remote) = &self.remote else {
                let why = "this server fetches no pictures (--allow-fetch); send it as a data: URL";
                return Err(Problem::unsupported(at, why));
            };
            remote.fetch(at, &url, self.most)?
        } else if has_scheme(&url, "file:") {
            self.file(at, &url)?
        } else if url.contains(':') {
            let why = "its url is none of data:, http:, https:, file: and base64";
            return Err(Problem::unsupported(at, why));
        } else {
            written(at, format!("data:;base64,{url}"))?
        };
        if bytes.len() as u64 > self.most {
            return Err(too_large(at, self.most));
        }
        let hash = Sha256::digest(&bytes).into();
        Ok(File { bytes, hash })
    }

    /// A regular file below the folder; whether there are files elsewhere is not told.
    fn file(&self, at: &str, url: &str) -> Result<Vec<u8>, Problem> {
        let Some(media) = &self.media else {
            let why = "this server reads no files (--media-dir); send it as a data: URL";
            return Err(Problem::unsupported(at, why));
        };
        let none = || Problem::picture(format!("{at}: there is no such file below --media-dir"));
        let real = file_url(url).and_then(|path| path.canonicalize().ok()).ok_or_else(none)?;
        if !real.starts_with(media) {
            return Err(none());
        }
        // Before it is opened: a pipe would wait for a writer.
        let data = std::fs::metadata(&real).map_err(|_| none())?;
        if !data.is_file() {
            return Err(none());
        }
        if data.len() > self.most {
            return Err(too_large(at, self.most));
        }
        let mut bytes = Vec::new();
        let file = std::fs::File::open(&real).map_err(|_| none())?;
        file.take(self.most + 1).read_to_end(&mut bytes).map_err(|_| none())?;
        Ok(bytes)
    }
}

/// What is written in the address itself.
fn written(at: &str, url: String) -> Result<Vec<u8>, Problem> {
    let unusable =
        || Problem::picture(format!("{at}: its url is neither a whole data: URL nor base64"));
    let picture = Picture::find(&OsString::from(url)).map_err(|_| unusable())?;
    Ok(picture.bytes().map_err(|_| unusable())?.into_owned())
}

/// A picture's file beyond the limit.
pub(crate) fn too_large(at: &str, most: u64) -> Problem {
    Problem::picture(format!("{at}: the picture's file is larger than {most} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(media: Option<PathBuf>) -> Sources {
        Sources { media, remote: None, most: 20 }
    }

    #[test]
    fn data_urls_and_bare_base64_are_the_same_picture() {
        let sources = sources(None);
        let read = |url: &str| sources.read("here", url.into()).map(|file| file.bytes);
        for url in ["data:image/png;base64,+/8BAgM=", "+/8BAgM=", "-_8BAgM", "+/8B\nAgM="] {
            assert_eq!(read(url).unwrap(), [0xfb, 0xff, 1, 2, 3], "{url}");
        }
        for url in ["data:", "photo.png", "/etc/passwd.png", "@@@@"] {
            let problem = read(url).unwrap_err();
            assert!(
                problem.code == "invalid_image" && !problem.message.contains("passwd"),
                "{url}"
            );
        }
        assert!(read(&"A".repeat(40)).unwrap_err().message.contains("larger than 20 bytes"));
        for url in ["http://host/a.png", "https://host/a.png", "file:///etc/passwd", "ftp://host/a"]
        {
            assert_eq!(read(url).unwrap_err().code, "unsupported_value", "{url}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn files_are_read_below_the_folder_only() {
        use std::os::unix::fs::symlink;
        let all = tempfile::tempdir().unwrap();
        let root = all.path().canonicalize().unwrap();
        let at = |name: &str| root.join(name);
        std::fs::create_dir_all(at("media/sub")).unwrap();
        for name in ["secret.png", "media/a.png", "media/sub/b b.png", "media/long.png"] {
            std::fs::write(at(name), name.repeat(if name.contains("long") { 9 } else { 1 }))
                .unwrap();
        }
        symlink(at("secret.png"), at("media/out.png")).unwrap();
        symlink(&root, at("media/up")).unwrap();
        symlink("sub/b b.png", at("media/in.png")).unwrap();
        let sources = sources(Some(at("media")));
        let read = |name: &str| {
            let url = format!("file://{}", at(name).display());
            sources.read("here", url).map(|file| String::from_utf8(file.bytes).unwrap())
        };
        assert_eq!(read("media/a.png").unwrap(), "media/a.png");
        assert_eq!(read("media/sub/../a.png").unwrap(), "media/a.png");
        assert_eq!(read("media/in.png").unwrap(), "media/sub/b b.png");
        assert_eq!(read("media/sub/b%20b.png").unwrap(), "media/sub/b b.png");
        let missing = read("media/no such.png").unwrap_err();
        for name in [
            "secret.png",
            "media/out.png",
            "media/up/secret.png",
            "media/../secret.png",
            "no.png",
            "media/sub",
        ] {
            assert_eq!(read(name).unwrap_err(), missing, "{name}");
        }
        assert!(read("media/long.png").unwrap_err().message.contains("larger"));
        for url in ["file:///dev/zero", "file://server/a.png", "file:a.png", "file:///etc/passwd"] {
            assert_eq!(sources.read("here", url.into()).err().unwrap(), missing, "{url}");
        }
    }
}
