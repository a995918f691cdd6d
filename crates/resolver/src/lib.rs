//! Asks the DNS, validates the answers and records them as evidence.
//!
//! [`Resolver`] is the front door. What to ask is decided in the validator (`revouch_validator::plan`); here it is carried out: to
//! which servers a name belongs, what may come from the cache, who pays, how long it may take.
//!
//! One question goes through: the aliases over all groups of servers (`follow`), the way to one group (`engine`, with its
//! `cache`, those who ask the same, and its limits), the group's servers and what their answer proves ([`upstream`], [`answer`]).

pub mod anchors;
pub mod answer;
pub mod convert;
pub mod mdns;
pub mod resolv_conf;
pub mod upstream;

mod ask;
mod budget;
mod cache;
mod coalesce;
mod engine;
mod failures;
mod follow;
mod gather;
mod lanes;
mod limiter;
mod observe;
mod prefetch;
mod recent;
mod resolver;
mod zones;

#[cfg(test)]
mod testing;

pub use crate::budget::Budgets;
pub use crate::cache::CacheLimits;
pub use crate::engine::Concurrency;
pub use crate::limiter::{EvidenceLimits, Limiter, Rate};
pub use crate::observe::{NoObserver, Observer};
pub use crate::prefetch::Prefetch;
pub use crate::recent::Recent;
pub use crate::resolver::{AskOptions, BuildError, Builder, Override, Resolver, ValidationMode};
pub use crate::zones::ZoneError;
