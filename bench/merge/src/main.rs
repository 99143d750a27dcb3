//! Times merges of three checkpoints against `cp -r` of one.
//!
//! ```text
//! cargo run --release -p bench-merge -- [--row merge|scales|memory|inspect] [--shape small|1.5b|7b] [--dir DIR] [--rounds N]
//!     [--threads N] [--chunk-bytes N] [--expression E]
//! ```
//!
//! | row | what is measured |
//! |---|---|
//! | `merge` | `target + (grpo - sft)`, or another expression, against `cp -r target` |
//! | `scales` | `target + a*(grpo - sft)` for three values of `a` in one pass: what each output after the first costs, beside what each `cp -r` after the first costs |
//! | `inspect` | an inspection of `grpo - sft` in this process against `cat` of both |
//! | `memory` | peak resident memory of one merge, by default of 7B shape, of files that are holes; it writes 15 GB |
//!
//! The merge runs in a process of its own, this program started again, which does what `taskvec write` does; the wall
//! time is that of the whole process. Neither side waits for the disk. Runs alternate; before each, all outputs are
//! removed and the disk is let come to rest. The checkpoints stay in DIR, by default `target/bench-merge`, of the other
//! shapes in a directory of that name in it: 9.3 GB of 1.5B, nothing of 7B.

#![allow(clippy::print_stdout, reason = "printing is what a benchmark is for")]

mod checkpoints;
mod inspection;

use std::error::Error;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use checkpoints::Shape;
use taskvec_core::{
    Bindings, Coefficient, Expression, Library, Plan, PlanOptions, Reference, WriteOptions,
    write_all,
};

