//! Arithmetic, comparisons and `in`.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::Scope;
use crate::ast::{Arithmetic, Compare};
use crate::error::{Eval, EvalErrorKind, Span, fail};
use crate::limits::{JSON_DEPTH_MAX, TEXT_BYTES_MAX};
use crate::node::{Node, NodeKind};
use crate::text::quoted;
use crate::value::Value;

impl<'x> Scope<'x> {
    fn no_result<T>(self, span: Span, why: &str) -> Eval<T> {
        fail(EvalErrorKind::Number, span, format!("{}: {why}", quoted(span.of(self.whole.source))))
    }

    pub(super) fn negative(self, operand: &'x Node, span: Span) -> Eval<Value<'x>> {
        match self.value(operand)? {
            Value::Int(value) => match value.checked_neg() {
                Some(value) => Ok(Value::Int(value)),
                None => self.no_result(span, "the result does not fit into 64 bits"),
            },
            Value::Double(value) => Ok(Value::Double(-value)),
            other => self.wrong_type(operand, &other, "`-` needs a number"),
        }
    }

    pub(super) fn arithmetic(
        self,
        operator: Arithmetic,
        left: &'x Node,
        right: &'x Node,
        span: Span,
    ) -> Eval<Value<'x>> {
        let (a, b) = (self.value(left)?, self.value(right)?);
        match (a, b) {
            (Value::Int(a), Value::Int(b)) => self.whole_numbers(operator, a, b, span).map(Value::Int),
            (Value::String(a), Value::String(b)) if operator == Arithmetic::Add => self.joined(&a, &b, span),
            (a, b) => match (as_double(&a), as_double(&b)) {
                (Some(a), Some(b)) if operator != Arithmetic::Remainder => {
                    self.doubles(operator, a, b, span).map(Value::Double)
                }
                _ => {
                    let needs = match operator {
                        Arithmetic::Remainder => "two ints",
                        Arithmetic::Add => "two numbers or two strings",
                        _ => "two numbers",
                    };
                    self.mismatch(operator.symbol(), needs, (left, &a), (right, &b), span)
                }
            },
        }
    }

