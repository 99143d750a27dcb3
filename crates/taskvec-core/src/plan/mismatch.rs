//! What does not fit between checkpoints, and how it is said.

use std::fmt;

use serde_json::Value;

use super::rows::differ_in_rows;
use crate::dtype::Dtype;

/// Mismatches that a message lists before it counts the rest.
const SHOWN: usize = 20;

/// One thing on which two checkpoints differ. Names are the atoms of the expression.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Mismatch {
    /// A tensor with two shapes.
    Shape {
        /// The tensor.
        tensor: String,
        /// The first checkpoint and the shape there.
        left: (String, Vec<usize>),
        /// The second checkpoint and the shape there.
        right: (String, Vec<usize>),
    },
    /// A tensor with two dtypes between which nothing can be computed.
    Dtype {
        /// The tensor.
        tensor: String,
        /// The first checkpoint and the dtype there.
        left: (String, Dtype),
        /// The second checkpoint and the dtype there.
        right: (String, Dtype),
    },
    /// A tensor that one checkpoint has and the other has not.
    Missing {
        /// The tensor.
        tensor: String,
        /// Who has it.
        present: String,
        /// Who has not.
        absent: String,
        /// Whether the one without it is a vector, in which it could count as zero.
        absent_is_vector: bool,
    },
    /// A tensor of weights in a format on which no arithmetic is done.
    Unsupported {
        /// The tensor.
        tensor: String,
        /// Where.
        checkpoint: String,
        /// Its dtype.
        dtype: Dtype,
    },
    /// A setting that gives tensors of the same shape another meaning.
    Config {
        /// The key in `config.json`.
        key: &'static str,
        /// The first checkpoint and its value.
        left: (String, Value),
        /// The second checkpoint and its value.
        right: (String, Value),
    },
}

impl fmt::Display for Mismatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape {
                tensor,
                left,
                right,
            } => {
                let ((first, one), (second, two)) = (left, right);
                write!(
                    formatter,
                    "`{tensor}`: `{first}` is {one:?}, `{second}` is {two:?}"
                )
            }
            Self::Dtype {
                tensor,
                left,
                right,
            } => {
                write!(
                    formatter,
                    "`{tensor}`: `{}` is {}, `{}` is {}",
                    left.0, left.1, right.0, right.1
                )
            }
            Self::Missing {
                tensor,
                present,
                absent,
                ..
            } => {
                write!(
                    formatter,
                    "`{tensor}`: `{present}` has it, `{absent}` does not"
                )
            }
            Self::Unsupported {
                tensor,
                checkpoint,
                dtype,
            } => {
                write!(
                    formatter,
                    "`{tensor}`: `{checkpoint}` is {dtype}, on which no arithmetic is done"
                )
            }
            Self::Config { key, left, right } => {
                write!(
                    formatter,
                    "config `{key}`: `{}` has {}, `{}` has {}",
                    left.0, left.1, right.0, right.1
                )
            }
        }
    }
}

/// The error of checkpoints that do not fit together.
#[derive(Debug, Clone, PartialEq)]
pub struct Incompatible {
    /// The expression, printed.
    pub expression: String,
    /// Expressions that were to be held beside it, where checkpoints of several do not fit.
    pub beside: Vec<String>,
    /// Tensors of the reference.
    pub tensors: usize,
    /// Everything that does not fit.
    pub mismatches: Vec<Mismatch>,
}

impl fmt::Display for Incompatible {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |wanted: fn(&Mismatch) -> bool| {
            self.mismatches.iter().filter(|each| wanted(each)).count()
        };
        let parts = [
            (
                count(|each| matches!(each, Mismatch::Config { .. })),
                "config values differ",
            ),
            (
                count(|each| matches!(each, Mismatch::Shape { .. })),
                "shapes differ",
            ),
            (
                count(|each| matches!(each, Mismatch::Dtype { .. })),
                "dtypes differ",
            ),
            (
                count(|each| matches!(each, Mismatch::Unsupported { .. })),
                "dtypes are not supported",
            ),
            (
                count(|each| matches!(each, Mismatch::Missing { .. })),
                "tensors are on one side only",
            ),
        ];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| {
                format!(
                    "{count} {}",
                    if *count == 1 {
                        singular(what)
                    } else {
                        (*what).to_owned()
                    }
                )
            })
            .collect();
        write!(
            formatter,
            "the checkpoints of {} do not fit together: {} ({} tensors compared)",
            self.expressions(),
            parts.join(", "),
            self.tensors
        )?;
        for mismatch in self.mismatches.iter().take(SHOWN) {
            write!(formatter, "\n  {mismatch}")?;
        }
        if self.mismatches.len() > SHOWN {
            write!(formatter, "\n  and {} more", self.mismatches.len() - SHOWN)?;
        }
        Ok(())
    }
}

fn singular(what: &str) -> String {
    what.replace("values differ", "value differs")
        .replace("shapes differ", "shape differs")
        .replace("dtypes differ", "dtype differs")
        .replace("dtypes are", "dtype is")
        .replace("tensors are", "tensor is")
}

impl std::error::Error for Incompatible {}

impl Incompatible {
    fn expressions(&self) -> String {
        let first = format!("`{}`", self.expression);
        match self.beside.as_slice() {
            [] => first,
            [rest @ .., last] => {
                let rest: String = rest.iter().map(|each| format!(", `{each}`")).collect();
                format!("{first}{rest} and `{last}`")
            }
        }
    }

    /// What explains the mismatches, where one thing does.
    pub fn hint(&self) -> Option<String> {
        let rows_of = |mismatch: &Mismatch| match mismatch {
            Mismatch::Shape {
                tensor,
                left,
                right,
            } if differ_in_rows(tensor, &left.1, &right.1) => Some((left.1[0], right.1[0])),
            _ => None,
        };
        let rows = self.mismatches.iter().find_map(rows_of).map(|(left, right)| {
            let differ = format!(
                "the vocabularies differ, {left} rows against {right}: one was resized or padded for another tokenizer"
            );
            if self.mismatches.iter().all(|mismatch| rows_of(mismatch).is_some()) {
                format!("{differ}; `--rows common` combines the rows that both have")
            } else {
                differ
            }
        });
        let architecture = self.mismatches.iter().any(|mismatch| {
            matches!(
                mismatch,
                Mismatch::Config {
                    key: "model_type" | "hidden_size" | "num_hidden_layers",
                    ..
                }
            )
        });
        if architecture {
            return Some(
                "these are different architectures; vectors move only between models of one shape"
                    .to_owned(),
            );
        }
        let head = self.mismatches.iter().all(|mismatch| {
            matches!(mismatch, Mismatch::Missing { tensor, .. } if tensor.ends_with("lm_head.weight"))
        });
        if head {
            return Some(
                "one side stores `lm_head.weight` and the other ties it to its embeddings; save both the same way"
                    .to_owned(),
            );
        }
        let vectors = self.mismatches.iter().all(|mismatch| {
            matches!(
                mismatch,
                Mismatch::Missing {
                    absent_is_vector: true,
                    ..
                }
            )
        });
        if vectors {
            return Some(
                "to let tensors that a vector lacks count as zero, pass `--missing-as-zero`; to evaluate such a model, `write` it first"
                    .to_owned(),
            );
        }
        rows
    }
}
