//! What can be wrong with an expression, and where.

use std::fmt;

use thiserror::Error;

use super::syntax::Span;
use super::types::Kind;
use crate::spelling::alternatives;

/// Characters of source shown on either side of the fault.
const SHOWN_AROUND: usize = 50;

/// A fault in an expression, with the place where it stands.
///
/// Displays as the problem, the source line and a caret below the fault:
///
/// ```text
/// cannot add a model to a model, at column 8
///   target + tuned
///          ^
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpressionError {
    /// Boxed, because results that hold this error are returned at every level of a recursive descent.
    fault: Box<Fault>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Fault {
    source: String,
    span: Span,
    problem: Problem,
}

impl ExpressionError {
    pub(crate) fn new(source: &str, span: Span, problem: Problem) -> Self {
        Self {
            fault: Box::new(Fault {
                source: source.to_owned(),
                span,
                problem,
            }),
        }
    }

    /// What is wrong.
    pub fn problem(&self) -> &Problem {
        &self.fault.problem
    }

    /// The text at fault, as bytes of the source.
    pub fn span(&self) -> Span {
        self.fault.span
    }

    /// Where the fault begins: characters from the start of its line, counted from 1.
    pub fn column(&self) -> usize {
        self.line_before().chars().count() + 1
    }

    /// What to write instead, where that is known.
    pub fn hint(&self) -> Option<String> {
        self.fault.problem.hint()
    }

    fn line_before(&self) -> &str {
        let before = &self.fault.source[..self.fault.span.start.min(self.fault.source.len())];
        before.rsplit('\n').next().unwrap_or(before)
    }
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}, at column {}",
            self.fault.problem,
            self.column()
        )?;
        let plain = |character: char| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        };
        let start = self.fault.span.start.min(self.fault.source.len());
        let before: Vec<char> = self.line_before().chars().collect();
        let after: Vec<char> = self.fault.source[start..]
            .chars()
            .take_while(|character| *character != '\n')
            .collect();
        let skipped = before.len().saturating_sub(SHOWN_AROUND);
        let ellipsis = if skipped > 0 { "…" } else { "" };
        let shown_before: String = before[skipped..].iter().copied().map(plain).collect();
        let shown_after: String = after
            .iter()
            .take(SHOWN_AROUND)
            .copied()
            .map(plain)
            .collect();
        let cut = if after.len() > SHOWN_AROUND {
            "…"
        } else {
            ""
        };
        write!(
            formatter,
            "\n  {ellipsis}{shown_before}{}{cut}",
            shown_after.trim_end()
        )?;
        let width = self
            .fault
            .source
            .get(self.fault.span.start..self.fault.span.end)
            .map_or(1, |text| text.chars().count());
        let indent = " ".repeat(before.len() - skipped + ellipsis.chars().count());
        let carets = "^".repeat(width.clamp(1, after.len().clamp(1, SHOWN_AROUND)));
        write!(formatter, "\n  {indent}{carets}")
    }
}

impl std::error::Error for ExpressionError {}

