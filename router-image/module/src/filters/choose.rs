//! Downstream filter: reads the body once and names the tier that shall answer. A route exists for every tier's name; a
//! request that leaves here without one (because of a mistake in here) meets a route of its own, to the last tier.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::time::Instant;

use crate::abi::envoy::{Body, Map, Stream};
use crate::abi::status::Status;
use crate::filters::headers::{
    ATTEMPTS, CHOSEN, CLIENT, CONVERSATION, ERROR, HINT, LENGTH, METADATA, MOST_RETRIES, OVERLOADED, PREFIX, PRIORITY,
    QUALITY, RETRIES, RETRY_AFTER, SCORE, SHOULD_RETRY, TIER, TYPE,
};
use crate::filters::metrics::{answering, attempts, Metrics, RequestRecord};
use crate::filters::request_state::{RequestState, SavedAnswer};
use crate::filters::route_config::{ChooseConfig, Tier};
use crate::protocol::hash::{digits, hash};
use crate::protocol::request::{self, RequestFeatures};
use crate::protocol::tokens::{reported, END};

/// One request.
pub struct Choose {
    metrics: Metrics,
    wishes: RefCell<Wishes>,
    /// Whether it may use what is reserved of a tier.
    reserved: Cell<bool>,
    record: RefCell<RequestRecord>,
}

/// What the client says of tiers, if it may, and by what name it knows the conversation.
#[derive(Default)]
struct Wishes {
    tier: Option<Vec<u8>>,
    hint: Option<Vec<u8>>,
    conversation: Option<Vec<u8>>,
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
const BROKEN: &[u8] = b"\n\ndata: {\"error\":{\"message\":\"The engine failed while it answered.\",\
    \"type\":\"server_error\",\"param\":null,\"code\":\"engine_failed\"}}\n\n";

impl Choose {
    pub fn new(metrics: Metrics) -> Self {
        Choose {
            metrics,
            wishes: RefCell::default(),
            reserved: Cell::new(false),
            record: RefCell::default(),
        }
    }

    pub fn request_headers(&self, stream: &Stream, policy: &ChooseConfig, end: bool) -> Status {
        self.record.borrow_mut().start = Some(Instant::now());
        stream.limit_body(policy.body_limit);
        self.take_wishes(stream, policy);
        if end {
            return refuse(stream, &NOT_JSON);
        }
        Status::Wait
    }

    /// The request is complete.
    pub fn request_end(&self, stream: &Stream, policy: &ChooseConfig) -> Status {
        let body = stream.request_body();
        let features = match request::parse(&body) {
            Some(features) => features,
            None => return refuse(stream, &NOT_JSON),
        };
        let Decision { tier, by, score } = match self.choose(policy, &features) {
            Ok(decision) => decision,
            Err(refusal) => return refuse(stream, &refusal),
        };
        self.decided(&tier.name, by, score);
        let conversation = self.wishes.borrow().conversation.as_deref().map(hash);
        let hash = conversation.unwrap_or(features.conversation) as u32;
        let destination = tier.destination(hash);
        // A cluster of no capacity answers, as one does that has no more.
        let chosen = if destination.is_full(self.reserved.get()) {
            FULL
        } else {
            &destination.chosen
        };
        RequestState::now(features.requirements).keep(stream);
        if stream.header(Map::Request, LENGTH).is_none() {
            stream.set_header(Map::Request, LENGTH, body.len().to_string().as_bytes());
        }
        lower_retries(stream, policy.retries);
        stream.set_header(Map::Request, CHOSEN, chosen.as_bytes());
        stream.set_header(Map::Request, PREFIX, &digits(hash));
        stream.choose_route_again();
        Status::Go
    }

    /// Not only of an engine: every answer passes here.
    pub fn response_headers(&self, stream: &Stream, end: bool) -> Status {
        let mut record = self.record.borrow_mut();
        if let Some(tier) = answering(stream) {
            stream.set_header(Map::Response, TIER, tier);
            record.answered = true;
        }
        stream.set_header(Map::Response, ATTEMPTS, attempts(stream).to_string().as_bytes());
        record.answer = Some(Instant::now());
        let kind = stream.header(Map::Response, TYPE).unwrap_or_default();
        record.streamed = kind.starts_with(b"text/event-stream");
        if let Some(score) = record.score {
            stream.set_header(Map::Response, SCORE, format!("{score:.3}").as_bytes());
        }
        let kept = match SavedAnswer::of(stream) {
            Some(kept) if is_error(stream) => kept,
            _ => return Status::Go,
        };
        put_back(stream, &kept);
        record.tokens = reported(kept.body);
        record.put_back = Some(kept.tier.to_owned());
        if end {
            stream.append(Body::BufferedResponse, kept.body);
            return Status::Go;
        }
        Status::Wait
    }

    /// One more piece of it, or all.
    pub fn response_body(&self, stream: &Stream, end: bool) -> Status {
        let mut record = self.record.borrow_mut();
        if record.put_back.is_some() {
            return match SavedAnswer::of(stream) {
                Some(kept) if end => {
                    stream.replace_response_body(kept.body);
                    Status::Go
                }
                _ => Status::Wait,
            };
        }
        if record.answered {
            record.tokens = reported(&stream.end_of_answer(END)).or(record.tokens);
        }
        Status::Go
    }

