//! Looks up variables, and follows what is read of them step by step.

use super::{Checked, Checker, Typed, named};
use crate::ast::{Expr, ExprKind, Name};
use crate::error::Span;
use crate::functions;
use crate::node::{Constant, NodeKind, Path, Root, Step, StepKind};
use crate::text::{quoted, shortened, similar};
use crate::types::Type;

/// How far a path has led.
pub(super) struct Reached {
    pub(super) path: Path,
    ty: Type,
    /// How much of the path's text is declared: a variable and fields of records.
    declared_end: usize,
}

impl Reached {
    fn step(mut self, kind: StepKind, text: &str, ty: Type, span: Span) -> Self {
        let is_field = matches!(kind, StepKind::Field { .. });
        self.path.text.push_str(text);
        let end = self.path.text.len();
        if is_field {
            self.declared_end = end;
        }
        self.path.steps.push(Step { kind, end });
        self.path.span = span;
        self.ty = ty;
        self
    }
}

impl Checker<'_> {
    /// A name, or what is reached from one.
    pub(super) fn value_at(&mut self, expr: &Expr<'_>) -> Checked<Typed> {
        let Reached { path, ty, .. } = self.reached(expr)?;
        Ok(Typed::new(NodeKind::Path(Box::new(path)), expr.span, ty))
    }

    /// Follows a path to its end, and notes what it reads.
    pub(super) fn reached(&mut self, expr: &Expr<'_>) -> Checked<Reached> {
        let reached = self.follow(expr)?;
        if let Root::Variable { .. } = reached.path.root {
            self.reads.extend(reached.path.text.get(..reached.declared_end).map(str::to_owned));
        }
        Ok(reached)
    }

    fn follow(&mut self, expr: &Expr<'_>) -> Checked<Reached> {
        match &expr.kind {
            ExprKind::Name(name) => self.root(name, expr.span),
            ExprKind::Member { base, name } => {
                let base = self.follow(base)?;
                self.member(base, *name, expr.span)
            }
            ExprKind::Index { base, index } => {
                let base = self.follow(base)?;
                self.index(base, index, expr.span)
            }
            _ => {
                let computed = self.expr(expr)?;
                let text = shortened(expr.span.of(self.source), 40).into_owned();
                let path = Path {
                    root: Root::Computed(computed.node),
                    steps: Vec::new(),
                    root_end: text.len(),
                    text,
                    span: expr.span,
                };
                Ok(Reached { path, ty: computed.ty, declared_end: 0 })
            }
        }
    }

    fn root(&self, name: &str, span: Span) -> Checked<Reached> {
        let local = self.locals.iter().rev().zip(0..).find(|((local, _), _)| local == name);
        let (root, ty) = match (local, self.environment.find(name)) {
            (Some(((_, ty), outward)), _) => (Root::Local { outward }, *ty),
            (None, Some(field)) => {
                (Root::Variable { name: field.name, absent: field.absent.unwrap_or_default() }, field.ty)
            }
            (None, None) => return self.error(span, self.unknown_variable(name)),
        };
        let path = Path { root, steps: Vec::new(), text: name.to_owned(), root_end: name.len(), span };
        Ok(Reached { path, ty, declared_end: name.len() })
    }

    fn unknown_variable(&self, name: &str) -> String {
        let variables = || self.environment.variables().map(|field| field.name);
        let locals = self.locals.iter().map(|(local, _)| local.as_str());
        let hint = match similar(name, locals.chain(variables())) {
            Some(meant) => format!("; did you mean `{meant}`?"),
            None => format!(": expected one of {}", listed(variables())),
        };
        format!("there is no variable {}{hint}", quoted(name))
    }

    fn member(&self, base: Reached, name: Name<'_>, span: Span) -> Checked<Reached> {
        let text = format!(".{}", name.text);
        match base.ty {
            Type::Record(record) => {
                let Some(field) = record.fields.iter().find(|field| field.name == name.text) else {
                    let fields = || record.fields.iter().map(|field| field.name);
                    let hint = match similar(name.text, fields()) {
                        Some(meant) => format!("; did you mean `{meant}`?"),
                        None => format!(": expected one of {}", listed(fields())),
                    };
                    let (within, wanted) = (quoted(&base.path.text), quoted(name.text));
                    return self.error(name.span, format!("{within} has no field {wanted}{hint}"));
                };
                let kind = StepKind::Field { name: field.name, absent: field.absent.unwrap_or_default() };
                Ok(base.step(kind, &text, field.ty, span))
            }
            Type::Map(of) => Ok(base.step(StepKind::Key(name.text.into()), &text, *of, span)),
            Type::Dyn => Ok(base.step(StepKind::Key(name.text.into()), &text, Type::Dyn, span)),
            other => {
                let hint = match other {
                    _ if functions::names().any(|function| function == name.text) => {
                        format!("; did you mean `{}()`?", name.text)
                    }
                    Type::List(_) => "; choose an entry with [0], or ask exists(…) or all(…)".to_owned(),
                    _ => String::new(),
                };
                let (within, ty) = (quoted(&base.path.text), named(other));
                self.error(name.span, format!("{within} is {ty} and has no fields{hint}"))
            }
        }
    }

    fn index(&mut self, base: Reached, index: &Expr<'_>, span: Span) -> Checked<Reached> {
        let index = self.expr(index)?;
        let (expected, ty) = match base.ty {
            Type::List(of) => ("an int", *of),
            Type::Map(of) => ("a string", *of),
            Type::Dyn => ("an int or a string", Type::Dyn),
            Type::Record(_) => {
                let within = quoted(&base.path.text);
                return self.error(span, format!("{within} has fixed fields: read them with a point, such as `a.b`"));
            }
            other => {
                let within = quoted(&base.path.text);
                return self.error(span, format!("{within} is {} and has no entries", named(other)));
            }
        };
        let fits = match index.ty {
            Type::Dyn => true,
            Type::Int => !matches!(base.ty, Type::Map(_)),
            Type::String => !matches!(base.ty, Type::List(_)),
            _ => false,
        };
        if !fits {
            let (within, found) = (quoted(&base.path.text), named(index.ty));
            return self.error(index.span(), format!("what is in [] after {within} must be {expected}: found {found}"));
        }
        let (kind, text) = match index.node.kind {
            NodeKind::Constant(Constant::String(key)) => {
                let text = format!("[{key:?}]");
                (StepKind::Key(key), text)
            }
            _ => {
                let text = format!("[{}]", index.span().of(self.source));
                (StepKind::Index(index.node), text)
            }
        };
        Ok(base.step(kind, &text, ty, span))
    }
}

/// Names in a row, for messages.
fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<&str> = names.collect();
    shortened(&names.join(", "), 200).into_owned()
}
