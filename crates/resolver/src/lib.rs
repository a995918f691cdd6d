//! Asks the DNS, validates the answers and records them as evidence.

pub mod anchors;
pub mod answer;
pub mod convert;
pub mod mdns;
pub mod resolv_conf;
pub mod upstream;
