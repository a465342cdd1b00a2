//! Whether an answer that is not streamed is of any use to its client.

use std::collections::HashSet;

use crate::json::{Kind, Read, Reader, Text};

/// What a request asks of its answer besides text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    /// Names of the offered tools, unescaped.
    pub tools: Vec<Vec<u8>>,
    pub format: Option<Format>,
}

/// The JSON that the text of an answer must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Format {
    /// `json_object`
    Object,
    /// `json_schema`; a schema may describe a list or a number.
    Schema,
}

impl Asked {
    /// A form in which Envoy can carry it from one filter to the other: the format, then each name after its length.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![match self.format {
            None => 0,
            Some(Format::Object) => 1,
            Some(Format::Schema) => 2,
        }];
        for name in &self.tools {
            bytes.extend_from_slice(&(name.len() as u32).to_le_bytes());
            bytes.extend_from_slice(name);
        }
        bytes
    }

    /// What `encode` made; no bytes say that nothing is asked, and of others as much is read as makes sense.
    pub fn decode(bytes: &[u8]) -> Asked {
        let (format, mut names) = match bytes.split_first() {
            None => return Asked::default(),
            Some((1, rest)) => (Some(Format::Object), rest),
            Some((2, rest)) => (Some(Format::Schema), rest),
            Some((_, rest)) => (None, rest),
        };
        let mut tools = Vec::new();
        while let Some((name, rest)) = split_name(names) {
            tools.push(name.to_vec());
            names = rest;
        }
        Asked { tools, format }
    }
}

fn split_name(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let rest = &bytes[4..];
    Some((rest.get(..length)?, &rest[length..]))
}

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    Empty,
    InvalidJson,
    WrongToolCall,
}

impl Fault {
    pub fn as_str(self) -> &'static str {
        match self {
            Fault::Empty => "empty",
            Fault::InvalidJson => "invalid_json",
            Fault::WrongToolCall => "wrong_tool_call",
        }
    }
}

/// What is wrong with the answer to a request that asked for this, if anything is. Answers without choices are of other
/// APIs, and not judged.
pub fn fault(answer: &[u8], asked: &Asked) -> Option<Fault> {
    if asked.format.is_none() && is_plain_text(answer) {
        return None;
    }
    Judge::new(asked).answer(answer).unwrap_or(Some(Fault::Empty))
}

/// Whether the answer is of the form that most have: one message, with text and without calls. Read closely, which takes
/// several times as long, are only the others. Keys cannot be mistaken for the text of strings, in which quotes are
/// escaped.
fn is_plain_text(answer: &[u8]) -> bool {
    let mut has_message = false;
    let no_other = all_ends(answer, |end| {
        let (key, value) = answer.split_at(end);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        if key.ends_with(b"\"message\":") {
            return !std::mem::replace(&mut has_message, true) && starts_with_text(value);
        }
        let is_list = key.ends_with(b"\"tool_calls\":");
        let says_calls = is_list || key.ends_with(b"\"function_call\":");
        !says_calls || value.starts_with(b"null") || is_list && value.starts_with(b"[]")
    });
    no_other && has_message && answer.last() == Some(&b'}')
}

/// Whether `holds` is true of the index after each colon that may end one of the keys in question, and after some others.
fn all_ends(bytes: &[u8], mut holds: impl FnMut(usize) -> bool) -> bool {
    const BLOCK: usize = 16;
    let mut all = |from: usize, part: &[u8]| part.iter().zip(from..).all(|(&byte, at)| byte != b':' || holds(at + 1));
    let mut at = 3;
    while let Some(part) = bytes.get(at - 3..at + BLOCK) {
        // Compiled to instructions for all of them at a time.
        let pairs = part[..BLOCK].iter().zip(&part[3..]);
        if pairs.fold(false, |found, (letter, colon)| found | is_end(*letter, *colon)) && !all(at, &part[3..]) {
            return false;
        }
        at += BLOCK;
    }
    all(at, bytes.get(at..).unwrap_or_default())
}

/// Whether the last letter but one, before a quote and the colon, is that of `message`, `tool_calls` or `function_call`.
fn is_end(letter: u8, colon: u8) -> bool {
    (colon == b':') & ((letter == b'g') | (letter == b'l'))
}

/// How a message begins that is of use to all who ask for nothing but text: its first visible character is there.
fn starts_with_text(message: &[u8]) -> bool {
    let signs: [&[u8]; 3] = [b"{\"role\":", b"\"assistant\",", b"\"content\":"];
    let content = signs.iter().try_fold(message, |rest, sign| {
        let rest = rest.strip_prefix(*sign)?;
        Some(rest.strip_prefix(b" ").unwrap_or(rest))
    });
    let first = content.and_then(|content| content.strip_prefix(b"\"")?.first());
    matches!(first, Some(c) if *c > b' ' && *c != b'"' && *c != b'\\')
}

