//! Whose fault a failed attempt is: the engine's, its tier's or the request's own.
//!
//! `fault` decides, whenever an attempt ends, and asks the others:
//! - `history`: which engines have failed this request so far; it travels with the request, from attempt to attempt.
//! - `lost_connections`: attempts that ended without an answer, of which only a logger hears.
//! - `hold`: what waits before it is sent again, after an engine was lost.
//! - `outliers`: engines that fail what others answer. They are called broken, and Envoy ejects them.
//! - `tier_health`: whether a tier answers at all. If it does, what two of its engines fail is the request's fault.

#[cfg(not(test))]
pub mod fault;
mod history;
#[cfg(not(test))]
pub mod hold;
pub mod lost_connections;
mod outliers;
mod tier_health;
