//! How the completions of micro tasks are scored.

use super::{Item, MicroTask, linear_function, vocabulary};
use crate::extraction::{bare_words, last_label, last_number, stated_answer};
use crate::generator::{Completion, Finish};
use crate::task::SampleScore;

/// What an answer looks like, which decides what flexible reading looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extraction {
    /// A whole number.
    Number,
    /// A day of the week.
    Day,
    /// `left`, `middle` or `right`.
    Cup,
    /// The whole reply; flexibly, its bare words.
    Reply,
    /// A function on one line.
    Program,
}

impl Extraction {
    /// The form of the answers of one kind of problem.
    #[must_use]
    pub fn of(task: MicroTask, kind: &str) -> Self {
        match (task, kind) {
            (MicroTask::Chat, _) => Self::Reply,
            (MicroTask::Code, _) => Self::Program,
            (_, "date_understanding") => Self::Day,
            (_, "tracking_shuffled_objects") => Self::Cup,
            _ => Self::Number,
        }
    }
}

/// Scores `text`, what a model wrote, against the reference answer.
///
/// Strict: the last `The answer is X.` must say exactly the reference; a chat reply must be the reference
/// apart from white space around it. Flexible: the last number, day or cup of the text; the bare words
/// of a chat reply. A program is right here only where it is the reference to the letter: whether another one does the
/// same, only running it tells, as [`crate::task::MicroBenchmark`] does.
#[must_use]
pub fn score(extraction: Extraction, reference: &str, text: &str) -> SampleScore {
    let strict = match extraction {
        Extraction::Reply => Some(text.trim().to_owned()),
        _ => stated_answer(text).map(str::to_owned),
    };
    let flexible = match extraction {
        Extraction::Number => last_number(text).map(str::to_owned),
        Extraction::Day => last_label(text, &vocabulary::DAYS).map(str::to_owned),
        Extraction::Cup => last_label(text, &vocabulary::CUPS).map(str::to_owned),
        Extraction::Reply => Some(bare_words(text)),
        Extraction::Program => last_function(text).map(str::to_owned),
    };
    let flexible_reference = match extraction {
        Extraction::Reply => bare_words(reference),
        _ => reference.to_owned(),
    };
    SampleScore {
        correct: strict.as_deref() == Some(reference),
        flexible_correct: flexible.as_deref() == Some(flexible_reference.as_str()),
        strict,
        flexible,
    }
}

/// The last function that begins on a line of the text, to the end of that line, the full stop of a sentence left out.
fn last_function(text: &str) -> Option<&str> {
    let rest = &text[text.rfind(linear_function::HEAD)?..];
    let line = rest.lines().next().unwrap_or(rest).trim_end();
    Some(line.strip_suffix('.').unwrap_or(line))
}

impl Item {
    /// Scores a completion of this item; see [`score`].
    #[must_use]
    pub fn score(&self, text: &str) -> SampleScore {
        score(Extraction::of(self.task, self.kind), &self.answer, text)
    }

    /// The reward of reinforcement learning: 1 for a right answer (strictly read) in a completion that the
    /// model ended itself, else 0.
    #[must_use]
    pub fn reward(&self, completion: &Completion) -> f64 {
        let is_right =
            completion.finish == Finish::EndOfSequence && self.score(&completion.text).correct;
        f64::from(u8::from(is_right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::micro::{Solution, Split};

    #[test]
    fn reference_solutions_are_right_and_others_are_not() {
        for task in [
            MicroTask::Gsm,
            MicroTask::Bbh,
            MicroTask::Code,
            MicroTask::Chat,
        ] {
            for index in 0..300 {
                let item = task.generate(Split::Train, 0, index);
                for solution in [Solution::Direct, Solution::StepByStep] {
                    let text = item.solution(solution);
                    let score = item.score(text);
                    assert!(score.correct && score.flexible_correct, "{text}: {score:?}");
                }
                let other = task.generate(Split::Train, 0, index + 1);
                if other.answer != item.answer {
                    assert!(!item.score(&other.direct).correct);
                }
                assert!(!item.score("").correct);
            }
        }
    }

    #[test]
    fn strict_and_flexible_part_ways_where_the_form_is_missing() {
        let score = score(Extraction::Number, "21", " 24-3=21.");
        assert_eq!((score.correct, score.flexible_correct), (false, true));
        let reply = super::score(Extraction::Reply, "Hello Mia!", "hello, mia");
        assert_eq!((reply.correct, reply.flexible_correct), (false, true));
        // The last number counts, and it is not the stated one.
        let chatty = super::score(Extraction::Number, "21", "The answer is 21. I have 2 cats.");
        assert_eq!((chatty.correct, chatty.flexible_correct), (true, false));
    }

    #[test]
    fn a_function_is_read_to_the_end_of_its_line() {
        let read = |text: &str| {
            let score = score(Extraction::Program, "def f(x): return 2*x+8", text);
            (score.strict, score.flexible)
        };
        let function = |text: &str| Some(text.to_owned());
        assert_eq!(
            read("First x+4. The answer is def f(x): return (x+4)*2."),
            (
                function("def f(x): return (x+4)*2"),
                function("def f(x): return (x+4)*2")
            )
        );
        assert_eq!(
            read("def f(x): return x\ndef f(x): return 1. \nDone."),
            (None, function("def f(x): return 1"))
        );
        assert_eq!(read("The function is def g(x): return x."), (None, None));
    }

    #[test]
    fn only_a_clean_end_is_rewarded() {
        let item = MicroTask::Gsm.generate(Split::Train, 0, 0);
        let completion = |finish, text: &str| Completion {
            text: text.to_owned(),
            token_count: 9,
            mean_log_probability: None,
            finish,
        };
        assert_eq!(
            item.reward(&completion(Finish::EndOfSequence, &item.direct)),
            1.0
        );
        assert_eq!(item.reward(&completion(Finish::Length, &item.direct)), 0.0);
        assert_eq!(item.reward(&completion(Finish::Stop, &item.direct)), 0.0);
        assert_eq!(
            item.reward(&completion(Finish::EndOfSequence, " The answer is 999.")),
            0.0
        );
    }
}
