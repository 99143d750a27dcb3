//! Numbers that may differ from tensor to tensor.
//!
//! A scalar of an expression is one number, a list interpolated over the depth of the model, rules by tensor name, or
//! arithmetic on these. It is evaluated once for each tensor when the plan is made, exactly; what executes sees only
//! rational numbers.

use std::sync::Arc;

use crate::coefficient::Coefficient;
use crate::expression::{Operator, Problem};
use crate::method::TensorPattern;
use crate::statistics::Group;

/// A tensor and where it stands in the depth of the model.
#[derive(Debug, Clone, Copy)]
pub(super) struct TensorPlace<'a> {
    pub(super) name: &'a str,
    /// Layers of the model.
    pub(super) layers: u32,
}

impl TensorPlace<'_> {
    /// Where in [0, 1] the tensor's layer stands: the first at 0, the last at 1. As in mergekit, what belongs to no
    /// layer stands at 0, before the head as well as before the embeddings, and a single layer at 1.
    fn depth(self) -> Coefficient {
        match Group::of(self.name).layer {
            None => Coefficient::zero(),
            Some(layer) => Coefficient::ratio(i64::from(layer), i64::from(self.layers) - 1)
                .unwrap_or_else(Coefficient::one),
        }
    }
}

/// A number, or what gives one in each tensor.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar {
    Constant(Coefficient),
    Varying(Arc<Varying>),
}

/// How a scalar comes to differ.
#[derive(Debug, PartialEq)]
pub(super) enum Varying {
    /// Interpolated linearly between equally spaced values, of which there are two or more.
    List(Vec<Coefficient>),
    /// The first rule that matches the tensor's name, or what holds otherwise.
    Rules {
        rules: Vec<(TensorPattern, Scalar)>,
        otherwise: Option<Scalar>,
    },
    Negated(Scalar),
    Binary(Operator, Scalar, Scalar),
}

impl Scalar {
    pub(super) fn varying(varying: Varying) -> Self {
        Self::Varying(Arc::new(varying))
    }

    pub(super) fn list(values: Vec<Coefficient>) -> Self {
        match <[Coefficient; 1]>::try_from(values) {
            Ok([value]) => Self::Constant(value),
            Err(values) => Self::varying(Varying::List(values)),
        }
    }

    pub(super) fn negated(self) -> Self {
        match self {
            Self::Constant(value) => Self::Constant(-value),
            varying @ Self::Varying(_) => Self::varying(Varying::Negated(varying)),
        }
    }

    pub(super) fn binary(operator: Operator, left: Self, right: Self) -> Result<Self, Problem> {
        if let Self::Constant(divisor) = &right
            && operator == Operator::Divide
            && divisor.is_zero()
        {
            return Err(Problem::DivisionByZero);
        }
        match (left, right) {
            (Self::Constant(left), Self::Constant(right)) => {
                evaluate(operator, &left, &right).map(Self::Constant)
            }
            (left, right) => Ok(Self::varying(Varying::Binary(operator, left, right))),
        }
    }

    /// The one number that it is, if it is one.
    pub(super) fn constant(&self) -> Option<&Coefficient> {
        match self {
            Self::Constant(value) => Some(value),
            Self::Varying(_) => None,
        }
    }

    /// The number in a tensor.
    pub(super) fn at(&self, tensor: TensorPlace<'_>) -> Result<Coefficient, Problem> {
        let varying = match self {
            Self::Constant(value) => return Ok(value.clone()),
            Self::Varying(varying) => varying,
        };
        match varying.as_ref() {
            Varying::List(values) => Ok(Coefficient::interpolate(values, &tensor.depth())),
            Varying::Rules { rules, otherwise } => rules
                .iter()
                .find(|(pattern, _)| pattern.matches(tensor.name))
                .map(|(_, value)| value)
                .or(otherwise.as_ref())
                .ok_or_else(|| Problem::NoRule {
                    tensor: tensor.name.to_owned(),
                })?
                .at(tensor),
            Varying::Negated(operand) => operand.at(tensor).map(|value| -value),
            Varying::Binary(operator, left, right) => {
                evaluate(*operator, &left.at(tensor)?, &right.at(tensor)?).map_err(|_| {
                    Problem::DivisionByZeroIn {
                        tensor: tensor.name.to_owned(),
                    }
                })
            }
        }
    }

