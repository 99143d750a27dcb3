//! Whether vectors that are to be added up are in one another's way.

use taskvec_core::InspectOptions;
use taskvec_core::statistics::Subject;
use taskvec_eval::report::Table;

use super::Section;
use super::subjects::Repetition;
use crate::args::weights::ThreadArgs;
use crate::failure::unless_interrupted;
use crate::interruption::Heeding;

/// Cosine and signs of each pair of the recipe's vectors; `None` where it has fewer than two.
///
/// # Errors
///
/// When weights cannot be read.
pub(super) fn section(
    repetition: &Repetition,
    threads: ThreadArgs,
) -> anyhow::Result<Option<Section>> {
    let heeding = Heeding::begin();
    let options = InspectOptions {
        threads: threads.threads,
        cancelled: Some(heeding.flag()),
    };
    let mut rows = Vec::new();
    for (index, (name, plan)) in repetition.vectors.iter().enumerate() {
        for (other, beside) in &repetition.vectors[index + 1..] {
            let subject = Subject {
                plan,
                beside: Some(beside),
                relative_to: None,
            };
            let inspected = taskvec_core::inspect(subject, &options, &|_| {});
            let whole = unless_interrupted(inspected, "the records are kept")?.whole();
            let cosine = match whole.cosine() {
                Some(Ok(cosine)) => format!("{cosine:.3}"),
                // A vector of zeros points nowhere.
                Some(Err(_)) | None => "–".to_owned(),
            };
            let conflict = whole.sign_agreement().map_or_else(
                || "–".to_owned(),
                |share| format!("{:.1}", 100.0 * (1.0 - share)),
            );
            let norm = |found: f64| format!("{found:.3}");
            let second = whole
                .beside
                .as_ref()
                .map_or(f64::NAN, |(second, _)| second.norm());
            rows.push(vec![
                name.clone(),
                other.clone(),
                norm(whole.found.norm()),
                norm(second),
                cosine,
                conflict,
            ]);
        }
    }
    let header = [
        "vector",
        "and",
        "norm",
        "norm of the other",
        "cosine",
        "signs in conflict %",
    ];
    Ok((!rows.is_empty()).then(|| Section {
        title: "Between the vectors".to_owned(),
        question: "Do they point the same way?".to_owned(),
        table: Table {
            header: header.map(str::to_owned).to_vec(),
            rows,
        },
    }))
}
