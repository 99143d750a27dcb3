//! GSM8K (Cobbe et al. 2021, "Training Verifiers to Solve Math Word Problems") and what is built like it.

use super::context::Context;
use super::exact_match::{Ignore, exact_match};
use super::filter::{after_hashes, last_number, stated_number};
use super::{INVALID, MersenneTwister, python};
use crate::condition::{self, Condition, Passage};
use crate::error::Result;
use crate::generator::{Completion, Prompt};
use crate::split::Split;
use crate::task::data::{Foreign, GSM8K_TEST, GSM8K_TRAIN, GsmQuestion, Resources};
use crate::task::{
    About, Document, Generative, PromptForm, Protocol, SampleScore, Selection, Task, unsupported,
};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The seed of few-shot examples, and how many there are.
const SHOT_SEED: u32 = 1234;
const RANDOM_SHOTS: usize = 5;

/// The instruction of the paper's setting.
pub(super) const STEP_BY_STEP: &str = "Let's think step by step.";

/// Where the questions come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GsmSource {
    /// GSM8K: 1,319 test questions, 7,473 to learn from. MIT, embedded.
    Gsm8k,
    /// GSM-Plus (Li et al. 2024), testmini, less its 300 questions that have no answer. CC BY-SA 4.0.
    GsmPlus,
    /// GSM-Symbolic P2 (Mirzadeh et al. 2024). CC BY-NC-ND 4.0.
    GsmSymbolicP2,
    /// GSM-IC (Shi et al. 2023), the development split: clean questions. No licence stated.
    GsmIc,
}

impl GsmSource {
    /// Where the questions are; nothing where they ship with taskvec.
    fn foreign(self) -> Option<Foreign> {
        match self {
            Self::Gsm8k => None,
            Self::GsmPlus => Some(Foreign {
                file: "gsm_plus/gsmplus_testmini.jsonl",
                repository: "qintongli/GSM-Plus",
                configuration: "default",
                split: "testmini",
                licence: "CC BY-SA 4.0",
            }),
            Self::GsmSymbolicP2 => Some(Foreign {
                file: "gsm_symbolic/GSM_p2.jsonl",
                repository: "apple/GSM-Symbolic",
                configuration: "p2",
                split: "test",
                licence: "CC BY-NC-ND 4.0: not for commercial use, no derivatives",
            }),
            // Its authors publish it at GitHub only; this copy has the development split.
            Self::GsmIc => Some(Foreign {
                file: "gsm_ic/gsm8k_validation.jsonl",
                repository: "voidful/GSM-IC",
                configuration: "default",
                split: "validation",
                licence: "none stated (the questions are GSM8K's, MIT)",
            }),
        }
    }
}

/// How the question is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GsmSetting {
    /// The harness' `gsm8k`: five worked examples drawn for each question.
    FewShot,
    /// The harness' `gsm8k_cot`: the eight examples of Wei et al. 2022.
    ChainOfThought,
    /// The harness' `gsm8k_cot_zeroshot`.
    ChainOfThoughtZeroShot,
    /// The question alone, as a message.
    Chat,
    /// The question and the instruction to think step by step.
    ChatSteps,
}

/// A benchmark of word problems whose answer is a number.
#[derive(Clone)]
pub struct Gsm {
    name: &'static str,
    source: GsmSource,
    setting: GsmSetting,
    resources: Resources,
}

/// One record of any of the sources.
#[derive(Deserialize)]
struct ForeignQuestion {
    question: String,
    answer: Option<String>,
    #[serde(default)]
    perturbation_type: String,
}

impl Gsm {
    /// The task of that name.
    #[must_use]
    pub fn new(
        name: &'static str,
        source: GsmSource,
        setting: GsmSetting,
        resources: &Resources,
    ) -> Self {
        Self {
            name,
            source,
            setting,
            resources: resources.clone(),
        }
    }

    /// Every one there is.
    #[must_use]
    pub fn all(resources: &Resources) -> Vec<Self> {
        use GsmSetting::{ChainOfThought, ChainOfThoughtZeroShot, Chat, ChatSteps, FewShot};
        use GsmSource::{Gsm8k, GsmIc, GsmPlus, GsmSymbolicP2};
        [
            ("gsm8k", Gsm8k, FewShot),
            ("gsm8k_cot", Gsm8k, ChainOfThought),
            ("gsm8k_cot_zeroshot", Gsm8k, ChainOfThoughtZeroShot),
            ("gsm8k_chat", Gsm8k, Chat),
            ("gsm8k_chat_steps", Gsm8k, ChatSteps),
            ("gsm_plus_cot_zeroshot", GsmPlus, ChainOfThoughtZeroShot),
            ("gsm_plus_chat", GsmPlus, Chat),
            ("gsm_plus_chat_steps", GsmPlus, ChatSteps),
            (
                "gsm_symbolic_p2_cot_zeroshot",
                GsmSymbolicP2,
                ChainOfThoughtZeroShot,
            ),
            ("gsm_symbolic_p2_chat", GsmSymbolicP2, Chat),
            ("gsm_symbolic_p2_chat_steps", GsmSymbolicP2, ChatSteps),
            ("gsm_ic_cot_zeroshot", GsmIc, ChainOfThoughtZeroShot),
            ("gsm_ic_chat", GsmIc, Chat),
            ("gsm_ic_chat_steps", GsmIc, ChatSteps),
        ]
        .into_iter()
        .map(|(name, source, setting)| Self::new(name, source, setting, resources))
        .collect()
    }

