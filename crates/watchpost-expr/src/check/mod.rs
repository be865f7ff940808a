//! Checks types and looks up names; what is left is a tree that can be evaluated.

mod calls;
mod operators;
mod paths;

use crate::ast::{Expr, ExprKind};
use crate::error::{CompileError, Span};
use crate::functions::Function;
use crate::node::{Constant, Node, NodeKind};
use crate::text::{quoted, shortened};
use crate::types::{Environment, Type};

type Checked<T> = Result<T, CompileError>;

/// An expression that fits its environment.
pub(crate) struct Program {
    pub(crate) root: Node,
    pub(crate) reads: Vec<String>,
}

/// Checks the whole of an expression, which must be a `bool`.
pub(crate) fn check(source: &str, expr: &Expr<'_>, environment: &Environment) -> Checked<Program> {
    let mut checker = Checker { source, environment, locals: Vec::new(), patterns: 0, reads: Vec::new() };
    let whole = checker.expr(expr)?;
    checker.needs_bool(&whole, "the expression must come to a bool (true or false)")?;
    checker.reads.sort_unstable();
    checker.reads.dedup();
    Ok(Program { root: whole.node, reads: checker.reads })
}

struct Checker<'c> {
    source: &'c str,
    environment: &'c Environment,
    /// The variables of the loops around, the outermost first.
    locals: Vec<(String, Type)>,
    /// How many patterns were compiled.
    patterns: usize,
    reads: Vec<String>,
}

/// A node and what it comes to.
struct Typed {
    node: Node,
    ty: Type,
}

impl Typed {
    fn new(kind: NodeKind, span: Span, ty: Type) -> Self {
        Self { node: Node { kind, span }, ty }
    }

    fn boxed(self) -> Box<Node> {
        Box::new(self.node)
    }

    fn span(&self) -> Span {
        self.node.span
    }
}

