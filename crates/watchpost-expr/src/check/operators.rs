//! The rules of operators.

use super::{Checked, Checker, Typed, named};
use crate::ast::{Arithmetic, Compare, Expr};
use crate::error::Span;
use crate::node::NodeKind;
use crate::types::Type;

impl Checker<'_> {
    pub(super) fn negative(&mut self, operand: &Expr<'_>, span: Span) -> Checked<Typed> {
        let operand = self.expr(operand)?;
        let ty = operand.ty;
        if !ty.is_number() && ty != Type::Dyn {
            return self.error(span, format!("`-` needs a number: {} is {}", self.quoted(operand.span()), named(ty)));
        }
        Ok(Typed::new(NodeKind::Negative(operand.boxed()), span, ty))
    }

    pub(super) fn arithmetic(
        &mut self,
        operator: Arithmetic,
        left: &Expr<'_>,
        right: &Expr<'_>,
        span: Span,
    ) -> Checked<Typed> {
        let (left, right) = (self.expr(left)?, self.expr(right)?);
        let (a, b) = (left.ty, right.ty);
        let fits = |ty: Type| match operator {
            Arithmetic::Remainder => ty == Type::Int || ty == Type::Dyn,
            Arithmetic::Add => ty.is_number() || ty == Type::String || ty == Type::Dyn,
            _ => ty.is_number() || ty == Type::Dyn,
        };
        let result = match (a, b) {
            _ if !fits(a) || !fits(b) => None,
            (Type::Dyn, _) | (_, Type::Dyn) => Some(Type::Dyn),
            _ if a == b => Some(a),
            _ if a.is_number() && b.is_number() => Some(Type::Double),
            _ => None,
        };
        let Some(ty) = result else {
            let needs = match operator {
                Arithmetic::Remainder => "two ints",
                Arithmetic::Add => "two numbers or two strings",
                _ => "two numbers",
            };
            let hint = match (operator, a == Type::String || b == Type::String) {
                (Arithmetic::Add, true) => "; convert one, such as with string(…)",
                _ => "",
            };
            let message = format!("`{}` needs {needs}: found {} and {}{hint}", operator.symbol(), named(a), named(b));
            return self.error(span, message);
        };
        let [left, right] = [left, right].map(Typed::boxed);
        Ok(Typed::new(NodeKind::Arithmetic { operator, left, right }, span, ty))
    }

    pub(super) fn compare(
        &mut self,
        operator: Compare,
        left: &Expr<'_>,
        right: &Expr<'_>,
        span: Span,
    ) -> Checked<Typed> {
        let (left, right) = (self.expr(left)?, self.expr(right)?);
        let (a, b) = (left.ty, right.ty);
        let symbol = operator.symbol();
        let is_possible = match operator {
            Compare::Equal | Compare::NotEqual => comparable(a, b),
            _ => ordered(a, b),
        };
        if !is_possible {
            let message = match (operator, a, b) {
                (Compare::Equal | Compare::NotEqual, Type::Null, other)
                | (Compare::Equal | Compare::NotEqual, other, Type::Null) => {
                    format!("only dyn can be null, {} cannot; use has() where it may be absent", named(other))
                }
                (Compare::Equal | Compare::NotEqual, Type::Record(_) | Type::Map(_), _)
                | (Compare::Equal | Compare::NotEqual, _, Type::Record(_) | Type::Map(_)) => {
                    let other = if matches!(a, Type::Record(_) | Type::Map(_)) { a } else { b };
                    format!("`{symbol}` cannot compare {}; compare what is in it", named(other))
                }
                (Compare::Equal | Compare::NotEqual, ..) => {
                    format!("`{symbol}` needs two values of one type: found {} and {}", named(a), named(b))
                }
                _ => format!("`{symbol}` needs two numbers or two strings: found {} and {}", named(a), named(b)),
            };
            return self.error(span, message);
        }
        let [left, right] = [left, right].map(Typed::boxed);
        Ok(Typed::new(NodeKind::Compare { operator, left, right }, span, Type::Bool))
    }

    pub(super) fn within(&mut self, item: &Expr<'_>, within: &Expr<'_>, span: Span) -> Checked<Typed> {
        let (item, within) = (self.expr(item)?, self.expr(within)?);
        let (a, b) = (item.ty, within.ty);
        let message = match b {
            Type::List(of) if comparable(a, *of) => None,
            Type::List(of) => Some(format!("{} cannot be in a list of {of}", named(a))),
            Type::Map(_) if matches!(a, Type::String | Type::Dyn) => None,
            Type::Map(_) => Some(format!("the keys of a map are strings: found {}", named(a))),
            Type::Dyn if !matches!(a, Type::Record(_) | Type::Map(_)) => None,
            Type::String => {
                Some("`in` needs a list or a map on its right; for a part of a text write `a.contains(b)`".into())
            }
            _ => Some(format!("`in` needs a list or a map on its right: found {}", named(b))),
        };
        match message {
            Some(message) => self.error(span, message),
            None => {
                let [item, within] = [item, within].map(Typed::boxed);
                Ok(Typed::new(NodeKind::In { item, within }, span, Type::Bool))
            }
        }
    }
}

/// Whether `==` can be asked of them.
fn comparable(a: Type, b: Type) -> bool {
    match (a, b) {
        (Type::Record(_) | Type::Map(_), _) | (_, Type::Record(_) | Type::Map(_)) => false,
        (Type::List(a), Type::List(b)) => comparable(*a, *b),
        (Type::Dyn, _) | (_, Type::Dyn) => true,
        _ => a == b || a.is_number() && b.is_number(),
    }
}

/// Whether one can be less than the other.
fn ordered(a: Type, b: Type) -> bool {
    let has_order = |ty: Type| ty.is_number() || ty == Type::String || ty == Type::Dyn;
    has_order(a) && has_order(b) && comparable(a, b)
}
