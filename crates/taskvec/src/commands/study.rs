mod subjects;
mod vectors;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use clap::ValueEnum;
use serde::Serialize;
use taskvec_core::Bindings;
use taskvec_eval::run::{Cell, Record, RecordLog, RunOptions};
use taskvec_eval::study::{self, Outcome, Recipe, SCHEMA_VERSION, SIDE_FILE};
use taskvec_eval::sweep::RECORDS;
use taskvec_eval::task::Selection;
use taskvec_eval::{Registry, Report};

use super::best::read;
use super::destination;
use super::directory;
use super::engine::{self, Planned, Wanted};
use super::eval;
use super::model::{Fingerprint, Fingerprints};
use super::report::quoted;
use crate::args::engine::EngineArgs;
use crate::args::questions::Form;
use crate::args::study::StudyArgs;
use crate::args::weights::ThreadArgs;
use crate::failure::Refusal;
use crate::interruption::Farewell;
use crate::printer::{Printer, Table};
use subjects::{Repetition, repetitions};

const COMMAND: &str = "taskvec study";
/// The recipe that the program carries.
const MICRO: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../recipes/micro.toml"
));

pub(crate) fn run(arguments: &StudyArgs, printer: &Printer) -> anyhow::Result<()> {
    arguments.threads.limit_pool()?;
    let recipe = adapted(recipe(&arguments.recipe)?, arguments);
    recipe.check(Path::new(&arguments.recipe))?;
    let flags = engine_flags(arguments, &recipe)?;
    let registry = super::tasks::registry(arguments.data.as_deref(), printer);
    let questions = Questions::find(&registry, &recipe, printer)?;
    super::tasks::say_licences(
        questions.cells.iter().map(|cell| &cell.task),
        arguments.data.as_deref(),
        printer,
    );
    if questions.unchanged.is_empty() {
        printer.warn(
            "the recipe asks nothing that should not change (`questions.unchanged`): what the vector costs is not measured",
        );
    }
    let repetitions = repetitions(&recipe, printer)?;
    let places: Vec<(PathBuf, Outcome)> = repetitions
        .iter()
        .map(|repetition| {
            let outcome = Outcome {
                schema_version: SCHEMA_VERSION,
                command: COMMAND.to_owned(),
                taskvec: env!("CARGO_PKG_VERSION").to_owned(),
                recipe: recipe.clone(),
                target: repetition.target.clone(),
                seed: repetition.seed,
                again: Some(again(arguments, &recipe)),
                tasks: questions.tasks.clone(),
                unchanged: questions.unchanged.clone(),
                between: None,
            };
            (below(&arguments.out, &repetition.path(&recipe)), outcome)
        })
        .collect();
    directory::check(&arguments.out, SIDE_FILE)?;
    for (directory, outcome) in &places {
        check_directory(directory, outcome)?;
    }
    let conduct = Conduct {
        recipe: &recipe,
        cells: &questions.cells,
        engine: Some(&flags),
        threads: arguments.threads,
        bindings: Bindings::default(),
    };
    // What cannot be loaded last is known before the first question is asked. Plans hold their files open, and those of all
    // repetitions may be more than a process may have: only the first's are kept.
    let mut first = None;
    for repetition in &repetitions {
        let planned = conduct.plans(repetition, printer)?;
        first.get_or_insert(planned);
    }

    let mut fingerprints = Fingerprints::new(Fingerprint::Content);
    let mut done: Vec<Done> = Vec::new();
    for (repetition, (directory, outcome)) in repetitions.iter().zip(&places) {
        let planned = match first.take() {
            Some(planned) => planned,
            // What there is to say of it has been said.
            None => conduct.plans(repetition, &Printer::silent())?,
        };
        super::make_directory(directory)?;
        destination::write(&directory.join(SIDE_FILE), &outcome.to_json())?;
        let mut log = RecordLog::open(&directory.join(RECORDS))?;
        let _farewell = Farewell::set(format!(
            "interrupted: finished samples are kept in `{}`; run the same command to go on",
            arguments.out.display()
        ));
        conduct.measure(repetition, &planned, &mut log, &mut fingerprints, printer)?;
        drop(planned);
        let records = log.finish()?;
        let report = conduct.report(&records, &questions)?;
        let mut sections = sections(outcome, &report, &records);
        if let Some(section) = vectors::section(repetition, arguments.threads)? {
            // A page has no weights to measure them by.
            let outcome = Outcome {
                between: Some(section.table.clone()),
                ..outcome.clone()
            };
            destination::write(&directory.join(SIDE_FILE), &outcome.to_json())?;
            sections.push(section);
        }
        done.push(Done {
            path: repetition.path(&recipe),
            target: repetition.target.clone(),
            seed: repetition.seed,
            report,
            sections,
        });
    }
    let across = across_seeds(&done);
    printer.note(format_args!(
        "every sample is in {}; next: taskvec report {} -o report.html",
        arguments.out.display(),
        below(&arguments.out, &done[0].path).display(),
    ));
    if arguments.json {
        return printer.json(&Document {
            command: COMMAND,
            schema_version: super::JSON_SCHEMA,
            taskvec: env!("CARGO_PKG_VERSION"),
            title: &recipe.title,
            repetitions: &done,
            across_seeds: &across,
        });
    }
    print(&recipe, &done, &across, printer)
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document<'a> {
    command: &'static str,
    schema_version: u32,
    taskvec: &'static str,
    title: &'a str,
    repetitions: &'a [Done],
    across_seeds: &'a [Section],
}

