//! Changes of a request's own fields, for a retry; the rest of its text stays as it was, byte by byte.

use crate::protocol::json::{Kind, NotJson, Read, Reader, Text, Value};
use crate::protocol::requirements::AnswerRequirements;

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
    pub fn parse(config: &Value) -> Option<Change> {
        let temperature = match config.get("temperature") {
            Some(text) => Some(String::from_utf8(text.as_text()?.unescaped().into_owned()).ok()?),
            None => None,
        };
        let max_tokens_factor = match config.get("max_tokens_factor") {
            Some(factor) => Some(factor.as_number()?),
            None => None,
        };
        Some(Change {
            temperature,
            max_tokens_factor,
            new_seed: config.get("new_seed")?.as_bool()?,
        })
    }

    /// What becomes of the field, if anything; `old` is `None` where it is no number.
    fn value(&self, key: &Text, old: Option<f64>, seed: Seed) -> Option<String> {
        if key.is("temperature") {
            return self.temperature.clone();
        }
        if key.is("max_tokens") || key.is("max_completion_tokens") || key.is("max_output_tokens") {
            return multiplied(old?, self.max_tokens_factor?);
        }
        match seed {
            Seed::Any(attempt) if key.is("seed") => reseeded(old.unwrap_or(0.0), attempt),
            Seed::Own(attempt) if key.is("seed") && self.new_seed => reseeded(old?, attempt),
            _ => None,
        }
    }

    /// Whether the likeliest token is taken each time, if the client's request `is_greedy`.
    fn is_greedy(&self, is_greedy: bool) -> bool {
        let temperature = self.temperature.as_ref().and_then(|text| text.parse::<f64>().ok());
        temperature.map_or(is_greedy, |number| number == 0.0)
    }
}

/// Whose seed this attempt replaces, where it is to do so.
#[derive(Clone, Copy)]
enum Seed {
    /// The client's, if there is one.
    Own(u32),
    /// One is put in where there is none.
    Any(u32),
}

impl Seed {
    fn added(self) -> Option<String> {
        match self {
            Seed::Own(_) => None,
            Seed::Any(attempt) => reseeded(0.0, attempt),
        }
    }
}

/// Whether the same model may answer a request otherwise than before, changed like this: not if the likeliest tokens are
/// taken both times, of as many.
pub fn may_differ(before: Option<&Change>, after: Option<&Change>, requirements: &AnswerRequirements) -> bool {
    let is_greedy =
        |change: Option<&Change>| change.map_or(requirements.greedy, |change| change.is_greedy(requirements.greedy));
    let factor = |change: Option<&Change>| change?.max_tokens_factor.filter(|_| requirements.limit.is_some());
    !(is_greedy(before) && is_greedy(after)) || factor(before) != factor(after)
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
    edited(body, change, Seed::Own(attempt)).unwrap_or_else(|NotJson| body.to_vec())
}

/// The same, but never as one of the earlier ones, whose answers were of low quality: where the change alone does not
/// tell it from them, a seed does.
pub fn apply_anew(body: &[u8], change: &Change, earlier: &[Change], attempt: u32) -> Vec<u8> {
    let made = apply(body, change, attempt);
    if !earlier.iter().any(|earlier| apply(body, earlier, attempt) == made) {
        return made;
    }
    edited(body, change, Seed::Any(attempt)).unwrap_or(made)
}

/// The body of a request for another model, whatever it asked for. What is not one JSON object stays as it is.
pub fn with_model(body: &[u8], model: &str) -> Vec<u8> {
    named(body, &quoted(model)).unwrap_or_else(|NotJson| body.to_vec())
}

fn named(body: &[u8], model: &str) -> Read<Vec<u8>> {
    let mut reader = Reader::new(body);
    let mut made = Vec::with_capacity(body.len() + model.len() + 16);
    let (mut done, mut is_empty, mut has_model) = (0, true, false);
    reader.kind()?;
    let inside = reader.position() + 1;
    reader.fields(|reader, key| {
        is_empty = false;
        reader.kind()?;
        let first = reader.position();
        reader.skip()?;
        if key.is("model") {
            has_model = true;
            made.extend_from_slice(&body[done..first]);
            made.extend_from_slice(model.as_bytes());
            done = reader.position();
        }
        Ok(())
    })?;
    reader.end()?;
    made.extend_from_slice(&body[done..]);
    if !has_model {
        let comma = if is_empty { "" } else { "," };
        made.splice(inside..inside, format!("\"model\":{model}{comma}").into_bytes());
    }
    Ok(made)
}

/// As JSON has it.
fn quoted(text: &str) -> String {
    let mut made = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => made.extend(['\\', letter]),
            control if control < ' ' => made.push_str(&format!("\\u{:04x}", control as u32)),
            _ => made.push(letter),
        }
    }
    made.push('"');
    made
}

