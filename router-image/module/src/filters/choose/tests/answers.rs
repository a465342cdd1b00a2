//! What clients learn with an answer.

use super::*;

#[test]
fn clients_learn_who_has_answered_and_at_which_attempt() {
    // Attempts that Envoy has begun, those that were not sent, and whether the last was refused.
    let cases = [
        (0, 0, false, "mid", "0"),
        (1, 0, false, "mid", "1"),
        (3, 0, false, "mid", "3"),
        (3, 1, false, "mid", "2"),
        (2, 0, true, "", "1"),
        (3, 1, true, "", "1"),
    ];
    for (attempts, unsent, is_refused, tier, said) in cases {
        let mut stream = answered("200", attempts);
        (0..unsent).for_each(|_| add_unsent(&mut stream));
        if is_refused {
            set_refused(&mut stream);
        }
        let status = filter().on_response_headers(&mut stream, &config(false), false);
        assert_eq!(status, Status::Continue);
        assert_eq!(
            (stream.text(Response, TIER), stream.text(Response, ATTEMPTS)),
            (tier.to_owned(), said.to_owned()),
            "{attempts} {unsent} {is_refused}"
        );
        assert_eq!(stream.header(Response, SCORE), None);
    }
    let (mut stream, filter, _) = sent(&config(false), &[], &chat("auto", 1));
    filter.on_response_headers(&mut stream, &config(false), false);
    assert_eq!(stream.text(Response, SCORE), "0.250");
}

#[test]
fn a_saved_answer_takes_the_place_of_an_error() {
    let saved = || SavedAnswer {
        fault: "empty".to_owned(),
        tier: "mini".to_owned(),
        body: br#"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2}}"#.to_vec(),
    };
    for (status, is_put_back) in [
        ("200", false),
        ("304", false),
        ("429", true),
        ("502", true),
        ("504", true),
    ] {
        for has_body in [false, true] {
            let (mut stream, filter, config) = (answered(status, 3), filter(), config(false));
            for name in [RETRY_AFTER, ERROR, OVERLOADED, SHOULD_RETRY] {
                stream.set_header(Response, name, b"x");
            }
            saved().save(&mut stream);
            let mut said = filter.on_response_headers(&mut stream, &config, !has_body);
            if has_body {
                let waits = if is_put_back {
                    Status::StopIteration
                } else {
                    Status::Continue
                };
                assert_eq!(said, waits, "{status}");
                stream.response_body = b"its error".to_vec();
                assert_eq!(filter.on_response_body(&mut stream, &config, false), waits, "{status}");
                said = filter.on_response_body(&mut stream, &config, true);
            }
            assert_eq!(said, Status::Continue, "{status}");
            let gone =
                [RETRY_AFTER, ERROR, OVERLOADED, SHOULD_RETRY].map(|name| stream.header(Response, name).is_none());
            assert_eq!(gone, [is_put_back; 4], "{status}");
            if !is_put_back {
                assert_eq!(stream.text(Response, ":status"), status);
                continue;
            }
            assert_eq!(stream.response_body, saved().body);
            let length = saved().body.len().to_string();
            for (name, value) in [
                (":status", "200"),
                (QUALITY, "empty"),
                (TIER, "mini"),
                (LENGTH, &length),
            ] {
                assert_eq!(stream.text(Response, name), value, "{status}");
            }
            let record = filter.record.borrow();
            assert_eq!(record.put_back.as_deref(), Some("mini"));
            assert_eq!(
                record.tokens.map(|tokens| (tokens.prompt, tokens.completion)),
                Some((7, 2))
            );
        }
    }
}

#[test]
fn the_last_report_of_tokens_counts_if_an_engine_answers() {
    let pieces = [
        r#"data: {"usage":{"prompt_tokens":7,"completion_tokens":1}}"#,
        r#"data: {"usage":{"prompt_tokens":7,"completion_tokens":5}}"#,
        "data: [DONE]",
    ];
    for has_engine in [true, false] {
        let (mut stream, filter, config) = (FakeStream::at(NOW), filter(), config(false));
        if has_engine {
            stream.set_metadata(MetadataSource::Host, METADATA, "tier", "mid");
        }
        filter.on_response_headers(&mut stream, &config, false);
        for piece in pieces {
            stream.response_body = piece.into();
            assert_eq!(filter.on_response_body(&mut stream, &config, false), Status::Continue);
        }
        let tokens = filter.record.borrow().tokens;
        let expected = has_engine.then_some((7, 5));
        assert_eq!(tokens.map(|tokens| (tokens.prompt, tokens.completion)), expected);
    }
}

#[test]
fn clients_of_a_stream_learn_that_it_breaks_off() {
    for (kind, is_told) in [("text/event-stream; charset=utf-8", true), ("application/json", false)] {
        let mut stream = FakeStream::at(NOW).with_headers(Response, &[(TYPE, kind)]);
        let filter = filter();
        filter.on_local_reply(&mut stream);
        assert!(stream.sent.is_empty(), "nothing has begun");
        filter.on_response_headers(&mut stream, &config(false), false);
        filter.on_local_reply(&mut stream);
        assert_eq!(stream.sent == BROKEN_OFF, is_told, "{kind}");
    }
}

#[test]
fn what_is_refused_before_it_comes_here_is_counted_if_it_is_for_a_model() {
    let cases = [
        ("/v1/chat/completions", true),
        ("/v1/completions?a=b", true),
        ("/v1/responses", true),
        ("/v1/models", false),
        ("/health", false),
        ("", false),
    ];
    for (path, is_for_a_model) in cases {
        for has_come in [false, true] {
            let mut metrics = FakeDefinitions::default();
            let filter = ChooseFilter::new(&ChooseFilter::config(&mut metrics));
            let mut stream = FakeStream::at(NOW).with_headers(Request, &[(":path", path)]);
            if has_come {
                filter.on_request_headers(&mut stream, &config(false), true);
            }
            filter.on_stream_complete(&mut stream);
            let counted = stream.counted(&metrics, "requests_total").len();
            assert_eq!(counted == 1, is_for_a_model || has_come, "{path}");
        }
    }
}
