//! Times the local engine on a checkpoint: `compare.py` calls it beside transformers.
//!
//! Reads requests from stdin, one JSON object a line: `{"tokens": [[…], …], "max_new_tokens": 128}`, answers each with
//! `{"seconds": …, "tokens": [[…], …]}`. Loading is not timed; greedy; no token ends a sequence early.

use std::io::{BufRead, Write};
use std::time::Instant;

use anyhow::Context;
use serde_json::{Value, json};
use taskvec_core::{Bindings, Library, Plan, PlanOptions};
use taskvec_eval::generator::Sampling;
use taskvec_lm::generate::{TokenOptions, generate_tokens};
use taskvec_lm::model::{ModelConfig, load_decoder};
use taskvec_lm::train::parallel::Workers;

fn main() -> anyhow::Result<()> {
    let path = std::env::args()
        .nth(1)
        .context("usage: bench-generate CHECKPOINT")?;
    let plan = Plan::build(
        &format!("\"{path}\"").parse()?,
        &Bindings::default(),
        &Library::new(),
        &PlanOptions::default(),
    )?;
    let json = plan.template().and_then(|template| template.config());
    let config = ModelConfig::parse(&path, json.context("the checkpoint has no config.json")?)?;
    let device = Default::default();
    let decoder = load_decoder(&plan, &config.decoder, &device)?;
    let workers = Workers::fitting(&config.decoder)?;
    for line in std::io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line?)?;
        let prompts: Vec<Vec<u32>> = serde_json::from_value(request["tokens"].clone())?;
        let options = TokenOptions {
            max_new_tokens: serde_json::from_value(request["max_new_tokens"].clone())?,
            sampling: Sampling::greedy(),
            stop_tokens: &[],
            seeds: &vec![0; prompts.len()],
            batch_size: prompts.len(),
            max_positions: config.max_positions,
        };
        let began = Instant::now();
        let generated = generate_tokens(&decoder, &prompts, &options, &workers, &device)?;
        let seconds = began.elapsed().as_secs_f64();
        let tokens: Vec<&[u32]> = generated.iter().map(|one| one.tokens.as_slice()).collect();
        let mut stdout = std::io::stdout().lock();
        writeln!(
            stdout,
            "{}",
            json!({ "seconds": seconds, "tokens": tokens })
        )?;
        stdout.flush()?;
    }
    Ok(())
}
