//! BIG-Bench Hard (Suzgun et al. 2022, "Challenging BIG-Bench Tasks and Whether Chain-of-Thought Can Solve Them").

use super::INVALID;
use super::context::Context;
use super::exact_match::{Ignore, exact_match};
use super::filter::{
    Pick, any_stated_answer, brackets, choice, mapped_word, sorted_words, stated_answer,
    whole_number, word,
};
use super::gsm::STEP_BY_STEP;
use crate::condition::{self, Condition, Passage};
use crate::error::{Error, Result};
use crate::generator::{Completion, Prompt};
use crate::split::Split;
use crate::task::data::{Resources, bbh, cot_prompts};
use crate::task::{
    About, Document, Generative, Metric, PromptForm, Protocol, SampleScore, Selection, Task,
    unsupported,
};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The 27 subtasks, in alphabetical order.
pub const SUBTASKS: [&str; 27] = [
    "boolean_expressions",
    "causal_judgement",
    "date_understanding",
    "disambiguation_qa",
    "dyck_languages",
    "formal_fallacies",
    "geometric_shapes",
    "hyperbaton",
    "logical_deduction_five_objects",
    "logical_deduction_seven_objects",
    "logical_deduction_three_objects",
    "movie_recommendation",
    "multistep_arithmetic_two",
    "navigate",
    "object_counting",
    "penguins_in_a_table",
    "reasoning_about_colored_objects",
    "ruin_names",
    "salient_translation_error_detection",
    "snarks",
    "sports_understanding",
    "temporal_sequences",
    "tracking_shuffled_objects_five_objects",
    "tracking_shuffled_objects_seven_objects",
    "tracking_shuffled_objects_three_objects",
    "web_of_lies",
    "word_sorting",
];

/// The subtasks that are a short story and a question about it, and so can be put under every condition.
const STORIES: [&str; 4] = [
    "date_understanding",
    "object_counting",
    "reasoning_about_colored_objects",
    "web_of_lies",
];

/// How the question is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BbhSetting {
    /// The harness' `bbh_cot_fewshot`: three worked examples.
    ChainOfThought,
    /// The harness' `bbh_cot_zeroshot`.
    ChainOfThoughtZeroShot,
    /// The harness' `bbh_zeroshot`.
    ZeroShot,
    /// The description and the question, as a message.
    Chat,
    /// The same with the instruction to think step by step.
    ChatSteps,
}

impl BbhSetting {
    const ALL: [Self; 5] = [
        Self::ChainOfThought,
        Self::ChainOfThoughtZeroShot,
        Self::ZeroShot,
        Self::Chat,
        Self::ChatSteps,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::ChainOfThought => "bbh_cot_fewshot",
            Self::ChainOfThoughtZeroShot => "bbh_cot_zeroshot",
            Self::ZeroShot => "bbh_zeroshot",
            Self::Chat => "bbh_chat",
            Self::ChatSteps => "bbh_chat_steps",
        }
    }

    /// What the message of a chat asks for, so that the answer can be found in it.
    fn is_chat(self) -> bool {
        matches!(self, Self::Chat | Self::ChatSteps)
    }
}

/// Which subtasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage {
    /// All 27, scored over all items: the group of the harness.
    All,
    /// The four that can be put under every condition.
    Stories,
    /// One.
    One(&'static str),
}

/// One subtask or several, in one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bbh {
    name: String,
    setting: BbhSetting,
    subtasks: &'static [&'static str],
    coverage: Coverage,
}

