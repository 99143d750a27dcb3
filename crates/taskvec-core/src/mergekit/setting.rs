//! Settings of parameters: numbers, gradients and filters, and which of several holds.
//!
//! mergekit looks a parameter up for each tensor: first what is set for the model in its slice, then for the slice, then
//! for the file. A setting with filters answers only for tensors that one of them matches, and what it leaves open the next
//! level answers. That is what rules of the expression language say, so a resolved parameter is written as one.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::error::Position;
use super::fields::{Fields, expected, invalid, unsupported};
use super::quotable;
use super::yaml::{Fault, Key, Node, Value};
use crate::coefficient::Coefficient;
use crate::method::TensorPattern;
use crate::statistics::LayerName;

/// What `parameters` holds.
#[derive(Debug, Default)]
pub(super) struct Settings(pub(super) Vec<(Key, Setting)>);

/// The setting of one parameter.
#[derive(Debug)]
pub(super) struct Setting {
    at: Position,
    /// In order; the first whose filter matches holds.
    conditions: Vec<Condition>,
}

#[derive(Debug)]
struct Condition {
    /// Text that the tensor's name has in it; none for any tensor.
    filter: Option<String>,
    /// One value, or a gradient of two or more. All of them are scalars.
    values: Vec<Node>,
}

/// A number as an expression writes it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Number {
    Constant(Coefficient),
    /// A list or rules.
    Varying(String),
}

/// What a slice knows of its tensors.
pub(super) struct Scope<'a> {
    /// The slice's tensors as an expression names them there: its layers are counted from 0.
    pub(super) tensors: &'a [String],
    /// Layers of the result before the slice.
    pub(super) begin: u32,
    /// Collects what filters match.
    pub(super) filters: &'a RefCell<Filters>,
}

/// Filters of a file, by whether they match a tensor of any slice.
#[derive(Debug, Default)]
pub(super) struct Filters {
    matched: BTreeSet<String>,
    tried: BTreeSet<String>,
}

impl Filters {
    fn note(&mut self, filter: &str, matches: bool) {
        self.tried.insert(filter.to_owned());
        if matches {
            self.matched.insert(filter.to_owned());
        }
    }

    /// Those that match nothing anywhere.
    pub(super) fn unmatched(self) -> impl Iterator<Item = String> {
        let Self { matched, tried } = self;
        tried
            .into_iter()
            .filter(move |filter| !matched.contains(filter))
    }
}

impl Settings {
    pub(super) fn get(&self, name: &str) -> Option<&Setting> {
        self.0
            .iter()
            .find(|(key, _)| key.text == name)
            .map(|(_, setting)| setting)
    }
}

impl Setting {
    pub(super) fn read(name: &str, node: &Node) -> Result<Self, Fault> {
        let unconditional = |values| Condition {
            filter: None,
            values,
        };
        let conditions = match &node.value {
            Value::Scalar { .. } => vec![unconditional(vec![node.clone()])],
            Value::Mapping(_) => vec![Condition::read(name, node)?],
            Value::Sequence(items) if items.is_empty() => {
                return Err(expected(name, "a list with something in it", node));
            }
            Value::Sequence(items) if items.iter().all(is_scalar) => {
                vec![unconditional(items.clone())]
            }
            Value::Sequence(items) => items
                .iter()
                .map(|item| Condition::read(name, item))
                .collect::<Result<_, _>>()?,
        };
        let at = node.at;
        Ok(Self { at, conditions })
    }
}

fn is_scalar(node: &Node) -> bool {
    matches!(node.value, Value::Scalar { .. })
}

impl Condition {
    fn read(name: &str, node: &Node) -> Result<Self, Fault> {
        let mut fields = Fields::of(format!("a condition of `{name}`"), node)?;
        let filter = match fields.take("filter").map(|node| (&node.value, node)) {
            None => None,
            Some((Value::Scalar { text, .. }, _)) => Some(text.clone()).filter(|text| text != "*"),
            Some((_, node)) => return Err(expected("filter", "a text", node)),
        };
        let value = fields.require("value")?;
        fields.finish()?;
        let values = match &value.value {
            Value::Scalar { .. } => vec![value.clone()],
            Value::Sequence(items) if !items.is_empty() && items.iter().all(is_scalar) => {
                items.clone()
            }
            _ => return Err(expected("value", "a number or a list of numbers", value)),
        };
        Ok(Self { filter, values })
    }
}

impl Number {
    pub(super) fn is(&self, value: i64) -> bool {
        *self == Self::Constant(value.into())
    }

    pub(super) fn constant(&self) -> Option<&Coefficient> {
        match self {
            Self::Constant(value) => Some(value),
            Self::Varying(_) => None,
        }
    }

    /// As it stands in an expression, anywhere that a factor may.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Constant(value) => value.to_string(),
            Self::Varying(text) => text.clone(),
        }
    }

    /// Times what `operand` stands for; nothing before a factor of one.
    pub(super) fn times(&self, operand: &str) -> String {
        if self.is(1) {
            operand.to_owned()
        } else {
            format!("{}*{operand}", self.text())
        }
    }

    /// The sum of numbers.
    pub(super) fn sum(numbers: &[Self]) -> Self {
        let constants: Option<Vec<&Coefficient>> = numbers.iter().map(Self::constant).collect();
        match constants {
            Some(constants) => Self::Constant(
                constants
                    .into_iter()
                    .fold(Coefficient::zero(), |sum, number| &sum + number),
            ),
            None => {
                let parts: Vec<String> = numbers.iter().map(Self::text).collect();
                Self::Varying(format!("({})", parts.join(" + ")))
            }
        }
    }

    /// This divided by another; none when that is zero.
    pub(super) fn over(&self, divisor: &Self) -> Option<Self> {
        match (self, divisor) {
            (Self::Constant(value), Self::Constant(divisor)) => {
                value.checked_div(divisor).map(Self::Constant)
            }
            _ if divisor.is(1) => Some(self.clone()),
            _ if divisor.is(0) => None,
            _ => Some(Self::Varying(format!("{}/{}", self.text(), divisor.text()))),
        }
    }
}

