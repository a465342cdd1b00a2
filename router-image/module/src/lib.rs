//! The router's part in Envoy, as a dynamic module: which tier answers a request, and which answers are asked for again.

mod budget;
mod doubts;
mod failures;
mod in_flight;
mod lost;
mod policy;
mod protocol;
mod score;
mod suspects;

// These call Envoy, which is not there when the module's own tests run.
#[cfg(not(test))]
mod abi;
#[cfg(not(test))]
mod attempt;
#[cfg(not(test))]
mod blame;
#[cfg(not(test))]
mod choose;
#[cfg(not(test))]
mod figures;
#[cfg(not(test))]
mod headers;
#[cfg(not(test))]
mod hold;
#[cfg(not(test))]
mod kept;
