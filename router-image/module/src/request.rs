//! What routing needs to know of a chat, completion or response request. What is not understood is passed over: the
//! engine refuses it or knows better.

use std::borrow::Cow;

use crate::json::{Kind, Read, Reader, Text};
use crate::quality::{Asked, Format};

/// Bytes of the conversation's beginning that identify it: the same system prompt and first question, the same engine.
const PREFIX: usize = 512;

/// Texts at the beginning and at the end of a message that are kept at least. The score looks at fewer bytes of each than
/// so many line breaks between texts have, and a message of millions of texts must not take ten times its own memory.
const KEPT: usize = 1024;

/// In the types of parts: image_url, input_image, input_audio, video_url, file, ...
const MEDIA: [&[u8]; 4] = [b"image", b"audio", b"video", b"file"];

/// A request as routing sees it.
#[derive(Debug, Default, PartialEq)]
pub struct Seen<'a> {
    /// What the client wrote as `model`; none if that is no string.
    pub model: Option<Cow<'a, [u8]>>,
    /// The beginning of the conversation, as written in JSON.
    pub prefix: Vec<u8>,
    /// Bytes of UTF-8 in all texts.
    pub bytes: usize,
    /// Texts of the newest message of the user, or of anybody if no user says anything.
    pub question: Vec<Text<'a>>,
    /// Messages.
    pub turns: usize,
    /// Images, recordings, films and files.
    pub media: usize,
    /// Tools offered.
    pub tools: usize,
    /// Tokens that the answer may have; 0 if the request does not say it.
    pub budget: f64,
    /// Form asked of the answer: any JSON is 1, a schema or a grammar 2.
    pub structure: u8,
    /// Reasoning effort asked for: medium is 1, high and more 2.
    pub effort: f64,
    /// For the check of the answer's quality.
    pub asked: Asked,
}

/// None when the body is not a JSON object.
pub fn read(body: &[u8]) -> Option<Seen<'_>> {
    let (mut reader, mut fields) = (Reader::new(body), Fields::default());
    reader.fields(|reader, key| fields.read(reader, key)).ok()?;
    reader.end().ok()?;
    Some(fields.seen())
}

/// The fields of the request's body, each as it was written last.
#[derive(Default)]
struct Fields<'a> {
    model: Option<Text<'a>>,
    instructions: Said<'a>,
    messages: Said<'a>,
    input: Said<'a>,
    prompt: Said<'a>,
    tools: usize,
    /// Names of the tools, and of what they were called before.
    names: [Vec<Vec<u8>>; 2],
    completion_budget: Option<f64>,
    output_budget: Option<f64>,
    budget: Option<f64>,
    format: Option<Text<'a>>,
    text_format: Option<Text<'a>>,
    regex: bool,
    ebnf: bool,
    effort: Option<f64>,
    reasoning: Option<f64>,
}

impl<'a> Fields<'a> {
    fn read(&mut self, reader: &mut Reader<'a>, key: Text<'a>) -> Read<()> {
        match key.name().as_ref() {
            b"model" => self.model = text_at(reader, &[])?,
            b"instructions" => self.instructions = Said::in_one(reader, false)?,
            b"messages" => self.messages = Said::in_messages(reader)?,
            b"input" if reader.kind()? == Kind::Text => self.input = Said::in_one(reader, true)?,
            b"input" => self.input = Said::in_messages(reader)?,
            b"prompt" => self.prompt = Said::in_one(reader, true)?,
            b"tools" => (self.tools, self.names[0]) = names(reader, &["function", "name"])?,
            b"functions" => self.names[1] = names(reader, &["name"])?.1,
            b"max_completion_tokens" => self.completion_budget = number(reader)?,
            b"max_output_tokens" => self.output_budget = number(reader)?,
            b"max_tokens" => self.budget = number(reader)?,
            b"response_format" => self.format = text_at(reader, &["type"])?,
            b"text" => self.text_format = text_at(reader, &["format", "type"])?,
            b"regex" => self.regex = text_at(reader, &[])?.is_some(),
            b"ebnf" => self.ebnf = text_at(reader, &[])?.is_some(),
            // SGLang takes a share of the highest effort too.
            b"reasoning_effort" if reader.kind()? == Kind::Number => self.effort = Some(2.0 * reader.number()?),
            b"reasoning_effort" => self.effort = text_at(reader, &[])?.and_then(effort),
            b"reasoning" => self.reasoning = text_at(reader, &["effort"])?.and_then(effort),
            _ => reader.skip()?,
        }
        Ok(())
    }

