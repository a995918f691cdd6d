//! The documents that users write, and what the proxy runs on.
//!
//! - [`documents`]: the shape of each kind, as `docs/reference/policy.md` describes it
//! - [`load`], [`parse`]: from files to documents, every error with its place
//! - [`compile`]: from documents to a [`config::Config`], or every reason why not
//! - [`effective`]: a configuration told back, every default filled in
//! - [`diagnostic`]: what such a reason is made of
//!
//! Everything is a function over values, except [`load`], which reads files. No clock is read: `now` is passed in.

pub mod compile;
pub mod config;
pub mod diagnostic;
pub mod documents;
pub mod effective;
pub mod load;
pub mod parse;
