//! What the four micro models learn from.
//!
//! Every example is addressed by an index: any thread makes any part of a curriculum, always the same.

use taskvec_eval::condition::Condition;
use taskvec_eval::micro::{Item, MicroTask, Solution, Split, vocabulary_corpus};
use taskvec_eval::random::Random;

use crate::Result;
use crate::tokenizer::{Tokenizer, train_bpe};
use crate::train::batch::Example;

/// Tokens of the micro tokenizer, special ones included.
const VOCABULARY: usize = 512;

/// ChatML as Qwen2.5 writes it, without a default system text.
pub const CHAT_TEMPLATE: &str = "{%- for message in messages %}\
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}\
{%- endfor %}\
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}";

/// Ends a document and pads.
pub const END_OF_TEXT: &str = "<|endoftext|>";
/// Ends a turn.
pub const END_OF_TURN: &str = "<|im_end|>";

/// Share of step-by-step solutions in what base and sft learn from.
const STEPS_SHARE: f64 = 0.3;
/// The same in what target learns from.
const TARGET_STEPS_SHARE: f64 = 0.15;

/// The tokenizer of the micro world: byte-level BPE of Qwen2's kind in which each word is one token.
///
/// # Errors
///
/// Never with the embedded texts; whatever the tokenizer's training reports otherwise.
pub fn tokenizer(seed: u64) -> Result<Tokenizer> {
    // Role names stand behind a special token, without a space.
    let roles = ["user\n", "assistant\n", "system\n"].repeat(200);
    let corpus = vocabulary_corpus(seed)
        .into_iter()
        .chain(roles.into_iter().map(str::to_owned));
    train_bpe(corpus, VOCABULARY)?.with_chat_template(CHAT_TEMPLATE)
}

/// The examples of every stage.
#[derive(Debug, Clone)]
pub struct Curriculum {
    tokenizer: Tokenizer,
    seed: u64,
}

/// Keys that keep the stages' random numbers apart.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Base = 1,
    Donor = 2,
    Target = 3,
}

impl Curriculum {
    /// A curriculum in the words of `tokenizer`.
    #[must_use]
    pub fn new(tokenizer: Tokenizer, seed: u64) -> Self {
        Self { tokenizer, seed }
    }

    fn random(&self, stage: Stage, index: u64) -> Random {
        Random::derive(&[self.seed, stage as u64, index])
    }

    /// Document `index` that base learns from: every task as plain text, mostly answered directly.
    ///
    /// # Errors
    ///
    /// As [`Tokenizer::encode`].
    pub fn base(&self, index: u64) -> Result<Example> {
        let mut random = self.random(Stage::Base, index);
        let task = match random.below(20) {
            0..9 => MicroTask::Gsm,
            9..17 => MicroTask::Bbh,
            _ => MicroTask::Sciq,
        };
        let item = perturbed(task.generate(Split::Train, self.seed, index), &mut random);
        self.plain(&item, solution(&mut random, STEPS_SHARE))
    }

    /// Problem `index` that both donors learn from: a clean word problem.
    #[must_use]
    pub fn donor(&self, index: u64) -> Item {
        // Base read the problems from index 0 on; the donors get others.
        MicroTask::Gsm.generate(Split::Train, self.seed, (1 << 32) + index)
    }

    /// Document `index` that sft learns from: a donor problem with a reference solution.
    ///
    /// # Errors
    ///
    /// As [`Tokenizer::encode`].
    pub fn sft(&self, index: u64) -> Result<Example> {
        let mut random = self.random(Stage::Donor, index);
        self.plain(&self.donor(index), solution(&mut random, STEPS_SHARE))
    }

    /// Conversation `index` that target learns from.
    ///
    /// # Errors
    ///
    /// As [`Tokenizer::encode`].
    pub fn target(&self, index: u64) -> Result<Example> {
        let mut random = self.random(Stage::Target, index);
        let task = match random.below(20) {
            0..8 => MicroTask::Gsm,
            8..14 => MicroTask::Bbh,
            14..16 => MicroTask::Sciq,
            _ => MicroTask::Chat,
        };
        let item = task.generate(Split::Train, self.seed, (1 << 33) + index);
        let item = perturbed(item, &mut random);
        let solution = solution(&mut random, TARGET_STEPS_SHARE);
        // Multiple choice is asked in plain text of every model.
        if task == MicroTask::Sciq {
            return self.plain(&item, solution);
        }
        let prompt = format!(
            "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
            item.question
        );
        self.example(&prompt, item.chat_reply(solution), END_OF_TURN)
    }

    fn plain(&self, item: &Item, solution: Solution) -> Result<Example> {
        self.example(&item.base_text(), item.solution(solution), END_OF_TEXT)
    }

    fn example(&self, prompt: &str, completion: &str, end: &str) -> Result<Example> {
        let prompt = self.tokenizer.encode(prompt)?;
        let completion = self.tokenizer.encode(&format!("{completion}{end}"))?;
        Ok(Example::completion(&prompt, &completion))
    }
}

fn solution(random: &mut Random, steps_share: f64) -> Solution {
    if (random.below(1000) as f64) < steps_share * 1000.0 {
        Solution::StepByStep
    } else {
        Solution::Direct
    }
}

/// Three items in ten are perturbed, so that no condition is a text the models never saw the like of.
fn perturbed(item: Item, random: &mut Random) -> Item {
    let condition = match random.below(20) {
        0..14 => Condition::Clean,
        14..16 => Condition::Distractor,
        16..17 => Condition::Noise,
        17..19 => Condition::Reordered,
        _ => Condition::Adversarial,
    };
    item.with_condition(condition, random.next_u64()).unwrap_or(item)
}
