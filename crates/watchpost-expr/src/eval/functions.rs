//! What the functions do.

use std::borrow::Cow;

use regex::Regex;

use super::Scope;
use super::operators::Sequence;
use crate::error::{Eval, EvalErrorKind, Span, fail};
use crate::functions::Function;
use crate::limits::{MATCH_BYTES_PER_STEP, TEXT_BYTES_MAX};
use crate::node::Node;
use crate::value::Value;

impl<'x> Scope<'x> {
    pub(super) fn call(
        self,
        function: Function,
        operand: &'x Node,
        argument: Option<&'x Node>,
        span: Span,
    ) -> Eval<Value<'x>> {
        match function {
            Function::Size => self.size(operand, span),
            Function::Contains => self.search(function, operand, argument, span, |text, part| text.contains(part)),
            Function::StartsWith => self.search(function, operand, argument, span, |text, part| text.starts_with(part)),
            Function::EndsWith => self.search(function, operand, argument, span, |text, part| text.ends_with(part)),
            Function::LowerAscii => self.lower(operand, span),
            Function::Int => self.to_int(operand, span),
            Function::Double => self.to_double(operand, span),
            Function::String => self.to_text(operand),
        }
    }

    fn size(self, operand: &'x Node, span: Span) -> Eval<Value<'x>> {
        let value = self.value(operand)?;
        let size = match &value {
            Value::String(text) => {
                self.spend_text(text.len(), span)?;
                text.chars().count()
            }
            Value::Map(entries) => entries.len(),
            Value::Json(serde_json::Value::Object(entries)) => entries.len(),
            other => match Sequence::of(other) {
                Some(entries) => entries.len(),
                None => return self.wrong_type(operand, other, "size() needs a string, a list or an object"),
            },
        };
        Ok(Value::Int(i64::try_from(size).unwrap_or(i64::MAX)))
    }

    fn search(
        self,
        function: Function,
        operand: &'x Node,
        argument: Option<&'x Node>,
        span: Span,
        found: impl FnOnce(&str, &str) -> bool,
    ) -> Eval<Value<'x>> {
        let text = self.text(operand, function.name())?;
        let part = match argument {
            Some(argument) => self.text(argument, function.name())?,
            None => Cow::Borrowed(""),
        };
        self.spend_text(text.len() + part.len(), span)?;
        Ok(Value::Bool(found(&text, &part)))
    }

    pub(super) fn matches(self, text: &'x Node, pattern: &Regex, span: Span) -> Eval<bool> {
        let text = self.text(text, "matches")?;
        self.spend(text.len() / MATCH_BYTES_PER_STEP, span)?;
        Ok(pattern.is_match(&text))
    }

    fn lower(self, operand: &'x Node, span: Span) -> Eval<Value<'x>> {
        let text = self.text(operand, "lowerAscii")?;
        if !text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            self.spend_text(text.len(), span)?;
            return Ok(Value::String(text));
        }
        if text.len() > TEXT_BYTES_MAX {
            let message =
                format!("lowerAscii() makes a text of {} bytes: expected at most {TEXT_BYTES_MAX}", text.len());
            return fail(EvalErrorKind::Limit, span, message);
        }
        self.spend_text(text.len(), span)?;
        Ok(Value::String(Cow::Owned(text.to_ascii_lowercase())))
    }

    fn to_int(self, operand: &'x Node, span: Span) -> Eval<Value<'x>> {
        /// 2^63, the first whole number above every `i64`.
        const BEYOND: f64 = 9_223_372_036_854_775_808.0;
        let value = self.value(operand)?;
        let converted = match &value {
            Value::Int(value) => Some(*value),
            #[expect(clippy::cast_possible_truncation, reason = "its whole part is within the range")]
            Value::Double(value) => (-BEYOND..BEYOND).contains(value).then_some(*value as i64),
            Value::String(text) => text.parse().ok(),
            other => return self.wrong_type(operand, other, "int() needs a number or a string"),
        };
        self.convert(converted.map(Value::Int), operand, "a whole number of 64 bits", span)
    }

    fn to_double(self, operand: &'x Node, span: Span) -> Eval<Value<'x>> {
        let value = self.value(operand)?;
        let converted = match &value {
            #[expect(clippy::cast_precision_loss, reason = "what a conversion to double is")]
            Value::Int(value) => Some(*value as f64),
            Value::Double(value) => Some(*value),
            Value::String(text) => text.parse().ok().filter(|value: &f64| value.is_finite()),
            other => return self.wrong_type(operand, other, "double() needs a number or a string"),
        };
        self.convert(converted.map(Value::Double), operand, "a number", span)
    }

    fn convert(self, value: Option<Value<'x>>, operand: &Node, what: &str, span: Span) -> Eval<Value<'x>> {
        match value {
            Some(value) => Ok(value),
            None => fail(EvalErrorKind::Number, span, format!("{} is not {what}", self.quoted(operand))),
        }
    }

    fn to_text(self, operand: &'x Node) -> Eval<Value<'x>> {
        let text = match self.value(operand)? {
            Value::String(text) => text,
            Value::Bool(value) => Cow::Borrowed(if value { "true" } else { "false" }),
            Value::Int(value) => Cow::Owned(value.to_string()),
            Value::Double(value) => Cow::Owned(value.to_string()),
            other => return self.wrong_type(operand, &other, "string() needs a bool, a number or a string"),
        };
        Ok(Value::String(text))
    }
}
