//! Whether a text is the JSON that was asked for.

use crate::protocol::json::{Kind, Reader, Text};
use crate::protocol::requirements::Format;

/// Whether it is of that form, after its reasoning if that was not asked apart, and without a fence around it: an engine
/// that lets models write fences does so every time, and clients look into them.
pub fn answers_in(text: &Text, format: Format) -> bool {
    let text = text.unescaped();
    let is_good =
        |answer: &[u8]| is_json(answer, format) || unfenced(answer).map_or(false, |inner| is_json(inner, format));
    is_good(&text) || after_last(&text, b"</think>").map_or(false, is_good)
}

fn after_last<'a>(text: &'a [u8], mark: &[u8]) -> Option<&'a [u8]> {
    let found = text.windows(mark.len()).rposition(|window| window == mark)?;
    Some(&text[found + mark.len()..])
}

/// What is between ``` with the name of a language, and the ``` at the end.
fn unfenced(text: &[u8]) -> Option<&[u8]> {
    const FENCE: &[u8] = b"```";
    let first = text.iter().position(|byte| !byte.is_ascii_whitespace())?;
    let last = text.iter().rposition(|byte| !byte.is_ascii_whitespace())?;
    let inner = text[first..=last].strip_prefix(FENCE)?.strip_suffix(FENCE)?;
    let language = inner.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    Some(&inner[language..])
}

/// What is nested too deeply to be read is taken for it.
pub fn is_json(text: &[u8], format: Format) -> bool {
    let mut reader = Reader::new(text);
    let is_allowed = |kind| format == Format::Schema || kind == Kind::Object;
    if !reader.kind().map_or(false, is_allowed) {
        return false;
    }
    let is_read = reader.skip().is_ok() && reader.end().is_ok();
    is_read || reader.is_too_deep()
}
