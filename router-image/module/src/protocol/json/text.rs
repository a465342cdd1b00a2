//! The strings of a document, which stay as they are written until somebody wants to know what they say.

use std::borrow::Cow;

use super::{NotJson, Read};

/// A JSON string never is longer than so many times its text.
pub const EXPANSION: usize = 6;

/// Longest name as written, escapes included (bytes).
const MAX_NAME: usize = 4096;

/// A string of the document.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Text<'a> {
    /// As written, escapes included.
    pub raw: &'a [u8],
    /// By how many bytes that is longer than the UTF-8 it stands for.
    pub extra: usize,
    /// Whether it may be written otherwise than `canonical` writes it.
    pub respelled: bool,
}

impl<'a> Text<'a> {
    /// Bytes of UTF-8 it stands for. A lone half of a character beyond the basic plane counts two, as in a whole one.
    pub fn bytes(&self) -> usize {
        self.raw.len() - self.extra
    }

    pub fn is(&self, text: &str) -> bool {
        if self.extra == 0 {
            return self.raw == text.as_bytes();
        }
        self.raw.len() <= EXPANSION * text.len() && *self.unescaped() == *text.as_bytes()
    }

    pub fn unescaped(&self) -> Cow<'a, [u8]> {
        if self.extra == 0 {
            return Cow::Borrowed(self.raw);
        }
        Cow::Owned(rewritten(self.raw, push_utf8))
    }

    /// The same for what can only be a name or a word: no such text is long, and a hostile one is not worth the work.
    pub fn name(&self) -> Cow<'a, [u8]> {
        if self.raw.len() > MAX_NAME {
            return Cow::Borrowed(self.raw);
        }
        self.unescaped()
    }

    /// The same text in the one spelling without needless escapes, in which signs can be searched.
    pub fn canonical(&self) -> Cow<'a, [u8]> {
        if !self.respelled {
            return Cow::Borrowed(self.raw);
        }
        Cow::Owned(rewritten(self.raw, push_sparingly))
    }

    /// The part of it from and up to the first whole characters at or after these places; of two halves of a character,
    /// each counts as one.
    pub fn part(&self, from: usize, to: usize) -> Text<'a> {
        let (from, to) = (boundary(self.raw, from), boundary(self.raw, to));
        Text {
            raw: &self.raw[from..to],
            ..*self
        }
    }
}

/// The first place from `at` on that is not between a backslash and what it escapes: so many of them stand before it.
fn boundary(raw: &[u8], at: usize) -> usize {
    let before = raw.get(..at).unwrap_or(raw);
    let run = before.iter().rev().take_while(|&&byte| byte == b'\\').count();
    before.len() + (run & 1)
}

/// By how much the escape at the beginning of `raw` is longer than the UTF-8 it stands for, its length, and whether the
/// character may need it.
pub(super) fn escape(raw: &[u8]) -> Read<(usize, usize, bool)> {
    match raw.get(1) {
        Some(b'n' | b'"' | b'\\' | b't' | b'r' | b'b' | b'f') => Ok((1, 2, true)),
        Some(b'/') => Ok((1, 2, false)),
        Some(b'u') => match code_unit(raw).ok_or(NotJson)? {
            0..=0x7F => Ok((5, 6, false)),
            0x80..=0x7FF | 0xD800..=0xDFFF => Ok((4, 6, false)),
            _ => Ok((3, 6, false)),
        },
        _ => Err(NotJson),
    }
}

/// The number that the \u escape at the beginning of `raw` stands for.
#[inline]
fn code_unit(raw: &[u8]) -> Option<u32> {
    let digits = raw.get(2..6)?.iter();
    let code = digits.fold(0, |code, &digit| code << 4 | DIGITS[usize::from(digit)]);
    (code <= 0xFFFF).then_some(code)
}

/// What each byte is worth as a hexadecimal digit; others than digits make every number too large.
const DIGITS: [u32; 256] = {
    let (mut digits, mut digit) = ([0x10000; 256], 0);
    while digit < 16 {
        digits[b"0123456789abcdef"[digit] as usize] = digit as u32;
        digits[b"0123456789ABCDEF"[digit] as usize] = digit as u32;
        digit += 1;
    }
    digits
};

/// The character of the \u escape at the beginning of `raw`, and the length of the escape; two halves of one character
/// are joined.
fn character(raw: &[u8]) -> (u32, usize) {
    match code_unit(raw) {
        Some(high @ 0xD800..=0xDBFF) => match raw.get(6..).and_then(low_half) {
            Some(low) => (0x10000 + (high - 0xD800) * 1024 + low - 0xDC00, 12),
            None => (high, 6),
        },
        Some(code) => (code, 6),
        // Only where a part of a text ends.
        None => (0xFFFD, raw.len()),
    }
}

fn low_half(raw: &[u8]) -> Option<u32> {
    let code = code_unit(raw).filter(|_| raw.starts_with(b"\\u"));
    code.filter(|code| (0xDC00..=0xDFFF).contains(code))
}

/// The text with every escaped character pushed by `push`.
fn rewritten(raw: &[u8], push: impl Fn(&mut Vec<u8>, u32)) -> Vec<u8> {
    let mut text = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.iter().position(|&byte| byte == b'\\') {
        if at > 0 {
            text.extend_from_slice(&rest[..at]);
        }
        let (code, size) = match rest.get(at + 1) {
            Some(b'u') => character(&rest[at..]),
            Some(b'n') => (0x0A, 2),
            Some(b't') => (0x09, 2),
            Some(b'r') => (0x0D, 2),
            Some(b'b') => (0x08, 2),
            Some(b'f') => (0x0C, 2),
            Some(&byte) => (byte.into(), 2),
            None => break,
        };
        push(&mut text, code);
        rest = &rest[at + size..];
    }
    text.extend_from_slice(rest);
    text
}

fn push_utf8(text: &mut Vec<u8>, code: u32) {
    match code {
        0..=0x7F => text.push(code as u8),
        // Half a character has a form here too, that of other characters, though UTF-8 has none.
        0x800..=0xFFFF => text.extend_from_slice(&[0xE0 | (code >> 12) as u8, low_bits(code >> 6), low_bits(code)]),
        _ => {
            let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
            text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}

fn low_bits(code: u32) -> u8 {
    0x80 | (code & 0x3F) as u8
}

fn push_sparingly(text: &mut Vec<u8>, code: u32) {
    match code {
        0x22 => text.extend_from_slice(b"\\\""),
        0x5C => text.extend_from_slice(b"\\\\"),
        0x0A => text.extend_from_slice(b"\\n"),
        0x09 => text.extend_from_slice(b"\\t"),
        0x0D => text.extend_from_slice(b"\\r"),
        0x08 => text.extend_from_slice(b"\\b"),
        0x0C => text.extend_from_slice(b"\\f"),
        0..=0x1F => text.extend_from_slice(format!("\\u{code:04x}").as_bytes()),
        _ => push_utf8(text, code),
    }
}
