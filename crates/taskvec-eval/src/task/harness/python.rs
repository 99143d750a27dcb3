//! Python's idea of characters, where it is not Rust's.

/// `str.isspace`: Unicode white space and the four information separators.
pub(super) fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
}

/// `str.strip()`.
pub(super) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// `str.lstrip()`.
pub(super) fn strip_start(text: &str) -> &str {
    text.trim_start_matches(is_space)
}

/// `\w` of the module `re`: letters and numbers of every kind, and the underscore; combining marks are none.
pub(super) fn is_word(character: char) -> bool {
    match character {
        '_' => true,
        _ if character.is_ascii() => character.is_ascii_alphanumeric(),
        // `char::is_alphabetic` counts some marks and circled letters that Python does not.
        _ => crate::task::harness::filter::LETTER_OR_NUMBER
            .is_match(character.encode_utf8(&mut [0; 4])),
    }
}

/// Whether `\b` matches at byte `position` of `text`.
pub(super) fn is_boundary(text: &str, position: usize) -> bool {
    let before = text[..position].chars().next_back().is_some_and(is_word);
    let after = text[position..].chars().next().is_some_and(is_word);
    before != after
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_and_words_are_pythons() {
        assert_eq!(strip("\u{1c} a \u{a0}"), "a");
        assert_eq!(strip("\u{200b}"), "\u{200b}");
        assert_eq!(strip_start("\u{85}\u{2003}a "), "a ");
        // A superscript is a number, a combining accent and a circled letter are not words.
        assert!(is_word('²') && is_word('½') && is_word('é') && is_word('_') && is_word('中'));
        assert!(!is_word('\u{301}') && !is_word('ⓐ') && !is_word('’') && !is_word('-'));
        assert!(!is_boundary("no²", 2) && is_boundary("no\u{301}", 2) && is_boundary("no", 0));
        assert!(!is_boundary("", 0));
    }
}
