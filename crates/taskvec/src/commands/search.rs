mod show;

use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use serde::Serialize;
use taskvec_core::{Coefficient, Expression, InspectOptions, Plan, inspect, partition};
use taskvec_eval::Condition;
use taskvec_eval::division::Part;
use taskvec_eval::run::{Cell, RecordLog};
use taskvec_eval::search::{Group, Outcome, Place, SCHEMA_VERSION, SIDE_FILE, Search, Space, walk};
use taskvec_eval::sweep::RECORDS;

use super::destination;
use super::directory;
use super::eval;
use super::points::{self, Asking};
use crate::args::search::SearchArgs;
use crate::failure::{Refusal, unless_interrupted};
use crate::interruption::Heeding;
use crate::printer::{Live, Printer, Unit};
use crate::resolution::{self, Named};

const COMMAND: &str = "taskvec search";

pub(crate) fn run(arguments: &SearchArgs, printer: &Printer) -> anyhow::Result<()> {
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
    let named = resolution::named(
        &arguments.expression,
        &bindings,
        &Default::default(),
        printer,
    )?;
    points::check_variable(&arguments.over, &named)?;
    directory::check(&arguments.out, SIDE_FILE)?;
    let groups = groups(arguments, &named, printer)?;
    let search = describe(arguments, &named, &cells, groups)?;
    check_directory(&arguments.out, &search)?;
    // What leaves out a group is planned before anything is asked: a coefficient where only one number may stand is
    // known now.
    let space = search.space();
    for group in 0..space.groups {
        let mut place = at(&space, &space.start);
        place[group] = Coefficient::zero();
        plan(&search, &named, &place, printer)?;
    }
    let mut asking = Searching::new(arguments, &search, &named, &cells, printer)?;

    super::make_directory(&arguments.out)?;
    destination::write(&arguments.out.join(SIDE_FILE), &search.to_json())?;
    let mut log = RecordLog::open(&arguments.out.join(RECORDS))?;
    let _farewell = points::farewell(&arguments.out);

    let mut board = show::Board::new(&search);
    let mut live = printer.live();
    let started = Instant::now();
    let found = walk(&space, &mut |place, stage| -> anyhow::Result<u64> {
        let right = asking.choose(place, &mut log)?;
        board.add(place, stage, right);
        announce(&board, started, &mut live);
        Ok(right.right)
    })?;
    live.clear();
    let last = [
        found.without,
        Some(0),
        Some(found.uniform),
        Some(found.found),
    ];
    for index in last.into_iter().flatten() {
        asking.measure(&found.trials[index].place, &mut log)?;
    }

    let outcome = Outcome::build(&search, &log.finish()?)?;
    outcome
        .warnings
        .iter()
        .for_each(|warning| printer.warn(warning));
    printer.note(format_args!(
        "every sample is in {}; next: taskvec report {0} -o report.html",
        arguments.out.display()
    ));
    if arguments.json {
        return printer.json(&Document {
            command: COMMAND,
            taskvec: env!("CARGO_PKG_VERSION"),
            engine: asking.asking.engine,
            search: &search,
            outcome: &outcome,
        });
    }
    show::print(&search, &outcome, printer)
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document<'a> {
    command: &'static str,
    taskvec: &'static str,
    engine: String,
    search: &'a Search,
    #[serde(flatten)]
    outcome: &'a Outcome,
}

fn announce(board: &show::Board<'_>, started: Instant, live: &mut Live<'_>) {
    let seconds = started.elapsed().as_secs_f64();
    let block = board.block(seconds, live.width());
    live.show(&block, &board.line(seconds));
}

/// The groups in which the coefficient changes anything, told by what the model at the start has and the model at 0 has
/// not: one reading of the parents.
fn groups(arguments: &SearchArgs, named: &Named, printer: &Printer) -> anyhow::Result<Vec<Group>> {
    let at = |value: &Coefficient| named.expression.with_scalar(&arguments.over, value);
    let (start, without) = (at(&arguments.start)?, at(&Coefficient::zero())?);
    let library = resolution::library(printer);
    let planned = |expression: &Expression| {
        Plan::build(expression, &named.bindings, &library, &named.options)
    };
    let label = format!("{} = {}", arguments.over, arguments.start);
    let whole = points::plan(&start, &label, named, printer)?;
    whole.notes().iter().for_each(|note| printer.warn(note));
    planned(&without)
        .with_context(|| format!("cannot leave anything out: `{} = 0`", arguments.over))?;
    // Coefficients are exact, so that all but the coefficient's own part cancels before anything is read.
    let difference = planned(&format!("{start} - ({without})").parse()?)?;
    let heeding = Heeding::begin();
    let options = InspectOptions {
        threads: arguments.threads.threads,
        cancelled: Some(heeding.flag()),
    };
    let bar = printer.progress("looking where the vector is", 0, Unit::Bytes);
    let inspection = inspect(&difference, &options, &|progress| bar.follow(progress));
    drop(bar);
    let inspection = unless_interrupted(inspection, "nothing was measured")?;
    let changes = |tensor: &String| {
        let found = inspection.tensors.get(tensor);
        found.is_some_and(|found| found.zeros < found.elements)
    };
    let all = partition(
        whole.tensors().keys().map(String::as_str),
        arguments.layer_groups,
    );
    let (changed, same): (Vec<_>, Vec<_>) =
        (all.into_iter()).partition(|group| group.tensors.iter().any(changes));
    if !same.is_empty() {
        let names: Vec<&str> = same.iter().map(|group| group.name.as_str()).collect();
        printer.detail(format_args!(
            "left out, since the vector is zero there: {}",
            names.join(", ")
        ));
    }
    if changed.is_empty() {
        return Err(Refusal::NothingToSearch {
            name: arguments.over.clone(),
            expression: named.expression.to_string(),
        }
        .into());
    }
    Ok(changed
        .into_iter()
        .map(|group| Group {
            name: group.name,
            pattern: group.pattern,
            tensors: group.tensors.len(),
        })
        .collect())
}

