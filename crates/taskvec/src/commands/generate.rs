use std::io::Read;

use anyhow::Context;
use taskvec_eval::generator::{GenerateRequest, Message, Prompt, Sampling};
use taskvec_eval::task::PromptForm;

use super::engine::{self, Wanted};
use super::model::{Fingerprint, Fingerprints};
use crate::args::generate::GenerateArgs;
use crate::args::questions::Form;
use crate::printer::Printer;
use crate::resolution;

pub(crate) fn run(arguments: &GenerateArgs, printer: &Printer) -> anyhow::Result<()> {
    arguments.threads.limit_pool()?;
    let form = match (
        arguments.chat || arguments.system.is_some(),
        arguments.no_chat,
    ) {
        (true, _) => Form::Chat,
        (_, true) => Form::Base,
        _ => Form::Auto,
    };
    let text = match arguments.prompt.as_str() {
        "-" => {
            let mut text = String::new();
            std::io::stdin()
                .read_to_string(&mut text)
                .context("cannot read the prompt from stdin")?;
            text.trim_end_matches('\n').to_owned()
        }
        prompt => prompt.to_owned(),
    };
    let expression = arguments.expression.as_deref();
    let bindings = resolution::bindings(&arguments.bindings, expression.as_slice(), printer)?;
    let wanted = Wanted {
        expression,
        bindings: &bindings,
        engine: Some(&arguments.engine),
        threads: arguments.threads,
        form,
        purpose: "generate text",
    };
    let mut ready = engine::plan(wanted, printer)?
        .open(&mut Fingerprints::new(Fingerprint::Header), printer)?;
    let prompt = match ready.form {
        PromptForm::Base => Prompt::Text(text),
        PromptForm::Chat => {
            let system = arguments.system.iter().map(Message::system);
            Prompt::Chat(system.chain([Message::user(text)]).collect())
        }
    };
    let request = GenerateRequest {
        prompt,
        max_new_tokens: arguments.max_new_tokens,
        stop: arguments.stop.clone(),
        sampling: Sampling {
            temperature: arguments.temperature,
            top_p: arguments.top_p,
            top_k: arguments.top_k,
            seed: arguments.seed,
        },
    };
    printer.detail(format_args!(
        "{}: {}",
        ready.generator.describe(),
        ready.subject.expression
    ));
    let completions = ready
        .generator
        .generate(&[request], &mut |_, _| {})
        .map_err(|error| {
            ready.explain(anyhow::Error::from_boxed(error).context("cannot generate"))
        })?;
    for completion in completions {
        printer.data(&completion.text)?;
        printer.detail(format_args!(
            "{} tokens, ended by {:?}",
            completion.token_count, completion.finish
        ));
    }
    Ok(())
}
