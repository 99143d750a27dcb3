//! Characters to tokens.

use super::error::{ExpressionError, Problem};
use super::syntax::Span;
use crate::coefficient::Coefficient;

/// The smallest piece of an expression that has a meaning.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Token {
    Number(Coefficient),
    Name(String),
    Quoted(String),
    /// One of `+ - * / ( ) [ ] { } , = :`.
    Symbol(char),
    End,
}

impl Token {
    /// How errors name it.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Number(value) => format!("the number `{value}`"),
            Self::Name(name) => format!("`{name}`"),
            Self::Quoted(_) => "a quoted reference".into(),
            Self::Symbol(symbol) => format!("`{symbol}`"),
            Self::End => "the end".into(),
        }
    }
}

fn begins_name(character: char) -> bool {
    character.is_alphabetic() || character == '_'
}

fn continues_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Splits `source` into tokens; the last is [`Token::End`].
pub(crate) fn tokenize(source: &str) -> Result<Vec<(Token, Span)>, ExpressionError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(character) = source[at..].chars().next() {
        let start = at;
        at += character.len_utf8();
        let token = match character {
            _ if character.is_whitespace() => continue,
            '+' | '-' | '*' | '/' | '(' | ')' | '[' | ']' | '{' | '}' | ',' | '=' | ':' => {
                Token::Symbol(character)
            }
            '−' => Token::Symbol('-'),
            '·' | '×' => Token::Symbol('*'),
            '"' => {
                let (text, end) = quoted(source, at).ok_or_else(|| {
                    ExpressionError::new(source, Span::new(start, at), Problem::UnclosedQuote)
                })?;
                at = end;
                Token::Quoted(text)
            }
            '0'..='9' | '.' => {
                at = number_end(source, start);
                let span = Span::new(start, at);
                let value = source[start..at].parse::<Coefficient>().map_err(|error| {
                    ExpressionError::new(
                        source,
                        span,
                        Problem::Number {
                            reason: error.to_string(),
                        },
                    )
                })?;
                let next: String = source[at..]
                    .chars()
                    .take_while(|next| continues_name(*next))
                    .take(12)
                    .collect();
                if !next.is_empty() {
                    let span = Span::new(start, at + next.len());
                    return Err(ExpressionError::new(
                        source,
                        span,
                        Problem::NumberRunsIntoName { next },
                    ));
                }
                Token::Number(value)
            }
            _ if begins_name(character) => {
                at = source[start..]
                    .find(|next| !continues_name(next))
                    .map_or(source.len(), |length| start + length);
                Token::Name(source[start..at].to_owned())
            }
            _ => {
                let problem = Problem::UnexpectedCharacter { character };
                return Err(ExpressionError::new(source, Span::new(start, at), problem));
            }
        };
        tokens.push((token, Span::new(start, at)));
    }
    tokens.push((Token::End, Span::new(source.len(), source.len())));
    Ok(tokens)
}

/// The text of a quotation whose first character is at `start`, and the byte after its closing quote.
fn quoted(source: &str, start: usize) -> Option<(String, usize)> {
    let mut text = String::new();
    let mut characters = source[start..].char_indices();
    while let Some((offset, character)) = characters.next() {
        match character {
            '"' => return Some((text, start + offset + 1)),
            '\\' => text.push(characters.next()?.1),
            _ => text.push(character),
        }
    }
    None
}

/// Where the number that begins at `start` ends. An `e` belongs to it only before an exponent.
fn number_end(source: &str, start: usize) -> usize {
    let bytes = source.as_bytes();
    let digits = |from: usize| {
        from + bytes[from..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count()
    };
    let mut end = digits(start);
    if bytes.get(end) == Some(&b'.') {
        end = digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent_end = digits(end + 1 + sign);
        if exponent_end > end + 1 + sign {
            end = exponent_end;
        }
    }
    end
}