    fn question_text(&self, question: &str) -> String {
        match self.setting {
            GsmSetting::FewShot => format!("Question: {question}\nAnswer:"),
            GsmSetting::ChainOfThought => format!("Q: {question}\nA:"),
            GsmSetting::ChainOfThoughtZeroShot => format!("Q: {question}\nA: {STEP_BY_STEP}"),
            GsmSetting::Chat => question.to_owned(),
            GsmSetting::ChatSteps => format!("{question}\n{STEP_BY_STEP}"),
        }
    }

    /// Reference answer: what the harness takes for each of its tasks; the whole solution otherwise.
    fn reference(&self, answer: &str) -> String {
        match self.setting {
            GsmSetting::ChainOfThought => {
                let last = answer.rsplit("####").next().unwrap_or_default();
                python::strip(last).to_owned()
            }
            _ => answer.to_owned(),
        }
    }

    /// (subtask, question, answer) of every document.
    fn questions(&self, split: Split) -> Result<Vec<(String, String, String)>> {
        let embedded = |questions: &[GsmQuestion]| {
            let parts =
                |item: &GsmQuestion| (String::new(), item.question.clone(), item.answer.clone());
            questions.iter().map(parts).collect()
        };
        match (self.source, split) {
            (GsmSource::Gsm8k, Split::Test) => GSM8K_TEST.records().map(embedded),
            (GsmSource::Gsm8k, Split::Train) => GSM8K_TRAIN.records().map(embedded),
            (_, Split::Train) => Err(crate::Error::NoTrainingSplit {
                task: self.name.to_owned(),
            }),
            (source, Split::Test) => {
                let foreign = source.foreign();
                let rows: Vec<ForeignQuestion> = foreign.map_or(Ok(Vec::new()), |foreign| {
                    foreign.records(self.resources.data.as_ref(), self.name)
                })?;
                Ok(rows
                    .into_iter()
                    .filter_map(|row| {
                        // The answer of a question that has none is a word in one form of the file, nothing in another.
                        let answer = row.answer.filter(|answer| answer != "None")?;
                        Some((row.perturbation_type, row.question, answer))
                    })
                    .collect())
            }
        }
    }

    fn shots(&self, document: &Document) -> Vec<(String, String)> {
        match self.setting {
            GsmSetting::FewShot => {
                let pool = GSM8K_TRAIN.records().unwrap_or_default();
                document.fields.get(SHOTS).map_or_else(Vec::new, |indices| {
                    indices
                        .split(',')
                        .filter_map(|index| pool.get(index.parse::<usize>().ok()?))
                        .map(|shot| (self.question_text(&shot.question), shot.answer.clone()))
                        .collect()
                })
            }
            GsmSetting::ChainOfThought => CHAIN_OF_THOUGHT
                .iter()
                .map(|(question, answer)| (self.question_text(question), (*answer).to_owned()))
                .collect(),
            _ => Vec::new(),
        }
    }
}

/// The field of a document that lists its few-shot examples: indices into the training questions.
const SHOTS: &str = "shots";

/// Draws the examples of each document in turn, from one generator, as the harness does.
fn draw_shots(documents: &mut [Document], split: Split, population: usize) {
    let mut random = MersenneTwister::new(SHOT_SEED);
    for (index, document) in documents.iter_mut().enumerate() {
        let drawn: Vec<String> = match split {
            Split::Test => random.sample(population, RANDOM_SHOTS),
            // One more, so that the question itself may be left out.
            Split::Train => {
                let mut drawn = random.sample(population, RANDOM_SHOTS + 1);
                drawn.retain(|&shot| shot != index);
                drawn.truncate(RANDOM_SHOTS);
                drawn
            }
        }
        .iter()
        .map(usize::to_string)
        .collect();
        document.fields.insert(SHOTS.to_owned(), drawn.join(","));
    }
}

impl Task for Gsm {
    fn name(&self) -> &str {
        self.name
    }

