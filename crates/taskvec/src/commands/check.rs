//! A pre-flight report: everything `write` would do, and everything that stands in its way.

mod document;
mod tables;

use taskvec_core::plan::{Check, Incompatible};
use taskvec_core::statistics::{Kinship, Lineage, Verdict};
use taskvec_core::{Error, Expression, LineageOptions, Plan, PlanOptions, lineage};
use taskvec_lm::tokenizer::{TOKENIZER_FILE, TokenizerComparison, compare};

use crate::args::check::CheckArgs;
use crate::failure::unless_interrupted;
use crate::interruption::Heeding;
use crate::printer::Printer;
use crate::resolution;

pub(crate) fn run(arguments: &CheckArgs, printer: &Printer) -> anyhow::Result<()> {
    let bindings = resolution::bindings(&arguments.bindings)?;
    let options = PlanOptions {
        output_dtype: arguments.dtype,
        allow_strangers: arguments.allow_strangers,
        ..PlanOptions::default()
    };
    let named = resolution::named(&arguments.expression, &bindings, &options, printer)?;
    let expression = named.expression;
    let check = Plan::check(
        &expression,
        &named.bindings,
        &resolution::library(),
        &named.options,
    )?;
    let heeding = Heeding::begin();
    let lineage_options = LineageOptions {
        threads: arguments.threads.threads,
        cancelled: Some(heeding.flag()),
    };
    let lineage = match &check.outcome {
        // Weights of different shapes have no distance.
        Err(_) => None,
        Ok(plan) => Some(unless_interrupted(
            lineage(plan, &lineage_options),
            "nothing was written",
        )?),
    };
    let report = Report {
        expression: &expression,
        tokenizers: tokenizers(&check)?,
        check: &check,
        lineage,
        allow_strangers: arguments.allow_strangers,
    };
    if arguments.json {
        printer.json(&document::Document::new(&report))?;
    } else {
        tables::show(&report, printer)?;
    }
    report.refusal().map_or(Ok(()), |error| Err(error.into()))
}

/// Everything that was found.
struct Report<'a> {
    expression: &'a Expression,
    check: &'a Check,
    tokenizers: Vec<TokenizerPair<'a>>,
    /// None where the checkpoints do not fit together.
    lineage: Option<Lineage>,
    allow_strangers: bool,
}

/// The tokenizer whose ids the result's embeddings follow, and another input's.
struct TokenizerPair<'a> {
    left: &'a str,
    right: &'a str,
    comparison: TokenizerComparison,
}

impl Report<'_> {
    /// Why `write` would refuse.
    fn refusal(&self) -> Option<Error> {
        if let Err(mismatches) = &self.check.outcome {
            return Some(Error::Incompatible(Box::new(Incompatible::clone(
                mismatches,
            ))));
        }
        let lineage = self.lineage.as_ref().filter(|_| !self.allow_strangers)?;
        lineage.refuse_strangers().err()
    }

    fn pairs(&self) -> &[Kinship] {
        self.lineage
            .as_ref()
            .map(|lineage| lineage.pairs.as_slice())
            .unwrap_or_default()
    }

    /// What the user should know of that does not stand in the way, as sentences.
    fn warnings(&self) -> Vec<String> {
        let tokens = self.tokenizers.iter().filter(|pair| {
            let comparison = &pair.comparison;
            !comparison.same_vocabulary() || !comparison.same_merges
        });
        let tokens = tokens.map(|pair| {
            format!(
                "the tokenizers of `{}` and `{}` differ, and rows of their embeddings are combined by number",
                pair.left, pair.right
            )
        });
        let strangers = self
            .pairs()
            .iter()
            .filter(|pair| self.allow_strangers && pair.verdict() == Verdict::Strangers);
        let strangers = strangers.map(|pair| {
            format!(
                "`{}` and `{}` do not descend from one initialisation; `--allow-strangers` lets them pass",
                pair.left, pair.right
            )
        });
        tokens.chain(strangers).collect()
    }
}

/// Compares every input's tokenizer with that of the input which all are compared with.
///
/// # Errors
///
/// When a tokenizer cannot be read or is no JSON.
fn tokenizers(check: &Check) -> anyhow::Result<Vec<TokenizerPair<'_>>> {
    let mut files: Vec<(usize, &str, Vec<u8>)> = Vec::new();
    for (index, (name, checkpoint)) in check.inputs.iter().enumerate() {
        let side_files = checkpoint.side_files()?;
        if let Some(file) = side_files.iter().find(|file| file.name() == TOKENIZER_FILE) {
            files.push((index, name.as_str(), file.read()?));
        }
    }
    let Some(first) = files.iter().position(|(index, ..)| *index == check.layout) else {
        return Ok(Vec::new());
    };
    let (_, left, left_bytes) = files.swap_remove(first);
    files.sort_by_key(|(index, ..)| *index);
    let shown = |name: &str| format!("{name}/{TOKENIZER_FILE}");
    let left_file = shown(left);
    files
        .iter()
        .map(|(_, right, right_bytes)| {
            let right = *right;
            let right_file = shown(right);
            let comparison = compare(
                (left_file.as_str(), left_bytes.as_slice()),
                (right_file.as_str(), right_bytes.as_slice()),
            )?;
            Ok(TokenizerPair {
                left,
                right,
                comparison,
            })
        })
        .collect()
}
