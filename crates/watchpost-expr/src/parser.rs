//! Makes a tree of tokens, by recursive descent whose depth is counted.

use crate::ast::{Arithmetic, Compare, Expr, ExprKind, Name};
use crate::error::{CompileError, Span};
use crate::lexer::{Kind, Token, tokens};
use crate::limits::{DEPTH_MAX, LIST_LITERAL_MAX, NODES_MAX, SOURCE_BYTES_MAX};
use crate::text::quoted;

type Parsed<T> = Result<T, CompileError>;

/// The tree of `source`. It is no higher than [`DEPTH_MAX`].
pub(crate) fn parse(source: &str) -> Parsed<Expr<'_>> {
    if source.len() > SOURCE_BYTES_MAX {
        let beyond = Span { start: SOURCE_BYTES_MAX, end: source.len() };
        let length = source.len();
        let message = format!("the expression has {length} bytes: expected at most {SOURCE_BYTES_MAX}");
        return Err(CompileError::new(source, beyond, message));
    }
    let mut parser = Parser { source, tokens: tokens(source)?, at: 0, depth: 0, nodes: 0 };
    let expr = parser.expression()?;
    match parser.kind() {
        Kind::End => Ok(expr),
        _ => Err(parser.unexpected("an operator or the end of the expression")),
    }
}

struct Parser<'s> {
    source: &'s str,
    /// Not empty: the last is [`Kind::End`].
    tokens: Vec<Token>,
    /// The token to look at next; stays at the last.
    at: usize,
    /// How many expressions the parser is within.
    depth: usize,
    nodes: usize,
}

impl<'s> Parser<'s> {
    fn kind(&self) -> &Kind {
        self.tokens.get(self.at).map_or(&Kind::End, |token| &token.kind)
    }

    fn span(&self) -> Span {
        let end = self.source.len();
        self.tokens.get(self.at).map_or(Span { start: end, end }, |token| token.span)
    }

    fn advance(&mut self) {
        self.at = (self.at + 1).min(self.tokens.len().saturating_sub(1));
    }

    fn is(&self, symbol: &str) -> bool {
        matches!(self.kind(), Kind::Symbol(found) if *found == symbol)
    }

    fn eat(&mut self, symbol: &str) -> bool {
        let is_there = self.is(symbol);
        if is_there {
            self.advance();
        }
        is_there
    }

    /// Takes the bracket that closes `open`, and tells where it ends.
    fn close(&mut self, symbol: &str, open: Span) -> Parsed<Span> {
        let span = self.span();
        match self.eat(symbol) {
            true => Ok(span),
            false => {
                let at = crate::Position::in_source(self.source, open.start);
                Err(self.unexpected(&format!("`{symbol}` to close the {} at {at}", quoted(open.of(self.source)))))
            }
        }
    }

    fn error(&self, span: Span, message: impl Into<String>) -> CompileError {
        CompileError::new(self.source, span, message)
    }

    fn unexpected(&self, expected: &str) -> CompileError {
        let span = self.span();
        let text = span.of(self.source);
        let found = match self.kind() {
            Kind::End => "the end of the expression".to_owned(),
            Kind::String(_) => "a text".to_owned(),
            _ => quoted(text),
        };
        let meant = match (self.kind(), text) {
            (Kind::Name, "and" | "AND") => "; did you mean `&&`?",
            (Kind::Name, "or" | "OR") => "; did you mean `||`?",
            (Kind::Symbol("{"), _) => "; there are no maps to write out",
            _ => "",
        };
        self.error(span, format!("expected {expected}, found {found}{meant}"))
    }

