//! BIG-Bench Hard: examples, and the prompts that came with them.

use super::records::Embedded;
use crate::error::Result;
use serde::Deserialize;

/// A row of the packed file: the canary, or an example.
#[derive(Debug, Clone, Deserialize)]
struct Row {
    #[serde(default)]
    task: String,
    #[serde(default)]
    input: String,
    #[serde(default)]
    target: String,
}

/// One example of a subtask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::task) struct BbhExample<'a> {
    pub(in crate::task) input: &'a str,
    pub(in crate::task) target: &'a str,
}

/// A subtask's description and its three worked examples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::task) struct CotPrompt {
    pub(in crate::task) description: String,
    /// Input and worked answer, the phrase `Let's think step by step.` in neither.
    pub(in crate::task) shots: Vec<(String, String)>,
}

#[derive(Debug, Clone, Deserialize)]
struct PromptFile {
    task: String,
    text: String,
}

static EXAMPLES: Embedded<Row> = Embedded::new(
    "bbh/tasks.jsonl.gz",
    include_bytes!("../../../data/bbh/tasks.jsonl.gz"),
);
static PROMPTS: Embedded<PromptFile> = Embedded::new(
    "bbh/cot-prompts.jsonl.gz",
    include_bytes!("../../../data/bbh/cot-prompts.jsonl.gz"),
);

/// The examples of one subtask, in the order of its file.
pub(in crate::task) fn bbh(subtask: &str) -> Result<Vec<BbhExample<'static>>> {
    let rows = EXAMPLES.records()?;
    Ok(rows
        .iter()
        .filter(|row| row.task == subtask)
        .map(|row| BbhExample {
            input: &row.input,
            target: &row.target,
        })
        .collect())
}

/// The input of every example.
pub(in crate::task) fn inputs() -> impl Iterator<Item = &'static str> {
    EXAMPLES
        .records()
        .unwrap_or_default()
        .iter()
        .map(|row| row.input.as_str())
}

/// The prompt file of one subtask, read into its parts.
pub(in crate::task) fn cot_prompts(subtask: &str) -> Result<CotPrompt> {
    let files = PROMPTS.records()?;
    let text = files
        .iter()
        .find(|file| file.task == subtask)
        .map_or("", |file| &file.text);
    Ok(parse(text))
}

/// A canary line, a rule, the description, and blocks `Q: …\nA: Let's think step by step. …`.
fn parse(text: &str) -> CotPrompt {
    let body = text.split_once("-----\n").map_or(text, |(_, body)| body);
    let mut blocks = body.split("\n\nQ: ");
    let description = blocks.next().unwrap_or_default().to_owned();
    let shots = blocks
        .filter_map(|block| {
            let (question, answer) = block.split_once("\nA: Let's think step by step.")?;
            // A newline follows the phrase, but for one subtask, where it is a space.
            let answer = answer.strip_prefix(['\n', ' ']).unwrap_or(answer);
            Some((question.to_owned(), answer.trim_end().to_owned()))
        })
        .collect();
    CotPrompt { description, shots }
}
