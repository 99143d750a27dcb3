//! GRPO on a benchmark: the reward is the benchmark's own scorer.

use burn::tensor::Device;
use taskvec_eval::generator::{Completion, Finish, Prompt, Sampling};
use taskvec_eval::task::{Document, Generative, PromptForm};

use super::{Environment, Judgement, Rollout, Sampler};
use crate::decoder::Decoder;
use crate::generate::{DEFAULT_BATCH_SIZE, TokenOptions, generate_tokens};
use crate::model::Model;
use crate::tokenizer::Tokenizer;
use crate::train::parallel::Workers;
use crate::{Error, Result};

/// The documents of a generative task as prompts, its scorer as reward.
pub struct TaskEnvironment<'a> {
    task: &'a dyn Generative,
    tokenizer: Tokenizer,
    documents: Vec<Document>,
    prompts: Vec<Vec<u32>>,
}

impl<'a> TaskEnvironment<'a> {
    /// Asks `documents` in `form`, in the words of `model`.
    ///
    /// # Errors
    ///
    /// A prompt that the tokenizer cannot encode or the chat template cannot render.
    pub fn new(
        task: &'a dyn Generative,
        documents: Vec<Document>,
        form: PromptForm,
        model: &Model,
    ) -> Result<Self> {
        let template = match form {
            PromptForm::Base => None,
            PromptForm::Chat => Some(model.chat_template()?),
        };
        let tokenizer = model.tokenizer().clone();
        let prompts = documents
            .iter()
            .map(|document| match (task.prompt(document, form), &template) {
                (Prompt::Chat(messages), Some(template)) => {
                    tokenizer.encode(&template.prompt(&messages)?)
                }
                (Prompt::Chat(messages), None) => {
                    tokenizer.encode(&model.chat_template()?.prompt(&messages)?)
                }
                (Prompt::Text(text), _) => tokenizer.encode(&text),
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            task,
            tokenizer,
            documents,
            prompts,
        })
    }
}

/// Whether a solution shows work: more than one sentence before it ends, which no direct answer has.
fn is_step_by_step(text: &str) -> bool {
    text.trim().matches(". ").count() > 0
}

impl Environment for TaskEnvironment<'_> {
    fn len(&self) -> usize {
        self.prompts.len()
    }

    fn prompt(&self, index: usize) -> &[u32] {
        &self.prompts[index]
    }

    /// With the markers of a chat, as the model was given it.
    fn prompt_text(&self, index: usize) -> String {
        self.tokenizer.decode(&self.prompts[index], false)
    }

    fn judge(&self, index: usize, rollout: &Rollout) -> Result<Judgement> {
        let text = self.tokenizer.decode(&rollout.tokens, true);
        let completion = Completion {
            text,
            token_count: rollout.tokens.len(),
            mean_log_probability: None,
            finish: if rollout.ended {
                Finish::EndOfSequence
            } else {
                Finish::Length
            },
        };
        Ok(Judgement {
            reward: self.task.reward(&self.documents[index], &completion)?,
            step_by_step: is_step_by_step(&completion.text),
            text: completion.text,
        })
    }
}

/// Samples with this crate's own batched engine.
#[derive(Debug)]
pub struct DecoderSampler {
    /// Tokens that end a completion.
    pub stop_tokens: Vec<u32>,
    /// Longest sequence the decoder may see.
    pub max_positions: usize,
    /// Threads to sample on.
    pub workers: Workers,
    /// Where the decoder lives.
    pub device: Device,
}

impl Sampler for DecoderSampler {
    fn sample(
        &self,
        decoder: &Decoder,
        prompts: &[&[u32]],
        seeds: &[u64],
        temperature: f64,
        max_completion_length: usize,
    ) -> Result<Vec<Rollout>> {
        let options = TokenOptions {
            max_new_tokens: max_completion_length,
            sampling: Sampling {
                temperature,
                ..Sampling::greedy()
            },
            stop_tokens: &self.stop_tokens,
            seeds,
            batch_size: DEFAULT_BATCH_SIZE,
            max_positions: self.max_positions,
        };
        let generated = generate_tokens(decoder, prompts, &options, &self.workers, &self.device)?;
        Ok(generated
            .into_iter()
            .map(|sequence| Rollout {
                ended: sequence.finish == Finish::EndOfSequence,
                tokens: sequence.tokens,
                log_probabilities: sequence.log_probabilities,
            })
            .collect())
    }
}

/// The documents and scorer of a task by protocol, refused where it is not answered by writing.
///
/// # Errors
///
/// [`Error::InvalidSetting`] for a multiple-choice task: there is nothing to sample.
pub fn generative(task: &dyn taskvec_eval::task::Task) -> Result<&dyn Generative> {
    match task.protocol() {
        taskvec_eval::task::Protocol::Generative(generative) => Ok(generative),
        taskvec_eval::task::Protocol::MultipleChoice(_) => Err(Error::InvalidSetting {
            setting: "task",
            value: task.name().to_owned(),
            expected: "a task that is answered by writing",
        }),
    }
}
