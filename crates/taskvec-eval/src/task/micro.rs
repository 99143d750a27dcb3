//! The micro world's tasks as benchmarks.

use super::judge::{judged, ready};
use super::{
    About, Document, Generative, Judge, Metric, MultipleChoice, PromptForm, Protocol, Resources,
    SampleScore, Selection, Task,
};
use crate::condition::Condition;
use crate::error::{Error, Result};
use crate::generator::{Completion, Message, Prompt};
use crate::micro::{self, Extraction, Item, MicroTask, score};
use crate::sandbox::Program;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Documents asked by default: 95 % intervals of at most ±5.7 points, in seconds on a laptop.
const DEFAULT_LIMIT: usize = 300;

/// Chat has not many more distinct test items than this.
const DEFAULT_CHAT_LIMIT: usize = 150;

/// How many items are looked at for each document wanted, before fewer are taken to be all there are.
const DRAWS_PER_DOCUMENT: u64 = 20;

/// Adapts a [`MicroTask`] to [`Task`].
#[derive(Clone)]
pub struct MicroBenchmark {
    task: MicroTask,
    judge: Option<Arc<dyn Judge>>,
}

impl MicroBenchmark {
    /// The task, its programs run by `resources.micro_judge`.
    #[must_use]
    pub fn new(task: MicroTask, resources: &Resources) -> Self {
        Self {
            task,
            judge: resources.micro_judge.clone(),
        }
    }

    /// Every one there is.
    #[must_use]
    pub fn all(resources: &Resources) -> Vec<Self> {
        MicroTask::ALL
            .into_iter()
            .map(|task| Self::new(task, resources))
            .collect()
    }

    fn passes(&self, document: &Document, text: &str) -> Result<bool> {
        let field = |name| document.fields.get(name).map_or("", String::as_str);
        judged(
            self.judge.as_ref(),
            self.name(),
            document,
            &Program {
                prelude: "",
                text,
                test: field("test"),
                entry_point: field("entry_point"),
            },
        )
        .map(|judgement| judgement.passed)
    }
}

impl From<Item> for Document {
    fn from(item: Item) -> Self {
        let mut fields = BTreeMap::from([("difficulty".to_owned(), item.difficulty.to_string())]);
        if let Some(test) = item.test {
            fields.insert("test".to_owned(), test);
            fields.insert("entry_point".to_owned(), micro::ENTRY_POINT.to_owned());
        }
        Self {
            id: item.id,
            kind: item.kind.to_owned(),
            condition: item.condition,
            support: item.support,
            question: item.question,
            choices: item.choices,
            reference: item.answer,
            fields,
        }
    }
}

impl Task for MicroBenchmark {
    fn name(&self) -> &str {
        self.task.name()
    }

    fn version(&self) -> &str {
        self.task.version()
    }

    fn about(&self) -> About {
        About {
            summary: match self.task {
                MicroTask::Gsm => "word problems of the micro world",
                MicroTask::Bbh => "dates, cups and arithmetic of the micro world",
                MicroTask::Code => "Python functions of the micro world, judged by running them",
                MicroTask::Sciq => "multiple choice of the micro world, by likelihood",
                MicroTask::Chat => "greetings and small instructions of the micro world",
            },
            licence: "synthetic",
            file: None,
        }
    }

    fn conditions(&self) -> &[Condition] {
        self.task.conditions()
    }

    fn default_limit(&self) -> usize {
        match self.task {
            MicroTask::Chat => DEFAULT_CHAT_LIMIT,
            _ => DEFAULT_LIMIT,
        }
    }

    /// Distinct documents: an item whose text an earlier one has is passed over, since the same question
    /// twice is one observation and not two. Where a task has fewer distinct items than asked for (chat has
    /// some 300 test items), those that there are.
    fn documents(&self, selection: &Selection) -> Result<Vec<Document>> {
        let limit = selection.limit.unwrap_or(self.default_limit());
        let draws = (limit as u64).saturating_mul(DRAWS_PER_DOCUMENT);
        let mut seen = BTreeSet::new();
        let mut documents = Vec::new();
        for index in 0..draws {
            if documents.len() == limit {
                break;
            }
            let item = self.task.generate(selection.split, selection.seed, index);
            if !seen.insert((item.support.clone(), item.question.clone())) {
                continue;
            }
            let item = item
                .with_condition(selection.condition, selection.seed)
                .ok_or_else(|| Error::UnsupportedCondition {
                    task: self.task.name().to_owned(),
                    condition: selection.condition,
                    supported: self.task.conditions().to_vec(),
                })?;
            documents.push(Document::from(item));
        }
        Ok(documents)
    }

