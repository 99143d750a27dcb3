//! What every engine must be able to do: complete a prompt, and say how likely a continuation is.
//!
//! The trait is the seam between benchmarks and language models. The local engine, a server that speaks
//! the OpenAI protocol and the scripted generators of tests all stand behind it. Not covered: tokens, which
//! are the engine's own business.

use serde::{Deserialize, Serialize};

/// Who speaks a [`Message`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions that stand above the conversation.
    System,
    /// The person who asks.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// The name that chat templates use: `system`, `user` or `assistant`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, verbatim.
    pub content: String,
}

impl Message {
    /// A turn of the user.
    #[must_use]
    pub fn user(content: impl Into<String>) -> Self {
        Self {
            role: Role::User,
            content: content.into(),
        }
    }

    /// A turn of the assistant.
    #[must_use]
    pub fn assistant(content: impl Into<String>) -> Self {
        Self {
            role: Role::Assistant,
            content: content.into(),
        }
    }

    /// A system message.
    #[must_use]
    pub fn system(content: impl Into<String>) -> Self {
        Self {
            role: Role::System,
            content: content.into(),
        }
    }
}

/// What a model is given to continue.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Prompt {
    /// Plain text, tokenized as it is.
    Text(String),
    /// A conversation, rendered by the model's own chat template. A last message of the assistant is a
    /// turn left open, to be continued.
    Chat(Vec<Message>),
}

/// How the next token is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Softmax temperature; 0 means greedy, and then nothing else here has an effect.
    pub temperature: f64,
    /// Nucleus: the smallest set of tokens whose probability reaches this; 1 keeps all.
    pub top_p: f64,
    /// Only this many of the likeliest tokens; `None` keeps all.
    pub top_k: Option<usize>,
    /// Seed of the draw. Equal requests with equal seeds give equal completions.
    pub seed: u64,
}

impl Sampling {
    /// The likeliest token, always.
    #[must_use]
    pub fn greedy() -> Self {
        Self {
            temperature: 0.0,
            top_p: 1.0,
            top_k: None,
            seed: 0,
        }
    }

    /// A draw from the model's own distribution at `temperature`.
    #[must_use]
    pub fn random(temperature: f64, seed: u64) -> Self {
        Self {
            temperature,
            top_p: 1.0,
            top_k: None,
            seed,
        }
    }

    /// Whether tokens can be chosen so. Every engine asks this before it begins.
    ///
    /// # Errors
    ///
    /// A temperature that is negative or no finite number, `top_p` outside (0, 1], and a `top_k` of 0.
    pub fn check(&self) -> Result<(), InvalidSampling> {
        let refused = |setting, value: String, expected| {
            Err(InvalidSampling {
                setting,
                value,
                expected,
            })
        };
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            let expected = "a number above 0, or 0 for the likeliest token always";
            return refused("temperature", self.temperature.to_string(), expected);
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            let expected = "a number above 0 and at most 1, which leaves all tokens";
            return refused("top_p", self.top_p.to_string(), expected);
        }
        if self.top_k == Some(0) {
            return refused("top_k", "0".to_owned(), "a whole number, 1 or more");
        }
        Ok(())
    }
}

/// A number of a [`Sampling`] by which no token can be chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{setting}` is {value}, expected {expected}")]
pub struct InvalidSampling {
    /// Which number.
    pub setting: &'static str,
    /// What it was set to.
    pub value: String,
    /// What it may be.
    pub expected: &'static str,
}

impl Default for Sampling {
    fn default() -> Self {
        Self::greedy()
    }
}

/// One completion asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GenerateRequest {
    /// What to continue.
    pub prompt: Prompt,
    /// At most this many tokens are generated.
    pub max_new_tokens: usize,
    /// The completion is cut before the first occurrence of any of these.
    pub stop: Vec<String>,
    /// How tokens are chosen.
    pub sampling: Sampling,
}

