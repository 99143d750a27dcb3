//! HumanEval (Chen et al. 2021, "Evaluating Large Language Models Trained on Code").

use super::context::Context;
use crate::condition::{self, Condition, Passage};
use crate::error::{Error, Result};
use crate::generator::{Completion, Prompt};
use crate::sandbox::Program;
use crate::split::Split;
use crate::task::data::{HUMANEVAL, Resources};
use crate::task::judge::{judged, ready};
use crate::task::{
    About, Document, Generative, Metric, PromptForm, Protocol, SampleScore, Selection, Task,
    unsupported,
};
use std::collections::BTreeMap;

/// How the problem is put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HumanEvalSetting {
    /// The harness' `humaneval`: the prompt is continued as it is.
    Continuation,
    /// The harness' `humaneval_instruct`: a request, and an answer that has begun with the prompt.
    Instruct,
    /// A request, answered with a fenced block that holds the whole function.
    Chat,
    /// The same with the instruction to think step by step.
    ChatSteps,
}

/// Programs that are judged by running them.
#[derive(Clone)]
pub struct HumanEval {
    setting: HumanEvalSetting,
    resources: Resources,
}

impl HumanEval {
    /// The task in that setting.
    #[must_use]
    pub fn new(setting: HumanEvalSetting, resources: &Resources) -> Self {
        Self {
            setting,
            resources: resources.clone(),
        }
    }

    /// Every one there is.
    #[must_use]
    pub fn all(resources: &Resources) -> Vec<Self> {
        use HumanEvalSetting::{Chat, ChatSteps, Continuation, Instruct};
        [Continuation, Instruct, Chat, ChatSteps]
            .into_iter()
            .map(|setting| Self::new(setting, resources))
            .collect()
    }

    /// The program that `completion`, which stop strings have cut already, makes of the prompt.
    #[must_use]
    pub fn program(&self, document: &Document, completion: &str) -> String {
        let prompt = field(document, "prompt");
        match self.setting {
            HumanEvalSetting::Continuation => format!("{prompt}{completion}"),
            HumanEvalSetting::Instruct => {
                let code = completion
                    .find("```")
                    .map_or(completion, |end| &completion[..end]);
                format!("{prompt}{code}")
            }
            HumanEvalSetting::Chat | HumanEvalSetting::ChatSteps => {
                whole_answer(prompt, field(document, "entry_point"), completion)
            }
        }
    }
}

fn field<'a>(document: &'a Document, name: &str) -> &'a str {
    document.fields.get(name).map_or("", String::as_str)
}

/// The last fenced block that defines the function, or the last block, or the text itself; a block without
/// the function's head continues the prompt. What the prompt imports and defines comes first in any case.
fn whole_answer(prompt: &str, entry_point: &str, text: &str) -> String {
    let head = format!("def {entry_point}");
    let blocks: Vec<&str> = text
        .split("```")
        .skip(1)
        .step_by(2)
        .map(|block| match block.split_once('\n') {
            Some((language, code)) if !language.trim().contains(' ') => code,
            _ => block,
        })
        .collect();
    let defines = |block: &&&str| block.contains(&head);
    let code = blocks.iter().rfind(defines).or(blocks.last()).copied();
    let code = code.unwrap_or(text);
    if code.contains(&head) {
        let before = prompt.find(&head).map_or("", |start| &prompt[..start]);
        format!("{before}{code}")
    } else {
        format!("{prompt}{code}")
    }
}

impl Task for HumanEval {
    fn name(&self) -> &str {
        match self.setting {
            HumanEvalSetting::Continuation => "humaneval",
            HumanEvalSetting::Instruct => "humaneval_instruct",
            HumanEvalSetting::Chat => "humaneval_chat",
            HumanEvalSetting::ChatSteps => "humaneval_chat_steps",
        }
    }

    fn version(&self) -> &str {
        match self.setting {
            HumanEvalSetting::Instruct => "4.0+1",
            _ => "1.0+1",
        }
    }

    fn about(&self) -> About {
        About {
            summary: match self.setting {
                HumanEvalSetting::Continuation => {
                    "Python functions from docstrings, continued (harness)"
                }
                HumanEvalSetting::Instruct => {
                    "Python functions, request and begun answer (harness)"
                }
                HumanEvalSetting::Chat => "Python functions as a message",
                HumanEvalSetting::ChatSteps => "Python functions as a message, step by step",
            },
            licence: "MIT",
            file: None,
        }
    }

