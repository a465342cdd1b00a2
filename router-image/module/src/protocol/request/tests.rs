use super::*;
use crate::protocol::requirements::Format;

fn features(body: &str) -> RequestFeatures<'_> {
    parse(body.as_bytes()).unwrap()
}

fn question(body: &str) -> Vec<&[u8]> {
    features(body).question.iter().map(|text| text.raw).collect()
}

fn conversation(body: &str) -> u64 {
    features(body).conversation
}

#[test]
fn a_conversation_is_the_same_however_it_is_written_and_goes_on() {
    let first =
        r#"{"tools":[{"name":"f"}],"messages":[{"role":"system","content":"s"},{"role":"user","content":"aA\n"}]}"#;
    let others = [
        r#"{"messages":[{"content":"s","role":"system"},{"content":"aA\n","role":"user"}],"tools":[{"name":"f"}]}"#,
        r#"{ "tools" : [ { "name" : "f" } ], "messages" : [ { "role" : "system", "content" : [ "s" ] },
            { "role" : "\u0075ser", "content" : [ { "text" : "\u0061\u0041\u000a", "type" : "text" } ] } ] }"#,
        r#"{"model":"m","temperature":1,"stream":true,"tools":[{"name":"f"}],"messages":[{"role":"system","content":"s"},
            {"role":"user","content":[{"type":"text","text":"aA\n","cache_control":{"type":"ephemeral"}}]},
            {"role":"assistant","content":"b"},{"role":"tool","content":"c"},{"role":"user","content":"d"}]}"#,
    ];
    for other in others {
        assert_eq!(conversation(other), conversation(first), "{other}");
    }
    assert_eq!(
        conversation(r#"{"input":"a"}"#),
        conversation(r#"{"input":[{"role":"user","content":[{"type":"input_text","text":"a"}]},{"role":"user"}]}"#)
    );
}

#[test]
fn all_of_a_conversations_beginning_counts() {
    let long = "0123456789".repeat(10_000);
    let texts = ["a", &format!("{long}a"), &format!("{long}b"), &format!("{long}\u{e9}")];
    let mut bodies: Vec<String> = texts
        .iter()
        .flat_map(|text| {
            [
                format!(r#"{{"messages":[{{"role":"user","content":"{text}"}}]}}"#),
                format!(r#"{{"messages":[{{"role":"system","content":"{text}"}},{{"role":"user","content":"a"}}]}}"#),
                format!(
                    r#"{{"messages":[{{"role":"assistant","content":"{text}"}},{{"role":"user","content":"a"}}]}}"#
                ),
                format!(r#"{{"tools":[{{"name":"{text}"}}],"messages":[{{"role":"user","content":"a"}}]}}"#),
                format!(r#"{{"instructions":"{text}","input":"a"}}"#),
                format!(r#"{{"prompt":"{text}"}}"#),
            ]
        })
        .collect();
    let others = [
        r#"{"prompt":[1,2,3]}"#,
        r#"{"prompt":[1,2,4]}"#,
        r#"{"prompt":[12,3]}"#,
        r#"{"prompt":["a","b"]}"#,
        r#"{"messages":[{"role":"user","content":["a",{"type":"image_url","image_url":{"url":"x"}}]}]}"#,
        r#"{"messages":[{"role":"user","content":["a",{"type":"image_url","image_url":{"url":"y"}}]}]}"#,
        r#"{"messages":[{"role":"user","content":["a",{"type":"input_audio","input_audio":{"data":"x"}}]}]}"#,
        r#"{"messages":[{"role":"user","content":["a",{"type":"file","file":{"file_data":"x"}}]}]}"#,
    ];
    bodies.extend(others.map(str::to_owned));
    for (number, one) in bodies.iter().enumerate() {
        for other in &bodies[..number] {
            assert_ne!(conversation(one), conversation(other), "{one:.200} {other:.200}");
        }
    }
}

#[test]
fn a_name_of_the_conversation_stands_for_its_beginning() {
    let named = conversation(r#"{"prompt_cache_key":"k","input":"a"}"#);
    assert_eq!(named, hash(b"k"));
    assert_eq!(named, conversation(r#"{"messages":[],"prompt_cache_key":"\u006b"}"#));
    assert_eq!(named, conversation(r#"{"conversation":{"id":"k"},"input":"b"}"#));
    assert_eq!(named, conversation(r#"{"conversation":"k","input":"b"}"#));
    for none in [r#""""#, "null", "7", "{}"] {
        let body = format!(
            r#"{{"prompt_cache_key":{none},"conversation":{none},"instructions":null,"tools":null,"input":"a"}}"#
        );
        assert_eq!(conversation(&body), conversation(r#"{"input":"a"}"#));
    }
    assert_eq!(named, conversation(r#"{"prompt_cache_key":"","conversation":"k"}"#));
}

#[test]
fn of_a_message_of_very_many_texts_the_first_and_the_last_are_kept() {
    let texts: Vec<String> = (0..20_000).map(|number| format!("\"{number}\"")).collect();
    let body = format!(r#"{{"messages":[{{"role":"user","content":[{}]}}]}}"#, texts.join(","));
    let features = features(&body);
    let raw: Vec<&[u8]> = features.question.iter().map(|text| text.raw).collect();
    assert!(raw.len() >= 2 * KEPT && raw.len() < 4 * KEPT);
    assert!(raw[..KEPT]
        .iter()
        .enumerate()
        .all(|(number, text)| *text == number.to_string().as_bytes()));
    let last = raw[raw.len() - KEPT..].iter().enumerate();
    assert!(last
        .clone()
        .all(|(number, text)| *text == (20_000 - KEPT + number).to_string().as_bytes()));
    assert_eq!(features.bytes, texts.iter().map(|text| text.len() - 2).sum::<usize>());
}

#[test]
fn the_newest_question_of_the_user_counts() {
    let body = r#"{"prompt":[],"messages":[{"role":"user","content":"1"},{"role":"user","content":["2",{"text":"3"}]},
        {"role":"assistant","content":"4"},{"role":"user","content":[]}]}"#;
    assert_eq!(question(body), [b"2", b"3"]);
    assert_eq!(
        question(r#"{"messages":[{"content":"1"},{"content":"2"},{"role":"user"}]}"#),
        [b"2"]
    );
    assert_eq!(
        question(r#"{"messages":[{"role":"user","content":"1"}],"instructions":"2"}"#),
        [b"1"]
    );
}

#[test]
fn of_equal_keys_the_last_counts() {
    let body = r#"{"model":"a","m\u006fdel":"b","messages":[{"content":"gone"}],"max_tokens":5,"max_tokens":null,
        "messages":[{"role":"user","content":[{"type":"image_url"},"gone"],"content":"here","role":"x"}]}"#;
    let features = features(body);
    assert_eq!(
        (features.model.as_deref(), features.conversation),
        (
            Some(&b"b"[..]),
            conversation(r#"{"messages":[{"role":"x","content":"here"}]}"#)
        )
    );
    assert_eq!(
        (features.turns, features.bytes, features.media, features.budget),
        (1, 4, 0, 0.0)
    );
}

#[test]
fn what_is_asked_of_the_answer_is_noted() {
    let features = features(
        r#"{"tools":[{"type":"function","function":{"name":"\u0061","parameters":{"name":"x"}}},7,{"name":"y"}],
        "functions":[{"name":"b"}],"response_format":{"type":"json_object"}}"#,
    );
    assert_eq!(
        (features.requirements.format, features.tools, features.structure),
        (Some(Format::Object), 3, 1)
    );
    assert_eq!(parse(b"{}").unwrap().requirements, AnswerRequirements::default());
}

#[test]
fn only_objects_are_requests() {
    for body in [
        "",
        "[]",
        "\"auto\"",
        "{",
        "{} {}",
        "{\"model\":\"auto\"",
        "{\"messages\":[{\"content\":[}]}",
    ] {
        assert_eq!(parse(body.as_bytes()), None);
    }
}