    fn version(&self) -> &str {
        match self.setting {
            GsmSetting::Chat | GsmSetting::ChatSteps => "1.0+1",
            _ => "3.0+1",
        }
    }

    fn about(&self) -> About {
        let foreign = self.source.foreign();
        About {
            summary: match self.setting {
                GsmSetting::FewShot => "grade-school word problems, 5 random shots (harness)",
                GsmSetting::ChainOfThought => "word problems, 8 worked examples (harness)",
                GsmSetting::ChainOfThoughtZeroShot => {
                    "word problems, step by step, no shots (harness)"
                }
                GsmSetting::Chat => "word problems as a message",
                GsmSetting::ChatSteps => "word problems as a message, step by step",
            },
            licence: foreign.map_or("MIT", |foreign| foreign.licence),
            file: foreign.map(|foreign| foreign.about()),
        }
    }

    fn conditions(&self) -> &[Condition] {
        &Condition::ALL
    }

    fn default_limit(&self) -> usize {
        usize::MAX
    }

    fn documents(&self, selection: &Selection) -> Result<Vec<Document>> {
        unsupported(self, selection)?;
        let limit = selection.limit.unwrap_or(usize::MAX);
        // Perturbations are drawn from it, wherever the questions come from.
        let source = self
            .source
            .foreign()
            .map_or("gsm8k/test.jsonl", |foreign| foreign.file);
        let mut documents: Vec<Document> = self
            .questions(selection.split)?
            .into_iter()
            .take(limit)
            .enumerate()
            .map(|(index, (kind, question, answer))| {
                let id = match selection.split {
                    Split::Test => index.to_string(),
                    Split::Train => format!("train/{index}"),
                };
                let question = condition::perturb(
                    &Passage::new(&question),
                    selection.condition,
                    selection.seed,
                    &format!("{source}/{id}"),
                );
                Document {
                    id,
                    kind,
                    condition: selection.condition,
                    support: String::new(),
                    question,
                    choices: Vec::new(),
                    reference: self.reference(&answer),
                    fields: BTreeMap::new(),
                }
            })
            .collect();
        if self.setting == GsmSetting::FewShot {
            draw_shots(
                &mut documents,
                selection.split,
                GSM8K_TRAIN.records()?.len(),
            );
        }
        Ok(documents)
    }

    fn protocol(&self) -> Protocol<'_> {
        Protocol::Generative(self)
    }
}

impl Generative for Gsm {
    fn prompt(&self, document: &Document, form: PromptForm) -> Prompt {
        Context {
            shots: self.shots(document),
            delimiter: " ",
            question: self.question_text(&document.question),
            ..Context::default()
        }
        .prompt(form)
    }

    fn stop(&self, _form: PromptForm) -> Vec<String> {
        let question = match self.setting {
            GsmSetting::FewShot => "Question:",
            GsmSetting::ChainOfThought | GsmSetting::ChainOfThoughtZeroShot => "Q:",
            // A conversation ends by itself.
            GsmSetting::Chat | GsmSetting::ChatSteps => return Vec::new(),
        };
        [question, "</s>", "<|im_end|>"].map(str::to_owned).to_vec()
    }

    fn max_new_tokens(&self) -> usize {
        match self.setting {
            GsmSetting::Chat | GsmSetting::ChatSteps => 1024,
            // The harness' default, which cuts many a chain of thought.
            _ => 256,
        }
    }

    fn score(&self, document: &Document, completion: &Completion) -> Result<SampleScore> {
        let text = &completion.text;
        let strict = match self.setting {
            GsmSetting::FewShot => after_hashes(text),
            GsmSetting::ChainOfThought | GsmSetting::ChainOfThoughtZeroShot => stated_number(text),
            // A message has no prescribed form: any of the forms that models are trained on.
            GsmSetting::Chat | GsmSetting::ChatSteps => free_form_answer(text),
        };
        let flexible = last_number(text);
        let is_right = |answer: &str| exact_match(answer, &document.reference, Ignore::Gsm);
        Ok(SampleScore {
            correct: is_right(&strict),
            flexible_correct: is_right(&flexible),
            strict: (strict != INVALID).then_some(strict),
            flexible: (flexible != INVALID).then_some(flexible),
        })
    }
}

/// `\boxed{N}`, `#### N` or `The answer is N`, whichever comes last.
fn free_form_answer(text: &str) -> String {
    use regex::Regex;
    use std::sync::LazyLock;
    static STATED: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r"(?:\\boxed\{|#### *|(?i:the (?:final )?answer is:?)\s*(?:\*\*)?)[$]?(-?[0-9][0-9,]*(?:\.[0-9]+)?)",
        )
        .expect("the pattern is fixed and tested")
    });
    let last = STATED.captures_iter(text).last();
    last.and_then(|found| found.get(1))
        .map_or(INVALID, |number| number.as_str())
        .to_owned()
}

