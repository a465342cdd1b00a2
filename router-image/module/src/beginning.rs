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
    Ok(named(key, value(reader, None)?.0))
}

/// Hash of the next value, and the text that it is or that is under these keys in it, if any are given.
pub fn value<'a>(reader: &mut Reader<'a>, path: Option<&[&str]>) -> Read<(u64, Option<Text<'a>>)> {
    match reader.kind()? {
        Kind::Object => object(reader, path),
        Kind::Text => {
            let text = reader.text()?;
            Ok((of_text(text), path.filter(|path| path.is_empty()).map(|_| text)))
        }
        Kind::List => {
            let mut all = LIST;
            reader.items(|reader| {
                all = joined(all, value(reader, None)?.0);
                Ok(())
            })?;
            Ok((all, None))
        }
        Kind::Number => Ok((number(reader)?, None)),
        kind => {
            reader.skip()?;
            let hash = match kind {
                Kind::True => TRUE,
                Kind::False => FALSE,
                _ => 0,
            };
            Ok((hash, None))
        }
    }
}

fn object<'a>(reader: &mut Reader<'a>, path: Option<&[&str]>) -> Read<(u64, Option<Text<'a>>)> {
    let (mut fields, mut found) = (0_u64, None);
    let step = path.and_then(|path| path.split_first());
    reader.fields(|reader, key| {
        let rest = step.filter(|(wanted, _)| key.is(wanted)).map(|(_, rest)| rest);
        let (hash, text) = value(reader, rest)?;
        if rest.is_some() {
            found = text;
        }
        fields = fields.wrapping_add(named(key, hash));
        Ok(())
    })?;
    Ok((joined(OBJECT, fields), found))
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
        value(&mut Reader::new(json.as_bytes()), None).unwrap().0
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
    fn the_text_under_the_keys_is_found() {
        let found = |json: &'static str| {
            let (_, found) = value(&mut Reader::new(json.as_bytes()), Some(&["a", "b"])).unwrap();
            found.map(|text| text.raw)
        };
        assert_eq!(found(r#"{"b":"x","a":{"a":"y","b":"z"}}"#), Some(&b"z"[..]));
        assert_eq!(found(r#"{"a":{"b":"x"},"a":{"b":"y"}}"#), Some(&b"y"[..]));
        for none in [
            r#"{"a":"x"}"#,
            r#"{"a":{"b":{"b":"x"}}}"#,
            r#"{"a":{"b":"x","b":1}}"#,
            r#"[{"b":"x"}]"#,
            "1",
        ] {
            assert_eq!(found(none), None, "{none}");
        }
    }
}
