use super::plain_text::is_plain_text;
use super::*;
use crate::protocol::requirements::Format;

fn requirements(tools: &[&str], format: Option<Format>) -> AnswerRequirements {
    AnswerRequirements {
        functions: tools.iter().map(|name| name.as_bytes().to_vec()).collect(),
        format,
        ..AnswerRequirements::default()
    }
}

fn closely(answer: &str, requirements: &AnswerRequirements) -> Option<Fault> {
    Judge::new(requirements).of(answer.as_bytes())
}

#[test]
fn each_fault_is_found() {
    let (object, schema) = (
        requirements(&[], Some(Format::Object)),
        requirements(&[], Some(Format::Schema)),
    );
    let (nothing, tools) = (AnswerRequirements::default(), requirements(&["look up", "é"], None));
    let cases = [
        (&nothing, r#""content":"yes""#, None),
        (&nothing, r#""content":"\n\r\t ""#, Some(Fault::Empty)),
        (&nothing, r#""content":"\\n""#, None),
        (&nothing, r#""content":"\u0020""#, None),
        (&nothing, r#""content":"é""#, None),
        (&nothing, r#""content":"yes","content":null"#, Some(Fault::Empty)),
        (&nothing, r#""content":"","\u0063ontent":"yes""#, None),
        (&nothing, r#""content":{}"#, Some(Fault::Empty)),
        (&nothing, r#""content":[]"#, Some(Fault::Empty)),
        (&nothing, r#""content":[null]"#, None),
        (&nothing, r#""content":"yes"}"#, Some(Fault::Empty)),
        (&nothing, r#""refusal":"no""#, None),
        (&nothing, r#""refusal":" ""#, Some(Fault::Empty)),
        (&nothing, r#""audio":{"id":"a"}"#, None),
        (&nothing, r#""audio":{}"#, Some(Fault::Empty)),
        (&nothing, r#""reasoning_content":"hm""#, None),
        (&nothing, r#""reasoning_content":" ""#, Some(Fault::Empty)),
        (&nothing, r#""images":[1],"annotations":[]"#, None),
        (
            &nothing,
            r#""name":"x","annotations":[],"partial":true"#,
            Some(Fault::Empty),
        ),
        (&nothing, r#""audio":null"#, Some(Fault::Empty)),
        (&object, r#""content":" {\"a\":1}""#, None),
        (&object, r#""content":"[1]""#, Some(Fault::InvalidJson)),
        (&schema, r#""content":"[1]""#, None),
        (&schema, r#""content":"\u0037""#, None),
        (&schema, r#""content":"1,\"a\":2""#, Some(Fault::InvalidJson)),
        (&schema, r#""content":"""#, Some(Fault::Empty)),
        (&schema, r#""content":["no text"]"#, None),
        (
            &tools,
            r#""tool_calls":[{"function":{"name":"\u00e9","arguments":"{}"}}]"#,
            None,
        ),
        (
            &nothing,
            r#""tool_calls":[{"function":{"name":"é","arguments":"{}"}}]"#,
            Some(Fault::WrongToolCall),
        ),
        (
            &tools,
            r#""tool_calls":[{"function":{"name":"é","arguments":"{'a': 1}"}}]"#,
            Some(Fault::WrongToolCall),
        ),
        (
            &tools,
            r#""tool_calls":[{"function":{"arguments":"{}"}}]"#,
            Some(Fault::WrongToolCall),
        ),
        (
            &tools,
            r#""tool_calls":[{"type":"function"}]"#,
            Some(Fault::WrongToolCall),
        ),
        (
            &tools,
            r#""tool_calls":[{"function":null}]"#,
            Some(Fault::WrongToolCall),
        ),
        (
            &tools,
            r#""tool_calls":[{},{"function":{"name":"é","arguments":"{}"}}]"#,
            Some(Fault::WrongToolCall),
        ),
        (&tools, r#""function_call":{"name":"look up","arguments":"{}"}"#, None),
        (
            &tools,
            r#""function_call":[],"content":"yes""#,
            Some(Fault::WrongToolCall),
        ),
        (&tools, r#""tool_calls":[],"function_call":null,"content":"yes""#, None),
    ];
    for (requirements, message, expected) in cases {
        let answer = format!(r#"{{"choices":[{{"message":{{"role":"assistant",{message}}}}}]}}"#);
        assert_eq!(closely(&answer, requirements), expected, "{answer}");
    }
}

#[test]
fn only_what_the_model_has_ended_is_judged() {
    let json = || requirements(&["a"], Some(Format::Object));
    let (stops, tokens) = (
        AnswerRequirements { stops: true, ..json() },
        AnswerRequirements {
            stop_tokens: true,
            ..json()
        },
    );
    let of = |limit| AnswerRequirements {
        limit: Some(limit),
        ..json()
    };
    let (limited, one, fill) = (
        of(9),
        of(1),
        AnswerRequirements {
            may_be_empty: true,
            ..json()
        },
    );
    let cases = [
        (&json(), r#""finish_reason":"stop""#, true),
        (&json(), r#""finish_reason":null"#, true),
        (&json(), r#""finish_reason":"tool_calls""#, true),
        (&json(), r#""finish_reason":"length""#, false),
        (&json(), r#""finish_reason":"content_filter""#, false),
        (&json(), r#""finish_reason":"abort""#, false),
        (&json(), r#""finish_reason":"new""#, false),
        (&limited, r#""finish_reason":"stop""#, true),
        (&limited, r#""finish_reason":null"#, false),
        (
            &limited,
            r#""finish_reason":"stop"}],"usage":{"completion_tokens":8},"x":[{"y":1"#,
            true,
        ),
        (
            &limited,
            r#""finish_reason":"stop"}],"usage":{"completion_tokens":9},"x":[{"y":1"#,
            false,
        ),
        (&one, r#""finish_reason":"stop""#, false),
        (&json(), r#""finish_reason":"stop","matched_stop":"x""#, false),
        (&json(), r#""finish_reason":"stop","matched_stop":7"#, true),
        (&stops, r#""finish_reason":"stop","matched_stop":7"#, true),
        (&stops, r#""finish_reason":"stop","matched_stop":null"#, false),
        (&stops, r#""finish_reason":"stop""#, false),
        (&tokens, r#""finish_reason":"stop","matched_stop":7"#, false),
        (&tokens, r#""finish_reason":"stop""#, false),
        (&fill, r#""finish_reason":"stop""#, true),
    ];
    let messages = [
        (r#""content":"""#, Fault::Empty),
        (r#""content":"no JSON""#, Fault::InvalidJson),
        (r#""tool_calls":[{"function":{"name":"b"}}]"#, Fault::WrongToolCall),
    ];
    for (requirements, end, is_judged) in cases {
        for (message, fault) in messages {
            let answer = format!(r#"{{"choices":[{{"message":{{{message}}},{end}}}]}}"#);
            let is_judged = is_judged && !(requirements.may_be_empty && fault == Fault::Empty);
            assert_eq!(
                closely(&answer, requirements),
                is_judged.then_some(fault),
                "{answer} {requirements:?}"
            );
        }
    }
}

#[test]
fn one_good_choice_is_enough() {
    let (good, bad) = (r#"{"message":{"content":"yes"}}"#, r#"{"message":{"content":" "}}"#);
    for choices in [[good, bad], [bad, good], [good, good]] {
        let answer = format!(r#"{{"choices":[{}]}}"#, choices.join(","));
        assert_eq!(fault(answer.as_bytes(), &AnswerRequirements::default()), None);
    }
    let answer = format!(r#"{{"choices":[{bad},{bad}]}}"#);
    assert_eq!(
        fault(answer.as_bytes(), &AnswerRequirements::default()),
        Some(Fault::Empty)
    );
}

#[test]
fn what_else_a_choice_has_counts_as_said() {
    for (more, expected) in [
        (r#""logprobs":{"tokens":["a"]}"#, None),
        (r#""token_ids":[1]"#, None),
        (
            r#""logprobs":null,"index":1,"stop_reason":"x","token_ids":[]"#,
            Some(Fault::Empty),
        ),
    ] {
        for said in [r#""text":"""#, r#""message":{"content":""}"#] {
            let answer = format!(r#"{{"choices":[{{{said},{more}}}]}}"#);
            assert_eq!(
                fault(answer.as_bytes(), &AnswerRequirements::default()),
                expected,
                "{answer}"
            );
        }
    }
}

#[test]
fn calls_need_what_their_tool_takes() {
    let mut offered = requirements(&["f"], None);
    offered.custom = vec![b"c".to_vec()];
    let cases = [
        (r#"{"function":{"name":"f"}}"#, true),
        (r#"{"function":{"name":"f","arguments":null}}"#, true),
        (r#"{"function":{"name":"f","arguments":""}}"#, true),
        (r#"{"function":{"name":"f","arguments":" \n"}}"#, true),
        (r#"{"function":{"name":"f","arguments":{"a":1}}}"#, true),
        (r#"{"function":{"name":"f","arguments":"{\"a\":1}"}}"#, true),
        (r#"{"function":{"name":"f","arguments":"{\"a\":1"}}"#, false),
        (r#"{"type":"custom","custom":{"name":"c","input":"SELECT"}}"#, true),
        (r#"{"type":"custom","custom":{"name":"d","input":"SELECT"}}"#, false),
        (
            r#"{"type":"function","function":{"name":"c","arguments":"SELECT"}}"#,
            true,
        ),
        (r#"{"type":"web_search","id":"1"}"#, true),
        (r#"{"function":{"name":"d","arguments":"{}"}}"#, false),
        ("null", false),
    ];
    for (call, is_right) in cases {
        let answer = format!(r#"{{"choices":[{{"message":{{"content":null,"tool_calls":[{call}]}}}}]}}"#);
        let expected = (!is_right).then_some(Fault::WrongToolCall);
        assert_eq!(closely(&answer, &offered), expected, "{answer}");
    }
    let others = AnswerRequirements {
        other_tools: true,
        ..offered
    };
    let answer = r#"{"choices":[{"message":{"tool_calls":[{"function":{"name":"d","arguments":"{}"}}]}}]}"#;
    assert_eq!(closely(answer, &others), None);
}

#[test]
fn a_call_that_is_demanded_must_come() {
    let demanded = AnswerRequirements {
        must_call: true,
        ..requirements(&["f"], None)
    };
    for (message, expected) in [
        (r#""role":"assistant","content":"yes""#, Some(Fault::WrongToolCall)),
        (r#""content":null"#, Some(Fault::WrongToolCall)),
        (r#""content":null,"refusal":"no""#, None),
        (
            r#""content":null,"tool_calls":[{"function":{"name":"f","arguments":"{}"}}]"#,
            None,
        ),
    ] {
        let answer = format!(r#"{{"choices":[{{"message":{{{message}}}}}]}}"#);
        assert_eq!(fault(answer.as_bytes(), &demanded), expected, "{answer}");
    }
}

#[test]
fn json_is_found_behind_a_fence_and_behind_reasoning() {
    let json = requirements(&[], Some(Format::Object));
    let deep = format!("{}1{}", r#"{\"a\":"#.repeat(200), "}".repeat(200));
    for (content, is_good) in [
        (r#"```json\n{\"a\": 1}\n```"#, true),
        (r"\n```\n{}\n```\n", true),
        (r"```json {} ```", true),
        (r"```{}```", true),
        (r#"```json\n{\"a\": \n```"#, false),
        (r"```json\n[1]\n```", false),
        (r"Here:\n```json\n{}\n```", false),
        ("```", false),
        ("``````", false),
        (r"<think>{</think>{}", true),
        (r"<think>\n</think>\n```json\n{}\n```", true),
        (r#"{\"a\":\"</think>\"}"#, true),
        (r"</think>", false),
        (&deep, true),
    ] {
        let answer = format!(r#"{{"choices":[{{"message":{{"content":"{content}"}}}}]}}"#);
        let expected = (!is_good).then_some(Fault::InvalidJson);
        assert_eq!(closely(&answer, &json), expected, "{answer}");
    }
}

#[test]
fn answers_of_other_forms_are_not_judged() {
    let cases = [
        ("", Some(Fault::Empty)),
        ("[]", Some(Fault::Empty)),
        ("{}", None),
        (r#"{"choices":null}"#, None),
        (r#"{"choices":{}}"#, Some(Fault::Empty)),
        (r#"{"choices":[]}"#, Some(Fault::Empty)),
        (r#"{"choices":[null]}"#, Some(Fault::Empty)),
        (r#"{"choices":[{"text":" "}]}"#, None),
        (r#"{"choices":[{"text":""}]}"#, Some(Fault::Empty)),
        (r#"{"choices":[{"text":"yes","message":[]}]}"#, Some(Fault::Empty)),
        (r#"{"choices":[{"text":"yes"},{"text":1}]}"#, None),
        (r#"{"choices":[{"text":""},{"text":1}]}"#, Some(Fault::Empty)),
        (r#"{"choices":[{"text":"yes"}]}}"#, Some(Fault::Empty)),
    ];
    for (answer, expected) in cases {
        assert_eq!(
            fault(answer.as_bytes(), &AnswerRequirements::default()),
            expected,
            "{answer}"
        );
    }
}

#[test]
fn plain_text_is_found_good_by_the_close_look_too() {
    let calls = r#"[{"function":{"name":"look up","arguments":"{}"}}]"#;
    let mut plain = 0;
    for number in 0..8 * 3 * 4 * 2 * 2 {
        let mut rest = number;
        let mut one_of = |options: &[&'static str]| {
            let option = options[rest % options.len()];
            rest /= options.len();
            option
        };
        let text = one_of(&[
            "yes",
            "",
            " yes",
            "\\n",
            "\\\"message\\\":",
            "é",
            "{",
            "a: \\\"tool_calls\\\":[1]",
        ]);
        let key = one_of(&["tool_calls", "function_call", "x"]);
        let value = one_of(&["null", "[]", "{}", calls]);
        let blank = one_of(&["", " "]);
        let message = format!(
            r#""message":{blank}{{"role":{blank}"assistant",{blank}"content":{blank}"{text}","{key}":{blank}{value}}}"#
        );
        let more = one_of(&["", r#",{"message": {"role":"assistant","content":""}}"#]);
        let answer = format!(r#"{{"id":"message","choices":[{{{message}}}{more}],"usage":{{"total":5}}}}"#);
        if is_plain_text(answer.as_bytes()) {
            plain += 1;
            assert_eq!(closely(&answer, &AnswerRequirements::default()), None, "{answer}");
        }
    }
    // Four texts begin with a visible character; so many values say nothing of calls, or are of another field.
    assert_eq!(plain, 4 * (2 + 1 + 4) * 2);
}

#[test]
fn an_answer_that_was_cut_short_on_its_way_is_none() {
    let whole = concat!(
        r#"{"choices":[{"message":{"content":"","tool_calls":[{"type":"function","function":{"name":"f","#,
        r#""arguments":"{\"a\":[1]}"}}],"audio":{"id":"é"}},"finish_reason":"stop","matched_stop":7}],"#,
        r#""usage":{"completion_tokens":3}}"#
    );
    let offered = requirements(&["f"], None);
    assert_eq!(closely(whole, &offered), None);
    for end in (0..whole.len()).filter(|end| whole.is_char_boundary(*end)) {
        assert_eq!(fault(&whole.as_bytes()[..end], &offered), Some(Fault::Empty), "{end}");
    }
}
