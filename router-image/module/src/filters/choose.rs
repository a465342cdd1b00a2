//! Downstream filter: reads the body once and names the tier that shall answer. A route exists for every tier's name; a
//! request that leaves here without one (because of a mistake in here) meets a route of its own, to the last tier.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::cell::RefCell;

use super::headers::{
    ATTEMPTS, CHOSEN, CLIENT, CONVERSATION, ERROR, HINT, LENGTH, MOST_RETRIES, OVERLOADED, PREFIX, PRIORITY, QUALITY,
    RETRIES, RETRY_AFTER, SCORE, SHOULD_RETRY, TIER, TYPE,
};
use super::metrics::{Metrics, RequestRecord};
use super::request_state::{answering_tier, attempts_sent, RequestState, SavedAnswer};
use super::route_config::{ChooseConfig, Tier};
use super::HttpFilter;
use crate::protocol::hash::{digits, hash};
use crate::protocol::request::{self, RequestFeatures};
use crate::protocol::tokens::{reported, END};
use crate::stream::{HeaderMap, MetricDefinitions, Status, Stream};

/// One request.
pub struct ChooseFilter {
    metrics: Metrics,
    asked: RefCell<ClientHeaders>,
    record: RefCell<RequestRecord>,
}

/// What the client says of tiers, if it may, and by what name it knows the conversation.
#[derive(Default)]
struct ClientHeaders {
    tier: Option<Vec<u8>>,
    hint: Option<Vec<u8>>,
    conversation: Option<Vec<u8>>,
    /// Whether it may use what is reserved of a tier.
    is_reserved: bool,
}

/// The tier that a request wants, what decided, and the score if that did.
struct Decision<'a> {
    tier: &'a Tier,
    by: &'static str,
    score: Option<f64>,
}

struct Refusal<'a> {
    status: u32,
    code: &'static str,
    message: Cow<'a, str>,
}

const NOT_JSON: Refusal = Refusal {
    status: 400,
    code: "invalid_json",
    message: Cow::Borrowed("The request body is not a JSON object."),
};

/// The priority of requests that may use all of a tier.
const RESERVED: &[u8] = b"reserved";
/// The route of requests that are not admitted.
const FULL: &str = "/full";
/// After what may be half an event.
const BROKEN_OFF: &[u8] = b"\n\ndata: {\"error\":{\"message\":\"The engine failed while it answered.\",\
    \"type\":\"server_error\",\"param\":null,\"code\":\"engine_failed\"}}\n\n";

impl HttpFilter for ChooseFilter {
    const NAME: &'static str = "choose";
    type Config = Metrics;
    type RouteConfig = ChooseConfig;

    fn config(metrics: &mut impl MetricDefinitions) -> Metrics {
        Metrics::define(metrics)
    }

    fn route_config(bytes: &[u8]) -> Option<ChooseConfig> {
        ChooseConfig::parse(bytes)
    }

    fn new(metrics: &Metrics) -> Self {
        ChooseFilter {
            metrics: *metrics,
            asked: RefCell::default(),
            record: RefCell::default(),
        }
    }

    fn on_request_headers(&self, stream: &mut impl Stream, config: &ChooseConfig, end: bool) -> Status {
        let mut record = self.record.borrow_mut();
        record.start = Some(stream.instant());
        // It is taken away from what goes to services outside of the cluster.
        record.client = stream.header(HeaderMap::Request, CLIENT).map(<[u8]>::to_vec);
        drop(record);
        stream.set_buffer_limit(config.body_limit);
        *self.asked.borrow_mut() = ClientHeaders::take(stream, config);
        if end {
            return refuse(stream, &NOT_JSON);
        }
        Status::StopIteration
    }

    fn on_request_body(&self, stream: &mut impl Stream, config: &ChooseConfig, end: bool) -> Status {
        if end {
            return self.on_request_trailers(stream, config);
        }
        Status::StopIteration
    }

    /// The request is complete.
    fn on_request_trailers(&self, stream: &mut impl Stream, config: &ChooseConfig) -> Status {
        let body = stream.request_body();
        let features = match request::parse(&body) {
            Some(features) => features,
            None => return refuse(stream, &NOT_JSON),
        };
        let decision = choose(config, &self.asked.borrow(), &features);
        let decision = match decision {
            Ok(decision) => decision,
            Err(refusal) => return refuse(stream, &refusal),
        };
        let (length, conversation, requirements) = (body.len(), features.conversation, features.requirements);
        self.send(stream, config, &decision, conversation);
        let start = stream.now();
        RequestState { start, requirements }.save(stream);
        if stream.header(HeaderMap::Request, LENGTH).is_none() {
            stream.set_header(HeaderMap::Request, LENGTH, length.to_string().as_bytes());
        }
        stream.clear_route_cache();
        Status::Continue
    }

