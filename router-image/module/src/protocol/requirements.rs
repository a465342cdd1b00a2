//! What a request asks of its answer, and what in it explains an answer that says nothing.

use std::borrow::Cow;

use crate::protocol::json::{Kind, Read, Reader, Text};

/// What a request asks of its answer besides text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AnswerRequirements {
    /// Names of the declared tools that are called with JSON, unescaped.
    pub functions: Vec<Vec<u8>>,
    /// Names of those that are called with free text.
    pub custom: Vec<Vec<u8>>,
    /// Whether there are tools whose names are not known here, as those that run within the engine.
    pub other_tools: bool,
    /// Whether the answer must call a tool.
    pub must_call: bool,
    pub format: Option<Format>,
    /// Whether texts of the client's may end the answer, or tokens of the client's.
    pub stops: bool,
    pub stop_tokens: bool,
    /// Tokens that the answer may have, if the client says it.
    pub limit: Option<u32>,
    /// Whether nothing visible is an answer too: to the question what is missing between two texts, for example.
    pub may_be_empty: bool,
    /// Whether the likeliest token is taken each time, so that the same model gives the same answer again.
    pub greedy: bool,
}

/// The JSON that the text of an answer must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Format {
    /// `json_object`
    Object,
    /// `json_schema`; a schema may describe a list or a number.
    Schema,
}

impl Format {
    fn named(kind: Text) -> Option<Self> {
        match kind.name().as_ref() {
            b"json_object" => Some(Format::Object),
            b"json_schema" => Some(Format::Schema),
            _ => None,
        }
    }
}

const CUSTOM: u8 = 1;

impl AnswerRequirements {
    /// A form in which Envoy can carry it from one filter to the other: the flags, the format, the limit or 0, then each
    /// tool's kind, length and name.
    pub fn encode(&self) -> Vec<u8> {
        let mut copy = self.clone();
        let flags = copy
            .flags()
            .iter()
            .rev()
            .fold(0, |bits, flag| bits << 1 | u8::from(**flag));
        let format = match self.format {
            None => 0,
            Some(Format::Object) => 1,
            Some(Format::Schema) => 2,
        };
        let mut bytes = vec![flags, format];
        bytes.extend_from_slice(&self.limit.unwrap_or(0).to_le_bytes());
        let functions = self.functions.iter().map(|name| (0, name));
        for (kind, name) in functions.chain(self.custom.iter().map(|name| (CUSTOM, name))) {
            bytes.push(kind);
            bytes.extend_from_slice(&(name.len() as u32).to_le_bytes());
            bytes.extend_from_slice(name);
        }
        bytes
    }

    /// What `encode` made; no bytes say that nothing is asked, and of others as much is read as makes sense.
    pub fn decode(bytes: &[u8]) -> AnswerRequirements {
        let mut requirements = AnswerRequirements::default();
        let (bits, format, limit, mut tools) = match bytes {
            [bits, format, a, b, c, d, tools @ ..] => (*bits, *format, u32::from_le_bytes([*a, *b, *c, *d]), tools),
            _ => return requirements,
        };
        requirements.limit = Some(limit).filter(|limit| *limit > 0);
        for (place, flag) in requirements.flags().into_iter().enumerate() {
            *flag = bits >> place & 1 == 1;
        }
        requirements.format = match format {
            1 => Some(Format::Object),
            2 => Some(Format::Schema),
            _ => None,
        };
        while let Some((kind, name, rest)) = split_tool(tools) {
            let names = if kind == CUSTOM {
                &mut requirements.custom
            } else {
                &mut requirements.functions
            };
            names.push(name.to_vec());
            tools = rest;
        }
        requirements
    }

    fn flags(&mut self) -> [&mut bool; 6] {
        [
            &mut self.other_tools,
            &mut self.must_call,
            &mut self.stops,
            &mut self.stop_tokens,
            &mut self.may_be_empty,
            &mut self.greedy,
        ]
    }
}

