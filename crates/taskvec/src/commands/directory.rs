//! What lies in a directory of records already.
//!
//! One directory holds one thing: the records of a sweep, of a search, of a study, or of whatever was evaluated into it. Which it
//! is, a file beside the records says. Another thing in the same place would be shown as a part of the first or hidden by it, so
//! that it is refused before anything is computed.

use std::path::Path;

use taskvec_eval::search::{self, Search};
use taskvec_eval::study;
use taskvec_eval::sweep::{self, RECORDS, Sweep};

use super::best::read;
use crate::failure::Refusal;

/// Refuses a directory that holds something that `own`, the file that says what is asked, does not describe: another kind of
/// run, or records that nothing describes.
///
/// # Errors
///
/// [`Refusal::OtherRecords`]; a file that cannot be read, or does not say what its name promises.
pub(super) fn check(directory: &Path, own: &str) -> anyhow::Result<()> {
    for file in [sweep::SIDE_FILE, search::SIDE_FILE, study::SIDE_FILE] {
        let path = directory.join(file);
        if file != own && path.is_file() {
            return Err(other(directory, described(&path)?));
        }
    }
    let is_ours = directory.join(own).is_file();
    let records = directory.join(RECORDS).metadata();
    if !is_ours && records.is_ok_and(|records| records.len() > 0) {
        return Err(other(directory, "records of single evaluations"));
    }
    Ok(())
}

/// Refuses a record file that belongs to a sweep, a search or a study, as the place of a single evaluation.
///
/// # Errors
///
/// As [`check`].
pub(super) fn check_file(records: &Path) -> anyhow::Result<()> {
    if records.file_name().is_none_or(|name| name != RECORDS) {
        return Ok(());
    }
    for file in [sweep::SIDE_FILE, search::SIDE_FILE, study::SIDE_FILE] {
        let path = records.with_file_name(file);
        if path.is_file() {
            let directory = records.parent().unwrap_or(Path::new("."));
            return Err(other(directory, described(&path)?));
        }
    }
    Ok(())
}

/// The refusal of a directory that has `what` in it.
pub(super) fn other(directory: &Path, what: impl Into<String>) -> anyhow::Error {
    Refusal::OtherRecords {
        directory: directory.display().to_string(),
        what: what.into(),
    }
    .into()
}

/// What such a file says.
fn described(path: &Path) -> anyhow::Result<String> {
    Ok(match path.file_name() {
        Some(name) if name == sweep::SIDE_FILE => {
            format!("a sweep of `{}`", read(path, Sweep::parse)?.expression)
        }
        Some(name) if name == search::SIDE_FILE => {
            format!("a search of `{}`", read(path, Search::parse)?.expression)
        }
        _ => format!("the study `{}`", read(path, study::Outcome::parse)?.title()),
    })
}
