//! The program as a process: start, signals, reload, drain, and what it says when it cannot run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod drain;
mod embedded;
mod limits;
mod reload;
mod setup;
mod start;
mod trouble;
