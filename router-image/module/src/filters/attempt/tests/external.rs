//! Attempts at a service outside of the cluster.

use super::*;
use crate::filters::headers::{AUTHORITY, AUTHORIZATION, CLIENT, PATH};
use crate::filters::metrics::Metrics;

static WRITTEN: std::sync::Once = std::sync::Once::new();

const MODEL_BODY: &str = r#"{"model":"auto","seed":4}"#;

fn with_service() -> AttemptConfig {
    config_of(r#""quality":true,"every":false,"tiers":["mini",{"external":"maxi"}]"#)
}

#[test]
fn what_is_in_flight_at_a_service_is_counted_and_other_forms_are_refused() {
    let config = with_service();
    assert!(config.in_flight(b"maxi").is_some() && config.in_flight(b"mini").is_some());
    let text = r#"{"deadline":60,"budget":0.5,"changes":[],"quality":true,"every":false,"tiers":[{"outside":"maxi"}]}"#;
    assert!(AttemptFilter::route_config(text.as_bytes()).is_none());
}

/// The next attempt is at the service of the tier `maxi`, or at an engine again.
fn at_service(stream: &mut FakeStream, is_so: bool) {
    let file = std::env::temp_dir().join(format!("heterollm-key-{}", std::process::id()));
    // The tests run side by side, and a file that is being written is empty.
    WRITTEN.call_once(|| std::fs::write(&file, "service-key\n").unwrap());
    stream.remove_metadata(MetadataSource::Host, METADATA);
    if is_so {
        for (key, value) in [
            ("authority", "llm.example.com"),
            ("path", "/api/v2"),
            ("model", "acme/big"),
            ("key_file", file.to_str().unwrap()),
        ] {
            stream.set_metadata(MetadataSource::Host, METADATA, key, value);
        }
    }
}

fn request(cluster: &Cluster, id: &str) -> FakeStream {
    cluster.request(id).with_headers(
        Request,
        &[
            (PATH, "/v1/chat/completions?x=1"),
            (AUTHORITY, "chat.team"),
            (AUTHORIZATION, "Bearer client-key"),
            ("cookie", "a=b"),
            ("x-api-key", "client-key"),
            (CLIENT, "shop"),
            (TYPE, "application/json"),
            (LENGTH, "25"),
        ],
    )
}

fn send(cluster: &Cluster, stream: &mut FakeStream, number: u32, tier: &str) -> AttemptFilter {
    at_service(stream, tier == "maxi");
    let (filter, status) = cluster.send(stream, number, &format!("{tier}-0"));
    assert_eq!(status == Status::StopIteration, tier == "maxi");
    stream.request_body = MODEL_BODY.into();
    assert_eq!(filter.on_request_body(stream, &cluster.config, true), Status::Continue);
    filter
}

#[test]
fn a_service_gets_its_own_address_model_and_key_and_engines_what_the_client_sent() {
    let mut cluster = Cluster::new(with_service());
    cluster.order = "maxi mini maxi mini";
    let mut stream = request(&cluster, "there-and-back");
    for number in 1..=4 {
        let is_external = number % 2 == 1;
        send(&cluster, &mut stream, number, if is_external { "maxi" } else { "mini" });
        let expected = if is_external {
            ("/api/v2/chat/completions?x=1", "llm.example.com", "Bearer service-key")
        } else {
            ("/v1/chat/completions?x=1", "chat.team", "Bearer client-key")
        };
        let headers = [PATH, AUTHORITY, AUTHORIZATION].map(|name| stream.text(Request, name));
        assert_eq!(
            (headers[0].as_str(), headers[1].as_str(), headers[2].as_str()),
            expected
        );
        let body = String::from_utf8(stream.request_body.clone()).unwrap();
        if is_external {
            assert_eq!(body, r#"{"model":"acme/big","seed":4}"#);
            assert_eq!(stream.text(Request, LENGTH), body.len().to_string());
            for name in ["cookie", "x-api-key", CLIENT] {
                assert_eq!(stream.header(Request, name), None, "{name}");
            }
            assert_eq!(stream.text(Request, TYPE), "application/json");
        } else {
            assert_eq!(body, MODEL_BODY);
            assert_eq!(stream.text(Request, LENGTH), "25");
        }
    }
}

#[test]
fn a_piece_of_a_request_and_a_request_for_the_very_model_stay_as_they_are() {
    let cluster = Cluster::new(with_service());
    for (number, body, length) in [
        (1, r#"{"model":"auto","messages":["#, "900"),
        (1, r#"{"model":"acme/big"}"#, "20"),
        // But for what a retry changes.
        (2, r#"{"model":"acme/big","temperature":1}"#, "38"),
    ] {
        let mut stream = request(&cluster, "piece").with_headers(Request, &[(LENGTH, length)]);
        let (fault, tier, attempt) = ("empty", "maxi", 1);
        if number == 2 {
            LowQualityAnswer { attempt, fault, tier }.add(&mut stream);
        }
        at_service(&mut stream, true);
        let (filter, _) = cluster.send(&mut stream, number, "maxi-0");
        stream.request_body = body.into();
        filter.on_request_body(&mut stream, &cluster.config, true);
        let sent = String::from_utf8(stream.request_body.clone()).unwrap();
        assert_eq!(sent == body, number == 1, "{sent}");
        assert_eq!(stream.text(Request, LENGTH), length);
    }
}

#[test]
fn without_a_key_the_clients_is_not_sent_either() {
    let cluster = Cluster::new(with_service());
    let mut stream = request(&cluster, "no-key");
    at_service(&mut stream, true);
    stream.set_metadata(MetadataSource::Host, METADATA, "key_file", "/nowhere/key");
    let (_, status) = cluster.send(&mut stream, 1, "maxi-0");
    assert_eq!(status, Status::StopIteration);
    assert_eq!(stream.header(Request, AUTHORIZATION), None);
}

#[test]
fn what_a_service_says_to_its_owner_is_a_failure_of_the_tier() {
    let cases = [
        ("401", "external_unauthorized"),
        ("402", "external_unauthorized"),
        ("403", "external_unauthorized"),
        ("404", "external_not_found"),
        ("308", "external_not_found"),
    ];
    for (status, code) in cases {
        for order in ["maxi maxi mini mini", "maxi maxi maxi maxi"] {
            let mut cluster = Cluster::new(with_service());
            cluster.order = order;
            let mut stream = request(&cluster, &format!("refused-{status}-{order}"));
            let filter = send(&cluster, &mut stream, 1, "maxi");
            cluster.answer(&mut stream, &filter, status, r#"{"error":"sk-secret of org-1"}"#);
            assert_eq!(stream.text(Response, ":status"), "502");
            assert_eq!(stream.text(Response, ERROR), code);
            let body = String::from_utf8(stream.response_body.clone()).unwrap();
            assert!(body.contains(code) && !body.contains("sk-secret"), "{body}");
            assert_eq!(stream.text(Response, LENGTH), body.len().to_string());
            // Nobody else is asked: then asking again is of no use.
            assert_eq!(stream.text(Response, FINAL) == "true", !order.contains("mini"));
            let mut definitions = FakeDefinitions::default();
            Metrics::define(&mut definitions).record(&stream, &Default::default());
            let counted = stream.counted(&definitions, "external_refusals_total");
            assert_eq!(counted[&format!("heterollm_tier=maxi code={status}")], 1);
        }
    }
}

#[test]
fn the_clients_own_errors_are_passed_on() {
    let cluster = Cluster::new(with_service());
    for status in ["400", "422", "429"] {
        let mut stream = request(&cluster, &format!("client-{status}"));
        let filter = send(&cluster, &mut stream, 1, "maxi");
        cluster.answer(&mut stream, &filter, status, "{}");
        assert_eq!(stream.text(Response, ":status"), status);
        assert_eq!(stream.response_body, b"{}");
    }
    // An engine's, too, whatever they are.
    let mut stream = request(&cluster, "engine-401");
    let filter = send(&cluster, &mut stream, 1, "mini");
    cluster.answer(&mut stream, &filter, "401", "{}");
    assert_eq!(stream.text(Response, ":status"), "401");
}

#[test]
fn of_a_services_headers_few_are_passed_on() {
    let cluster = Cluster::new(with_service());
    let mut stream = request(&cluster, "headers");
    let filter = send(&cluster, &mut stream, 1, "maxi");
    let said = [
        ("set-cookie", "a"),
        ("openai-organization", "acme"),
        ("alt-svc", "h3"),
        (QUALITY, "x"),
        ("x-envoy-ratelimited", "true"),
    ];
    for (name, value) in said {
        stream.set_header(Response, name, value.as_bytes());
    }
    cluster.answer(&mut stream, &filter, "200", GOOD);
    for (name, _) in said {
        assert_eq!(stream.header(Response, name), None, "{name}");
    }
    assert_eq!(stream.text(Response, TYPE), "application/json");
    // And what was logged of the request is what the client sent.
    assert_eq!(stream.text(Request, PATH), "/v1/chat/completions?x=1");
}

#[test]
fn two_lost_connections_to_a_service_do_not_end_a_request() {
    for (order, ends) in [("maxi maxi mini mini", false), ("mini mini mini mini", true)] {
        let mut cluster = Cluster::new(with_service());
        cluster.order = order;
        let id = format!("lost-{order}");
        let mut stream = request(&cluster, &id);
        for (number, tier) in (1..).zip(order.split(' ').take(3)) {
            at_service(&mut stream, tier == "maxi");
            stream.response = None;
            let (filter, _) = cluster.send(&mut stream, number, &format!("{tier}-{number}"));
            if stream.pauses.pop().is_some() {
                filter.on_scheduled(&mut stream);
            }
            lost_connections::add(id.as_bytes());
        }
        assert_eq!(stream.response.is_some(), ends, "{order}");
    }
}