/// Values of `a` in the row `scales`.
const SCALES: [&str; 3] = ["0.25", "0.5", "1"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Row {
    Merge,
    Scales,
    Memory,
    Inspect,
}

struct Arguments {
    row: Row,
    shape: Shape,
    directory: PathBuf,
    rounds: usize,
    threads: Option<NonZeroUsize>,
    chunk_bytes: Option<NonZeroUsize>,
    expression: String,
    /// Values for `a` in the expression; none means that it has none.
    over: Vec<Coefficient>,
    /// Where to write one merge, or a directory for several, in the process that does it.
    merge_to: Option<PathBuf>,
}

impl Arguments {
    fn parse() -> Result<Self, Box<dyn Error>> {
        let mut row = Row::Merge;
        let (mut shape, mut directory) = (None, PathBuf::from("target/bench-merge"));
        let (mut rounds, mut threads, mut chunk_bytes) = (5, None, None);
        let (mut expression, mut over, mut merge_to) = (None, Vec::new(), None);
        let mut arguments = std::env::args().skip(1);
        while let Some(flag) = arguments.next() {
            let value = arguments
                .next()
                .ok_or_else(|| format!("`{flag}` needs a value"))?;
            match flag.as_str() {
                "--row" => {
                    row = match value.as_str() {
                        "merge" => Row::Merge,
                        "scales" => Row::Scales,
                        "memory" => Row::Memory,
                        "inspect" => Row::Inspect,
                        _ => return Err(format!("there is no row `{value}`").into()),
                    };
                }
                "--shape" => shape = Some(value),
                "--dir" => directory = value.into(),
                "--rounds" => rounds = value.parse()?,
                "--threads" => threads = Some(value.parse()?),
                "--chunk-bytes" => chunk_bytes = Some(value.parse()?),
                "--expression" => expression = Some(value),
                "--over" => over = value.split(',').map(str::parse).collect::<Result<_, _>>()?,
                "--merge-to" => merge_to = Some(value.into()),
                _ => return Err(format!("unknown argument `{flag}`").into()),
            }
        }
        let usual = if row == Row::Memory { "7b" } else { "1.5b" };
        let name = shape.unwrap_or_else(|| usual.to_owned());
        if name != "1.5b" && merge_to.is_none() {
            directory.push(&name);
        }
        Ok(Self {
            row,
            shape: Shape::named(&name).ok_or_else(|| format!("there is no shape `{name}`"))?,
            directory,
            rounds,
            threads,
            chunk_bytes,
            expression: expression.unwrap_or_else(|| {
                let usual = match row {
                    Row::Inspect => "grpo - sft",
                    _ => "target + (grpo - sft)",
                };
                usual.to_owned()
            }),
            over,
            merge_to,
        })
    }

    fn bindings(&self) -> Bindings {
        checkpoints::NAMES
            .into_iter()
            .fold(Bindings::default(), |bindings, name| {
                bindings.with(name, Reference::Path(self.directory.join(name)))
            })
    }

    /// The plan of the expression over the checkpoints.
    fn plan(&self) -> Result<Plan, Box<dyn Error>> {
        let options = PlanOptions::default();
        let expression = self.expression.parse()?;
        Ok(Plan::build(
            &expression,
            &self.bindings(),
            &Library::new(),
            &options,
        )?)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse()?;
    if let Some(destination) = &arguments.merge_to {
        return merge(&arguments, destination);
    }
    let started = Instant::now();
    let hollow = arguments.row == Row::Memory;
    checkpoints::prepare(&arguments.directory, &arguments.shape, hollow)?;
    println!(
        "checkpoints in {} ({:.1} s)",
        arguments.directory.display(),
        started.elapsed().as_secs_f64()
    );
    let bench = Bench {
        arguments: &arguments,
        merged: arguments.directory.join("merged"),
        copied: arguments.directory.join("copied"),
    };
    match arguments.row {
        Row::Merge => bench.merge_against_copy(),
        Row::Scales => bench.scales_against_copy(),
        Row::Memory => bench.memory(),
        Row::Inspect => inspection::compare(&arguments),
    }
}

/// One pass, of which the peak resident memory goes to stdout.
fn merge(arguments: &Arguments, destination: &Path) -> Result<(), Box<dyn Error>> {
    let expression: Expression = arguments.expression.parse()?;
    let (mut expressions, mut paths) = (Vec::new(), Vec::new());
    for value in &arguments.over {
        expressions.push(expression.with_scalar("a", value)?);
        paths.push(destination.join(value.to_string()));
    }
    if arguments.over.is_empty() {
        expressions.push(expression);
        paths.push(destination.to_path_buf());
    } else {
        fs::create_dir(destination)?;
    }
    let plan_options = PlanOptions {
        // Holes descend from nothing.
        allow_strangers: arguments.row == Row::Memory,
        ..PlanOptions::default()
    };
    let plans = Plan::build_all(
        &expressions,
        &arguments.bindings(),
        &Library::new(),
        &plan_options,
    )?;
    let options = WriteOptions {
        threads: arguments.threads,
        chunk_bytes: arguments.chunk_bytes,
        sync: false,
        ..WriteOptions::default()
    };
    let outputs: Vec<(&Plan, &Path)> = plans
        .iter()
        .zip(paths.iter().map(PathBuf::as_path))
        .collect();
    write_all(&outputs, &options, &|_| {})?;
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .ok_or("no VmHWM in /proc/self/status")?;
    println!("{}", peak.trim().trim_end_matches(" kB"));
    Ok(())
}

/// Wall times in seconds, and the most that was resident, in MiB.
#[derive(Default)]
struct Runs {
    seconds: Vec<f64>,
    resident: f64,
}

impl Runs {
    fn median(&self) -> f64 {
        median(&mut self.seconds.clone())
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

struct Bench<'a> {
    arguments: &'a Arguments,
    merged: PathBuf,
    copied: PathBuf,
}

impl Bench<'_> {
    fn merge_against_copy(&self) -> Result<(), Box<dyn Error>> {
        let expression = &self.arguments.expression;
        self.warm()?;
        let (mut copies, mut merges) = (Runs::default(), Runs::default());
        for round in 1..=self.arguments.rounds {
            self.copy(1, &mut copies)?;
            self.run(expression, &[], &mut merges)?;
            println!(
                "round {round}: cp {:.2} s, merge {:.2} s",
                last(&copies),
                last(&merges)
            );
        }
        let (copy, merge) = (copies.median(), merges.median());
        println!(
            "{expression}: median {merge:.2} s, cp -r median {copy:.2} s, ratio {:.2}, peak resident {:.1} MiB",
            merge / copy,
            merges.resident
        );
        self.clear()
    }

    /// Each output after the first against each copy after the first: both sides then fill the same memory, and wait for
    /// the same writeback once more of it is dirty than the system allows.
    fn scales_against_copy(&self) -> Result<(), Box<dyn Error>> {
        const EXPRESSION: &str = "target + a*(grpo - sft)";
        self.warm()?;
        let [mut copy, mut copies, mut one, mut all] = [(); 4].map(|()| Runs::default());
        for round in 1..=self.arguments.rounds {
            self.copy(1, &mut copy)?;
            self.run(EXPRESSION, &SCALES[..1], &mut one)?;
            self.copy(SCALES.len(), &mut copies)?;
            self.run(EXPRESSION, &SCALES, &mut all)?;
            println!(
                "round {round}: one cp {:.2} s, one output {:.2} s, {count} cp {:.2} s, {count} outputs {:.2} s",
                last(&copy),
                last(&one),
                last(&copies),
                last(&all),
                count = SCALES.len(),
            );
        }
        let further =
            |one: &Runs, all: &Runs| (all.median() - one.median()) / (SCALES.len() - 1) as f64;
        let (copied, written) = (further(&copy, &copies), further(&one, &all));
        println!(
            "{EXPRESSION}, a = {}: median {:.2} s, the first alone {:.2} s, each further {written:.2} s; as many cp -r, one \
             after the other, {:.2} s, the first alone {:.2} s, each further {copied:.2} s; ratio of each further {:.2}, of all \
             {:.2}, peak resident {:.1} MiB",
            SCALES.join(", "),
            all.median(),
            one.median(),
            copies.median(),
            copy.median(),
            written / copied,
            all.median() / copies.median(),
            all.resident
        );
        self.clear()
    }

    fn memory(&self) -> Result<(), Box<dyn Error>> {
        let mut runs = Runs::default();
        self.run(&self.arguments.expression, &[], &mut runs)?;
        println!(
            "{}: {:.2} s, peak resident {:.1} MiB",
            self.arguments.expression,
            last(&runs),
            runs.resident
        );
        self.clear()
    }

    /// Reads everything into the page cache, as far as it fits.
    fn warm(&self) -> std::io::Result<()> {
        for name in checkpoints::NAMES {
            for entry in fs::read_dir(self.arguments.directory.join(name))? {
                std::io::copy(&mut fs::File::open(entry?.path())?, &mut std::io::sink())?;
            }
        }
        Ok(())
    }

    fn clear(&self) -> Result<(), Box<dyn Error>> {
        for directory in [&self.merged, &self.copied] {
            if directory.exists() {
                fs::remove_dir_all(directory)?;
            }
        }
        // What earlier runs left to be written to the disk would be paid for by the next.
        Command::new("sync").status()?;
        Ok(())
    }

    /// So many copies, one after the other.
    fn copy(&self, count: usize, runs: &mut Runs) -> Result<(), Box<dyn Error>> {
        self.clear()?;
        fs::create_dir(&self.copied)?;
        let started = Instant::now();
        for number in 0..count {
            let status = Command::new("cp")
                .arg("-r")
                .arg(self.arguments.directory.join("target"))
                .arg(self.copied.join(number.to_string()))
                .status()?;
            if !status.success() {
                return Err("`cp` failed".into());
            }
        }
        runs.seconds.push(started.elapsed().as_secs_f64());
        Ok(())
    }

    fn run(&self, expression: &str, over: &[&str], runs: &mut Runs) -> Result<(), Box<dyn Error>> {
        self.clear()?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(std::env::args_os().skip(1))
            .arg("--dir")
            .arg(&self.arguments.directory)
            .args(["--expression", expression])
            .arg("--merge-to")
            .arg(&self.merged)
            .stderr(Stdio::inherit());
        if !over.is_empty() {
            command.args(["--over", &over.join(",")]);
        }
        let started = Instant::now();
        let output = command.output()?;
        runs.seconds.push(started.elapsed().as_secs_f64());
        if !output.status.success() {
            return Err("the merge failed".into());
        }
        let resident: f64 = String::from_utf8(output.stdout)?.trim().parse()?;
        runs.resident = runs.resident.max(resident / 1024.0);
        Ok(())
    }
}

fn last(runs: &Runs) -> f64 {
    runs.seconds.last().copied().unwrap_or(f64::NAN)
}