    /// Not only of an engine: every answer passes here.
    fn on_response_headers(&self, stream: &mut impl Stream, _: &ChooseConfig, end: bool) -> Status {
        let mut record = self.record.borrow_mut();
        if let Some(tier) = answering_tier(stream).map(<[u8]>::to_owned) {
            stream.set_header(HeaderMap::Response, TIER, &tier);
            record.answered = true;
        }
        let attempts = attempts_sent(stream).to_string();
        stream.set_header(HeaderMap::Response, ATTEMPTS, attempts.as_bytes());
        record.answer = Some(stream.instant());
        let kind = stream.header(HeaderMap::Response, TYPE).unwrap_or_default();
        record.streamed = kind.starts_with(b"text/event-stream");
        if let Some(score) = record.score {
            stream.set_header(HeaderMap::Response, SCORE, format!("{score:.3}").as_bytes());
        }
        let saved = match is_error(stream).then(|| SavedAnswer::of(stream)).flatten() {
            Some(saved) => saved,
            None => return Status::Continue,
        };
        put_back(stream, &saved);
        record.tokens = reported(&saved.body);
        record.put_back = Some(saved.tier);
        if end {
            stream.add_response_body(&saved.body);
            return Status::Continue;
        }
        Status::StopIteration
    }

    /// One more piece of it, or all.
    fn on_response_body(&self, stream: &mut impl Stream, _: &ChooseConfig, end: bool) -> Status {
        let mut record = self.record.borrow_mut();
        if record.put_back.is_some() {
            return match SavedAnswer::of(stream).filter(|_| end) {
                Some(saved) => {
                    stream.replace_response_body(&saved.body);
                    Status::Continue
                }
                None => Status::StopIteration,
            };
        }
        if record.answered {
            record.tokens = reported(&stream.received_response_end(END)).or(record.tokens);
        }
        Status::Continue
    }

    fn on_response_trailers(&self, stream: &mut impl Stream, config: &ChooseConfig) -> Status {
        self.on_response_body(stream, config, true)
    }

    /// Where the answer has begun, it will break off. Clients of a stream learn of it by a last event. Its end must not be
    /// said here: Envoy would destroy the stream twice.
    fn on_local_reply(&self, stream: &mut impl Stream) {
        if self.record.borrow().streamed {
            stream.send_response_data(BROKEN_OFF);
        }
    }

    fn on_stream_complete(&self, stream: &mut impl Stream) {
        let record = self.record.borrow();
        if record.start.is_some() || is_for_a_model(stream) {
            self.metrics.record(stream, &record);
        }
    }
}

impl ChooseFilter {
    /// Sends it on with a route and a hash, by which Envoy finds tier and engine.
    fn send(&self, stream: &mut impl Stream, config: &ChooseConfig, decision: &Decision, conversation: u64) {
        let asked = self.asked.borrow();
        let hash = asked.conversation.as_deref().map_or(conversation, hash) as u32;
        let destination = decision.tier.destination(hash);
        // A cluster of no capacity answers, as one does that has no more.
        let chosen = if destination.is_full(asked.is_reserved) {
            FULL
        } else {
            &destination.chosen
        };
        lower_retries(stream, config.retries);
        stream.set_header(HeaderMap::Request, CHOSEN, chosen.as_bytes());
        stream.set_header(HeaderMap::Request, PREFIX, &digits(hash));
        let mut record = self.record.borrow_mut();
        record.tier = decision.tier.name.clone();
        record.decision = decision.by;
        record.score = decision.score;
        record.slow_after = config.slow_after;
    }
}

