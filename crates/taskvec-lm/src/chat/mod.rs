//! Conversations to text: the chat template that comes with a checkpoint.
//!
//! Templates are Jinja2, written for Python's engine with `trim_blocks`, `lstrip_blocks`, loop
//! controls and the helpers that transformers adds (`raise_exception`, `strftime_now`, a `tojson`
//! that escapes nothing). They come with checkpoints and are hostile until rendered: work is bounded
//! by fuel, the result by a size, a panic of the engine is an error.
//!
//! Not covered: a template that builds a huge value without printing it (`"x" * 10**12`) exhausts
//! memory before the engine gives control back; `{% generation %}` blocks of training templates.

mod clock;
mod json;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, ErrorKind, Output, State};
use serde::Serialize;
use taskvec_eval::generator::{Message, Role};

use crate::tokenizer::{self, Tokenizer};
use crate::{Error, Result};

/// Engine steps a rendering may take: some 10,000 turns of an ordinary template.
const FUEL: u64 = 2_000_000;
/// Bytes a rendering may have.
const MAX_BYTES: usize = 64 << 20;
/// Stands at the end of an open turn, to be found again in the rendering. Private-use characters:
/// a text that holds them in this order by chance is not a text.
const OPEN_END: &str = "\u{F8F0}\u{F8F7}\u{F8F1}\u{F8F6}";

/// A chat template, parsed. Clones are cheap.
#[derive(Debug, Clone)]
pub struct ChatTemplate {
    file: Arc<str>,
    environment: Arc<Environment<'static>>,
    special: Vec<(&'static str, String)>,
}

impl ChatTemplate {
    /// Parses a template; `file` names its origin in messages.
    ///
    /// The special tokens of `tokenizer` are given to it as `bos_token` and so on.
    ///
    /// # Errors
    ///
    /// [`Error::ChatTemplate`] with the line of a syntax error.
    pub fn parse(file: &str, source: &str, tokenizer: &Tokenizer) -> Result<Self> {
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_fuel(Some(FUEL));
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.set_formatter(python_formatter);
        environment.add_filter("tojson", tojson);
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", |format: &str| {
            clock::strftime(clock::now(), format)
        });
        environment
            .add_template_owned("chat_template", source.to_owned())
            .map_err(|source| Error::ChatTemplate {
                file: file.to_owned(),
                source,
            })?;
        let tokens = [
            ("bos_token", tokenizer.bos()),
            ("eos_token", tokenizer.eos()),
            ("pad_token", tokenizer.pad()),
        ];
        let special = tokens
            .into_iter()
            .filter_map(|(name, token)| Some((name, token?.content.clone())))
            .collect();
        Ok(Self {
            file: Arc::from(file),
            environment: Arc::new(environment),
            special,
        })
    }

    /// The template of a tokenizer's files.
    ///
    /// # Errors
    ///
    /// [`Error::NoChatTemplate`] where they have none, or as [`parse`](Self::parse).
    pub fn of(tokenizer: &Tokenizer) -> Result<Self> {
        let origin = tokenizer.origin();
        let source = tokenizer
            .chat_template()
            .ok_or_else(|| Error::NoChatTemplate {
                origin: origin.to_owned(),
            })?;
        let own_file = tokenizer.files().contains_key(tokenizer::TEMPLATE_FILE);
        let file = if own_file {
            tokenizer::TEMPLATE_FILE
        } else {
            tokenizer::CONFIG_FILE
        };
        Self::parse(&tokenizer::path_in(origin, file), source, tokenizer)
    }

    /// Renders messages, objects with `role` and `content` and what else the template knows.
    ///
    /// # Errors
    ///
    /// [`Error::ChatTemplate`] where the template refuses the messages or is wrong,
    /// [`Error::ChatTooLong`] where the text outgrows 64 MiB.
    pub fn render(
        &self,
        messages: &impl Serialize,
        tools: Option<&serde_json::Value>,
        add_generation_prompt: bool,
    ) -> Result<String> {
        let mut variables: Vec<(&str, Value)> = vec![
            ("messages", Value::from_serialize(messages)),
            ("tools", Value::from_serialize(tools)),
            ("documents", Value::from(())),
            ("add_generation_prompt", Value::from(add_generation_prompt)),
        ];
        variables.extend(
            self.special
                .iter()
                .map(|(name, content)| (*name, Value::from(content.as_str()))),
        );
        let context: Value = variables.into_iter().collect();

        let mut text = Bounded {
            bytes: Vec::new(),
            overflowed: false,
        };
        let rendered = catch_unwind(AssertUnwindSafe(|| {
            let template = self.environment.get_template("chat_template")?;
            template.render_captured_to(context, &mut text).map(|_| ())
        }));
        let failed = |source| Error::ChatTemplate {
            file: self.file.to_string(),
            source,
        };
        match rendered {
            _ if text.overflowed => {
                return Err(Error::ChatTooLong {
                    file: self.file.to_string(),
                    limit: MAX_BYTES,
                });
            }
            Ok(outcome) => outcome.map_err(failed)?,
            Err(_) => {
                return Err(failed(minijinja::Error::new(
                    ErrorKind::InvalidOperation,
                    "the template engine failed on a value too large",
                )));
            }
        }
        String::from_utf8(text.bytes).map_err(|source| Error::NotUtf8 {
            file: self.file.to_string(),
            source: source.utf8_error(),
        })
    }

    /// The text a model is to continue: the conversation and the beginning of the assistant's turn.
    ///
    /// A last message of the assistant is a turn left open: the text ends where its content ends.
    ///
    /// # Errors
    ///
    /// As [`render`](Self::render); [`Error::TurnNotOpen`] where the template does not show the last
    /// message.
    pub fn prompt(&self, messages: &[Message]) -> Result<String> {
        let Some((last, earlier)) = messages
            .split_last()
            .filter(|(last, _)| last.role == Role::Assistant)
        else {
            return self.render(&messages, None, true);
        };
        let mut open = earlier.to_vec();
        open.push(Message {
            role: Role::Assistant,
            content: format!("{}{OPEN_END}", last.content),
        });
        let mut text = self.render(&open, None, false)?;
        let end = text.rfind(OPEN_END).ok_or_else(|| Error::TurnNotOpen {
            file: self.file.to_string(),
        })?;
        text.truncate(end);
        Ok(text)
    }
}

