//! The pure decision of Revouch: may this peer, from this address, with this certificate, connect?
//!
//! Everything here is a value or a function over values: no socket, no file, no clock, no global state. The proxy, the command
//! line and the tests call the same functions, and a decision can be saved and replayed.
//!
//! - what was asked of the DNS and what came back: [`evidence`], [`answer`], [`rr`], [`name`]
//! - what the operator wants: [`policy`], [`exemption`]
//! - what came of it: [`reason`], [`alert`]

pub mod alert;
pub mod answer;
pub mod cert;
pub mod chain;
pub mod connection;
pub mod dane;
pub mod decide;
pub mod encoding;
pub mod escape;
pub mod evidence;
pub mod exemption;
pub mod name;
pub mod path;
pub mod plan;
pub mod policy;
pub mod reason;
pub mod record;
pub mod rr;
pub mod timestamp;
pub mod trust;
pub mod verdict;

mod fcrdns;
mod ports;
mod view;

pub use fcrdns::ConfirmedName;