    fn protocol(&self) -> Protocol<'_> {
        match self.task {
            MicroTask::Gsm | MicroTask::Bbh | MicroTask::Code | MicroTask::Chat => {
                Protocol::Generative(self)
            }
            MicroTask::Sciq => Protocol::MultipleChoice(self),
        }
    }

    fn metric(&self) -> Metric {
        match self.task {
            MicroTask::Code => Metric::PassAtOne,
            _ => self.protocol().metric(),
        }
    }

    fn ready(&self) -> Result<()> {
        match self.task {
            MicroTask::Code => ready(self.judge.as_ref(), self.name()),
            _ => Ok(()),
        }
    }
}

impl Generative for MicroBenchmark {
    fn prompt(&self, document: &Document, form: PromptForm) -> Prompt {
        match form {
            PromptForm::Base => Prompt::Text(format!("Q: {}\nA:\n", document.question)),
            PromptForm::Chat => Prompt::Chat(vec![Message::user(document.question.clone())]),
        }
    }

    /// No reference solution has a second line: what follows a newline is the next question, made up.
    fn stop(&self, _form: PromptForm) -> Vec<String> {
        vec!["\n".to_owned()]
    }

    /// The longest reference solutions take under 50 tokens where every word is one.
    fn max_new_tokens(&self) -> usize {
        match self.task {
            MicroTask::Chat => 32,
            _ => 64,
        }
    }

    fn score(&self, document: &Document, completion: &Completion) -> Result<SampleScore> {
        let read = score(
            Extraction::of(self.task, &document.kind),
            &document.reference,
            &completion.text,
        );
        if self.task != MicroTask::Code {
            return Ok(read);
        }
        let correct = match &read.strict {
            Some(program) => self.passes(document, program)?,
            None => false,
        };
        let flexible_correct = match &read.flexible {
            Some(program) if read.strict.as_ref() != Some(program) => {
                self.passes(document, program)?
            }
            Some(_) => correct,
            None => false,
        };
        Ok(SampleScore {
            correct,
            flexible_correct,
            ..read
        })
    }
}

impl MultipleChoice for MicroBenchmark {
    /// Plain text whatever the form, as the harness asks without a chat template: the choices are
    /// continuations of a text, and a turn of a chat would make them something else.
    fn prompt(&self, document: &Document, _form: PromptForm) -> Prompt {
        Prompt::Text(format!(
            "{}\nQuestion: {}\nAnswer:",
            document.support.trim_start(),
            document.question
        ))
    }

