//! Patterns that select tensors by name.
//!
//! A tensor's name is a path with dots. A pattern is a shorter path, and matches where its parts stand next to one
//! another anywhere in the name: `layers.8-20.mlp` matches `model.layers.12.mlp.up_proj.weight`. A part may be a range
//! of whole numbers, both ends included, and may hold `*` for any characters but dots. Commas separate alternatives.

use crate::expression::Problem;

/// A parsed pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TensorPattern {
    text: String,
    alternatives: Vec<Vec<Part>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Range(u64, u64),
    /// Pieces between asterisks.
    Glob(Vec<String>),
}

impl TensorPattern {
    /// Parses a pattern.
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let refuse = |reason| Problem::Pattern {
            pattern: text.to_owned(),
            reason,
        };
        let mut alternatives = Vec::new();
        for alternative in text.split(',') {
            let mut parts = Vec::new();
            for part in alternative.trim().split('.') {
                if part.is_empty() {
                    return Err(refuse(
                        "names, ranges or `*` stand between dots, and no part is empty",
                    ));
                }
                parts.push(
                    match part
                        .split_once('-')
                        .map(|(low, high)| (low.parse(), high.parse()))
                    {
                        Some((Ok(low), Ok(high))) if low <= high => Part::Range(low, high),
                        Some((Ok::<u64, _>(_), Ok::<u64, _>(_))) => {
                            return Err(refuse("its range goes down"));
                        }
                        _ => Part::Glob(part.split('*').map(str::to_owned).collect()),
                    },
                );
            }
            alternatives.push(parts);
        }
        Ok(Self {
            text: text.to_owned(),
            alternatives,
        })
    }

    /// Checks that it selects one of these tensors at least.
    pub(crate) fn require_match(
        &self,
        names: &mut dyn Iterator<Item = &str>,
    ) -> Result<(), Problem> {
        let (mut count, mut example) = (0, None);
        for name in names {
            if self.matches(name) {
                return Ok(());
            }
            count += 1;
            example = example.or_else(|| Some(name.to_owned()));
        }
        Err(Problem::PatternMatchesNothing {
            pattern: self.text.clone(),
            count,
            example,
        })
    }

    /// Whether it selects the tensor of that name.
    pub(crate) fn matches(&self, name: &str) -> bool {
        let segments: Vec<&str> = name.split('.').collect();
        self.alternatives.iter().any(|parts| {
            segments.windows(parts.len()).any(|window| {
                parts
                    .iter()
                    .zip(window)
                    .all(|(part, segment)| part.matches(segment))
            })
        })
    }
}

impl Part {
    fn matches(&self, segment: &str) -> bool {
        match self {
            Self::Range(low, high) => segment
                .parse()
                .is_ok_and(|number: u64| (*low..=*high).contains(&number)),
            Self::Glob(pieces) => match pieces.as_slice() {
                [] => false,
                [whole] => whole == segment,
                [first, middle @ .., last] => {
                    let Some(mut rest) = segment.strip_prefix(first.as_str()) else {
                        return false;
                    };
                    for piece in middle {
                        // The leftmost place leaves most for the pieces to come, so it never needs a second try.
                        let Some(at) = rest.find(piece.as_str()) else {
                            return false;
                        };
                        rest = &rest[at + piece.len()..];
                    }
                    rest.ends_with(last.as_str())
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        TensorPattern::parse(pattern).unwrap().matches(name)
    }

    #[test]
    fn parts_stand_next_to_one_another() {
        let name = "model.layers.12.mlp.up_proj.weight";
        for pattern in [
            "layers.8-20.mlp",
            "mlp",
            "12",
            "model.*.12",
            "layers.*.mlp",
            "up_*",
            "*proj*",
            "x, mlp",
            name,
            "8-12.mlp",
        ] {
            assert!(matches(pattern, name), "{pattern}");
        }
        for pattern in [
            "layers.1-11",
            "layers.mlp",
            "ml",
            "12.up_proj",
            "*.*.*.*.*.*.*",
            "up_*x",
            "13-20",
            "model.12",
        ] {
            assert!(!matches(pattern, name), "{pattern}");
        }
        assert!(matches("a*a", "aa") && !matches("a*a", "a") && matches("*a*b*", "xaxb"));
    }

    #[test]
    fn refuses_what_could_never_match() {
        for pattern in ["", "a..b", "a,", "9-3", "."] {
            assert!(TensorPattern::parse(pattern).is_err(), "{pattern}");
        }
    }
}