/// Why a completion ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// A stop string was produced (and cut off).
    Stop,
    /// The model ended the sequence itself.
    EndOfSequence,
    /// The limit on new tokens was reached.
    Length,
}

/// What a model answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Completion {
    /// The generated text alone, without prompt, stop string or end-of-sequence text.
    pub text: String,
    /// Tokens generated, the end-of-sequence token included.
    pub token_count: usize,
    /// Mean over these tokens of ln p under the model's own distribution, at temperature 1 and with nothing cut off, however
    /// they were drawn; `None` where the engine does not say. Some servers leave the end-of-sequence token out of it.
    pub mean_log_probability: Option<f64>,
    /// Why it ended.
    pub finish: Finish,
}

/// A continuation whose probability is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LikelihoodRequest {
    /// What comes before.
    pub prompt: Prompt,
    /// The text that is scored, leading whitespace included.
    pub continuation: String,
}

/// How likely a continuation is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Likelihood {
    /// Natural logarithm of the continuation's probability: the sum over its tokens.
    pub log_probability: f64,
    /// Whether greedy decoding would have produced exactly this continuation.
    pub is_greedy: bool,
    /// Tokens in the continuation.
    pub token_count: usize,
}

/// Any failure inside an engine, kept whole as the source of [`crate::Error::Engine`].
pub type EngineError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// A language model, wherever it runs.
///
/// # Contract
///
/// Results come back in the order of the requests. `on_done` is called exactly once for each request, with
/// its index and result, as soon as that result is final and in any order: the caller writes its records
/// there, so that a run that dies has kept what was finished. A request that failed is an error, never an
/// empty completion.
pub trait Generator {
    /// The engine in words, for records: its name, version and numeric type. Not the model.
    fn describe(&self) -> String;

    /// Completes every prompt.
    ///
    /// # Errors
    ///
    /// Whatever kept the engine from finishing; results already given to `on_done` stay valid.
    fn generate(
        &mut self,
        requests: &[GenerateRequest],
        on_done: &mut dyn FnMut(usize, &Completion),
    ) -> Result<Vec<Completion>, EngineError>;

    /// Scores every continuation.
    ///
    /// # Errors
    ///
    /// Whatever kept the engine from finishing, a server that gives no prompt probabilities among it;
    /// results already given to `on_done` stay valid.
    fn log_likelihood(
        &mut self,
        requests: &[LikelihoodRequest],
        on_done: &mut dyn FnMut(usize, &Likelihood),
    ) -> Result<Vec<Likelihood>, EngineError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_by_which_nothing_can_be_chosen_are_refused() {
        let random = Sampling::random(0.7, 1);
        let at = |temperature| Sampling {
            temperature,
            ..random
        };
        let within = |top_p| Sampling { top_p, ..random };
        let of = |top_k| Sampling {
            top_k: Some(top_k),
            ..random
        };
        for good in [
            Sampling::greedy(),
            random,
            at(1e-300),
            at(100.0),
            within(1e-9),
            of(1),
        ] {
            assert_eq!(good.check(), Ok(()), "{good:?}");
        }
        for (bad, message) in [
            (at(-0.1), "`temperature` is -0.1, expected a number above 0"),
            (at(f64::NAN), "`temperature` is NaN, expected"),
            (at(f64::INFINITY), "`temperature` is inf, expected"),
            (at(f64::NEG_INFINITY), "`temperature` is -inf, expected"),
            (
                within(0.0),
                "`top_p` is 0, expected a number above 0 and at most 1",
            ),
            (within(-0.5), "`top_p` is -0.5, expected"),
            (within(1.000_001), "`top_p` is 1.000001, expected"),
            (within(f64::NAN), "`top_p` is NaN, expected"),
            (of(0), "`top_k` is 0, expected a whole number, 1 or more"),
        ] {
            let said = bad.check().unwrap_err().to_string();
            assert!(said.starts_with(message), "{said}");
        }
    }
}
