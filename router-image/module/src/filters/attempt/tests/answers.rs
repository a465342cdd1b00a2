//! What is done with an engine's answer.

use super::*;

#[test]
fn only_whole_short_json_answers_are_held_back_and_checked() {
    let most = CHECKED.to_string();
    let more = (CHECKED + 1).to_string();
    let cases: [(&[(&str, &str)], bool); 8] = [
        (&[(":status", "200"), (TYPE, "application/json"), (LENGTH, "9")], true),
        (
            &[
                (":status", "200"),
                (TYPE, "application/json; charset=utf-8"),
                (LENGTH, &most),
            ],
            true,
        ),
        (
            &[(":status", "200"), (TYPE, "application/json"), (LENGTH, &more)],
            false,
        ),
        (&[(":status", "200"), (TYPE, "application/json")], false),
        (&[(":status", "200"), (TYPE, "text/event-stream"), (LENGTH, "9")], false),
        (
            &[
                (":status", "200"),
                (TYPE, "application/json"),
                (LENGTH, "9"),
                ("content-encoding", "gzip"),
            ],
            false,
        ),
        (&[(":status", "201"), (TYPE, "application/json"), (LENGTH, "9")], false),
        (&[(":status", "400"), (TYPE, "application/json"), (LENGTH, "9")], false),
    ];
    for (headers, is_checked) in cases {
        for (checks, cluster) in [
            (true, Cluster::new(config())),
            (
                false,
                Cluster::new(config_of(r#""quality":false,"every":false,"tiers":["mini"]"#)),
            ),
        ] {
            let mut stream = cluster.request("checked");
            let (filter, _) = cluster.send(&mut stream, 1, "mini-checked");
            stream = stream.with_headers(Response, headers);
            let is_held = filter.on_response_headers(&mut stream, &cluster.config, false) == Status::StopIteration;
            assert_eq!(is_held, checks && is_checked, "{headers:?}");
            stream.response_body = EMPTY.into();
            filter.on_response_body(&mut stream, &cluster.config, true);
            assert_eq!(
                stream.text(Response, QUALITY) == "empty",
                checks && is_checked,
                "{headers:?}"
            );
        }
    }
}

#[test]
fn an_answer_of_low_quality_is_asked_for_again_while_another_is_likely() {
    const CHANGED: &str = r#"[{"temperature":"0.3","new_seed":true}]"#;
    const BOTH: &str = r#"["mini","maxi"]"#;
    const ONE: &str = r#"["mini"]"#;
    // The changes and the tiers, whether the likeliest tokens are taken, the number of the attempt; is there another?
    let cases = [
        (CHANGED, BOTH, false, 1, true),
        (CHANGED, BOTH, true, 1, true),
        (CHANGED, ONE, true, 1, true),
        // Of the same model, changed in nothing, and no chance in it.
        ("[]", BOTH, true, 1, false),
        ("[]", BOTH, false, 1, true),
        // The next is of another tier, if there is one.
        ("[]", BOTH, true, 2, true),
        ("[]", BOTH, true, 3, false),
        ("[]", ONE, true, 2, false),
    ];
    for (changes, tiers, greedy, attempt, is_retried) in cases {
        let text = format!(
            r#"{{"deadline":60,"budget":0.5,"changes":{changes},"quality":true,"every":false,"tiers":{tiers}}}"#
        );
        let cluster = Cluster::new(AttemptFilter::route_config(text.as_bytes()).unwrap());
        let mut stream = FakeStream::at(NOW);
        let requirements = AnswerRequirements {
            greedy,
            ..AnswerRequirements::default()
        };
        RequestState {
            start: NOW,
            requirements,
        }
        .save(&mut stream);
        let again = cluster.attempt(&mut stream, attempt, "mini-low", "200", EMPTY);
        assert_eq!(again, is_retried, "{changes} {tiers} {greedy} {attempt}");
        assert_eq!(stream.text(Response, QUALITY), "empty");
        // Where nothing better is to come it is passed on, and need not be kept.
        let saved = SavedAnswer::of(&stream);
        assert_eq!(saved.is_some(), is_retried);
        if let Some(saved) = saved {
            assert_eq!(
                (saved.fault.as_str(), saved.tier.as_str(), saved.body),
                ("empty", "mini", EMPTY.into())
            );
        }
    }
}

#[test]
fn the_first_answer_of_low_quality_is_kept_and_no_other() {
    let cluster = Cluster::new(config());
    let mut stream = cluster.request("first");
    assert!(cluster.attempt(&mut stream, 1, "mini-first", "200", EMPTY));
    assert!(cluster.attempt(&mut stream, 2, "maxi-first", "200", "no JSON"));
    assert_eq!(SavedAnswer::of(&stream).unwrap().body, EMPTY.as_bytes());
    let all = LowQualityAnswer::all(&stream);
    let noted: Vec<_> = all.iter().map(|answer| (answer.attempt, answer.tier)).collect();
    assert_eq!(noted, [(1, "mini"), (2, "maxi")]);
}

#[test]
fn a_good_answer_passes_as_it_is() {
    let cluster = Cluster::new(config());
    let mut stream = cluster.request("good");
    cluster.attempt(&mut stream, 1, "mini-good", "200", GOOD);
    assert_eq!(stream.header(Response, QUALITY), None);
    assert_eq!(stream.header(Response, FINAL), None);
    assert_eq!(stream.response_body, GOOD.as_bytes());
    assert!(LowQualityAnswer::all(&stream).is_empty());
}

#[test]
fn low_quality_has_a_budget_of_its_own() {
    let cluster = Cluster::new(config());
    let mut retried = 0;
    for number in 0..200 {
        let mut stream = cluster.request(&format!("budget-{number}"));
        if cluster.attempt(&mut stream, 1, "mini-budget", "200", EMPTY) {
            cluster.send(&mut stream, 2, "mini-budget");
            retried += 1;
        }
    }
    assert_eq!(retried, 100);
    let mut stream = cluster.request("budget-failed");
    assert!(
        cluster.attempt(&mut stream, 1, "mini-budget", "500", ""),
        "failures have another"
    );
}

#[test]
fn a_full_queue_is_said_as_429_and_is_no_failure() {
    for (body, is_full) in [
        (r#"{"message":"The request queue is full."}"#, true),
        ("out of order", false),
    ] {
        let cluster = Cluster::new(config());
        for _ in 0..10 {
            let mut stream = cluster.request("queue");
            cluster.attempt(
                &mut stream,
                1,
                if is_full { "mini-queue" } else { "mini-order" },
                "503",
                body,
            );
            let status = if is_full { "429" } else { "503" };
            assert_eq!(stream.text(Response, ":status"), status, "{body}");
            assert_eq!(stream.response_body == overload::ANSWER, is_full, "{body}");
            if is_full {
                assert_eq!(stream.text(Response, LENGTH), overload::ANSWER.len().to_string());
                assert_eq!(stream.text(Response, "retry-after"), "1");
            }
            assert_eq!(stream.notes.contains_key("failed"), !is_full, "{body}");
        }
    }
}

#[test]
fn an_answer_of_low_quality_is_the_last_where_no_time_is_left() {
    let cluster = Cluster::new(config());
    let mut stream = cluster.request("slow");
    stream.now += 60_000;
    assert!(!cluster.attempt(&mut stream, 1, "mini-slow", "200", EMPTY));
    assert_eq!(SavedAnswer::of(&stream), None);
}

#[test]
fn good_answers_of_all_kinds_earn_what_low_quality_spends() {
    for kind in ["application/json", "text/event-stream"] {
        let cluster = Cluster::new(config());
        while cluster.tier.low_quality.allows(NOW) {
            cluster.tier.low_quality.spend();
        }
        let is_retried = || {
            let mut stream = cluster.request("earn");
            cluster.attempt(&mut stream, 1, "mini-earn", "200", EMPTY)
        };
        assert!(!is_retried());
        for _ in 0..2 {
            let mut stream = cluster.request("earning");
            let (filter, _) = cluster.send(&mut stream, 1, "mini-earn");
            let headers = [(":status", "200"), (TYPE, kind), (LENGTH, "9")];
            stream = stream.with_headers(Response, &headers);
            filter.on_response_headers(&mut stream, &cluster.config, false);
            stream.response_body = GOOD.into();
            filter.on_response_body(&mut stream, &cluster.config, true);
        }
        assert!(is_retried(), "{kind}");
    }
}
