//! Hashes of the values that a conversation begins with: the same however they are spelled.

use crate::protocol::hash::{hash, joined};
use crate::protocol::json::{Kind, Read, Reader, Text};

/// Clients move it from message to message as a conversation grows: it says what to keep, and nothing to the model.
const MARK: &str = "cache_control";

/// Where the first answer begins in prompts that clients have put into a chat template themselves: those of Qwen, Llama 3,
/// GPT-OSS, GLM, DeepSeek, Gemma, Mistral, Vicuna, and of many without one.
const ANSWERS: [&[u8]; 9] = [
    b"<|im_start|>assistant",
    b"<|start_header_id|>assistant",
    b"<|start|>assistant",
    b"<|assistant|>",
    "<\u{ff5c}Assistant\u{ff5c}>".as_bytes(),
    b"<start_of_turn>model",
    b"[/INST]",
    b"ASSISTANT:",
    b"Assistant:",
];

const OBJECT: u64 = 1;
const LIST: u64 = 2;
const TRUE: u64 = 3;
const FALSE: u64 = 4;
const NUMBER: u64 = 5;

/// Whatever of it is escaped.
pub fn of_text(text: Text) -> u64 {
    hash(&text.canonical())
}

/// Of a prompt without messages: up to the first answer in it, as later turns only differ after that. One that is in no
/// known template says nothing of turns, and all of it counts.
pub fn of_prompt(text: Text) -> u64 {
    let text = text.canonical();
    hash(&text[..first_answer(&text)])
}

fn first_answer(text: &[u8]) -> usize {
    const BLOCK: usize = 32;
    let may_begin = |byte: &u8| matches!(byte, b'<' | b'[' | b'A');
    for (number, block) in text.chunks(BLOCK).enumerate() {
        // Without an early end, so that the compiler looks at many bytes at once: most blocks have none of these.
        if !block.iter().fold(false, |any, byte| any | may_begin(byte)) {
            continue;
        }
        let places = number * BLOCK..number * BLOCK + block.len();
        let begins = |at: &usize| may_begin(&text[*at]) && ANSWERS.iter().any(|answer| text[*at..].starts_with(answer));
        if let Some(at) = places.into_iter().find(begins) {
            return at;
        }
    }
    text.len()
}

/// Of the number that comes next, as it is written.
pub fn number(reader: &mut Reader) -> Read<u64> {
    Ok(joined(NUMBER, hash(reader.written_number()?)))
}

/// Hash of the next value, which is under this key; hashes of an object's fields are added up, so that their order does
/// not count. A null is as no field at all.
pub fn field(reader: &mut Reader, key: Text) -> Read<u64> {
    Ok(named(key, value(reader)?))
}

/// Hash of the next value.
pub fn value(reader: &mut Reader) -> Read<u64> {
    match reader.kind()? {
        Kind::Object => object(reader),
        Kind::Text => Ok(of_text(reader.text()?)),
        Kind::List => {
            let mut all = LIST;
            reader.items(|reader| {
                all = joined(all, value(reader)?);
                Ok(())
            })?;
            Ok(all)
        }
        Kind::Number => number(reader),
        kind => {
            reader.skip()?;
            Ok(match kind {
                Kind::True => TRUE,
                Kind::False => FALSE,
                _ => 0,
            })
        }
    }
}

fn object(reader: &mut Reader) -> Read<u64> {
    let mut fields = 0_u64;
    reader.fields(|reader, key| {
        fields = fields.wrapping_add(field(reader, key)?);
        Ok(())
    })?;
    Ok(joined(OBJECT, fields))
}

fn named(key: Text, value: u64) -> u64 {
    if value == 0 || key.is(MARK) {
        return 0;
    }
    joined(hash(&key.name()), value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> u64 {
        value(&mut Reader::new(json.as_bytes())).unwrap()
    }

    #[test]
    fn spelling_and_the_order_of_fields_do_not_count() {
        let spellings = [
            r#"{"a":[1,"xA\n"],"b":{"c":true}}"#,
            r#" { "b" : { "\u0063" : true }, "a" : [ 1, "x\u0041\u000a" ] } "#,
            r#"{"a":[1,"xA\n"],"n":null,"cache_control":{"type":"ephemeral"},"b":{"c":true}}"#,
        ];
        for spelling in spellings {
            assert_eq!(of(spelling), of(spellings[0]), "{spelling}");
        }
    }

    #[test]
    fn everything_else_counts() {
        let values = [
            "1",
            "10",
            "\"1\"",
            "true",
            "false",
            "null",
            "{}",
            "[]",
            "[[]]",
            "[1,2]",
            "[2,1]",
            "[[1],2]",
            "[1,[2]]",
            r#"{"a":1}"#,
            r#"{"a":2}"#,
            r#"{"b":1}"#,
            r#"{"a":{"a":1}}"#,
            r#"{"a":"b","b":"a"}"#,
            r#"{"a":"a","b":"b"}"#,
            r#"{"a":"b"}"#,
            r#"{"b":"a"}"#,
        ];
        for (number, one) in values.iter().enumerate() {
            for other in &values[..number] {
                assert_ne!(of(one), of(other), "{one} {other}");
            }
        }
    }

    #[test]
    fn a_prompt_ends_where_its_first_answer_begins() {
        for answer in ANSWERS {
            for place in [0, 1, 31, 32, 33, 500] {
                let before = vec![b'<'; place];
                let text = [&before, answer, &b" yes "[..], answer].concat();
                assert_eq!(first_answer(&text), place);
                assert_eq!(
                    first_answer(&text[..place + answer.len() - 1]),
                    place + answer.len() - 1
                );
            }
        }
        assert_eq!(first_answer(b""), 0);
    }
}
