//! What the module does to a request: choose its tier, watch over its attempts, count it.

mod attempt;
pub mod chain;
mod choose;
mod external;
pub mod failures;
pub mod headers;
mod in_flight;
mod metrics;
mod request_state;
mod retry_budget;
mod route_config;

use crate::stream::{MetricDefinitions, Status, Stream};

/// A filter at work on one request, or on one attempt of it.
///
/// Envoy may call a filter while it is being called, as an answer that a filter gives passes it as well: so it changes
/// itself through `&self`.
pub trait HttpFilter: Sized {
    /// By which listeners, clusters and routes know it.
    const NAME: &'static str;

    /// What those of one listener or cluster have in common.
    type Config;

    /// What a route tells it of the policy.
    type RouteConfig;

    /// The names of metrics are the module's: two filters must not define the same.
    fn config(metrics: &mut impl MetricDefinitions) -> Self::Config;

    /// None when it is malformed: the route is refused.
    fn route_config(bytes: &[u8]) -> Option<Self::RouteConfig>;

    fn new(config: &Self::Config) -> Self;

    /// `end`: there is no body.
    fn on_request_headers(&self, stream: &mut impl Stream, config: &Self::RouteConfig, end: bool) -> Status;

    /// `end`: this is the last piece, and no trailers follow.
    fn on_request_body(&self, stream: &mut impl Stream, config: &Self::RouteConfig, end: bool) -> Status;

    fn on_request_trailers(&self, _: &mut impl Stream, _: &Self::RouteConfig) -> Status {
        Status::Continue
    }

    fn on_response_headers(&self, stream: &mut impl Stream, config: &Self::RouteConfig, end: bool) -> Status;

    fn on_response_body(&self, stream: &mut impl Stream, config: &Self::RouteConfig, end: bool) -> Status;

    fn on_response_trailers(&self, stream: &mut impl Stream, config: &Self::RouteConfig) -> Status;

    /// Envoy answers by itself, or would if the answer had not begun.
    fn on_local_reply(&self, _: &mut impl Stream) {}

    /// `wake_after` was called, so long ago.
    fn on_scheduled(&self, _: &mut impl Stream) {}

    /// The request has ended, however that was.
    fn on_stream_complete(&self, _: &mut impl Stream) {}
}
