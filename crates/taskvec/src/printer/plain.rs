//! Text that a terminal shows and does not obey.

use std::fmt::{self, Display, Formatter, Write};

/// What is displayed, with characters that move the cursor, change colours or turn the direction of writing spelled out. Names of
/// tensors and files come from wherever checkpoints come from. Line breaks and tabs stay.
pub(super) struct Plain<T>(pub(super) T);

impl<T: Display> Display for Plain<T> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(Spelling(formatter), "{}", self.0)
    }
}

struct Spelling<'a, 'b>(&'a mut Formatter<'b>);

impl Write for Spelling<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(is_command) {
            let (before, from) = rest.split_at(at);
            self.0.write_str(before)?;
            let mut characters = from.chars();
            if let Some(character) = characters.next() {
                write!(self.0, "{}", character.escape_default())?;
            }
            rest = characters.as_str();
        }
        self.0.write_str(rest)
    }
}

fn is_command(character: char) -> bool {
    let is_control = character.is_control() && !matches!(character, '\n' | '\t');
    let turns = matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    is_control || turns
}

/// As [`Plain`], on one line.
pub(super) fn in_one_line(text: &str) -> String {
    let text = Plain(text).to_string();
    text.replace('\n', "\\n").replace('\t', "\\t")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_spelled_out_and_text_stays() {
        let plain = |text: &str| Plain(text).to_string();
        assert_eq!(plain("a\u{1b}[31mb\u{7}"), "a\\u{1b}[31mb\\u{7}");
        assert_eq!(plain("\u{9b}2J\r\u{202e}x"), "\\u{9b}2J\\r\\u{202e}x");
        assert_eq!(plain("größer\n\t√ 日本"), "größer\n\t√ 日本");
        assert_eq!(in_one_line("a\nb\tc\u{1b}"), "a\\nb\\tc\\u{1b}");
    }
}
