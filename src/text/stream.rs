//! Ids → text: what each id stands for, and a decoder that never cuts a character in half.

use std::sync::Arc;

/// The sign that stands for a space inside a SentencePiece token.
pub(super) const SPACE: char = '▁';

/// What one id adds to an answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    /// Nothing: the id is unused.
    Missing,
    /// Nothing: a control token such as `</s>`.
    Special,
    /// One byte of a character.
    Byte(u8),
    /// These bytes; in byte-level vocabularies a character may be spread over several ids.
    Bytes(Box<[u8]>),
}

impl Piece {
    /// A SentencePiece token: `▁` is a space, `<0x0A>` a byte.
    pub(super) fn sentencepiece(token: &str) -> Piece {
        match byte_token(token) {
            Some(byte) => Piece::Byte(byte),
            None => Piece::Bytes(token.replace(SPACE, " ").into_bytes().into()),
        }
    }

    /// A byte-level token (GPT-2's alphabet): every character stands for one byte.
    pub(super) fn byte_level(token: &str) -> Piece {
        let bytes: Option<Vec<u8>> = token.chars().map(byte_of_letter).collect();
        Piece::Bytes(bytes.unwrap_or_else(|| token.as_bytes().to_vec()).into())
    }
}

/// The byte that a token like `<0x0A>` stands for.
pub(super) fn byte_token(token: &str) -> Option<u8> {
    let hex = token.strip_prefix("<0x")?.strip_suffix('>')?;
    if hex.len() != 2 || hex.contains('+') {
        return None;
    }
    u8::from_str_radix(hex, 16).ok()
}

/// GPT-2 writes printable Latin-1 bytes as themselves and the others, in order, from U+0100 on.
fn byte_of_letter(letter: char) -> Option<u8> {
    let printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    match u32::from(letter) {
        code @ 0..=0xFF => u8::try_from(code).ok().filter(printable),
        code => (0..=255u8).filter(|byte| !printable(byte)).nth(code as usize - 0x100),
    }
}

impl super::Tokenizer {
    /// The bytes that a token adds to a text; `None` for control tokens and ids that stand for
    /// nothing.
    pub fn bytes(&self, id: u32) -> Option<&[u8]> {
        match self.pieces.get(id as usize)? {
            Piece::Missing | Piece::Special => None,
            Piece::Byte(byte) => Some(std::slice::from_ref(byte)),
            Piece::Bytes(bytes) => Some(bytes),
        }
    }
}

/// Turns ids into text as they come, whole characters only.
///
/// Bytes that are no UTF-8 become one U+FFFD each, as SentencePiece does. One space at the very
/// start is dropped: it is the tokenizer's own prefix.
#[derive(Debug, Clone)]
pub struct TextStream {
    pieces: Arc<[Piece]>,
    pending: Vec<u8>,
    started: bool,
}

impl TextStream {
    /// A stream at the start of an answer.
    pub fn new(tokenizer: &super::Tokenizer) -> TextStream {
        TextStream { pieces: tokenizer.pieces(), pending: Vec::new(), started: false }
    }

    /// Takes one id → the text it completes; empty inside a character and for special or unknown
    /// ids.
    pub fn push(&mut self, id: u32) -> String {
        match self.pieces.get(id as usize) {
            None | Some(Piece::Missing | Piece::Special) => return String::new(),
            Some(Piece::Byte(byte)) => self.pending.push(*byte),
            Some(Piece::Bytes(bytes)) => {
                let dropped = usize::from(!self.started && bytes.first() == Some(&b' '));
                self.pending.extend_from_slice(&bytes[dropped..]);
            }
        }
        self.started = true;
        self.take_complete()
    }

    /// Ends the answer → one U+FFFD for each byte of a character that never came to its end.
    pub fn finish(&mut self) -> String {
        let rest = self.take_complete();
        let cut = self.pending.drain(..).map(|_| char::REPLACEMENT_CHARACTER);
        rest.chars().chain(cut).collect()
    }

    /// Everything in `pending` but a last character that may still be completed.
    fn take_complete(&mut self) -> String {
        let mut text = String::new();
        let mut rest: &[u8] = &self.pending;
        while !rest.is_empty() {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    rest = &[];
                }
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    text.push_str(std::str::from_utf8(valid).expect("valid up to here"));
                    rest = after;
                    if error.error_len().is_none() {
                        break;
                    }
                    text.push(char::REPLACEMENT_CHARACTER);
                    rest = &rest[1..];
                }
            }
        }
        let kept = rest.len();
        self.pending.drain(..self.pending.len() - kept);
        text
    }
}
