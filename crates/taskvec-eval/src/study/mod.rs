//! Studies: which models are measured on what, and what the numbers are to show.
//!
//! A [`Recipe`] is a file that a person writes. Carried out, it leaves one directory for each target and seed: the records
//! ([`crate::sweep::RECORDS`]) and beside them what was asked ([`SIDE_FILE`]). [`excerpts`] are the tables of the
//! paper. Not covered: what expressions mean, and how models are loaded and run.

mod excerpt;
mod outcome;
mod recipe;
mod seeds;

#[cfg(test)]
mod tests;

pub use excerpt::{Excerpt, Prompted, excerpts, prompting, prompting_table};
pub use outcome::{Outcome, SCHEMA_VERSION, SIDE_FILE};
pub use recipe::{Part, Prompting, Questions, Recipe, Served, Variant};
pub use seeds::across_seeds;
