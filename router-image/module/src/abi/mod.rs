//! Envoy's C interface for dynamic modules: what the module calls and is called by. Only here is anything unsafe.
#![allow(unsafe_code)]

mod envoy;
mod hooks;
mod wake;
