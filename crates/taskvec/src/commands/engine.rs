//! From flags to an engine: this process, a server that runs already, or one that is started for the occasion.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use taskvec_core::{Bindings, ContentHash, Plan, PlanOptions};
use taskvec_eval::Generator;
use taskvec_eval::engine::{ApiKey, OpenAi, OpenAiOptions, ServeOptions, Served};
use taskvec_eval::run::Subject;
use taskvec_eval::task::PromptForm;

use super::model::{self, Fingerprints};
use crate::args::engine::{Engine, EngineArgs};
use crate::args::questions::Form;
use crate::args::weights::ThreadArgs;
use crate::failure::{Refusal, unless_interrupted};
use crate::interruption::Heeding;
use crate::printer::{Printer, Unit};
use crate::resolution;

/// What is to be run.
pub(super) struct Wanted<'a> {
    pub(super) expression: Option<&'a str>,
    pub(super) bindings: &'a Bindings,
    /// `None` for this process.
    pub(super) engine: Option<&'a EngineArgs>,
    pub(super) threads: ThreadArgs,
    pub(super) form: Form,
    /// What for, in a message: `evaluate`.
    pub(super) purpose: &'static str,
}

/// An engine with a model in it.
pub(super) struct Ready {
    pub(super) generator: Box<dyn Generator>,
    pub(super) subject: Subject,
    pub(super) form: PromptForm,
    /// A server that ends when this is dropped.
    served: Option<Served>,
    /// Whether nobody but the server knows which weights it runs.
    pub(super) is_taken_at_its_word: bool,
}

impl Ready {
    /// A failure of the work, or the better reason that the server is gone.
    pub(super) fn explain(&mut self, error: anyhow::Error) -> anyhow::Error {
        match self.served.as_mut().and_then(Served::death) {
            Some(death) => anyhow::Error::new(death),
            None => error,
        }
    }
}

/// What is to be done to get an engine, checked as far as reading headers goes.
pub(super) struct Planned<'a> {
    wanted: Wanted<'a>,
    way: Way<'a>,
}

enum Way<'a> {
    Local(Plan),
    Connect(&'a EngineArgs, &'a str),
    Start(&'a EngineArgs, &'a str, Plan),
}

/// Finds out which engine the flags ask for, and what the expression stands for where one is needed.
///
/// # Errors
///
/// Flags that do not fit together, and an expression that is no model.
pub(super) fn plan<'a>(wanted: Wanted<'a>, printer: &Printer) -> anyhow::Result<Planned<'a>> {
    let local = |wanted| -> anyhow::Result<Way<'_>> {
        let plan = model_plan(wanted, &PlanOptions::default(), printer)?;
        Ok(Way::Local(plan))
    };
    let Some(flags) = wanted.engine else {
        let way = local(&wanted)?;
        return Ok(Planned { wanted, way });
    };
    let problem = |problem| Err(Refusal::EngineFlags { problem }.into());
    let way = match (flags.engine, &flags.base_url, &flags.serve) {
        (Some(Engine::Local), Some(_), _) => {
            return problem("`--engine local` asks no server, and `--base-url` names one");
        }
        (Some(Engine::Local), _, Some(_)) => {
            return problem("`--engine local` asks no server, and `--serve` starts one");
        }
        (Some(Engine::Openai), None, None) => {
            return problem("`--engine openai` needs `--base-url` or `--serve`");
        }
        (_, Some(url), _) => Way::Connect(flags, url),
        (_, None, Some(command)) => {
            Served::check(command)?;
            // As in this process: what is only measured may come of strangers.
            let options = PlanOptions {
                allow_strangers: true,
                ..PlanOptions::default()
            };
            Way::Start(flags, command, model_plan(&wanted, &options, printer)?)
        }
        (_, None, None) => local(&wanted)?,
    };
    Ok(Planned { wanted, way })
}

fn model_plan(
    wanted: &Wanted<'_>,
    options: &PlanOptions,
    printer: &Printer,
) -> anyhow::Result<Plan> {
    let problem = "no EXPR was given, and no `--base-url` of a server that runs a model";
    let expression = wanted.expression.ok_or(Refusal::EngineFlags { problem })?;
    resolution::model_plan_with(
        expression,
        wanted.bindings,
        wanted.purpose,
        options,
        printer,
    )
}

impl Planned<'_> {
    /// Loads the model, or writes it and starts a server, or asks the server that there is. `fingerprints` may know
    /// checkpoints of earlier models, whose names must have meant the same.
    ///
    /// # Errors
    ///
    /// Whatever keeps the model from being loaded, written or served.
    pub(super) fn open(
        &self,
        fingerprints: &mut Fingerprints,
        printer: &Printer,
    ) -> anyhow::Result<Ready> {
        let wanted = &self.wanted;
        match &self.way {
            Way::Local(plan) => {
                let subject = subject(plan, wanted.bindings, fingerprints, printer)?;
                local(plan, subject, wanted)
            }
            Way::Connect(flags, url) => connected(flags, url, wanted, printer),
            Way::Start(flags, command, plan) => {
                let subject = subject(plan, wanted.bindings, fingerprints, printer)?;
                started(flags, command, plan, subject, wanted, printer)
            }
        }
    }
}

