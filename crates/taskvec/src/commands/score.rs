use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Serialize;
use taskvec_eval::completions::{CompletionFile, ScoredCompletion, Summary, score_completions};
use taskvec_eval::task::Selection;

use super::JSON_SCHEMA;
use super::destination;
use crate::args::score::ScoreArgs;
use crate::failure::Refusal;
use crate::printer::{Align, Printer, Table};

pub(crate) fn run(arguments: &ScoreArgs, printer: &Printer) -> anyhow::Result<()> {
    let registry = super::tasks::registry(arguments.data.as_deref(), printer);
    let task = registry.get(&arguments.task)?;
    super::tasks::say_licences([&task], arguments.data.as_deref(), printer);
    let selection = Selection {
        condition: arguments.condition,
        limit: arguments.limit,
        seed: arguments.seed,
        ..Selection::test()
    };
    if let Some(samples) = &arguments.samples {
        check_destination(samples, &arguments.file)?;
    }
    let completions = if arguments.file == Path::new("-") {
        CompletionFile::of("standard input", BufReader::new(std::io::stdin()))
    } else {
        CompletionFile::open(&arguments.file)?
    };
    let mut output = arguments
        .samples
        .as_deref()
        .map(Output::create)
        .transpose()?;
    let shown = arguments.samples.clone().unwrap_or_default();
    let summary = score_completions(
        &*task,
        &selection,
        completions,
        arguments.partial,
        &mut |sample| {
            output
                .as_mut()
                .map_or(Ok(()), |output| output.write(sample))
        },
        &shown,
    )?;
    if let Some(output) = output {
        output.finish()?;
        printer.note(format_args!("every score is in {}", shown.display()));
    }
    if arguments.json {
        return printer.json(&Document {
            command: "taskvec score",
            schema_version: JSON_SCHEMA,
            summary: &summary,
        });
    }
    show(&summary, printer)
}

/// Refuses to write over what is no earlier output of this command, the completions themselves above all.
fn check_destination(samples: &Path, completions: &Path) -> anyhow::Result<()> {
    let refusal = |what| Refusal::ForeignScores {
        path: samples.display().to_string(),
        what,
    };
    let Ok(found) = fs::metadata(samples) else {
        return Ok(());
    };
    if !found.is_file() {
        return Err(refusal("is no regular file").into());
    }
    let same = fs::canonicalize(samples).ok() == fs::canonicalize(completions).ok();
    if same {
        return Err(refusal("holds the completions").into());
    }
    let file =
        File::open(samples).with_context(|| format!("cannot read `{}`", samples.display()))?;
    let mut line = Vec::new();
    // No score is longer: readings are parts of a completion.
    BufReader::new(file.take(1 << 20)).read_until(b'\n', &mut line)?;
    let is_ours = serde_json::from_slice::<serde_json::Value>(&line)
        .is_ok_and(|score| score.get("doc_id").is_some() && score.get("is_right").is_some());
    if line.is_empty() || is_ours {
        return Ok(());
    }
    Err(refusal("exists and holds no scores").into())
}

#[derive(Serialize)]
struct Document<'a> {
    command: &'static str,
    schema_version: u32,
    #[serde(flatten)]
    summary: &'a Summary,
}

/// A file that has its name only when it is whole.
struct Output {
    path: PathBuf,
    partial: PathBuf,
    writer: BufWriter<File>,
}

impl Output {
    fn create(path: &Path) -> anyhow::Result<Self> {
        let path = destination::target(path)?;
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".taskvec-partial");
        let partial = path.with_file_name(name);
        let file = File::create(&partial)
            .with_context(|| format!("cannot create `{}`", partial.display()))?;
        Ok(Self {
            path,
            partial,
            writer: BufWriter::new(file),
        })
    }

    fn write(&mut self, sample: &ScoredCompletion) -> std::io::Result<()> {
        serde_json::to_writer(&mut self.writer, sample)?;
        self.writer.write_all(b"\n")
    }

    fn finish(mut self) -> anyhow::Result<()> {
        self.writer
            .flush()
            .and_then(|()| fs::rename(&self.partial, &self.path))
            .with_context(|| format!("cannot write `{}`", self.path.display()))
    }
}

impl Drop for Output {
    /// What was not finished goes; what was is not there under this name any more.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.partial);
    }
}

fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

fn show(summary: &Summary, printer: &Printer) -> anyhow::Result<()> {
    let mut table = Table::new([
        ("task", Align::Left),
        ("n", Align::Right),
        ("accuracy %", Align::Right),
        ("standard error", Align::Right),
        ("95 % interval", Align::Right),
        ("strict %", Align::Right),
        ("flexible %", Align::Right),
    ]);
    table.row([
        format!("{} {}", summary.task, summary.task_version),
        summary.samples.to_string(),
        percent(summary.accuracy),
        summary.standard_error.map_or_else(String::new, percent),
        format!(
            "{} to {}",
            percent(summary.interval.low),
            percent(summary.interval.high)
        ),
        percent(summary.strict),
        percent(summary.flexible),
    ]);
    printer.table(&table)?;
    if summary.answered < summary.documents {
        printer.warn(format_args!(
            "{} of the {} documents have no completion and are not counted",
            summary.documents - summary.answered,
            summary.documents
        ));
    }
    if summary.samples > summary.answered {
        let estimates: Vec<String> = summary
            .pass_at_k
            .iter()
            .map(|pass| format!("pass@{} {} %", pass.k, percent(pass.value)))
            .collect();
        printer.note(estimates.join(", "));
    }
    if !summary.kinds.is_empty() {
        let mut table = Table::new([
            ("subtask", Align::Left),
            ("n", Align::Right),
            ("accuracy %", Align::Right),
        ]);
        for kind in &summary.kinds {
            table.row([
                kind.kind.clone(),
                kind.samples.to_string(),
                percent(kind.accuracy),
            ]);
        }
        printer.data("\n")?;
        printer.table(&table)?;
    }
    Ok(())
}
