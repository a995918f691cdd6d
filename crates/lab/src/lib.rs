//! A signed DNS universe and a throw-away CA in one process: the demo ships it, so it cannot live under tests/.
//!
//! ```
//! use revouch_lab::{CertificateAuthority, Listen, Sabotage, Signing, Universe};
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let ca = CertificateAuthority::servers()?;
//! let gateway = ca.leaf().dns("gw1.example.test").issue()?;
//! let universe = Universe::builder()
//!     .zone("example.test", Signing::Nsec)
//!     .zone("bogus.test", Signing::Nsec3)
//!     .host("gw1.example.test", "127.0.1.1".parse()?)
//!     .tlsa("gw1.example.test", 8443, &gateway.tlsa(3, 1, 1)?)
//!     .record("gw1.example.test", "30 CAA 0 issue \"lab.test\"")
//!     .host("gw2.bogus.test", "127.0.1.2".parse()?)
//!     .sabotage("gw2.bogus.test", "A", Sabotage::WrongRdata)
//!     .build()?;
//! let server = universe.serve(Listen::loopback()).await?;
//! println!("ask {}, trust {}", server.address(), universe.trust_anchor());
//!
//! universe.replace(|now| now.set("gw1.example.test", "A 127.0.1.9"))?;
//! assert_eq!(server.queries().total(), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod dns;
mod error;
pub mod pki;

pub use dns::faults::{Fault, Faults, Queries, Scope};
pub use dns::server::{Listen, Server};
pub use dns::universe::{Universe, UniverseBuilder};
pub use dns::{Sabotage, Signing};
pub use dns::{dns_name, reverse_name, service_name};
pub use error::LabError;
pub use pki::{CertificateAuthority, Crl, Identity, KeyKind, KeyUsage, LeafBuilder, Purpose, San};
