//! Training data: JSON lines to examples.
//!
//! A row is one of three objects; names are those of TRL's dataset formats, further fields are ignored.
//!
//! | row | loss on |
//! |---|---|
//! | `{"prompt": …, "completion": …}` | the completion |
//! | `{"messages": [{"role": …, "content": …}, …]}` | the assistant's turns |
//! | `{"text": …}` | all of it |
//!
//! `prompt` and `completion` are both texts, or both lists of messages. A text is ended by the tokenizer's end
//! of sequence; a conversation is written by the model's own chat template, which ends turns itself.
//! Each part is tokenized by itself, because that is what a model is given to continue when it is asked.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde_json::{Map, Value};
use taskvec_eval::generator::{Message, Role};

use super::batch::Example;
use crate::chat::ChatTemplate;
use crate::tokenizer::Tokenizer;
use crate::{Error, Result};

/// Turns rows into examples.
#[derive(Debug)]
pub struct RowReader<'a> {
    tokenizer: &'a Tokenizer,
    template: Option<ChatTemplate>,
    completion_only: bool,
}

/// Why a row is refused.
enum Refusal {
    /// The row is not what it should be.
    Problem(String),
    /// Its text cannot be rendered or tokenized.
    Failure(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Failure(error)
    }
}

fn problem<T>(text: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Problem(text.into()))
}

/// A text and whether it carries loss.
type Part = (String, bool);

impl<'a> RowReader<'a> {
    /// A reader of rows for models with `tokenizer`. `completion_only` as
    /// [`completion_only_loss`](super::sft::SftConfig::completion_only_loss).
    #[must_use]
    pub fn new(tokenizer: &'a Tokenizer, completion_only: bool) -> Self {
        Self {
            tokenizer,
            template: None,
            completion_only,
        }
    }

    /// All rows of a file; empty lines are passed over.
    ///
    /// # Errors
    ///
    /// [`Error::File`]; [`Error::TrainingRow`] and [`Error::TrainingRowText`] with the line of the first row
    /// that cannot be learned from. Nothing is left out without a word.
    pub fn read(&mut self, path: &Path) -> Result<Vec<Example>> {
        let failed = |source| Error::File {
            file: path.to_owned(),
            source,
        };
        let mut reader = BufReader::new(File::open(path).map_err(failed)?);
        let mut examples = Vec::new();
        let mut bytes = Vec::new();
        let mut line = 0;
        loop {
            bytes.clear();
            if reader.read_until(b'\n', &mut bytes).map_err(failed)? == 0 {
                return Ok(examples);
            }
            line += 1;
            if bytes.trim_ascii().is_empty() {
                continue;
            }
            let row = serde_json::from_slice(&bytes)
                .map_err(|error| Refusal::Problem(format!("not JSON: {error}")))
                .and_then(|row| self.example(&row));
            examples.push(row.map_err(|refusal| match refusal {
                Refusal::Problem(problem) => Error::TrainingRow {
                    file: path.to_owned(),
                    line,
                    problem,
                },
                Refusal::Failure(source) => Error::TrainingRowText {
                    file: path.to_owned(),
                    line,
                    source: Box::new(source),
                },
            })?);
        }
    }

    fn example(&mut self, row: &Value) -> Result<Example, Refusal> {
        let Value::Object(row) = row else {
            return problem(format!("the row is {}, expected an object", kind(row)));
        };
        let forms = ["prompt", "messages", "text"];
        let found: Vec<&str> = forms
            .into_iter()
            .filter(|name| row.contains_key(*name))
            .collect();
        let mut parts = match found[..] {
            ["prompt"] => self.pair(row)?,
            ["messages"] => {
                let messages = messages("messages", &row["messages"])?;
                self.conversation(&messages, 0)?
            }
            ["text"] => vec![(self.ended(text("text", &row["text"])?), true)],
            [] => return problem("the row has none of `prompt`, `messages` and `text`"),
            _ => {
                return problem(format!(
                    "the row has both `{}` and `{}`",
                    found[0], found[1]
                ));
            }
        };
        if !self.completion_only {
            parts.iter_mut().for_each(|(_, carries)| *carries = true);
        }
        let mut example = Example {
            tokens: Vec::new(),
            loss: Vec::new(),
        };
        for (text, carries) in parts {
            example.tokens.extend(self.tokenizer.encode(&text)?);
            example.loss.resize(example.tokens.len(), carries);
        }
        match example.loss_tokens() {
            0 => problem("the row has no token to learn"),
            _ => Ok(example),
        }
    }