fn subject(
    plan: &Plan,
    bindings: &Bindings,
    fingerprints: &mut Fingerprints,
    printer: &Printer,
) -> anyhow::Result<Subject> {
    let expression = plan.expression().to_string();
    Ok(Subject {
        model: expression.clone(),
        bindings: model::bindings(plan, bindings),
        fingerprint: fingerprints.of(plan, printer)?,
        expression,
    })
}

fn local(plan: &Plan, subject: Subject, wanted: &Wanted<'_>) -> anyhow::Result<Ready> {
    let model = model::load(plan)?;
    let form = model::prompt_form(&model, wanted.form);
    Ok(Ready {
        generator: Box::new(model::engine(model, wanted.threads)?),
        subject,
        form,
        served: None,
        is_taken_at_its_word: false,
    })
}

fn connected(
    flags: &EngineArgs,
    url: &str,
    wanted: &Wanted<'_>,
    printer: &Printer,
) -> anyhow::Result<Ready> {
    let engine = OpenAi::connect(url, flags.model.as_deref(), options(flags))?;
    let label = wanted.expression.unwrap_or(engine.model()).to_owned();
    printer.detail(format_args!("asking {}", engine.describe()));
    // What the user says of the weights is all that is known of them, so another label is another model.
    let fingerprint = ContentHash::of(format!("{}\n{label}", engine.fingerprint()).as_bytes());
    Ok(Ready {
        subject: Subject {
            model: label.clone(),
            expression: label,
            bindings: BTreeMap::new(),
            fingerprint: fingerprint.to_string(),
        },
        form: match wanted.form {
            Form::Base => PromptForm::Base,
            Form::Chat | Form::Auto => PromptForm::Chat,
        },
        generator: Box::new(engine),
        served: None,
        is_taken_at_its_word: true,
    })
}

fn started(
    flags: &EngineArgs,
    command: &str,
    plan: &Plan,
    subject: Subject,
    wanted: &Wanted<'_>,
    printer: &Printer,
) -> anyhow::Result<Ready> {
    let form = match wanted.form {
        Form::Base => PromptForm::Base,
        Form::Chat => PromptForm::Chat,
        Form::Auto if has_chat_template(plan)? => PromptForm::Chat,
        Form::Auto => PromptForm::Base,
    };
    let parent = flags.serve_dir.clone().unwrap_or_else(std::env::temp_dir);
    let directory = tempfile::Builder::new()
        .prefix("taskvec-serve-")
        .tempdir_in(&parent)
        .with_context(|| format!("cannot make a directory in `{}`", parent.display()))?;
    // A server may change its directory.
    let path = std::path::absolute(directory.path().join("model"))?;
    write(plan, &path, wanted.threads, printer)?;

    printer.note(format_args!("starting the server: {command}"));
    let options = options(flags);
    let served = Served::start(&ServeOptions {
        command: command.to_owned(),
        model: path.clone(),
        // From here on it goes with the server, which may outlive us by a moment.
        remove: Some(directory.keep()),
        patience: Duration::from_secs(flags.serve_timeout.get()),
        key: options.key.clone(),
    })?;
    let name = path.display().to_string();
    let engine = OpenAi::started(served.base_url(), &name, command, options)?;
    printer.detail(format_args!("asking {}", engine.describe()));
    Ok(Ready {
        generator: Box::new(engine),
        subject,
        form,
        served: Some(served),
        is_taken_at_its_word: false,
    })
}

fn write(
    plan: &Plan,
    path: &std::path::Path,
    threads: ThreadArgs,
    printer: &Printer,
) -> anyhow::Result<()> {
    let heeding = Heeding::begin();
    let bar = printer.progress(format!("writing {}", path.display()), 0, Unit::Bytes);
    let written = taskvec_core::write(
        plan,
        path,
        &taskvec_core::WriteOptions {
            threads: threads.threads,
            // It is gone after the run; nobody misses it after a power failure.
            sync: false,
            cancelled: Some(heeding.flag()),
            ..taskvec_core::WriteOptions::default()
        },
        &|progress| bar.follow(progress),
    );
    unless_interrupted(written, "nothing was served")?;
    Ok(())
}

/// Whether the checkpoint that gives the tokenizer has a chat template.
fn has_chat_template(plan: &Plan) -> anyhow::Result<bool> {
    for file in plan
        .template()
        .map_or_else(|| Ok(Vec::new()), |template| template.side_files())?
    {
        match file.name() {
            "chat_template.jinja" => return Ok(true),
            "tokenizer_config.json" => {
                // What does not parse the server will complain of.
                let config: Value = serde_json::from_slice(&file.read()?).unwrap_or_default();
                if !config["chat_template"].is_null() {
                    return Ok(true);
                }
            }
            _ => {}
        }
    }
    Ok(false)
}

fn options(flags: &EngineArgs) -> OpenAiOptions {
    OpenAiOptions {
        key: std::env::var(&flags.api_key_env)
            .ok()
            .and_then(|key| ApiKey::new(&key)),
        concurrency: flags.concurrency,
        timeout: Duration::from_secs(flags.request_timeout.get()),
        ..OpenAiOptions::default()
    }
}
