//! Whether the rows of inputs' embeddings stand for the same tokens.

use taskvec_core::Checkpoint;
use taskvec_lm::tokenizer::{TOKENIZER_FILE, TokenizerComparison, compare};

/// The tokenizer whose ids the result's embeddings follow, and another input's.
pub(super) struct TokenizerPair<'a> {
    pub(super) left: &'a str,
    pub(super) right: &'a str,
    pub(super) comparison: TokenizerComparison,
}

impl TokenizerPair<'_> {
    /// What the user should know where they differ, as a sentence.
    pub(super) fn warning(&self) -> Option<String> {
        let comparison = &self.comparison;
        let differ = !comparison.same_vocabulary() || !comparison.same_merges;
        differ.then(|| {
            format!(
                "the tokenizers of `{}` and `{}` differ, and rows of their embeddings are combined by number",
                self.left, self.right
            )
        })
    }
}

/// Compares every input's tokenizer with that of input number `layout`.
///
/// # Errors
///
/// When a tokenizer cannot be read or is no JSON.
pub(super) fn tokenizers<'a>(
    inputs: impl IntoIterator<Item = (&'a str, &'a Checkpoint)>,
    layout: usize,
) -> anyhow::Result<Vec<TokenizerPair<'a>>> {
    let mut files: Vec<(usize, &str, Vec<u8>)> = Vec::new();
    for (index, (name, checkpoint)) in inputs.into_iter().enumerate() {
        let side_files = checkpoint.side_files()?;
        if let Some(file) = side_files.iter().find(|file| file.name() == TOKENIZER_FILE) {
            files.push((index, name, file.read()?));
        }
    }
    let Some(first) = files.iter().position(|(index, ..)| *index == layout) else {
        return Ok(Vec::new());
    };
    let (_, left, left_bytes) = files.swap_remove(first);
    files.sort_by_key(|(index, ..)| *index);
    let shown = |name: &str| format!("{name}/{TOKENIZER_FILE}");
    let left_file = shown(left);
    files
        .iter()
        .map(|(_, right, right_bytes)| {
            let right = *right;
            let right_file = shown(right);
            let comparison = compare(
                (left_file.as_str(), left_bytes.as_slice()),
                (right_file.as_str(), right_bytes.as_slice()),
            )?;
            Ok(TokenizerPair {
                left,
                right,
                comparison,
            })
        })
        .collect()
}