    /// `text` with the end of sequence behind it, unless it is there.
    fn ended(&self, text: &str) -> String {
        match self.tokenizer.eos() {
            Some(end) if !text.ends_with(&end.content) => format!("{text}{}", end.content),
            _ => text.to_owned(),
        }
    }

    fn pair(&mut self, row: &Map<String, Value>) -> Result<Vec<Part>, Refusal> {
        let prompt = &row["prompt"];
        let Some(completion) = row.get("completion") else {
            return problem("the row has `prompt` but no `completion`");
        };
        if !prompt.is_array() {
            let completion = self.ended(text("completion", completion)?);
            return Ok(vec![
                (text("prompt", prompt)?.to_owned(), false),
                (completion, true),
            ]);
        }
        let mut conversation = messages("prompt", prompt)?;
        let given = conversation.len();
        conversation.extend(messages("completion", completion)?);
        self.conversation(&conversation, given)
    }

    /// The conversation as its template writes it; assistant turns from the `given`th message on carry loss.
    fn conversation(&mut self, messages: &[Message], given: usize) -> Result<Vec<Part>, Refusal> {
        let template = match &self.template {
            Some(template) => template.clone(),
            None => self
                .template
                .insert(ChatTemplate::of(self.tokenizer)?)
                .clone(),
        };
        let whole = template.render(&messages, None, false)?;
        let mut parts = Vec::new();
        let mut written = 0;
        for (index, message) in messages.iter().enumerate() {
            if index < given || message.role != Role::Assistant {
                continue;
            }
            let before = template.render(&&messages[..index], None, true)?;
            let through = template.render(&&messages[..=index], None, false)?;
            // What the model is asked with must be how the conversation goes on, or it would learn to answer
            // a question that is never put.
            let grows = whole.starts_with(&through)
                && through.starts_with(&before)
                && before.len() >= written;
            if !grows {
                return problem(format!(
                    "the chat template writes message {index} otherwise when it is the last one, so its \
                     answer cannot be told from its question"
                ));
            }
            // The line break after the end of a turn belongs to whoever speaks next.
            let answer = through[before.len()..].trim_end_matches('\n');
            let end = before.len() + answer.len();
            parts.push((whole[written..before.len()].to_owned(), false));
            parts.push((whole[before.len()..end].to_owned(), true));
            written = end;
        }
        parts.push((whole[written..].to_owned(), false));
        Ok(parts)
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn text<'v>(field: &str, value: &'v Value) -> Result<&'v str, Refusal> {
    match value {
        Value::String(text) => Ok(text),
        other => problem(format!("`{field}` is {}, expected a text", kind(other))),
    }
}

