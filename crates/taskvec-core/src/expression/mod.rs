//! The language in which a model is named: arithmetic over checkpoints.
//!
//! ```text
//! sum      = product { ("+" | "-") product }
//! product  = unary { ("*" | "/") unary }
//! unary    = "-" unary | primary
//! primary  = number | atom | call | list | rules | "(" sum ")" | tuple
//! atom     = name | name ":" name | quoted
//! call     = name "(" [ argument { "," argument } ] ")"
//! argument = [ name "=" ] sum
//! list     = "[" sum { "," sum } "]"
//! rules    = "{" rule { "," rule } "}"
//! rule     = ( quoted | "else" ) ":" sum
//! tuple    = "(" sum "," sum { "," sum } ")"
//! ```
//!
//! Numbers are exact decimals. `−` (U+2212), `·` and `×` are read as `-`, `*` and `*`, so that formulas can be pasted
//! from a paper. A list is a scalar interpolated over the depth of the model, rules are a scalar by the tensor's name, and
//! a tuple holds one weight for each operand of a call; a comma may follow the last of each. Parsing and printing are inverse: the printed form of an expression parses to an equal expression, and
//! is what provenance records.
//!
//! Not covered here: what the names stand for and whether the types fit. Whether an atom is a model or a vector is known
//! only when its checkpoint is opened, so that belongs to [`plan`](crate::plan).

mod error;
mod lexer;
mod parser;
mod printer;
mod syntax;
mod types;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

pub use error::{ExpressionError, Problem};
pub(crate) use syntax::{Argument, Call, Node, Operator, Rule, Syntax};
pub use syntax::{Atom, Span};
pub use types::Kind;
pub(crate) use types::{binary_kind, negated_kind};

use crate::coefficient::Coefficient;
use crate::reference::Reference;

/// A parsed expression.
///
/// ```
/// use taskvec_core::expression::Expression;
///
/// let expression: Expression = "target+0.50 * (grpo − sft)".parse()?;
/// assert_eq!(expression.to_string(), "target + 0.5*(grpo - sft)");
/// # Ok::<(), taskvec_core::expression::ExpressionError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Expression {
    source: String,
    root: Node,
}

impl PartialEq for Expression {
    /// Whether the two are the same syntax; layout does not count.
    fn eq(&self, other: &Self) -> bool {
        self.root == other.root
    }
}

impl Expression {
    /// The text it was parsed from.
    pub fn source(&self) -> &str {
        &self.source
    }

    pub(crate) fn root(&self) -> &Node {
        &self.root
    }

    pub(crate) fn error(&self, span: Span, problem: Problem) -> ExpressionError {
        ExpressionError::new(&self.source, span, problem)
    }

    /// The names in it that a binding must explain, sorted.
    pub fn names(&self) -> BTreeSet<&str> {
        fn visit<'tree>(node: &'tree Node, names: &mut BTreeSet<&'tree str>) {
            match &node.syntax {
                Syntax::Atom(Atom::Name(name)) => {
                    names.insert(name);
                }
                Syntax::Scalar(_) | Syntax::Atom(_) => {}
                Syntax::Negate(operand) => visit(operand, names),
                Syntax::Binary { left, right, .. } => {
                    visit(left, names);
                    visit(right, names);
                }
                Syntax::Call(call) => call
                    .arguments
                    .iter()
                    .for_each(|argument| visit(&argument.value, names)),
                Syntax::List(items) | Syntax::Tuple(items) => {
                    items.iter().for_each(|item| visit(item, names));
                }
                Syntax::Rules(rules) => {
                    rules.iter().for_each(|rule| visit(&rule.value, names));
                }
            }
        }
        let mut names = BTreeSet::new();
        visit(&self.root, &mut names);
        names
    }

    /// The expression with every `name` replaced by a number; a sweep over `a` is a list of such expressions.
    ///
    /// # Errors
    ///
    /// When the replacement makes the tree deeper than an expression may be.
    pub fn with_scalar(&self, name: &str, value: &Coefficient) -> Result<Self, ExpressionError> {
        self.with_rules(name, &[], value)
    }

    /// The expression with every `name` replaced by a number for each pattern of tensor names and one for all other
    /// tensors, `{"mlp": 0.5, else: 1}`; by that one number where there are no patterns.
    ///
    /// # Errors
    ///
    /// As [`Expression::with_scalar`]. Whether the patterns are any is known when the expression is planned.
    pub fn with_rules(
        &self,
        name: &str,
        rules: &[(&str, &Coefficient)],
        otherwise: &Coefficient,
    ) -> Result<Self, ExpressionError> {
        let nowhere = Span::new(0, 0);
        let rule = |pattern: Option<&str>, value: &Coefficient| Rule {
            pattern: pattern.map(str::to_owned),
            pattern_span: nowhere,
            value: number(value, nowhere),
        };
        let value = match rules {
            [] => number(otherwise, nowhere),
            rules => {
                let by_pattern = rules
                    .iter()
                    .map(|(pattern, value)| rule(Some(pattern), value));
                let rules = by_pattern.chain([rule(None, otherwise)]).collect();
                Node::new(Syntax::Rules(rules), nowhere)
            }
        };
        self.with(name, &value)
    }

    /// The expression with every `name` replaced by another expression, so that what is used often has a short name.
    ///
    /// # Errors
    ///
    /// When the replacement makes the tree deeper than an expression may be.
    pub fn with_expression(&self, name: &str, meaning: &Self) -> Result<Self, ExpressionError> {
        self.with(name, &meaning.root)
    }

    fn with(&self, name: &str, meaning: &Node) -> Result<Self, ExpressionError> {
        // Parsing the printed form again gives spans into the text that errors will show.
        replaced(&self.root, name, meaning).to_string().parse()
    }
}