struct Judge<'a> {
    offered: HashSet<&'a [u8]>,
    format: Option<Format>,
}

/// What matters of a message. Of a field that is repeated the last counts, as in all JSON libraries.
#[derive(Default)]
struct Message<'a> {
    content: Content<'a>,
    has_refusal: bool,
    has_audio: bool,
    tool_calls: Calls,
    /// That of the older API.
    function_call: Calls,
}

#[derive(Default)]
enum Content<'a> {
    #[default]
    Nothing,
    Text(Text<'a>),
    Parts,
}

/// Whether all calls are of what was offered; `None` without calls.
type Calls = Option<bool>;

impl<'a> Judge<'a> {
    fn new(asked: &'a Asked) -> Self {
        Judge {
            offered: asked.tools.iter().map(Vec::as_slice).collect(),
            format: asked.format,
        }
    }
}

/// What reads returns an error where the answer is not JSON.
impl Judge<'_> {
    fn answer(&self, answer: &[u8]) -> Read<Option<Fault>> {
        let mut reader = Reader::new(answer);
        let mut fault = None;
        reader.fields(|reader, key| {
            if !key.is("choices") {
                return reader.skip();
            }
            fault = self.choices(reader)?;
            Ok(())
        })?;
        reader.end()?;
        Ok(fault)
    }

    fn choices(&self, reader: &mut Reader) -> Read<Option<Fault>> {
        let kind = reader.kind()?;
        if kind != Kind::List {
            reader.skip()?;
            return Ok((kind == Kind::Object).then_some(Fault::Empty));
        }
        let (mut is_empty, mut fault) = (true, None);
        reader.items(|reader| {
            is_empty = false;
            let next = self.choice(reader)?;
            fault = fault.or(next);
            Ok(())
        })?;
        Ok(if is_empty { Some(Fault::Empty) } else { fault })
    }

    fn choice(&self, reader: &mut Reader) -> Read<Option<Fault>> {
        if reader.kind()? != Kind::Object {
            reader.skip()?;
            return Ok(Some(Fault::Empty));
        }
        let (mut message, mut completion) = (None, None);
        reader.fields(|reader, key| {
            if key.is("message") {
                message = self.message(reader)?;
            } else if key.is("text") {
                completion = text(reader)?;
            } else {
                reader.skip()?;
            }
            Ok(())
        })?;
        Ok(match (message, completion) {
            (Some(message), _) => self.fault(&message),
            // A completion may end at once with a blank or a line break, and mean it.
            (None, Some(text)) if !text.raw.is_empty() => None,
            _ => Some(Fault::Empty),
        })
    }

    fn message<'a>(&self, reader: &mut Reader<'a>) -> Read<Option<Message<'a>>> {
        let mut message = Message::default();
        let kind = reader.kind()?;
        if kind != Kind::Object {
            reader.skip()?;
            return Ok((kind == Kind::List).then_some(message));
        }
        reader.fields(|reader, key| {
            if key.is("content") {
                message.content = content(reader)?;
            } else if key.is("refusal") {
                message.has_refusal = text(reader)?.map_or(false, |text| says_something(&text));
            } else if key.is("audio") {
                message.has_audio = matches!(reader.kind()?, Kind::Object | Kind::List);
                reader.skip()?;
            } else if key.is("tool_calls") {
                message.tool_calls = self.tool_calls(reader)?;
            } else if key.is("function_call") {
                message.function_call = self.call(reader)?;
            } else {
                reader.skip()?;
            }
            Ok(())
        })?;
        Ok(Some(message))
    }

    fn tool_calls(&self, reader: &mut Reader) -> Read<Calls> {
        let mut calls = None;
        if reader.kind()? != Kind::List {
            reader.skip()?;
            return Ok(calls);
        }
        reader.items(|reader| {
            let is_right = self.tool_call(reader)?;
            calls = Some(is_right && calls != Some(false));
            Ok(())
        })?;
        Ok(calls)
    }

    fn tool_call(&self, reader: &mut Reader) -> Read<bool> {
        let mut call = None;
        if reader.kind()? != Kind::Object {
            reader.skip()?;
            return Ok(false);
        }
        reader.fields(|reader, key| {
            if !key.is("function") {
                return reader.skip();
            }
            call = self.call(reader)?;
            Ok(())
        })?;
        Ok(call == Some(true))
    }

    fn call(&self, reader: &mut Reader) -> Read<Calls> {
        let kind = reader.kind()?;
        if kind != Kind::Object {
            reader.skip()?;
            return Ok((kind == Kind::List).then_some(false));
        }
        let (mut name, mut arguments) = (None, None);
        reader.fields(|reader, key| {
            if key.is("name") {
                name = text(reader)?;
            } else if key.is("arguments") {
                arguments = text(reader)?;
            } else {
                reader.skip()?;
            }
            Ok(())
        })?;
        let is_offered = name.map_or(false, |name| self.offered.contains(name.unescaped().as_ref()));
        let has_arguments = arguments.map_or(false, |text| is_json(&text, Format::Object));
        Ok(Some(is_offered && has_arguments))
    }

    fn fault(&self, message: &Message) -> Option<Fault> {
        match message.tool_calls.or(message.function_call) {
            Some(true) => return None,
            Some(false) => return Some(Fault::WrongToolCall),
            None if message.has_refusal || message.has_audio => return None,
            None => {}
        }
        match &message.content {
            Content::Parts => None,
            Content::Text(text) if says_something(text) => match self.format {
                Some(format) if !is_json(text, format) => Some(Fault::InvalidJson),
                _ => None,
            },
            _ => Some(Fault::Empty),
        }
    }
}

