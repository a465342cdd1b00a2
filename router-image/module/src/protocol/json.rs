//! A pull reader of JSON: one pass over a document that checks all of it and builds nothing. Most of a chat request is
//! text that routing never looks at, and a hostile document costs no more than that pass.

mod text;
mod value;

use crate::protocol::byte_search::special;

use text::escape;
pub use text::{Text, EXPANSION};
pub use value::Value;

/// The document is not JSON, or more of its containers are inside each other than anybody means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NotJson;

pub type Read<T> = Result<T, NotJson>;

/// Containers inside each other; an empty innermost one does not count.
const MAX_DEPTH: usize = 128;

/// What a value is, told by its first byte.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Object,
    List,
    Text,
    Number,
    True,
    False,
    Null,
}

/// Reads a document from its beginning to its end; a copy reads on from where it was made.
#[derive(Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes, at: 0, depth: 0 }
    }

    /// Bytes read: where the value that comes next begins, or the one read last ends.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Whether reading has ended where more containers are inside each other than are read.
    pub fn is_too_deep(&self) -> bool {
        self.depth == MAX_DEPTH
    }

    /// The next value's; whether all of it is well-formed shows when it is read or skipped.
    pub fn kind(&mut self) -> Read<Kind> {
        match self.next()? {
            b'{' => Ok(Kind::Object),
            b'[' => Ok(Kind::List),
            b'"' => Ok(Kind::Text),
            b'-' | b'0'..=b'9' => Ok(Kind::Number),
            b't' => Ok(Kind::True),
            b'f' => Ok(Kind::False),
            b'n' => Ok(Kind::Null),
            _ => Err(NotJson),
        }
    }

    #[inline]
    pub fn text(&mut self) -> Read<Text<'a>> {
        self.expect(b'"')?;
        let from = self.at;
        let to = special(self.bytes, from);
        if self.bytes.get(to) != Some(&b'"') {
            return self.escaped_text(from, to);
        }
        self.at = to + 1;
        Ok(Text {
            raw: &self.bytes[from..to],
            extra: 0,
            respelled: false,
        })
    }

    #[inline(never)]
    fn escaped_text(&mut self, from: usize, mut at: usize) -> Read<Text<'a>> {
        let (bytes, mut extra, mut respelled) = (self.bytes, 0, false);
        while let Some(b'\\') = bytes.get(at) {
            let (more, size, needed) = escape(&bytes[at..])?;
            extra += more;
            respelled |= !needed;
            at += size;
            // Where one escape follows the other, searching the next is dearer than looking.
            if bytes.get(at) != Some(&b'\\') {
                at = special(bytes, at);
            }
        }
        if bytes.get(at) != Some(&b'"') {
            return Err(NotJson);
        }
        self.at = at + 1;
        Ok(Text {
            raw: &bytes[from..at],
            extra,
            respelled,
        })
    }

    pub fn number(&mut self) -> Read<f64> {
        let written = std::str::from_utf8(self.written_number()?).map_err(|_| NotJson)?;
        written.parse().map_err(|_| NotJson)
    }

    /// A number as it is written.
    pub fn written_number(&mut self) -> Read<&'a [u8]> {
        let from = self.start()?;
        self.pass_number()?;
        Ok(&self.bytes[from..self.at])
    }

    /// Checks the next value only.
    pub fn skip(&mut self) -> Read<()> {
        match self.kind()? {
            Kind::Object => self.fields(|reader, _| reader.skip()),
            Kind::List => self.items(Self::skip),
            Kind::Text => self.text().map(drop),
            Kind::Number => self.pass_number(),
            Kind::True => self.word(b"true"),
            Kind::False => self.word(b"false"),
            Kind::Null => self.word(b"null"),
        }
    }

    /// Reads an object; `visit` is given each key, and must read or skip its value.
    pub fn fields(&mut self, mut visit: impl FnMut(&mut Self, Text<'a>) -> Read<()>) -> Read<()> {
        if !self.open(b'{', b'}')? {
            return Ok(());
        }
        loop {
            let key = self.text()?;
            self.expect(b':')?;
            self.start()?;
            visit(self, key)?;
            if !self.more(b'}')? {
                return Ok(());
            }
            self.start()?;
        }
    }

    /// Reads a list; `visit` must read or skip each of its values.
    pub fn items(&mut self, mut visit: impl FnMut(&mut Self) -> Read<()>) -> Read<()> {
        if !self.open(b'[', b']')? {
            return Ok(());
        }
        loop {
            self.start()?;
            visit(self)?;
            if !self.more(b']')? {
                return Ok(());
            }
        }
    }

    /// Nothing may follow but blanks.
    pub fn end(&mut self) -> Read<()> {
        match self.next() {
            Ok(_) => Err(NotJson),
            Err(NotJson) => Ok(()),
        }
    }

    /// The next byte that is no blank.
    #[inline]
    fn next(&mut self) -> Read<u8> {
        match self.bytes.get(self.at) {
            Some(&byte) if byte > b' ' => Ok(byte),
            _ => self.next_after_blanks(),
        }
    }

    #[inline(never)]
    fn next_after_blanks(&mut self) -> Read<u8> {
        while let Some(&byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Ok(byte);
            }
            self.at += 1;
        }
        Err(NotJson)
    }

    /// Its place.
    #[inline]
    fn start(&mut self) -> Read<usize> {
        self.next()?;
        Ok(self.at)
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Read<()> {
        if self.next()? != byte {
            return Err(NotJson);
        }
        self.at += 1;
        Ok(())
    }

    /// Whether there is anything in the container.
    fn open(&mut self, first: u8, last: u8) -> Read<bool> {
        self.expect(first)?;
        if self.next()? == last {
            self.at += 1;
            return Ok(false);
        }
        if self.depth == MAX_DEPTH {
            return Err(NotJson);
        }
        self.depth += 1;
        Ok(true)
    }

    /// Whether more follows in the container.
    fn more(&mut self, last: u8) -> Read<bool> {
        let byte = self.next()?;
        self.at += 1;
        if byte == b',' {
            return Ok(true);
        }
        if byte != last {
            return Err(NotJson);
        }
        self.depth -= 1;
        Ok(false)
    }

    fn word(&mut self, word: &[u8]) -> Read<()> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(NotJson);
        }
        self.at += word.len();
        Ok(())
    }

    fn pass_number(&mut self) -> Read<()> {
        self.pass(b"-");
        if !self.pass(b"0") {
            self.digits()?;
        }
        if self.pass(b".") {
            self.digits()?;
        }
        if self.pass(b"eE") {
            self.pass(b"+-");
            self.digits()?;
        }
        Ok(())
    }

    fn pass(&mut self, any: &[u8]) -> bool {
        let passes = self.bytes.get(self.at).map_or(false, |byte| any.contains(byte));
        self.at += usize::from(passes);
        passes
    }

    /// At least one.
    fn digits(&mut self) -> Read<()> {
        let count = self.bytes[self.at..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        self.at += count;
        if count == 0 {
            return Err(NotJson);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