fn number(value: &Coefficient, span: Span) -> Node {
    if value.is_negative() {
        return Node::new(Syntax::Negate(Box::new(number(&value.abs(), span))), span);
    }
    if value.is_decimal_literal() {
        return Node::new(Syntax::Scalar(value.clone()), span);
    }
    let denominator = Coefficient::whole(value.denominator());
    let numerator = value * &denominator;
    Node::new(
        Syntax::Binary {
            operator: Operator::Divide,
            left: Box::new(Node::new(Syntax::Scalar(numerator), span)),
            right: Box::new(Node::new(Syntax::Scalar(denominator), span)),
        },
        span,
    )
}

fn replaced(node: &Node, name: &str, meaning: &Node) -> Node {
    let inside = |node: &Node| replaced(node, name, meaning);
    let syntax = match &node.syntax {
        Syntax::Atom(Atom::Name(found)) if found == name => return meaning.clone(),
        Syntax::Scalar(_) | Syntax::Atom(_) => node.syntax.clone(),
        Syntax::Negate(operand) => Syntax::Negate(Box::new(inside(operand))),
        Syntax::Binary {
            operator,
            left,
            right,
        } => Syntax::Binary {
            operator: *operator,
            left: Box::new(inside(left)),
            right: Box::new(inside(right)),
        },
        Syntax::Call(call) => Syntax::Call(Call {
            function: call.function.clone(),
            function_span: call.function_span,
            arguments: call
                .arguments
                .iter()
                .map(|argument| Argument {
                    key: argument.key.clone(),
                    value: inside(&argument.value),
                })
                .collect(),
        }),
        Syntax::List(items) => Syntax::List(items.iter().map(inside).collect()),
        Syntax::Tuple(items) => Syntax::Tuple(items.iter().map(inside).collect()),
        Syntax::Rules(rules) => Syntax::Rules(
            rules
                .iter()
                .map(|rule| Rule {
                    pattern: rule.pattern.clone(),
                    pattern_span: rule.pattern_span,
                    value: inside(&rule.value),
                })
                .collect(),
        ),
    };
    Node::new(syntax, node.span)
}

/// The reference as an atom: what stands for it in an expression that needs no binding.
impl From<&Reference> for Expression {
    fn from(reference: &Reference) -> Self {
        let source = reference.to_string();
        // `micro:base` stands for itself; in another collection a name might be read as a difference.
        let bare = matches!(reference, Reference::Embedded { .. }).then(|| source.parse::<Self>());
        if let Some(Ok(expression)) = bare
            && matches!(expression.root.syntax, Syntax::Atom(_))
        {
            return expression;
        }
        let atom = Atom::Quoted(source);
        let source = atom.to_string();
        let span = Span::new(0, source.len());
        let root = Node::new(Syntax::Atom(atom), span);
        Self { root, source }
    }
}

impl FromStr for Expression {
    type Err = ExpressionError;

    fn from_str(source: &str) -> Result<Self, Self::Err> {
        Ok(Self {
            root: parser::parse(source)?,
            source: source.to_owned(),
        })
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.fmt(formatter)
    }
}

#[cfg(test)]
mod tests;