fn content<'a>(reader: &mut Reader<'a>) -> Read<Content<'a>> {
    let mut content = Content::Nothing;
    match reader.kind()? {
        Kind::Text => content = Content::Text(reader.text()?),
        Kind::List => reader.items(|reader| {
            content = Content::Parts;
            reader.skip()
        })?,
        _ => reader.skip()?,
    }
    Ok(content)
}

/// The string that is next; passes over other values.
fn text<'a>(reader: &mut Reader<'a>) -> Read<Option<Text<'a>>> {
    if reader.kind()? == Kind::Text {
        return reader.text().map(Some);
    }
    reader.skip()?;
    Ok(None)
}

/// Whether anything of the text is visible.
fn says_something(text: &Text) -> bool {
    let mut rest = text.raw;
    loop {
        rest = match rest {
            [b' ', rest @ ..] | [b'\\', b'n' | b'r' | b't', rest @ ..] => rest,
            _ => return !rest.is_empty(),
        }
    }
}

fn is_json(text: &Text, format: Format) -> bool {
    let text = text.unescaped();
    let mut reader = Reader::new(&text);
    let is_allowed = |kind| format == Format::Schema || kind == Kind::Object;
    reader.kind().map_or(false, is_allowed) && reader.skip().is_ok() && reader.end().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(tools: &[&str], format: Option<Format>) -> Asked {
        let tools = tools.iter().map(|name| name.as_bytes().to_vec()).collect();
        Asked { tools, format }
    }

    fn closely(answer: &str, asked: &Asked) -> Option<Fault> {
        Judge::new(asked)
            .answer(answer.as_bytes())
            .unwrap_or(Some(Fault::Empty))
    }

    #[test]
    fn each_fault_is_found() {
        let (object, schema) = (asked(&[], Some(Format::Object)), asked(&[], Some(Format::Schema)));
        let (nothing, tools) = (Asked::default(), asked(&["look up", "é"], None));
        let cases = [
            (&nothing, r#""content":"yes""#, None),
            (&nothing, r#""content":"\n\r\t ""#, Some(Fault::Empty)),
            (&nothing, r#""content":"\\n""#, None),
            (&nothing, r#""content":"\u0020""#, None),
            (&nothing, r#""content":"é""#, None),
            (&nothing, r#""content":"yes","content":null"#, Some(Fault::Empty)),
            (&nothing, r#""content":"","\u0063ontent":"yes""#, None),
            (&nothing, r#""content":{}"#, Some(Fault::Empty)),
            (&nothing, r#""content":[]"#, Some(Fault::Empty)),
            (&nothing, r#""content":[null]"#, None),
            (&nothing, r#""content":"yes"}"#, Some(Fault::Empty)),
            (&nothing, r#""refusal":"no""#, None),
            (&nothing, r#""refusal":" ""#, Some(Fault::Empty)),
            (&nothing, r#""audio":{}"#, None),
            (&nothing, r#""audio":null"#, Some(Fault::Empty)),
            (&object, r#""content":" {\"a\":1}""#, None),
            (&object, r#""content":"[1]""#, Some(Fault::InvalidJson)),
            (&schema, r#""content":"[1]""#, None),
            (&schema, r#""content":"\u0037""#, None),
            (&schema, r#""content":"1,\"a\":2""#, Some(Fault::InvalidJson)),
            (&schema, r#""content":"""#, Some(Fault::Empty)),
            (&schema, r#""content":["no text"]"#, None),
            (
                &tools,
                r#""tool_calls":[{"function":{"name":"\u00e9","arguments":"{}"}}]"#,
                None,
            ),
            (
                &nothing,
                r#""tool_calls":[{"function":{"name":"é","arguments":"{}"}}]"#,
                Some(Fault::WrongToolCall),
            ),
            (
                &tools,
                r#""tool_calls":[{"function":{"name":"é","arguments":"[]"}}]"#,
                Some(Fault::WrongToolCall),
            ),
            (
                &tools,
                r#""tool_calls":[{"function":{"name":"é","arguments":{}}}]"#,
                Some(Fault::WrongToolCall),
            ),
            (
                &tools,
                r#""tool_calls":[{"function":{"name":"é"}}]"#,
                Some(Fault::WrongToolCall),
            ),
            (
                &tools,
                r#""tool_calls":[{"function":null}]"#,
                Some(Fault::WrongToolCall),
            ),
            (
                &tools,
                r#""tool_calls":[{},{"function":{"name":"é","arguments":"{}"}}]"#,
                Some(Fault::WrongToolCall),
            ),
            (&tools, r#""function_call":{"name":"look up","arguments":"{}"}"#, None),
            (
                &tools,
                r#""function_call":[],"content":"yes""#,
                Some(Fault::WrongToolCall),
            ),
            (&tools, r#""tool_calls":[],"function_call":null,"content":"yes""#, None),
        ];
        for (asked, message, expected) in cases {
            let answer = format!(r#"{{"choices":[{{"message":{{"role":"assistant",{message}}}}}]}}"#);
            assert_eq!(closely(&answer, asked), expected, "{answer}");
        }
    }

    #[test]
    fn answers_of_other_forms_are_not_judged() {
        let cases = [
            ("", Some(Fault::Empty)),
            ("[]", Some(Fault::Empty)),
            ("{}", None),
            (r#"{"choices":null}"#, None),
            (r#"{"choices":{}}"#, Some(Fault::Empty)),
            (r#"{"choices":[]}"#, Some(Fault::Empty)),
            (r#"{"choices":[null]}"#, Some(Fault::Empty)),
            (r#"{"choices":[{"text":" "}]}"#, None),
            (r#"{"choices":[{"text":""}]}"#, Some(Fault::Empty)),
            (r#"{"choices":[{"text":"yes","message":[]}]}"#, Some(Fault::Empty)),
            (r#"{"choices":[{"text":"yes"},{"text":1}]}"#, Some(Fault::Empty)),
            (r#"{"choices":[{"text":"yes"}]}}"#, Some(Fault::Empty)),
        ];
        for (answer, expected) in cases {
            assert_eq!(fault(answer.as_bytes(), &Asked::default()), expected, "{answer}");
        }
    }

    #[test]
    fn plain_text_is_found_good_by_the_close_look_too() {
        let calls = r#"[{"function":{"name":"look up","arguments":"{}"}}]"#;
        let mut plain = 0;
        for number in 0..8 * 3 * 4 * 2 * 2 {
            let mut rest = number;
            let mut one_of = |options: &[&'static str]| {
                let option = options[rest % options.len()];
                rest /= options.len();
                option
            };
            let text = one_of(&[
                "yes",
                "",
                " yes",
                "\\n",
                "\\\"message\\\":",
                "é",
                "{",
                "a: \\\"tool_calls\\\":[1]",
            ]);
            let key = one_of(&["tool_calls", "function_call", "x"]);
            let value = one_of(&["null", "[]", "{}", calls]);
            let blank = one_of(&["", " "]);
            let message = format!(
                r#""message":{blank}{{"role":{blank}"assistant",{blank}"content":{blank}"{text}","{key}":{blank}{value}}}"#
            );
            let more = one_of(&["", r#",{"message": {"role":"assistant","content":""}}"#]);
            let answer = format!(r#"{{"id":"message","choices":[{{{message}}}{more}],"usage":{{"total":5}}}}"#);
            if is_plain_text(answer.as_bytes()) {
                plain += 1;
                assert_eq!(closely(&answer, &Asked::default()), None, "{answer}");
            }
        }
        // Four texts begin with a visible character; so many values say nothing of calls, or are of another field.
        assert_eq!(plain, 4 * (2 + 1 + 4) * 2);
    }

    #[test]
    fn what_is_asked_survives_its_way() {
        for asked in [
            Asked::default(),
            asked(&["", "look up"], None),
            asked(&[], Some(Format::Object)),
            asked(&["a"], Some(Format::Schema)),
        ] {
            assert_eq!(Asked::decode(&asked.encode()), asked);
        }
        assert_eq!(Asked::decode(b""), Asked::default());
    }

    #[test]
    fn what_is_cut_or_senseless_is_read_as_far_as_it_goes() {
        let whole = asked(&["look up", "é"], Some(Format::Object)).encode();
        for end in 0..whole.len() {
            assert!(Asked::decode(&whole[..end]).tools.len() < 2);
        }
        assert_eq!(Asked::decode(&[0xff; 64]), Asked::default());
        assert_eq!(Asked::decode(&[0; 13]).tools.len(), 3);
    }
}
