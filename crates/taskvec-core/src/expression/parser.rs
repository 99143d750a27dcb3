//! Tokens to a tree, by recursive descent.

use super::error::{ExpressionError, Problem};
use super::lexer::{Token, tokenize};
use super::syntax::{Argument, Atom, Call, Node, Operator, Rule, Span, Syntax};

/// Levels that a tree may have. Every walk over a tree is recursive, and a hostile text must not exhaust the stack.
const MAXIMUM_DEPTH: usize = 200;

pub(crate) fn parse(source: &str) -> Result<Node, ExpressionError> {
    let tokens = tokenize(source)?;
    let mut parser = Parser {
        source,
        tokens,
        at: 0,
        depth: 0,
    };
    if parser.peek() == &Token::End {
        return Err(parser.error(parser.span(), Problem::Empty));
    }
    let root = parser.sum()?;
    if parser.peek() != &Token::End {
        return Err(parser.expected("an operator or the end"));
    }
    Ok(root)
}

struct Parser<'source> {
    source: &'source str,
    /// Never empty: ends with [`Token::End`], which is never passed.
    tokens: Vec<(Token, Span)>,
    at: usize,
    /// Nested calls of `unary`, which every cycle of the grammar goes through.
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        &self.tokens[self.at].0
    }

    fn peek_after(&self) -> &Token {
        &self.tokens[(self.at + 1).min(self.tokens.len() - 1)].0
    }

    fn span(&self) -> Span {
        self.tokens[self.at].1
    }

    fn advance(&mut self) -> Span {
        let span = self.span();
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        span
    }

    fn skip(&mut self, symbol: char) -> bool {
        let found = self.peek() == &Token::Symbol(symbol);
        if found {
            self.advance();
        }
        found
    }

    fn error(&self, span: Span, problem: Problem) -> ExpressionError {
        ExpressionError::new(self.source, span, problem)
    }

    fn expected(&self, expected: &'static str) -> ExpressionError {
        self.error(
            self.span(),
            Problem::Expected {
                expected,
                found: self.peek().describe(),
            },
        )
    }

    fn node(&self, syntax: Syntax, span: Span) -> Result<Node, ExpressionError> {
        let node = Node::new(syntax, span);
        if node.height > MAXIMUM_DEPTH {
            return Err(self.error(
                span,
                Problem::TooDeep {
                    limit: MAXIMUM_DEPTH,
                },
            ));
        }
        Ok(node)
    }

    fn sum(&mut self) -> Result<Node, ExpressionError> {
        let mut left = self.product()?;
        loop {
            let operator = match self.peek() {
                Token::Symbol('+') => Operator::Add,
                Token::Symbol('-') => Operator::Subtract,
                _ => return Ok(left),
            };
            self.advance();
            let right = self.product()?;
            left = self.binary(operator, left, right)?;
        }
    }

    fn product(&mut self) -> Result<Node, ExpressionError> {
        let mut left = self.unary()?;
        loop {
            let operator = match self.peek() {
                Token::Symbol('*') => Operator::Multiply,
                Token::Symbol('/') => Operator::Divide,
                _ => return Ok(left),
            };
            self.advance();
            let right = self.unary()?;
            left = self.binary(operator, left, right)?;
        }
    }

    fn binary(&self, operator: Operator, left: Node, right: Node) -> Result<Node, ExpressionError> {
        let span = left.span.to(right.span);
        self.node(
            Syntax::Binary {
                operator,
                left: Box::new(left),
                right: Box::new(right),
            },
            span,
        )
    }

    fn unary(&mut self) -> Result<Node, ExpressionError> {
        self.depth += 1;
        if self.depth > MAXIMUM_DEPTH {
            return Err(self.error(
                self.span(),
                Problem::TooDeep {
                    limit: MAXIMUM_DEPTH,
                },
            ));
        }
        let node = if self.peek() == &Token::Symbol('-') {
            let start = self.advance();
            let operand = self.unary()?;
            let span = start.to(operand.span);
            self.node(Syntax::Negate(Box::new(operand)), span)
        } else {
            self.primary()
        };
        self.depth -= 1;
        node
    }

    fn primary(&mut self) -> Result<Node, ExpressionError> {
        match self.peek().clone() {
            Token::Number(value) => {
                let span = self.advance();
                self.node(Syntax::Scalar(value), span)
            }
            Token::Quoted(text) => {
                let span = self.advance();
                self.node(Syntax::Atom(Atom::Quoted(text)), span)
            }
            Token::Name(name) => {
                let span = self.advance();
                match self.peek() {
                    Token::Symbol('(') => self.call(name, span),
                    Token::Symbol(':') => self.embedded(name, span),
                    _ => self.node(Syntax::Atom(Atom::Name(name)), span),
                }
            }
            Token::Symbol('(') => {
                let open = self.advance();
                let mut inner = self.sum()?;
                if self.peek() == &Token::Symbol(',') {
                    self.advance();
                    let (items, close) = self.items(vec![inner], ')', "`,` or `)`")?;
                    if let [_] = items.as_slice() {
                        return Err(self.error(
                            close,
                            Problem::Expected {
                                expected: "another weight",
                                found: "`)`".to_owned(),
                            },
                        ));
                    }
                    return self.node(Syntax::Tuple(items), open.to(close));
                }
                if self.peek() != &Token::Symbol(')') {
                    return Err(self.expected("an operator or `)`"));
                }
                inner.span = open.to(self.advance());
                Ok(inner)
            }
            Token::Symbol('[') => {
                let open = self.advance();
                if self.peek() == &Token::Symbol(']') {
                    return Err(self.expected("a number"));
                }
                let (items, close) = self.items(Vec::new(), ']', "`,` or `]`")?;
                self.node(Syntax::List(items), open.to(close))
            }
            Token::Symbol('{') => self.rules(),
            _ => Err(self.expected("a model, a vector or a number")),
        }
    }

    /// Sums with commas between them up to `close`, behind those that were read already, and where `close` stood.
    fn items(
        &mut self,
        mut items: Vec<Node>,
        close: char,
        expected: &'static str,
    ) -> Result<(Vec<Node>, Span), ExpressionError> {
        while self.peek() != &Token::Symbol(close) {
            items.push(self.sum()?);
            if !self.skip(',') && self.peek() != &Token::Symbol(close) {
                return Err(self.expected(expected));
            }
        }
        Ok((items, self.advance()))
    }

    fn rules(&mut self) -> Result<Node, ExpressionError> {
        let open = self.advance();
        let mut rules: Vec<Rule> = Vec::new();
        loop {
            let pattern = match self.peek().clone() {
                Token::Quoted(pattern) => Some(pattern),
                Token::Name(name) if name == "else" => None,
                Token::Name(pattern) => {
                    return Err(self.error(self.span(), Problem::UnquotedPattern { pattern }));
                }
                _ => return Err(self.expected("a pattern in double quotes or `else`")),
            };
            let pattern_span = self.advance();
            if rules.last().is_some_and(|last| last.pattern.is_none()) {
                return Err(self.error(pattern_span, Problem::RuleAfterElse));
            }
            if !self.skip(':') {
                return Err(self.expected("`:`"));
            }
            rules.push(Rule {
                pattern,
                pattern_span,
                value: self.sum()?,
            });
            let comma = self.skip(',');
            if self.peek() == &Token::Symbol('}') {
                let span = open.to(self.advance());
                return self.node(Syntax::Rules(rules), span);
            }
            if !comma {
                return Err(self.expected("`,` or `}`"));
            }
        }
    }

    fn embedded(&mut self, scheme: String, start: Span) -> Result<Node, ExpressionError> {
        self.advance();
        if scheme == "hf" {
            return Err(self.error(start.to(self.span()), Problem::BareHubReference));
        }
        let Token::Name(name) = self.peek().clone() else {
            return Err(self.expected("a name after `:`"));
        };
        let span = start.to(self.advance());
        self.node(Syntax::Atom(Atom::Embedded { scheme, name }), span)
    }

    fn call(&mut self, function: String, function_span: Span) -> Result<Node, ExpressionError> {
        self.advance();
        let mut arguments: Vec<Argument> = Vec::new();
        while self.peek() != &Token::Symbol(')') {
            let key = match (self.peek().clone(), self.peek_after()) {
                (Token::Name(key), Token::Symbol('=')) => {
                    self.advance();
                    self.advance();
                    Some(key)
                }
                _ => None,
            };
            let value = self.sum()?;
            if key.is_none() && arguments.last().is_some_and(|last| last.key.is_some()) {
                return Err(self.error(value.span, Problem::PositionalAfterNamed));
            }
            arguments.push(Argument { key, value });
            if !self.skip(',') && self.peek() != &Token::Symbol(')') {
                return Err(self.expected("`,` or `)`"));
            }
        }
        let span = function_span.to(self.advance());
        self.node(
            Syntax::Call(Call {
                function,
                function_span,
                arguments,
            }),
            span,
        )
    }
}