/// The ways in which an expression can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Problem {
    /// A character that begins nothing.
    #[error("unexpected `{character}`")]
    UnexpectedCharacter {
        /// The character.
        character: char,
    },
    /// A double quote that is never closed.
    #[error("the quoted reference is never closed")]
    UnclosedQuote,
    /// A number that is not one, or is beyond all bounds.
    #[error("{reason}")]
    Number {
        /// What is wrong with it.
        reason: String,
    },
    /// A number that runs into a name.
    #[error("the number runs into `{next}`")]
    NumberRunsIntoName {
        /// The first characters of the name.
        next: String,
    },
    /// Something else should stand here.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// What may stand here.
        expected: &'static str,
        /// What stands here.
        found: String,
    },
    /// Nothing at all was written.
    #[error("the expression is empty")]
    Empty,
    /// Nested deeper, or chained longer, than the limit.
    #[error("the expression nests deeper, or chains more operators, than {limit} levels")]
    TooDeep {
        /// Levels allowed.
        limit: usize,
    },
    /// A positional argument after a named one.
    #[error("a positional argument follows a named one")]
    PositionalAfterNamed,
    /// A Hub reference without quotes.
    #[error("a reference to the Hub needs double quotes")]
    BareHubReference,
    /// A name that no binding explains.
    #[error("`{name}` is not bound to a checkpoint")]
    UnknownName {
        /// The name.
        name: String,
        /// Bound names that are near.
        near: Vec<String>,
        /// Whether a file or directory of that name exists here.
        is_path: bool,
    },
    /// A function that does not exist.
    #[error("there is no function `{function}`")]
    UnknownFunction {
        /// The name.
        function: String,
        /// Functions that are near.
        near: Vec<String>,
        /// All functions.
        known: Vec<&'static str>,
    },
    /// A named parameter that the function does not have.
    #[error("`{function}` has no parameter `{parameter}`")]
    UnknownParameter {
        /// The function.
        function: String,
        /// The parameter.
        parameter: String,
        /// How the function is called.
        usage: String,
    },
    /// A parameter given twice.
    #[error("`{function}` is given `{parameter}` twice")]
    RepeatedParameter {
        /// The function.
        function: String,
        /// The parameter.
        parameter: String,
    },
    /// A parameter without a default that is not given.
    #[error("`{function}` needs its parameter `{parameter}`")]
    MissingParameter {
        /// The function.
        function: String,
        /// The parameter.
        parameter: String,
        /// How the function is called.
        usage: String,
    },
    /// A parameter whose value does not fit.
    #[error("`{parameter}` of `{function}` must be {expected}, not {found}")]
    ParameterValue {
        /// The function.
        function: String,
        /// The parameter.
        parameter: String,
        /// What it may be.
        expected: String,
        /// What was given.
        found: String,
    },
    /// Too few or too many operands.
    #[error("`{function}` takes {expected}, not {found}")]
    OperandCount {
        /// The function.
        function: String,
        /// How many it takes.
        expected: String,
        /// How many were given.
        found: usize,
        /// How the function is called.
        usage: String,
    },
    /// An operand of the wrong kind.
    #[error("`{function}` takes {expected}, and this is a {found}")]
    OperandKind {
        /// The function.
        function: String,
        /// What it takes.
        expected: &'static str,
        /// What was given.
        found: Kind,
    },
    /// A pattern that selects no tensor.
    #[error("the pattern `{pattern}` matches none of the {count} tensors")]
    PatternMatchesNothing {
        /// The pattern.
        pattern: String,
        /// Tensors it was tried on.
        count: usize,
        /// A tensor name, as an example of what could match.
        example: Option<String>,
    },
    /// model + model.
    #[error("cannot add a model to a model")]
    ModelPlusModel,
    /// vector − model.
    #[error("cannot subtract a model from a vector")]
    VectorMinusModel,
    /// scalar · model.
    #[error("cannot scale a model")]
    ScaledModel,
    /// −model.
    #[error("cannot negate a model")]
    NegatedModel,
    /// A scalar added to weights.
    #[error("cannot combine a {left} and a {right} with `{operator}`")]
    ScalarPlusWeights {
        /// The operator.
        operator: char,
        /// Kind on its left.
        left: Kind,
        /// Kind on its right.
        right: Kind,
    },
    /// weights · weights.
    #[error("cannot multiply a {left} by a {right}")]
    ProductOfWeights {
        /// Kind on the left.
        left: Kind,
        /// Kind on the right.
        right: Kind,
    },
    /// Anything divided by weights.
    #[error("cannot divide by a {divisor}")]
    DivisionByWeights {
        /// Kind of the divisor.
        divisor: Kind,
    },
    /// A pattern that could never match.
    #[error("`{pattern}` is not a pattern: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What it should be made of.
        reason: &'static str,
    },
    /// A rule's pattern without quotes.
    #[error("the pattern `{pattern}` needs double quotes")]
    UnquotedPattern {
        /// The name that stands there.
        pattern: String,
    },
    /// A rule that no tensor could come to.
    #[error("a rule follows `else`, which matches everything")]
    RuleAfterElse,
    /// A tensor that no rule matches.
    #[error("no rule says what the number is in `{tensor}`")]
    NoRule {
        /// The tensor.
        tensor: String,
    },
    /// A list over the depth of something that has none.
    #[error("a list runs from the first layer to the last, and no tensor here is of a layer")]
    ListWithoutLayers,
    /// A part of a scalar that is something else.
    #[error("{place} must be a number, and this is {found}")]
    NotANumber {
        /// What it is a part of.
        place: &'static str,
        /// What stands there.
        found: String,
    },
    /// Weights in parentheses where they mean nothing.
    #[error("numbers in parentheses stand only behind `weights=`")]
    MisplacedTuple,
    /// Not one weight for each operand.
    #[error("`{function}` has {operands} operands and {weights} weights")]
    WeightCount {
        /// The function.
        function: String,
        /// Its operands.
        operands: usize,
        /// The weights given.
        weights: usize,
    },
    /// A parameter whose value does not fit in one tensor.
    #[error("`{parameter}` of `{function}` must be {expected}, and is {found} in `{tensor}`")]
    ParameterValueIn {
        /// The function.
        function: &'static str,
        /// The parameter.
        parameter: &'static str,
        /// What it may be.
        expected: &'static str,
        /// What it is.
        found: String,
        /// The tensor.
        tensor: String,
    },
    /// Rows or a tensor too large for a method that needs them whole.
    #[error("`{tensor}` must be taken {needed}, {elements} elements at once; at most {limit} are")]
    TooLargeAtOnce {
        /// The tensor.
        tensor: String,
        /// How it must be taken.
        needed: &'static str,
        /// Its elements.
        elements: u64,
        /// Elements that there may be.
        limit: u64,
    },
    /// A selection of layers that is none.
    #[error("`{selection}` selects no layers: {reason}")]
    LayerSelection {
        /// The selection.
        selection: String,
        /// What it should be made of.
        reason: &'static str,
    },
    /// A layer beyond the last.
    #[error("`{operand}` has no layer {layer}; it has {depth} layers, 0 to {last}", last = depth.saturating_sub(1))]
    NoSuchLayer {
        /// The layer.
        layer: u32,
        /// What should have it.
        operand: String,
        /// Layers that there are.
        depth: u32,
    },
    /// More layers than anything may have.
    #[error("the result would have {layers} layers; at most {limit} are possible")]
    TooManyLayers {
        /// Layers of the result.
        layers: u64,
        /// Layers that there may be.
        limit: u32,
    },
    /// Layers of something that has none, or of which it is not known.
    #[error("how many layers `{operand}` has is not known")]
    NoLayers {
        /// What should have layers.
        operand: String,
    },
    /// Layers in several lists, of which one would have to be meant.
    #[error("`{operand}` has layers in {count} lists, such as `{list}`", count = lists.len(), list = lists.join("` and `"))]
    SeveralLists {
        /// What has them.
        operand: String,
        /// How the names of their tensors begin.
        lists: Vec<String>,
    },
    /// Operands of different depths.
    #[error("`{operand}` has {depth} layers, and stands beside what has {beside}")]
    OtherDepth {
        /// The operand.
        operand: String,
        /// Its layers.
        depth: u32,
        /// Layers of the others.
        beside: u32,
    },
    /// A tensor that is no matrix, where there must be one.
    #[error("`{function}` takes matrices apart, and `{tensor}` has the shape {shape:?}")]
    NotAMatrix {
        /// The function.
        function: &'static str,
        /// The tensor.
        tensor: String,
        /// Its dimensions.
        shape: Vec<usize>,
    },
    /// Division by what is 0 in one tensor.
    #[error("division by zero in `{tensor}`")]
    DivisionByZeroIn {
        /// The tensor.
        tensor: String,
    },
    /// Division by a constant 0.
    #[error("division by zero")]
    DivisionByZero,
    /// A text where weights or a number should stand, or the whole expression is a number.
    #[error("the expression is a {found}; a model or a vector is needed")]
    NotWeights {
        /// What it is.
        found: Kind,
    },
}

