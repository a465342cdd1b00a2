use super::*;
use crate::filters::headers::{ATTEMPTS, CHOSEN, LENGTH, TYPE};
use crate::stream::fake::{FakeDefinitions, FakeStream};
use crate::stream::{Attribute, HeaderMap};
use HeaderMap::{Request, Response};

const CHOOSE: &str = r#"{"trust":false,"body_limit":9999,"threshold":0.5,"retries":3,"help":"","reserved":[],
    "models":{"mini":"mini"},"tiers":[{"name":"mini","diverted":0,"own":{"tier":"mini"}}],
    "scorer":{"sample":100,"features":[]}}"#;
const ATTEMPT: &str = r#"{"deadline":60,"budget":0.5,"changes":[],"quality":true,"every":false,"tiers":["mini"]}"#;

#[test]
fn each_filter_is_known_by_its_name_alone() {
    let mut metrics = FakeDefinitions::default();
    for (name, choose, attempt) in [
        ("choose", true, false),
        ("attempt", false, true),
        ("Choose", false, false),
        ("", false, false),
    ] {
        let name = name.as_bytes();
        assert_eq!(FilterConfig::new(name, &mut metrics).is_some(), choose || attempt);
        assert_eq!(RouteConfig::parse(name, CHOOSE.as_bytes()).is_some(), choose);
        assert_eq!(RouteConfig::parse(name, ATTEMPT.as_bytes()).is_some(), attempt);
        assert!(RouteConfig::parse(name, b"{}").is_none());
    }
}

#[test]
fn a_filter_heeds_only_what_is_its_own() {
    let mut metrics = FakeDefinitions::default();
    let attempt = FilterConfig::new(b"attempt", &mut metrics).unwrap().filter();
    let others = RouteConfig::parse(b"choose", CHOOSE.as_bytes()).unwrap();
    let mut stream = FakeStream::at(1).with_headers(Request, &[(CHOSEN, "mini")]);
    assert_eq!(
        attempt.on_request_headers(&mut stream, &others, false),
        Status::Continue
    );
    assert_eq!(stream.text(Request, CHOSEN), "mini");
}

/// As Envoy calls the two: one downstream, the other upstream.
#[test]
fn a_request_passes_all_filters_and_is_counted_once() {
    let mut metrics = FakeDefinitions::default();
    let [(choose, to_choose), (attempt, to_attempt)] =
        [("choose", CHOOSE), ("attempt", ATTEMPT)].map(|(name, told)| {
            let config = FilterConfig::new(name.as_bytes(), &mut metrics).unwrap();
            (
                config.filter(),
                RouteConfig::parse(name.as_bytes(), told.as_bytes()).unwrap(),
            )
        });
    let mut stream = FakeStream::at(1);
    stream.request_body = br#"{"model":"mini"}"#.to_vec();
    assert_eq!(
        choose.on_request_headers(&mut stream, &to_choose, false),
        Status::StopIteration
    );
    assert_eq!(
        choose.on_request_body(&mut stream, &to_choose, false),
        Status::StopIteration
    );
    assert_eq!(choose.on_request_trailers(&mut stream, &to_choose), Status::Continue);
    assert_eq!(stream.text(Request, CHOSEN), "mini");
    assert_eq!(
        attempt.on_request_headers(&mut stream, &to_attempt, false),
        Status::Continue
    );
    assert_eq!(
        attempt.on_request_body(&mut stream, &to_attempt, false),
        Status::Continue
    );
    assert_eq!(attempt.on_request_trailers(&mut stream, &to_attempt), Status::Continue);
    assert_eq!(stream.header(Request, CHOSEN), None);

    let headers = [(":status", "200"), (TYPE, "application/json"), (LENGTH, "2")];
    stream = stream.with_headers(Response, &headers);
    stream.response_body = b"{}".to_vec();
    stream
        .attributes
        .extend([(Attribute::Attempts, 1), (Attribute::ResponseCode, 200)]);
    assert_eq!(
        attempt.on_response_headers(&mut stream, &to_attempt, false),
        Status::StopIteration
    );
    assert_eq!(
        attempt.on_response_body(&mut stream, &to_attempt, false),
        Status::StopIteration
    );
    assert_eq!(attempt.on_response_trailers(&mut stream, &to_attempt), Status::Continue);
    assert_eq!(
        choose.on_response_headers(&mut stream, &to_choose, false),
        Status::Continue
    );
    assert_eq!(
        choose.on_response_body(&mut stream, &to_choose, false),
        Status::Continue
    );
    assert_eq!(choose.on_response_trailers(&mut stream, &to_choose), Status::Continue);
    assert_eq!(stream.text(Response, ATTEMPTS), "1");
    for filter in [&choose, &attempt] {
        assert!(!stream.continued, "only an attempt waits");
        filter.on_local_reply(&mut stream);
        filter.on_scheduled(&mut stream);
        filter.on_stream_complete(&mut stream);
    }
    assert!(stream.continued);
    assert_eq!(stream.counted(&metrics, "requests_total").values().sum::<u64>(), 1);
    assert!(stream.sent.is_empty());
}