    fn continuations(&self, document: &Document, _form: PromptForm) -> Vec<String> {
        document
            .choices
            .iter()
            .map(|choice| format!(" {choice}"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::{Finish, Likelihood};
    use crate::micro::{Solution, Split};
    use crate::task::Judgement;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn benchmark(task: MicroTask) -> MicroBenchmark {
        MicroBenchmark::new(task, &Resources::default())
    }

    #[test]
    fn documents_are_the_items_and_prompts_are_theirs() {
        let selection = Selection {
            condition: Condition::Adversarial,
            limit: Some(9),
            seed: 3,
            ..Selection::test()
        };
        let documents = benchmark(MicroTask::Bbh).documents(&selection).unwrap();
        assert_eq!(documents.len(), 9);
        for (index, document) in documents.iter().enumerate() {
            let item = MicroTask::Bbh.generate(Split::Test, 3, index as u64);
            let item = item.with_condition(Condition::Adversarial, 3).unwrap();
            let task = benchmark(MicroTask::Bbh);
            assert_eq!(
                Generative::prompt(&task, document, PromptForm::Base),
                item.base_prompt()
            );
            assert_eq!(
                Generative::prompt(&task, document, PromptForm::Chat),
                item.chat_prompt()
            );
            assert_eq!(document.reference, item.answer);
        }
        let longer = benchmark(MicroTask::Bbh)
            .documents(&Selection {
                limit: Some(12),
                ..selection
            })
            .unwrap();
        assert_eq!(longer[..9], documents[..]);
    }

    #[test]
    fn documents_are_distinct_and_as_many_as_promised() {
        for task in MicroTask::ALL.map(benchmark) {
            let documents = task.documents(&Selection::test()).unwrap();
            assert_eq!(documents.len(), task.default_limit(), "{}", task.name());
            let texts: BTreeSet<(&str, &str)> = documents
                .iter()
                .map(|document| (document.support.as_str(), document.question.as_str()))
                .collect();
            assert_eq!(texts.len(), documents.len(), "{}", task.name());
        }
        let chat = benchmark(MicroTask::Chat);
        let all = chat
            .documents(&Selection {
                limit: Some(5_000),
                ..Selection::test()
            })
            .unwrap();
        assert!((200..400).contains(&all.len()), "{}", all.len());
    }

    #[test]
    fn reference_solutions_fit_the_limit() {
        for task in [
            MicroTask::Gsm,
            MicroTask::Bbh,
            MicroTask::Code,
            MicroTask::Chat,
        ] {
            for index in 0..500 {
                let item = task.generate(Split::Test, 0, index);
                let text = item.solution(Solution::StepByStep);
                // Tokens: words with the space before them, digits, marks, and spaces before digits.
                let words = text
                    .split(|c: char| !c.is_ascii_alphabetic())
                    .filter(|word| !word.is_empty())
                    .count();
                let others = text
                    .chars()
                    .filter(|c| !c.is_ascii_alphabetic() && *c != ' ')
                    .count();
                let digits = |pair: &[u8]| pair[0] == b' ' && pair[1].is_ascii_digit();
                let spaces = text
                    .as_bytes()
                    .windows(2)
                    .filter(|pair| digits(pair))
                    .count();
                assert!(
                    words + others + spaces < benchmark(task).max_new_tokens(),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn multiple_choice_follows_the_harness() {
        let task = benchmark(MicroTask::Sciq);
        let mut document = task
            .documents(&Selection {
                limit: Some(1),
                ..Selection::test()
            })
            .unwrap()
            .remove(0);
        document.choices = ["sea", "longer", "owl", "river"]
            .map(str::to_owned)
            .to_vec();
        document.reference = "river".to_owned();
        let score = |sums: [f64; 4]| {
            let likelihoods = sums.map(|log_probability| Likelihood {
                log_probability,
                is_greedy: false,
                token_count: 1,
            });
            MultipleChoice::score(&task, &document, &likelihoods)
        };
        assert!(score([-4.0, -3.0, -2.0, -1.0]).correct);
        // A tie goes to the earlier choice, and the right one is last.
        assert_eq!(
            score([-1.0, -3.0, -2.0, -1.0]).strict.as_deref(),
            Some("sea")
        );
        // By character: -3/3, -3/6, -3/3, -3.5/5.
        let both = score([-3.0, -3.0, -3.0, -3.5]);
        assert_eq!(
            (both.strict.as_deref(), both.flexible.as_deref()),
            (Some("sea"), Some("longer"))
        );
        assert_eq!(task.continuations(&document, PromptForm::Chat)[3], " river");
    }

    /// Passes what returns the doubled number, and counts.
    #[derive(Default)]
    struct Doubling(AtomicUsize);

    impl Judge for Doubling {
        fn judge(
            &self,
            program: &Program<'_>,
        ) -> std::result::Result<Judgement, Box<dyn std::error::Error + Send + Sync + 'static>>
        {
            self.0.fetch_add(1, Ordering::Relaxed);
            assert_eq!(program.entry_point, "f");
            assert!(
                program
                    .test
                    .starts_with("def check(candidate):\n    assert")
            );
            let passed = ["def f(x): return 2*x", "def f(x): return x+x"].contains(&program.text);
            Ok(Judgement {
                passed,
                outcome: String::new(),
            })
        }
    }

    #[test]
    fn programs_are_right_where_the_judge_says_so() {
        let judge = Arc::new(Doubling::default());
        let task = MicroBenchmark::new(
            MicroTask::Code,
            &Resources {
                micro_judge: Some(judge.clone()),
                ..Resources::default()
            },
        );
        task.ready().unwrap();
        assert_eq!(task.metric(), Metric::PassAtOne);
        let document = task
            .documents(&Selection {
                limit: Some(1),
                ..Selection::test()
            })
            .unwrap()
            .remove(0);
        let score = |text: &str| {
            let completion = Completion {
                text: text.to_owned(),
                token_count: 9,
                finish: Finish::EndOfSequence,
                mean_log_probability: None,
            };
            let runs = judge.0.load(Ordering::Relaxed);
            let score = Generative::score(&task, &document, &completion).unwrap();
            let runs = judge.0.load(Ordering::Relaxed) - runs;
            (score.correct, score.flexible_correct, runs)
        };
        // Another way of writing the function is as right; the reference itself is nothing special.
        for right in ["2*x", "x+x"] {
            let text = format!("First {right}. The answer is def f(x): return {right}.");
            assert_eq!(score(&text), (true, true, 1), "{text}");
        }
        assert_eq!(
            score(&format!("The answer is {}.", document.reference)),
            (false, false, 1)
        );
        assert_eq!(score("def f(x): return x+x"), (false, true, 1));
        assert_eq!(
            score("The answer is def f(x): return 2*x. Or def f(x): return x."),
            (true, false, 2)
        );
        // No program, nothing to run.
        assert_eq!(score("First x+4. The answer is"), (false, false, 0));
        assert_eq!(score("The answer is 7."), (false, false, 1));
    }

    #[test]
    fn programs_need_a_judge() {
        let error = benchmark(MicroTask::Code).ready().unwrap_err();
        assert!(matches!(error, Error::NoJudge { task } if task == "micro-code"));
        assert!(benchmark(MicroTask::Gsm).ready().is_ok());
    }

    #[test]
    fn a_condition_that_is_not_there_is_refused() {
        let selection = Selection {
            condition: Condition::Noise,
            ..Selection::test()
        };
        let error = benchmark(MicroTask::Sciq)
            .documents(&selection)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "task `micro-sciq` has no condition `noise`: it has clean"
        );
        assert_eq!(error.hint().unwrap(), "ask for `clean`");
    }
}