fn edited(body: &[u8], change: &Change, seed: Seed) -> Read<Vec<u8>> {
    let mut reader = Reader::new(body);
    let mut made = Vec::with_capacity(body.len() + 64);
    let (mut done, mut is_empty, mut has_temperature, mut has_seed) = (0, true, false, false);
    reader.kind()?;
    let inside = reader.position() + 1;
    reader.fields(|reader, key| {
        is_empty = false;
        has_temperature |= key.is("temperature");
        has_seed |= key.is("seed");
        let kind = reader.kind()?;
        let first = reader.position();
        let old = match kind {
            Kind::Number => Some(reader.number()?),
            _ => reader.skip().map(|()| None)?,
        };
        if let Some(new) = change.value(&key, old, seed) {
            made.extend_from_slice(&body[done..first]);
            made.extend_from_slice(new.as_bytes());
            done = reader.position();
        }
        Ok(())
    })?;
    reader.end()?;
    made.extend_from_slice(&body[done..]);
    let added = [
        ("temperature", change.temperature.clone().filter(|_| !has_temperature)),
        ("seed", seed.added().filter(|_| !has_seed)),
    ];
    for (name, value) in added.into_iter() {
        if let Some(value) = value {
            let comma = if is_empty { "" } else { "," };
            let field = format!("\"{name}\":{value}{comma}");
            made.splice(inside..inside, field.into_bytes());
            is_empty = false;
        }
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(config: &str) -> Change {
        Change::parse(&Value::parse(config.as_bytes()).unwrap()).unwrap()
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
    fn a_request_is_never_sent_again_as_it_was() {
        let (none, cool) = (Change::default(), change(r#"{"temperature":"0.2","new_seed":false}"#));
        let cases = [
            ("{}", &none, vec![none.clone()], r#"{"seed":15838}"#),
            (r#"{"seed":1}"#, &none, vec![none.clone()], r#"{"seed":15839}"#),
            (r#"{"seed":null}"#, &none, vec![none.clone()], r#"{"seed":15838}"#),
            ("{}", &cool, vec![none.clone()], r#"{"temperature":0.2}"#),
            (
                "{}",
                &cool,
                vec![none.clone(), cool.clone()],
                r#"{"seed":15838,"temperature":0.2}"#,
            ),
            (
                r#"{"temperature":0.2}"#,
                &cool,
                vec![none.clone()],
                r#"{"seed":15838,"temperature":0.2}"#,
            ),
            ("[1]", &none, vec![none.clone()], "[1]"),
        ];
        for (body, change, earlier, expected) in cases {
            let made = apply_anew(body.as_bytes(), change, &earlier, 2);
            assert_eq!(String::from_utf8(made).unwrap(), expected, "{body}");
        }
    }

    #[test]
    fn the_likeliest_tokens_are_the_same_again() {
        let of = |greedy, limited| AnswerRequirements {
            greedy,
            limit: Some(100).filter(|_| limited),
            ..AnswerRequirements::default()
        };
        let (warm, cold) = (
            change(r#"{"temperature":"0.2","new_seed":false}"#),
            change(r#"{"temperature":"0.0","new_seed":true}"#),
        );
        let half = change(r#"{"temperature":"0","max_tokens_factor":0.5,"new_seed":false}"#);
        let (warm, cold, half) = (Some(&warm), Some(&cold), Some(&half));
        assert!(may_differ(None, None, &of(false, false)));
        assert!(!may_differ(None, None, &of(true, false)));
        assert!(may_differ(None, warm, &of(true, false)));
        assert!(may_differ(warm, cold, &of(true, false)));
        assert!(may_differ(None, cold, &of(false, false)));
        assert!(!may_differ(None, cold, &of(true, false)));
        assert!(!may_differ(cold, cold, &of(false, true)));
        assert!(!may_differ(cold, half, &of(false, false)));
        assert!(may_differ(cold, half, &of(false, true)));
    }

    #[test]
    fn the_model_is_another_and_nothing_else_is() {
        let cases = [
            ("{}", r#"{"model":"a/b"}"#),
            (r#"{"n":1}"#, r#"{"model":"a/b","n":1}"#),
            (r#" { "model" : "auto" , "n":1 } "#, r#" { "model" : "a/b" , "n":1 } "#),
            (
                r#"{"mod\u0065l":null,"model":"x"}"#,
                r#"{"mod\u0065l":"a/b","model":"a/b"}"#,
            ),
            (
                r#"{"messages":[{"model":"x","content":"\"model\":1}"}],"model":"small"}"#,
                r#"{"messages":[{"model":"x","content":"\"model\":1}"}],"model":"a/b"}"#,
            ),
            ("[1]", "[1]"),
            (r#"{"model":"small""#, r#"{"model":"small""#),
        ];
        for (body, expected) in cases {
            let made = with_model(body.as_bytes(), "a/b");
            assert_eq!(String::from_utf8(made).unwrap(), expected);
        }
        assert_eq!(with_model(b"{}", "a\"\\\n"), br#"{"model":"a\"\\\u000a"}"#);
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
        for config in ["{}", "[]", r#"{"new_seed":1}"#, r#"{"new_seed":true,"temperature":1}"#] {
            assert_eq!(Change::parse(&Value::parse(config.as_bytes()).unwrap()), None);
        }
    }
}
