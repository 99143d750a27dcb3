//! Attacks on real text: sentences that nobody generated, with names, quotations and code in them.
//!
//! What makes an attack safe for the reference answer: nothing is taken away and no number, name, quotation,
//! choice or piece of code changes; what is added speaks of somebody elsewhere. What an attack cannot promise
//! is that a text stays pretty.

use super::Condition;
use super::noise::{is_number_word, misspell};
use crate::random::Random;
use std::collections::BTreeSet;
use std::sync::OnceLock;

/// A text and the part of it that may be attacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage<'a> {
    before: &'a str,
    story: &'a str,
    after: &'a str,
    /// Words that stay as they are, in small letters.
    protected: BTreeSet<String>,
}

impl<'a> Passage<'a> {
    /// All of `text` may be attacked.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self::part(text, 0, text.len())
    }

    /// A story, then perhaps a list of options, which stays. `Question: ` before it stays too. The words of the
    /// options, and those by which people in such stories are told apart, stay in the story as well.
    #[must_use]
    pub fn story(text: &'a str) -> Self {
        let start = if text.starts_with("Question: ") {
            "Question: ".len()
        } else {
            0
        };
        let end = text.find("\nOptions:").unwrap_or(text.len()).max(start);
        let mut passage = Self::part(text, start, end);
        passage.protect(&text[end..]);
        passage.protect("truth lies tells says");
        passage
    }

    /// The text before a multiple-choice question; the words of the choices stay.
    #[must_use]
    pub fn support(text: &'a str, choices: &[String]) -> Self {
        let mut passage = Self::new(text);
        for choice in choices {
            passage.protect(choice);
        }
        passage
    }

    /// The prose of the last docstring of a Python prompt, up to its examples. Every word that occurs in the
    /// code around it stays.
    #[must_use]
    pub fn docstring(prompt: &'a str) -> Self {
        let opening = ["\"\"\"", "'''"].into_iter().filter_map(|quotes| {
            // A closed docstring has its quotes twice: the last pair counts.
            let places: Vec<usize> = prompt.match_indices(quotes).map(|(at, _)| at).collect();
            (places.len() >= 2).then(|| (places[places.len() - 2] + 3, places[places.len() - 1]))
        });
        let Some((start, close)) = opening.max() else {
            return Self::part(prompt, prompt.len(), prompt.len());
        };
        let body = &prompt[start..close];
        let examples = [">>>", "xample", "[input", "==", "\n\n", "\t"];
        let end = examples.iter().filter_map(|mark| body.find(mark)).min();
        // Back to the start of the line on which the examples begin.
        let end = end.map_or(body.len(), |end| body[..end].rfind('\n').unwrap_or(0));
        let mut passage = Self::part(prompt, start, start + end);
        let (code, rest) = (&prompt[..start], &prompt[start + end..]);
        passage.protect(code);
        passage.protect(rest);
        passage
    }

    fn part(text: &'a str, start: usize, end: usize) -> Self {
        let mut passage = Self {
            before: &text[..start],
            story: &text[start..end],
            after: &text[end..],
            protected: BTreeSet::new(),
        };
        for (index, quoted) in passage.story.split(['"', '“', '”', '`']).enumerate() {
            if index % 2 == 1 {
                passage.protect(quoted);
            }
        }
        passage
    }

    fn protect(&mut self, text: &str) {
        let words = text.split(|character: char| !character.is_alphanumeric());
        self.protected.extend(words.map(str::to_lowercase));
    }
}

/// The passage under `condition`, drawn from `seed` and the document's identity.
///
/// - *distractor*: one sentence about somebody in another town, with a number, before a sentence that is not the
///   last, or first of all where there is only one sentence. Neither its name nor its thing occurs in the text.
/// - *noise*: [`misspell`], which here spares names (every word with a capital), number words, quoted words, and
///   makes no word of the benchmarks' own vocabulary.
/// - *reordered*: the last sentence that ends in a question mark comes first; a text without one, or of one
///   sentence, stays.
#[must_use]
pub fn perturb(passage: &Passage<'_>, condition: Condition, seed: u64, identity: &str) -> String {
    let whole = || [passage.before, passage.story, passage.after].concat();
    if condition == Condition::Clean || passage.story.trim().is_empty() {
        return whole();
    }
    let mut random = Random::derive(&[seed, condition as u64, Random::key(identity)]);
    let mut story = passage.story.to_owned();
    if condition.reorders() {
        story = question_first(&story);
    }
    if condition.distracts() {
        story = with_distractor(&story, &whole(), &mut random);
    }
    if condition.misspells() {
        let vocabulary = vocabulary();
        let protected = |word: &str| {
            let lower = word.to_lowercase();
            word.contains(|character: char| character.is_uppercase())
                || is_number_word(&lower)
                || passage.protected.contains(&lower)
        };
        let is_word = |word: &str| vocabulary.contains(&word.to_lowercase());
        story = misspell(&story, &mut random, &protected, &is_word);
    }
    [passage.before, &story, passage.after].concat()
}

