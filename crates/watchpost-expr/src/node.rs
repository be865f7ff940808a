//! What is evaluated: the tree after its types were checked and its names looked up.

use regex::Regex;

use crate::ast::{Arithmetic, Compare};
use crate::error::Span;
use crate::functions::Function;

/// A piece of a program. As high as the tree of the parser or less, but for conversions, so
/// whoever walks it may recurse.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) kind: NodeKind,
    pub(crate) span: Span,
}

#[derive(Debug)]
pub(crate) enum NodeKind {
    Constant(Constant),
    List(Vec<Node>),
    Path(Box<Path>),
    Has(Box<Path>),
    Not(Box<Node>),
    Negative(Box<Node>),
    Arithmetic {
        operator: Arithmetic,
        left: Box<Node>,
        right: Box<Node>,
    },
    Compare {
        operator: Compare,
        left: Box<Node>,
        right: Box<Node>,
    },
    In {
        item: Box<Node>,
        within: Box<Node>,
    },
    And(Vec<Node>),
    Or(Vec<Node>),
    Conditional {
        condition: Box<Node>,
        then: Box<Node>,
        otherwise: Box<Node>,
    },
    /// A function with its first operand, and its second where it has one.
    Call {
        function: Function,
        operand: Box<Node>,
        argument: Option<Box<Node>>,
    },
    Matches {
        text: Box<Node>,
        pattern: Box<Regex>,
    },
    Loop(Box<Loop>),
}

#[derive(Debug)]
pub(crate) enum Constant {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    String(Box<str>),
}

/// A condition that is evaluated for each entry of a list.
#[derive(Debug)]
pub(crate) struct Loop {
    pub(crate) kind: LoopKind,
    pub(crate) source: Node,
    pub(crate) condition: Node,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoopKind {
    /// Whether the condition holds for each entry.
    All,
    /// Whether it holds for one at least.
    Exists,
    /// The entries for which it holds.
    Filter,
}

impl LoopKind {
    /// What messages call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::All => "`all`",
            Self::Exists => "`exists`",
            Self::Filter => "`filter`",
        }
    }
}

/// A value that is reached from a variable, step by step.
#[derive(Debug)]
pub(crate) struct Path {
    pub(crate) root: Root,
    pub(crate) steps: Vec<Step>,
    /// How the expression names it, in one spelling.
    pub(crate) text: String,
    /// How much of `text` names the root.
    pub(crate) root_end: usize,
    pub(crate) span: Span,
}

#[derive(Debug)]
pub(crate) enum Root {
    /// A variable of the environment, and why it is absent if it is.
    Variable { name: &'static str, absent: &'static str },
    /// The entry that a loop looks at: how many loops further out.
    Local { outward: usize },
    /// What something else than a name comes to.
    Computed(Node),
}

#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) kind: StepKind,
    /// How much of the path's text names what this step leads to.
    pub(crate) end: usize,
}

#[derive(Debug)]
pub(crate) enum StepKind {
    /// A declared field, and why it is absent if it is.
    Field { name: &'static str, absent: &'static str },
    /// A key that stands in the expression.
    Key(Box<str>),
    /// A key or an index that is to be worked out.
    Index(Node),
}