impl Scope<'_> {
    /// The number that a parameter is, from the settings of all levels, nearest first; `default` where none answers.
    ///
    /// Filters speak of names in which layers are counted from `begin`: in the result, where a parameter is of the slice,
    /// and in a model, where it is one for each.
    pub(super) fn number(
        &self,
        name: &str,
        levels: &[&Settings],
        default: Option<Coefficient>,
        at: Position,
        begin: u32,
    ) -> Result<Number, Fault> {
        let mut rules: Vec<(String, Number)> = Vec::new();
        let mut otherwise = None;
        for condition in levels
            .iter()
            .filter_map(|settings| settings.get(name))
            .flat_map(|setting| &setting.conditions)
        {
            let values: Vec<Coefficient> = condition
                .values
                .iter()
                .map(|node| number(name, node))
                .collect::<Result<_, _>>()?;
            let value = gradient(values);
            match &condition.filter {
                Some(filter) => {
                    rules.extend(self.pattern(filter, begin).map(|pattern| (pattern, value)));
                }
                None => {
                    otherwise = Some(value);
                    break;
                }
            }
        }
        let otherwise = otherwise.or(default.map(Number::Constant));
        match (rules.as_slice(), otherwise) {
            ([], Some(value)) => Ok(value),
            ([], None) => Err(invalid(
                at,
                format!("`{name}` is not set, and has no default"),
            )),
            (rules, otherwise) => {
                let mut parts: Vec<String> = rules
                    .iter()
                    .map(|(pattern, value)| format!("\"{}\": {}", quotable(pattern), value.text()))
                    .collect();
                parts.extend(otherwise.map(|value| format!("else: {}", value.text())));
                Ok(Number::Varying(format!("{{{}}}", parts.join(", "))))
            }
        }
    }

    /// The pattern that selects the tensors in whose names `filter` occurs; none where there are no such.
    fn pattern(&self, filter: &str, begin: u32) -> Option<String> {
        let has = |name: &str| match LayerName::of(name) {
            Some(parts) if begin > 0 => {
                parts.at(parts.layer.saturating_add(begin)).contains(filter)
            }
            _ => name.contains(filter),
        };
        let selected: Vec<&str> = self
            .tensors
            .iter()
            .map(String::as_str)
            .filter(|name| has(name))
            .collect();
        self.filters.borrow_mut().note(filter, !selected.is_empty());
        if selected.is_empty() {
            return None;
        }
        let matches_alike = |text: &String| {
            TensorPattern::parse(text).is_ok_and(|pattern| {
                let mut names = self.tensors.iter();
                names.all(|name| pattern.matches(name) == has(name))
            })
        };
        // Whole parts of names read better than pieces of them, and pieces better than all names.
        [filter.to_owned(), format!("*{filter}*")]
            .into_iter()
            .find(matches_alike)
            .or_else(|| Some(selected.join(", ")))
    }

    /// As [`Self::number`], for what must be the same in every tensor.
    pub(super) fn constant(
        &self,
        name: &str,
        levels: &[&Settings],
        default: Coefficient,
    ) -> Result<Coefficient, Fault> {
        let at = set_at(name, levels);
        match self.number(name, levels, Some(default), at, self.begin)? {
            Number::Constant(value) => Ok(value),
            Number::Varying(_) => Err(unsupported(
                at,
                format!("a `{name}` that differs between tensors"),
                "it has to be one number",
                None,
            )),
        }
    }

    /// As [`Self::constant`], for what is true or false.
    pub(super) fn flag(
        &self,
        name: &str,
        levels: &[&Settings],
        default: bool,
    ) -> Result<bool, Fault> {
        self.constant(name, levels, i64::from(default).into())
            .map(|value| !value.is_zero())
    }
}

/// A gradient, which in an expression runs over the layers of what it stands in, and so here over those of the slice.
fn gradient(values: Vec<Coefficient>) -> Number {
    match <[Coefficient; 1]>::try_from(values) {
        Ok([value]) => Number::Constant(value),
        Err(values) => {
            let parts: Vec<String> = values.iter().map(Coefficient::to_string).collect();
            Number::Varying(format!("[{}]", parts.join(", ")))
        }
    }
}

/// Where a parameter is set, nearest level first.
pub(super) fn set_at(name: &str, levels: &[&Settings]) -> Position {
    levels
        .iter()
        .find_map(|settings| settings.get(name))
        .map_or(Position { line: 1, column: 1 }, |setting| setting.at)
}

/// A number as YAML and pydantic read it: `0.5`, `+1`, `1e-5`, `true`, and the same in quotes.
fn number(name: &str, node: &Node) -> Result<Coefficient, Fault> {
    let refuse = || expected(name, "a number", node);
    let Value::Scalar { text, .. } = &node.value else {
        return Err(refuse());
    };
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => return Ok(Coefficient::one()),
        "false" | "no" | "off" => return Ok(Coefficient::zero()),
        _ => {}
    }
    let digits = text.trim().trim_start_matches(['+', '-']);
    // YAML 1.1 reads `010` as eight.
    let octal =
        digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
    if octal || text.contains('/') {
        return Err(refuse());
    }
    let unsigned = text.trim();
    unsigned
        .strip_prefix('+')
        .unwrap_or(unsigned)
        .parse()
        .map_err(|_| refuse())
}
