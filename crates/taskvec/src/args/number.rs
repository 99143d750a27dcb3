//! Numbers that flags take, and what is said of those that make no sense.
//!
//! Each function reads one kind of number; clap names the flag and what was given.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};

use taskvec_eval::generator::Sampling;

/// More threads than machines have.
const MOST_THREADS: u64 = 1024;
/// More requests at once than one process should hold connections for.
const MOST_REQUESTS: u64 = 1024;
/// More than any set of questions has; synthetic ones would go on without end.
const MOST_QUESTIONS: u64 = 100_000;
/// More answers to one question than any study of pass@k has drawn.
const MOST_ANSWERS: u64 = 10_000;
/// A week.
const MOST_SECONDS: u64 = 7 * 24 * 60 * 60;

/// Threads that work.
pub(super) fn threads(text: &str) -> Result<NonZeroUsize, String> {
    whole(text, MOST_THREADS)
}

/// Requests under way at once.
pub(super) fn requests(text: &str) -> Result<NonZeroUsize, String> {
    whole(text, MOST_REQUESTS)
}

/// Questions of a task.
pub(super) fn questions(text: &str) -> Result<usize, String> {
    whole(text, MOST_QUESTIONS).map(NonZeroUsize::get)
}

/// Answers to each question.
pub(super) fn answers(text: &str) -> Result<NonZeroU32, String> {
    whole(text, MOST_ANSWERS)
}

/// A time in seconds.
pub(super) fn seconds(text: &str) -> Result<NonZeroU64, String> {
    whole(text, MOST_SECONDS)
}

/// Tokens of an answer, or to choose among. How many there can be, the model says.
pub(super) fn tokens(text: &str) -> Result<usize, String> {
    let read: Result<NonZeroUsize, _> = text.parse();
    read.map(NonZeroUsize::get)
        .map_err(|_| "expected a whole number, 1 or more".to_owned())
}

/// A softmax temperature, 0 among them.
pub(super) fn temperature(text: &str) -> Result<f64, String> {
    let temperature = number(text)?;
    check(Sampling {
        temperature,
        ..Sampling::greedy()
    })?;
    Ok(temperature)
}

/// A softmax temperature at which answers are drawn.
pub(super) fn drawing_temperature(text: &str) -> Result<f64, String> {
    match temperature(text) {
        Ok(0.0) | Err(_) => Err(
            "expected a number above 0, such as 0.7; without the flag the likeliest token is taken"
                .to_owned(),
        ),
        Ok(temperature) => Ok(temperature),
    }
}

/// The probability of a nucleus.
pub(super) fn top_p(text: &str) -> Result<f64, String> {
    let top_p = number(text)?;
    check(Sampling {
        top_p,
        ..Sampling::greedy()
    })?;
    Ok(top_p)
}

fn check(sampling: Sampling) -> Result<(), String> {
    sampling
        .check()
        .map_err(|error| format!("expected {}", error.expected))
}

fn number(text: &str) -> Result<f64, String> {
    text.parse()
        .map_err(|_| "expected a number, such as 0.7".to_owned())
}

fn whole<T: TryFrom<NonZeroU64>>(text: &str, most: u64) -> Result<T, String> {
    text.parse::<NonZeroU64>()
        .ok()
        .filter(|number| number.get() <= most)
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| format!("expected a whole number from 1 to {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_have_two_ends() {
        assert_eq!(threads("1024").unwrap().get(), 1024);
        for wrong in ["0", "1025", "100000", "-1", "1.5", "", "two", "1e3"] {
            assert_eq!(
                threads(wrong).unwrap_err(),
                "expected a whole number from 1 to 1024",
                "{wrong}"
            );
        }
        assert_eq!(questions("200"), Ok(200));
        assert_eq!(answers("5").unwrap().get(), 5);
        assert_eq!(seconds("604800").unwrap().get(), 604_800);
        for (wrong, read) in [
            ("18446744073709551615", seconds(&u64::MAX.to_string()).err()),
            ("10001", answers("10001").err()),
            ("0", questions("0").err()),
            ("0", tokens("0").err()),
            ("0", requests("0").err()),
        ] {
            assert!(
                read.is_some_and(|said| said.starts_with("expected a whole number")),
                "{wrong}"
            );
        }
    }

    #[test]
    fn sampling_numbers() {
        assert_eq!(temperature("0"), Ok(0.0));
        assert_eq!(drawing_temperature("0.7"), Ok(0.7));
        assert_eq!(top_p("1"), Ok(1.0));
        for wrong in ["-1", "nan", "inf", "-inf", "1e999", "warm", ""] {
            assert!(temperature(wrong).is_err(), "{wrong}");
            assert!(drawing_temperature(wrong).is_err(), "{wrong}");
        }
        assert!(drawing_temperature("0").is_err() && drawing_temperature("-0").is_err());
        for wrong in ["0", "-0.1", "1.1", "nan", "inf", "most"] {
            assert!(top_p(wrong).is_err(), "{wrong}");
        }
    }
}
