//! The router's part in Envoy, as a dynamic module: which tier answers a request, and which answers are asked for again.

mod asked;
mod beginning;
mod budget;
mod doubts;
mod edit;
mod failures;
mod hash;
mod in_flight;
mod json;
mod lost;
mod overload;
mod policy;
mod quality;
mod request;
mod scan;
mod score;
mod suspects;
mod tokens;

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
