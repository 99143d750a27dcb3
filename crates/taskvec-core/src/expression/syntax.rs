//! The syntax tree of an expression.

use std::fmt;

use crate::coefficient::Coefficient;

/// A range of bytes in the source of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    pub(crate) fn to(self, other: Self) -> Self {
        Self {
            start: self.start,
            end: other.end,
        }
    }
}

/// A leaf of an expression that stands for a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Atom {
    /// A name that a binding explains: `target`.
    Name(String),
    /// A reference in double quotes: `"models/tuned"`.
    Quoted(String),
    /// A checkpoint held in the program: `micro:base`.
    Embedded {
        /// What comes before the colon.
        scheme: String,
        /// What comes after it.
        name: String,
    },
}

impl fmt::Display for Atom {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => formatter.write_str(name),
            Self::Embedded { scheme, name } => write!(formatter, "{scheme}:{name}"),
            Self::Quoted(text) => write_quoted(formatter, text),
        }
    }
}

/// Writes `text` in double quotes, as it is read back.
pub(crate) fn write_quoted(formatter: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    formatter.write_str("\"")?;
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            formatter.write_str("\\")?;
        }
        write!(formatter, "{character}")?;
    }
    formatter.write_str("\"")
}

/// A binary operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
}

impl Operator {
    pub(crate) fn symbol(self) -> char {
        match self {
            Self::Add => '+',
            Self::Subtract => '-',
            Self::Multiply => '*',
            Self::Divide => '/',
        }
    }

    pub(crate) fn is_sum(self) -> bool {
        matches!(self, Self::Add | Self::Subtract)
    }
}

/// A piece of syntax and where it stood. Equality looks at the syntax alone.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) syntax: Syntax,
    pub(crate) span: Span,
    /// Longest path to a leaf: every walk over the tree recurses this deep, so the parser bounds it.
    pub(crate) height: usize,
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.syntax == other.syntax
    }
}

impl Node {
    pub(crate) fn new(syntax: Syntax, span: Span) -> Self {
        let below = match &syntax {
            Syntax::Scalar(_) | Syntax::Atom(_) => 0,
            Syntax::Negate(operand) => operand.height,
            Syntax::Binary { left, right, .. } => left.height.max(right.height),
            Syntax::Call(call) => call
                .arguments
                .iter()
                .map(|argument| argument.value.height)
                .max()
                .unwrap_or(0),
            Syntax::List(items) | Syntax::Tuple(items) => {
                items.iter().map(|item| item.height).max().unwrap_or(0)
            }
            Syntax::Rules(rules) => rules
                .iter()
                .map(|rule| rule.value.height)
                .max()
                .unwrap_or(0),
        };
        Self {
            syntax,
            span,
            height: below + 1,
        }
    }
}

/// What a [`Node`] is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Syntax {
    /// A decimal literal; never negative, always a finite decimal.
    Scalar(Coefficient),
    Atom(Atom),
    Negate(Box<Node>),
    Binary {
        operator: Operator,
        left: Box<Node>,
        right: Box<Node>,
    },
    Call(Call),
    /// `[0, 0.5, 1]`: a scalar, interpolated over the depth of the model.
    List(Vec<Node>),
    /// `{"mlp": 0.5, else: 1}`: a scalar by the tensor's name.
    Rules(Vec<Rule>),
    /// `(0.3, 0.7)`, of two or more: one weight for each operand of a call.
    Tuple(Vec<Node>),
}

/// One rule of [`Syntax::Rules`].
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    /// Which tensors; none for `else`.
    pub(crate) pattern: Option<String>,
    pub(crate) pattern_span: Span,
    pub(crate) value: Node,
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.pattern == other.pattern && self.value == other.value
    }
}

/// `function(a, b, key=value)`.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) function: String,
    pub(crate) function_span: Span,
    pub(crate) arguments: Vec<Argument>,
}

impl PartialEq for Call {
    fn eq(&self, other: &Self) -> bool {
        self.function == other.function && self.arguments == other.arguments
    }
}

/// One argument of a [`Call`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Argument {
    pub(crate) key: Option<String>,
    pub(crate) value: Node,
}
