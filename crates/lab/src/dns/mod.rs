//! The DNS half of the lab: zone text in, signed answers out.
//!
//! [`universe`] is the front door. Below it: `text` reads names and records, `zone` signs, `answer` looks up and
//! proves, `wire` encodes, [`server`] speaks UDP, TCP, DoT and DoH, [`faults`] misbehaves on demand.

mod answer;
pub mod faults;
pub mod server;
mod text;
pub mod universe;
mod wire;
mod zone;

pub use text::{dns_name, reverse_name, service_name};
pub use zone::{Sabotage, Signing};