    /// Checks it against the tensors there are: each pattern of its rules is to match one, and a list runs over layers.
    pub(super) fn check<'a>(
        &self,
        names: &(impl Iterator<Item = &'a str> + Clone),
    ) -> Result<(), Problem> {
        let Self::Varying(varying) = self else {
            return Ok(());
        };
        match varying.as_ref() {
            Varying::List(_) => {
                let mut layers = names.clone().filter_map(|name| Group::of(name).layer);
                match layers.next() {
                    Some(_) => Ok(()),
                    None => Err(Problem::ListWithoutLayers),
                }
            }
            Varying::Negated(operand) => operand.check(names),
            Varying::Binary(_, left, right) => {
                left.check(names)?;
                right.check(names)
            }
            Varying::Rules { rules, otherwise } => {
                for (pattern, value) in rules {
                    pattern.require_match(&mut names.clone())?;
                    value.check(names)?;
                }
                otherwise
                    .as_ref()
                    .map_or(Ok(()), |value| value.check(names))
            }
        }
    }
}

fn evaluate(
    operator: Operator,
    left: &Coefficient,
    right: &Coefficient,
) -> Result<Coefficient, Problem> {
    match operator {
        Operator::Add => Ok(left + right),
        Operator::Subtract => Ok(left - right),
        Operator::Multiply => Ok(left * right),
        Operator::Divide => left.checked_div(right).ok_or(Problem::DivisionByZero),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(values: &[&str]) -> Vec<Coefficient> {
        values.iter().map(|value| value.parse().unwrap()).collect()
    }

    fn at(scalar: &Scalar, name: &str, layers: u32) -> String {
        scalar.at(TensorPlace { name, layers }).unwrap().to_string()
    }

    #[test]
    fn lists_are_interpolated_exactly() {
        let list = Scalar::list(numbers(&["0", "0.5", "1"]));
        for (layer, expected) in [(0, "0"), (1, "1/3"), (2, "2/3"), (3, "1")] {
            let name = format!("model.layers.{layer}.mlp.up_proj.weight");
            assert_eq!(at(&list, &name, 4), expected, "{layer}");
        }
        let bent = Scalar::list(numbers(&["1", "0", "0.25"]));
        for (layer, expected) in [(0, "1"), (1, "0.5"), (2, "0"), (3, "0.125"), (4, "0.25")] {
            assert_eq!(at(&bent, &format!("h.{layer}.w"), 5), expected, "{layer}");
        }
    }

    #[test]
    fn ends_of_the_model_stand_at_the_first_value_and_a_single_layer_at_the_last() {
        let list = Scalar::list(numbers(&["3", "7"]));
        for name in [
            "model.embed_tokens.weight",
            "model.norm.weight",
            "lm_head.weight",
        ] {
            assert_eq!(at(&list, name, 4), "3");
        }
        assert_eq!(at(&list, "model.layers.0.w", 1), "7");
        assert_eq!(Scalar::list(numbers(&["2"])), Scalar::Constant(2.into()));
    }

    #[test]
    fn the_first_rule_that_matches_holds() {
        let rule = |pattern: &str, value: i64| {
            (
                TensorPattern::parse(pattern).unwrap(),
                Scalar::Constant(value.into()),
            )
        };
        let rules = Scalar::varying(Varying::Rules {
            rules: vec![rule("mlp", 1), rule("layers.0", 2)],
            otherwise: None,
        });
        assert_eq!(at(&rules, "layers.0.mlp.w", 2), "1");
        assert_eq!(at(&rules, "layers.0.attn.w", 2), "2");
        let place = TensorPlace {
            name: "norm.weight",
            layers: 2,
        };
        assert!(matches!(rules.at(place), Err(Problem::NoRule { .. })));
    }

    #[test]
    fn arithmetic_is_done_in_each_tensor() {
        let list = Scalar::list(numbers(&["0", "1"]));
        let one = Scalar::Constant(Coefficient::one());
        let rest = Scalar::binary(Operator::Subtract, one.clone(), list.clone()).unwrap();
        assert_eq!(at(&rest.clone().negated(), "layers.1.w", 4), "-2/3");
        let quotient = Scalar::binary(Operator::Divide, one, list).unwrap();
        let place = TensorPlace {
            name: "layers.0.w",
            layers: 4,
        };
        assert!(matches!(
            quotient.at(place),
            Err(Problem::DivisionByZeroIn { .. })
        ));
    }
}