fn describe(
    arguments: &SearchArgs,
    named: &Named,
    cells: &[Cell],
    groups: Vec<Group>,
) -> anyhow::Result<Search> {
    let questions = &arguments.questions;
    Ok(Search {
        schema_version: SCHEMA_VERSION,
        command: COMMAND.to_owned(),
        taskvec: env!("CARGO_PKG_VERSION").to_owned(),
        expression: named.expression.to_string(),
        bindings: points::bindings(named),
        variable: arguments.over.clone(),
        layer_groups: arguments.layer_groups.get(),
        groups,
        start: points::value(&arguments.start),
        step: points::value(&arguments.step),
        halvings: arguments.halvings,
        budget: arguments.budget.get(),
        tasks: points::task_names(cells),
        conditions: questions.conditions.clone(),
        limit: questions.limit,
        seed: questions.seed,
        prompt_form: points::form_name(questions.prompt_form),
        validation: arguments.validation,
        division_seed: arguments.division_seed,
    })
}

fn at(space: &Space, value: &Coefficient) -> Place {
    vec![value.clone(); space.groups]
}

fn plan(search: &Search, named: &Named, place: &Place, printer: &Printer) -> anyhow::Result<Plan> {
    let expression = search.expression_at(place)?;
    points::plan(&expression, &search.label(place), named, printer)
}

/// Refuses a directory that holds a search that this one does not go on with.
fn check_directory(directory: &Path, search: &Search) -> anyhow::Result<()> {
    let path = directory.join(SIDE_FILE);
    if !path.is_file() {
        return Ok(());
    }
    let earlier = super::best::read(&path, Search::parse)?;
    let identity = |search: &Search| {
        let Search {
            expression,
            bindings,
            variable,
            groups,
            ..
        } = search.clone();
        (expression, bindings, variable, groups)
    };
    if identity(&earlier) != identity(search) {
        let (groups, expression) = (earlier.groups.len(), earlier.expression);
        let what = format!("a search in {groups} groups of `{expression}`");
        return Err(directory::other(directory, what));
    }
    match search.clash(&earlier) {
        None => Ok(()),
        Some(clash) => Err(Refusal::OtherQuestions {
            directory: directory.display().to_string(),
            what: "search",
            clash,
        }
        .into()),
    }
}

/// How a point did on the validation questions.
#[derive(Debug, Clone, Copy)]
struct Counted {
    right: u64,
    questions: u64,
}

/// Loads points and asks them one part of the questions.
struct Searching<'a> {
    search: &'a Search,
    named: &'a Named,
    printer: &'a Printer,
    asking: Asking<'a>,
    /// The validation questions under the condition that chooses.
    validation: Vec<Cell>,
    /// The test questions under all conditions.
    test: Vec<Cell>,
}

impl<'a> Searching<'a> {
    /// Loads the model at the start, and makes sure that both parts have questions.
    fn new(
        arguments: &'a SearchArgs,
        search: &'a Search,
        named: &'a Named,
        cells: &[Cell],
        printer: &'a Printer,
    ) -> anyhow::Result<Self> {
        let first = search
            .conditions
            .first()
            .copied()
            .unwrap_or(Condition::Clean);
        let choosing: Vec<Cell> = (cells.iter())
            .filter(|cell| cell.condition == first)
            .cloned()
            .collect();
        let unasked = search
            .tasks
            .iter()
            .find(|task| choosing.iter().all(|cell| cell.task.name() != *task));
        if let Some(task) = unasked {
            let cell = cells.iter().find(|cell| cell.task.name() == task);
            let known = cell.map_or(&[][..], |cell| cell.task.conditions());
            return Err(Refusal::NoCondition {
                task: task.clone(),
                conditions: vec![first.name().to_owned()],
                known: known.iter().map(|it| it.name().to_owned()).collect(),
            }
            .into());
        }
        let division = search.division();
        let validation = division.cells(&choosing, Part::Validation);
        let test = division.cells(cells, Part::Test);
        for cells in [&validation, &test] {
            points::check_questions(cells, &points::selection(&arguments.questions))?;
        }
        let space = search.space();
        let start = plan(search, named, &at(&space, &space.start), printer)?;
        Ok(Self {
            search,
            named,
            printer,
            asking: Asking::new(
                &start,
                &named.bindings,
                &arguments.questions,
                arguments.threads,
                printer,
            )?,
            validation,
            test,
        })
    }

    /// Asks a point the questions that choose.
    fn choose(&mut self, place: &Place, log: &mut RecordLog) -> anyhow::Result<Counted> {
        let plan = plan(self.search, self.named, place, self.printer)?;
        let label = self.search.label(place);
        let records = self.asking.ask(&label, &plan, &self.validation, log)?;
        Ok(Counted {
            right: records.iter().filter(|record| record.is_right()).count() as u64,
            questions: records.len() as u64,
        })
    }

    /// Asks a point the questions that had no say.
    fn measure(&mut self, place: &Place, log: &mut RecordLog) -> anyhow::Result<()> {
        let plan = plan(self.search, self.named, place, self.printer)?;
        let label = self.search.label(place);
        self.asking.ask(&label, &plan, &self.test, log).map(drop)
    }
}
