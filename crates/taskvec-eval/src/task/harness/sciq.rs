//! SciQ (Welbl, Liu and Gardner 2017, "Crowdsourcing Multiple Choice Science Questions").
//!
//! CC BY-NC 3.0: read from a directory or the Hub, never shipped.

use super::context::Context;
use super::exact_match::{Ignore, exact_match};
use super::python::strip_start;
use crate::condition::{self, Condition, Passage};
use crate::error::{Error, Result};
use crate::generator::{Completion, Prompt};
use crate::random::Random;
use crate::split::Split;
use crate::task::data::{Foreign, Resources};
use crate::task::{
    About, Document, Generative, MultipleChoice, PromptForm, Protocol, SampleScore, Selection,
    Task, unsupported,
};
use regex::Regex;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::LazyLock;

const DATA: Foreign = Foreign {
    file: "sciq/test.json",
    repository: "allenai/sciq",
    configuration: "default",
    split: "test",
    licence: "CC BY-NC 3.0: not for commercial use",
};

#[derive(Deserialize)]
struct Record {
    support: String,
    question: String,
    distractor1: String,
    distractor2: String,
    distractor3: String,
    correct_answer: String,
}

fn documents(
    task: &dyn Task,
    resources: &Resources,
    selection: &Selection,
) -> Result<Vec<Document>> {
    unsupported(task, selection)?;
    if selection.split == Split::Train {
        return Err(Error::NoTrainingSplit {
            task: task.name().to_owned(),
        });
    }
    let records: Vec<Record> = DATA.records(resources.data.as_ref(), task.name())?;
    let limit = selection.limit.unwrap_or(usize::MAX);
    Ok(records
        .into_iter()
        .take(limit)
        .enumerate()
        .map(|(index, record)| {
            let choices = [
                record.distractor1,
                record.distractor2,
                record.distractor3,
                record.correct_answer.clone(),
            ];
            let support = condition::perturb(
                &Passage::support(&record.support, &choices),
                selection.condition,
                selection.seed,
                &format!("sciq/{index}"),
            );
            Document {
                id: index.to_string(),
                kind: String::new(),
                condition: selection.condition,
                support,
                question: record.question,
                choices: choices.to_vec(),
                reference: record.correct_answer,
                fields: BTreeMap::new(),
            }
        })
        .collect())
}

/// The harness' `sciq`: which of four continuations is likeliest.
#[derive(Clone)]
pub struct Sciq {
    resources: Resources,
}

impl Sciq {
    /// Reads its questions from where foreign data is.
    #[must_use]
    pub fn new(resources: &Resources) -> Self {
        Self {
            resources: resources.clone(),
        }
    }
}

impl Task for Sciq {
    fn name(&self) -> &str {
        "sciq"
    }

    fn version(&self) -> &str {
        "1.0+1"
    }

    fn about(&self) -> About {
        About {
            summary: "science questions with a text, by likelihood (harness)",
            licence: DATA.licence,
            file: Some(DATA.about()),
        }
    }

    fn conditions(&self) -> &[Condition] {
        &[Condition::Clean]
    }

    fn default_limit(&self) -> usize {
        usize::MAX
    }

    fn documents(&self, selection: &Selection) -> Result<Vec<Document>> {
        documents(self, &self.resources, selection)
    }

    fn protocol(&self) -> Protocol<'_> {
        Protocol::MultipleChoice(self)
    }
}

impl MultipleChoice for Sciq {
    fn prompt(&self, document: &Document, form: PromptForm) -> Prompt {
        Context {
            question: format!(
                "{}\nQuestion: {}\nAnswer:",
                strip_start(&document.support),
                document.question
            ),
            ..Context::default()
        }
        .prompt(form)
    }

    /// A choice follows a space; in a chat it is the whole turn.
    fn continuations(&self, document: &Document, form: PromptForm) -> Vec<String> {
        let delimiter = match form {
            PromptForm::Base => " ",
            PromptForm::Chat => "",
        };
        let continuation = |choice: &String| format!("{delimiter}{choice}");
        document.choices.iter().map(continuation).collect()
    }
}

