//! The commands that make the records of a report again.

mod evaluation;

use taskvec_eval::Registry;
use taskvec_eval::report::Run;
use taskvec_eval::search::Search;
use taskvec_eval::study;
use taskvec_eval::sweep::Sweep;

/// The commands that make such records again, each run in a directory of its own.
pub(super) fn commands(runs: &[Run]) -> Vec<String> {
    let mut commands = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        let out = match runs {
            [_] => "DIR".to_owned(),
            _ => format!("DIR-{}", index + 1),
        };
        let own = if let Some(study) = &run.study {
            vec![study_command(study)]
        } else if let Some(sweep) = &run.sweep {
            vec![sweep_command(sweep)]
        } else if let Some(found) = &run.search {
            vec![search_command(&found.search)]
        } else {
            evaluation::commands(&run.records)
        };
        commands.extend(own.iter().map(|command| format!("{command} --out {out}")));
    }
    commands
}

fn study_command(study: &study::Outcome) -> String {
    let again = study.again.clone();
    // What a file of before that does not say can only be left open.
    again.unwrap_or_else(|| "taskvec study RECIPE".to_owned())
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
    command.push_str(data(sweep.tasks.iter().map(String::as_str)));
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
    command.push_str(data(search.tasks.iter().map(String::as_str)));
    command
}

/// Where the questions come from, for tasks whose questions do not ship with taskvec: the Hub, which has them as published,
/// wherever they were read from.
fn data<'a>(tasks: impl IntoIterator<Item = &'a str>) -> &'static str {
    let registry = Registry::standard();
    let mut tasks = tasks.into_iter();
    let has_file = |task: &str| {
        let task = registry.get(task);
        task.is_ok_and(|task| task.about().file.is_some())
    };
    if tasks.any(has_file) {
        " --data hf"
    } else {
        ""
    }
}

/// An argument as a shell reads it.
pub(in crate::commands) fn quoted(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@,".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}
