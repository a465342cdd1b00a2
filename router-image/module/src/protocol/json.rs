//! A pull reader of JSON: one pass over a document that checks all of it and builds nothing. Most of a chat request is
//! text that routing never looks at, and a hostile document costs no more than that pass.

use std::borrow::Cow;

use crate::protocol::byte_search::special;

/// The document is not JSON, or more of its containers are inside each other than anybody means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NotJson;

pub type Read<T> = Result<T, NotJson>;

/// Containers inside each other; an empty innermost one does not count.
const MAX_DEPTH: usize = 128;

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

/// By how much the escape at the beginning of `raw` is longer than the UTF-8 it stands for, its length, and whether the
/// character may need it.
fn escape(raw: &[u8]) -> Read<(usize, usize, bool)> {
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

/// A whole document, for the few that are used as one.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    Number(f64),
    Text(Text<'a>),
    List(Vec<Value<'a>>),
    Object(Vec<(Text<'a>, Value<'a>)>),
}

impl<'a> Value<'a> {
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let value = Self::read(&mut reader).ok()?;
        reader.end().ok()?;
        Some(value)
    }

    fn read(reader: &mut Reader<'a>) -> Read<Self> {
        Ok(match reader.kind()? {
            Kind::Object => {
                let mut fields = Vec::new();
                reader.fields(|reader, key| {
                    fields.push((key, Self::read(reader)?));
                    Ok(())
                })?;
                Value::Object(fields)
            }
            Kind::List => {
                let mut items = Vec::new();
                reader.items(|reader| {
                    items.push(Self::read(reader)?);
                    Ok(())
                })?;
                Value::List(items)
            }
            Kind::Text => Value::Text(reader.text()?),
            Kind::Number => Value::Number(reader.number()?),
            kind => {
                reader.skip()?;
                if kind == Kind::Null {
                    Value::Null
                } else {
                    Value::Bool(kind == Kind::True)
                }
            }
        })
    }

    /// The field of that name; the last of several, none if it is no object.
    pub fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.as_object()?
            .iter()
            .rev()
            .find(|(key, _)| key.is(name))
            .map(|(_, value)| value)
    }

    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    pub fn as_number(&self) -> Option<f64> {
        match self {
            Value::Number(value) => Some(*value),
            _ => None,
        }
    }

    pub fn as_text(&self) -> Option<Text<'a>> {
        match self {
            Value::Text(value) => Some(*value),
            _ => None,
        }
    }

    pub fn as_list(&self) -> Option<&[Value<'a>]> {
        match self {
            Value::List(value) => Some(value),
            _ => None,
        }
    }

    pub fn as_object(&self) -> Option<&[(Text<'a>, Value<'a>)]> {
        match self {
            Value::Object(value) => Some(value),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_json(text: &str) -> bool {
        let mut reader = Reader::new(text.as_bytes());
        reader.skip().and_then(|()| reader.end()).is_ok()
    }

    fn text(raw: &str) -> Text<'_> {
        Reader::new(raw.as_bytes()).text().unwrap()
    }

    #[test]
    fn only_json_is_read() {
        let good = r#"
            0|-0|1.5|1e5|-0.1E+2|1E-2|true|false|null|""|[ ]|[[],{}]|{"a":[1,{"b":null}],"a":2}
            "\"\\\/\b\f\n\r\t\u00e9\uD83D"|"é🎈"|"what goes on for so long that many of its bytes are looked at at a time\n"
        "#;
        let bad = r#"
            -|01|1.|.5|1e|+1|1e+|--1|tru|truee|nul|NaN|Infinity|[1,]|[,1]|[1 2]|[1}|[|{|]|{"a"}|{"a":}|{"a":1,}|{a:1}
            {1:1}|{"a":1]|"|"\|"\"|"\x"|"\u12"|"\u12g4"|"\u+123"|1 1|{}{}|'a'|/**/1
        "#;
        for text in good.trim().split(['|', '\n']) {
            assert!(is_json(text), "{text}");
        }
        for text in bad.trim().split(['|', '\n']) {
            assert!(!is_json(text), "{text}");
        }
        assert!(is_json("\t{\r\n} ") && is_json("\"\u{7f}\""));
        assert!(!is_json("") && !is_json(" ") && !is_json("\"\t\"") && !is_json("\u{feff}1"));
    }

    #[test]
    fn containers_are_followed_to_a_depth() {
        let nested = |depth: usize, core: &str| format!("{}{core}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(is_json(&nested(MAX_DEPTH, "1")) && is_json(&nested(MAX_DEPTH, "[]")));
        assert!(!is_json(&nested(MAX_DEPTH + 1, "1")) && !is_json(&nested(100_000, "")));
    }

    #[test]
    fn bytes_are_counted_as_in_utf8() {
        for (raw, bytes) in [
            (r#""é""#, 2),
            (r#""\u00e9\n\/\u007f""#, 5),
            (r#""\u07ff\u0800\uffff""#, 8),
            (r#""\ud83d\ude00""#, 4),
            (r#""\ud83d""#, 2),
        ] {
            assert_eq!(text(raw).bytes(), bytes, "{raw}");
        }
    }

    #[test]
    fn texts_are_unescaped() {
        let written = r#""a\u0062\/\"\\\n\t\r\b\f\u0001\u4e2d\uD83D\uDE00 \ud83d!\ude00\ud83d\u0041""#;
        let meant = b"ab/\"\\\n\t\r\x08\x0c\x01\xe4\xb8\xad\xf0\x9f\x98\x80 \xed\xa0\xbd!\xed\xb8\x80\xed\xa0\xbdA";
        assert_eq!(*text(written).unescaped(), *meant);
        assert!(text(r#""\u0075ser""#).is("user") && text(r#""user""#).is("user") && !text(r#""users""#).is("user"));
    }

    #[test]
    fn canonical_texts_have_one_spelling() {
        let spellings = [
            r#""a\u002f\u0022\u005C\u000a\u001F\u00e9""#,
            r#""\u0061\/\"\\\n\u001fé""#,
        ];
        for spelling in spellings {
            assert_eq!(*text(spelling).canonical(), *"a/\\\"\\\\\\n\\u001fé".as_bytes());
        }
        assert!(matches!(text(r#""\n\\u0041\"""#).canonical(), Cow::Borrowed(_)));
    }

    #[test]
    fn parts_do_not_split_escapes() {
        let whole = text(r#""a\\\\n\u0041""#);
        assert_eq!(whole.part(0, 2).raw, br"a\\");
        assert_eq!(whole.part(3, 5).raw, br"\\");
        assert_eq!(whole.part(4, 90).raw, br"n\u0041");
        // Escapes that are cut stand for something or nothing.
        for to in 0..=whole.raw.len() {
            whole.part(0, to).canonical();
            whole.part(0, to).unescaped();
        }
    }

    #[test]
    fn trees_hold_whole_documents() {
        let value = Value::parse(br#"{"a": [1.5, "x", true, null], "b": 1, "\u0062": {"c": false}}"#).unwrap();
        let list = value.get("a").and_then(Value::as_list).unwrap();
        assert_eq!(
            (list[0].as_number(), list[2].as_bool(), &list[3]),
            (Some(1.5), Some(true), &Value::Null)
        );
        assert!(list[1].as_text().unwrap().is("x"));
        assert_eq!(value.get("b").and_then(|b| b.get("c")), Some(&Value::Bool(false)));
        assert_eq!(value.get("c"), None);
        assert_eq!(Value::parse(b"{} x"), None);
    }

    #[test]
    fn positions_bound_values() {
        let written = br#" { "a" : [1, 2] , "b":-1.5e3 } "#;
        let (mut reader, mut values) = (Reader::new(written), Vec::new());
        let visit = |reader: &mut Reader, _: Text| {
            let from = reader.position();
            reader.skip()?;
            values.push(&written[from..reader.position()]);
            Ok(())
        };
        reader.fields(visit).unwrap();
        assert_eq!(values, [&b"[1, 2]"[..], b"-1.5e3"]);
        assert_eq!(Reader::new(b" -1.5e3").number(), Ok(-1500.0));
        assert_eq!(Reader::new(b"1e999").number(), Ok(f64::INFINITY));
    }
}
