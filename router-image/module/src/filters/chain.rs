//! The one list of the module's filters, and what calls each of them as what it is.

#[cfg(test)]
mod tests;

use super::attempt::AttemptFilter;
use super::choose::ChooseFilter;
use super::HttpFilter;
use crate::stream::{MetricDefinitions, Status, Stream};

/// Makes an enumeration of everything that each filter has one of, so that Envoy's pointers need know nothing of filters
/// and no call is looked up in a table.
macro_rules! chain {
    ($($filter:ident),+) => {
        /// What all filters of a listener or cluster have in common.
        pub enum FilterConfig {
            $($filter(<$filter as HttpFilter>::Config),)+
        }

        /// What a route tells a filter.
        // There are few, and one that is boxed costs each hook a step.
        #[allow(clippy::large_enum_variant)]
        pub enum RouteConfig {
            $($filter(<$filter as HttpFilter>::RouteConfig),)+
        }

        /// A filter at work.
        // One allocation for each, of the same size: there is one attempt for most requests.
        #[allow(clippy::large_enum_variant)]
        pub enum Filter {
            $($filter($filter),)+
        }

        impl FilterConfig {
            /// Of the filter with this name, if there is one.
            pub fn new(name: &[u8], metrics: &mut impl MetricDefinitions) -> Option<Self> {
                $(if name == $filter::NAME.as_bytes() {
                    return Some(FilterConfig::$filter($filter::config(metrics)));
                })+
                None
            }

            pub fn filter(&self) -> Filter {
                match self {
                    $(FilterConfig::$filter(config) => Filter::$filter($filter::new(config)),)+
                }
            }
        }

        impl RouteConfig {
            /// None for one of an unknown filter, too.
            pub fn parse(name: &[u8], bytes: &[u8]) -> Option<Self> {
                $(if name == $filter::NAME.as_bytes() {
                    return $filter::route_config(bytes).map(RouteConfig::$filter);
                })+
                None
            }
        }

        /// A route tells each filter what is its own; what it tells another says nothing.
        impl Filter {
            pub fn on_request_headers(&self, stream: &mut impl Stream, config: &RouteConfig, end: bool) -> Status {
                match (self, config) {
                    $((Filter::$filter(filter), RouteConfig::$filter(config)) => {
                        filter.on_request_headers(stream, config, end)
                    })+
                    _ => Status::Continue,
                }
            }

            pub fn on_request_body(&self, stream: &mut impl Stream, config: &RouteConfig, end: bool) -> Status {
                match (self, config) {
                    $((Filter::$filter(filter), RouteConfig::$filter(config)) => {
                        filter.on_request_body(stream, config, end)
                    })+
                    _ => Status::Continue,
                }
            }

            pub fn on_request_trailers(&self, stream: &mut impl Stream, config: &RouteConfig) -> Status {
                match (self, config) {
                    $((Filter::$filter(filter), RouteConfig::$filter(config)) => {
                        filter.on_request_trailers(stream, config)
                    })+
                    _ => Status::Continue,
                }
            }

            pub fn on_response_headers(&self, stream: &mut impl Stream, config: &RouteConfig, end: bool) -> Status {
                match (self, config) {
                    $((Filter::$filter(filter), RouteConfig::$filter(config)) => {
                        filter.on_response_headers(stream, config, end)
                    })+
                    _ => Status::Continue,
                }
            }

            pub fn on_response_body(&self, stream: &mut impl Stream, config: &RouteConfig, end: bool) -> Status {
                match (self, config) {
                    $((Filter::$filter(filter), RouteConfig::$filter(config)) => {
                        filter.on_response_body(stream, config, end)
                    })+
                    _ => Status::Continue,
                }
            }

            pub fn on_response_trailers(&self, stream: &mut impl Stream, config: &RouteConfig) -> Status {
                match (self, config) {
                    $((Filter::$filter(filter), RouteConfig::$filter(config)) => {
                        filter.on_response_trailers(stream, config)
                    })+
                    _ => Status::Continue,
                }
            }

            pub fn on_local_reply(&self, stream: &mut impl Stream) {
                match self {
                    $(Filter::$filter(filter) => filter.on_local_reply(stream),)+
                }
            }

            pub fn on_scheduled(&self, stream: &mut impl Stream) {
                match self {
                    $(Filter::$filter(filter) => filter.on_scheduled(stream),)+
                }
            }

            pub fn on_stream_complete(&self, stream: &mut impl Stream) {
                match self {
                    $(Filter::$filter(filter) => filter.on_stream_complete(stream),)+
                }
            }
        }
    };
}

// In the order in which a request meets them.
chain!(ChooseFilter, AttemptFilter);
