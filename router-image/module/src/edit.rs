//! Changes of a request's own fields, for a retry; the rest of its text stays as it was, byte by byte.

use crate::json::{Kind, NotJson, Read, Reader, Text, Value};

/// What an attempt sends otherwise than the client did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// As text, which is put in as it is. Alone of all it is added where the client gave none.
    pub temperature: Option<String>,
    pub max_tokens_factor: Option<f64>,
    pub new_seed: bool,
}

/// More tokens than any model has room for, and exact as a double.
const MOST: f64 = (1u64 << 40) as f64;

const SEEDS: f64 = (1u64 << 31) as f64;

impl Change {
    /// As retries.py tells it.
    pub fn parse(told: &Value) -> Option<Change> {
        let temperature = match told.get("temperature") {
            Some(text) => Some(String::from_utf8(text.as_text()?.unescaped().into_owned()).ok()?),
            None => None,
        };
        let max_tokens_factor = match told.get("max_tokens_factor") {
            Some(factor) => Some(factor.as_number()?),
            None => None,
        };
        Some(Change {
            temperature,
            max_tokens_factor,
            new_seed: told.get("new_seed")?.as_bool()?,
        })
    }

    /// What becomes of the field, if anything; `old` is `None` where it is no number.
    fn value(&self, key: &Text, old: Option<f64>, attempt: u32) -> Option<String> {
        if key.is("temperature") {
            return self.temperature.clone();
        }
        if key.is("max_tokens") || key.is("max_completion_tokens") || key.is("max_output_tokens") {
            return multiplied(old?, self.max_tokens_factor?);
        }
        if key.is("seed") && self.new_seed {
            return reseeded(old?, attempt);
        }
        None
    }
}

fn multiplied(tokens: f64, factor: f64) -> Option<String> {
    // Anything else is for the engine to refuse.
    let makes_sense = (1.0..=MOST).contains(&tokens);
    makes_sense.then(|| ((tokens * factor).floor().max(1.0) as u64).to_string())
}

fn reseeded(seed: f64, attempt: u32) -> Option<String> {
    // Differs on every attempt, and is the same when the client sends the same request again.
    let moved = seed.rem_euclid(SEEDS) + f64::from(attempt) * 7919.0;
    seed.is_finite().then(|| (moved.rem_euclid(SEEDS) as u64).to_string())
}

/// The body of a request as this attempt (the first is 1) shall send it. What is not one JSON object stays as it is.
pub fn apply(body: &[u8], change: &Change, attempt: u32) -> Vec<u8> {
    edited(body, change, attempt).unwrap_or_else(|NotJson| body.to_vec())
}

