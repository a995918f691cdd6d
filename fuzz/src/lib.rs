//! What the fuzz targets check. Each module is one target: a function over its input that panics where a promise is broken.
//!
//! `docs/fuzzing.md` says what each promises and how to run it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

pub mod answer;
pub mod certificate;
pub mod client_hello;
pub mod configuration;
#[path = "../../crates/cli/src/logline.rs"]
mod logline;
pub mod message;
pub mod path;
pub mod pool;
pub mod record;
pub mod text;
pub mod tlsa;

use revouch_validator::timestamp::Timestamp;

/// The time at which everything is judged that is not made while the target starts.
pub const NOW: Timestamp = Timestamp(1_795_000_000);
