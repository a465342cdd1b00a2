//! Reads an answer, for its judge.

use super::json_text::is_json;
use super::{Calls, Choice, Content, Fault, Judge, Matched, Message};
use crate::protocol::json::{Kind, NotJson, Read, Reader, Text};
use crate::protocol::requirements::{says_something, text, Format};
use crate::protocol::tokens::reported;

/// What reads returns an error where the answer is not JSON.
impl Judge<'_> {
    pub fn of(mut self, answer: &[u8]) -> Option<Fault> {
        let tokens = reported(answer).map_or(0, |tokens| tokens.completion);
        // A single one that is a blank needs no count.
        self.is_full = self
            .requirements
            .limit
            .map_or(false, |limit| tokens.max(1) >= u64::from(limit));
        let mut reader = Reader::new(answer);
        let fault = self.answer(&mut reader);
        fault.unwrap_or_else(|NotJson| (!reader.is_too_deep()).then_some(Fault::Empty))
    }

    fn answer(&self, reader: &mut Reader) -> Read<Option<Fault>> {
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

    /// That of the first, if all of them have one: the client may choose.
    fn choices(&self, reader: &mut Reader) -> Read<Option<Fault>> {
        let kind = reader.kind()?;
        if kind != Kind::List {
            reader.skip()?;
            return Ok((kind == Kind::Object).then_some(Fault::Empty));
        }
        let (mut has_good, mut fault) = (false, Fault::Empty);
        let mut count = 0;
        reader.items(|reader| {
            match self.choice(reader)? {
                None => has_good = true,
                Some(first) if count == 0 => fault = first,
                Some(_) => {}
            }
            count += 1;
            Ok(())
        })?;
        Ok((!has_good).then_some(fault))
    }

    fn choice(&self, reader: &mut Reader) -> Read<Option<Fault>> {
        if reader.kind()? != Kind::Object {
            reader.skip()?;
            return Ok(Some(Fault::Empty));
        }
        let mut choice = Choice::default();
        reader.fields(|reader, key| {
            match key.name().as_ref() {
                b"message" => choice.message = self.message(reader)?,
                b"text" => choice.text = text(reader)?,
                b"finish_reason" => choice.finish = text(reader)?,
                b"matched_stop" => choice.matched = matched(reader)?,
                // A word there is none of the model's.
                _ if reader.kind()? == Kind::Text => reader.skip()?,
                _ => choice.has_more |= says_something(reader)?,
            }
            Ok(())
        })?;
        Ok(self.fault(&choice))
    }

    fn message<'a>(&self, reader: &mut Reader<'a>) -> Read<Option<Message<'a>>> {
        let mut message = Message::default();
        let kind = reader.kind()?;
        if kind != Kind::Object {
            reader.skip()?;
            return Ok((kind == Kind::List).then_some(message));
        }
        reader.fields(|reader, key| {
            match key.name().as_ref() {
                b"role" | b"name" | b"id" | b"type" => reader.skip()?,
                b"content" => message.content = content(reader)?,
                b"refusal" => message.refuses = shows_something(reader)?,
                b"tool_calls" => message.tool_calls = self.tool_calls(reader)?,
                b"function_call" => message.function_call = self.call(reader)?,
                _ => message.has_more |= shows_something(reader)?,
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
        let (mut call, mut is_known) = (None, true);
        if reader.kind()? != Kind::Object {
            reader.skip()?;
            return Ok(false);
        }
        reader.fields(|reader, key| {
            match key.name().as_ref() {
                b"type" => is_known = text(reader)?.map_or(true, |kind| kind.is("function") || kind.is("custom")),
                b"function" | b"custom" => call = self.call(reader)?.or(call),
                _ => reader.skip()?,
            }
            Ok(())
        })?;
        // Calls of other kinds are the engine's own.
        Ok(call.unwrap_or(!is_known))
    }

    fn call(&self, reader: &mut Reader) -> Read<Calls> {
        let kind = reader.kind()?;
        if kind != Kind::Object {
            reader.skip()?;
            return Ok((kind == Kind::List).then_some(false));
        }
        let (mut name, mut has_json) = (None, true);
        reader.fields(|reader, key| {
            if key.is("name") {
                name = text(reader)?;
            } else if key.is("arguments") {
                // No text at all is what engines make of no arguments.
                has_json = text(reader)?.map_or(true, |text| {
                    !is_visible(&text) || is_json(&text.unescaped(), Format::Schema)
                });
            } else {
                reader.skip()?;
            }
            Ok(())
        })?;
        Ok(Some(self.is_right(name, has_json)))
    }
}

fn matched(reader: &mut Reader) -> Read<Matched> {
    let matched = match reader.kind()? {
        Kind::Text => Matched::Text,
        Kind::Number => Matched::Token,
        _ => Matched::Unsaid,
    };
    reader.skip().map(|()| matched)
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

/// As `says_something`, but that a text must be visible.
fn shows_something(reader: &mut Reader) -> Read<bool> {
    if reader.kind()? == Kind::Text {
        return reader.text().map(|text| is_visible(&text));
    }
    says_something(reader)
}

/// Whether anything of the text is visible.
pub fn is_visible(text: &Text) -> bool {
    let mut rest = text.raw;
    loop {
        rest = match rest {
            [b' ', rest @ ..] | [b'\\', b'n' | b'r' | b't', rest @ ..] => rest,
            _ => return !rest.is_empty(),
        }
    }
}
