//! Times `target + (grpo - sft)` on 1.5B-parameter checkpoints against `cp -r target`, or with `--work inspect` an
//! inspection of `grpo - sft` against `cat` of both.
//!
//! ```text
//! cargo run --release -p bench-merge -- [--work merge|inspect] [--dir DIR] [--rounds N] [--threads N] [--chunk-bytes N]
//!     [--expression E]
//! ```
//!
//! The merge runs in a process of its own, this program started again, which does what `taskvec write` does; the wall
//! time is that of the whole process. Neither side waits for the disk. Runs alternate; before each, both outputs are
//! removed and the disk is let come to rest. The checkpoints, 9.3 GB, stay in DIR (default `target/bench-merge`).

#![allow(clippy::print_stdout, reason = "printing is what a benchmark is for")]

mod checkpoints;
mod inspection;

use std::error::Error;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use taskvec_core::{Bindings, Library, Plan, PlanOptions, Reference, WriteOptions, write};

#[derive(Clone, Copy, PartialEq)]
enum Work {
    Merge,
    Inspect,
}

struct Arguments {
    work: Work,
    directory: PathBuf,
    rounds: usize,
    threads: Option<NonZeroUsize>,
    chunk_bytes: Option<NonZeroUsize>,
    /// Instead of the one that each kind of work has.
    expression: Option<String>,
    /// Where to write one merge, in the process that does it.
    merge_to: Option<PathBuf>,
}

impl Arguments {
    fn parse() -> Result<Self, Box<dyn Error>> {
        let mut parsed = Self {
            work: Work::Merge,
            directory: "target/bench-merge".into(),
            rounds: 5,
            threads: None,
            chunk_bytes: None,
            expression: None,
            merge_to: None,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(flag) = arguments.next() {
            let value = arguments
                .next()
                .ok_or_else(|| format!("`{flag}` needs a value"))?;
            match flag.as_str() {
                "--dir" => parsed.directory = value.into(),
                "--rounds" => parsed.rounds = value.parse()?,
                "--threads" => parsed.threads = Some(value.parse()?),
                "--chunk-bytes" => parsed.chunk_bytes = Some(value.parse()?),
                "--expression" => parsed.expression = Some(value),
                "--work" => {
                    parsed.work = match value.as_str() {
                        "merge" => Work::Merge,
                        "inspect" => Work::Inspect,
                        _ => return Err(format!("there is no work `{value}`").into()),
                    }
                }
                "--merge-to" => parsed.merge_to = Some(value.into()),
                _ => return Err(format!("unknown argument `{flag}`").into()),
            }
        }
        Ok(parsed)
    }

    fn expression(&self) -> &str {
        let usual = match self.work {
            Work::Merge => "target + (grpo - sft)",
            Work::Inspect => "grpo - sft",
        };
        self.expression.as_deref().unwrap_or(usual)
    }

    /// The plan of the expression over the checkpoints.
    fn plan(&self) -> Result<Plan, Box<dyn Error>> {
        let bindings = checkpoints::NAMES
            .into_iter()
            .fold(Bindings::default(), |bindings, name| {
                bindings.with(name, Reference::Path(self.directory.join(name)))
            });
        let expression = self.expression().parse()?;
        let (library, options) = (Library::new(), PlanOptions::default());
        Ok(Plan::build(&expression, &bindings, &library, &options)?)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse()?;
    match &arguments.merge_to {
        Some(destination) => merge(&arguments, destination),
        None => {
            let started = Instant::now();
            checkpoints::prepare(&arguments.directory)?;
            println!(
                "checkpoints in {} ({:.1} s)",
                arguments.directory.display(),
                started.elapsed().as_secs_f64()
            );
            match arguments.work {
                Work::Merge => compare(&arguments),
                Work::Inspect => inspection::compare(&arguments),
            }
        }
    }
}

/// One merge, whose peak resident memory goes to stdout.
fn merge(arguments: &Arguments, destination: &Path) -> Result<(), Box<dyn Error>> {
    let plan = arguments.plan()?;
    let options = WriteOptions {
        threads: arguments.threads,
        chunk_bytes: arguments.chunk_bytes,
        sync: false,
        ..WriteOptions::default()
    };
    write(&plan, destination, &options, &|_| {})?;
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .ok_or("no VmHWM in /proc/self/status")?;
    println!("{}", peak.trim().trim_end_matches(" kB"));
    Ok(())
}

fn compare(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    // Everything into the page cache, as far as it fits.
    for name in checkpoints::NAMES {
        for entry in fs::read_dir(arguments.directory.join(name))? {
            std::io::copy(&mut fs::File::open(entry?.path())?, &mut std::io::sink())?;
        }
    }
    let merged = arguments.directory.join("merged");
    let copied = arguments.directory.join("copied");
    let clear = || -> std::io::Result<()> {
        for directory in [&merged, &copied] {
            if directory.exists() {
                fs::remove_dir_all(directory)?;
            }
        }
        // What earlier runs left to be written to the disk would be paid for by the next.
        Command::new("sync").status()?;
        Ok(())
    };
    let (mut merges, mut copies, mut peak) = (Vec::new(), Vec::new(), 0u64);
    for round in 1..=arguments.rounds {
        clear()?;
        let started = Instant::now();
        let status = Command::new("cp")
            .arg("-r")
            .arg(arguments.directory.join("target"))
            .arg(&copied)
            .status()?;
        let copy = started.elapsed().as_secs_f64();
        if !status.success() {
            return Err("`cp` failed".into());
        }
        clear()?;
        let started = Instant::now();
        let output = Command::new(std::env::current_exe()?)
            .args(std::env::args_os().skip(1))
            .arg("--merge-to")
            .arg(&merged)
            .stderr(Stdio::inherit())
            .output()?;
        let merge = started.elapsed().as_secs_f64();
        if !output.status.success() {
            return Err("the merge failed".into());
        }
        let resident: u64 = String::from_utf8(output.stdout)?.trim().parse()?;
        peak = peak.max(resident);
        println!(
            "round {round}: cp {copy:.2} s, merge {merge:.2} s, {:.1} MiB resident",
            resident as f64 / 1024.0
        );
        copies.push(copy);
        merges.push(merge);
    }
    clear()?;
    let (copy, merge) = (median(&mut copies), median(&mut merges));
    println!(
        "{}: median {merge:.2} s, cp -r median {copy:.2} s, ratio {:.2}, peak resident {:.1} MiB",
        arguments.expression(),
        merge / copy,
        peak as f64 / 1024.0
    );
    Ok(())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
