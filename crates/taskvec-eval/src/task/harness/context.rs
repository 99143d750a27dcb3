//! How the harness puts a prompt together.

use crate::generator::{Message, Prompt};
use crate::task::PromptForm;

/// Between an example and what follows it.
const SHOT_DELIMITER: &str = "\n\n";

/// The parts of a prompt.
#[derive(Debug, Clone, Default)]
pub(super) struct Context {
    /// Opens the prompt; the system message of a chat.
    pub(super) description: String,
    /// Questions and answers to learn the form from.
    pub(super) shots: Vec<(String, String)>,
    /// Between a shot's question and answer in plain text.
    pub(super) delimiter: &'static str,
    /// The question that is asked.
    pub(super) question: String,
    /// How the answer begins; an open turn of the assistant in a chat.
    pub(super) prefix: String,
}

impl Context {
    pub(super) fn prompt(self, form: PromptForm) -> Prompt {
        match form {
            PromptForm::Base => Prompt::Text(self.text()),
            PromptForm::Chat => Prompt::Chat(self.messages()),
        }
    }

    fn text(self) -> String {
        let mut text = self.description;
        for (question, answer) in &self.shots {
            text.extend([question, self.delimiter, answer, SHOT_DELIMITER]);
        }
        text.push_str(&self.question);
        let meets_space = self.question.ends_with(super::python::is_space)
            || self.prefix.starts_with(super::python::is_space);
        if !self.prefix.is_empty() && !meets_space {
            text.push_str(self.delimiter);
        }
        text + &self.prefix
    }

    fn messages(self) -> Vec<Message> {
        let mut messages = Vec::new();
        if !self.description.is_empty() {
            messages.push(Message::system(self.description));
        }
        for (question, answer) in self.shots {
            messages.extend([Message::user(question), Message::assistant(answer)]);
        }
        messages.push(Message::user(self.question));
        if !self.prefix.is_empty() {
            messages.push(Message::assistant(self.prefix));
        }
        messages
    }
}
