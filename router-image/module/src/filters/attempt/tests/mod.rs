mod answers;
mod external;
mod failures;
mod requests;

use super::*;
use crate::filters::failures::lost_connections;
use crate::filters::headers::{BROKEN, REQUEST, SHOULD_RETRY};
use crate::filters::request_state::unsent;
use crate::protocol::requirements::AnswerRequirements;
use crate::stream::fake::{FakeDefinitions, FakeStream};
use HeaderMap::{Request, Response};

const NOW: u64 = 1_800_000_000_000;
const EMPTY: &str = r#"{"choices":[{"message":{"role":"assistant","content":""},"finish_reason":"stop"}]}"#;
const GOOD: &str = r#"{"choices":[{"message":{"role":"assistant","content":"Hi."},"finish_reason":"stop"}]}"#;
const BODY: &str = r#"{"max_tokens":100,"seed":4}"#;

/// Two tiers, answers are checked, and a second low-quality answer asks for fewer tokens than a first.
fn config() -> AttemptConfig {
    config_of(r#""quality":true,"every":false,"tiers":["mini","maxi"]"#)
}

fn config_of(more: &str) -> AttemptConfig {
    let text = format!(
        r#"{{"deadline":60,"budget":0.5,"changes":[{{"temperature":"0.3","new_seed":true}},
        {{"temperature":"0.1","max_tokens_factor":0.5,"new_seed":false}}],{more}}}"#
    );
    AttemptFilter::route_config(text.as_bytes()).unwrap()
}

/// The filters of one tier's cluster. Engines and requests are known to all tests, and have names of their own.
struct Cluster {
    tier: Arc<TierState>,
    config: AttemptConfig,
    order: &'static str,
}

impl Cluster {
    fn new(config: AttemptConfig) -> Self {
        Cluster {
            tier: AttemptFilter::config(&mut FakeDefinitions::default()),
            config,
            order: "mini mini maxi maxi",
        }
    }

    /// A request that has come a second ago.
    fn request(&self, id: &str) -> FakeStream {
        let mut stream = FakeStream::at(NOW).with_headers(Request, &[(REQUEST, id)]);
        let start = NOW - 1000;
        let requirements = AnswerRequirements::default();
        RequestState { start, requirements }.save(&mut stream);
        stream
    }

    /// Another attempt of it, at an engine whose name says its tier; what the filter says to its headers.
    fn send(&self, stream: &mut FakeStream, number: u32, engine: &str) -> (AttemptFilter, Status) {
        stream.next_attempt();
        let tier = engine.split('-').next().unwrap();
        stream.set_header(Request, ATTEMPT, number.to_string().as_bytes());
        stream.set_metadata(MetadataSource::Host, METADATA, "tier", tier);
        stream.set_metadata(MetadataSource::Host, "envoy.lb", "hash_key", engine);
        stream.set_metadata(MetadataSource::Cluster, METADATA, "order", self.order);
        stream.request_body = BODY.into();
        let filter = AttemptFilter::new(&self.tier);
        let status = filter.on_request_headers(stream, &self.config, false);
        (filter, status)
    }

    fn answer(&self, stream: &mut FakeStream, filter: &AttemptFilter, status: &str, body: &str) {
        let headers = [(":status", status), (TYPE, "application/json")];
        for (name, value) in headers.iter().chain(&[(LENGTH, body.len().to_string().as_str())]) {
            stream.set_header(Response, name, value.as_bytes());
        }
        filter.on_response_headers(stream, &self.config, false);
        stream.response_body = body.into();
        assert_eq!(filter.on_response_body(stream, &self.config, true), Status::Continue);
    }

    /// An attempt at this engine, answered like this; whether another may follow.
    fn attempt(&self, stream: &mut FakeStream, number: u32, engine: &str, status: &str, body: &str) -> bool {
        let (filter, _) = self.send(stream, number, engine);
        self.answer(stream, &filter, status, body);
        stream.header(Response, FINAL).is_none()
    }
}