impl Problem {
    /// What to write instead, where that is known.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::UnclosedQuote => "close it with `\"`; a quote or backslash inside is written `\\\"` or `\\\\`".into(),
            Self::NumberRunsIntoName { next } => format!("write `*` between them: `2*{next}`"),
            Self::BareHubReference => "write `\"hf:organisation/name\"`".into(),
            Self::UnknownName { near, .. } | Self::UnknownFunction { near, .. } if !near.is_empty() => {
                format!("did you mean {}?", alternatives(near))
            }
            Self::UnknownName { name, is_path: true, .. } => {
                format!("`{name}` exists here: write it in double quotes, or bind it with `--let {name}=./{name}`")
            }
            Self::UnknownName { name, .. } => {
                format!("bind it with `--let {name}=REFERENCE`, or write a reference in double quotes")
            }
            Self::UnknownFunction { known, .. } => format!("functions are `{}`", known.join("`, `")),
            Self::UnknownParameter { usage, .. }
            | Self::MissingParameter { usage, .. }
            | Self::OperandCount { usage, .. } => format!("it is called as `{usage}`"),
            Self::ModelPlusModel => {
                "the average of two models is `mean(a, b)`; a model moves by a vector: `a + 0.5*(b - c)`".into()
            }
            Self::VectorMinusModel => "only models are subtracted from models; a vector may be added to one".into(),
            Self::ScaledModel => {
                "only vectors can be scaled; `mean(a, b)` averages models, `a + 0.5*(b - a)` walks from one to another"
                    .into()
            }
            Self::NegatedModel => "only vectors can be negated: `-(a - b)`".into(),
            Self::OperandKind { found: Kind::Model, expected, .. } if expected.contains("vector") => {
                "a difference of two models is a vector: `tuned - base`".into()
            }
            Self::PatternMatchesNothing { example: Some(example), .. } => {
                format!("patterns match whole parts between dots of names such as `{example}`")
            }
            Self::TooDeep { .. } => {
                "cut a long sum into several: `(a + … + b) + (c + … + d)`; of many models `mean(a, b, …)` takes any number"
                    .into()
            }
            Self::ListWithoutLayers => {
                "write one number, or rules by name: `{\"mlp\": 0.5, else: 1}`".into()
            }
            Self::UnquotedPattern { pattern } => format!("write `\"{pattern}\": …`"),
            Self::TooLargeAtOnce { tensor, .. } | Self::NotAMatrix { tensor, .. } => {
                format!("leave the tensor out of it: `except(v, \"{tensor}\")`")
            }
            Self::LayerSelection { .. } => {
                "write ranges with both ends included, in the order of the result: `layers(a, \"0-15, 8-23\")`".into()
            }
            Self::OtherDepth { beside, .. } => {
                format!("select {beside} of its layers: `layers(a, \"0-{}\")`", beside.saturating_sub(1))
            }
            Self::NoLayers { .. } => {
                "layers are told by names such as `model.layers.3.mlp.up_proj.weight`; an adapter alone does not say how many there are"
                    .into()
            }
            Self::SeveralLists { .. } => {
                "layers are moved in models that have one list of them, as language models do".into()
            }
            Self::NoRule { .. } => "end the rules with `else: NUMBER`".into(),
            Self::MisplacedTuple => "a number that changes over the layers is written `[0, 0.5, 1]`".into(),
            Self::Expected { found, .. } if found == "`=`" => {
                "`=` gives a parameter of a function; names are bound outside, with `--let name=REFERENCE`".into()
            }
            _ => return None,
        })
    }
}
