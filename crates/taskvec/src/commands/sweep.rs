use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use serde::Serialize;
use taskvec_core::{Coefficient, Expression, Plan, PlanOptions};
use taskvec_eval::report::Row;
use taskvec_eval::run::{Cell, Record, RecordLog};
use taskvec_eval::sweep::{Point, RECORDS, SCHEMA_VERSION, SIDE_FILE, Sweep, Variable};
use taskvec_eval::{Condition, Report};

use super::destination;
use super::directory;
use super::eval;
use super::points::{self, Asking};
use crate::args::over::{Over, Values};
use crate::args::sweep::SweepArgs;
use crate::failure::Refusal;
use crate::printer::{CurvePoint, Measured, Printer, curve};
use crate::resolution::{self, Named};

const COMMAND: &str = "taskvec sweep";

pub(crate) fn run(arguments: &SweepArgs, printer: &Printer) -> anyhow::Result<()> {
    let started = Instant::now();
    arguments.threads.limit_pool()?;
    let registry = super::tasks::registry(arguments.questions.data.as_deref(), printer);
    let cells = eval::cells(
        &registry,
        &arguments.questions.tasks,
        &arguments.questions.conditions,
        printer,
    )?;
    super::tasks::say_licences(
        cells.iter().map(|cell| &cell.task),
        arguments.questions.data.as_deref(),
        printer,
    );
    let bindings = resolution::bindings(&arguments.bindings)?;
    let options = PlanOptions::default();
    let named = resolution::named(&arguments.expression, &bindings, &options, printer)?;
    check_variables(&arguments.over, &named)?;
    let sweep = describe(arguments, &named, &cells)?;
    check_directory(&arguments.out, &sweep)?;
    points::check_questions(&cells, &points::selection(&arguments.questions))?;
    // Every point is planned before the first is asked: a division by zero at the last one is known now.
    let plans = plans(&sweep, &named, printer)?;
    let schedule = sweep.schedule();
    let first = &plans[&schedule[0].model];
    let mut asking = Asking::new(
        first,
        &named.bindings,
        &arguments.questions,
        arguments.threads,
        printer,
    )?;
    asking.options = arguments.sampling.apply(asking.options);

    super::make_directory(&arguments.out)?;
    destination::write(&arguments.out.join(SIDE_FILE), &sweep.to_json())?;
    let mut log = RecordLog::open(&arguments.out.join(RECORDS))?;
    let _farewell = points::farewell(&arguments.out);

    let mut measured: BTreeMap<String, Report> = BTreeMap::new();
    let mut live = printer.live();
    for (count, point) in schedule.into_iter().enumerate() {
        let records = asking.ask(&point.model, &plans[&point.model], &cells, &mut log)?;
        let report = Report::build(&records, None)?;
        let done = format!(
            "{} of {} points, {:.0} s",
            count + 1,
            sweep.points.len(),
            started.elapsed().as_secs_f64()
        );
        let line = format!("{}: {} ({done})", point.model, summary(&report));
        measured.insert(point.model.clone(), report);
        let block = format!("{}{done}\n", curves(&sweep, &measured, live.width()));
        live.show(&block, &line);
    }
    live.clear();

    // In the order of the grid, whatever came first.
    let records = in_grid_order(&sweep, log.finish()?);
    let report = Report::build(&records, None)?;
    printer.note(format_args!(
        "every sample is in {}; next: taskvec best {0}, taskvec report {0} -o report.html",
        arguments.out.display()
    ));
    if arguments.json {
        return printer.json(&Document {
            command: COMMAND,
            schema_version: super::JSON_SCHEMA,
            taskvec: env!("CARGO_PKG_VERSION"),
            engine: asking.engine,
            sweep: &sweep,
            report: &report,
        });
    }
    printer.data(curves(&sweep, &measured, printer.width()).trim_end())
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document<'a> {
    command: &'static str,
    schema_version: u32,
    taskvec: &'static str,
    engine: String,
    sweep: &'a Sweep,
    report: &'a Report,
}

/// Each variable once, in the expression, and no name of a checkpoint.
fn check_variables(axes: &[Over], named: &Named) -> anyhow::Result<()> {
    for (index, axis) in axes.iter().enumerate() {
        if axes[..index].iter().any(|other| other.name == axis.name) {
            return Err(Refusal::VariableTwice {
                name: axis.name.clone(),
                is_bound: false,
            }
            .into());
        }
        points::check_variable(&axis.name, named)?;
    }
    Ok(())
}

