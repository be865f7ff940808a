//! `all`, `exists` and `filter`.

use std::borrow::Cow;

use super::Scope;
use crate::error::{Eval, EvalErrorKind, Failure, Span, fail};
use crate::limits::LIST_ITEMS_MAX;
use crate::node::{Loop, LoopKind, NodeKind, Path, Root};
use crate::value::{Items, Value};

/// The entry that a loop looks at.
pub(super) struct Local<'x> {
    pub(super) value: Value<'x>,
    /// Its place in the list; keys of a map have none.
    pub(super) index: Option<usize>,
    /// How the list is named, if it is.
    pub(super) source: Option<&'x Path>,
    /// The entry that the next loop further out looks at.
    pub(super) outer: Option<&'x Local<'x>>,
}

impl<'x> Scope<'x> {
    pub(super) fn local(self, outward: usize) -> Option<&'x Local<'x>> {
        let mut local = self.local;
        for _ in 0..outward {
            local = local.and_then(|local| local.outer);
        }
        local
    }

    pub(super) fn each(self, each: &'x Loop, span: Span) -> Eval<Value<'x>> {
        let source = match &each.source.kind {
            NodeKind::Path(path) if !matches!(path.root, Root::Computed(_)) => Some(&**path),
            _ => None,
        };
        let list = self.value(&each.source)?;
        let has_places = matches!(list, Value::List(_) | Value::Json(serde_json::Value::Array(_)));
        let entries = match entries(list) {
            Ok(entries) => entries,
            Err(other) => {
                return self.wrong_type(
                    &each.source,
                    &other,
                    &format!("{} needs a list or an object", each.kind.name()),
                );
            }
        };
        let locals = entries.enumerate().map(|(index, value)| Local {
            value,
            index: has_places.then_some(index),
            source,
            outer: self.local,
        });
        match each.kind {
            LoopKind::All => self.quantified(false, each, locals),
            LoopKind::Exists => self.quantified(true, each, locals),
            LoopKind::Filter => self.filtered(each, locals, span),
        }
    }

    /// `all` is decided by the first entry for which the condition is `false`, `exists` by the first
    /// for which it is `true`. If none decides, the first error counts.
    fn quantified(self, decisive: bool, each: &'x Loop, locals: impl Iterator<Item = Local<'x>>) -> Eval<Value<'x>> {
        let mut first_failure: Option<(Local<'x>, Box<Failure>)> = None;
        for local in locals {
            match self.condition(each, &local) {
                Ok(value) if value == decisive => {
                    self.note_entry(each, &local);
                    return Ok(Value::Bool(decisive));
                }
                Ok(_) => {}
                Err(failure) if failure.kind == EvalErrorKind::Limit => return Err(failure),
                Err(failure) => {
                    first_failure.get_or_insert((local, failure));
                }
            }
        }
        match first_failure {
            None => Ok(Value::Bool(!decisive)),
            Some((local, failure)) => {
                self.note_entry(each, &local);
                Err(failure)
            }
        }
    }

    fn filtered(self, each: &'x Loop, locals: impl Iterator<Item = Local<'x>>, span: Span) -> Eval<Value<'x>> {
        let mut kept = Vec::new();
        for local in locals {
            match self.condition(each, &local) {
                Ok(false) => {}
                Ok(true) if kept.len() == LIST_ITEMS_MAX => {
                    let message = format!("filter() keeps more than {LIST_ITEMS_MAX} entries: expected fewer");
                    return fail(EvalErrorKind::Limit, span, message);
                }
                Ok(true) => kept.push(local.value),
                Err(failure) => {
                    self.note_entry(each, &local);
                    return Err(failure);
                }
            }
        }
        Ok(Value::List(Items::Owned(kept)))
    }

    fn condition(self, each: &Loop, local: &Local<'_>) -> Eval<bool> {
        let within = Scope { whole: self.whole, local: Some(local), notes_locals: false };
        within.bool(&each.condition, each.kind.name())
    }

    /// Notes what was seen of the entry that decided, by looking at it once more. This costs no
    /// steps: each loop does so once, within what is left of them.
    fn note_entry(self, each: &Loop, local: &Local<'_>) {
        if !self.notes_locals {
            return;
        }
        let left = self.whole.steps_left.get();
        let within = Scope { whole: self.whole, local: Some(local), notes_locals: true };
        // Its answer is known already.
        let _known = within.bool(&each.condition, each.kind.name());
        self.whole.steps_left.set(left);
    }
}

/// What a loop goes through: the entries of a list, the keys of a map; anything else is given back.
fn entries<'x>(list: Value<'x>) -> Result<Box<dyn Iterator<Item = Value<'x>> + 'x>, Value<'x>> {
    match list {
        Value::List(Items::Borrowed(entries)) => Ok(Box::new(entries.iter().map(Value::borrowed))),
        Value::List(Items::Owned(entries)) => Ok(Box::new(entries.into_iter().map(Value::normal))),
        Value::Map(entries) => Ok(Box::new(entries.keys().map(Value::String))),
        Value::Json(serde_json::Value::Array(entries)) => Ok(Box::new(entries.iter().map(Value::of_json))),
        Value::Json(serde_json::Value::Object(entries)) => {
            Ok(Box::new(entries.keys().map(|key| Value::String(Cow::Borrowed(key)))))
        }
        other => Err(other),
    }
}