/// Wei et al. 2022, "Chain-of-Thought Prompting Elicits Reasoning in Large Language Models", table 20, as the
/// harness words it.
const CHAIN_OF_THOUGHT: [(&str, &str); 8] = [
    (
        "There are 15 trees in the grove. Grove workers will plant trees in the grove today. After they are done, there will be 21 trees. How many trees did the grove workers plant today?",
        "There are 15 trees originally. Then there were 21 trees after some more were planted. So there must have been 21 - 15 = 6. The answer is 6.",
    ),
    (
        "If there are 3 cars in the parking lot and 2 more cars arrive, how many cars are in the parking lot?",
        "There are originally 3 cars. 2 more cars arrive. 3 + 2 = 5. The answer is 5.",
    ),
    (
        "Leah had 32 chocolates and her sister had 42. If they ate 35, how many pieces do they have left in total?",
        "Originally, Leah had 32 chocolates. Her sister had 42. So in total they had 32 + 42 = 74. After eating 35, they had 74 - 35 = 39. The answer is 39.",
    ),
    (
        "Jason had 20 lollipops. He gave Denny some lollipops. Now Jason has 12 lollipops. How many lollipops did Jason give to Denny?",
        "Jason started with 20 lollipops. Then he had 12 after giving some to Denny. So he gave Denny 20 - 12 = 8. The answer is 8.",
    ),
    (
        "Shawn has five toys. For Christmas, he got two toys each from his mom and dad. How many toys does he have now?",
        "Shawn started with 5 toys. If he got 2 toys each from his mom and dad, then that is 4 more toys. 5 + 4 = 9. The answer is 9.",
    ),
    (
        "There were nine computers in the server room. Five more computers were installed each day, from monday to thursday. How many computers are now in the server room?",
        "There were originally 9 computers. For each of 4 days, 5 more computers were added. So 5 * 4 = 20 computers were added. 9 + 20 is 29. The answer is 29.",
    ),
    (
        "Michael had 58 golf balls. On tuesday, he lost 23 golf balls. On wednesday, he lost 2 more. How many golf balls did he have at the end of wednesday?",
        "Michael started with 58 golf balls. After losing 23 on tuesday, he had 58 - 23 = 35. After losing 2 more, he had 35 - 2 = 33 golf balls. The answer is 33.",
    ),
    (
        "Olivia has $23. She bought five bagels for $3 each. How much money does she have left?",
        "Olivia had 23 dollars. 5 bagels for 3 dollars each will be 5 x 3 = 15 dollars. So she has 23 - 15 dollars left. 23 - 15 is 8. The answer is 8.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn task(name: &str) -> Gsm {
        let all = Gsm::all(&Resources::default());
        all.into_iter().find(|task| task.name == name).unwrap()
    }

    #[test]
    fn attacks_change_questions_and_never_answers() {
        let selection = |condition| Selection {
            condition,
            limit: Some(400),
            ..Selection::test()
        };
        let clean = task("gsm8k_chat")
            .documents(&selection(Condition::Clean))
            .unwrap();
        for condition in Condition::ALL.into_iter().skip(1) {
            let attacked = task("gsm8k_chat").documents(&selection(condition)).unwrap();
            // With and without instruction the same questions are asked.
            let steps = task("gsm8k_chat_steps")
                .documents(&selection(condition))
                .unwrap();
            assert_eq!(attacked, steps);
            let changed = clean.iter().zip(&attacked).filter(|(one, other)| {
                assert_eq!((&one.id, &one.reference), (&other.id, &other.reference));
                one.question != other.question
            });
            let least = if condition == Condition::Reordered {
                360
            } else {
                400
            };
            assert!(changed.count() >= least, "{condition}");
        }
    }

    #[test]
    fn shots_of_a_training_question_are_others() {
        let selection = Selection {
            split: Split::Train,
            limit: Some(50),
            ..Selection::test()
        };
        for (index, document) in task("gsm8k")
            .documents(&selection)
            .unwrap()
            .iter()
            .enumerate()
        {
            let shots: Vec<usize> = document.fields[SHOTS]
                .split(',')
                .map(|shot| shot.parse().unwrap())
                .collect();
            assert_eq!(shots.len(), RANDOM_SHOTS);
            assert!(!shots.contains(&index));
        }
    }

    #[test]
    fn a_message_may_state_its_answer_in_any_usual_form() {
        for (text, answer) in [
            ("So \\boxed{1,234}.", "1,234"),
            ("#### $18\nThe answer is: **-3.5**.", "-3.5"),
            ("The final answer is 7 apples", "7"),
            ("18", INVALID),
        ] {
            assert_eq!(free_form_answer(text), answer, "{text}");
        }
    }
}
