//! Results that were measured before, for the card of what is written now.

use std::collections::BTreeMap;
use std::path::Path;

use taskvec_core::Plan;
use taskvec_eval::Report;
use taskvec_eval::run::{Record, Unfinished};

use crate::commands::model::{Fingerprint, Fingerprints};
use crate::commands::{record_file, records};
use crate::failure::Refusal;
use crate::printer::Printer;

/// For each plan's expression the `model-index` of the records that `run` has of these very weights.
///
/// # Errors
///
/// A file that is no record file; [`Refusal::NoResults`] where it has none of a plan, [`Refusal::Unfinished`] where it has not
/// all that were to be.
pub(super) fn of(
    plans: &[Plan],
    run: Option<&Path>,
    printer: &Printer,
) -> anyhow::Result<BTreeMap<String, String>> {
    let Some(run) = run else {
        return Ok(BTreeMap::new());
    };
    let path = record_file(run).display().to_string();
    let records = records(run, printer)?;
    let mut fingerprints = Fingerprints::new(Fingerprint::Content);
    let mut results = BTreeMap::new();
    for plan in plans {
        let expression = plan.expression().to_string();
        let fingerprint = fingerprints.of(plan, printer)?;
        let of_these = |record: &&Record| record.fingerprint == fingerprint;
        let Some(first) = records.iter().find(of_these) else {
            return Err(Refusal::NoResults { path, expression }.into());
        };
        // The same weights may have been asked under two labels.
        let own = records.iter().filter(of_these);
        let own: Vec<Record> = own.filter(|it| it.model == first.model).cloned().collect();
        if let Some(lacking) = Unfinished::of(&path, None, &own) {
            let lacking = lacking.sentence();
            return Err(Refusal::Unfinished { lacking }.into());
        }
        let index = Report::build(&own, None)?.to_model_index(&first.model);
        results.insert(expression, index);
    }
    Ok(results)
}