/// Collects output up to [`MAX_BYTES`].
struct Bounded {
    bytes: Vec<u8>,
    overflowed: bool,
}

impl std::io::Write for Bounded {
    fn write(&mut self, piece: &[u8]) -> std::io::Result<usize> {
        if self.bytes.len() + piece.len() > MAX_BYTES {
            self.overflowed = true;
            return Err(std::io::ErrorKind::OutOfMemory.into());
        }
        self.bytes.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Prints truth values and none as Python does.
fn python_formatter(
    output: &mut Output<'_>,
    state: &State<'_, '_>,
    value: &Value,
) -> Result<(), minijinja::Error> {
    if value.is_none() {
        return output.write_str("None").map_err(Into::into);
    }
    match value.kind() {
        minijinja::value::ValueKind::Bool => output
            .write_str(if value.is_true() { "True" } else { "False" })
            .map_err(Into::into),
        _ => minijinja::escape_formatter(output, state, value),
    }
}

/// `tojson` as transformers defines it: Python's `json.dumps` without ASCII or HTML escaping.
fn tojson(
    value: &Value,
    indent: Option<Value>,
    arguments: Kwargs,
) -> Result<Value, minijinja::Error> {
    let indent = match indent {
        Some(indent) => Some(indent),
        None => arguments.get::<Option<Value>>("indent")?,
    };
    let sort_keys = arguments.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    // Escaping is the default in Python and off in transformers; other separators are not in use.
    let _ = arguments.get::<Option<bool>>("ensure_ascii")?;
    arguments.assert_all_used()?;
    let indent = match indent.filter(|indent| !indent.is_none() && !indent.is_undefined()) {
        Some(indent) => Some(usize::try_from(indent)?.min(64)),
        None => None,
    };
    let value = serde_json::to_value(value).map_err(|source| {
        minijinja::Error::new(ErrorKind::InvalidOperation, "cannot serialize to JSON")
            .with_source(source)
    })?;
    Ok(Value::from_safe_string(json::dumps(
        &value, indent, sort_keys,
    )))
}

fn raise_exception(message: String) -> Result<Value, minijinja::Error> {
    Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
}

#[cfg(test)]
mod tests;
