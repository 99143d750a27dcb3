//! Asking a model the documents of tasks under conditions, and keeping what it answered.
//!
//! Every finished sample is a line in the [`RecordLog`] before the next batch begins, and a run that finds
//! its samples there does not ask again. What a report says is computed from [`Record`]s and nothing else.
//! Not covered: how a model is loaded, and several models at once.

mod aspect;
mod evaluate;
#[cfg(test)]
pub(crate) mod fixture;
mod gap;
mod ledger;
mod log;
mod read;
mod record;
mod recorded;
mod sample;

#[cfg(test)]
mod tests;

pub(crate) use aspect::{ASPECTS, differing};
pub use evaluate::{Cell, Progress, RunOptions, Subject, cells, documents, evaluate, open_samples};
pub use gap::{Gap, Unfinished, Wanted};
pub use log::{RecordFile, RecordLog};
pub use read::read_records;
pub(crate) use record::hexadecimal;
pub use record::{Record, Request, prompt_hash};
pub use recorded::Recorded;
