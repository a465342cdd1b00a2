//! What a filter may ask of Envoy about one request, or about one attempt of it, and do to it. The names are Envoy's.
//!
//! `abi` implements this with Envoy itself, `fake` in memory, for tests.

use std::borrow::Cow;
use std::time::{Duration, Instant};

#[cfg(test)]
pub mod fake;

/// Namespace of what the policy says of engines and clusters, and of what metrics and the forms of errors are made from.
pub const METADATA: &str = "llm";

/// One request and its answer, or one attempt of it, during one hook.
///
/// What is borrowed of it lasts until something is changed: Envoy may move all of it then.
pub trait Stream {
    fn header(&self, map: HeaderMap, name: &str) -> Option<&[u8]>;

    fn set_header(&mut self, map: HeaderMap, name: &str, value: &[u8]);

    fn remove_header(&mut self, map: HeaderMap, name: &str);

    /// Names of the headers that begin with `prefix`.
    fn header_names(&self, map: HeaderMap, prefix: &str) -> Vec<String>;

    /// All of the request's body that has come so far.
    fn request_body(&self) -> Cow<'_, [u8]>;

    /// What of it has just come.
    fn received_request_body(&self) -> Cow<'_, [u8]>;

    /// Puts this in place of what has just come.
    fn replace_received_request_body(&mut self, body: &[u8]);

    /// All of the answer's body that has come so far.
    fn response_body(&self) -> Cow<'_, [u8]>;

    /// At least the last `most` bytes of what has just come of it, if there are so many.
    fn received_response_end(&self, most: usize) -> Cow<'_, [u8]>;

    /// In the hook that has received its end.
    fn replace_response_body(&mut self, body: &[u8]);

    /// Gives an answer without a body one.
    fn add_response_body(&mut self, body: &[u8]);

    /// A longer body of the request (bytes) is answered 413.
    fn set_buffer_limit(&mut self, bytes: u64);

    /// Answers instead of an engine; the listener puts the text into OpenAI's form. The answer passes all filters, this
    /// one too, before this returns.
    fn send_response(&mut self, status: u32, text: &str);

    /// More of an answer that has begun, and not the end of it.
    fn send_response_data(&mut self, data: &[u8]);

    /// What the policy says of the cluster or the engine.
    fn metadata(&self, source: MetadataSource, namespace: &str, key: &str) -> Option<&[u8]>;

    /// A note on the request, under `METADATA`: all filters, attempts and access logs see it.
    fn dynamic_metadata(&self, key: &str) -> Option<&[u8]>;

    fn set_dynamic_metadata(&mut self, key: &str, value: &[u8]);

    fn dynamic_metadata_number(&self, key: &str) -> Option<f64>;

    fn set_dynamic_metadata_number(&mut self, key: &str, value: f64);

    /// Bytes for the other filter and the other attempts of the request. They are set once.
    fn filter_state(&self, key: &str) -> Option<&[u8]>;

    fn set_filter_state(&mut self, key: &str, value: &[u8]);

    fn attribute(&self, attribute: Attribute) -> Option<u64>;

    /// Has the route chosen again, by the headers as they are now.
    fn clear_route_cache(&mut self);

    /// Sends on what has been waited with.
    fn continue_decoding(&mut self);

    /// Has `on_scheduled` called after the pause. Pauses end in the order in which they began: let all be of one length.
    fn wake_after(&mut self, pause: Duration);

    /// `labels`: one value for each of the metric's.
    fn increment_counter<const N: usize>(&self, counter: Counter, labels: &[&[u8]; N], by: u64);

    fn record_histogram<const N: usize>(&self, histogram: Histogram, labels: &[&[u8]; N], value: u64);

    /// Milliseconds since 1970, for what other threads and other attempts compare.
    fn now(&self) -> u64;

    /// For durations within this request.
    fn instant(&self) -> Instant;
}

/// The listener's or cluster's filter while it is made: the only time at which metrics can be defined.
pub trait MetricDefinitions {
    fn counter(&mut self, name: &str, labels: &[&str]) -> Counter;

    fn histogram(&mut self, name: &str, labels: &[&str]) -> Histogram;
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counter(pub usize);

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Histogram(pub usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeaderMap {
    Request,
    Response,
}

/// Numbers that Envoy knows of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attribute {
    ResponseCode,
    /// How often Envoy has begun to send it.
    Attempts,
}

/// Where the policy says something of what serves a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MetadataSource {
    Cluster,
    /// The engine.
    Host,
}

/// What a filter tells Envoy at the end of a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// On to the next filter.
    Continue,
    /// Not yet: the rest is wanted first, or an answer has been given.
    StopIteration,
    /// Not yet: the filter goes on by itself. Of a body, which is kept however long it is.
    StopAndWatermark,
}
