//! TLS on the accepting side: the ClientHello, the gate, the verifier, and what comes out of them.
//!
//! Promises: the TLS stream does not leave this module except inside an [`Authorized`], and that is made in one place only: after a
//! full handshake, never a resumed one, in which the peer has proven that it holds its certificate's key, with the verdict on that
//! certificate. Everything else ends in a refusal, whose alert has been written.

#[cfg(fuzzing)]
pub mod fuzzing;
mod gate;
mod handshake;
mod hello;
mod linger;
mod path_cache;
mod records;
mod stream;
mod template;
#[cfg(test)]
mod tests;
mod verifier;

pub use handshake::Authorized;
pub(crate) use handshake::{Admitting, Findings, Refused, handshake};
pub(crate) use hello::read as read_hello;
pub(crate) use linger::linger;
pub use path_cache::PathCache;
pub use template::{MinVersion, TlsTemplate};
