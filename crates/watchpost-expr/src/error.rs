//! Why an expression cannot be compiled, and why an evaluation has no answer.

use std::fmt;

use crate::seen::Seen;

/// A piece of the source, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Span {
    pub(crate) fn to(self, end: Span) -> Span {
        Span { start: self.start, end: end.end }
    }

    pub(crate) fn of(self, source: &str) -> &str {
        source.get(self.start..self.end).unwrap_or_default()
    }
}

/// A place in the text of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// How many bytes lie before it; at most the length of the text.
    pub offset: usize,
    /// Its line, from 1.
    pub line: usize,
    /// Its column, from 1, in characters.
    pub column: usize,
}

impl Position {
    pub(crate) fn in_source(source: &str, offset: usize) -> Self {
        let offset = source.floor_char_boundary(offset.min(source.len()));
        let before = source.get(..offset).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self {
            offset,
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            1 => write!(f, "column {}", self.column),
            line => write!(f, "line {line}, column {}", self.column),
        }
    }
}

/// Why a text is not an expression, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{position}: {message}")]
pub struct CompileError {
    /// What is wrong and what was expected, without the position.
    pub message: String,
    /// Where the fault begins in the expression.
    pub position: Position,
    /// How many bytes of the expression are at fault, from there; 0 where something is missing.
    pub length: usize,
}

impl CompileError {
    pub(crate) fn new(source: &str, span: Span, message: impl Into<String>) -> Self {
        let position = Position::in_source(source, span.start);
        let end = source.floor_char_boundary(span.end.min(source.len()));
        Self { message: message.into(), position, length: end.saturating_sub(position.offset) }
    }
}

/// What kept an evaluation from an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EvalErrorKind {
    /// A value is not there.
    Absent,
    /// A value whose type is known only at run time has another one than its use needs.
    Type,
    /// A number has no result: overflow, division by zero, a text that is not a number.
    Number,
    /// The evaluation came to one of its bounds ([`limits`](crate::limits)).
    Limit,
}

/// Why an evaluation has no answer. An assertion that it speaks of does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EvalError {
    /// What kept it.
    pub kind: EvalErrorKind,
    /// One sentence that names what it is about. It quotes the expression, never a value.
    pub message: String,
    /// Where in the expression it happened.
    pub position: Position,
    /// The values that had been read, see [`Evaluation::seen`](crate::Evaluation::seen).
    pub seen: Vec<Seen>,
}

/// An error on its way up through the evaluation.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: EvalErrorKind,
    pub(crate) at: usize,
    pub(crate) message: String,
}

/// Boxed, since what does not fail should not carry the room for it.
pub(crate) type Eval<T> = Result<T, Box<Failure>>;

pub(crate) fn fail<T>(kind: EvalErrorKind, span: Span, message: impl Into<String>) -> Eval<T> {
    Err(Box::new(Failure { kind, at: span.start, message: message.into() }))
}
