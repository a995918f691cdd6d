//! Asks the DNS, validates the answers and records them as evidence.

pub mod anchors;
pub mod answer;
pub mod convert;
pub mod upstream;
