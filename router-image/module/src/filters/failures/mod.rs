//! Whose fault a failed attempt is: the engine's, its tier's or the request's own.
//!
//! `fault` decides, whenever an attempt ends, and asks the others:
//! - `history`: which engines have failed this request so far; it travels with the request, from attempt to attempt.
//! - `lost_connections`: attempts that ended without an answer, of which only a logger hears.
//! - `outliers`: engines that fail what others answer. They are called broken, and Envoy ejects them.
//! - `tier_health`: whether a tier answers at all. If it does, what two of its engines fail is the request's fault.

pub mod fault;
mod history;
pub mod lost_connections;
mod outliers;
mod tier_health;
