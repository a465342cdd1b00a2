//! What is counted of each request, at its end. Envoy's own loggers could count the same, for more than twice the
//! instructions.
//!
//! Every label is a name in the policy, a word of these filters, or a number of HTTP: no client can add values.

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use super::failures::fault::FAULTY;
use super::headers::CLIENT;
use super::request_state::{answering_tier, attempts_sent, external_refusals, LowQualityAnswer};
use crate::protocol::tokens::Tokens;
use crate::stream::{Attribute, Counter, HeaderMap, Histogram, MetadataSource, MetricDefinitions, Stream, METADATA};

/// The metrics of the listener.
#[derive(Clone, Copy)]
pub struct Metrics {
    requests: Counter,
    milliseconds: Histogram,
    first_byte: Histogram,
    score: Histogram,
    clients: Counter,
    tokens: Counter,
    low_quality: Counter,
    faulty: Counter,
    sides: Counter,
    external_refusals: Counter,
}

/// What the choose filter knows of a request at its end.
#[derive(Default)]
pub struct RequestRecord {
    /// What decided; empty for a refused request.
    pub decision: &'static str,
    /// The tier that was to answer; empty if none could be chosen.
    pub tier: String,
    /// Complexity in [0, 1], if it was asked.
    pub score: Option<f64>,
    pub start: Option<Instant>,
    /// Whose API key was sent, if they are asked for.
    pub client: Option<Vec<u8>>,
    /// When the answer began.
    pub answer: Option<Instant>,
    /// Whether it is a stream of events.
    pub streamed: bool,
    /// Whether an engine gives it.
    pub answered: bool,
    pub tokens: Option<Tokens>,
    /// The tier whose answer the client gets in place of an error.
    pub put_back: Option<String>,
    /// Of a cluster that migrates: from when on the first byte of a stream is late.
    pub slow_after: Option<Duration>,
}

impl Metrics {
    pub fn define(envoy: &mut impl MetricDefinitions) -> Self {
        let place = ["heterollm_tier", "decision"];
        Metrics {
            // `heterollm_tier`: the tier that answered, or that should have; another than the wanted one where requests
            // are diverted (from the start, so that it is no failure) or left a tier that failed.
            requests: envoy.counter(
                "requests_total",
                &[
                    "heterollm_tier",
                    "decision",
                    "wanted_tier",
                    "code",
                    "attempts",
                    "diverted",
                    // Whether the wanted tier has answered, with an answer of low quality: where another tier was asked
                    // after that, the wanted one has not failed.
                    "low_quality",
                ],
            ),
            milliseconds: envoy.histogram("request_milliseconds", &place),
            // For streamed answers, the time to the first token.
            // Where an answer of low quality came first, it says nothing of how fast a tier is.
            first_byte: envoy.histogram(
                "first_byte_milliseconds",
                &["heterollm_tier", "decision", "low_quality"],
            ),
            score: envoy.histogram("score_permille", &[]),
            clients: envoy.counter("client_requests_total", &["client", "code"]),
            tokens: envoy.counter("tokens_total", &["heterollm_tier", "kind"]),
            // By the tier that gave them.
            low_quality: envoy.counter("bad_answers_total", &["heterollm_tier", "reason"]),
            // Those that two engines of the tier have failed while it answered others.
            faulty: envoy.counter("faulty_requests_total", &["heterollm_tier"]),
            // Of a cluster that migrates: by who was to answer, so that the two can be compared.
            sides: envoy.counter("side_total", &["wanted_tier", "diverted", "outcome"]),
            // Attempts that a service outside of the cluster has refused for what its owner has to see to.
            external_refusals: envoy.counter("external_refusals_total", &["heterollm_tier", "code"]),
        }
    }