impl Checker<'_> {
    fn error<T>(&self, span: Span, message: impl Into<String>) -> Checked<T> {
        Err(CompileError::new(self.source, span, message))
    }

    /// A piece of the source as messages quote it.
    fn quoted(&self, span: Span) -> String {
        quoted(span.of(self.source))
    }

    fn needs_bool(&self, typed: &Typed, rule: &str) -> Checked<()> {
        if typed.ty == Type::Bool {
            return Ok(());
        }
        let text = shortened(typed.span().of(self.source), 40);
        let hint = match typed.ty {
            Type::Dyn => format!("; compare it, such as with `{text} == true`"),
            _ => "; compare it with something".to_owned(),
        };
        self.error(typed.span(), format!("{rule}: `{text}` is {}{hint}", named(typed.ty)))
    }

    fn expr(&mut self, expr: &Expr<'_>) -> Checked<Typed> {
        let span = expr.span;
        let constant = |value, ty| Ok(Typed::new(NodeKind::Constant(value), span, ty));
        match &expr.kind {
            ExprKind::Null => constant(Constant::Null, Type::Null),
            ExprKind::Bool(value) => constant(Constant::Bool(*value), Type::Bool),
            ExprKind::Int(value) => constant(Constant::Int(*value), Type::Int),
            ExprKind::Double(value) => constant(Constant::Double(*value), Type::Double),
            ExprKind::String(text) => constant(Constant::String(text.as_str().into()), Type::String),
            ExprKind::List(entries) => self.list(entries, span),
            ExprKind::Name(_) | ExprKind::Member { .. } | ExprKind::Index { .. } => self.value_at(expr),
            ExprKind::Call { receiver, name, arguments } => self.call(receiver.as_deref(), *name, arguments, span),
            ExprKind::Not(operand) => {
                let operand = self.expr(operand)?;
                self.needs_bool(&operand, "`!` needs a bool")?;
                Ok(Typed::new(NodeKind::Not(operand.boxed()), span, Type::Bool))
            }
            ExprKind::Negative(operand) => self.negative(operand, span),
            ExprKind::Arithmetic { operator, left, right } => self.arithmetic(*operator, left, right, span),
            ExprKind::Compare { operator, left, right } => self.compare(*operator, left, right, span),
            ExprKind::In { item, within } => self.within(item, within, span),
            ExprKind::And(operands) => {
                let operands = self.bools(operands, "`&&` needs a bool on each side")?;
                Ok(Typed::new(NodeKind::And(operands), span, Type::Bool))
            }
            ExprKind::Or(operands) => {
                let operands = self.bools(operands, "`||` needs a bool on each side")?;
                Ok(Typed::new(NodeKind::Or(operands), span, Type::Bool))
            }
            ExprKind::Conditional { condition, then, otherwise } => self.conditional(condition, then, otherwise, span),
        }
    }

    fn bools(&mut self, operands: &[Expr<'_>], rule: &str) -> Checked<Vec<Node>> {
        let mut nodes = Vec::with_capacity(operands.len());
        for operand in operands {
            let operand = self.expr(operand)?;
            self.needs_bool(&operand, rule)?;
            nodes.push(operand.node);
        }
        Ok(nodes)
    }

    /// A list that is written out: entries of one type, but that `null` goes with each.
    fn list(&mut self, entries: &[Expr<'_>], span: Span) -> Checked<Typed> {
        let mut checked = Vec::with_capacity(entries.len());
        let mut common: Option<Type> = None;
        for entry in entries {
            let entry = self.expr(entry)?;
            if entry.ty.listed().is_none() {
                let (text, ty) = (self.quoted(entry.span()), named(entry.ty));
                return self.error(
                    entry.span(),
                    format!("a list that is written out holds bools, numbers and strings: {text} is {ty}"),
                );
            }
            common = match common.map(|common| (common, unified(common, entry.ty))) {
                None => Some(entry.ty),
                Some((_, Some(both))) => Some(both),
                Some((common, None)) => {
                    let (text, ty) = (self.quoted(entry.span()), named(entry.ty));
                    return self.error(
                        entry.span(),
                        format!("the entries of a list have one type: {text} is {ty}, those before it are {common}"),
                    );
                }
            };
            checked.push(entry);
        }
        let common = common.unwrap_or(Type::Dyn);
        let nodes = checked.into_iter().map(|entry| converted(entry, common).node).collect();
        let ty = common.listed().unwrap_or(Type::List(&Type::Dyn));
        Ok(Typed::new(NodeKind::List(nodes), span, ty))
    }

    fn conditional(
        &mut self,
        condition: &Expr<'_>,
        then: &Expr<'_>,
        otherwise: &Expr<'_>,
        span: Span,
    ) -> Checked<Typed> {
        let condition = self.expr(condition)?;
        self.needs_bool(&condition, "`?` needs a bool before it")?;
        let (then, otherwise) = (self.expr(then)?, self.expr(otherwise)?);
        let Some(ty) = unified(then.ty, otherwise.ty) else {
            let (a, b) = (named(then.ty), named(otherwise.ty));
            return self.error(span, format!("both sides of `:` must have one type: found {a} and {b}"));
        };
        let [then, otherwise] = [then, otherwise].map(|side| converted(side, ty).boxed());
        Ok(Typed::new(NodeKind::Conditional { condition: condition.boxed(), then, otherwise }, span, ty))
    }
}

/// The type that values of both types can have together.
fn unified(a: Type, b: Type) -> Option<Type> {
    match (a, b) {
        _ if a == b => Some(a),
        _ if a.is_number() && b.is_number() => Some(Type::Double),
        (Type::Record(_) | Type::Map(_), _) | (_, Type::Record(_) | Type::Map(_)) => None,
        (Type::Dyn | Type::Null, _) | (_, Type::Dyn | Type::Null) => Some(Type::Dyn),
        (Type::List(Type::Dyn), Type::List(_)) | (Type::List(_), Type::List(Type::Dyn)) => Some(Type::List(&Type::Dyn)),
        _ => None,
    }
}

/// Makes an int a double where it shall have that type.
fn converted(typed: Typed, ty: Type) -> Typed {
    if (typed.ty, ty) != (Type::Int, Type::Double) {
        return typed;
    }
    let span = typed.span();
    let kind = match typed.node.kind {
        #[expect(clippy::cast_precision_loss, reason = "what a conversion to double is")]
        NodeKind::Constant(Constant::Int(value)) => NodeKind::Constant(Constant::Double(value as f64)),
        _ => NodeKind::Call { function: Function::Double, operand: typed.boxed(), argument: None },
    };
    Typed::new(kind, span, Type::Double)
}

/// A type with its article.
fn named(ty: Type) -> String {
    match ty {
        Type::Int => "an int".to_owned(),
        Type::Null => "null".to_owned(),
        Type::Dyn => "dyn (known only at run time)".to_owned(),
        other => format!("a {other}"),
    }
}