/// SciQ as a message with lettered choices, answered in writing: another task than `sciq`, with which its
/// scores are not comparable.
#[derive(Clone)]
pub struct SciqChat {
    is_step_by_step: bool,
    resources: Resources,
}

impl SciqChat {
    /// With or without the instruction to think step by step.
    #[must_use]
    pub fn new(is_step_by_step: bool, resources: &Resources) -> Self {
        Self {
            is_step_by_step,
            resources: resources.clone(),
        }
    }
}

impl Task for SciqChat {
    fn name(&self) -> &str {
        if self.is_step_by_step {
            "sciq_chat_steps"
        } else {
            "sciq_chat"
        }
    }

    fn version(&self) -> &str {
        "1.0+1"
    }

    fn about(&self) -> About {
        About {
            summary: if self.is_step_by_step {
                "science questions with lettered choices as a message, step by step"
            } else {
                "science questions with lettered choices as a message"
            },
            licence: DATA.licence,
            file: Some(DATA.about()),
        }
    }

    /// The text before the question is attacked; there is no order of sentences to change.
    fn conditions(&self) -> &[Condition] {
        &[Condition::Clean, Condition::Distractor, Condition::Noise]
    }

    fn default_limit(&self) -> usize {
        usize::MAX
    }

    /// The choices in an order drawn for each question, the same under every condition and seed.
    fn documents(&self, selection: &Selection) -> Result<Vec<Document>> {
        let mut documents = documents(self, &self.resources, selection)?;
        for document in &mut documents {
            let mut random = Random::derive(&[Random::key("sciq"), Random::key(&document.id)]);
            let right = std::mem::take(&mut document.reference);
            random.shuffle(&mut document.choices);
            let position = document.choices.iter().position(|choice| *choice == right);
            document.reference = letter(position.unwrap_or_default()).to_string();
        }
        Ok(documents)
    }

    fn protocol(&self) -> Protocol<'_> {
        Protocol::Generative(self)
    }
}

fn letter(index: usize) -> char {
    char::from(b'A' + (index % 26) as u8)
}

impl Generative for SciqChat {
    fn prompt(&self, document: &Document, form: PromptForm) -> Prompt {
        let mut question = String::new();
        if !document.support.trim().is_empty() {
            question.push_str(&format!("{}\n\n", document.support.trim()));
        }
        question.push_str(&document.question);
        for (index, choice) in document.choices.iter().enumerate() {
            question.push_str(&format!("\n({}) {choice}", letter(index)));
        }
        if self.is_step_by_step {
            question.push('\n');
            question.push_str(super::gsm::STEP_BY_STEP);
        }
        question.push_str(
            "\nEnd with \"The answer is (X).\", where X is the letter of the right choice.",
        );
        Context {
            question,
            ..Context::default()
        }
        .prompt(form)
    }

    fn stop(&self, _form: PromptForm) -> Vec<String> {
        Vec::new()
    }

    fn max_new_tokens(&self) -> usize {
        1024
    }

    /// Strict: the last `answer is (X)`. Flexible: the last letter in parentheses or alone.
    fn score(&self, document: &Document, completion: &Completion) -> Result<SampleScore> {
        static STATED: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r"(?i:answer is:?)\s*\**\(([A-D])\)")
                .expect("the pattern is fixed and tested")
        });
        static ANY: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"\b([A-D])\b").expect("the pattern is fixed and tested"));
        let last = |pattern: &Regex| {
            let found = pattern.captures_iter(&completion.text).last()?;
            Some(found.get(1)?.as_str().to_owned())
        };
        let (strict, flexible) = (last(&STATED), last(&ANY));
        let is_right = |answer: &Option<String>| {
            answer
                .as_deref()
                .is_some_and(|answer| exact_match(answer, &document.reference, Ignore::Nothing))
        };
        Ok(SampleScore {
            correct: is_right(&strict),
            flexible_correct: is_right(&flexible),
            strict,
            flexible,
        })
    }
}
