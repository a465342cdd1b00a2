//! Whether the model did wrong in an answer that is not streamed: it said nothing, or something else than was asked,
//! though it came to its own end and nothing in the request explains that. What was cut, filtered, refused or only
//! reasoned is an answer.

mod answer;
mod json_text;
mod plain_text;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use crate::protocol::json::Text;
use crate::protocol::requirements::AnswerRequirements;
use answer::is_visible;
use json_text::answers_in;
use plain_text::is_plain_text;

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
pub fn fault(answer: &[u8], requirements: &AnswerRequirements) -> Option<Fault> {
    if requirements.format.is_none() && !requirements.must_call && is_plain_text(answer) {
        return None;
    }
    Judge::new(requirements).of(answer)
}

struct Judge<'a> {
    requirements: &'a AnswerRequirements,
    /// Whether the answer has as many tokens as it may.
    is_full: bool,
    functions: HashSet<&'a [u8]>,
    custom: HashSet<&'a [u8]>,
}

/// What matters of a choice, and of the message in it. Of a field that is repeated the last counts, as in all JSON
/// libraries.
#[derive(Default)]
struct Choice<'a> {
    message: Option<Message<'a>>,
    /// That of a completion.
    text: Option<Text<'a>>,
    finish: Option<Text<'a>>,
    matched: Matched,
    /// Whether there is anything in other fields: probabilities, or tokens as numbers.
    has_more: bool,
}

/// What in the answer has ended it.
#[derive(Clone, Copy, Default, PartialEq)]
enum Matched {
    #[default]
    Unsaid,
    /// A text: none of the model's own.
    Text,
    /// A token: the model's own, or one that the client named.
    Token,
}

#[derive(Default)]
struct Message<'a> {
    content: Content<'a>,
    refuses: bool,
    tool_calls: Calls,
    /// That of the older API.
    function_call: Calls,
    /// Whether there is anything in other fields: reasoning, audio, or what is not known here.
    has_more: bool,
}

#[derive(Default)]
enum Content<'a> {
    #[default]
    Nothing,
    Text(Text<'a>),
    Parts,
}

/// Whether all calls are of what was declared; `None` without calls.
type Calls = Option<bool>;

impl<'a> Judge<'a> {
    fn new(requirements: &'a AnswerRequirements) -> Self {
        Judge {
            requirements,
            is_full: false,
            functions: requirements.functions.iter().map(Vec::as_slice).collect(),
            custom: requirements.custom.iter().map(Vec::as_slice).collect(),
        }
    }

    fn fault(&self, choice: &Choice) -> Option<Fault> {
        if !self.ended_by_itself(choice) {
            return None;
        }
        let may_be_empty = self.requirements.may_be_empty || choice.has_more;
        let empty = (!may_be_empty).then_some(Fault::Empty);
        match (&choice.message, &choice.text) {
            (Some(message), _) => match self.fault_of_message(message) {
                Some(Fault::Empty) => empty,
                fault => fault,
            },
            // A completion may end at once with a blank or a line break, and mean it.
            (None, Some(text)) if !text.raw.is_empty() => None,
            _ => empty,
        }
    }

    /// Whether it was the model that ended its answer, rather than a limit, a filter or a text of the client's.
    fn ended_by_itself(&self, choice: &Choice) -> bool {
        let is_stopped = match choice.matched {
            Matched::Text => true,
            Matched::Token => self.requirements.stop_tokens,
            Matched::Unsaid => self.requirements.stops || self.requirements.stop_tokens,
        };
        let ends = ["stop", "tool_calls", "function_call"];
        let by_end = match choice.finish {
            Some(finish) => ends.iter().any(|end| finish.is(end)),
            None => self.requirements.limit.is_none(),
        };
        by_end && !is_stopped && !self.is_full
    }

    fn fault_of_message(&self, message: &Message) -> Option<Fault> {
        match message.tool_calls.or(message.function_call) {
            Some(true) => return None,
            Some(false) => return Some(Fault::WrongToolCall),
            None if message.refuses => return None,
            None if self.requirements.must_call => return Some(Fault::WrongToolCall),
            None => {}
        }
        match &message.content {
            Content::Parts => None,
            Content::Text(text) if is_visible(text) => {
                let is_wrong = self
                    .requirements
                    .format
                    .map_or(false, |format| !answers_in(text, format));
                is_wrong.then_some(Fault::InvalidJson)
            }
            _ => (!message.has_more).then_some(Fault::Empty),
        }
    }

    fn is_right(&self, name: Option<Text>, has_json: bool) -> bool {
        let name = name.map(|name| name.unescaped());
        let is_in = |names: &HashSet<&[u8]>| name.as_ref().map_or(false, |name| names.contains(name.as_ref()));
        let takes_text = is_in(&self.custom);
        (self.requirements.other_tools || takes_text || is_in(&self.functions)) && (has_json || takes_text)
    }
}