    fn mismatch<T>(
        self,
        symbol: &str,
        needs: &str,
        (left, a): (&Node, &Value<'_>),
        (right, b): (&Node, &Value<'_>),
        span: Span,
    ) -> Eval<T> {
        let (left, right) = (self.quoted(left), self.quoted(right));
        let message = format!("`{symbol}` needs {needs}: {left} is {}, {right} is {}", a.kind(), b.kind());
        fail(EvalErrorKind::Type, span, message)
    }

    fn whole_numbers(self, operator: Arithmetic, a: i64, b: i64, span: Span) -> Eval<i64> {
        let result = match operator {
            Arithmetic::Add => a.checked_add(b),
            Arithmetic::Subtract => a.checked_sub(b),
            Arithmetic::Multiply => a.checked_mul(b),
            Arithmetic::Divide | Arithmetic::Remainder if b == 0 => return self.no_result(span, "division by zero"),
            Arithmetic::Divide => a.checked_div(b),
            // The remainder of the least number by -1 is 0, although the quotient does not fit.
            Arithmetic::Remainder => Some(a.wrapping_rem(b)),
        };
        match result {
            Some(result) => Ok(result),
            None => self.no_result(span, "the result does not fit into 64 bits"),
        }
    }

    fn doubles(self, operator: Arithmetic, a: f64, b: f64, span: Span) -> Eval<f64> {
        let result = match operator {
            Arithmetic::Add => a + b,
            Arithmetic::Subtract => a - b,
            Arithmetic::Multiply => a * b,
            Arithmetic::Divide | Arithmetic::Remainder if b == 0.0 => return self.no_result(span, "division by zero"),
            Arithmetic::Divide => a / b,
            Arithmetic::Remainder => a % b,
        };
        match result.is_finite() {
            true => Ok(result),
            false => self.no_result(span, "the result is no number"),
        }
    }

    fn joined(self, a: &str, b: &str, span: Span) -> Eval<Value<'x>> {
        let length = a.len() + b.len();
        if length > TEXT_BYTES_MAX {
            let message = format!("`+` makes a text of {length} bytes: expected at most {TEXT_BYTES_MAX}");
            return fail(EvalErrorKind::Limit, span, message);
        }
        self.spend_text(length, span)?;
        Ok(Value::String(Cow::Owned([a, b].concat())))
    }

    pub(super) fn compare(self, operator: Compare, left: &'x Node, right: &'x Node, span: Span) -> Eval<bool> {
        let (a, b) = (self.value(left)?, self.value(right)?);
        let holds = match operator {
            Compare::Equal => return self.equal(&a, &b, 0, span),
            Compare::NotEqual => return self.equal(&a, &b, 0, span).map(|equal| !equal),
            Compare::Less => Ordering::is_lt,
            Compare::LessOrEqual => Ordering::is_le,
            Compare::Greater => Ordering::is_gt,
            Compare::GreaterOrEqual => Ordering::is_ge,
        };
        let order = match (&a, &b) {
            (Value::String(a), Value::String(b)) => {
                self.spend_text(a.len().min(b.len()), span)?;
                Some(a.cmp(b))
            }
            _ if is_number(&a) && is_number(&b) => order_of_numbers(&a, &b),
            _ => {
                let needs = "two numbers or two strings";
                return self.mismatch(operator.symbol(), needs, (left, &a), (right, &b), span);
            }
        };
        // Nothing can be said of what is no number.
        Ok(order.is_some_and(holds))
    }

    /// Values of different types are different, but for numbers. Recursion is bounded.
    fn equal(self, a: &Value<'_>, b: &Value<'_>, depth: usize, span: Span) -> Eval<bool> {
        if depth == JSON_DEPTH_MAX {
            let message = format!("what is compared is nested more than {JSON_DEPTH_MAX} deep: expected less");
            return fail(EvalErrorKind::Limit, span, message);
        }
        match (a, b) {
            (Value::Null, Value::Null) => Ok(true),
            (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
            (Value::String(a), Value::String(b)) => {
                self.spend_text(a.len().min(b.len()), span)?;
                Ok(a == b)
            }
            (Value::Map(_) | Value::Record(_), _) | (_, Value::Map(_) | Value::Record(_)) => fail(
                EvalErrorKind::Type,
                span,
                "maps and records cannot be compared as a whole; compare what is in them",
            ),
            (Value::Json(serde_json::Value::Object(a)), Value::Json(serde_json::Value::Object(b))) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (key, a) in a {
                    self.spend(1, span)?;
                    let Some(b) = b.get(key) else { return Ok(false) };
                    if !self.equal(&Value::of_json(a), &Value::of_json(b), depth + 1, span)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            _ if is_number(a) && is_number(b) => Ok(order_of_numbers(a, b) == Some(Ordering::Equal)),
            _ => match (Sequence::of(a), Sequence::of(b)) {
                (Some(a), Some(b)) if a.len() == b.len() => {
                    for index in 0..a.len() {
                        self.spend(1, span)?;
                        if !self.equal(&a.at(index), &b.at(index), depth + 1, span)? {
                            return Ok(false);
                        }
                    }
                    Ok(true)
                }
                _ => Ok(false),
            },
        }
    }

    pub(super) fn within(self, item: &'x Node, within: &'x Node) -> Eval<bool> {
        let wanted = self.value(item)?;
        let span = within.span;
        // A list that is written out need not be made to be searched.
        if let NodeKind::List(entries) = &within.kind {
            for entry in entries {
                if self.equal(&wanted, &self.value(entry)?, 0, span)? {
                    return Ok(true);
                }
            }
            return Ok(false);
        }
        let list = self.value(within)?;
        if let Some(entries) = Sequence::of(&list) {
            for index in 0..entries.len() {
                self.spend(1, span)?;
                if self.equal(&wanted, &entries.at(index), 0, span)? {
                    return Ok(true);
                }
            }
            return Ok(false);
        }
        match (&list, &wanted) {
            (Value::Map(entries), Value::String(key)) => Ok(entries.get(key).is_some()),
            (Value::Json(serde_json::Value::Object(entries)), Value::String(key)) => Ok(entries.contains_key(&**key)),
            (Value::Map(_) | Value::Json(_), other) => {
                self.wrong_type(item, other, "the keys of an object are strings")
            }
            (other, _) => self.wrong_type(within, other, "`in` needs a list or an object on its right"),
        }
    }
}

/// A list from wherever it came.
pub(super) enum Sequence<'v> {
    Values(&'v [Value<'v>]),
    Json(&'v [serde_json::Value]),
}

impl<'v> Sequence<'v> {
    pub(super) fn of(value: &'v Value<'v>) -> Option<Self> {
        match value {
            Value::List(entries) => Some(Self::Values(entries)),
            Value::Json(serde_json::Value::Array(entries)) => Some(Self::Json(entries)),
            _ => None,
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Values(entries) => entries.len(),
            Self::Json(entries) => entries.len(),
        }
    }

    fn at(&self, index: usize) -> Value<'v> {
        match self {
            Self::Values(entries) => entries.get(index).map_or(Value::Null, Value::borrowed),
            Self::Json(entries) => entries.get(index).map_or(Value::Null, Value::of_json),
        }
    }
}

fn is_number(value: &Value<'_>) -> bool {
    matches!(value, Value::Int(_) | Value::Double(_))
}

#[expect(clippy::cast_precision_loss, reason = "what a conversion to double is")]
fn as_double(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Int(value) => Some(*value as f64),
        Value::Double(value) => Some(*value),
        _ => None,
    }
}

/// The order of two numbers by what they stand for, not by what one of them is rounded to.
fn order_of_numbers(a: &Value<'_>, b: &Value<'_>) -> Option<Ordering> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Double(a), Value::Double(b)) => a.partial_cmp(b),
        (Value::Int(a), Value::Double(b)) => order_of_mixed(*a, *b),
        (Value::Double(a), Value::Int(b)) => order_of_mixed(*b, *a).map(Ordering::reverse),
        _ => None,
    }
}

fn order_of_mixed(a: i64, b: f64) -> Option<Ordering> {
    /// 2^63, the first whole number above every `i64`.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if b.is_nan() {
        None
    } else if b >= BEYOND {
        Some(Ordering::Less)
    } else if b < -BEYOND {
        Some(Ordering::Greater)
    } else {
        #[expect(clippy::cast_possible_truncation, reason = "its whole part is within the range")]
        let whole = b.trunc() as i64;
        Some(a.cmp(&whole).then_with(|| 0.0_f64.total_cmp(&(b.fract() + 0.0))))
    }
}