/// Where sentences begin: after `.`, `?` or `!` (and a closing quotation mark or bracket) and white space, where
/// no small letter follows and no abbreviation or initial precedes.
fn sentence_starts(text: &str) -> Vec<usize> {
    const ABBREVIATIONS: [&str; 16] = [
        "Mr.", "Mrs.", "Ms.", "Dr.", "St.", "Jr.", "Sr.", "Prof.", "vs.", "No.", "e.g.", "i.e.",
        "a.m.", "p.m.", "etc.", "approx.",
    ];
    let mut starts = Vec::new();
    if let Some(first) = text.find(|character: char| !character.is_whitespace()) {
        starts.push(first);
    }
    for (position, mark) in text.match_indices(['.', '?', '!']) {
        let after = position + mark.len();
        let closed = text[after..].trim_start_matches(['"', '\'', ')', '”', '’']);
        let rest = closed.trim_start();
        let is_gap = closed.len() > rest.len();
        let word = text[..after]
            .rsplit(char::is_whitespace)
            .next()
            .unwrap_or_default();
        let word = word.trim_start_matches(['(', '"', '“']);
        let is_initial = word.len() == 2 && word.starts_with(char::is_uppercase);
        let is_abbreviation = mark == "." && (is_initial || ABBREVIATIONS.contains(&word));
        let goes_on = rest.chars().next().is_none_or(char::is_lowercase);
        if is_gap && !is_abbreviation && !goes_on {
            starts.push(text.len() - rest.len());
        }
    }
    starts
}

fn sentences(text: &str) -> Vec<&str> {
    let starts = sentence_starts(text);
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(&start, end)| &text[start..end])
        .collect()
}

fn question_first(text: &str) -> String {
    let sentences = sentences(text);
    let question = sentences.iter().rposition(|sentence| {
        sentence.trim_end().ends_with(['?', '"', '”']) && sentence.contains('?')
    });
    match question {
        Some(place) if sentences.len() > 1 && place > 0 => {
            let mut rest: String = sentences[..place].concat();
            rest.push_str(&sentences[place + 1..].concat());
            format!("{} {}", sentences[place].trim(), rest.trim())
        }
        _ => text.to_owned(),
    }
}

fn with_distractor(text: &str, whole: &str, random: &mut Random) -> String {
    const NAMES: [&str; 16] = [
        "Anneliese",
        "Bartholomew",
        "Citlali",
        "Dagfinn",
        "Eleonora",
        "Fitzgerald",
        "Gwendolyn",
        "Hideyoshi",
        "Ingeborg",
        "Jacinda",
        "Kwabena",
        "Ludmila",
        "Mireille",
        "Nikolaos",
        "Oluwaseun",
        "Rosalind",
    ];
    const THINGS: [&str; 12] = [
        "kites",
        "postcards",
        "teapots",
        "umbrellas",
        "lanterns",
        "harmonicas",
        "thimbles",
        "canoes",
        "typewriters",
        "snow globes",
        "walking sticks",
        "jigsaw puzzles",
    ];
    let lower = whole.to_lowercase();
    let mut fresh = |words: &[&'static str]| {
        let unused: Vec<&'static str> = words
            .iter()
            .filter(|word| !lower.contains(word.to_lowercase().trim_end_matches('s')))
            .copied()
            .collect();
        let from = if unused.is_empty() {
            words
        } else {
            &unused[..]
        };
        from[random.below(from.len())]
    };
    let (name, thing) = (fresh(&NAMES), fresh(&THINGS));
    let number = random.between(3, 90);
    let sentence = match random.below(3) {
        0 => format!("{name}, who lives in another town, has {number} {thing}."),
        1 => format!("In another town, {name} once sold {number} {thing}."),
        _ => format!("Far away from here, {name} keeps {number} {thing} in a shed."),
    };
    let starts = sentence_starts(text);
    let place = random.below(starts.len().saturating_sub(1).max(1));
    let at = starts.get(place).copied().unwrap_or(0);
    format!("{}{sentence} {}", &text[..at], &text[at..])
}

