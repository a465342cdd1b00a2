//! What routing needs to know of a chat, completion or response request. What is not understood is passed over: the
//! engine refuses it or knows better.

use std::borrow::Cow;

use crate::protocol::conversation::{self, field, of_prompt, of_text, value};
use crate::protocol::hash::{hash, joined};
use crate::protocol::json::{Kind, Read, Reader, Text};
use crate::protocol::requirements::{number, AnswerRequirements, RequirementFields};

/// Texts at the beginning and at the end of a message that are kept at least. The score looks at fewer bytes of each than
/// so many line breaks between texts have, and a message of millions of texts must not take ten times its own memory.
const KEPT: usize = 1024;

/// In the types of parts: image_url, input_image, input_audio, video_url, file, ...
const MEDIA: [&[u8]; 4] = [b"image", b"audio", b"video", b"file"];

/// The role of who asks.
const USER: &[u8] = b"user";

/// A request as routing sees it.
#[derive(Debug, Default, PartialEq)]
pub struct RequestFeatures<'a> {
    /// What the client wrote as `model`; none if that is no string.
    pub model: Option<Cow<'a, [u8]>>,
    /// Tells this conversation from others, and is the same in all of its turns.
    pub conversation: u64,
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
    pub requirements: AnswerRequirements,
}

/// None when the body is not a JSON object.
pub fn parse(body: &[u8]) -> Option<RequestFeatures<'_>> {
    let (mut reader, mut fields) = (Reader::new(body), Fields::default());
    reader.fields(|reader, key| fields.read(reader, key)).ok()?;
    reader.end().ok()?;
    Some(fields.features())
}

/// The fields of the request's body, each as it was written last.
#[derive(Default)]
struct Fields<'a> {
    model: Option<Text<'a>>,
    instructions: ParsedMessages<'a>,
    messages: ParsedMessages<'a>,
    input: ParsedMessages<'a>,
    prompt: ParsedMessages<'a>,
    tools: usize,
    /// Hashes of the tools that are offered, and of what these were called before.
    tools_hash: u64,
    functions_hash: u64,
    requirements: RequirementFields,
    /// What the client calls the conversation.
    key: Option<Text<'a>>,
    id: Option<Text<'a>>,
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
            b"prompt_cache_key" => self.key = text_at(reader, &[])?,
            b"conversation" if reader.kind()? == Kind::Object => self.id = text_at(reader, &["id"])?,
            b"conversation" => self.id = text_at(reader, &[])?,
            b"instructions" => self.instructions = ParsedMessages::in_one(reader, b"", of_text)?,
            b"messages" => self.messages = ParsedMessages::in_messages(reader, &mut self.requirements)?,
            b"input" if reader.kind()? == Kind::Text => self.input = ParsedMessages::in_one(reader, USER, of_text)?,
            b"input" => self.input = ParsedMessages::in_messages(reader, &mut self.requirements)?,
            b"prompt" => self.prompt = ParsedMessages::in_one(reader, USER, of_prompt)?,
            b"tools" => {
                self.tools_hash = value(&mut reader.clone())?;
                self.tools = self.requirements.tools(reader)?;
            }
            b"functions" => {
                self.functions_hash = value(&mut reader.clone())?;
                self.requirements.read(reader, b"functions")?;
            }
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
            other => self.requirements.read(reader, other)?,
        }
        Ok(())
    }

    fn features(self) -> RequestFeatures<'a> {
        let conversation = self.conversation();
        let mut parsed = self.instructions;
        parsed.join(self.messages);
        parsed.join(self.input);
        parsed.join(self.prompt);
        let budget = self.completion_budget.or(self.output_budget).or(self.budget);
        RequestFeatures {
            model: self.model.map(|model| model.name()),
            conversation,
            bytes: parsed.bytes,
            question: parsed.question,
            turns: parsed.turns,
            media: parsed.media,
            tools: self.tools,
            budget: budget.unwrap_or(0.0),
            structure: if self.regex || self.ebnf {
                2
            } else {
                self.format.or(self.text_format).map_or(0, structure)
            },
            effort: self.effort.or(self.reasoning).unwrap_or(0.0),
            requirements: self.requirements.finish(budget, self.format),
        }
    }

    /// By what the client calls it, else by what it begins with, in whatever order that is written.
    fn conversation(&self) -> u64 {
        let mut names = [self.key, self.id].into_iter().flatten();
        if let Some(name) = names.find(|name| !name.raw.is_empty()) {
            return of_text(name);
        }
        let beginnings = [
            self.tools_hash,
            self.functions_hash,
            self.instructions.beginning,
            self.messages.beginning,
            self.input.beginning,
            self.prompt.beginning,
        ];
        beginnings.iter().fold(0, |all, &each| joined(all, each))
    }
}

