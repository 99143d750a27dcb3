//! The commands that make the records of a report again.

use std::collections::{BTreeMap, BTreeSet};

use taskvec_core::Expression;
use taskvec_eval::report::Run;
use taskvec_eval::run::Record;
use taskvec_eval::search::Search;
use taskvec_eval::study;
use taskvec_eval::sweep::Sweep;

/// The commands that make such records again.
pub(super) fn commands(run: &Run) -> Vec<String> {
    if let Some(study) = &run.study {
        return vec![study_command(study)];
    }
    if let Some(sweep) = &run.sweep {
        return vec![sweep_command(sweep)];
    }
    if let Some(found) = &run.search {
        return vec![search_command(&found.search)];
    }
    let mut models: Vec<(&str, Vec<&Record>)> = Vec::new();
    for record in &run.records {
        match models.iter_mut().find(|(model, _)| *model == record.model) {
            Some((_, records)) => records.push(record),
            None => models.push((&record.model, vec![record])),
        }
    }
    models
        .iter()
        .map(|(_, records)| eval_command(records))
        .collect()
}

fn study_command(study: &study::Outcome) -> String {
    let again = study.again.clone();
    // What a file of before that does not say can only be left open.
    let command = again.unwrap_or_else(|| "taskvec study RECIPE".to_owned());
    format!("{command} --out DIR")
}

fn sweep_command(sweep: &Sweep) -> String {
    let mut command = format!("taskvec sweep {}", quoted(&sweep.expression));
    for variable in &sweep.variables {
        let values: Vec<&str> = variable
            .values
            .iter()
            .map(|value| value.text.as_str())
            .collect();
        command.push_str(&format!(" --over {}={}", variable.name, values.join(",")));
    }
    for (name, reference) in &sweep.bindings {
        command.push_str(&format!(
            " --let {}",
            quoted(&format!("{name}={reference}"))
        ));
    }
    let conditions: Vec<&str> = sweep
        .conditions
        .iter()
        .map(|condition| condition.name())
        .collect();
    command.push_str(&format!(
        " --tasks {} --conditions {} --seed {} --prompt-form {}",
        sweep.tasks.join(","),
        conditions.join(","),
        sweep.seed,
        sweep.prompt_form
    ));
    if let Some(limit) = sweep.limit {
        command.push_str(&format!(" --limit {limit}"));
    }
    if sweep.temperature > 0.0 {
        let (samples, temperature) = (sweep.samples, sweep.temperature);
        command.push_str(&format!(" --samples {samples} --temperature {temperature}"));
    }
    command.push_str(" --out DIR");
    command
}

fn search_command(search: &Search) -> String {
    let mut command = format!(
        "taskvec search {} --over {} --start {} --step {} --halvings {} --budget {}",
        quoted(&search.expression),
        search.variable,
        search.start.text,
        search.step.text,
        search.halvings,
        search.budget
    );
    command.push_str(&format!(" --layer-groups {}", search.layer_groups));
    for (name, reference) in &search.bindings {
        command.push_str(&format!(
            " --let {}",
            quoted(&format!("{name}={reference}"))
        ));
    }
    let conditions: Vec<&str> = search
        .conditions
        .iter()
        .map(|condition| condition.name())
        .collect();
    command.push_str(&format!(
        " --tasks {} --conditions {} --seed {} --prompt-form {} --validation {} --division-seed {}",
        search.tasks.join(","),
        conditions.join(","),
        search.seed,
        search.prompt_form,
        search.validation,
        search.division_seed
    ));
    if let Some(limit) = search.limit {
        command.push_str(&format!(" --limit {limit}"));
    }
    command.push_str(" --out DIR");
    command
}

/// One for each number of questions, as `eval` has one limit for all tasks.
fn eval_command(records: &[&Record]) -> String {
    let mut counts: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    let (mut tasks, mut conditions): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for record in records {
        let condition = record.condition.name();
        counts
            .entry((&record.task, condition))
            .or_default()
            .insert(&record.doc_id);
        if !tasks.contains(&record.task.as_str()) {
            tasks.push(&record.task);
        }
        if !conditions.contains(&condition) {
            conditions.push(condition);
        }
    }
    let first = records[0];
    let limit = counts.values().map(BTreeSet::len).max().unwrap_or(0);
    let names = first
        .expression
        .parse::<Expression>()
        .map(|expression| {
            expression
                .names()
                .into_iter()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .unwrap_or_default();
    let bound: String = names
        .iter()
        .map(|name| format!(" --let {name}=REF"))
        .collect();
    format!(
        "taskvec eval {}{bound} --tasks {} --conditions {} --limit {limit} --seed {} --out DIR",
        quoted(&first.expression),
        tasks.join(","),
        conditions.join(","),
        first.seed
    )
}

/// An argument as a shell reads it.
pub(in crate::commands) fn quoted(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@,".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}
