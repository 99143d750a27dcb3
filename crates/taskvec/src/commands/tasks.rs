use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use taskvec_eval::Registry;
use taskvec_eval::sandbox::{Limits, SandboxJudge};
use taskvec_eval::task::{DataFile, DataSource, Metric, Resources, Task};

use super::JSON_SCHEMA;
use crate::args::tasks::TasksArgs;
use crate::printer::{Align, Printer, Table};
use crate::resolution;

/// Every task, with the questions in `data`; programs that a model wrote are judged in the sandbox.
pub(super) fn registry(data: Option<&Path>, printer: &Printer) -> Registry {
    Registry::with_resources(&Resources {
        data: data.map(|data| source(data, printer)),
        judge: Some(Arc::new(SandboxJudge::new(Limits::humaneval()))),
        micro_judge: Some(Arc::new(SandboxJudge::new(Limits::micro_code()))),
    })
}

/// `hf` is the Hub, everything else a directory.
fn source(data: &Path, printer: &Printer) -> DataSource {
    if data == Path::new("hf") {
        DataSource::Hub(resolution::hub(printer))
    } else {
        DataSource::Directory(data.to_owned())
    }
}

/// Says under which licence the questions are that do not ship with taskvec.
pub(super) fn say_licences<'a>(
    tasks: impl IntoIterator<Item = &'a Arc<dyn Task>>,
    data: Option<&Path>,
    printer: &Printer,
) {
    let Some(data) = data else { return };
    let mut said: Vec<DataFile> = Vec::new();
    for task in tasks {
        let about = task.about();
        let Some(file) = about.file.filter(|file| !said.contains(file)) else {
            continue;
        };
        let place = if data == Path::new("hf") {
            format!("hf:datasets/{}", file.repository)
        } else {
            data.join(file.path).display().to_string()
        };
        printer.note(format_args!(
            "{}: questions from {place}, licence {}",
            task.name(),
            about.licence
        ));
        said.push(file);
    }
}

pub(crate) fn run(arguments: &TasksArgs, printer: &Printer) -> anyhow::Result<()> {
    let registry = Registry::standard();
    let tasks: Vec<&dyn Task> = if arguments.all {
        registry.all_tasks().map(|task| &**task).collect()
    } else {
        registry.tasks().map(|task| &**task).collect()
    };
    if arguments.json {
        return printer.json(&Document {
            command: "taskvec tasks",
            schema_version: JSON_SCHEMA,
            tasks: tasks.iter().map(|task| Row::new(*task)).collect(),
            groups: registry
                .groups()
                .map(|(name, members)| Group { name, members })
                .collect(),
        });
    }
    let mut table = Table::new([
        ("task", Align::Left),
        ("version", Align::Left),
        ("what it asks", Align::Left),
        ("conditions", Align::Left),
        ("licence of the data", Align::Left),
    ]);
    for task in &tasks {
        let row = Row::new(*task);
        let count = row.conditions.len();
        table.row([
            row.name.to_owned(),
            row.version.to_owned(),
            row.summary.to_owned(),
            if count == taskvec_eval::Condition::ALL.len() {
                "all".to_owned()
            } else {
                row.conditions.join(", ")
            },
            row.licence.to_owned(),
        ]);
    }
    printer.table(&table)?;
    for task in &tasks {
        if let Some(file) = task.about().file {
            printer.note(format_args!(
                "{} reads DIR/{} of `--data DIR`, or hf:datasets/{} with `--data hf`",
                task.name(),
                file.path,
                file.repository
            ));
        }
    }
    Ok(())
}

#[derive(Serialize)]
struct Document<'a> {
    command: &'static str,
    schema_version: u32,
    tasks: Vec<Row<'a>>,
    groups: Vec<Group<'a>>,
}

#[derive(Serialize)]
struct Group<'a> {
    name: &'a str,
    members: &'a [String],
}

#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    version: &'a str,
    summary: &'static str,
    metric: Metric,
    conditions: Vec<&'static str>,
    licence: &'static str,
    file: Option<&'static str>,
    repository: Option<&'static str>,
}

impl<'a> Row<'a> {
    fn new(task: &'a dyn Task) -> Self {
        let about = task.about();
        Self {
            name: task.name(),
            version: task.version(),
            summary: about.summary,
            metric: task.metric(),
            conditions: task
                .conditions()
                .iter()
                .map(|condition| condition.name())
                .collect(),
            licence: about.licence,
            file: about.file.map(|file| file.path),
            repository: about.file.map(|file| file.repository),
        }
    }
}