    /// A docstring can be misspelt and have a sentence added; its order is part of the problem.
    fn conditions(&self) -> &[Condition] {
        &[Condition::Clean, Condition::Distractor, Condition::Noise]
    }

    fn default_limit(&self) -> usize {
        usize::MAX
    }

    fn documents(&self, selection: &Selection) -> Result<Vec<Document>> {
        unsupported(self, selection)?;
        if selection.split == Split::Train {
            return Err(Error::NoTrainingSplit {
                task: self.name().to_owned(),
            });
        }
        let limit = selection.limit.unwrap_or(usize::MAX);
        Ok(HUMANEVAL
            .records()?
            .iter()
            .take(limit)
            .map(|problem| {
                let prompt = condition::perturb(
                    &Passage::docstring(&problem.prompt),
                    selection.condition,
                    selection.seed,
                    &format!("humaneval/{}", problem.task_id),
                );
                Document {
                    id: problem.task_id.clone(),
                    kind: String::new(),
                    condition: selection.condition,
                    support: String::new(),
                    question: prompt.clone(),
                    choices: Vec::new(),
                    reference: problem.canonical_solution.clone(),
                    fields: BTreeMap::from([
                        ("prompt".to_owned(), prompt),
                        ("test".to_owned(), problem.test.clone()),
                        ("entry_point".to_owned(), problem.entry_point.clone()),
                    ]),
                }
            })
            .collect())
    }

    fn protocol(&self) -> Protocol<'_> {
        Protocol::Generative(self)
    }

    fn metric(&self) -> Metric {
        Metric::PassAtOne
    }

    fn ready(&self) -> Result<()> {
        ready(self.resources.judge.as_ref(), self.name())
    }
}

impl Generative for HumanEval {
    fn prompt(&self, document: &Document, form: PromptForm) -> Prompt {
        let prompt = &document.question;
        let request =
            "Write a solution to the following problem and make sure that it passes the tests:";
        let fenced = format!("{request}\n```python\n{prompt}\n```\n");
        let (question, prefix) = match self.setting {
            HumanEvalSetting::Continuation => (prompt.clone(), String::new()),
            HumanEvalSetting::Instruct => {
                let prefix = format!("Here is the completed function:\n```python\n{prompt}\n");
                (fenced, prefix)
            }
            HumanEvalSetting::Chat => (fenced, String::new()),
            HumanEvalSetting::ChatSteps => (
                format!("{fenced}{}", super::gsm::STEP_BY_STEP),
                String::new(),
            ),
        };
        Context {
            delimiter: " ",
            question,
            prefix,
            ..Context::default()
        }
        .prompt(form)
    }

    fn stop(&self, _form: PromptForm) -> Vec<String> {
        match self.setting {
            HumanEvalSetting::Continuation | HumanEvalSetting::Instruct => {
                ["\nclass", "\ndef", "\n#", "\nif", "\nprint"]
                    .map(str::to_owned)
                    .to_vec()
            }
            HumanEvalSetting::Chat | HumanEvalSetting::ChatSteps => Vec::new(),
        }
    }

    fn max_new_tokens(&self) -> usize {
        1024
    }

    fn score(&self, document: &Document, completion: &Completion) -> Result<SampleScore> {
        let text = self.program(document, &completion.text);
        let program = Program {
            prelude: field(document, "prompt"),
            text: &text,
            test: field(document, "test"),
            entry_point: field(document, "entry_point"),
        };
        let judge = self.resources.judge.as_ref();
        let judgement = judged(judge, self.name(), document, &program)?;
        Ok(SampleScore {
            correct: judgement.passed,
            flexible_correct: judgement.passed,
            strict: Some(judgement.outcome.clone()),
            flexible: Some(judgement.outcome),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::whole_answer;

    #[test]
    fn the_function_is_found_in_a_message() {
        let prompt = "import math\n\ndef area(r):\n    \"\"\"Of a circle.\"\"\"\n";
        let whole = "def area(r):\n    return math.pi * r * r\n";
        for text in [
            format!("Sure.\n```python\n{whole}```\nDone."),
            format!("```\nprint(1)\n```\nthen\n```python\n{whole}```\n```\narea(2)\n```"),
            format!("```python\n{whole}"),
        ] {
            assert_eq!(
                whole_answer(prompt, "area", &text),
                format!("import math\n\n{whole}"),
                "{text}"
            );
        }
        let body = "    return 3\n";
        assert_eq!(
            whole_answer(prompt, "area", body),
            format!("{prompt}{body}")
        );
        assert_eq!(whole_answer(prompt, "area", ""), prompt);
    }
}
