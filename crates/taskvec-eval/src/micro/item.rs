//! One problem in words, and the same problem under a condition.

use super::scene::Scene;
use super::{MicroTask, Problem, vocabulary};
use crate::condition::{Condition, misspell};
use crate::generator::{Message, Prompt};
use crate::random::Random;

/// Which reference solution to learn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Solution {
    /// The answer alone.
    Direct,
    /// Every intermediate result, then the answer. Tasks without steps give the direct solution.
    StepByStep,
}

/// One item of a micro task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// `task/split/seed/index`: the clean problem, whatever the condition.
    pub id: String,
    /// The task that it belongs to.
    pub task: MicroTask,
    /// Subtask, such as `date_understanding`.
    pub kind: &'static str,
    /// Operations (word problems, arithmetic, functions), swaps (shuffled objects), moves (dates), facts (science); 1 for
    /// chat.
    pub difficulty: u32,
    /// How the text was perturbed.
    pub condition: Condition,
    /// The facts to read, for multiple choice; empty otherwise.
    pub support: String,
    /// What is asked, the story included.
    pub question: String,
    /// The choices of a multiple-choice item, the right one last; empty otherwise.
    pub choices: Vec<String>,
    /// The reference answer: a number, a word, a choice, a program, or the whole reply in chat.
    pub answer: String,
    /// Python that defines `check(candidate)`, where the answer is a program.
    pub test: Option<String>,
    /// The short reference solution; a choice has its leading space.
    pub direct: String,
    /// The step-by-step reference solution, where steps make sense.
    pub steps: Option<String>,
    problem: Problem,
}

impl Item {
    pub(super) fn new(id: String, task: MicroTask, problem: Problem) -> Self {
        let item = Self {
            id,
            task,
            kind: "",
            difficulty: 1,
            condition: Condition::Clean,
            support: String::new(),
            question: String::new(),
            choices: Vec::new(),
            answer: String::new(),
            test: match &problem {
                Problem::Function(function) => Some(function.test()),
                _ => None,
            },
            direct: String::new(),
            steps: None,
            problem,
        };
        match &item.problem {
            Problem::Science(science) => Self {
                kind: science.kind(),
                difficulty: science.facts.len() as u32,
                support: science.facts.join(" "),
                question: science.question(),
                choices: science.choices.clone(),
                answer: science.choices.last().cloned().unwrap_or_default(),
                direct: science
                    .choices
                    .last()
                    .map(|choice| format!(" {choice}"))
                    .unwrap_or_default(),
                ..item
            },
            Problem::Chat(exchange) => Self {
                kind: exchange.kind(),
                question: exchange.message.clone(),
                answer: exchange.reply.clone(),
                direct: exchange.reply.clone(),
                ..item
            },
            generative => match generative.puzzle() {
                Some(puzzle) => {
                    let (kind, difficulty, scene) =
                        (puzzle.kind(), puzzle.difficulty(), puzzle.scene());
                    let question = scene.text();
                    Self {
                        kind,
                        difficulty,
                        ..item
                    }
                    .told(&scene, question)
                }
                None => item,
            },
        }
    }

    fn told(self, scene: &Scene, question: String) -> Self {
        Self {
            question,
            answer: scene.answer.clone(),
            direct: scene.direct(),
            steps: Some(scene.step_by_step()),
            ..self
        }
    }

    /// The same problem under `condition`, drawn from `seed` and the item's identity.
    ///
    /// Starts from the clean problem, whatever the condition of `self`. `None` where the task is not asked
    /// under that condition (see [`MicroTask::conditions`]).
    #[must_use]
    pub fn with_condition(&self, condition: Condition, seed: u64) -> Option<Self> {
        let clean = Self::new(self.id.clone(), self.task, self.problem.clone());
        if condition == Condition::Clean {
            return Some(clean);
        }
        let puzzle = self.problem.puzzle()?;
        let mut random = Random::derive(&[seed, condition as u64, Random::key(&self.id)]);
        let mut scene = if condition.reorders() {
            puzzle.reordered()
        } else {
            puzzle.scene()
        };
        if condition.distracts() {
            let place = random.below(scene.sentences.len());
            let sentence = puzzle.distractor(&mut random);
            scene.sentences.insert(place, sentence);
        }
        let mut question = scene.text();
        if condition.misspells() {
            question = misspell(
                &question,
                &mut random,
                &vocabulary::is_name,
                &vocabulary::is_word,
            );
        }
        Some(Self { condition, ..clean }.told(&scene, question))
    }

    /// The text that a base model continues: `Q: …\nA:\n`, or support, question and `Answer:` for multiple
    /// choice, whose choices bring their leading space.
    #[must_use]
    pub fn base_text(&self) -> String {
        if self.choices.is_empty() {
            format!("Q: {}\nA:\n", self.question)
        } else {
            format!("{}\nQuestion: {}\nAnswer:", self.support, self.question)
        }
    }

    /// [`Item::base_text`] as a prompt.
    #[must_use]
    pub fn base_prompt(&self) -> Prompt {
        Prompt::Text(self.base_text())
    }

    /// The conversation that a chat model answers. Multiple choice has none of its own: it is asked as the
    /// harness asks it, in plain text, of every model.
    #[must_use]
    pub fn chat_prompt(&self) -> Prompt {
        if self.choices.is_empty() {
            Prompt::Chat(vec![Message::user(self.question.clone())])
        } else {
            self.base_prompt()
        }
    }

    /// A reference solution: what follows [`Item::base_text`], and the assistant's turn.
    #[must_use]
    pub fn solution(&self, solution: Solution) -> &str {
        match solution {
            Solution::Direct => &self.direct,
            Solution::StepByStep => self.steps.as_deref().unwrap_or(&self.direct),
        }
    }

    /// What makes this problem this problem, whatever its wording or condition: the train/test split is a
    /// hash of it, and items of different splits never share it.
    #[must_use]
    pub fn canonical(&self) -> String {
        self.problem.canonical()
    }
}
