//! Text that looks like what it is.

/// Whether a character changes the direction of those around it.
pub(super) fn turns_text(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text with its invisible characters named: a label must not look like another one.
pub(super) fn visible(text: &str) -> String {
    let is_hidden = |character: char| {
        (character.is_control() && !matches!(character, '\n' | '\t')) || turns_text(character)
    };
    if !text.contains(is_hidden) {
        return text.to_owned();
    }
    let mut shown = String::new();
    for character in text.chars() {
        if is_hidden(character) {
            shown.push_str(&format!("⟨U+{:04X}⟩", character as u32));
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invisible_characters_are_named() {
        assert_eq!(visible("a\u{0}b\u{202e}c\n"), "a⟨U+0000⟩b⟨U+202E⟩c\n");
    }
}
