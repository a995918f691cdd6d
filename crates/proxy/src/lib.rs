//! The data plane of Revouch: listeners, the gate, the relay, and the life of the process around them.
//!
//! - the way of a connection: [`listener`], [`admission`], [`tls`], [`upstream`], [`proxy_protocol`], [`relay`]; what it runs on is
//!   [`runtime`], what comes of it is told in [`events`]
//! - the configuration: [`load`], [`snapshot`], [`reload`], [`check`]
//! - what is told: [`observe`], [`turned_away`], [`metrics`], [`admin`], [`access_log`], [`logging`], [`lines`]
//! - the life of the process: [`run`], [`args`]

pub mod access_log;
pub mod admin;
pub mod admission;
pub mod args;
pub mod check;
pub mod events;
mod inbound;
pub mod lines;
pub mod listener;
pub mod load;
pub mod logging;
pub mod metrics;
pub mod observe;
pub mod proxy_protocol;
pub mod relay;
pub mod reload;
pub mod run;
pub mod runtime;
mod scratch;
pub mod snapshot;
pub mod tls;
pub mod turned_away;
pub mod upstream;
