//! Evaluates what was checked, within its bounds.
//!
//! What depends on declared types alone was checked beforehand; what depends on JSON, and on values
//! that a caller provides, is checked here.

mod functions;
mod loops;
mod operators;
mod paths;

use std::borrow::Cow;
use std::cell::{Cell, RefCell};

use crate::error::{Eval, EvalError, EvalErrorKind, Position, Span, fail};
use crate::limits::{STEPS_MAX, TEXT_BYTES_PER_STEP};
use crate::node::{Constant, Node, NodeKind};
use crate::program::Evaluation;
use crate::seen::{Redact, SeenList};
use crate::text::quoted;
use crate::value::{Items, Value, Values};
use loops::Local;

/// Evaluates the whole of a program.
pub(crate) fn run(
    source: &str,
    root: &Node,
    values: &dyn Values,
    redact: &dyn Redact,
) -> Result<Evaluation, EvalError> {
    let whole = Whole { source, values, redact, steps_left: Cell::new(STEPS_MAX), seen: RefCell::default() };
    let outcome = Scope { whole: &whole, local: None, notes_locals: true }.bool(root, "the expression");
    let seen = whole.seen.into_inner().into_vec();
    match outcome {
        Ok(holds) => Ok(Evaluation { holds, seen }),
        Err(failure) => {
            let position = Position::in_source(source, failure.at);
            Err(EvalError { kind: failure.kind, message: failure.message, position, seen })
        }
    }
}

/// What one evaluation has for all its parts.
struct Whole<'w> {
    source: &'w str,
    values: &'w dyn Values,
    redact: &'w dyn Redact,
    steps_left: Cell<u32>,
    seen: RefCell<SeenList>,
}

/// Where a part of the program is evaluated. Values live at least as long as their scope.
#[derive(Clone, Copy)]
struct Scope<'x> {
    whole: &'x Whole<'x>,
    /// The entry that the innermost loop looks at.
    local: Option<&'x Local<'x>>,
    /// Whether what is read of such entries is noted as seen: not before one of them has decided.
    notes_locals: bool,
}

impl<'x> Scope<'x> {
    fn spend(self, steps: usize, at: Span) -> Eval<()> {
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        match self.whole.steps_left.get().checked_sub(steps) {
            Some(left) => {
                self.whole.steps_left.set(left);
                Ok(())
            }
            None => fail(
                EvalErrorKind::Limit,
                at,
                format!("the evaluation was stopped after {STEPS_MAX} steps: expected less to go through"),
            ),
        }
    }

    /// Pays for a text that is gone through.
    fn spend_text(self, bytes: usize, at: Span) -> Eval<()> {
        self.spend(bytes / TEXT_BYTES_PER_STEP, at)
    }

    /// A piece of the expression as messages quote it.
    fn quoted(self, node: &Node) -> String {
        quoted(node.span.of(self.whole.source))
    }

    /// Says that `node` came to something that its use cannot take.
    fn wrong_type<T>(self, node: &Node, value: &Value<'_>, use_needs: &str) -> Eval<T> {
        let message = format!("{use_needs}: {} is {}", self.quoted(node), value.kind());
        fail(EvalErrorKind::Type, node.span, message)
    }

    fn bool(self, node: &'x Node, what: &str) -> Eval<bool> {
        match self.value(node)? {
            Value::Bool(value) => Ok(value),
            other => self.wrong_type(node, &other, &format!("{what} needs a bool")),
        }
    }

    fn text(self, node: &'x Node, what: &str) -> Eval<Cow<'x, str>> {
        match self.value(node)? {
            Value::String(text) => Ok(text),
            other => self.wrong_type(node, &other, &format!("{what}() needs a string")),
        }
    }

    /// Recursion is bounded by the height of the tree.
    fn value(self, node: &'x Node) -> Eval<Value<'x>> {
        self.spend(1, node.span)?;
        match &node.kind {
            NodeKind::Constant(constant) => Ok(constant.value()),
            NodeKind::List(entries) => {
                let entries: Eval<Vec<Value<'x>>> = entries.iter().map(|entry| self.value(entry)).collect();
                Ok(Value::List(Items::Owned(entries?)))
            }
            NodeKind::Path(path) => self.read(path),
            NodeKind::Has(path) => self.has(path).map(Value::Bool),
            NodeKind::Not(operand) => Ok(Value::Bool(!self.bool(operand, "`!`")?)),
            NodeKind::Negative(operand) => self.negative(operand, node.span),
            NodeKind::Arithmetic { operator, left, right } => self.arithmetic(*operator, left, right, node.span),
            NodeKind::Compare { operator, left, right } => {
                self.compare(*operator, left, right, node.span).map(Value::Bool)
            }
            NodeKind::In { item, within } => self.within(item, within).map(Value::Bool),
            NodeKind::And(operands) => self.decided_by(false, operands, "`&&`").map(Value::Bool),
            NodeKind::Or(operands) => self.decided_by(true, operands, "`||`").map(Value::Bool),
            NodeKind::Conditional { condition, then, otherwise } => {
                self.value(if self.bool(condition, "`?`")? { then } else { otherwise })
            }
            NodeKind::Call { function, operand, argument } => {
                self.call(*function, operand, argument.as_deref(), node.span)
            }
            NodeKind::Matches { text, pattern } => self.matches(text, pattern, node.span).map(Value::Bool),
            NodeKind::Loop(each) => self.each(each, node.span),
        }
    }

    /// `&&` is decided by the first `false`, `||` by the first `true`, whatever else has no answer.
    /// If nothing decides, the first error counts.
    fn decided_by(self, decisive: bool, operands: &'x [Node], symbol: &str) -> Eval<bool> {
        let mut first_failure = None;
        for operand in operands {
            match self.bool(operand, symbol) {
                Ok(value) if value == decisive => return Ok(decisive),
                Ok(_) => {}
                Err(failure) if failure.kind == EvalErrorKind::Limit => return Err(failure),
                Err(failure) => {
                    first_failure.get_or_insert(failure);
                }
            }
        }
        first_failure.map_or(Ok(!decisive), Err)
    }
}

impl Constant {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::Int(*value),
            Self::Double(value) => Value::Double(*value),
            Self::String(text) => Value::String(Cow::Borrowed(text)),
        }
    }
}
