//! Typing errors that leave a text readable.

use crate::random::Random;

/// Words that an error must not make: a "then" that became a "ten" would be a number that nobody wrote.
const NUMBER_WORDS: [&str; 12] = [
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "half", "twice",
];

/// Whether a word, in small letters, says how many: what noise must spare in real text.
pub(super) fn is_number_word(word: &str) -> bool {
    const OTHERS: [&str; 42] = [
        "zero",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
        "twenty",
        "thirty",
        "forty",
        "fifty",
        "sixty",
        "seventy",
        "eighty",
        "ninety",
        "hundred",
        "thousand",
        "million",
        "billion",
        "dozen",
        "first",
        "second",
        "third",
        "fourth",
        "fifth",
        "sixth",
        "seventh",
        "eighth",
        "ninth",
        "tenth",
        "quarter",
        "halves",
        "thrice",
        "double",
        "triple",
        "once",
        "single",
        "couple",
        "percent",
    ];
    let singular = word.strip_suffix('s').unwrap_or(word);
    [word, singular]
        .iter()
        .any(|word| NUMBER_WORDS.contains(word) || OTHERS.contains(word))
}

/// Misspells about one word in six of `text`, at least one where any word may suffer.
///
/// `protected` says which words (without punctuation) must stay, and which results are not allowed
/// because they are words themselves. Words with a character other than an ASCII letter, and words of
/// fewer than four letters, always stay; so do all spaces and punctuation.
#[must_use]
pub fn misspell(
    text: &str,
    random: &mut Random,
    protected: &dyn Fn(&str) -> bool,
    is_word: &dyn Fn(&str) -> bool,
) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let mut candidates: Vec<usize> = (0..words.len())
        .filter(|&index| {
            let core = core_of(words[index]);
            core.len() >= 4
                && core.bytes().all(|byte| byte.is_ascii_alphabetic())
                && !protected(core)
        })
        .collect();
    random.shuffle(&mut candidates);
    let wanted = ((words.len() + 3) / 6).max(1);

    let mut errors: Vec<Option<String>> = vec![None; words.len()];
    let mut made = 0;
    for index in candidates {
        if made == wanted {
            break;
        }
        if let Some(wrong) = misspell_word(core_of(words[index]), random, is_word) {
            errors[index] = Some(words[index].replacen(core_of(words[index]), &wrong, 1));
            made += 1;
        }
    }
    words
        .iter()
        .zip(errors)
        .map(|(&word, error)| error.unwrap_or_else(|| word.to_owned()))
        .collect::<Vec<_>>()
        .join(" ")
}

/// The word without the punctuation around it.
fn core_of(word: &str) -> &str {
    word.trim_matches(|character: char| character.is_ascii_punctuation())
}

/// One error inside `word`, or `None` where a few tries make none that shows.
fn misspell_word(
    word: &str,
    random: &mut Random,
    is_word: &dyn Fn(&str) -> bool,
) -> Option<String> {
    let letters = word.as_bytes();
    for _ in 0..8 {
        let mut wrong = letters.to_vec();
        if random.coin() {
            let position = 1 + random.below(letters.len() - 2);
            wrong.remove(position);
        } else {
            let position = 1 + random.below(letters.len() - 3);
            wrong.swap(position, position + 1);
        }
        let wrong = String::from_utf8(wrong).ok()?;
        let is_number = NUMBER_WORDS
            .iter()
            .any(|number| wrong.eq_ignore_ascii_case(number));
        if wrong != word && !is_number && !is_word(&wrong) {
            return Some(wrong);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_word_in_six() {
        let text = "apples pears plums kites drums dolls apples pears plums kites drums dolls";
        let noisy = misspell(text, &mut Random::derive(&[1]), &|_| false, &|_| false);
        let changed = text
            .split(' ')
            .zip(noisy.split(' '))
            .filter(|(a, b)| a != b)
            .count();
        assert_eq!(changed, 2, "{noisy}");
    }

    #[test]
    fn protected_words_and_known_words_stay_out() {
        for seed in 0..200 {
            let noisy = misspell(
                "trail, Maria!",
                &mut Random::derive(&[seed]),
                &|word| word == "Maria",
                &|word| word == "trial",
            );
            assert!(noisy.ends_with(" Maria!"), "{noisy}");
            assert!(
                !noisy.starts_with("trial") && !noisy.starts_with("trail"),
                "{noisy}"
            );
        }
    }

    #[test]
    fn no_error_makes_a_number() {
        for seed in 0..200 {
            let noisy = misspell("Then", &mut Random::derive(&[seed]), &|_| false, &|_| false);
            assert!(noisy != "Ten" && noisy != "Then", "{noisy}");
        }
    }

    proptest! {
        #[test]
        fn any_text_keeps_its_digits_spaces_and_word_ends(text in "\\PC{0,80}", seed in any::<u64>()) {
            let noisy = misspell(&text, &mut Random::derive(&[seed]), &|_| false, &|_| false);
            let digits = |text: &str| text.chars().filter(|c| !c.is_ascii_alphabetic()).collect::<String>();
            prop_assert_eq!(digits(&text), digits(&noisy));
            for (before, after) in text.split(' ').zip(noisy.split(' ')) {
                prop_assert_eq!(before.chars().next(), after.chars().next());
                prop_assert_eq!(before.chars().last(), after.chars().last());
            }
        }
    }
}