    fn seen(self) -> Seen<'a> {
        let mut said = self.instructions;
        said.join(self.messages);
        said.join(self.input);
        said.join(self.prompt);
        let [mut names, older_names] = self.names;
        names.extend(older_names);
        Seen {
            model: self.model.map(|model| model.name()),
            prefix: said.prefix,
            bytes: said.bytes,
            question: said.question,
            turns: said.turns,
            media: said.media,
            tools: self.tools,
            budget: self
                .completion_budget
                .or(self.output_budget)
                .or(self.budget)
                .unwrap_or(0.0),
            structure: if self.regex || self.ebnf {
                2
            } else {
                self.format.or(self.text_format).map_or(0, structure)
            },
            effort: self.effort.or(self.reasoning).unwrap_or(0.0),
            asked: Asked {
                tools: names,
                format: self.format.and_then(format),
            },
        }
    }
}

/// What is said in one field of the body.
#[derive(Default)]
struct Said<'a> {
    prefix: Vec<u8>,
    bytes: usize,
    question: Vec<Text<'a>>,
    /// Whether a user asks the question.
    by_user: bool,
    turns: usize,
    media: usize,
}

impl<'a> Said<'a> {
    fn in_one(reader: &mut Reader<'a>, by_user: bool) -> Read<Self> {
        let (mut said, mut content) = (Said::default(), Content::default());
        content.read(reader)?;
        said.note(&mut content, by_user);
        Ok(said)
    }

    fn in_messages(reader: &mut Reader<'a>) -> Read<Self> {
        let (mut said, mut content) = (Said::default(), Content::default());
        if reader.kind()? != Kind::List {
            reader.skip()?;
            return Ok(said);
        }
        reader.items(|reader| {
            said.turns += 1;
            if reader.kind()? != Kind::Object {
                return reader.skip();
            }
            let mut by_user = false;
            content.clear();
            reader.fields(|reader, key| {
                if key.is("role") {
                    by_user = text_at(reader, &[])?.map_or(false, |role| role.is("user"));
                    Ok(())
                } else if key.is("content") {
                    content.clear();
                    content.read(reader)
                } else {
                    reader.skip()
                }
            })?;
            said.note(&mut content, by_user);
            Ok(())
        })?;
        Ok(said)
    }

    /// Notes a message; takes its texts if they are the newest question.
    fn note(&mut self, content: &mut Content<'a>, by_user: bool) {
        self.media += content.media;
        if content.texts.is_empty() {
            return;
        }
        self.bytes += content.bytes;
        for text in &content.texts {
            self.note_prefix(text.raw);
        }
        if by_user || !self.by_user {
            std::mem::swap(&mut self.question, &mut content.texts);
            self.by_user = by_user;
        }
    }

    fn note_prefix(&mut self, text: &[u8]) {
        let missing = PREFIX.saturating_sub(self.prefix.len());
        if missing > 0 {
            self.prefix.reserve(PREFIX - self.prefix.len());
            self.prefix.extend_from_slice(&text[..missing.min(text.len())]);
        }
    }

    /// Goes on with what is said after it.
    fn join(&mut self, after: Self) {
        if self.prefix.is_empty() {
            self.prefix = after.prefix;
        } else {
            self.note_prefix(&after.prefix);
        }
        self.bytes += after.bytes;
        self.turns += after.turns;
        self.media += after.media;
        if !after.question.is_empty() && (after.by_user || !self.by_user) {
            self.question = after.question;
            self.by_user = after.by_user;
        }
    }
}