    /// Counts a node, and refuses one that would make the tree too large.
    fn node(&mut self, kind: ExprKind<'s>, span: Span, below: usize) -> Parsed<Expr<'s>> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(self.error(span, format!("the expression is too large: expected at most {NODES_MAX} parts")));
        }
        let height = below + 1;
        if height > DEPTH_MAX { Err(self.too_deep(span)) } else { Ok(Expr { kind, span, height }) }
    }

    fn too_deep(&self, span: Span) -> CompileError {
        self.error(span, format!("the expression is nested too deep: expected at most {DEPTH_MAX} levels"))
    }

    fn expression(&mut self) -> Parsed<Expr<'s>> {
        if self.depth == DEPTH_MAX {
            return Err(self.too_deep(self.span()));
        }
        self.depth += 1;
        let expr = self.conditional();
        self.depth -= 1;
        expr
    }

    fn conditional(&mut self) -> Parsed<Expr<'s>> {
        let condition = self.binary(0)?;
        if !self.eat("?") {
            return Ok(condition);
        }
        let then = self.binary(0)?;
        if !self.eat(":") {
            return Err(self.unexpected("`:` and what holds otherwise"));
        }
        let otherwise = self.expression()?;
        let span = condition.span.to(otherwise.span);
        let below = condition.height.max(then.height).max(otherwise.height);
        let [condition, then, otherwise] = [condition, then, otherwise].map(Box::new);
        self.node(ExprKind::Conditional { condition, then, otherwise }, span, below)
    }

    /// Operands joined by operators that bind at least as strongly as `level` says (precedence
    /// climbing); operators of one level group to the left. Each recursion is for a higher level.
    fn binary(&mut self, level: u8) -> Parsed<Expr<'s>> {
        let mut left = self.unary()?;
        while let Some((found, operator)) = self.operator().filter(|(found, _)| *found >= level) {
            left = match operator {
                Operator::And | Operator::Or => self.chain(left, found, operator)?,
                Operator::Single(single) => {
                    self.advance();
                    let right = self.binary(found + 1)?;
                    self.joined(single, left, right)?
                }
            };
        }
        Ok(left)
    }

    /// Operands of `&&` or `||`, side by side.
    fn chain(&mut self, first: Expr<'s>, level: u8, operator: Operator) -> Parsed<Expr<'s>> {
        let symbol = if operator == Operator::Or { "||" } else { "&&" };
        let (mut span, mut below) = (first.span, first.height);
        let mut operands = vec![first];
        while self.eat(symbol) {
            let next = self.binary(level + 1)?;
            (span, below) = (span.to(next.span), below.max(next.height));
            operands.push(next);
        }
        let kind = if operator == Operator::Or { ExprKind::Or(operands) } else { ExprKind::And(operands) };
        self.node(kind, span, below)
    }

    fn joined(&mut self, operator: Single, left: Expr<'s>, right: Expr<'s>) -> Parsed<Expr<'s>> {
        let (span, below) = (left.span.to(right.span), left.height.max(right.height));
        let [left, right] = [left, right].map(Box::new);
        let kind = match operator {
            Single::In => ExprKind::In { item: left, within: right },
            Single::Compare(operator) => ExprKind::Compare { operator, left, right },
            Single::Arithmetic(operator) => ExprKind::Arithmetic { operator, left, right },
        };
        self.node(kind, span, below)
    }

    /// The operator that comes next, and how strongly it binds.
    fn operator(&self) -> Option<(u8, Operator)> {
        let Kind::Symbol(symbol) = self.kind() else { return None };
        let (level, single) = match *symbol {
            "||" => return Some((0, Operator::Or)),
            "&&" => return Some((1, Operator::And)),
            "==" => (2, Single::Compare(Compare::Equal)),
            "!=" => (2, Single::Compare(Compare::NotEqual)),
            "<" => (2, Single::Compare(Compare::Less)),
            "<=" => (2, Single::Compare(Compare::LessOrEqual)),
            ">" => (2, Single::Compare(Compare::Greater)),
            ">=" => (2, Single::Compare(Compare::GreaterOrEqual)),
            "in" => (2, Single::In),
            "+" => (3, Single::Arithmetic(Arithmetic::Add)),
            "-" => (3, Single::Arithmetic(Arithmetic::Subtract)),
            "*" => (4, Single::Arithmetic(Arithmetic::Multiply)),
            "/" => (4, Single::Arithmetic(Arithmetic::Divide)),
            "%" => (4, Single::Arithmetic(Arithmetic::Remainder)),
            _ => return None,
        };
        Some((level, Operator::Single(single)))
    }

    /// Signs and `!`, however many, without recursion: the height of their nodes is bounded.
    fn unary(&mut self) -> Parsed<Expr<'s>> {
        let mut signs = Vec::new();
        while self.is("!") || self.is("-") {
            signs.push((self.is("!"), self.span()));
            self.advance();
        }
        // The sign belongs to a number that it stands before: the least one has no positive twin.
        let minus = match (signs.last(), self.kind()) {
            (Some((false, minus)), Kind::Int(_) | Kind::Double(_)) => Some(*minus),
            _ => None,
        };
        if minus.is_some() {
            signs.pop();
        }
        let mut expr = self.postfix(minus)?;
        for (is_not, sign) in signs.into_iter().rev() {
            let (span, below) = (sign.to(expr.span), expr.height);
            let operand = Box::new(expr);
            let kind = if is_not { ExprKind::Not(operand) } else { ExprKind::Negative(operand) };
            expr = self.node(kind, span, below)?;
        }
        Ok(expr)
    }

    /// A value with what follows it: members, indexes, calls.
    fn postfix(&mut self, minus: Option<Span>) -> Parsed<Expr<'s>> {
        let mut base = self.primary(minus)?;
        loop {
            let open = self.span();
            if self.eat(".") {
                let name = self.name("the name of a field or function")?;
                base = match self.is("(") {
                    true => self.call(Some(base), name)?,
                    false => {
                        let (span, below) = (base.span.to(name.span), base.height);
                        self.node(ExprKind::Member { base: Box::new(base), name }, span, below)?
                    }
                };
            } else if self.eat("[") {
                let index = self.expression()?;
                let end = self.close("]", open)?;
                let (span, below) = (base.span.to(end), base.height.max(index.height));
                let [base_, index] = [base, index].map(Box::new);
                base = self.node(ExprKind::Index { base: base_, index }, span, below)?;
            } else {
                return Ok(base);
            }
        }
    }

    fn name(&mut self, expected: &str) -> Parsed<Name<'s>> {
        let span = self.span();
        match self.kind() {
            Kind::Name => {
                self.advance();
                Ok(Name { text: span.of(self.source), span })
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    fn call(&mut self, receiver: Option<Expr<'s>>, name: Name<'s>) -> Parsed<Expr<'s>> {
        let open = self.span();
        self.advance();
        let arguments = self.list(")", open)?;
        let begin = receiver.as_ref().map_or(name.span, |receiver| receiver.span);
        let span = Span { start: begin.start, end: self.end_of_last() };
        let below = arguments.iter().chain(&receiver).map(|part| part.height).max().unwrap_or_default();
        self.node(ExprKind::Call { receiver: receiver.map(Box::new), name, arguments }, span, below)
    }

    /// Expressions between commas, up to the closing bracket; a comma may stand after the last.
    fn list(&mut self, symbol: &str, open: Span) -> Parsed<Vec<Expr<'s>>> {
        let mut entries = Vec::new();
        while !self.is(symbol) {
            if entries.len() == LIST_LITERAL_MAX {
                let message = format!("the list is too long: expected at most {LIST_LITERAL_MAX} entries");
                return Err(self.error(self.span(), message));
            }
            entries.push(self.expression()?);
            if !self.eat(",") {
                break;
            }
        }
        self.close(symbol, open)?;
        Ok(entries)
    }

    /// Where the token before the current one ends.
    fn end_of_last(&self) -> usize {
        self.at.checked_sub(1).and_then(|last| self.tokens.get(last)).map_or(0, |token| token.span.end)
    }

    fn primary(&mut self, minus: Option<Span>) -> Parsed<Expr<'s>> {
        let span = self.span();
        let signed = minus.map_or(span, |minus| minus.to(span));
        let kind = match self.kind().clone() {
            Kind::Int(magnitude) => {
                let value = match minus {
                    Some(_) => 0_i64.checked_sub_unsigned(magnitude),
                    None => i64::try_from(magnitude).ok(),
                };
                let too_large =
                    || self.error(signed, format!("{} is not a number of 64 bits", quoted(signed.of(self.source))));
                ExprKind::Int(value.ok_or_else(too_large)?)
            }
            Kind::Double(value) => ExprKind::Double(if minus.is_some() { -value } else { value }),
            Kind::String(text) => ExprKind::String(text),
            Kind::Symbol("true") => ExprKind::Bool(true),
            Kind::Symbol("false") => ExprKind::Bool(false),
            Kind::Symbol("null") => ExprKind::Null,
            Kind::Name => {
                let name = self.name("a name")?;
                return match self.is("(") {
                    true => self.call(None, name),
                    false => self.node(ExprKind::Name(name.text), span, 0),
                };
            }
            Kind::Symbol("[") => {
                self.advance();
                let entries = self.list("]", span)?;
                let below = entries.iter().map(|entry| entry.height).max().unwrap_or_default();
                return self.node(ExprKind::List(entries), Span { end: self.end_of_last(), ..span }, below);
            }
            Kind::Symbol("(") => {
                self.advance();
                let inner = self.expression()?;
                let end = self.close(")", span)?;
                return Ok(Expr { span: span.to(end), ..inner });
            }
            _ => return Err(self.unexpected("a value")),
        };
        self.advance();
        self.node(kind, signed, 0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    And,
    Or,
    Single(Single),
}

/// An operator that joins two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Single {
    In,
    Compare(Compare),
    Arithmetic(Arithmetic),
}