    /// `record`: of a request to a model; others are not counted.
    pub fn record(&self, stream: &impl Stream, record: &RequestRecord) {
        let code = stream.attribute(Attribute::ResponseCode).unwrap_or(0);
        let attempts = attempts_sent(stream);
        let tier = match &record.put_back {
            Some(tier) => tier.as_bytes(),
            None => answering_tier(stream).unwrap_or(record.tier.as_bytes()),
        };
        let low_quality = LowQualityAnswer::all(stream);
        let wanted_answered = low_quality.iter().any(|answer| answer.tier == record.tier);
        let diverted = stream
            .metadata(MetadataSource::Cluster, METADATA, "diverted")
            .unwrap_or_default();
        let (code_text, attempts) = (code.to_string(), attempts.to_string());
        let (decision, wanted) = (record.decision.as_bytes(), record.tier.as_bytes());
        let labels = [
            tier,
            decision,
            wanted,
            code_text.as_bytes(),
            attempts.as_bytes(),
            diverted,
            word(wanted_answered),
        ];
        stream.increment_counter(self.requests, &labels, 1);
        if let Some(outcome) = record.outcome(code, diverted == b"true", tier, wanted_answered) {
            if !diverted.is_empty() {
                stream.increment_counter(self.sides, &[wanted, diverted, outcome.as_bytes()], 1);
            }
        }
        let client = record.client.as_deref();
        // Of a request that was refused before it could be taken down.
        if let Some(client) = client.or_else(|| stream.header(HeaderMap::Request, CLIENT)) {
            stream.increment_counter(self.clients, &[client, code_text.as_bytes()], 1);
        }
        for answer in &low_quality {
            stream.increment_counter(self.low_quality, &[answer.tier.as_bytes(), answer.fault.as_bytes()], 1);
        }
        for (tier, status) in external_refusals(stream) {
            stream.increment_counter(self.external_refusals, &[tier.as_bytes(), status.as_bytes()], 1);
        }
        if let Some(tokens) = record.tokens {
            stream.increment_counter(self.tokens, &[tier, b"prompt"], tokens.prompt);
            stream.increment_counter(self.tokens, &[tier, b"completion"], tokens.completion);
        }
        if let (Some(faulty), b"false") = (stream.dynamic_metadata_number(FAULTY), diverted) {
            stream.increment_counter(self.faulty, &[wanted], faulty as u64);
        }
        if let Some(score) = record.score {
            stream.record_histogram(self.score, &[], (score * 1000.0).round() as u64);
        }
        if let (Some(start), Some(answer), 200..=399) = (record.start, record.answer, code) {
            let place = [tier, decision];
            stream.record_histogram(self.milliseconds, &place, (stream.instant() - start).as_millis() as u64);
            let place = [tier, decision, word(!low_quality.is_empty())];
            stream.record_histogram(self.first_byte, &place, (answer - start).as_millis() as u64);
        }
    }
}

impl RequestRecord {
    /// How a request ended for the side that was to answer it: `ok` and `slow` by the first byte of a stream, `whole` in one
    /// piece, of which nobody knows when it began, or `failed`. None for those refused or given up, and where nothing
    /// migrates.
    fn outcome(&self, code: u64, is_diverted: bool, tier: &[u8], wanted_answered: bool) -> Option<&'static str> {
        let slow_after = self.slow_after?;
        match code {
            200..=399 => {}
            500 | 502 | 503 | 504 => return Some("failed"),
            _ => return None,
        }
        let has_left = (tier == self.tier.as_bytes()) == is_diverted;
        // After an answer of low quality another tier is asked for a better one: that is no failure.
        if has_left && !wanted_answered {
            return Some("failed");
        }
        match (self.start, self.answer) {
            (Some(start), Some(answer)) if self.streamed => {
                Some(if answer - start > slow_after { "slow" } else { "ok" })
            }
            _ => Some("whole"),
        }
    }
}

fn word(is_so: bool) -> &'static [u8] {
    if is_so {
        b"true"
    } else {
        b"false"
    }
}
