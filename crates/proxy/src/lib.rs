//! The data plane of Revouch: listeners, the gate, the relay, and the life of the process around them.

pub mod access_log;
pub mod admin;
pub mod lines;
pub mod load;
pub mod logging;
pub mod metrics;
pub mod reload;