fn split_tool(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let length = u32::from_le_bytes(bytes.get(1..5)?.try_into().ok()?) as usize;
    let rest = &bytes[5..];
    Some((bytes[0], rest.get(..length)?, &rest[length..]))
}

/// The fields of the request's body of which that is made, each as it was written last.
#[derive(Default)]
pub struct RequirementFields {
    tools: Tools,
    /// What they were called before.
    functions: Tools,
    /// Declared where they become known, in the middle of a conversation.
    in_messages: Tools,
    tool_choice: bool,
    function_call: bool,
    stops: bool,
    stop_regex: bool,
    stop_tokens: bool,
    least: bool,
    infills: bool,
    continues: bool,
    cold: bool,
    only_likeliest: bool,
}

#[derive(Default)]
struct Tools {
    count: usize,
    functions: Vec<Vec<u8>>,
    custom: Vec<Vec<u8>>,
    others: bool,
}

/// Below this SGLang takes the likeliest token.
const COLD: f64 = 1e-6;

impl RequirementFields {
    /// A field that says nothing else of the request.
    pub fn read(&mut self, reader: &mut Reader, key: &[u8]) -> Read<()> {
        match key {
            b"functions" => self.functions = Tools::read(reader)?,
            b"tool_choice" => self.tool_choice = must_call(reader)?,
            b"function_call" => self.function_call = must_call(reader)?,
            b"stop" => self.stops = says_something(reader)?,
            b"stop_regex" => self.stop_regex = says_something(reader)?,
            b"stop_token_ids" => self.stop_tokens = says_something(reader)?,
            b"min_tokens" => self.least = number(reader)?.map_or(false, |tokens| tokens > 0.0),
            b"suffix" => self.infills = says_something(reader)?,
            b"continue_final_message" => {
                self.continues = reader.kind()? == Kind::True;
                reader.skip()?;
            }
            b"temperature" => self.cold = number(reader)?.map_or(false, |number| number < COLD),
            b"top_k" => self.only_likeliest = number(reader)? == Some(1.0),
            _ => reader.skip()?,
        }
        Ok(())
    }

    /// Returns how many there are.
    pub fn tools(&mut self, reader: &mut Reader) -> Read<usize> {
        self.tools = Tools::read(reader)?;
        Ok(self.tools.count)
    }

    pub fn tools_of_message(&mut self, reader: &mut Reader) -> Read<()> {
        let tools = Tools::read(reader)?;
        self.in_messages.join(tools);
        Ok(())
    }

    /// `limit`: tokens that the answer may have; `format`: the type of the answer's format.
    pub fn finish(self, limit: Option<f64>, format: Option<Text>) -> AnswerRequirements {
        let mut tools = self.tools;
        tools.join(self.functions);
        tools.join(self.in_messages);
        AnswerRequirements {
            // Where there is nothing to call, no model can.
            must_call: (self.tool_choice || self.function_call) && tools.count > 0,
            // What continues a text is no JSON without it.
            format: format.filter(|_| !self.continues).and_then(Format::named),
            functions: tools.functions,
            custom: tools.custom,
            other_tools: tools.others,
            stops: self.stops || self.stop_regex,
            stop_tokens: self.stop_tokens,
            limit: limit.map(|tokens| tokens as u32).filter(|tokens| *tokens > 0),
            may_be_empty: self.least || self.infills || self.continues,
            greedy: self.cold || self.only_likeliest,
        }
    }
}

impl Tools {
    fn read(reader: &mut Reader) -> Read<Self> {
        let mut tools = Tools::default();
        if reader.kind()? != Kind::List {
            reader.skip()?;
            return Ok(tools);
        }
        reader.items(|reader| {
            tools.count += 1;
            match Tool::read(reader)? {
                Some(Tool {
                    name,
                    takes_text: false,
                }) => tools.functions.push(name.into_owned()),
                Some(Tool { name, takes_text: true }) => tools.custom.push(name.into_owned()),
                None => tools.others = true,
            }
            Ok(())
        })?;
        Ok(tools)
    }

