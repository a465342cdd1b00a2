//! Hashes of the values that a conversation begins with: the same however they are spelled.

use crate::hash::{hash, joined};
use crate::json::{Kind, Read, Reader, Text};

/// Clients move it from message to message as a conversation grows: it says what to keep, and nothing to the model.
const MARK: &str = "cache_control";

const OBJECT: u64 = 1;
const LIST: u64 = 2;
const TRUE: u64 = 3;
const FALSE: u64 = 4;
const NUMBER: u64 = 5;

/// Whatever of it is escaped.
pub fn of_text(text: Text) -> u64 {
    hash(&text.canonical())
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
}
