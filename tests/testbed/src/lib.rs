//! What the tests share: TLS peers, backends, child processes and a real validating resolver, all on loopback, all on
//! free ports, all gone when they are dropped; and a DNS universe on real servers ([`bed`]). Never shipped.
//!
//! Names, zones and certificates come from [`revouch_lab`].

pub mod backend;
pub mod bed;
pub mod peer;
pub mod process;
pub mod proxy_header;
pub mod unbound;
pub mod wait;

pub use backend::Backend;
pub use peer::openssl::{OpenSsl, OpenSslOutcome};
pub use peer::stack::{Stack, StackOutcome, StackPeer};
pub use peer::{Alert, Connected, Ending, Outcome, Peer};
pub use process::Process;
pub use proxy_header::ProxyHeader;
pub use unbound::{Unbound, UnboundError};
pub use wait::eventually;
