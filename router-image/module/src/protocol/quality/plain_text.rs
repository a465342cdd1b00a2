//! The form of most answers, found without reading them closely.

/// Whether the answer is of the form that most have: one message, with text and without calls. Read closely, which takes
/// several times as long, are only the others. Keys cannot be mistaken for the text of strings, in which quotes are
/// escaped.
pub fn is_plain_text(answer: &[u8]) -> bool {
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