/// What is said in one field of the body.
#[derive(Default)]
struct ParsedMessages<'a> {
    /// Hash of all messages up to the user's first, which later turns leave as they are.
    beginning: u64,
    /// Whether that is complete.
    begun: bool,
    bytes: usize,
    question: Vec<Text<'a>>,
    /// Whether a user asks the question.
    by_user: bool,
    turns: usize,
    media: usize,
}

impl<'a> ParsedMessages<'a> {
    fn in_one(reader: &mut Reader<'a>, role: &[u8], hashed_by: fn(Text) -> u64) -> Read<Self> {
        let (mut parsed, mut content) = (ParsedMessages::default(), Content::default());
        if reader.kind()? == Kind::Null {
            reader.skip()?;
            return Ok(parsed);
        }
        content.hashed_by = Some(hashed_by);
        content.read(reader)?;
        parsed.note(&mut content, role);
        Ok(parsed)
    }

    fn in_messages(reader: &mut Reader<'a>, requirements: &mut RequirementFields) -> Read<Self> {
        let (mut parsed, mut content) = (ParsedMessages::default(), Content::default());
        if reader.kind()? != Kind::List {
            reader.skip()?;
            return Ok(parsed);
        }
        reader.items(|reader| {
            parsed.turns += 1;
            if reader.kind()? != Kind::Object {
                return reader.skip();
            }
            let mut role = None;
            content.clear();
            content.hashed_by = if parsed.begun { None } else { Some(of_text) };
            reader.fields(|reader, key| {
                if key.is("role") {
                    role = text_at(reader, &[])?;
                    Ok(())
                } else if key.is("content") {
                    content.clear();
                    content.read(reader)
                } else if key.is("tools") {
                    requirements.tools_of_message(reader)
                } else {
                    reader.skip()
                }
            })?;
            parsed.note(&mut content, &role.map(|role| role.name()).unwrap_or_default());
            Ok(())
        })?;
        Ok(parsed)
    }

    /// Notes a message; takes its texts if they are the newest question.
    fn note(&mut self, content: &mut Content<'a>, role: &[u8]) {
        let by_user = role == USER;
        self.media += content.media;
        if content.hashed_by.is_some() {
            self.beginning = joined(self.beginning, joined(hash(role), content.hash));
            self.begun = by_user;
        }
        if content.texts.is_empty() {
            return;
        }
        self.bytes += content.bytes;
        if by_user || !self.by_user {
            std::mem::swap(&mut self.question, &mut content.texts);
            self.by_user = by_user;
        }
    }

    /// Goes on with what is said after it.
    fn join(&mut self, after: Self) {
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
    /// How its texts are, if it belongs to what the conversation begins with.
    hashed_by: Option<fn(Text) -> u64>,
    /// Of all that is in it, in this order: one text is the same as a list of that text.
    hash: u64,
}

impl<'a> Content<'a> {
    fn clear(&mut self) {
        self.texts.clear();
        self.bytes = 0;
        self.media = 0;
        self.hash = 0;
    }

    fn add(&mut self, text: Text<'a>) {
        if let Some(hash) = self.hashed_by {
            self.hash = joined(self.hash, hash(text));
        }
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
            // One of the tokens that a prompt is given in.
            Kind::Number if self.hashed_by.is_some() => {
                self.hash = joined(self.hash, conversation::number(reader)?);
                Ok(())
            }
            _ => reader.skip(),
        }
    }

    fn read_part(&mut self, reader: &mut Reader<'a>) -> Read<()> {
        let (mut kind, mut text, mut others) = (None, None, 0_u64);
        reader.fields(|reader, key| {
            if key.is("type") {
                kind = text_at(reader, &[])?;
            } else if key.is("text") {
                text = text_at(reader, &[])?;
            } else if self.hashed_by.is_some() {
                others = others.wrapping_add(field(reader, key)?);
            } else {
                reader.skip()?;
            }
            Ok(())
        })?;
        if let Some(text) = text {
            self.add(text);
            return Ok(());
        }
        self.media += usize::from(kind.map_or(false, is_media));
        if self.hashed_by.is_some() {
            self.hash = joined(self.hash, joined(kind.map_or(0, of_text), others));
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

/// A schema or grammar counts as two, just any JSON as one.
fn structure(kind: Text) -> u8 {
    match kind.name().as_ref() {
        b"json_schema" | b"structural_tag" => 2,
        b"json_object" => 1,
        _ => 0,
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
mod tests;
