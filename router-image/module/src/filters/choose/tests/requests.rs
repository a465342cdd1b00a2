//! Which tier a request is sent to, and with what.

use super::*;

#[test]
fn a_tier_is_chosen_by_header_then_model_then_hint_then_score() {
    let cases: [(bool, Headers, &str, usize, &str, &str); 14] = [
        (true, &[(TIER, "mid")], "auto", 1, "mid", "header"),
        (true, &[(TIER, "mid"), (HINT, "plan")], "mini", 9, "mid", "header"),
        (false, &[(TIER, "mid")], "auto", 1, "mini", "score"),
        (false, &[(TIER, "mid")], "acme/maxi", 1, "maxi", "model"),
        (true, &[], "mini", 9, "mini", "model"),
        (true, &[(HINT, "plan")], "mini", 1, "mini", "model"),
        (false, &[(HINT, "plan")], "auto", 1, "maxi", "hint"),
        (false, &[(HINT, "act")], "auto", 9, "mini", "hint"),
        (false, &[(HINT, "PLAN")], "auto", 1, "mini", "score"),
        (false, &[(HINT, "dream")], "auto", 9, "maxi", "score"),
        (false, &[], "auto", 1, "mini", "score"),
        // At the threshold, and above it.
        (false, &[], "auto", 2, "mini", "score"),
        (false, &[], "auto", 3, "maxi", "score"),
        (true, &[], "auto", 3, "maxi", "score"),
    ];
    for (trust, headers, model, messages, tier, by) in cases {
        let (stream, filter, status) = sent(&config(trust), headers, &chat(model, messages));
        let record = filter.record.borrow();
        let case = format!("{trust} {headers:?} {model} {messages}");
        assert_eq!((status, stream.route_cleared), (Status::Continue, true), "{case}");
        assert_eq!(stream.text(Request, CHOSEN), tier, "{case}");
        assert_eq!((record.tier.as_str(), record.decision), (tier, by), "{case}");
        let score = (by == "score").then_some((messages as f64 / 4.0).min(1.0));
        assert_eq!(record.score, score, "{case}");
        assert_eq!(stream.response, None, "{case}");
    }
}

