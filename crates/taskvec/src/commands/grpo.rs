use taskvec_eval::Split;
use taskvec_eval::task::Selection;
use taskvec_lm::train::grpo::{self, DecoderSampler, TaskEnvironment};

use super::model;
use super::training::{Origin, Run};
use crate::args::grpo::GrpoArgs;
use crate::args::questions::Form;
use crate::printer::Printer;
use crate::resolution;

pub(crate) fn run(arguments: &GrpoArgs, printer: &Printer) -> anyhow::Result<()> {
    arguments.threads.limit_pool()?;
    let settings = arguments.config();
    settings.validate()?;
    let task = super::tasks::registry(None, printer).get(&arguments.task)?;
    let generative = grpo::generative(&*task)?;
    // Before the model is loaded, which may take long.
    task.ready()?;
    let documents = task.documents(&Selection {
        split: Split::Train,
        limit: Some(arguments.num_prompts),
        seed: arguments.optimizer.seed,
        ..Selection::test()
    })?;
    let plan = resolution::model_plan(&arguments.model, &arguments.bindings, "train it", printer)?;
    let run = Run::open(&arguments.output, arguments.overwrite, printer)?;
    let model = model::load(&plan)?;
    let form = model::prompt_form(&model, Form::Auto);
    let environment = TaskEnvironment::new(generative, documents, form, &model)?;
    let sampler = DecoderSampler {
        stop_tokens: model.config().eos_token_ids.clone(),
        max_positions: model.config().max_positions,
        workers: model::workers(&model, arguments.threads)?,
        device: model.device().clone(),
    };

    if settings.beta == 0.0 {
        printer.note(
            "the KL divergence to the initial model is not measured at --beta 0, where nothing else asks that model; \
             --beta 1e-6 measures it, for a forward pass more in each rollout",
        );
    }
    let outcome = grpo::train(
        model.decoder(),
        &environment,
        &sampler,
        &settings,
        model::workers(&model, arguments.threads)?,
        Some(&run.directory),
        &mut run.watch(),
    )?;
    if !outcome.finished {
        return Err(run.interrupted(outcome.steps));
    }
    let origin = Origin {
        method: "grpo",
        plan: &plan,
        data: &arguments.task,
        settings: &settings,
        dtype: arguments.dtype,
    };
    run.finish(&model, outcome.decoder, outcome.steps, &origin)
}
