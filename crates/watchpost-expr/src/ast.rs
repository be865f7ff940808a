//! What the parser makes of a text: its shape, before anything is known of types.

use crate::error::Span;

/// A piece of an expression. Its height is bounded by [`DEPTH_MAX`](crate::limits::DEPTH_MAX), so
/// whoever walks it may recurse.
#[derive(Debug)]
pub(crate) struct Expr<'s> {
    pub(crate) kind: ExprKind<'s>,
    pub(crate) span: Span,
    pub(crate) height: usize,
}

#[derive(Debug)]
pub(crate) enum ExprKind<'s> {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    String(String),
    List(Vec<Expr<'s>>),
    Name(&'s str),
    Member { base: Box<Expr<'s>>, name: Name<'s> },
    Index { base: Box<Expr<'s>>, index: Box<Expr<'s>> },
    Call { receiver: Option<Box<Expr<'s>>>, name: Name<'s>, arguments: Vec<Expr<'s>> },
    Not(Box<Expr<'s>>),
    Negative(Box<Expr<'s>>),
    Arithmetic { operator: Arithmetic, left: Box<Expr<'s>>, right: Box<Expr<'s>> },
    Compare { operator: Compare, left: Box<Expr<'s>>, right: Box<Expr<'s>> },
    In { item: Box<Expr<'s>>, within: Box<Expr<'s>> },
    And(Vec<Expr<'s>>),
    Or(Vec<Expr<'s>>),
    Conditional { condition: Box<Expr<'s>>, then: Box<Expr<'s>>, otherwise: Box<Expr<'s>> },
}

/// A name and where it stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name<'s> {
    pub(crate) text: &'s str,
    pub(crate) span: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Arithmetic {
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compare {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Compare {
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}