/// What came of one target under one seed.
#[derive(Serialize)]
struct Done {
    /// Its directory below the study's own.
    path: String,
    target: Option<String>,
    seed: u64,
    report: Report,
    sections: Vec<Section>,
}

/// A table, and the question that it answers.
#[derive(Serialize)]
struct Section {
    title: String,
    question: String,
    table: taskvec_eval::report::Table,
}

fn sections(outcome: &Outcome, report: &Report, records: &[Record]) -> Vec<Section> {
    let prompting = study::prompting_table(&study::prompting(outcome, records));
    let excerpts = study::excerpts(outcome, report).into_iter();
    excerpts
        .map(|excerpt| Section {
            table: excerpt.table(report),
            title: excerpt.title,
            question: excerpt.question,
        })
        .chain(prompting.map(|table| Section {
            title: "Prompting".to_owned(),
            question:
                "Does the vector do what an instruction to think step by step would do?".to_owned(),
            table,
        }))
        .collect()
}

/// The command that does all of it again, its `--out` apart.
fn again(arguments: &StudyArgs, recipe: &Recipe) -> String {
    let mut command = format!("taskvec study {}", quoted(&arguments.recipe));
    for binding in &arguments.bindings.bindings {
        let binding = format!("{}={}", binding.name, binding.reference);
        command.push_str(&format!(" --let {}", quoted(&binding)));
    }
    if let Some(limit) = recipe.questions.limit {
        command.push_str(&format!(" --limit {limit}"));
    }
    let seeds: Vec<String> = recipe.seeds.iter().map(u64::to_string).collect();
    command.push_str(&format!(" --seeds {}", seeds.join(",")));
    if let Some(data) = &arguments.data {
        command.push_str(&format!(" --data {}", quoted(&data.display().to_string())));
    }
    if let Some(serve) = &arguments.engine.serve {
        command.push_str(&format!(" --serve {}", quoted(serve)));
    }
    command
}

/// The recipe in a file, or the one that the program carries.
///
/// # Errors
///
/// A file that cannot be read, and those of [`Recipe::parse`].
fn recipe(name: &str) -> anyhow::Result<Recipe> {
    if name == "micro" {
        return micro();
    }
    let path = Path::new(name);
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the recipe `{}`", path.display()))?;
    Ok(Recipe::parse(path, &text)?)
}

/// The study of `taskvec demo`.
pub(super) fn micro() -> anyhow::Result<Recipe> {
    Ok(Recipe::parse(Path::new("recipes/micro.toml"), MICRO)?)
}

