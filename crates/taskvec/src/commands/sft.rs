use std::path::Path;

use taskvec_eval::Split;
use taskvec_eval::generator::Prompt;
use taskvec_eval::micro::{MicroTask, Solution};
use taskvec_eval::task::PromptForm;
use taskvec_lm::model::Model;
use taskvec_lm::train::batch::Example;
use taskvec_lm::train::rows::RowReader;
use taskvec_lm::train::sft;

use super::model;
use super::training::{Origin, Run};
use crate::args::questions::Form;
use crate::args::sft::SftArgs;
use crate::printer::Printer;
use crate::resolution;

pub(crate) fn run(arguments: &SftArgs, printer: &Printer) -> anyhow::Result<()> {
    arguments.threads.limit_pool()?;
    let settings = arguments.config();
    settings.validate()?;
    let plan = resolution::model_plan(&arguments.model, &arguments.bindings, "train it", printer)?;
    let run = Run::open(&arguments.output, arguments.overwrite, printer)?;
    let model = model::load(&plan)?;
    let examples = examples(&model, arguments)?;
    printer.note(format_args!(
        "{} examples from {}",
        examples.len(),
        arguments.data
    ));

    let outcome = sft::train(
        model.decoder(),
        &examples,
        &settings,
        model::workers(&model, arguments.threads)?,
        Some(&run.directory),
        &mut run.watch(),
    )?;
    if !outcome.finished {
        return Err(run.interrupted(outcome.steps));
    }
    let origin = Origin {
        method: "sft",
        plan: &plan,
        data: &arguments.data,
        settings: &settings,
        dtype: arguments.dtype,
    };
    run.finish(&model, outcome.decoder, outcome.steps, &origin)
}

fn examples(model: &Model, arguments: &SftArgs) -> anyhow::Result<Vec<Example>> {
    let task = MicroTask::ALL
        .into_iter()
        .find(|task| task.name() == arguments.data);
    match task {
        Some(task) => (0..arguments.num_examples)
            .map(|index| problem(model, task, arguments.optimizer.seed, index, arguments))
            .collect(),
        None => {
            let mut reader = RowReader::new(model.tokenizer(), arguments.completion_only_loss);
            Ok(reader.read(Path::new(&arguments.data))?)
        }
    }
}

/// A training problem and its solution in the form in which the model is asked.
fn problem(
    model: &Model,
    task: MicroTask,
    seed: u64,
    index: u64,
    arguments: &SftArgs,
) -> anyhow::Result<Example> {
    let item = task.generate(Split::Train, seed, index);
    let solution = item.solution(Solution::StepByStep);
    let prompt = match model::prompt_form(model, Form::Auto) {
        PromptForm::Base => item.base_prompt(),
        PromptForm::Chat => item.chat_prompt(),
    };
    let prompt = match prompt {
        Prompt::Text(text) => text,
        Prompt::Chat(messages) => model.chat_template()?.prompt(&messages)?,
    };
    let tokenizer = model.tokenizer();
    let end = tokenizer.eos().map_or("", |token| token.content.as_str());
    let prompt = tokenizer.encode(&prompt)?;
    let completion = tokenizer.encode(&format!("{solution}{end}"))?;
    Ok(if arguments.completion_only_loss {
        Example::completion(&prompt, &completion)
    } else {
        Example::all([prompt, completion].concat())
    })
}
