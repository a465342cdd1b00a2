//! The router's part in Envoy, as a dynamic module: which tier answers a request, and which answers are asked for again.
//!
//! The house, in which each room uses only those below it:
//!
//! - `abi`: Envoy's C interface, which calls the filters and is called by them.
//! - `filters`: what is done to a request: its tier is chosen, its attempts are watched over, it is counted.
//! - `stream`: what a filter may ask of Envoy and do to the request, and a fake of it for tests.
//! - `score`: how complex a request is.
//! - `protocol`: requests, answers and JSON, as bytes.
#![deny(unsafe_code)]

// It needs Envoy, which is not there when the module's own tests run.
#[cfg(not(test))]
mod abi;
mod filters;
mod protocol;
mod score;
mod stream;