fn describe(arguments: &SweepArgs, named: &Named, cells: &[Cell]) -> anyhow::Result<Sweep> {
    let variables: Vec<Variable> = arguments
        .over
        .iter()
        .map(|axis| Variable {
            name: axis.name.clone(),
            values: ascending(&axis.values)
                .into_iter()
                .map(points::value)
                .collect(),
        })
        .collect();
    Ok(Sweep {
        schema_version: SCHEMA_VERSION,
        command: COMMAND.to_owned(),
        taskvec: env!("CARGO_PKG_VERSION").to_owned(),
        expression: named.expression.to_string(),
        bindings: points::bindings(named),
        points: grid(&arguments.over, &named.expression)?,
        variables,
        tasks: points::task_names(cells),
        conditions: arguments.questions.conditions.clone(),
        limit: arguments.questions.limit,
        seed: arguments.questions.seed,
        samples: arguments.sampling.samples.get(),
        temperature: arguments.sampling.temperature.unwrap_or(0.0),
        prompt_form: points::form_name(arguments.questions.prompt_form),
    })
}

/// Curves go from left to right, in whatever order the numbers were given.
fn ascending(values: &Values) -> Vec<&Coefficient> {
    let mut values: Vec<&Coefficient> = values.0.iter().collect();
    values.sort();
    values
}

/// The grid, its last variable varying fastest.
fn grid(axes: &[Over], expression: &Expression) -> anyhow::Result<Vec<Point>> {
    let mut points = vec![(Vec::new(), Vec::new(), expression.clone())];
    for axis in axes {
        let mut finer = Vec::new();
        for (indices, labels, expression) in &points {
            for (index, value) in ascending(&axis.values).into_iter().enumerate() {
                let label = format!("{} = {value}", axis.name);
                finer.push((
                    appended(indices, index),
                    appended(labels, label),
                    expression.with_scalar(&axis.name, value)?,
                ));
            }
        }
        points = finer;
    }
    Ok(points
        .into_iter()
        .map(|(indices, labels, expression)| Point {
            model: labels.join(", "),
            expression: expression.to_string(),
            indices,
        })
        .collect())
}

fn appended<T: Clone>(items: &[T], item: T) -> Vec<T> {
    items.iter().cloned().chain([item]).collect()
}

fn plans(
    sweep: &Sweep,
    named: &Named,
    printer: &Printer,
) -> anyhow::Result<BTreeMap<String, Plan>> {
    let mut plans = BTreeMap::new();
    for point in &sweep.points {
        let plan = points::plan(&point.expression.parse()?, &point.model, named, printer)?;
        if plans.is_empty() {
            plan.notes().iter().for_each(|note| printer.warn(note));
        }
        plans.insert(point.model.clone(), plan);
    }
    Ok(plans)
}

/// Refuses a directory that holds anything that this sweep does not go on with.
fn check_directory(directory: &Path, sweep: &Sweep) -> anyhow::Result<()> {
    directory::check(directory, SIDE_FILE)?;
    let path = directory.join(SIDE_FILE);
    if !path.is_file() {
        return Ok(());
    }
    let earlier = super::best::read(&path, Sweep::parse)?;
    if (&earlier.expression, &earlier.bindings) != (&sweep.expression, &sweep.bindings) {
        let what = format!("a sweep of `{}`", earlier.expression);
        return Err(directory::other(directory, what));
    }
    match sweep.clash(&earlier) {
        None => Ok(()),
        Some(clash) => Err(Refusal::OtherQuestions {
            directory: directory.display().to_string(),
            what: "sweep",
            clash,
        }
        .into()),
    }
}

fn in_grid_order(sweep: &Sweep, mut records: Vec<Record>) -> Vec<Record> {
    let place: BTreeMap<&str, usize> = sweep
        .points
        .iter()
        .enumerate()
        .map(|(index, point)| (point.model.as_str(), index))
        .collect();
    records.sort_by_key(|record| place.get(record.model.as_str()).copied());
    records
}

fn summary(report: &Report) -> String {
    let cells: Vec<String> = report
        .rows
        .iter()
        .map(|row| format!("{} {:.1} %", cell_title(row), 100.0 * row.accuracy))
        .collect();
    cells.join(", ")
}

fn cell_title(row: &Row) -> String {
    match row.condition {
        Condition::Clean => row.task.clone(),
        condition => format!("{} {condition}", row.task),
    }
}

/// A curve for each task and condition, with what has been measured so far.
fn curves(sweep: &Sweep, measured: &BTreeMap<String, Report>, width: usize) -> String {
    let mut titles: Vec<String> = Vec::new();
    for row in measured.values().flat_map(|report| &report.rows) {
        let title = cell_title(row);
        if !titles.contains(&title) {
            titles.push(title);
        }
    }
    let mut text = String::new();
    for title in titles {
        let points: Vec<CurvePoint> = sweep
            .points
            .iter()
            .map(|point| CurvePoint {
                label: point.model.clone(),
                measured: measured
                    .get(&point.model)
                    .and_then(|report| report.rows.iter().find(|row| cell_title(row) == title))
                    .map(|row| Measured {
                        value: row.accuracy,
                        low: row.ci_low,
                        high: row.ci_high,
                    }),
            })
            .collect();
        text.push_str(&curve(&title, &points, width));
        text.push('\n');
    }
    text
}
