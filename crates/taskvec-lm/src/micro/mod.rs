//! The micro world: the paper's experiment in miniature, trained by this crate's own code.

mod architecture;
mod curriculum;

pub use architecture::{MAX_POSITIONS, config};
pub use curriculum::{CHAT_TEMPLATE, Curriculum, END_OF_TEXT, END_OF_TURN, tokenizer};