    /// Envoy is about to answer by itself; where the answer has begun, it will break off instead. Clients of a stream
    /// learn of it by a last event.
    pub fn failed(&self, stream: &Stream) {
        if self.record.borrow().streamed {
            stream.send(BROKEN);
        }
    }

    pub fn complete(&self, stream: &Stream) {
        let record = self.record.borrow();
        if record.start.is_some() || is_for_a_model(stream) {
            self.metrics.count(stream, &record);
        }
    }

    fn decided(&self, tier: &str, decision: &'static str, score: Option<f64>) {
        let mut record = self.record.borrow_mut();
        record.tier = tier.to_owned();
        record.decision = decision;
        record.score = score;
    }

    /// They are gone from the headers before anything can fail.
    fn take_wishes(&self, stream: &Stream, policy: &ChooseConfig) {
        let take = |name: &str| {
            let value = stream.header(Map::Request, name)?.to_vec();
            stream.remove_header(Map::Request, name);
            Some(value)
        };
        let (tier, priority, hint) = (take(TIER), take(PRIORITY), take(HINT));
        let conversation = take(CONVERSATION).filter(|name| !name.is_empty());
        let client = stream.header(Map::Request, CLIENT).unwrap_or_default();
        let reserved = policy.reserved.iter().any(|name| name.as_bytes() == client);
        if reserved {
            stream.set_header(Map::Request, PRIORITY, RESERVED);
        } else if let (Some(priority), true) = (&priority, policy.trust) {
            stream.set_header(Map::Request, PRIORITY, priority);
        }
        self.reserved
            .set(reserved || (policy.trust && priority.as_deref() == Some(RESERVED)));
        *self.wishes.borrow_mut() = Wishes {
            tier: tier.filter(|_| policy.trust),
            hint,
            conversation,
        };
    }

    fn choose<'a>(&self, policy: &'a ChooseConfig, features: &RequestFeatures) -> Result<Decision<'a>, Refusal<'a>> {
        let decided = |tier: &'a Tier, by| Ok(Decision { tier, by, score: None });
        let (first, last) = (&policy.tiers[0], &policy.tiers[policy.tiers.len() - 1]);
        let wishes = self.wishes.borrow();
        if let Some(wish) = &wishes.tier {
            let named = policy.tiers.iter().find(|tier| tier.name.as_bytes() == wish.as_slice());
            return named.map_or_else(
                || Err(not_found("No such tier.", policy)),
                |tier| decided(tier, "header"),
            );
        }
        let model = match &features.model {
            Some(model) => model.as_ref(),
            None => {
                let message = Cow::Owned(format!("The field `model` is missing. {}", policy.help));
                return Err(Refusal {
                    status: 400,
                    code: "missing_model",
                    message,
                });
            }
        };
        if model != b"auto" {
            let place = policy
                .models
                .get(model)
                .ok_or_else(|| not_found("The model does not exist.", policy))?;
            return decided(&policy.tiers[*place], "model");
        }
        match wishes.hint.as_deref() {
            Some(b"plan") => return decided(last, "hint"),
            Some(b"act") => return decided(first, "hint"),
            _ => {}
        }
        let score = policy.scorer.score(features);
        let tier = if score > policy.threshold { last } else { first };
        Ok(Decision {
            tier,
            by: "score",
            score: Some(score),
        })
    }
}

fn is_error(stream: &Stream) -> bool {
    matches!(stream.header(Map::Response, ":status"), Some([b'4' | b'5', ..]))
}

/// An answer of low quality is better than the error that its retries have met.
fn put_back(stream: &Stream, kept: &SavedAnswer) {
    for name in [RETRY_AFTER, ERROR, OVERLOADED, SHOULD_RETRY] {
        stream.remove_header(Map::Response, name);
    }
    let length = kept.body.len().to_string();
    let headers: [(&str, &[u8]); 5] = [
        (":status", b"200"),
        (TYPE, b"application/json"),
        (LENGTH, length.as_bytes()),
        (QUALITY, kept.fault.as_bytes()),
        (TIER, kept.tier.as_bytes()),
    ];
    for (name, value) in headers {
        stream.set_header(Map::Response, name, value);
    }
}

/// By its path: of a request that another filter has refused before this one has seen it.
fn is_for_a_model(stream: &Stream) -> bool {
    let path = stream.header(Map::Request, ":path").unwrap_or_default();
    ["/v1/chat/completions", "/v1/completions", "/v1/responses"]
        .iter()
        .any(|asked| path.starts_with(asked.as_bytes()))
}

fn not_found<'a>(what: &str, policy: &ChooseConfig) -> Refusal<'a> {
    let message = Cow::Owned(format!("{what} {}", policy.help));
    Refusal {
        status: 404,
        code: "model_not_found",
        message,
    }
}

fn refuse(stream: &Stream, refusal: &Refusal) -> Status {
    stream.note(METADATA, "error", refusal.code.as_bytes());
    stream.respond(refusal.status, &refusal.message);
    Status::Wait
}

/// Lowers the policy's limit to what the request asks for; anything else it says is ignored.
fn lower_retries(stream: &Stream, limit: u32) {
    match stream.header(Map::Request, RETRIES) {
        Some([digit @ b'0'..=b'9']) if u32::from(digit - b'0') < limit => {
            stream.set_header(Map::Request, MOST_RETRIES, &[*digit]);
        }
        _ => {}
    }
}
