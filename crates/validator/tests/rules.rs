//! Every rule of the decision, one test that passes and one for each way to fail, over recorded answers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;

#[path = "rules/certificate.rs"]
mod certificate;
#[path = "rules/dane.rs"]
mod dane;
#[path = "rules/dns.rs"]
mod dns;
#[path = "rules/names.rs"]
mod names;
#[path = "rules/ports.rs"]
mod ports;
#[path = "rules/properties.rs"]
mod properties;
