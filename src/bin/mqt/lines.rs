//! Lines of text from files and stdin: of bounded length, and without the byte-order mark that some
//! editors write.

use mqt::internals::untrusted::limits;
use std::io::{self, BufRead, ErrorKind, Read};

/// How UTF-8 text may begin, and how UTF-16 does.
const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";
const UTF16_MARKS: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// From 1.
    pub(crate) number: usize,
    /// Without mark and line break; perhaps no UTF-8.
    pub(crate) text: Vec<u8>,
    /// Where the text begins in the source.
    pub(crate) start: u64,
    /// Whether a line break follows: not always after the last line.
    pub(crate) is_ended: bool,
}

/// Lines, one after the other.
pub(crate) struct Lines<R> {
    source: R,
    limit: u64,
    number: usize,
    read: u64,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(source: R) -> Lines<R> {
        Lines { source, limit: limits::LINE, number: 0, read: 0 }
    }

    /// The next line; `None` at the end. A line above the limit is an error and the last thing that
    /// is read.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line>> {
        let mut text = Vec::new();
        let mut start = self.read;
        self.read += (&mut self.source).take(self.limit + 1).read_until(b'\n', &mut text)? as u64;
        if text.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        let wrong = |why: String| {
            Err(io::Error::new(ErrorKind::InvalidData, format!("line {} {why}", self.number)))
        };
        if text.len() as u64 > self.limit {
            return wrong(format!("is longer than {} MiB", self.limit >> 20));
        }
        if self.number == 1 && UTF16_MARKS.iter().any(|mark| text.starts_with(mark)) {
            return wrong("is UTF-16; save the text as UTF-8".into());
        }
        let is_ended = text.pop_if(|last| *last == b'\n').is_some();
        while text.pop_if(|last| *last == b'\r').is_some() {}
        // Else a whole file would be one line, or two questions one.
        if text.contains(&b'\r') {
            return wrong(
                "has carriage returns alone as line ends, as old Mac files do; save the text with line feeds"
                    .into(),
            );
        }
        // Not only before the first line: files are joined.
        if text.starts_with(UTF8_MARK) {
            text.drain(..UTF8_MARK.len());
            start += UTF8_MARK.len() as u64;
        }
        Ok(Some(Line { number: self.number, text, start, is_ended }))
    }

    /// Where the next line begins in the source.
    pub(crate) fn position(&self) -> u64 {
        self.read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8], limit: u64) -> Vec<(Vec<u8>, u64, bool)> {
        let mut lines = Lines { limit, ..Lines::new(text) };
        let mut all = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            all.push((line.text, line.start, line.is_ended));
        }
        all
    }

    #[test]
    fn marks_and_line_breaks_are_no_text() {
        let text = b"\xef\xbb\xbfone\r\n\n\xef\xbb\xbftwo\n\xff";
        let want = [
            (b"one".to_vec(), 3, true),
            (vec![], 8, true),
            (b"two".to_vec(), 12, true),
            (vec![0xff], 16, false),
        ];
        assert_eq!(lines(text, 100), want);
        assert!(lines(b"", 100).is_empty());
    }

    #[test]
    fn a_line_without_end_is_not_read_to_its_end() {
        let mut lines = Lines::new(io::BufReader::new(io::repeat(b'x')));
        assert!(lines.next().unwrap_err().to_string().contains("line 1 is longer than 64 MiB"));
    }

    #[test]
    fn carriage_returns_alone_end_no_line_and_are_named() {
        let text = b"one\r\ntwo\r\r\n\r\nfour\r";
        let want = [
            (b"one".to_vec(), 0, true),
            (b"two".to_vec(), 5, true),
            (vec![], 11, true),
            (b"four".to_vec(), 13, false),
        ];
        assert_eq!(lines(text, 100), want);
        for text in ["one\rtwo\r", "one\rtwo\n"] {
            let error = Lines::new(text.as_bytes()).next().unwrap_err().to_string();
            assert!(error.contains("line 1 has carriage returns alone"), "{error}");
        }
    }

    #[test]
    fn utf_16_is_named() {
        assert!(
            Lines::new(&b"\xff\xfeW\0h\0"[..]).next().unwrap_err().to_string().contains("UTF-16")
        );
    }
}
