//! Reading answers out of completions: the harness' filters.

use super::python::{is_boundary, is_space, strip};
use super::{INVALID, number_words};
use regex::Regex;
use std::sync::LazyLock;

/// Which of several matches counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pick {
    First,
    Last,
}

impl Pick {
    fn of<T>(self, mut matches: impl DoubleEndedIterator<Item = T>) -> Option<T> {
        match self {
            Self::First => matches.next(),
            Self::Last => matches.next_back(),
        }
    }
}

macro_rules! pattern {
    ($name:ident, $pattern:expr) => {
        static $name: LazyLock<Regex> =
            LazyLock::new(|| Regex::new($pattern).expect("the pattern is fixed and tested"));
    };
}

pub(super) static LETTER_OR_NUMBER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[\p{L}\p{N}]").expect("the pattern is fixed and tested"));

pattern!(HASHES, r"#### (-?[0-9.,]+)");
// The last dot is any character in the harness, and kept.
pattern!(STATED, r"The answer is (-?[0-9.,]+).");
pattern!(NUMBER, r"-?[$0-9.,]{2,}|-?[0-9]+");
pattern!(DIGITS, r"[-0-9]+");
pattern!(BRACKETS, r#"[" \[(<{}>)\]]+"#);
pattern!(LETTER, r"\([A-Z]\)");
pattern!(OPTION, r"\([A-Z]\)([^\n^(]*)");
pattern!(PUNCTUATION, r"\p{P}");
pattern!(ANSWER, r"the answer is ([^\n]+)");
pattern!(
    ANY_ANSWER,
    r"(?:The answer is |the answer is |The answer: |The final answer: )([^\n]+)"
);

fn found(text: Option<&str>) -> String {
    text.map_or(INVALID, strip).to_owned()
}

fn first_group<'a>(pattern: &Regex, text: &'a str) -> Option<&'a str> {
    Some(pattern.captures(text)?.get(1)?.as_str())
}

/// `#### N`, the first.
pub(super) fn after_hashes(text: &str) -> String {
    found(first_group(&HASHES, text))
}

/// `The answer is N` and one more character, the first.
pub(super) fn stated_number(text: &str) -> String {
    found(first_group(&STATED, text))
}

/// The last run of two or more of `$`, digits, `.` and `,`, or of digits alone.
pub(super) fn last_number(text: &str) -> String {
    found(NUMBER.find_iter(text).last().map(|number| number.as_str()))
}

/// The rest of the line less its last character, which is what `(.*)(?=.)` takes.
fn all_but_last(rest: &str) -> &str {
    let last = rest.char_indices().next_back();
    last.map_or("", |(position, _)| &rest[..position])
}

/// What follows the first `the answer is ` on its line, less one character.
pub(super) fn stated_answer(text: &str) -> String {
    found(first_group(&ANSWER, text).map(all_but_last))
}

/// What follows the first of four such phrases, less one character.
pub(super) fn any_stated_answer(text: &str) -> String {
    let answer = first_group(&ANY_ANSWER, text).map(all_but_last);
    found(answer.filter(|answer| !answer.is_empty()))
}

/// Every one of `phrases` in `text` that stands between `\b` and `\b`; at one place the earlier phrase counts.
fn phrases_in<'a>(text: &str, phrases: &[&'a str]) -> Vec<&'a str> {
    let mut matches = Vec::new();
    let mut position = 0;
    while position < text.len() {
        let rest = &text[position..];
        let here = phrases.iter().find(|phrase| {
            !phrase.is_empty()
                && rest.starts_with(**phrase)
                && is_boundary(text, position)
                && is_boundary(text, position + phrase.len())
        });
        position += match here {
            Some(phrase) => {
                matches.push(*phrase);
                phrase.len()
            }
            None => rest.chars().next().map_or(1, char::len_utf8),
        };
    }
    matches
}

/// A whole word out of a list.
pub(super) fn word(text: &str, words: &[&str], pick: Pick) -> String {
    found(pick.of(phrases_in(text, words).into_iter()))
}

