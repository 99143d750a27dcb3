//! Reading an answer out of what a model wrote.
//!
//! *Strict* reading wants the sentence that was asked for; *flexible* reading takes the last thing that
//! could be an answer. The score of a task is the strict one, and both are recorded: the gap between them
//! tells a model that cannot calculate from one that cannot keep to a form. All functions take any text and
//! run in time linear in its length.

/// The words that introduce an answer.
const ANSWER_PHRASE: &str = "The answer is ";

/// What stands in the last complete sentence `The answer is ….`.
///
/// The sentence ends at a full stop that is followed by white space or the end of the text, so that
/// `The answer is 2.5.` says `2.5`; it must end on its line. Sentences that were cut off do not count.
#[must_use]
pub fn stated_answer(text: &str) -> Option<&str> {
    let mut end = text.len();
    for (start, phrase) in text.rmatch_indices(ANSWER_PHRASE) {
        // Each stretch is read once: what follows the next phrase was already found to be no answer.
        let rest = &text[start + phrase.len()..end];
        let line = rest.find('\n').map_or(rest, |position| &rest[..position]);
        let followed_by_text = line.len() == rest.len() && end < text.len();
        let stop = line.char_indices().find(|&(position, character)| {
            character == '.'
                && match line[position + 1..].chars().next() {
                    Some(next) => next.is_whitespace(),
                    None => !followed_by_text,
                }
        });
        if let Some((position, _)) = stop {
            return Some(line[..position].trim());
        }
        end = start;
    }
    None
}

/// The last whole number of the text, with its sign where the sign is not a subtraction (`9-4`).
#[must_use]
pub fn last_number(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let end = bytes.iter().rposition(u8::is_ascii_digit)? + 1;
    let mut start = bytes[..end]
        .iter()
        .rposition(|byte| !byte.is_ascii_digit())
        .map_or(0, |before| before + 1);
    if start > 0
        && bytes[start - 1] == b'-'
        && (start == 1 || !bytes[start - 2].is_ascii_alphanumeric())
    {
        start -= 1;
    }
    Some(&text[start..end])
}

/// The last word of the text that is one of `labels`, whatever its case.
#[must_use]
pub fn last_label<'a>(text: &str, labels: &[&'a str]) -> Option<&'a str> {
    text.rsplit(|character: char| !character.is_alphanumeric())
        .find_map(|word| {
            labels
                .iter()
                .find(|label| label.eq_ignore_ascii_case(word))
                .copied()
        })
}

/// Words in small letters with single spaces, all punctuation dropped: what is left when form does not matter.
#[must_use]
pub fn bare_words(text: &str) -> String {
    text.split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_last_complete_statement_counts() {
        let cases = [
            (" 7+5=12. The answer is 12.", Some("12")),
            ("The answer is 12", None),
            ("The answer is 12.5.", Some("12.5")),
            ("The answer is 12.5", None),
            ("The answer is 1. No. The answer is 2.", Some("2")),
            ("The answer is 1. The answer is 2", Some("1")),
            ("The answer is The answer is 5.", Some("5")),
            ("The answer is no.\nQ: more", Some("no")),
            ("The answer is 3\n. The answer", None),
            ("the answer is 3.", None),
            ("The answer is 3.The answer is ", None),
            ("The answer is .", Some("")),
            ("", None),
        ];
        for (text, answer) in cases {
            assert_eq!(stated_answer(text), answer, "{text:?}");
        }
    }

    #[test]
    fn numbers_and_their_signs() {
        let cases = [
            ("12-3=9", Some("9")),
            ("so 24-3", Some("3")),
            ("it is -3", Some("-3")),
            ("-3", Some("-3")),
            ("7 apples", Some("7")),
            ("n–5", Some("5")),
            ("none", None),
            ("٣", None),
        ];
        for (text, number) in cases {
            assert_eq!(last_number(text), number, "{text:?}");
        }
    }

    #[test]
    fn labels_are_whole_words() {
        assert_eq!(last_label("Yes, no. YES", &["yes", "no"]), Some("yes"));
        assert_eq!(last_label("nothing known", &["yes", "no"]), None);
        assert_eq!(
            last_label("Ben, then Mia: Ben", &["Mia", "Ben"]),
            Some("Ben")
        );
    }

    #[test]
    fn hostile_length_is_read_in_linear_time() {
        let started = std::time::Instant::now();
        assert_eq!(stated_answer(&"The answer is ".repeat(100_000)), None);
        assert_eq!(
            stated_answer(&format!("The answer is {}", ".x".repeat(500_000))),
            None
        );
        assert!(started.elapsed().as_secs() < 5);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "(\\PC|The answer is |\\. |[0-9-]|\n){0,40}") {
            let _ = last_label(&text, &["yes", "no"]);
            let _ = bare_words(&text);
            if let Some(answer) = stated_answer(&text) {
                prop_assert!(!answer.contains('\n'));
                prop_assert!(text.contains(answer));
            }
            if let Some(number) = last_number(&text) {
                prop_assert!(number.trim_start_matches('-').bytes().all(|byte| byte.is_ascii_digit()));
                prop_assert!(!number.is_empty());
            }
        }

        #[test]
        fn a_statement_is_found_behind_any_text(before in "\\PC{0,60}", answer in "[a-z0-9]{1,6}") {
            let text = format!("{before} The answer is {answer}.");
            prop_assert_eq!(stated_answer(&text), Some(answer.as_str()));
        }

        #[test]
        fn a_cut_statement_never_counts(answer in "[a-z0-9]{1,6}") {
            let text = format!("The answer is {answer}");
            prop_assert_eq!(stated_answer(&text), None);
        }
    }
}