fn messages(field: &str, value: &Value) -> Result<Vec<Message>, Refusal> {
    let Value::Array(list) = value else {
        return problem(format!(
            "`{field}` is {}, expected a list of messages",
            kind(value)
        ));
    };
    if list.is_empty() {
        return problem(format!("`{field}` is an empty list"));
    }
    list.iter()
        .enumerate()
        .map(|(index, message)| {
            serde_json::from_value(message.clone())
                .map_err(|error| Refusal::Problem(format!("message {index} of `{field}`: {error}")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::micro;
    use std::io::Write;

    fn read(lines: &[&str], completion_only: bool) -> Result<Vec<Example>> {
        let tokenizer = tokenizer();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(lines.join("\n").as_bytes()).unwrap();
        RowReader::new(&tokenizer, completion_only).read(file.path())
    }

    fn tokenizer() -> Tokenizer {
        static TOKENIZER: std::sync::LazyLock<Tokenizer> = std::sync::LazyLock::new(|| {
            micro::tokenizer(0)
                .unwrap()
                .with_chat_template(micro::CHAT_TEMPLATE)
                .unwrap()
        });
        TOKENIZER.clone()
    }

    /// What carries loss, and everything.
    fn decoded(example: &Example) -> (String, String) {
        let learned: Vec<u32> = example
            .tokens
            .iter()
            .zip(&example.loss)
            .filter_map(|(&token, &carries)| carries.then_some(token))
            .collect();
        (
            tokenizer().decode(&learned, false),
            tokenizer().decode(&example.tokens, false),
        )
    }

    #[test]
    fn every_form_by_hand() {
        let end = tokenizer().eos().unwrap().content.clone();
        let rows = [
            r#"{"prompt": "Q: two and two? A:", "completion": " four", "id": 7}"#,
            "",
            r#"{"text": "one two"}"#,
            r#"{"messages": [{"role": "user", "content": "two"}, {"role": "assistant", "content": "four"},
                {"role": "user", "content": "and"}, {"role": "assistant", "content": "six"}]}"#,
            r#"{"prompt": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
                {"role": "user", "content": "c"}],
                "completion": [{"role": "assistant", "content": "d"}]}"#,
        ]
        .map(|row| row.replace('\n', " "));
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        let examples = read(&rows, true).unwrap();
        let found: Vec<(String, String)> = examples.iter().map(decoded).collect();
        let pair = |learned: String, all: String| (learned, all);
        assert_eq!(
            found[0],
            pair(
                format!(" four{end}"),
                format!("Q: two and two? A: four{end}")
            )
        );
        assert_eq!(
            found[1],
            pair(format!("one two{end}"), format!("one two{end}"))
        );
        assert_eq!(
            found[2],
            pair(
                "four<|im_end|>six<|im_end|>".to_owned(),
                "<|im_start|>user\ntwo<|im_end|>\n<|im_start|>assistant\nfour<|im_end|>\n\
                 <|im_start|>user\nand<|im_end|>\n<|im_start|>assistant\nsix<|im_end|>\n"
                    .to_owned()
            )
        );
        assert_eq!(found[3].0, "d<|im_end|>");
        let all = read(&rows, false).unwrap();
        assert!(
            all.iter()
                .all(|example| example.loss.iter().all(|&carries| carries))
        );
        assert_eq!(all[2].tokens, examples[2].tokens);
    }

    #[test]
    fn bad_rows_are_refused_with_their_line() {
        let good = r#"{"text": "one"}"#;
        for (row, expected) in [
            ("{", "not JSON: "),
            ("[1]", "the row is a list, expected an object"),
            ("{}", "the row has none of `prompt`, `messages` and `text`"),
            (
                r#"{"text": "a", "prompt": "b"}"#,
                "the row has both `prompt` and `text`",
            ),
            (r#"{"text": 3}"#, "`text` is a number, expected a text"),
            (
                r#"{"prompt": "a"}"#,
                "the row has `prompt` but no `completion`",
            ),
            (
                r#"{"prompt": [], "completion": []}"#,
                "`prompt` is an empty list",
            ),
            (
                r#"{"prompt": [{"role": "user", "content": "a"}], "completion": "b"}"#,
                "`completion` is a text, expected a list of messages",
            ),
            (
                r#"{"messages": [{"role": "robot", "content": "a"}]}"#,
                "message 0 of `messages`: ",
            ),
            (
                r#"{"messages": [{"role": "user", "content": "a"}]}"#,
                "the row has no token to learn",
            ),
        ] {
            let refused = read(&[good, "", row], true);
            let Err(Error::TrainingRow {
                line: 3, problem, ..
            }) = refused
            else {
                panic!("{row}: {refused:?}");
            };
            assert!(problem.starts_with(expected), "{row}: {problem}");
        }
    }

    #[test]
    fn a_template_that_rewrites_the_past_is_refused() {
        // As Qwen3's, which drops the thoughts of all but the last answer.
        let template = "{% for message in messages %}{{ message.role }}: \
            {{ message.content if loop.last else 'hidden' }}\n{% endfor %}";
        let tokenizer = tokenizer().with_chat_template(template).unwrap();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(
            br#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}"#,
        )
        .unwrap();
        let refused = RowReader::new(&tokenizer, true).read(file.path());
        assert!(
            matches!(refused, Err(Error::TrainingRow { line: 1, .. })),
            "{refused:?}"
        );
    }
}
