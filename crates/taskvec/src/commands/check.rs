//! A pre-flight report: everything `write` would do, and everything that stands in its way.

mod document;
mod tables;

use taskvec_core::plan::{Check, Incompatible};
use taskvec_core::statistics::{Kinship, Lineage, Verdict};
use taskvec_core::{Error, Expression, LineageOptions, Plan, PlanOptions, lineage};

use super::tokenizers::{TokenizerPair, tokenizers};
use crate::args::check::CheckArgs;
use crate::failure::unless_interrupted;
use crate::interruption::Heeding;
use crate::printer::Printer;
use crate::resolution;

pub(crate) fn run(arguments: &CheckArgs, printer: &Printer) -> anyhow::Result<()> {
    let bindings = resolution::bindings(&arguments.bindings, &[&arguments.expression], printer)?;
    let options = arguments.fit.apply(PlanOptions {
        output_dtype: arguments.dtype,
        allow_strangers: arguments.allow_strangers,
        ..PlanOptions::default()
    });
    let named = resolution::named(&arguments.expression, &bindings, &options, printer)?;
    let expression = named.expression;
    let check = Plan::check(
        &expression,
        &named.bindings,
        &resolution::library(printer),
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
        tokenizers: tokenizers(
            check
                .inputs
                .iter()
                .map(|(name, checkpoint)| (name.as_str(), checkpoint)),
            check.layout,
        )?,
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
        let rows = self.check.outcome.iter().flat_map(Plan::row_notes).cloned();
        let tokens = self.tokenizers.iter().filter_map(TokenizerPair::warning);
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
        rows.chain(tokens).chain(strangers).collect()
    }
}
