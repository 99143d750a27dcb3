//! What the four micro models learn from.
//!
//! Every example is addressed by an index: any thread makes any part of a curriculum, always the same.

use taskvec_eval::condition::Condition;
use taskvec_eval::micro::{Item, MicroTask, Solution, Split, vocabulary_corpus};
use taskvec_eval::random::Random;

use crate::Result;
use crate::tokenizer::{Tokenizer, train_bpe};
use crate::train::batch::Example;

/// At most so many tokens has the micro tokenizer, special ones included: room for every word to be one token.
const VOCABULARY: usize = 768;

/// ChatML as Qwen2.5 writes it, without a default system text.
pub const CHAT_TEMPLATE: &str = "{%- for message in messages %}\
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}\
{%- endfor %}\
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}";

/// Ends a document and pads.
pub const END_OF_TEXT: &str = "<|endoftext|>";
/// Ends a turn.
pub const END_OF_TURN: &str = "<|im_end|>";

/// Share of step-by-step solutions in what base learns from.
const BASE_STEPS_SHARE: f64 = 0.5;
/// The same in sft's reference solutions.
const SFT_STEPS_SHARE: f64 = 0.3;
/// The same in target's conversations.
const TARGET_STEPS_SHARE: f64 = 0.1;
/// The same where there is something to multiply: chat models work out what looks hard and answer the rest at once.
const TARGET_HARD_STEPS_SHARE: f64 = 0.8;
/// So many of the first documents are mostly facts to look up. Looking back is learned in hundreds of steps where little
/// else is asked for and in thousands among everything else, and it is what the other tasks build on.
const READING_FIRST: u64 = 20_000;
/// Equations in one drill.
const DRILL: u32 = 6;

/// The tokenizer of the micro world: byte-level BPE of Qwen2's kind in which each word is one token.
///
/// # Errors
///
/// Never with the embedded texts; whatever the tokenizer's training reports otherwise.
pub fn tokenizer(seed: u64) -> Result<Tokenizer> {
    train_bpe(vocabulary_corpus(seed).into_iter(), VOCABULARY)
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

    /// Document `index` that base learns from: the reasoning tasks as plain text, half of them step by step, and
    /// small talk as conversations, for a base model has read the web, forums included.
    ///
    /// # Errors
    ///
    /// As [`Tokenizer::encode`].
    pub fn base(&self, index: u64) -> Result<Example> {
        let mut random = self.random(Stage::Base, index);
        // Reading first: four of five early documents can only be learned by looking back.
        let early = index < READING_FIRST && random.below(5) > 0;
        let task = match random.below(23) {
            0..11 if early => MicroTask::Sciq,
            _ if early => return self.recital(&mut random, index),
            0..6 => MicroTask::Gsm,
            6..12 => MicroTask::Bbh,
            12..15 => MicroTask::Code,
            15..17 => MicroTask::Sciq,
            17..19 => MicroTask::Chat,
            19..22 => return self.recital(&mut random, index),
            _ => return self.drill(&mut random),
        };
        let item = perturbed(task.generate(Split::Train, self.seed, index), &mut random);
        if task == MicroTask::Chat {
            let conversation = self.conversation(&item, Solution::Direct)?;
            return Ok(Example::all(conversation.tokens));
        }
        let document = self.plain(&item, solution(&mut random, BASE_STEPS_SHARE))?;
        // Questions are learned too: the names and things that recur in them teach a model to look back.
        Ok(Example::all(document.tokens))
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
        self.plain(&self.donor(index), solution(&mut random, SFT_STEPS_SHARE))
    }

    /// Conversation `index` that target learns from.
    ///
    /// # Errors
    ///
    /// As [`Tokenizer::encode`].
    pub fn target(&self, index: u64) -> Result<Example> {
        let mut random = self.random(Stage::Target, index);
        let task = match random.below(23) {
            0..8 => MicroTask::Gsm,
            8..14 => MicroTask::Bbh,
            14..17 => MicroTask::Code,
            17..19 => MicroTask::Sciq,
            _ => MicroTask::Chat,
        };
        let item = task.generate(Split::Train, self.seed, (1 << 33) + index);
        let item = perturbed(item, &mut random);
        let looks_hard = item.steps.as_ref().is_some_and(|steps| steps.contains('*'));
        let share = if looks_hard {
            TARGET_HARD_STEPS_SHARE
        } else {
            TARGET_STEPS_SHARE
        };
        let solution = solution(&mut random, share);
        // Multiple choice is asked in plain text of every model.
        if task == MicroTask::Sciq {
            return self.plain(&item, solution);
        }
        self.conversation(&item, solution)
    }

    /// The facts of a story twice, the second time in another order: every fact told again is a question of memory, and
    /// looking back at what stood beside a name is what all the logical tasks begin with.
    fn recital(&self, random: &mut Random, index: u64) -> Result<Example> {
        let task = if random.coin() {
            MicroTask::Bbh
        } else {
            MicroTask::Sciq
        };
        let item = task.generate(Split::Train, self.seed, index);
        let story = if item.support.is_empty() {
            &item.question
        } else {
            &item.support
        };
        let mut facts: Vec<&str> = story
            .split_inclusive('.')
            .filter(|fact| fact.ends_with('.'))
            .collect();
        let told = facts.concat();
        random.shuffle(&mut facts);
        let again: String = facts
            .iter()
            .map(|fact| format!(" {}", fact.trim()))
            .collect();
        let text = format!("{told}{again}{END_OF_TEXT}");
        Ok(Example::all(self.tokenizer.encode(&text)?))
    }

    /// Equations without a story, as school books have them; loss on the results alone.
    fn drill(&self, random: &mut Random) -> Result<Example> {
        let mut example = Example {
            tokens: Vec::new(),
            loss: Vec::new(),
        };
        for _ in 0..DRILL {
            let value = random.between(1, 30);
            let (sign, operand, result) = match random.below(5) {
                0 | 1 => (
                    '+',
                    random.between(1, 9),
                    u32::checked_add as fn(u32, u32) -> Option<u32>,
                ),
                2 | 3 => ('-', random.between(1, 9), u32::checked_sub as _),
                _ => ('*', random.between(2, 3), u32::checked_mul as _),
            };
            let Some(result) = result(value, operand).filter(|result| (1..=30).contains(result))
            else {
                continue;
            };
            for (text, loss) in [
                (format!(" {value}{sign}{operand}="), false),
                (format!("{result}."), true),
            ] {
                let tokens = self.tokenizer.encode(&text)?;
                example.loss.extend(tokens.iter().map(|_| loss));
                example.tokens.extend(tokens);
            }
        }
        let end = self.tokenizer.encode(END_OF_TEXT)?;
        example.loss.extend(end.iter().map(|_| true));
        example.tokens.extend(end);
        if example.tokens.len() < 2 {
            return self.drill(random);
        }
        Ok(example)
    }

    fn conversation(&self, item: &Item, solution: Solution) -> Result<Example> {
        let prompt = format!(
            "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
            item.question
        );
        self.example(&prompt, item.solution(solution), END_OF_TURN)
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
    item.with_condition(condition, random.next_u64())
        .unwrap_or(item)
}