impl ClientHeaders {
    /// They are gone from the request before anything can fail.
    fn take(stream: &mut impl Stream, config: &ChooseConfig) -> Self {
        let (tier, priority, hint) = (take(stream, TIER), take(stream, PRIORITY), take(stream, HINT));
        let conversation = take(stream, CONVERSATION).filter(|name| !name.is_empty());
        let client = stream.header(HeaderMap::Request, CLIENT).unwrap_or_default();
        let has_reserved_key = config.reserved.iter().any(|name| name.as_bytes() == client);
        let priority = if has_reserved_key {
            Some(RESERVED.to_vec())
        } else {
            priority.filter(|_| config.trust)
        };
        if let Some(priority) = &priority {
            stream.set_header(HeaderMap::Request, PRIORITY, priority);
        }
        ClientHeaders {
            tier: tier.filter(|_| config.trust),
            hint,
            conversation,
            is_reserved: priority.as_deref() == Some(RESERVED),
        }
    }
}

fn take(stream: &mut impl Stream, name: &str) -> Option<Vec<u8>> {
    let value = stream.header(HeaderMap::Request, name)?.to_vec();
    stream.remove_header(HeaderMap::Request, name);
    Some(value)
}

fn choose<'a>(
    config: &'a ChooseConfig,
    asked: &ClientHeaders,
    features: &RequestFeatures,
) -> Result<Decision<'a>, Refusal<'a>> {
    let decided = |tier: &'a Tier, by| Ok(Decision { tier, by, score: None });
    let (first, last) = (&config.tiers[0], &config.tiers[config.tiers.len() - 1]);
    if let Some(name) = &asked.tier {
        let named = config.tiers.iter().find(|tier| tier.name.as_bytes() == name.as_slice());
        return named.map_or_else(
            || Err(not_found("No such tier.", config)),
            |tier| decided(tier, "header"),
        );
    }
    let model = match &features.model {
        Some(model) => model.as_ref(),
        None => {
            let message = Cow::Owned(format!("The field `model` is missing. {}", config.help));
            return Err(Refusal {
                status: 400,
                code: "missing_model",
                message,
            });
        }
    };
    if model != b"auto" {
        let place = config
            .models
            .get(model)
            .ok_or_else(|| not_found("The model does not exist.", config))?;
        return decided(&config.tiers[*place], "model");
    }
    match asked.hint.as_deref() {
        Some(b"plan") => return decided(last, "hint"),
        Some(b"act") => return decided(first, "hint"),
        _ => {}
    }
    let score = config.scorer.score(features);
    let tier = if score > config.threshold { last } else { first };
    Ok(Decision {
        tier,
        by: "score",
        score: Some(score),
    })
}

fn is_error(stream: &impl Stream) -> bool {
    matches!(stream.header(HeaderMap::Response, ":status"), Some([b'4' | b'5', ..]))
}

/// An answer of low quality is better than the error that its retries have met.
fn put_back(stream: &mut impl Stream, saved: &SavedAnswer) {
    for name in [RETRY_AFTER, ERROR, OVERLOADED, SHOULD_RETRY] {
        stream.remove_header(HeaderMap::Response, name);
    }
    let length = saved.body.len().to_string();
    let headers: [(&str, &[u8]); 5] = [
        (":status", b"200"),
        (TYPE, b"application/json"),
        (LENGTH, length.as_bytes()),
        (QUALITY, saved.fault.as_bytes()),
        (TIER, saved.tier.as_bytes()),
    ];
    for (name, value) in headers {
        stream.set_header(HeaderMap::Response, name, value);
    }
}

/// By its path: of a request that another filter has refused before it came here.
fn is_for_a_model(stream: &impl Stream) -> bool {
    let path = stream.header(HeaderMap::Request, ":path").unwrap_or_default();
    ["/v1/chat/completions", "/v1/completions", "/v1/responses"]
        .iter()
        .any(|asked| path.starts_with(asked.as_bytes()))
}

fn not_found<'a>(what: &str, config: &ChooseConfig) -> Refusal<'a> {
    let message = Cow::Owned(format!("{what} {}", config.help));
    Refusal {
        status: 404,
        code: "model_not_found",
        message,
    }
}

fn refuse(stream: &mut impl Stream, refusal: &Refusal) -> Status {
    stream.set_dynamic_metadata("error", refusal.code.as_bytes());
    stream.send_response(refusal.status, &refusal.message);
    Status::StopIteration
}

/// Lowers the policy's limit to what the request asks for; anything else it says is ignored.
fn lower_retries(stream: &mut impl Stream, limit: u32) {
    match stream.header(HeaderMap::Request, RETRIES) {
        Some([digit @ b'0'..=b'9']) if u32::from(digit - b'0') < limit => {
            stream.set_header(HeaderMap::Request, MOST_RETRIES, &[*digit]);
        }
        _ => {}
    }
}