#[test]
fn what_cannot_be_routed_is_refused_and_says_why() {
    let unnamed = format!("{{{SAID}}}");
    let cases: [(Headers, &str, u32, &str, &str); 8] = [
        (&[], "", 400, "invalid_json", "not a JSON object"),
        (&[], "[1]", 400, "invalid_json", "not a JSON object"),
        (&[], r#"{"model":"mini""#, 400, "invalid_json", "not a JSON object"),
        (&[], &unnamed, 400, "missing_model", "Try mini."),
        (&[], r#"{"model":7}"#, 400, "missing_model", "Try mini."),
        (&[], r#"{"model":"Mini"}"#, 404, "model_not_found", "Try mini."),
        (
            &[(TIER, "no")],
            r#"{"model":"mini"}"#,
            404,
            "model_not_found",
            "No such tier. Try mini.",
        ),
        (
            &[(TIER, "")],
            r#"{"model":"mini"}"#,
            404,
            "model_not_found",
            "No such tier.",
        ),
    ];
    for (headers, body, code, error, message) in cases {
        let (stream, filter, status) = sent(&config(true), headers, body);
        let (answered, text) = stream.response.clone().unwrap();
        assert_eq!((status, answered), (Status::StopIteration, code), "{body}");
        assert!(text.contains(message), "{text}");
        assert_eq!(stream.notes["error"], error.as_bytes(), "{body}");
        assert_eq!(stream.header(Request, CHOSEN), None, "{body}");
        assert!(!stream.route_cleared, "{body}");
        assert_eq!(filter.record.borrow().decision, "", "{body}");
    }
}

#[test]
fn a_request_without_a_body_is_refused_at_once() {
    let (mut stream, config) = (FakeStream::at(NOW), config(false));
    let status = filter().on_request_headers(&mut stream, &config, true);
    assert_eq!(status, Status::StopIteration);
    assert_eq!(stream.response.unwrap().0, 400);
    assert_eq!(stream.buffer_limit, Some(4321));
}

#[test]
fn trailers_end_a_request_as_its_body_does() {
    let (mut stream, filter, config) = (FakeStream::at(NOW), filter(), config(false));
    filter.on_request_headers(&mut stream, &config, false);
    stream.request_body = chat("mini", 1).into();
    assert_eq!(
        filter.on_request_body(&mut stream, &config, false),
        Status::StopIteration
    );
    assert_eq!(filter.on_request_trailers(&mut stream, &config), Status::Continue);
    assert_eq!(stream.text(Request, CHOSEN), "mini");
}

#[test]
fn only_who_is_trusted_or_has_a_reserved_key_is_urgent() {
    // Whether clients are trusted, the key, the priority that is sent; the priority that is passed on.
    let cases = [
        (false, "", "", ""),
        (false, "", "reserved", ""),
        (false, "tin", "reserved", ""),
        (false, "gold", "", "reserved"),
        (false, "gold", "low", "reserved"),
        (true, "", "reserved", "reserved"),
        (true, "", "low", "low"),
        (true, "gold", "low", "reserved"),
        (true, "tin", "", ""),
    ];
    for (number, (trust, key, priority, passed)) in cases.iter().enumerate() {
        let name = format!("urgent-{number}");
        let tier = format!(r#"{{"name":"mini","diverted":0,"own":{{"tier":"{name}","normal":1,"total":2}}}}"#);
        let busy = InFlight::of(&name).enter();
        let mut headers = vec![(CLIENT, *key), (PRIORITY, *priority)];
        headers.retain(|(_, value)| !value.is_empty());
        let (stream, ..) = sent(&with_tier(*trust, &tier), &headers, &chat("mini", 1));
        assert_eq!(stream.text(Request, PRIORITY), *passed, "{trust} {key} {priority}");
        // What is reserved of the tier is for these alone.
        let chosen = if *passed == "reserved" { "mini" } else { FULL };
        assert_eq!(stream.text(Request, CHOSEN), chosen, "{trust} {key} {priority}");
        drop(busy);
    }
}

#[test]
fn what_clients_say_to_the_router_goes_no_further() {
    let headers = [
        (TIER, "mid"),
        (HINT, "plan"),
        (CONVERSATION, "c"),
        (PRIORITY, "reserved"),
    ];
    for (body, trust) in [
        (chat("mini", 1), false),
        ("[]".to_owned(), false),
        ("[]".to_owned(), true),
    ] {
        let (stream, ..) = sent(&config(trust), &headers, &body);
        for name in [TIER, HINT, CONVERSATION] {
            assert_eq!(stream.header(Request, name), None, "{name}");
        }
        assert_eq!(stream.header(Request, PRIORITY).is_some(), trust);
    }
}

#[test]
fn a_tier_without_room_admits_nobody() {
    let name = "full-1";
    let tier = format!(r#"{{"name":"mini","diverted":0,"own":{{"tier":"{name}","normal":2,"total":3}}}}"#);
    let (config, in_flight) = (with_tier(true, &tier), InFlight::of(name));
    let mut entered = Vec::new();
    // Requests in flight; whether others, and reserved ones, are admitted.
    for (count, normal, reserved) in [(0, true, true), (1, true, true), (2, false, true), (3, false, false)] {
        entered.resize_with(count, || in_flight.enter());
        for (priority, is_admitted) in [("low", normal), ("reserved", reserved)] {
            let (stream, _, status) = sent(&config, &[(PRIORITY, priority)], &chat("mini", 1));
            let chosen = if is_admitted { "mini" } else { FULL };
            assert_eq!(stream.text(Request, CHOSEN), chosen, "{count} {priority}");
            // The cluster that is always full answers.
            assert_eq!((status, stream.response), (Status::Continue, None));
        }
    }
}

#[test]
fn a_share_of_the_conversations_is_diverted_and_each_stays() {
    for (share, least, most) in [(0, 0, 0), (30, 250, 350), (100, 1000, 1000)] {
        let tier = format!(r#"{{"name":"mini","diverted":{share},"own":{{"tier":"own"}},"other":{{"tier":"other"}}}}"#);
        let config = with_tier(false, &tier);
        let chosen = |number: usize, messages: usize| {
            let name = number.to_string();
            let (stream, ..) = sent(&config, &[(CONVERSATION, &name)], &chat("mini", messages));
            (stream.text(Request, CHOSEN), stream.text(Request, PREFIX))
        };
        let diverted = (0..1000)
            .filter(|&number| chosen(number, 1).0 == "mini/diverted")
            .count();
        assert!((least..=most).contains(&diverted), "{share} {diverted}");
        for number in 0..20 {
            assert_eq!(chosen(number, 1), chosen(number, 5));
        }
    }
}

#[test]
fn a_conversation_is_known_by_what_it_begins_with_unless_it_has_a_name() {
    let prefix = |headers: Headers, body: &str| sent(&config(false), headers, body).0.text(Request, PREFIX);
    let (first, other) = (
        chat("mini", 1),
        r#"{"model":"mini","messages":[{"role":"user","content":"y"}]}"#,
    );
    assert_eq!(prefix(&[], &first), prefix(&[], &chat("mini", 4)));
    assert_ne!(prefix(&[], &first), prefix(&[], other));
    assert_eq!(
        prefix(&[(CONVERSATION, "a")], &first),
        prefix(&[(CONVERSATION, "a")], other)
    );
    assert_ne!(
        prefix(&[(CONVERSATION, "a")], &first),
        prefix(&[(CONVERSATION, "b")], &first)
    );
    // No name is none.
    assert_eq!(prefix(&[(CONVERSATION, "")], &first), prefix(&[], &first));
    assert_eq!(prefix(&[], &first).len(), 8);
}

#[test]
fn a_request_may_lower_its_retries_and_not_raise_them() {
    let cases = [
        ("0", "0"),
        ("2", "2"),
        ("3", ""),
        ("9", ""),
        ("02", ""),
        ("-1", ""),
        ("x", ""),
        ("", ""),
    ];
    for (asked, limit) in cases {
        let (stream, ..) = sent(&config(false), &[(RETRIES, asked)], &chat("mini", 1));
        assert_eq!(stream.text(Request, MOST_RETRIES), limit, "{asked}");
    }
}

#[test]
fn engines_and_attempts_learn_what_they_need() {
    let body = r#"{"model":"mini","max_tokens":5,"response_format":{"type":"json_object"}}"#;
    let (stream, ..) = sent(&config(false), &[], body);
    assert_eq!(stream.text(Request, LENGTH), body.len().to_string());
    let state = RequestState::of(&stream).unwrap();
    assert_eq!((state.start, state.requirements.limit), (NOW, Some(5)));
    assert!(state.requirements.format.is_some());
    let (stream, ..) = sent(&config(false), &[(LENGTH, "777")], body);
    assert_eq!(stream.text(Request, LENGTH), "777");
}
