//! Text from tokens as they come.

use super::Tokenizer;

/// Collects the bytes of one sequence's tokens and watches for stop strings.
///
/// Works on bytes, because a token may end inside a character: the text is decoded only when it is
/// whole. UTF-8 is self-synchronising, so a stop string's bytes are found where and only where the
/// stop string is in the text, also when it spans tokens.
#[derive(Debug, Clone)]
pub struct Detokenizer {
    bytes: Vec<u8>,
    stop: Vec<Vec<u8>>,
    longest_stop: usize,
}

impl Detokenizer {
    /// An empty text that ends before the first of `stop`; empty stop strings are ignored.
    pub fn new<S: AsRef<str>>(stop: &[S]) -> Self {
        let stop: Vec<Vec<u8>> = stop
            .iter()
            .map(|text| text.as_ref().as_bytes().to_vec())
            .filter(|bytes| !bytes.is_empty())
            .collect();
        let longest_stop = stop.iter().map(Vec::len).max().unwrap_or(0);
        Self {
            bytes: Vec::new(),
            stop,
            longest_stop,
        }
    }

    /// Appends a token; true when the text now holds a stop string, which is then cut off together
    /// with what follows it. Special tokens add no text.
    pub fn push(&mut self, tokenizer: &Tokenizer, id: u32) -> bool {
        let before = self.bytes.len();
        if !tokenizer.is_special(id) {
            tokenizer.push_token_bytes(id, &mut self.bytes);
        }
        // Only a match that ends in the new bytes can be new.
        let from = before.saturating_sub(self.longest_stop.saturating_sub(1));
        let tail = &self.bytes[from..];
        let first = self
            .stop
            .iter()
            .filter_map(|stop| tail.windows(stop.len()).position(|window| window == stop))
            .min();
        if let Some(position) = first {
            self.bytes.truncate(from + position);
        }
        first.is_some()
    }

    /// The text so far; bytes that are no UTF-8 become U+FFFD.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}
