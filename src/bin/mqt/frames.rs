//! Frames of a clip: of a folder of stills, an animated GIF or WebP, or the pictures that were
//! named.

use crate::failure::{Failure, Result};
use crate::picture::Picture;
use image::codecs::gif::GifDecoder;
use image::codecs::webp::WebPDecoder;
use image::{AnimationDecoder, ImageDecoder, ImageResult, Limits};
use mqt::Error;
use mqt::image::Reading;
use std::ffi::OsString;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

/// What the names of picture files end with.
const ENDINGS: [&str; 6] = ["bmp", "gif", "jpeg", "jpg", "png", "webp"];
/// The most frames of an animation that are counted.
const MOST_FRAMES: usize = 100_000;
/// The most bytes of an animation's canvas: as large as a picture may be.
const MOST_BYTES: u64 = 4 * mqt::image::MAX_PIXELS;

/// The chosen frames of a clip.
pub(crate) struct Clip {
    /// What their records call them, in order.
    pub(crate) names: Vec<String>,
    source: Source,
}

enum Source {
    /// Pictures of their own.
    Stills(Vec<Picture>),
    /// Frames of an animation's file, counted from 0.
    Moving { file: PathBuf, bytes: Vec<u8>, numbers: Vec<usize> },
}

/// `n` frames, evenly spread over what these words name; all of them where there are fewer.
pub(crate) fn find(words: &[OsString], n: usize) -> Result<Clip> {
    let [word] = words else { return stills(words, n) };
    let path = Path::new(word);
    if path.is_dir() {
        let files: Vec<OsString> = pictures(path)?.into_iter().map(OsString::from).collect();
        if files.is_empty() {
            return Err(unusable(path, "the folder has no pictures"));
        }
        return stills(&files, n);
    }
    let picture = Picture::find(word)?;
    let Some(file) = picture.path().map(Path::to_owned) else {
        return Err(unusable(path, "frames are read from a file or a folder"));
    };
    let bytes = picture.bytes()?.into_owned();
    let all = count(&bytes).map_err(|why| unusable(path, &why))?;
    if all < 2 {
        // What is no picture at all is said first.
        mqt::image::Picture::read(&bytes, Reading::People)
            .map_err(|error| Failure::from(error).about(&picture.name))?;
        let why = "it has one frame; name a folder, an animated GIF or WebP, or several pictures";
        return Err(unusable(path, why));
    }
    let numbers = chosen(n, all);
    let name = |number: &usize| format!("{}, frame {}", picture.name, number + 1);
    let names = numbers.iter().map(name).collect();
    Ok(Clip { names, source: Source::Moving { file, bytes, numbers } })
}

/// `n` of these pictures' files.
fn stills(files: &[OsString], n: usize) -> Result<Clip> {
    let found = chosen(n, files.len()).into_iter().map(|i| Picture::find(&files[i]));
    let stills = found.collect::<Result<Vec<_>>>()?;
    let names = stills.iter().map(|picture| picture.name.clone()).collect();
    Ok(Clip { names, source: Source::Stills(stills) })
}

impl Clip {
    /// The frames' pixels as a person sees them, one after the other; `read` reads a still. An
    /// animation is decoded once, up to the last frame that was chosen.
    pub(crate) fn pictures<'a>(
        &'a self,
        read: impl Fn(&Picture) -> Result<mqt::image::Picture> + 'a,
    ) -> Result<Box<dyn Iterator<Item = Result<mqt::image::Picture>> + 'a>> {
        match &self.source {
            Source::Stills(pictures) => Ok(Box::new(pictures.iter().map(read))),
            Source::Moving { file, bytes, numbers } => {
                let frames = decode(bytes).map_err(|why| unusable(file, &why))?;
                let frames = frames.into_iter().flatten().enumerate();
                let wanted = frames.filter(|(number, _)| numbers.contains(number));
                Ok(Box::new(wanted.map(|(number, frame)| {
                    let said = |error| format!("frame {} is damaged: {error}", number + 1);
                    Ok(over_white(frame.map_err(|error| unusable(file, &said(error)))?)?)
                })))
            }
        }
    }
}

/// Frame i of n is source frame ⌊(i + ½) · all / n⌋.
fn chosen(n: usize, all: usize) -> Vec<usize> {
    let n = n.min(all);
    (0..n).map(|i| (2 * i + 1) * all / (2 * n)).collect()
}

/// The picture files of a folder, by name.
pub(crate) fn pictures(folder: &Path) -> Result<Vec<PathBuf>> {
    let read =
        |error: std::io::Error| unusable(folder, &mqt::internals::plain::system_error(&error));
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(read)? {
        let path = entry.map_err(read)?.path();
        let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
        let is_picture = ending.is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known));
        if is_picture && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Frames of an animation's file, in their order, each on its whole canvas.
type Frames<'a> = Box<dyn Iterator<Item = ImageResult<image::Frame>> + 'a>;

fn decode(bytes: &[u8]) -> std::result::Result<Option<Frames<'_>>, String> {
    let said = |error: image::ImageError| format!("it is damaged: {error}");
    let mut limits = Limits::default();
    limits.max_alloc = Some(MOST_BYTES);
    let data = Cursor::new(bytes);
    if bytes.starts_with(b"GIF8") {
        let mut decoder = GifDecoder::new(data).map_err(said)?;
        decoder.set_limits(limits).map_err(said)?;
        return Ok(Some(Box::new(decoder.into_frames())));
    }
    if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        let mut decoder = WebPDecoder::new(data).map_err(said)?;
        decoder.set_limits(limits).map_err(said)?;
        if decoder.has_animation() {
            return Ok(Some(Box::new(decoder.into_frames())));
        }
    }
    Ok(None)
}

fn count(bytes: &[u8]) -> std::result::Result<usize, String> {
    let Some(frames) = decode(bytes)? else { return Ok(1) };
    let mut all = 0;
    for frame in frames {
        frame.map_err(|error| format!("frame {} is damaged: {error}", all + 1))?;
        all += 1;
        if all > MOST_FRAMES {
            return Err(format!("it has more than {MOST_FRAMES} frames"));
        }
    }
    Ok(all)
}

/// A frame as a person sees it, over white.
fn over_white(frame: image::Frame) -> mqt::Result<mqt::image::Picture> {
    let shown = frame.into_buffer();
    let (width, height) = (shown.width() as usize, shown.height() as usize);
    let seen = |[r, g, b, alpha]: [u8; 4]| {
        let alpha = u32::from(alpha);
        [r, g, b].map(|c| ((u32::from(c) * alpha + 255 * (255 - alpha) + 127) / 255) as u8)
    };
    let rgb = shown.pixels().flat_map(|pixel| seen(pixel.0)).collect();
    mqt::image::Picture::from_rgb(rgb, width, height)
}

fn unusable(path: &Path, problem: &str) -> Failure {
    Failure::from(Error::ImageUnreadable { problem: problem.to_owned() })
        .about(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::chosen;

    #[test]
    fn frames_are_spread_evenly() {
        assert_eq!(chosen(4, 16), [2, 6, 10, 14]);
        assert_eq!(chosen(1, 5), [2]);
        assert_eq!(chosen(8, 3), [0, 1, 2]);
        assert_eq!(chosen(3, 10), [1, 5, 8]);
    }
}
