//! Envoy's C interface for dynamic modules: what the module calls and is called by.

pub mod envoy;
mod hooks;
pub mod status;
