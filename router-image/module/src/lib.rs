//! The router's part in Envoy, as a dynamic module: which tier answers a request, and which answers are asked for again.

// These call Envoy, which is not there when the module's own tests run.
#[cfg(not(test))]
mod abi;
mod filters;
mod protocol;
mod score;
