//! The canonical text of an expression: as few parentheses as keep the tree.

use std::fmt;

use super::syntax::{Call, Node, Syntax, write_quoted};

/// How tightly a piece of syntax holds together; a looser operand needs parentheses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Binding {
    Sum,
    Product,
    Unary,
    Primary,
}

fn binding(node: &Node) -> Binding {
    match &node.syntax {
        Syntax::Scalar(_)
        | Syntax::Atom(_)
        | Syntax::Call(_)
        | Syntax::List(_)
        | Syntax::Rules(_)
        | Syntax::Tuple(_) => Binding::Primary,
        Syntax::Negate(_) => Binding::Unary,
        Syntax::Binary { operator, .. } if operator.is_sum() => Binding::Sum,
        Syntax::Binary { .. } => Binding::Product,
    }
}

fn write_operand(
    formatter: &mut fmt::Formatter<'_>,
    node: &Node,
    at_least: Binding,
) -> fmt::Result {
    if binding(node) < at_least {
        write!(formatter, "({node})")
    } else {
        write!(formatter, "{node}")
    }
}

impl fmt::Display for Node {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.syntax {
            Syntax::Scalar(value) => write!(formatter, "{value}"),
            Syntax::Atom(atom) => write!(formatter, "{atom}"),
            Syntax::Negate(operand) => {
                formatter.write_str("-")?;
                write_operand(formatter, operand, Binding::Unary)
            }
            Syntax::Binary {
                operator,
                left,
                right,
            } => {
                // Operators associate to the left: an equally loose right operand needs its parentheses.
                let (for_left, for_right, space) = if operator.is_sum() {
                    (Binding::Sum, Binding::Product, " ")
                } else {
                    (Binding::Product, Binding::Unary, "")
                };
                write_operand(formatter, left, for_left)?;
                write!(formatter, "{space}{}{space}", operator.symbol())?;
                write_operand(formatter, right, for_right)
            }
            Syntax::Call(call) => write!(formatter, "{call}"),
            Syntax::List(items) => write_items(formatter, '[', items, ']'),
            Syntax::Tuple(items) => write_items(formatter, '(', items, ')'),
            Syntax::Rules(rules) => {
                formatter.write_str("{")?;
                for (index, rule) in rules.iter().enumerate() {
                    if index > 0 {
                        formatter.write_str(", ")?;
                    }
                    match &rule.pattern {
                        Some(pattern) => write_quoted(formatter, pattern)?,
                        None => formatter.write_str("else")?,
                    }
                    write!(formatter, ": {}", rule.value)?;
                }
                formatter.write_str("}")
            }
        }
    }
}

fn write_items(
    formatter: &mut fmt::Formatter<'_>,
    open: char,
    items: &[Node],
    close: char,
) -> fmt::Result {
    write!(formatter, "{open}")?;
    for (index, item) in items.iter().enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        write!(formatter, "{comma}{item}")?;
    }
    write!(formatter, "{close}")
}

impl fmt::Display for Call {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}(", self.function)?;
        for (index, argument) in self.arguments.iter().enumerate() {
            if index > 0 {
                formatter.write_str(", ")?;
            }
            if let Some(key) = &argument.key {
                write!(formatter, "{key}=")?;
            }
            write!(formatter, "{}", argument.value)?;
        }
        formatter.write_str(")")
    }
}
