use super::*;
use crate::protocol::request::parse;

fn requirements(body: &str) -> AnswerRequirements {
    parse(body.as_bytes()).unwrap().requirements
}

fn names(names: &[&str]) -> Vec<Vec<u8>> {
    names.iter().map(|name| name.as_bytes().to_vec()).collect()
}

#[test]
fn tools_are_known_wherever_they_are_declared() {
    let found = requirements(
        r#"{"tools":[{"type":"function","function":{"name":"\u0061","parameters":{"name":"x"}}},{"name":"b"},
            {"type":"custom","custom":{"name":"c"}},{"type":"custom","name":"d"}],"functions":[{"name":"e"}],
            "messages":[{"role":"system","tools":[{"function":{"name":"f"}}]},{"tools":null},{"tools":[{"name":"g"}]}]}"#,
    );
    assert_eq!(found.functions, names(&["a", "b", "e", "f", "g"]));
    assert_eq!(found.custom, names(&["c", "d"]));
    assert!(!found.other_tools);
}

#[test]
fn tools_whose_names_are_not_known_are_noted() {
    for tool in [
        r#"{"type":"web_search"}"#,
        r#"{"type":"mcp","name":"x","function":{"name":"y"}}"#,
        r#"{"type":"function"}"#,
        "7",
    ] {
        let found = requirements(&format!(r#"{{"tools":[{tool},{{"function":{{"name":"a"}}}}]}}"#));
        assert_eq!((found.other_tools, found.functions), (true, names(&["a"])), "{tool}");
    }
}

#[test]
fn a_call_is_demanded_where_there_is_something_to_call() {
    let cases = [
        (r#""required""#, true),
        (r#""any""#, true),
        (r#""auto""#, false),
        (r#""none""#, false),
        ("null", false),
        (r#"{"type":"function","function":{"name":"a"}}"#, true),
        (r#"{"type":"function","name":"a"}"#, true),
        (r#"{"type":"custom","custom":{"name":"a"}}"#, true),
        (
            r#"{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[]}}"#,
            true,
        ),
        (
            r#"{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[]}}"#,
            false,
        ),
        (r#"{"type":"allowed_tools","mode":"required"}"#, true),
        (r#"{"type":"allowed_tools"}"#, false),
        (r#"{"type":"auto"}"#, false),
    ];
    for (choice, expected) in cases {
        let tools = r#""tools":[{"function":{"name":"a"}}]"#;
        assert_eq!(
            requirements(&format!(r#"{{{tools},"tool_choice":{choice}}}"#)).must_call,
            expected,
            "{choice}"
        );
        assert!(!requirements(&format!(r#"{{"tools":[],"tool_choice":{choice}}}"#)).must_call);
    }
    assert!(requirements(r#"{"functions":[{"name":"a"}],"function_call":{"name":"a"}}"#).must_call);
    assert!(!requirements(r#"{"functions":[{"name":"a"}],"function_call":"auto"}"#).must_call);
}

#[test]
fn what_explains_an_answer_is_noted() {
    type Flag = fn(&AnswerRequirements) -> bool;
    let cases: [(&str, Flag, bool); 24] = [
        (r#""stop":"x""#, |requirements| requirements.stops, true),
        (r#""stop":["\n"]"#, |requirements| requirements.stops, true),
        (r#""stop":[]"#, |requirements| requirements.stops, false),
        (r#""stop":"""#, |requirements| requirements.stops, false),
        (r#""stop":null"#, |requirements| requirements.stops, false),
        (r#""stop_regex":"x+""#, |requirements| requirements.stops, true),
        (r#""stop_token_ids":[7]"#, |requirements| requirements.stop_tokens, true),
        (r#""stop_token_ids":[7]"#, |requirements| requirements.stops, false),
        (r#""max_tokens":1"#, |requirements| requirements.limit == Some(1), true),
        (
            r#""max_completion_tokens":20"#,
            |requirements| requirements.limit == Some(20),
            true,
        ),
        (
            r#""max_tokens":1e99"#,
            |requirements| requirements.limit == Some(u32::MAX),
            true,
        ),
        (r#""max_tokens":-1"#, |requirements| requirements.limit.is_some(), false),
        (
            r#""max_tokens":null"#,
            |requirements| requirements.limit.is_some(),
            false,
        ),
        (r#""min_tokens":3"#, |requirements| requirements.may_be_empty, true),
        (r#""min_tokens":0"#, |requirements| requirements.may_be_empty, false),
        (r#""suffix":"}""#, |requirements| requirements.may_be_empty, true),
        (
            r#""continue_final_message":true"#,
            |requirements| requirements.may_be_empty,
            true,
        ),
        (
            r#""continue_final_message":false"#,
            |requirements| requirements.may_be_empty,
            false,
        ),
        (r#""temperature":0"#, |requirements| requirements.greedy, true),
        (r#""temperature":0.0"#, |requirements| requirements.greedy, true),
        (r#""temperature":0.1"#, |requirements| requirements.greedy, false),
        (r#""temperature":null"#, |requirements| requirements.greedy, false),
        (r#""top_k":1"#, |requirements| requirements.greedy, true),
        (r#""top_k":2"#, |requirements| requirements.greedy, false),
    ];
    for (field, flag, expected) in cases {
        assert_eq!(flag(&requirements(&format!("{{{field}}}"))), expected, "{field}");
    }
    let json = r#""response_format":{"type":"json_object"}"#;
    assert_eq!(requirements(&format!("{{{json}}}")).format, Some(Format::Object));
    assert_eq!(
        requirements(&format!(r#"{{{json},"continue_final_message":true}}"#)).format,
        None
    );
}

fn some(functions: &[&str], custom: &[&str], format: Option<Format>) -> AnswerRequirements {
    AnswerRequirements {
        functions: names(functions),
        custom: names(custom),
        format,
        ..AnswerRequirements::default()
    }
}

#[test]
fn what_is_asked_survives_its_way() {
    let mut all = vec![
        AnswerRequirements::default(),
        AnswerRequirements {
            limit: Some(300),
            ..AnswerRequirements::default()
        },
        some(&["", "look up"], &["b"], None),
        some(&[], &["é"], Some(Format::Object)),
        some(&["a"], &[], Some(Format::Schema)),
    ];
    for place in 0..AnswerRequirements::default().flags().len() {
        let mut one = AnswerRequirements::default();
        *one.flags()[place] = true;
        all.push(one);
    }
    for requirements in all {
        assert_eq!(AnswerRequirements::decode(&requirements.encode()), requirements);
    }
    assert_eq!(AnswerRequirements::decode(b""), AnswerRequirements::default());
}

#[test]
fn what_is_cut_or_senseless_is_read_as_far_as_it_goes() {
    let whole = some(&["look up", "é"], &[], Some(Format::Object)).encode();
    for end in 0..whole.len() {
        assert!(AnswerRequirements::decode(&whole[..end]).functions.len() < 2);
    }
    let senseless = AnswerRequirements::decode(&[0xff; 64]);
    assert!(senseless.functions.is_empty() && senseless.custom.is_empty());
    assert_eq!(AnswerRequirements::decode(&[0; 21]).functions.len(), 3);
}