/// With what the command line says otherwise.
fn adapted(mut recipe: Recipe, arguments: &StudyArgs) -> Recipe {
    if let Some(limit) = arguments.limit {
        recipe.questions.limit = Some(limit);
    }
    if let Some(seeds) = &arguments.seeds {
        recipe.seeds.clone_from(seeds);
    }
    for binding in &arguments.bindings.bindings {
        let place = match recipe.targets.get_mut(&binding.name) {
            Some(reference) => reference,
            None => recipe.models.entry(binding.name.clone()).or_default(),
        };
        *place = binding.reference.to_string();
    }
    recipe
}

/// The flags, and what the recipe says where they say nothing.
fn engine_flags(arguments: &StudyArgs, recipe: &Recipe) -> anyhow::Result<EngineArgs> {
    let mut flags = arguments.engine.clone();
    if flags.base_url.is_some() {
        let problem = "a study measures several models, and `--base-url` names a server that runs one: pass `--serve`";
        return Err(Refusal::EngineFlags { problem }.into());
    }
    if let (None, None, Some(served)) = (flags.engine, &flags.serve, &recipe.engine) {
        flags.serve = Some(served.serve.clone());
    }
    Ok(flags)
}

/// What a recipe's names of tasks stand for.
pub(super) struct Questions {
    pub(super) cells: Vec<Cell>,
    tasks: Vec<String>,
    unchanged: Vec<String>,
}

impl Questions {
    /// # Errors
    ///
    /// Names that mean nothing, and tasks under none of the conditions.
    pub(super) fn find(
        registry: &Registry,
        recipe: &Recipe,
        printer: &Printer,
    ) -> anyhow::Result<Self> {
        let names = |list: &[String]| -> anyhow::Result<Vec<String>> {
            if list.is_empty() {
                return Ok(Vec::new());
            }
            let tasks = registry.select(&list.join(","))?;
            Ok(tasks.iter().map(|task| task.name().to_owned()).collect())
        };
        let asked: Vec<&str> = recipe.tasks().collect();
        let cells = eval::cells(
            registry,
            &asked.join(","),
            &recipe.questions.conditions,
            printer,
        )?;
        Ok(Self {
            cells,
            tasks: names(&recipe.questions.tasks)?,
            unchanged: names(&recipe.questions.unchanged)?,
        })
    }
}

/// How a recipe is carried out.
pub(super) struct Conduct<'a> {
    pub(super) recipe: &'a Recipe,
    pub(super) cells: &'a [Cell],
    /// `None` for this process.
    pub(super) engine: Option<&'a EngineArgs>,
    pub(super) threads: ThreadArgs,
    /// None: a study's expressions have no names left in them.
    pub(super) bindings: Bindings,
}

impl Conduct<'_> {
    /// The one repetition of a recipe with one target and one seed.
    ///
    /// # Errors
    ///
    /// As [`repetitions`].
    pub(super) fn only_repetition(&self, printer: &Printer) -> anyhow::Result<Repetition> {
        let mut all = repetitions(self.recipe, printer)?;
        Ok(all.swap_remove(0))
    }

    /// What is to be done to get each model.
    ///
    /// # Errors
    ///
    /// A prompt form that is none, and whatever cannot be loaded, as far as headers tell.
    pub(super) fn plans<'a>(
        &'a self,
        repetition: &'a Repetition,
        printer: &Printer,
    ) -> anyhow::Result<Vec<Planned<'a>>> {
        let form = &self.recipe.questions.prompt_form;
        let form = Form::from_str(form, false).map_err(|_| Refusal::UnknownName {
            what: "prompt form",
            name: form.clone(),
            known: ["auto", "base", "chat"].map(str::to_owned).to_vec(),
        })?;
        repetition
            .models
            .iter()
            .map(|(label, expression)| {
                let wanted = Wanted {
                    expression: Some(expression.source()),
                    bindings: &self.bindings,
                    engine: self.engine,
                    threads: self.threads,
                    form,
                    purpose: "evaluate",
                };
                engine::plan(wanted, printer).with_context(|| format!("cannot measure `{label}`"))
            })
            .collect()
    }

    /// Asks every model everything. What is in `log` already is not asked again. Returns what ran the models.
    ///
    /// # Errors
    ///
    /// Whatever keeps a model from being loaded or from answering.
    pub(super) fn measure(
        &self,
        repetition: &Repetition,
        planned: &[Planned<'_>],
        log: &mut RecordLog,
        fingerprints: &mut Fingerprints,
        printer: &Printer,
    ) -> anyhow::Result<String> {
        let started = Instant::now();
        let mut name = String::new();
        for ((label, _), planned) in repetition.models.iter().zip(planned) {
            let mut ready = planned.open(fingerprints, printer)?;
            label.clone_into(&mut ready.subject.model);
            let options = RunOptions {
                selection: Selection {
                    limit: self.recipe.questions.limit,
                    seed: repetition.seed,
                    ..Selection::test()
                },
                ..RunOptions::greedy(ready.form)
            };
            let (generator, subject) = (&mut *ready.generator, &ready.subject);
            eval::evaluate(generator, subject, self.cells, &options, log, printer)
                .map_err(|error| ready.explain(error))?;
            name = ready.generator.describe();
            printer.note(format_args!(
                "{label}: done after {:.0} s",
                started.elapsed().as_secs_f64()
            ));
        }
        Ok(name)
    }

    /// The differences to the baseline, and what they show.
    ///
    /// # Errors
    ///
    /// Those of [`Report::build`].
    pub(super) fn report(
        &self,
        records: &[Record],
        questions: &Questions,
    ) -> anyhow::Result<Report> {
        let report = Report::build(records, Some(self.recipe.baseline()))?;
        Ok(match questions.tasks.first() {
            Some(task) => report.conclude(&self.recipe.roles(task)),
            None => report,
        })
    }
}

