//! The report for people.

use indicatif::{HumanBytes, HumanCount};
use taskvec_core::plan::ConfigMeaning;
use taskvec_core::statistics::NetworkPart;
use taskvec_core::{Checkpoint, Plan};

use super::Report;
use crate::printer::{Align, Printer, Table};

/// Parts of a network that have a column of their own.
const PARTS: [NetworkPart; 4] = [
    NetworkPart::Embedding,
    NetworkPart::Attention,
    NetworkPart::Mlp,
    NetworkPart::Norm,
];

pub(super) fn show(report: &Report<'_>, printer: &Printer) -> anyhow::Result<()> {
    let check = report.check;
    printer.data(format_args!("{}: a {}", report.expression, check.kind))?;
    if let Some((template, _)) = check.template.and_then(|index| check.inputs.get(index)) {
        printer.data(format_args!(
            "config, tokenizer, types and shards of {template}"
        ))?;
    }
    printer.data("")?;
    printer.table(&inputs(report))?;
    if let Ok(plan) = &check.outcome {
        printer.data("")?;
        printer.data(output(plan))?;
    }
    for difference in &check.config_differences {
        let ((left, one), (right, two)) = (&difference.left, &difference.right);
        let meaning = match difference.meaning {
            ConfigMeaning::Decisive => "tensors are not comparable",
            _ => "tensors stay comparable, the result follows the first",
        };
        printer.data(format_args!(
            "config `{}`: {left} has {one}, {right} has {two}; {meaning}",
            difference.key
        ))?;
    }
    for pair in &report.tokenizers {
        printer.data(tokenizer(pair))?;
    }
    if !report.pairs().is_empty() {
        printer.data("")?;
        let sampled = report.lineage.as_ref().map_or(0.0, |found| found.sampled);
        let estimated = if sampled < 1.0 {
            format!(", estimated from {:.1} % of the weights", 100.0 * sampled)
        } else {
            String::new()
        };
        printer.data(format_args!(
            "distances between the models, ‖a − b‖ / ‖b‖{estimated}"
        ))?;
        printer.table(&lineage(report))?;
    }
    report
        .warnings()
        .iter()
        .for_each(|warning| printer.warn(warning));
    Ok(())
}

fn inputs(report: &Report<'_>) -> Table {
    let right = |heading| (heading, Align::Right);
    let left = |heading| (heading, Align::Left);
    let mut table = Table::new([
        left("input"),
        left("kind"),
        left("architecture"),
        left("types"),
        right("tensors"),
        right("bytes"),
        left("embeddings"),
    ]);
    for (name, checkpoint) in &report.check.inputs {
        table.row([
            name.clone(),
            checkpoint.kind().to_string(),
            architecture(checkpoint).unwrap_or_default().to_owned(),
            dtypes(checkpoint).join(", "),
            HumanCount(checkpoint.tensors().len() as u64).to_string(),
            HumanBytes(bytes(checkpoint)).to_string(),
            match tied(checkpoint) {
                Some(true) => "tied".to_owned(),
                Some(false) => "untied".to_owned(),
                None => String::new(),
            },
        ]);
    }
    table
}

fn output(plan: &Plan) -> String {
    let (copied, computed) = copied_and_computed(plan);
    let tensors = plan.tensors().values();
    let mut dtypes: Vec<&str> = tensors.clone().map(|tensor| tensor.dtype.name()).collect();
    dtypes.sort_unstable();
    dtypes.dedup();
    format!(
        "would write {} tensors, {} of {}: {copied} copied, {computed} computed",
        plan.tensors().len(),
        HumanBytes(tensors.map(|tensor| tensor.byte_len()).sum()),
        dtypes.join(", "),
    )
}

fn tokenizer(pair: &super::TokenizerPair<'_>) -> String {
    let found = &pair.comparison;
    let names = format!("tokenizers of {} and {}", pair.left, pair.right);
    if found.same_bytes {
        return format!("{names}: the same file");
    }
    if found.same_vocabulary() && found.same_merges {
        return format!(
            "{names}: the same {} tokens and merges, other settings",
            found.shared
        );
    }
    let mut text = format!(
        "{names}: {} tokens shared, {} only in the first, {} only in the second",
        found.shared,
        found.only_left.len(),
        found.only_right.len()
    );
    for (whose, added) in [("first", &found.added_left), ("second", &found.added_right)] {
        if !added.is_empty() {
            let shown: Vec<&str> = added.iter().take(8).map(String::as_str).collect();
            let more = added.len() - shown.len();
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            text.push_str(&format!(
                "; added only in the {whose}: {}{more}",
                shown.join(" ")
            ));
        }
    }
    if !found.same_merges {
        text.push_str("; other merges");
    }
    text
}

fn lineage(report: &Report<'_>) -> Table {
    let columns = [("models", Align::Left)]
        .into_iter()
        .chain(PARTS.map(|part| (part.name(), Align::Right)))
        .chain([("matrices", Align::Right), ("verdict", Align::Left)]);
    let mut table = Table::new(columns);
    let shown = |distance: Option<f64>| {
        distance.map_or_else(String::new, |distance| format!("{distance:.4}"))
    };
    for pair in report.pairs() {
        let mut cells = vec![format!("{} − {}", pair.left, pair.right)];
        cells.extend(PARTS.map(|part| {
            shown(
                pair.parts
                    .get(&part)
                    .and_then(|distance| distance.relative()),
            )
        }));
        cells.push(shown(pair.matrices.relative()));
        cells.push(pair.verdict().name().to_owned());
        table.row(cells);
    }
    table
}

/// Tensors that are copied, and tensors that are computed.
pub(super) fn copied_and_computed(plan: &Plan) -> (usize, usize) {
    let copied = plan
        .tensors()
        .values()
        .filter(|tensor| tensor.is_copied())
        .count();
    (copied, plan.tensors().len() - copied)
}

/// What the config calls the architecture.
pub(super) fn architecture(checkpoint: &Checkpoint) -> Option<&str> {
    let config = checkpoint.config()?;
    config
        .get("architectures")
        .and_then(|names| names.get(0))
        .or_else(|| config.get("model_type"))?
        .as_str()
}

/// Types of the tensors, each once.
pub(super) fn dtypes(checkpoint: &Checkpoint) -> Vec<&'static str> {
    let mut names: Vec<&str> = checkpoint
        .tensors()
        .values()
        .map(|info| info.dtype.name())
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

pub(super) fn bytes(checkpoint: &Checkpoint) -> u64 {
    checkpoint
        .tensors()
        .values()
        .map(|info| info.byte_len())
        .sum()
}

/// Whether the projection to the vocabulary is the embeddings' own matrix: as the config says, else by whether it is
/// stored. None where there are no embeddings to speak of.
pub(super) fn tied(checkpoint: &Checkpoint) -> Option<bool> {
    let stored = checkpoint
        .tensors()
        .keys()
        .any(|name| name.ends_with("lm_head.weight"));
    let stated = checkpoint
        .config()
        .and_then(|config| config.get("tie_word_embeddings")?.as_bool());
    stated.or_else(|| stored.then_some(false))
}
