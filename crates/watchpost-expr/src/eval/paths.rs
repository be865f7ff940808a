//! Reads values step by step, and notes what was seen.

use std::borrow::Cow;

use super::Scope;
use crate::error::{Eval, EvalErrorKind, fail};
use crate::node::{Path, Root, Step, StepKind};
use crate::seen::rendered;
use crate::text::quoted;
use crate::value::{Items, Value};

impl<'x> Scope<'x> {
    /// The value at the end of a path, which is noted as seen.
    pub(super) fn read(self, path: &'x Path) -> Eval<Value<'x>> {
        let value = self.follow(path)?;
        self.note(path, path.text.len(), |path| rendered(path, &value, self.whole.redact));
        Ok(value)
    }

    /// Whether there is a value at the end of a path.
    pub(super) fn has(self, path: &'x Path) -> Eval<bool> {
        match self.follow(path) {
            Ok(_) => {
                self.note(path, path.text.len(), |_| "present".to_owned());
                Ok(true)
            }
            Err(failure) => match failure.kind {
                EvalErrorKind::Absent | EvalErrorKind::Type => Ok(false),
                EvalErrorKind::Number | EvalErrorKind::Limit => Err(failure),
            },
        }
    }

    fn follow(self, path: &'x Path) -> Eval<Value<'x>> {
        let mut value = match &path.root {
            Root::Variable { name, absent } => match self.whole.values.get(name) {
                Some(value) => value.normal(),
                None => return self.absent(path, path.root_end, absent),
            },
            Root::Local { outward } => match self.local(*outward) {
                Some(local) => local.value.borrowed(),
                None => return self.absent(path, path.root_end, ""),
            },
            Root::Computed(node) => self.value(node)?,
        };
        let mut reached = path.root_end;
        for step in &path.steps {
            self.spend(1, path.span)?;
            value = self.step(value, step, path, reached)?;
            reached = step.end;
        }
        Ok(value)
    }

    fn step(self, value: Value<'x>, step: &'x Step, path: &'x Path, reached: usize) -> Eval<Value<'x>> {
        let found = match (&step.kind, value) {
            (StepKind::Field { name, absent }, Value::Record(fields)) => match fields.get(name) {
                Some(value) => Some(value.normal()),
                None => return self.absent(path, step.end, absent),
            },
            (StepKind::Field { .. }, other) => return self.not_reached(path, reached, &other, "a record"),
            (StepKind::Key(key), value) => self.by_key(value, key, path, reached)?,
            (StepKind::Index(index), value) => match self.value(index)? {
                Value::String(key) => self.by_key(value, &key, path, reached)?,
                Value::Int(index) => self.by_index(value, index, path, reached)?,
                other => return self.wrong_type(index, &other, "what is in [] must be an int or a string"),
            },
        };
        match found {
            Some(value) => Ok(value),
            None => self.absent(path, step.end, ""),
        }
    }

    fn by_key(self, value: Value<'x>, key: &str, path: &Path, reached: usize) -> Eval<Option<Value<'x>>> {
        match value {
            Value::Map(entries) => Ok(entries.get(key).map(Value::normal)),
            Value::Json(serde_json::Value::Object(entries)) => Ok(entries.get(key).map(Value::of_json)),
            other => self.not_reached(path, reached, &other, "an object"),
        }
    }

    fn by_index(self, value: Value<'x>, index: i64, path: &Path, reached: usize) -> Eval<Option<Value<'x>>> {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        match value {
            Value::List(Items::Borrowed(entries)) => Ok(entries.get(index).map(Value::borrowed)),
            Value::List(Items::Owned(entries)) => Ok(entries.into_iter().nth(index).map(Value::normal)),
            Value::Json(serde_json::Value::Array(entries)) => Ok(entries.get(index).map(Value::of_json)),
            other => self.not_reached(path, reached, &other, "a list"),
        }
    }

    /// Says what is missing: the path up to `end`.
    fn absent<T>(self, path: &Path, end: usize, reason: &str) -> Eval<T> {
        self.note(path, end, |_| "absent".to_owned());
        let whole = self.label(path, path.text.len());
        let message = match reason {
            "" => format!("{whole}: the answer has no {}", self.label(path, end)),
            reason => format!("{whole}: {reason}"),
        };
        fail(EvalErrorKind::Absent, path.span, message)
    }

    /// Says that the path leads on from something that has no inside, or another one.
    fn not_reached<T>(self, path: &Path, reached: usize, found: &Value<'_>, expected: &str) -> Eval<T> {
        self.note(path, reached, |path| rendered(path, found, self.whole.redact));
        let (whole, part) = (self.label(path, path.text.len()), self.label(path, reached));
        let message = format!("{whole}: {} is {}, expected {expected}", quoted(&part), found.kind());
        fail(EvalErrorKind::Type, path.span, message)
    }

    /// Notes what was seen at the path up to `end`, if nothing was yet and there is room.
    fn note(self, path: &Path, end: usize, shown: impl FnOnce(&str) -> String) {
        let label = match path.root {
            Root::Computed(_) => return,
            Root::Local { .. } if !self.notes_locals => return,
            Root::Local { .. } => self.label(path, end),
            Root::Variable { .. } => Cow::Borrowed(path.text.get(..end).unwrap_or_default()),
        };
        let lacks = self.whole.seen.borrow().lacks(&label);
        if lacks {
            let shown = shown(&label);
            self.whole.seen.borrow_mut().add(label.into_owned(), shown);
        }
    }

    /// What reports call the path up to `end`: the variable of a loop is replaced by the entry that
    /// it stands for, where that has a name.
    fn label(self, path: &'_ Path, end: usize) -> Cow<'_, str> {
        let text = path.text.get(..end).unwrap_or_default();
        let Root::Local { outward } = path.root else { return Cow::Borrowed(text) };
        let Some(local) = self.local(outward) else { return Cow::Borrowed(text) };
        match (local.source, local.index) {
            (Some(source), Some(index)) => {
                let around = Scope { local: local.outer, ..self };
                let list = around.label(source, source.text.len());
                Cow::Owned(format!("{list}[{index}]{}", text.get(path.root_end..).unwrap_or_default()))
            }
            _ => Cow::Borrowed(text),
        }
    }
}