impl Bbh {
    /// The task in that setting over those subtasks.
    #[must_use]
    pub fn new(setting: BbhSetting, coverage: Coverage) -> Self {
        let (name, subtasks): (String, &'static [&'static str]) = match coverage {
            Coverage::All => (setting.name().to_owned(), &SUBTASKS),
            Coverage::Stories => (format!("{}_stories", setting.name()), &STORIES),
            Coverage::One(subtask) => {
                let place = SUBTASKS.iter().position(|known| *known == subtask);
                let range = place.map_or(0..0, |place| place..place + 1);
                (format!("{}_{subtask}", setting.name()), &SUBTASKS[range])
            }
        };
        Self {
            name,
            setting,
            subtasks,
            coverage,
        }
    }

    /// Every one there is, groups first.
    #[must_use]
    pub fn all(_resources: &Resources) -> Vec<Self> {
        let groups = BbhSetting::ALL.map(|setting| Self::new(setting, Coverage::All));
        let stories = BbhSetting::ALL.map(|setting| Self::new(setting, Coverage::Stories));
        let single = BbhSetting::ALL
            .into_iter()
            .flat_map(|setting| SUBTASKS.map(|subtask| Self::new(setting, Coverage::One(subtask))));
        groups.into_iter().chain(stories).chain(single).collect()
    }

    /// Whether this is one subtask, which lists of tasks leave out for brevity.
    #[must_use]
    pub fn is_single(&self) -> bool {
        matches!(self.coverage, Coverage::One(_))
    }

    fn ignore(&self) -> Ignore {
        match self.setting {
            BbhSetting::ChainOfThought => Ignore::Nothing,
            _ => Ignore::Bbh,
        }
    }

    fn read(&self, document: &Document, text: &str) -> (String, String) {
        let flexible = |pick| flexible(&document.kind, text, input_of(document), pick);
        match self.setting {
            BbhSetting::ChainOfThought => {
                let answer = stated_answer(text);
                (answer.clone(), answer)
            }
            BbhSetting::ChainOfThoughtZeroShot => (any_stated_answer(text), flexible(Pick::Last)),
            BbhSetting::ZeroShot => (text.to_owned(), flexible(Pick::First)),
            BbhSetting::Chat | BbhSetting::ChatSteps => {
                (last_statement(text), flexible(Pick::Last))
            }
        }
    }
}

/// The unperturbed question: lists of options and words are read from it.
fn input_of(document: &Document) -> &str {
    document.fields.get(INPUT).unwrap_or(&document.question)
}

const INPUT: &str = "input";

/// What follows the last `answer is ` on its line, without the full stop, asterisks and quotation marks.
fn last_statement(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let Some(start) = lower.rfind("answer is") else {
        return INVALID.to_owned();
    };
    let rest = &text[start + "answer is".len()..];
    let line = rest.lines().next().unwrap_or_default();
    let answer = line.trim_start_matches([':', ' ']).trim();
    let bare = answer.trim_matches(['*', '"', '`', '$']);
    bare.trim_end_matches('.')
        .trim_matches(['*', '"', '`'])
        .to_owned()
}

/// The harness' `flexible-extract` of each subtask.
fn flexible(subtask: &str, text: &str, input: &str, pick: Pick) -> String {
    match subtask {
        "boolean_expressions" => word(text, &["True", "False"], pick),
        "causal_judgement" | "navigate" => word(text, &["Yes", "No", "yes", "no"], pick),
        "formal_fallacies" => word(text, &["valid", "invalid"], pick),
        "dyck_languages" => brackets(text, pick),
        "multistep_arithmetic_two" | "object_counting" => whole_number(text, pick),
        "sports_understanding" => mapped_word(
            text,
            &[
                ("no", "no"),
                ("not plausible", "no"),
                ("yes", "yes"),
                ("plausible", "yes"),
            ],
            pick,
        ),
        "web_of_lies" => mapped_word(
            text,
            &[
                ("no", "no"),
                ("does not tell the truth", "no"),
                ("is not telling the truth", "no"),
                ("yes", "yes"),
                ("tells the truth", "yes"),
                ("is telling the truth", "yes"),
            ],
            pick,
        ),
        "word_sorting" => sorted_words(text, input),
        _ => choice(text, input, pick),
    }
}

