//! What the module does to a request: choose its tier, watch over its attempts, count it.

mod in_flight;
mod retry_budget;
pub mod route_config;

// These call Envoy.
#[cfg(not(test))]
pub mod attempt;
#[cfg(not(test))]
pub mod choose;
pub mod failures;
#[cfg(not(test))]
pub mod headers;
#[cfg(not(test))]
pub mod metrics;
#[cfg(not(test))]
mod request_state;