/// The value of a phrase, in small letters, that is found in the lower-cased text.
pub(super) fn mapped_word(text: &str, values: &[(&str, &str)], pick: Pick) -> String {
    let phrases: Vec<&str> = values.iter().map(|(phrase, _)| *phrase).collect();
    let lower = text.to_lowercase();
    let chosen = pick.of(phrases_in(&lower, &phrases).into_iter());
    let value = values.iter().find(|(phrase, _)| Some(*phrase) == chosen);
    value.map_or(INVALID, |(_, value)| value).to_owned()
}

/// A run of brackets, quotation marks and spaces.
pub(super) fn brackets(text: &str, pick: Pick) -> String {
    let runs: Vec<&str> = BRACKETS.find_iter(text).map(|run| run.as_str()).collect();
    found(pick.of(runs.into_iter()))
}

/// A run of digits and minus signs; if there is none, a number in words.
///
/// Where the harness dies of words that make no number, nothing is found.
pub(super) fn whole_number(text: &str, pick: Pick) -> String {
    let runs: Vec<&str> = DIGITS.find_iter(text).map(|run| run.as_str()).collect();
    if let Some(run) = pick.of(runs.into_iter()) {
        return run.to_owned();
    }
    let lower = text.to_lowercase();
    let number = pick
        .of(number_words::find_all(&lower))
        .and_then(number_words::parse);
    number.map_or_else(|| INVALID.to_owned(), |number| number.to_string())
}

/// The words of the list that follows `List:` in `input`, in the order of their last places in `text`.
pub(super) fn sorted_words(text: &str, input: &str) -> String {
    let list = input.split("List:").nth(1).unwrap_or_default();
    let words: Vec<&str> = list
        .split(is_space)
        .filter(|word| !word.is_empty())
        .collect();
    let mut ordered: Vec<&str> = Vec::new();
    for word in phrases_in(text, &words).into_iter().rev() {
        if !ordered.contains(&word) {
            ordered.push(word);
        }
    }
    ordered.reverse();
    ordered.join(" ")
}

/// Small letters without punctuation.
fn bare(text: &str) -> String {
    PUNCTUATION
        .replace_all(&text.to_lowercase(), "")
        .into_owned()
}

/// A letter in parentheses; if there is none, the text of one of the options of `input`; if there is none, a
/// letter after a colon.
pub(super) fn choice(text: &str, input: &str, pick: Pick) -> String {
    let letters: Vec<&str> = LETTER
        .find_iter(text)
        .map(|letter| letter.as_str())
        .collect();
    if let Some(letter) = pick.of(letters.into_iter()) {
        return letter.to_owned();
    }
    let options: Vec<String> = OPTION
        .captures_iter(input)
        .filter_map(|option| Some(bare(strip(option.get(1)?.as_str()))))
        .collect();
    if let Some(answer) = option_text(&bare(text), &options, pick) {
        return answer;
    }
    after_colon(text, options.len(), pick).unwrap_or_else(|| INVALID.to_owned())
}

fn letter(index: usize) -> char {
    // More than 26 options go on through ASCII in the harness, as far as its patterns compile.
    char::from(b'A'.saturating_add(u8::try_from(index).unwrap_or(u8::MAX)))
}

fn option_text(bare_text: &str, options: &[String], pick: Pick) -> Option<String> {
    // Longest first, so that no option hides one that it begins. An empty option matches everywhere that no
    // other does, the end of the text included.
    let has_empty = options.iter().any(String::is_empty) || options.is_empty();
    let mut matches: Vec<&str> = Vec::new();
    let mut position = 0;
    loop {
        let rest = &bare_text[position..];
        let longest = options
            .iter()
            .filter(|option| !option.is_empty() && rest.starts_with(option.as_str()))
            .max_by_key(|option| option.len());
        if let Some(option) = longest {
            matches.push(&rest[..option.len()]);
            position += option.len();
            continue;
        }
        if has_empty {
            matches.push("");
        }
        match rest.chars().next() {
            Some(character) => position += character.len_utf8(),
            None => break,
        }
    }
    let chosen = strip(pick.of(matches.into_iter())?);
    // Of options with one text the last gives its letter.
    let index = options.iter().rposition(|option| option == chosen);
    match index {
        _ if chosen.is_empty() => None,
        Some(index) => Some(format!("({})", letter(index))),
        None => Some(chosen.to_owned()),
    }
}