impl Task for Bbh {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> &str {
        match self.setting {
            BbhSetting::ChainOfThought => "4.0+1",
            BbhSetting::ChainOfThoughtZeroShot | BbhSetting::ZeroShot => "3.0+1",
            BbhSetting::Chat | BbhSetting::ChatSteps => "1.0+1",
        }
    }

    fn about(&self) -> About {
        About {
            summary: match (self.setting, self.coverage) {
                (_, Coverage::Stories) => "the four subtasks of BIG-Bench Hard with all conditions",
                (_, Coverage::One(_)) => "one subtask of BIG-Bench Hard",
                (BbhSetting::ChainOfThought, _) => {
                    "BIG-Bench Hard, 27 subtasks, 3 worked examples (harness)"
                }
                (BbhSetting::ChainOfThoughtZeroShot, _) => {
                    "BIG-Bench Hard, step by step, no shots (harness)"
                }
                (BbhSetting::ZeroShot, _) => "BIG-Bench Hard, no shots (harness)",
                (BbhSetting::Chat, _) => "BIG-Bench Hard as a message",
                (BbhSetting::ChatSteps, _) => "BIG-Bench Hard as a message, step by step",
            },
            licence: "MIT",
            file: None,
        }
    }

    /// Every condition where all subtasks are stories; otherwise only as published: a sentence cannot be added
    /// to a Boolean expression.
    fn conditions(&self) -> &[Condition] {
        if self
            .subtasks
            .iter()
            .all(|subtask| STORIES.contains(subtask))
        {
            &Condition::ALL
        } else {
            &[Condition::Clean]
        }
    }

    fn default_limit(&self) -> usize {
        usize::MAX
    }

    /// With several subtasks, one item of each in turn, so that a limit keeps the balance.
    fn documents(&self, selection: &Selection) -> Result<Vec<Document>> {
        unsupported(self, selection)?;
        if selection.split == Split::Train {
            return Err(Error::NoTrainingSplit {
                task: self.name.clone(),
            });
        }
        let mut examples = Vec::new();
        for subtask in self.subtasks {
            for (index, example) in bbh(subtask)?.into_iter().enumerate() {
                examples.push((index, *subtask, example));
            }
        }
        examples.sort_by_key(|(index, ..)| *index);
        examples.truncate(selection.limit.unwrap_or(usize::MAX));
        Ok(examples
            .into_iter()
            .map(|(index, subtask, example)| {
                let id = format!("{subtask}/{index}");
                let question = condition::perturb(
                    &Passage::story(example.input),
                    selection.condition,
                    selection.seed,
                    &format!("bbh/{id}"),
                );
                let fields = match selection.condition {
                    Condition::Clean => BTreeMap::new(),
                    _ => BTreeMap::from([(INPUT.to_owned(), example.input.to_owned())]),
                };
                Document {
                    id,
                    kind: subtask.to_owned(),
                    condition: selection.condition,
                    support: String::new(),
                    question,
                    choices: Vec::new(),
                    reference: example.target.to_owned(),
                    fields,
                }
            })
            .collect())
    }

    fn protocol(&self) -> Protocol<'_> {
        Protocol::Generative(self)
    }

    /// The harness reports its zero-shot groups by the flexible reading.
    fn metric(&self) -> Metric {
        match self.setting {
            BbhSetting::ChainOfThoughtZeroShot | BbhSetting::ZeroShot => Metric::FlexibleExactMatch,
            _ => Metric::ExactMatch,
        }
    }
}

