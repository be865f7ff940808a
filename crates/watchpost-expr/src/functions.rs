//! The functions of the language: what they are called and what they take.

use crate::types::Type;

/// A function that is no loop, pattern or test for presence; these have rules of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    LowerAscii,
    Int,
    Double,
    String,
}

/// How a function is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `x.f(…)`.
    Method,
    /// `f(x, …)`.
    Global,
    /// Either.
    Both,
}

impl Function {
    const ALL: [Self; 8] = [
        Self::Size,
        Self::Contains,
        Self::StartsWith,
        Self::EndsWith,
        Self::LowerAscii,
        Self::Int,
        Self::Double,
        Self::String,
    ];

    pub(crate) fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|function| function.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Contains => "contains",
            Self::StartsWith => "startsWith",
            Self::EndsWith => "endsWith",
            Self::LowerAscii => "lowerAscii",
            Self::Int => "int",
            Self::Double => "double",
            Self::String => "string",
        }
    }

    pub(crate) fn form(self) -> Form {
        match self {
            Self::Size => Form::Both,
            Self::Contains | Self::StartsWith | Self::EndsWith | Self::LowerAscii => Form::Method,
            Self::Int | Self::Double | Self::String => Form::Global,
        }
    }

    /// Whether there is a second operand, which is a text.
    pub(crate) fn takes_text(self) -> bool {
        matches!(self, Self::Contains | Self::StartsWith | Self::EndsWith)
    }

    pub(crate) fn result(self) -> Type {
        match self {
            Self::Size | Self::Int => Type::Int,
            Self::Contains | Self::StartsWith | Self::EndsWith => Type::Bool,
            Self::LowerAscii | Self::String => Type::String,
            Self::Double => Type::Double,
        }
    }

    /// Whether the first operand may be of this type; of [`Type::Dyn`] it always may.
    pub(crate) fn accepts(self, operand: Type) -> bool {
        match self {
            Self::Size => matches!(operand, Type::String | Type::List(_) | Type::Map(_)),
            Self::Contains | Self::StartsWith | Self::EndsWith | Self::LowerAscii => operand == Type::String,
            Self::Int | Self::Double => matches!(operand, Type::Int | Type::Double | Type::String),
            Self::String => matches!(operand, Type::Bool | Type::Int | Type::Double | Type::String),
        }
    }

    /// What the first operand must be, for messages.
    pub(crate) fn expects(self) -> &'static str {
        match self {
            Self::Size => "a string, a list or a map",
            Self::Contains | Self::StartsWith | Self::EndsWith | Self::LowerAscii => "a string",
            Self::Int | Self::Double => "a number or a string",
            Self::String => "a bool, a number or a string",
        }
    }
}

/// The functions with rules of their own.
pub(crate) const SPECIAL: [&str; 5] = ["has", "matches", "all", "exists", "filter"];

/// The names of all functions.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    Function::ALL.into_iter().map(Function::name).chain(SPECIAL)
}
