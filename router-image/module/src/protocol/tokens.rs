//! What an engine reports of the tokens that a request took.

use crate::protocol::json::{Kind, Read, Reader};

const USAGE: &[u8] = b"\"usage\"";
/// The report is at the end of an answer, or in its last events: so much of each piece is looked at (bytes).
pub const END: usize = 1024;
/// More than any model has room for, and exact as a double.
const MOST: f64 = (1u64 << 40) as f64;

/// Numbers of tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tokens {
    pub prompt: u64,
    pub completion: u64,
}

/// The last report in a piece of an answer. A piece that was cut inside of it has none: engines write events as a whole.
pub fn reported(piece: &[u8]) -> Option<Tokens> {
    let end = &piece[piece.len().saturating_sub(END)..];
    // Quotes inside of texts are escaped, so this is a key.
    let key = end.windows(USAGE.len()).rposition(|window| window == USAGE)?;
    let value = end[key + USAGE.len()..]
        .split_first()
        .filter(|(colon, _)| **colon == b':')?
        .1;
    read(&mut Reader::new(value)).ok().flatten()
}

fn read(reader: &mut Reader) -> Read<Option<Tokens>> {
    let mut tokens = Tokens::default();
    if reader.kind()? != Kind::Object {
        return Ok(None);
    }
    reader.fields(|reader, key| {
        // The second names are those of responses.
        if key.is("prompt_tokens") || key.is("input_tokens") {
            tokens.prompt = number(reader)?;
        } else if key.is("completion_tokens") || key.is("output_tokens") {
            tokens.completion = number(reader)?;
        } else {
            reader.skip()?;
        }
        Ok(())
    })?;
    Ok(Some(tokens))
}

fn number(reader: &mut Reader) -> Read<u64> {
    if reader.kind()? != Kind::Number {
        reader.skip()?;
        return Ok(0);
    }
    Ok(reader.number()?.clamp(0.0, MOST) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(prompt: u64, completion: u64) -> Option<Tokens> {
        Some(Tokens { prompt, completion })
    }

    #[test]
    fn the_last_report_counts() {
        let answers: [(&str, Option<Tokens>); 9] = [
            (
                r#"{"choices":[],"usage":{"prompt_tokens":7,"total_tokens":10,"completion_tokens":3}}"#,
                tokens(7, 3),
            ),
            (
                r#"{"usage": {"input_tokens": 5, "input_tokens_details": {"a": [1]}, "output_tokens": 2}}"#,
                tokens(5, 2),
            ),
            (
                "data: {\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":1}}\n\ndata: [DONE]\n\n",
                tokens(7, 1),
            ),
            (
                "data: {\"usage\":{\"prompt_tokens\":7}}\n\ndata: {\"usage\":{\"prompt_tokens\":8}}\n\n",
                tokens(8, 0),
            ),
            (r#"{"text":"\"usage\":{\"prompt_tokens\":9}"}"#, None),
            (r#"{"usage":null}"#, None),
            (r#"{"usage":{"prompt_tokens":7,"comple"#, None),
            (
                r#"{"usage":{"prompt_tokens":-1,"completion_tokens":1e300}}"#,
                tokens(0, 1 << 40),
            ),
            (
                r#"{"usage":{"prompt_tokens":"7","completion_tokens":null}}"#,
                tokens(0, 0),
            ),
        ];
        for (answer, expected) in answers {
            assert_eq!(reported(answer.as_bytes()), expected, "{answer}");
        }
    }

    #[test]
    fn the_end_is_looked_at() {
        let report = r#""usage":{"prompt_tokens":7,"completion_tokens":3}}"#;
        assert_eq!(
            reported(format!("{}{report}", "x".repeat(9000)).as_bytes()),
            tokens(7, 3)
        );
        assert_eq!(reported(format!("{report}{}", "x".repeat(9000)).as_bytes()), None);
        assert_eq!(reported(b""), None);
        assert_eq!(reported(USAGE), None);
    }
}
