//! From what a configuration names to what the proxy runs on: files become certificates, keys, anchors and revocation lists.

pub mod files;
pub mod identity;
pub mod trust;
