//! Models as engines: what `generate`, `eval`, `demo` and training share.

use std::collections::BTreeMap;

use anyhow::Context;
use serde::Serialize;
use taskvec_core::provenance::FileRecord;
use taskvec_core::{Bindings, ContentHash, Plan};
use taskvec_eval::task::PromptForm;
use taskvec_lm::generate::LocalGenerator;
use taskvec_lm::model::Model;
use taskvec_lm::train::parallel::Workers;

use crate::args::questions::Form;
use crate::args::weights::ThreadArgs;
use crate::printer::{Printer, Unit};

/// Loads what `plan` stands for; nothing is written.
///
/// # Errors
///
/// When the architecture is not supported, a file is missing or reading fails.
pub(super) fn load(plan: &Plan) -> anyhow::Result<Model> {
    // The only device there is: the machine's own cores.
    Model::load(plan, &Default::default())
        .with_context(|| format!("cannot run `{}`", plan.expression()))
}

/// The engine that runs `model`.
///
/// # Errors
///
/// When the system grants no threads.
pub(super) fn engine(model: Model, threads: ThreadArgs) -> anyhow::Result<LocalGenerator> {
    let workers = workers(&model, threads)?;
    Ok(LocalGenerator::new(model)?.with_workers(workers))
}

/// Threads that suit the model, and no more than were asked for.
///
/// # Errors
///
/// When the system grants no threads.
pub(super) fn workers(model: &Model, threads: ThreadArgs) -> anyhow::Result<Workers> {
    let fitting = Workers::fitting(&model.decoder().config)?;
    Ok(match threads.threads {
        Some(threads) if threads.get() < fitting.count() => Workers::new(threads.get())?,
        _ => fitting,
    })
}

/// In what form the model is asked.
pub(super) fn prompt_form(model: &Model, form: Form) -> PromptForm {
    match form {
        Form::Base => PromptForm::Base,
        Form::Chat => PromptForm::Chat,
        Form::Auto if model.tokenizer().chat_template().is_some() => PromptForm::Chat,
        Form::Auto => PromptForm::Base,
    }
}

/// What the names in a plan's expression stand for, for records.
pub(super) fn bindings(plan: &Plan, bindings: &Bindings) -> BTreeMap<String, String> {
    let used = plan.expression().names();
    let all = bindings.names.iter();
    all.filter(|(name, _)| used.contains(name.as_str()))
        .map(|(name, reference)| (name.clone(), reference.to_string()))
        .collect()
}

/// How sure a fingerprint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fingerprint {
    /// Hashes every weight file: equal fingerprints are equal weights, on any day and machine.
    Content,
    /// Looks at headers: enough to tell the models of one run apart.
    Header,
}

/// Identifies several expressions over the same checkpoints, each of which is read once.
#[derive(Debug)]
pub(super) struct Fingerprints {
    kind: Fingerprint,
    /// By the name that the expressions have for a checkpoint.
    known: BTreeMap<String, Vec<FileRecord>>,
}

impl Fingerprints {
    pub(super) fn new(kind: Fingerprint) -> Self {
        Self {
            kind,
            known: BTreeMap::new(),
        }
    }

    /// Identifies the weights that `plan` stands for; its names must mean what they meant in earlier calls.
    ///
    /// # Errors
    ///
    /// When a weight file cannot be read.
    pub(super) fn of(&mut self, plan: &Plan, printer: &Printer) -> anyhow::Result<String> {
        #[derive(Serialize)]
        struct Identity<'a> {
            expression: String,
            inputs: Vec<(&'a str, &'a [FileRecord])>,
        }
        for (name, checkpoint) in plan.inputs() {
            if self.known.contains_key(name) {
                continue;
            }
            let records = match self.kind {
                Fingerprint::Header => checkpoint.file_records(),
                Fingerprint::Content => {
                    let bytes = checkpoint
                        .file_records()
                        .iter()
                        .map(|record| record.bytes)
                        .sum();
                    let bar = printer.progress(format!("hashing {name}"), bytes, Unit::Bytes);
                    checkpoint.hashed_file_records(&mut |bytes| bar.add(bytes))?
                }
            };
            self.known.insert(name.to_owned(), records);
        }
        let identity = Identity {
            expression: plan.expression().to_string(),
            inputs: plan
                .inputs()
                .map(|(name, _)| (name, self.known[name].as_slice()))
                .collect(),
        };
        Ok(ContentHash::of(&serde_json::to_vec(&identity)?).to_string())
    }
}