    fn join(&mut self, other: Self) {
        self.count += other.count;
        self.functions.extend(other.functions);
        self.custom.extend(other.custom);
        self.others |= other.others;
    }
}

struct Tool<'a> {
    name: Cow<'a, [u8]>,
    takes_text: bool,
}

impl<'a> Tool<'a> {
    /// None where it is called by a name that is not said here.
    fn read(reader: &mut Reader<'a>) -> Read<Option<Self>> {
        let (mut kind, mut name, mut function, mut custom) = (None, None, None, None);
        if reader.kind()? != Kind::Object {
            reader.skip()?;
            return Ok(None);
        }
        reader.fields(|reader, key| {
            match key.name().as_ref() {
                b"type" => kind = text(reader)?,
                b"name" => name = text(reader)?,
                b"function" => function = field(reader, "name")?,
                b"custom" => custom = field(reader, "name")?,
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        let takes_text = kind.map_or(false, |kind| kind.is("custom"));
        let is_known = takes_text || kind.map_or(true, |kind| kind.is("function"));
        let nested = if takes_text { custom } else { function };
        let name = nested.or(name).filter(|_| is_known);
        Ok(name.map(|name| Tool {
            name: name.name(),
            takes_text,
        }))
    }
}

/// Whether a `tool_choice` demands a call: any, or that of a tool.
fn must_call(reader: &mut Reader) -> Read<bool> {
    match reader.kind()? {
        Kind::Text => {
            let word = reader.text()?;
            Ok(word.is("required") || word.is("any"))
        }
        Kind::Object => {
            let (mut kind, mut mode) = (None, None);
            reader.fields(|reader, key| {
                if key.is("type") {
                    kind = text(reader)?;
                } else if key.is("mode") {
                    mode = text(reader)?;
                } else if key.is("allowed_tools") {
                    mode = field(reader, "mode")?.or(mode);
                } else {
                    reader.skip()?;
                }
                Ok(())
            })?;
            let is_free = |word: Option<Text>| word.map_or(false, |word| word.is("auto") || word.is("none"));
            let only_limits = kind.map_or(false, |kind| kind.is("allowed_tools")) && mode.is_none();
            Ok(!only_limits && !is_free(kind) && !is_free(mode))
        }
        _ => reader.skip().map(|()| false),
    }
}

/// The string that is next; passes over other values.
pub fn text<'a>(reader: &mut Reader<'a>) -> Read<Option<Text<'a>>> {
    if reader.kind()? == Kind::Text {
        return reader.text().map(Some);
    }
    reader.skip()?;
    Ok(None)
}

/// The string under this name in the next value, if that is an object.
fn field<'a>(reader: &mut Reader<'a>, name: &str) -> Read<Option<Text<'a>>> {
    let mut found = None;
    if reader.kind()? != Kind::Object {
        reader.skip()?;
        return Ok(found);
    }
    reader.fields(|reader, key| {
        if !key.is(name) {
            return reader.skip();
        }
        found = text(reader)?;
        Ok(())
    })?;
    Ok(found)
}

pub fn number(reader: &mut Reader) -> Read<Option<f64>> {
    if reader.kind()? == Kind::Number {
        return reader.number().map(Some);
    }
    reader.skip()?;
    Ok(None)
}

/// Whether there is anything within the quotes or brackets of the next value.
pub fn says_something(reader: &mut Reader) -> Read<bool> {
    let mut says = false;
    match reader.kind()? {
        Kind::Text => says = !reader.text()?.raw.is_empty(),
        Kind::List => reader.items(|reader| {
            says = true;
            reader.skip()
        })?,
        Kind::Object => reader.fields(|reader, _| {
            says = true;
            reader.skip()
        })?,
        _ => reader.skip()?,
    }
    Ok(says)
}

#[cfg(test)]
mod tests;