fn edited(body: &[u8], change: &Change, attempt: u32) -> Read<Vec<u8>> {
    let mut reader = Reader::new(body);
    let mut made = Vec::with_capacity(body.len() + 64);
    let (mut done, mut is_empty, mut has_temperature) = (0, true, false);
    reader.kind()?;
    let inside = reader.position() + 1;
    reader.fields(|reader, key| {
        is_empty = false;
        has_temperature |= key.is("temperature");
        let kind = reader.kind()?;
        let first = reader.position();
        let old = match kind {
            Kind::Number => Some(reader.number()?),
            _ => reader.skip().map(|()| None)?,
        };
        if let Some(new) = change.value(&key, old, attempt) {
            made.extend_from_slice(&body[done..first]);
            made.extend_from_slice(new.as_bytes());
            done = reader.position();
        }
        Ok(())
    })?;
    reader.end()?;
    made.extend_from_slice(&body[done..]);
    match &change.temperature {
        Some(temperature) if !has_temperature => {
            let comma = if is_empty { "" } else { "," };
            let field = format!("\"temperature\":{temperature}{comma}");
            made.splice(inside..inside, field.into_bytes());
        }
        _ => {}
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(told: &str) -> Change {
        Change::parse(&Value::parse(told.as_bytes()).unwrap()).unwrap()
    }

    fn edited(body: &str, change: &Change) -> String {
        String::from_utf8(apply(body.as_bytes(), change, 2)).unwrap()
    }

    #[test]
    fn only_own_fields_are_changed() {
        let change = change(r#"{"temperature":"0.2","max_tokens_factor":0.5,"new_seed":true}"#);
        let cases = [
            ("{}", r#"{"temperature":0.2}"#),
            (" {\n} ", " {\"temperature\":0.2\n} "),
            (
                r#"{"a": [1, {"seed": 1}]}"#,
                r#"{"temperature":0.2,"a": [1, {"seed": 1}]}"#,
            ),
            (
                r#"{ "temperature" : 1 , "a" : 2 }"#,
                r#"{ "temperature" : 0.2 , "a" : 2 }"#,
            ),
            (r#"{"temperature":{"a":[1]}}"#, r#"{"temperature":0.2}"#),
            (r#"{"temperature":"\"}"}"#, r#"{"temperature":0.2}"#),
            (r#"{"temper\u0061ture":null}"#, r#"{"temper\u0061ture":0.2}"#),
            (
                r#"{"temperature":1,"temperature":2}"#,
                r#"{"temperature":0.2,"temperature":0.2}"#,
            ),
            (
                r#"{"x":"{\"temperature\":1}","\"temperature":1,"temperature\\":1}"#,
                r#"{"temperature":0.2,"x":"{\"temperature\":1}","\"temperature":1,"temperature\\":1}"#,
            ),
            (
                r#"{"temperature":1,"messages":[{"temperature":1,"content":"\\\"}"}],"max_tokens":9}"#,
                r#"{"temperature":0.2,"messages":[{"temperature":1,"content":"\\\"}"}],"max_tokens":4}"#,
            ),
        ];
        for (body, expected) in cases {
            assert_eq!(edited(body, &change), expected);
        }
    }

    #[test]
    fn numbers_of_all_forms_are_changed_and_others_are_not() {
        let change = change(r#"{"max_tokens_factor":0.5,"new_seed":true}"#);
        let cases = [
            ("max_tokens", "101", "50"),
            ("max_tokens", "1", "1"),
            ("max_completion_tokens", "1.5e2", "75"),
            ("max_output_tokens", "3E+0", "1"),
            ("max_tokens", "0", "0"),
            ("max_tokens", "-5", "-5"),
            ("max_tokens", "1099511627776", "549755813888"),
            ("max_tokens", "1099511627777", "1099511627777"),
            ("max_tokens", "1e999", "1e999"),
            ("max_tokens", "\"10\"", "\"10\""),
            ("max_tokens", "null", "null"),
            ("seed", "1", "15839"),
            ("seed", "-1", "15837"),
            ("seed", "2147483647", "15837"),
            ("seed", "1.75", "15839"),
            ("seed", "1e300", "15838"),
            ("seed", "1e999", "1e999"),
            ("seed", "\"1\"", "\"1\""),
            ("seed", "[1]", "[1]"),
        ];
        for (key, old, new) in cases {
            let (body, expected) = (format!("{{\"{key}\": {old}}}"), format!("{{\"{key}\": {new}}}"));
            assert_eq!(edited(&body, &change), expected);
            assert_eq!(edited(&body, &Change::default()), body);
        }
    }

    #[test]
    fn what_is_no_object_stays() {
        let change = change(r#"{"temperature":"0.2","new_seed":false}"#);
        for body in [
            "",
            "null",
            "[1]",
            "{",
            "{\"temperature\":1",
            "{} {}",
            "{\"temperature\":1,}",
            "{\"a\" 1}",
            "\\",
        ] {
            assert_eq!(edited(body, &change), body);
        }
    }

    #[test]
    fn changes_of_another_form_are_refused() {
        for told in ["{}", "[]", r#"{"new_seed":1}"#, r#"{"new_seed":true,"temperature":1}"#] {
            assert_eq!(Change::parse(&Value::parse(told.as_bytes()).unwrap()), None);
        }
    }
}
