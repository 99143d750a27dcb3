//! What can go wrong between a checkpoint and its text.

/// An error of this crate. Messages name the file, the tensor, the expected and the found value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file a model needs is not in its checkpoint.
    #[error("`{file}` is missing")]
    MissingFile {
        /// The file.
        file: String,
    },
    /// A file that should be JSON of a known form is not.
    #[error("cannot read `{file}`")]
    Json {
        /// The file.
        file: String,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// A text file is not UTF-8.
    #[error("`{file}` is not UTF-8")]
    NotUtf8 {
        /// The file.
        file: String,
        /// Where.
        #[source]
        source: std::str::Utf8Error,
    },
    /// The `tokenizers` library refused a tokenizer.
    #[error("cannot build a tokenizer from `{file}`")]
    Tokenizer {
        /// The file.
        file: String,
        /// Its reason.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A tokenizer of a kind that is not supported.
    #[error("`{file}` has a tokenizer whose {part} is {found}, expected {supported}")]
    UnsupportedTokenizer {
        /// The file.
        file: String,
        /// Which part of it.
        part: &'static str,
        /// What it is.
        found: String,
        /// What it may be.
        supported: &'static str,
    },
    /// A tokenizer that contradicts itself.
    #[error("`{file}` is not a sound tokenizer: {problem}")]
    InvalidTokenizer {
        /// The file.
        file: String,
        /// The contradiction.
        problem: String,
    },
    /// A special token that the vocabulary does not have.
    #[error("`{file}` names {token:?} as `{field}`, which the vocabulary lacks")]
    UnknownSpecialToken {
        /// The file.
        file: String,
        /// The field that names it.
        field: &'static str,
        /// The token.
        token: String,
    },
    /// A tokenizer was to be trained with fewer entries than bytes and special tokens need.
    #[error("cannot train a vocabulary of {got} entries: bytes and special tokens take {expected}")]
    VocabularyTooSmall {
        /// The least that can be trained.
        expected: usize,
        /// What was asked for.
        got: usize,
    },
    /// A chat was to be rendered for a model that has no chat template.
    #[error("`{origin}` has no chat template")]
    NoChatTemplate {
        /// The checkpoint.
        origin: String,
    },
    /// A chat template is wrong, or refuses a conversation.
    #[error("the chat template of `{file}` failed")]
    ChatTemplate {
        /// The file it stands in.
        file: String,
        /// The engine's reason, with the line.
        #[source]
        source: minijinja::Error,
    },
    /// A rendering outgrew its limit.
    #[error("the chat template of `{file}` writes more than {limit} bytes")]
    ChatTooLong {
        /// The file it stands in.
        file: String,
        /// The limit.
        limit: usize,
    },
    /// A chat template does not show the turn that was to be continued.
    #[error(
        "the chat template of `{file}` leaves out the assistant's turn that is to be continued"
    )]
    TurnNotOpen {
        /// The file it stands in.
        file: String,
    },
    /// A checkpoint of an architecture that is not supported.
    #[error("`{file}` describes {found}, expected one of: {supported}")]
    UnsupportedArchitecture {
        /// The file.
        file: String,
        /// The architectures it names.
        found: String,
        /// Those there are.
        supported: String,
    },
    /// A configuration with fields that are missing, out of range or ask for what is not implemented.
    #[error("`{file}` cannot be used: {}", problems.join("; "))]
    InvalidConfig {
        /// The file.
        file: String,
        /// Each problem.
        problems: Vec<String>,
    },
    /// Weights that are not those the configuration asks for.
    #[error(
        "the tensors of `{origin}` do not fit its `config.json`:{}",
        lines(problems)
    )]
    TensorMismatch {
        /// The expression or checkpoint.
        origin: String,
        /// Each tensor that is missing, too many or of another shape.
        problems: Vec<String>,
    },
    /// A tokenizer with more tokens than the model has embeddings for.
    #[error("`{file}` has {tokens} tokens, the embedding {rows} rows")]
    VocabularyTooLarge {
        /// The tokenizer's file.
        file: String,
        /// Its tokens.
        tokens: usize,
        /// Rows of the embedding.
        rows: usize,
    },
    /// Neither configuration nor tokenizer say which token ends a sequence.
    #[error("`{origin}` does not say which token ends a sequence")]
    NoEndToken {
        /// The checkpoint.
        origin: String,
    },
    /// An expression that gives no model was to be used as one.
    #[error("`{expression}` is a vector, expected a model")]
    NotAModel {
        /// The expression.
        expression: String,
    },
    /// A decoder was to take the place of one of another shape.
    #[error("the decoder is {got:?}, expected {expected:?}")]
    OtherShape {
        /// The shape wanted.
        expected: Box<crate::decoder::DecoderConfig>,
        /// The shape given.
        got: Box<crate::decoder::DecoderConfig>,
    },
    /// Weights were to be stored as a type they cannot be.
    #[error("cannot store weights as {dtype}, expected F32, F16 or BF16")]
    UnsupportedDtype {
        /// The type.
        dtype: taskvec_core::Dtype,
    },
    /// Numbers by which no token can be chosen.
    #[error(transparent)]
    Sampling(#[from] taskvec_eval::generator::InvalidSampling),
    /// A prompt that leaves no room for an answer.
    #[error("request {index} has {tokens} tokens, the model has room for {limit}")]
    PromptTooLong {
        /// Its place among the requests.
        index: usize,
        /// Its tokens, those of a continuation to be scored included.
        tokens: usize,
        /// The model's `max_position_embeddings`.
        limit: usize,
    },
    /// Keys and values of one sequence would outgrow the memory set aside for them.
    #[error(
        "{positions} positions need {bytes} bytes of keys and values, more than the {limit} set aside"
    )]
    CacheTooLarge {
        /// Positions of the sequence, prompt and answer.
        positions: usize,
        /// Bytes they need.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The engine ended without an answer to every request: a mistake of its own.
    #[error("{requests} requests were left without an answer")]
    Unanswered {
        /// How many.
        requests: usize,
    },
    /// A text cannot be split into tokens.
    #[error("cannot encode a text")]
    Encode {
        /// The library's reason.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A tensor cannot be read from its device as f32.
    #[error("cannot read the tensor `{tensor}` as f32: {reason}")]
    ReadTensor {
        /// The tensor.
        tensor: String,
        /// The tensor library's reason.
        reason: String,
    },
    /// A loss does not depend on a trainable tensor.
    #[error("the loss gives no gradient to `{tensor}`")]
    NoGradient {
        /// The tensor.
        tensor: String,
    },
    /// A gradient holds a NaN or an infinity.
    #[error("training diverged: the gradient of step {step} is not finite")]
    NotFinite {
        /// The optimiser step, counted from 0.
        step: u64,
    },
    /// What a step measures is no number.
    #[error("training diverged: the {what} of step {step} is {value}")]
    Diverged {
        /// The step, counted from 0.
        step: u64,
        /// `loss` or `entropy`.
        what: &'static str,
        /// What it is.
        value: f64,
    },
    /// A step after which the weights are others altogether.
    #[error(
        "training diverged: step {step}, at learning rate {learning_rate:e}, made the weights {growth:.1e} times as long"
    )]
    LostWeights {
        /// The optimiser step, counted from 0.
        step: u64,
        /// Their norm after it, as a multiple of that before.
        growth: f64,
        /// Its learning rate.
        learning_rate: f64,
    },
    /// Worker threads cannot be started.
    #[error("cannot start {count} worker threads")]
    Threads {
        /// How many were asked for.
        count: usize,
        /// The system's reason.
        #[source]
        source: rayon::ThreadPoolBuildError,
    },
    /// A checkpoint cannot be read.
    #[error(transparent)]
    Core(#[from] taskvec_core::Error),
    /// A setting of a training run that cannot be.
    #[error("`{setting}` is {value}, expected {expected}")]
    InvalidSetting {
        /// The setting.
        setting: &'static str,
        /// What it was set to.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A completion that a benchmark could not score.
    #[error("cannot score a completion")]
    Scoring(#[from] taskvec_eval::Error),
    /// A row of training data that cannot be learned from.
    #[error("`{}`, line {line}: {problem}", file.display())]
    TrainingRow {
        /// The file.
        file: std::path::PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A row of training data whose text cannot be rendered or tokenized.
    #[error("`{}`, line {line}: cannot turn the row into tokens", file.display())]
    TrainingRowText {
        /// The file.
        file: std::path::PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// Why.
        #[source]
        source: Box<Error>,
    },
    /// No example has a token that carries loss.
    #[error("none of {examples} examples has a token to learn")]
    NothingToLearn {
        /// How many examples there were.
        examples: usize,
    },
    /// A prompt without tokens.
    #[error("prompt {index} is empty")]
    EmptyPrompt {
        /// Its place among the prompts.
        index: usize,
    },
    /// A reward that is no number.
    #[error("the reward of a completion of prompt {prompt} is {reward}, expected a finite number")]
    Reward {
        /// The prompt's place.
        prompt: usize,
        /// The reward.
        reward: f64,
    },
    /// A token the model has no embedding for.
    #[error("token {token} is outside the model's vocabulary of {vocab_size}")]
    TokenOutOfRange {
        /// The token.
        token: u32,
        /// Rows of the embedding.
        vocab_size: usize,
    },
    /// A file or directory cannot be read or written.
    #[error("cannot read or write `{}`", file.display())]
    File {
        /// The file.
        file: std::path::PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A run was to begin where one already is.
    #[error("`{}` holds the state of a training run", directory.display())]
    RunExists {
        /// The directory.
        directory: std::path::PathBuf,
    },
    /// A run was to be resumed with other settings or data.
    #[error("`{}` belongs to another run: {}", file.display(), differences.join("; "))]
    OtherRun {
        /// The state.
        file: std::path::PathBuf,
        /// Each difference.
        differences: Vec<String>,
    },
    /// A tensor of a saved run is missing or has another shape.
    #[error("`{}` does not fit the model: `{tensor}` should be f32 {expected:?}, found {got:?}", file.display())]
    StateTensor {
        /// The state.
        file: std::path::PathBuf,
        /// The tensor.
        tensor: String,
        /// The model's shape.
        expected: Vec<usize>,
        /// The saved shape, if there is such a tensor.
        got: Option<Vec<usize>>,
    },
    /// The state of a run cannot be encoded.
    #[error("cannot encode `{}`", file.display())]
    StateHeader {
        /// The state.
        file: std::path::PathBuf,
        /// Why.
        #[source]
        source: taskvec_core::safetensors::HeaderError,
    },
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// What the user may do about it, where there is something.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnsupportedTokenizer { .. } => {
                Some("tokenizers of the Qwen2 kind (byte-level BPE) are supported".to_owned())
            }
            Self::NoChatTemplate { .. } => Some(
                "give the prompt as plain text, or add a `chat_template` to the model's \
                 `tokenizer_config.json`"
                    .to_owned(),
            ),
            Self::NotAModel { .. } => {
                Some("add the vector to a model, as in `target + v`".to_owned())
            }
            Self::VocabularyTooLarge { .. } => {
                Some("tokenizer and weights belong to different models".to_owned())
            }
            Self::PromptTooLong { .. } => Some("shorten the prompt".to_owned()),
            Self::CacheTooLarge { .. } => Some("ask for fewer new tokens".to_owned()),
            Self::NotFinite { .. } | Self::Diverged { .. } | Self::LostWeights { .. } => {
                Some("lower the learning rate, or start again from the last checkpoint".to_owned())
            }
            Self::RunExists { .. } => Some("resume it, or choose another directory".to_owned()),
            Self::OtherRun { .. } => Some(
                "give the run its old settings and data back, or begin in another directory"
                    .to_owned(),
            ),
            Self::TrainingRow { .. } => Some(
                "a row is {\"prompt\": …, \"completion\": …}, {\"messages\": […]} or {\"text\": …}"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// Problems one to a line, as they follow a message.
fn lines(problems: &[String]) -> String {
    problems
        .iter()
        .map(|problem| format!("\n  {problem}"))
        .collect()
}