/// The words of the embedded benchmarks, in small letters: what a typing error must not make.
fn vocabulary() -> &'static BTreeSet<String> {
    static VOCABULARY: OnceLock<BTreeSet<String>> = OnceLock::new();
    VOCABULARY.get_or_init(|| {
        let mut words = BTreeSet::new();
        for text in crate::task::embedded_texts() {
            let found = text.split(|character: char| !character.is_alphabetic());
            words.extend(found.filter(|word| word.len() > 1).map(str::to_lowercase));
        }
        words
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "Mr. J. Smith has 3.5 kg of \"red\" apples. He gives twelve away at 5 p.m. \
        to Maria. How many apples are left?";

    fn under(text: &str, condition: Condition) -> String {
        perturb(&Passage::new(text), condition, 0, "test/0")
    }

    #[test]
    fn real_sentences_are_found() {
        assert_eq!(sentences(TEXT).len(), 3, "{:?}", sentences(TEXT));
        assert_eq!(
            sentences("One.\n\nTwo (yes!) three? \"Four.\" Five").len(),
            4
        );
        assert_eq!(sentences("").len(), 0);
    }

    #[test]
    fn the_question_comes_first() {
        let text = under(TEXT, Condition::Reordered);
        assert!(
            text.starts_with("How many apples are left? Mr. J. Smith"),
            "{text}"
        );
        assert!(text.ends_with("to Maria."), "{text}");
        assert_eq!(
            under("How many are 3 and 4?", Condition::Reordered),
            "How many are 3 and 4?"
        );
        assert_eq!(
            under("Add 3. Then add 4.", Condition::Reordered),
            "Add 3. Then add 4."
        );
    }

    #[test]
    fn a_distractor_is_one_sentence_elsewhere_and_not_before_the_question() {
        for number in 0..100 {
            let identity = format!("test/{number}");
            let text = perturb(&Passage::new(TEXT), Condition::Distractor, 1, &identity);
            assert_eq!(sentences(&text).len(), 4, "{text}");
            assert!(
                text.ends_with("to Maria. How many apples are left?"),
                "{text}"
            );
            assert!(!text.contains("kites") || !TEXT.contains("kites"));
        }
    }

    #[test]
    fn noise_spares_numbers_names_and_quotations() {
        let mut changed = 0;
        for number in 0..50 {
            let text = perturb(
                &Passage::new(TEXT),
                Condition::Noise,
                1,
                &format!("n/{number}"),
            );
            changed += usize::from(text != TEXT);
            for kept in [
                "Mr. J. Smith",
                "3.5 kg",
                "\"red\"",
                "twelve",
                "5 p.m.",
                "Maria",
                "left?",
            ] {
                assert!(text.contains(kept) || kept == "left?", "{kept}: {text}");
            }
        }
        assert_eq!(changed, 50);
    }

    #[test]
    fn options_and_code_stay() {
        let story =
            "Question: Ann tells the truth. Does Bob lie?\nOptions:\n(A) apples here\n(B) pears";
        for condition in Condition::ALL {
            let text = perturb(&Passage::story(story), condition, 0, "s");
            assert!(
                text.starts_with("Question: ")
                    && text.ends_with("\nOptions:\n(A) apples here\n(B) pears")
            );
        }
        let prompt = "def count(words):\n    \"\"\" Returns the number of words that contain letters\n    \
            >>> count(['contain'])\n    1\n    \"\"\"\n";
        let text = perturb(&Passage::docstring(prompt), Condition::Noise, 0, "p");
        assert_ne!(text, prompt);
        assert!(text.starts_with("def count(words):\n    \"\"\""), "{text}");
        assert!(
            text.ends_with("\n    >>> count(['contain'])\n    1\n    \"\"\"\n"),
            "{text}"
        );
        assert!(text.contains("words") && text.contains("contain"));
        assert_eq!(
            perturb(&Passage::docstring("x = 1\n"), Condition::Noise, 0, "p"),
            "x = 1\n"
        );
    }

    proptest! {
        #[test]
        fn any_text_survives_any_attack(text in "(\\PC|[.?!]|\n|\"|Options:){0,60}", seed in any::<u64>()) {
            for condition in Condition::ALL {
                for passage in [Passage::new(&text), Passage::story(&text), Passage::docstring(&text)] {
                    let attacked = perturb(&passage, condition, seed, "any");
                    prop_assert_eq!(&attacked, &perturb(&passage, condition, seed, "any"));
                    if !condition.distracts() {
                        let digits = |text: &str| {
                            let mut digits: Vec<char> = text.chars().filter(char::is_ascii_digit).collect();
                            digits.sort_unstable();
                            digits
                        };
                        prop_assert_eq!(digits(&attacked), digits(&text));
                    }
                }
            }
        }
    }
}