/// What is in a message: a string, a part, or a list of those, at whatever depth.
#[derive(Default)]
struct Content<'a> {
    /// Of very many, the first and the last.
    texts: Vec<Text<'a>>,
    /// Of UTF-8, in all texts.
    bytes: usize,
    media: usize,
}

impl<'a> Content<'a> {
    fn clear(&mut self) {
        self.texts.clear();
        self.bytes = 0;
        self.media = 0;
    }

    fn add(&mut self, text: Text<'a>) {
        self.bytes += text.bytes();
        self.texts.push(text);
        if self.texts.len() >= 4 * KEPT {
            self.texts.drain(KEPT..3 * KEPT);
        }
    }

    fn read(&mut self, reader: &mut Reader<'a>) -> Read<()> {
        match reader.kind()? {
            Kind::Text => {
                self.add(reader.text()?);
                Ok(())
            }
            Kind::List => reader.items(|reader| self.read(reader)),
            Kind::Object => self.read_part(reader),
            _ => reader.skip(),
        }
    }

    fn read_part(&mut self, reader: &mut Reader<'a>) -> Read<()> {
        let (mut kind, mut text) = (None, None);
        reader.fields(|reader, key| {
            if key.is("type") {
                kind = text_at(reader, &[])?;
            } else if key.is("text") {
                text = text_at(reader, &[])?;
            } else {
                reader.skip()?;
            }
            Ok(())
        })?;
        match (text, kind) {
            (Some(text), _) => self.add(text),
            (None, Some(kind)) if is_media(kind) => self.media += 1,
            _ => {}
        }
        Ok(())
    }
}

fn is_media(kind: Text) -> bool {
    let kind = kind.name();
    MEDIA
        .iter()
        .any(|medium| kind.windows(medium.len()).any(|part| part == *medium))
}

/// The text that is the next value, or that is under these keys in it.
fn text_at<'a>(reader: &mut Reader<'a>, path: &[&str]) -> Read<Option<Text<'a>>> {
    let mut found = None;
    match (path.split_first(), reader.kind()?) {
        (None, Kind::Text) => found = Some(reader.text()?),
        (Some((wanted, rest)), Kind::Object) => reader.fields(|reader, key| {
            if !key.is(wanted) {
                return reader.skip();
            }
            found = text_at(reader, rest)?;
            Ok(())
        })?,
        _ => reader.skip()?,
    }
    Ok(found)
}

fn number(reader: &mut Reader) -> Read<Option<f64>> {
    if reader.kind()? == Kind::Number {
        return reader.number().map(Some);
    }
    reader.skip()?;
    Ok(None)
}

/// How many items the next value has if it is a list, and what they are called under these keys.
fn names(reader: &mut Reader, path: &[&str]) -> Read<(usize, Vec<Vec<u8>>)> {
    let (mut items, mut names) = (0, Vec::new());
    if reader.kind()? != Kind::List {
        reader.skip()?;
        return Ok((items, names));
    }
    reader.items(|reader| {
        items += 1;
        names.extend(text_at(reader, path)?.map(|name| name.name().into_owned()));
        Ok(())
    })?;
    Ok((items, names))
}

/// A schema or grammar counts as two, just any JSON as one.
fn structure(kind: Text) -> u8 {
    match kind.name().as_ref() {
        b"json_schema" | b"structural_tag" => 2,
        b"json_object" => 1,
        _ => 0,
    }
}

fn format(kind: Text) -> Option<Format> {
    match kind.name().as_ref() {
        b"json_object" => Some(Format::Object),
        b"json_schema" => Some(Format::Schema),
        _ => None,
    }
}

