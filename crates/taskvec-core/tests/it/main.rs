//! Integration tests of the crate, in one binary.

#![allow(
    clippy::unwrap_used,
    reason = "the allowance for tests does not reach functions that tests share"
)]

mod algebra;
mod formats;
mod hub;
