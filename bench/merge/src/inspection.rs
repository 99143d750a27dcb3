//! An inspection against reading its inputs once.

use std::error::Error;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use taskvec_core::{InspectOptions, inspect};

use crate::{Arguments, median};

/// Alternates `cat` of the files that the expression reads with the inspection, headers included.
pub(crate) fn compare(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let plan = arguments.plan()?;
    let files: Vec<PathBuf> = plan
        .inputs()
        .flat_map(|(name, checkpoint)| {
            let directory = arguments.directory.join(name);
            let shards = checkpoint.shards();
            let files = shards.iter().map(|shard| directory.join(shard.file_name));
            files.collect::<Vec<_>>()
        })
        .collect();
    let options = InspectOptions {
        threads: arguments.threads,
        ..InspectOptions::default()
    };
    let (mut readings, mut inspections) = (Vec::new(), Vec::new());
    // The first round fills the page cache and does not count.
    for round in 0..=arguments.rounds {
        let started = Instant::now();
        let status = Command::new("cat")
            .args(&files)
            .stdout(Stdio::null())
            .status()?;
        let reading = started.elapsed().as_secs_f64();
        if !status.success() {
            return Err("`cat` failed".into());
        }
        let started = Instant::now();
        let found = inspect(&arguments.plan()?, &options, &|_| {})?;
        let inspection = started.elapsed().as_secs_f64();
        if round > 0 {
            let norm = found.total().norm();
            println!("round {round}: cat {reading:.3} s, inspect {inspection:.3} s, norm {norm}");
            readings.push(reading);
            inspections.push(inspection);
        }
    }
    let (reading, inspection) = (median(&mut readings), median(&mut inspections));
    println!(
        "inspect {}: median {inspection:.3} s, cat median {reading:.3} s, ratio {:.2}",
        arguments.expression,
        inspection / reading
    );
    Ok(())
}