fn effort(word: Text) -> Option<f64> {
    match word.name().as_ref() {
        b"medium" => Some(1.0),
        b"high" | b"xhigh" | b"ultra" | b"max" => Some(2.0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(body: &str) -> Seen<'_> {
        read(body.as_bytes()).unwrap()
    }

    fn question(body: &str) -> Vec<&[u8]> {
        seen(body).question.iter().map(|text| text.raw).collect()
    }

    #[test]
    fn a_conversation_has_one_prefix_wherever_its_texts_stand() {
        let fields = [
            r#""instructions":"be terse""#,
            r#""messages":[{"content":"a\n"},{"content":["b",{"text":"c"}]}]"#,
            r#""input":"d""#,
            r#""prompt":["e","f"]"#,
        ];
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
            let body = format!("{{{}}}", order.map(|field| fields[field]).join(","));
            assert_eq!(seen(&body).prefix, br"be tersea\nbcdef");
        }
        let long = "0123456789".repeat(100);
        let body = format!(r#"{{"input":"{long}","instructions":"x"}}"#);
        assert_eq!(seen(&body).prefix, format!("x{long}").as_bytes()[..PREFIX]);
    }

    #[test]
    fn of_a_message_of_very_many_texts_the_first_and_the_last_are_kept() {
        let texts: Vec<String> = (0..20_000).map(|number| format!("\"{number}\"")).collect();
        let body = format!(r#"{{"messages":[{{"role":"user","content":[{}]}}]}}"#, texts.join(","));
        let seen = seen(&body);
        let raw: Vec<&[u8]> = seen.question.iter().map(|text| text.raw).collect();
        assert!(raw.len() >= 2 * KEPT && raw.len() < 4 * KEPT);
        assert!(raw[..KEPT]
            .iter()
            .enumerate()
            .all(|(number, text)| *text == number.to_string().as_bytes()));
        let last = raw[raw.len() - KEPT..].iter().enumerate();
        assert!(last
            .clone()
            .all(|(number, text)| *text == (20_000 - KEPT + number).to_string().as_bytes()));
        assert_eq!(seen.bytes, texts.iter().map(|text| text.len() - 2).sum::<usize>());
    }

    #[test]
    fn the_newest_question_of_the_user_counts() {
        let body = r#"{"prompt":[],"messages":[{"role":"user","content":"1"},{"role":"user","content":["2",{"text":"3"}]},
            {"role":"assistant","content":"4"},{"role":"user","content":[]}]}"#;
        assert_eq!(question(body), [b"2", b"3"]);
        assert_eq!(
            question(r#"{"messages":[{"content":"1"},{"content":"2"},{"role":"user"}]}"#),
            [b"2"]
        );
        assert_eq!(
            question(r#"{"messages":[{"role":"user","content":"1"}],"instructions":"2"}"#),
            [b"1"]
        );
    }

    #[test]
    fn of_equal_keys_the_last_counts() {
        let body = r#"{"model":"a","m\u006fdel":"b","messages":[{"content":"gone"}],"max_tokens":5,"max_tokens":null,
            "messages":[{"role":"user","content":[{"type":"image_url"},"gone"],"content":"here","role":"x"}]}"#;
        let seen = seen(body);
        assert_eq!(
            (seen.model.as_deref(), seen.prefix.as_slice()),
            (Some(&b"b"[..]), &b"here"[..])
        );
        assert_eq!((seen.turns, seen.bytes, seen.media, seen.budget), (1, 4, 0, 0.0));
    }

    #[test]
    fn what_is_asked_of_the_answer_is_noted() {
        let seen = seen(
            r#"{"tools":[{"type":"function","function":{"name":"\u0061","parameters":{"name":"x"}}},7,{"name":"y"}],
            "functions":[{"name":"b"}],"response_format":{"type":"json_object"}}"#,
        );
        assert_eq!(seen.asked.tools, [b"a", b"b"]);
        assert_eq!(
            (seen.asked.format, seen.tools, seen.structure),
            (Some(Format::Object), 3, 1)
        );
        assert_eq!(read(b"{}").unwrap().asked, Asked::default());
    }

    #[test]
    fn only_objects_are_requests() {
        for body in [
            "",
            "[]",
            "\"auto\"",
            "{",
            "{} {}",
            "{\"model\":\"auto\"",
            "{\"messages\":[{\"content\":[}]}",
        ] {
            assert_eq!(read(body.as_bytes()), None);
        }
    }
}