impl Generative for Bbh {
    fn prompt(&self, document: &Document, form: PromptForm) -> Prompt {
        // Reading 27 prompt files again for each of 6,511 documents would take longer than asking a small model.
        static PROMPTS: LazyLock<BTreeMap<&str, crate::task::data::CotPrompt>> =
            LazyLock::new(|| {
                SUBTASKS
                    .into_iter()
                    .filter_map(|subtask| Some((subtask, cot_prompts(subtask).ok()?)))
                    .collect()
            });
        let parts = PROMPTS.get(document.kind.as_str());
        let description = parts.map_or("", |parts| &parts.description);
        let question = |input: &str| match self.setting {
            BbhSetting::ChainOfThought => format!("Q: {input}\nA: {STEP_BY_STEP}\n"),
            BbhSetting::ChainOfThoughtZeroShot => format!("Q: {input}\nA: {STEP_BY_STEP}"),
            BbhSetting::ZeroShot => format!("Q: {input}\nA:"),
            BbhSetting::Chat | BbhSetting::ChatSteps => {
                let steps = match self.setting {
                    BbhSetting::ChatSteps => format!("{STEP_BY_STEP}\n"),
                    _ => String::new(),
                };
                format!(
                    "{description}\n\n{input}\n{steps}End with \"The answer is X.\", where X is the answer."
                )
            }
        };
        let shots = match self.setting {
            BbhSetting::ChainOfThought => parts.map_or_else(Vec::new, |parts| {
                let shot = |(input, answer): &(String, String)| (question(input), answer.clone());
                parts.shots.iter().map(shot).collect()
            }),
            _ => Vec::new(),
        };
        Context {
            description: if self.setting.is_chat() {
                String::new()
            } else {
                format!("{description}\n\n")
            },
            shots,
            delimiter: match self.setting {
                BbhSetting::ChainOfThought => "",
                _ => " ",
            },
            question: question(&document.question),
            prefix: String::new(),
        }
        .prompt(form)
    }

    fn stop(&self, _form: PromptForm) -> Vec<String> {
        match self.setting {
            // Any capital Q ends a chain of thought in the harness.
            BbhSetting::ChainOfThought => ["</s>", "Q", "\n\n"].map(str::to_owned).to_vec(),
            BbhSetting::ChainOfThoughtZeroShot | BbhSetting::ZeroShot => {
                ["</s>", "Q:", "<|im_end|>"].map(str::to_owned).to_vec()
            }
            BbhSetting::Chat | BbhSetting::ChatSteps => Vec::new(),
        }
    }

    fn max_new_tokens(&self) -> usize {
        match self.setting {
            BbhSetting::ChainOfThoughtZeroShot | BbhSetting::ZeroShot => 256,
            _ => 1024,
        }
    }

    fn score(&self, document: &Document, completion: &Completion) -> Result<SampleScore> {
        let (strict, flexible) = self.read(document, &completion.text);
        let is_right = |answer: &str| exact_match(answer, &document.reference, self.ignore());
        Ok(SampleScore {
            correct: is_right(&strict),
            flexible_correct: is_right(&flexible),
            strict: (strict != INVALID).then_some(strict),
            flexible: (flexible != INVALID).then_some(flexible),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subtask_has_its_items_and_its_prompts() {
        let group = Bbh::new(BbhSetting::ChainOfThought, Coverage::All);
        let documents = group.documents(&Selection::test()).unwrap();
        assert_eq!(documents.len(), 6_511);
        let kinds: std::collections::BTreeSet<_> =
            documents[..27].iter().map(|d| &d.kind).collect();
        assert_eq!(kinds.len(), 27);
        for subtask in SUBTASKS {
            let prompts = cot_prompts(subtask).unwrap();
            assert_eq!(prompts.shots.len(), 3, "{subtask}");
            assert!(!prompts.description.is_empty(), "{subtask}");
        }
    }

    #[test]
    fn a_chat_answer_is_its_last_statement() {
        for (text, answer) in [
            ("The answer is (A). No: the answer is **(B)**.", "(B)"),
            ("So the answer is: \"Yes\".\nQ", "Yes"),
            ("I do not know", INVALID),
            ("İ the answer is no.", "no"),
            ("the answer is", ""),
        ] {
            assert_eq!(last_statement(text), answer, "{text}");
        }
    }
}
