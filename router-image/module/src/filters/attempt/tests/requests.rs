//! What an attempt sends, and whether it is sent.

use super::*;

#[test]
fn the_first_attempt_is_sent_as_it_came_and_others_are_changed() {
    let (first, second) = (
        r#"{"temperature":0.3,"max_tokens":100,"seed":"#,
        r#"{"temperature":0.1,"max_tokens":50,"seed":4}"#,
    );
    // Whether every failure counts, the number of the attempt, low-quality answers before it; what its body begins with.
    let cases = [
        (false, 1, 0, BODY),
        (false, 3, 0, BODY),
        (false, 2, 1, first),
        (false, 4, 1, first),
        (false, 3, 2, second),
        // Never again as before.
        (false, 4, 3, r#"{"temperature":0.1,"max_tokens":50,"seed":31680}"#),
        (true, 1, 0, BODY),
        (true, 2, 0, first),
        (true, 3, 0, second),
        (true, 3, 1, second),
    ];
    for (every, number, answered, begins) in cases {
        let more = format!(r#""quality":true,"every":{every},"tiers":["mini"]"#);
        let cluster = Cluster::new(config_of(&more));
        let mut stream = cluster.request("changed");
        for attempt in 1..=answered {
            let (fault, tier) = ("empty", "mini");
            LowQualityAnswer { attempt, fault, tier }.add(&mut stream);
        }
        let (filter, status) = cluster.send(&mut stream, number, "mini-changed");
        // What is changed is waited for.
        let waits = if begins == BODY {
            Status::Continue
        } else {
            Status::StopIteration
        };
        assert_eq!(status, waits, "{every} {number} {answered}");
        assert_eq!(
            filter.on_request_body(&mut stream, &cluster.config, true),
            Status::Continue
        );
        let body = String::from_utf8(stream.request_body.clone()).unwrap();
        assert!(body.starts_with(begins), "{every} {number} {answered}: {body}");
        let length = stream.text(Request, LENGTH);
        assert_eq!(
            length == body.len().to_string(),
            begins != BODY,
            "{every} {number} {answered}"
        );
    }
}

#[test]
fn what_is_between_the_routers_parts_reaches_no_engine_and_no_client() {
    let cluster = Cluster::new(config());
    let mut stream = cluster.request("internal");
    stream = stream.with_headers(Request, &[(CHOSEN, "mini"), (PREFIX, "0"), ("x-llm-client", "shop")]);
    let (filter, status) = cluster.send(&mut stream, 1, "mini-internal");
    assert_eq!(status, Status::Continue);
    for name in [CHOSEN, PREFIX, ATTEMPT] {
        assert_eq!(stream.header(Request, name), None, "{name}");
    }
    assert_eq!(stream.text(Request, "x-llm-client"), "shop");
    stream = stream.with_headers(
        Response,
        &[(QUALITY, "empty"), ("x-llm-made-up", "1"), ("x-other", "2")],
    );
    cluster.answer(&mut stream, &filter, "200", GOOD);
    assert!(stream.header_names(Response, OURS).is_empty());
    assert_eq!(stream.text(Response, "x-other"), "2");
}

#[test]
fn no_attempt_is_started_after_the_deadline() {
    for (late, is_late) in [(59_000, false), (59_001, true)] {
        let cluster = Cluster::new(config());
        let mut stream = cluster.request("late");
        stream.now += late;
        assert_eq!(cluster.attempt(&mut stream, 1, "mini-late", "500", ""), !is_late);
        let (_, status) = cluster.send(&mut stream, 2, "mini-later");
        let refused = stream.response.as_ref().map(|(status, _)| *status);
        assert_eq!(refused, is_late.then_some(504));
        assert_eq!(status == Status::StopIteration, is_late);
        assert_eq!(unsent(&stream), usize::from(is_late));
        // One that is not the first to be sent, and comes late, is sent all the same.
        let mut first = cluster.request("late-first");
        first.now += late;
        assert_eq!(cluster.send(&mut first, 1, "mini-late").1, Status::Continue);
    }
}

#[test]
fn after_one_lost_engine_an_attempt_waits_and_after_two_there_is_none() {
    let cluster = Cluster::new(config());
    let mut stream = cluster.request("lost");
    cluster.send(&mut stream, 1, "mini-lost");
    lost_connections::add(b"lost");
    let (filter, status) = cluster.send(&mut stream, 2, "mini-next");
    assert_eq!((status, &stream.pauses[..]), (Status::StopIteration, &[PAUSE][..]));
    assert_eq!(
        filter.on_request_body(&mut stream, &cluster.config, true),
        Status::StopAndWatermark
    );
    assert_eq!((unsent(&stream), stream.continued), (1, false));
    filter.on_scheduled(&mut stream);
    assert_eq!((unsent(&stream), stream.continued), (0, true));
    assert_eq!(
        filter.on_request_body(&mut stream, &cluster.config, true),
        Status::Continue
    );

    lost_connections::add(b"lost");
    let (_, status) = cluster.send(&mut stream, 3, "maxi-next");
    assert_eq!(status, Status::StopIteration);
    assert_eq!(stream.response.as_ref().unwrap().0, 502);
    assert_eq!(stream.notes["error"], b"engines_lost");
    assert_eq!(unsent(&stream), 1);
    // Of another request none was lost.
    let mut other = cluster.request("not-lost");
    cluster.send(&mut other, 1, "mini-next");
    assert_eq!(cluster.send(&mut other, 2, "mini-lost").1, Status::Continue);
}

#[test]
fn a_request_is_in_flight_while_its_engine_is_at_work() {
    let name = "flight";
    let cluster = Cluster::new(config_of(&format!(
        r#""quality":true,"every":false,"tiers":["{name}"]"#
    )));
    let in_flight = InFlight::of(name);
    let mut stream = cluster.request("flight");
    let (filter, _) = cluster.send(&mut stream, 1, "flight-0");
    let (other, _) = cluster.send(&mut stream, 1, "flight-1");
    let (unknown, _) = cluster.send(&mut stream, 1, "elsewhere-0");
    assert_eq!(in_flight.count(), 2);
    cluster.answer(&mut stream, &filter, "200", GOOD);
    assert_eq!(in_flight.count(), 1);
    drop((other, unknown));
    assert_eq!(in_flight.count(), 0);
    drop(filter);
    assert_eq!(in_flight.count(), 0);
}

#[test]
fn an_attempt_that_ends_while_it_waits_loses_no_engine() {
    let cluster = Cluster::new(config());
    let mut stream = cluster.request("waits");
    cluster.send(&mut stream, 1, "mini-waits");
    lost_connections::add(b"waits");
    assert_eq!(cluster.send(&mut stream, 2, "mini-next").1, Status::StopIteration);
    lost_connections::add(b"waits");
    assert_eq!(cluster.send(&mut stream, 3, "maxi-next").1, Status::Continue);
    assert_eq!(stream.response, None);
}