fn after_colon(text: &str, options: usize, pick: Pick) -> Option<String> {
    let mut letters = Vec::new();
    let mut rest = text;
    while let Some(colon) = rest.find(':') {
        rest = &rest[colon + 1..];
        let trimmed = rest.trim_start_matches(is_space);
        if let Some(first) = trimmed.chars().next()
            && (0..options).any(|index| letter(index) == first)
        {
            letters.push(first);
            rest = &trimmed[first.len_utf8()..];
        }
    }
    pick.of(letters.into_iter())
        .map(|letter| format!("({letter})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_the_harness_reads_them() {
        for (text, number) in [
            ("The answer is 18.", "18"),
            ("The answer is 18", "1"),
            ("The answer is 8", INVALID),
            ("The answer is $18.", INVALID),
            ("The answer is 18.\n", "18."),
        ] {
            let expected = if text.ends_with('\n') { "18" } else { number };
            assert_eq!(stated_number(text), expected, "{text:?}");
        }
        for (text, number) in [
            ("so it goes...", "..."),
            ("18,", "18,"),
            ("12%", "12"),
            ("1/2", "2"),
            ("-$5", "-$5"),
            ("none", INVALID),
        ] {
            assert_eq!(last_number(text), number, "{text:?}");
        }
        assert_eq!(after_hashes("#### -1,200.5 x #### 2"), "-1,200.5");
        assert_eq!(whole_number("twenty-five", Pick::First), "-");
        assert_eq!(whole_number("Twelve", Pick::First), "12");
    }

    #[test]
    fn statements_lose_their_last_character() {
        assert_eq!(stated_answer("So the answer is (A)."), "(A)");
        assert_eq!(stated_answer("So the answer is (A)"), "(A");
        assert_eq!(stated_answer("The answer is (A)."), INVALID);
        assert_eq!(stated_answer("the answer is \nthe answer is b."), "b");
        assert_eq!(stated_answer("the answer is b"), "");
        assert_eq!(any_stated_answer("the answer is b"), INVALID);
        assert_eq!(any_stated_answer("The final answer: no!"), "no");
    }

    #[test]
    fn words_choices_and_lists() {
        assert_eq!(
            word("True, not Falsely False", &["True", "False"], Pick::Last),
            "False"
        );
        let sports = [
            ("no", "no"),
            ("not plausible", "no"),
            ("yes", "yes"),
            ("plausible", "yes"),
        ];
        assert_eq!(mapped_word("Not plausible", &sports, Pick::First), "no");
        assert_eq!(mapped_word("It is PLAUSIBLE.", &sports, Pick::First), "yes");
        assert_eq!(sorted_words("b a b", "Sort. List: a b c"), "a b");
        let input = "Which?\nOptions:\n(A) The cat\n(B) The cat's hat\n(C) none";
        assert_eq!(choice("it is the cats hat", input, Pick::First), "(B)");
        assert_eq!(choice("Answer: C", input, Pick::First), "(C)");
        assert_eq!(choice("None, no: B", input, Pick::Last), "(C)");
        assert_eq!(choice("(C) or (D)", input, Pick::Last), "(D)");
        assert_eq!(choice("nothing at all", input, Pick::First), INVALID);
    }

    #[test]
    fn hostile_texts_are_read_in_linear_time() {
        let started = std::time::Instant::now();
        let input = "Options:\n(A) aaa\n(B) aab";
        for unit in [
            "the answer is ",
            "seventy ",
            "(",
            "aa",
            ":",
            " \u{1c}",
            "no",
            "$,",
            "The answer is 1",
        ] {
            let text = unit.repeat(200_000 / unit.len());
            let _ = (
                stated_answer(&text),
                any_stated_answer(&text),
                last_number(&text),
            );
            let _ = (
                whole_number(&text, Pick::Last),
                choice(&text, input, Pick::Last),
            );
            let _ = (
                sorted_words(&text, "List: no aa"),
                brackets(&text, Pick::Last),
            );
        }
        assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    }
}