/// Refuses a directory that holds a study that this one does not go on with.
fn check_directory(directory: &Path, outcome: &Outcome) -> anyhow::Result<()> {
    directory::check(directory, SIDE_FILE)?;
    let path = directory.join(SIDE_FILE);
    if !path.is_file() {
        return Ok(());
    }
    let earlier = read(&path, Outcome::parse)?;
    if !earlier.has_the_models_of(outcome) {
        return Err(Refusal::OtherStudy {
            directory: directory.display().to_string(),
            title: earlier.recipe.title,
        }
        .into());
    }
    match outcome.clash(&earlier) {
        None => Ok(()),
        Some(clash) => Err(Refusal::OtherQuestions {
            directory: directory.display().to_string(),
            what: "study",
            clash,
        }
        .into()),
    }
}

fn below(directory: &Path, path: &str) -> PathBuf {
    match path {
        // Joined, it would have a slash at its end.
        "" => directory.to_owned(),
        path => directory.join(path),
    }
}

/// For each target with several seeds, what they have in common.
fn across_seeds(done: &[Done]) -> Vec<Section> {
    let mut targets: Vec<&Option<String>> = done.iter().map(|done| &done.target).collect();
    targets.dedup();
    targets
        .into_iter()
        .filter_map(|target| {
            let of_target = done.iter().filter(|done| done.target == *target);
            let reports: Vec<&Report> = of_target.map(|done| &done.report).collect();
            let table = study::across_seeds(&reports)?;
            let name = target.as_ref().map(|name| format!("{name}: "));
            Some(Section {
                title: format!("{}{} seeds", name.unwrap_or_default(), reports.len()),
                question:
                    "Difference to the baseline in points: mean over seeds (least to greatest)"
                        .to_owned(),
                table,
            })
        })
        .collect()
}

fn print(
    recipe: &Recipe,
    done: &[Done],
    across: &[Section],
    printer: &Printer,
) -> anyhow::Result<()> {
    printer.data(&recipe.title)?;
    for done in done {
        if !done.path.is_empty() {
            printer.data(format_args!("\n{}", done.path))?;
        }
        for section in &done.sections {
            show(section, printer)?;
        }
        printer.data(format_args!("\n{}", printer.wrapped(&done.report.legend())))?;
        if let Some(conclusion) = &done.report.conclusion {
            printer.data(format_args!("\n{}", printer.wrapped(conclusion)))?;
        }
    }
    across.iter().try_for_each(|section| show(section, printer))
}

fn show(section: &Section, printer: &Printer) -> anyhow::Result<()> {
    let heading = format!("{}: {}", section.title, section.question);
    printer.data(format_args!("\n{}", printer.wrapped(&heading)))?;
    printer.table(&Table::from(&section.table))
}
