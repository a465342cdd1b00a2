mod answers;
mod requests;

use super::*;
use crate::filters::in_flight::InFlight;
use crate::filters::request_state::{add_unsent, set_refused};
use crate::stream::fake::{FakeDefinitions, FakeStream};
use crate::stream::{Attribute, MetadataSource, METADATA};
use HeaderMap::{Request, Response};

type Headers<'a> = &'a [(&'a str, &'a str)];

const NOW: u64 = 1_800_000_000_000;
const SAID: &str = r#""messages":[{"role":"user","content":"Where is it?"}]"#;

/// Three tiers; a message counts a quarter of the whole score.
fn config(trust: bool) -> ChooseConfig {
    with_tiers(
        trust,
        r#"{"name":"mini","diverted":0,"own":{"tier":"mini"}},{"name":"mid","diverted":0,"own":{"tier":"mid"}},
        {"name":"maxi","diverted":0,"own":{"tier":"maxi"}}"#,
        r#""mini":"mini","acme/maxi":"maxi""#,
    )
}

fn with_tier(trust: bool, tier: &str) -> ChooseConfig {
    with_tiers(trust, tier, r#""mini":"mini""#)
}

fn with_tiers(trust: bool, tiers: &str, models: &str) -> ChooseConfig {
    let text = format!(
        r#"{{"trust":{trust},"body_limit":4321,"threshold":0.5,"retries":3,"help":"Try mini.","reserved":["gold"],
        "models":{{{models}}},"tiers":[{tiers}],
        "scorer":{{"sample":100,"features":[{{"name":"turns","weight":1.0,"full":4}}]}}}}"#
    );
    ChooseFilter::route_config(text.as_bytes()).unwrap()
}

fn filter() -> ChooseFilter {
    ChooseFilter::new(&ChooseFilter::config(&mut FakeDefinitions::default()))
}

/// A request as it leaves the filter, and what that has returned.
fn sent(config: &ChooseConfig, headers: Headers, body: &str) -> (FakeStream, ChooseFilter, Status) {
    let (mut stream, filter) = (FakeStream::at(NOW).with_headers(Request, headers), filter());
    let status = filter.on_request_headers(&mut stream, config, false);
    assert_eq!(status, Status::StopIteration);
    assert_eq!(
        filter.on_request_body(&mut stream, config, false),
        Status::StopIteration
    );
    stream.request_body = body.into();
    let status = filter.on_request_body(&mut stream, config, true);
    (stream, filter, status)
}

fn chat(model: &str, messages: usize) -> String {
    let said = vec![r#"{"role":"user","content":"x"}"#; messages].join(",");
    format!(r#"{{"model":"{model}","messages":[{said}]}}"#)
}

/// An answer to a request that has been sent so often.
fn answered(status: &str, attempts: u64) -> FakeStream {
    let headers = [(":status", status), (TYPE, "application/json")];
    let mut stream = FakeStream::at(NOW).with_headers(Response, &headers);
    stream.attributes.insert(Attribute::Attempts, attempts);
    stream.set_metadata(MetadataSource::Host, METADATA, "tier", "mid");
    stream
}
