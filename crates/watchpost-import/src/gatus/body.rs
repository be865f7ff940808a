//! Conditions about the body of an answer by HTTP.

use super::condition::{Op, Operand, Step, regex_of};
use super::expect::{One, Said, alternatives, trimmed, within};
use super::json::expression;
use crate::out::{Out, one_or_many};
use crate::written::{literal, pattern};

impl One<'_> {
    pub(super) fn body(&mut self, path: &[Step], op: Op, right: &Operand) -> Said {
        if path.is_empty() {
            return self.whole_body(op, right);
        }
        let place = expression(path);
        let text = format!("string({place})");
        let same = |left: &str, right: &str| (format!("{left} == {right}"), format!("{left} != {right}"));
        let turned = |is: String| (is.clone(), format!("!({is})"));
        let (is, is_not) = match right {
            // What JSON has as a number or a truth value equals its text there.
            Operand::Value(value) if is_number(value) || matches!(value.as_str(), "true" | "false") => {
                same(&text, &literal(value))
            }
            Operand::Value(value) => same(&place, &literal(value)),
            Operand::Any(values) => {
                let list = values.iter().map(|value| literal(value)).collect::<Vec<_>>().join(", ");
                turned(format!("{text} in [{list}]"))
            }
            Operand::Pat(pat) => {
                let matches = format!("{text}.matches({})", pattern(&regex_of(pat)));
                (matches.clone(), format!("!{matches}"))
            }
            Operand::Body(other) => same(&place, &expression(other)),
            Operand::Context(name) => same(&text, &format!("captures.{}", name.replace('-', "_"))),
            _ => return Said::Not("this cannot be compared with a place in the body"),
        };
        match (op, right) {
            (Op::Eq, _) => self.that(is),
            (Op::Ne, _) => self.that(format!("!has({place}) || {is_not}")),
            (op, Operand::Value(value)) if is_number(value) => self.that(format!("{place} {} {value}", op.as_str())),
            (op, Operand::Body(other)) => self.that(format!("{place} {} {}", op.as_str(), expression(other))),
            _ => Said::Not("only numbers are less or greater"),
        }
    }

    fn whole_body(&mut self, op: Op, right: &Operand) -> Said {
        if let (Op::Eq, Operand::Pat(pat)) = (op, right)
            && let Some(inner) = within(pat)
        {
            return self.add_short("body_contains", inner);
        }
        let regex = match right {
            Operand::Value(value) => trimmed(&regex::escape(value)),
            Operand::Any(values) => trimmed(&alternatives(values)),
            Operand::Pat(pat) => regex_of(pat),
            _ => return Said::Not("this cannot be compared with the body"),
        };
        match (op, right) {
            (Op::Eq, _) => self.add_short("body_matches", &regex),
            (Op::Ne, _) => self.that(format!("!body.text.matches({})", pattern(&regex))),
            (op, Operand::Value(value)) if is_number(value) => {
                self.that(format!("double(body.text) {} {value}", op.as_str()))
            }
            _ => Said::Not("only numbers are less or greater"),
        }
    }

    /// Adds to a short form that is one text or a list of them.
    fn add_short(&mut self, key: &str, text: &str) -> Said {
        let mut all = match self.expected.expect.get(key) {
            Some(Out::List(list)) => list.clone(),
            Some(one) => vec![one.clone()],
            None => Vec::new(),
        };
        all.push(text.into());
        self.expected.expect.set(key, one_or_many(all));
        Said::Done
    }

    pub(super) fn length(&mut self, path: &[Step], op: Op, right: &Operand) -> Said {
        let Operand::Value(value) = right else { return Said::Not("expected a number") };
        let Ok(number) = value.parse::<u64>() else { return Said::Not("expected a number") };
        let op = op.as_str();
        if path.is_empty() {
            return self
                .that(format!("has(body.json) ? body.json.size() {op} {number} : body.text.size() {op} {number}"));
        }
        self.that(format!("{}.size() {op} {number}", expression(path)))
    }

    pub(super) fn has(&mut self, path: &[Step], op: Op, right: &Operand) -> Said {
        let wanted = match (op, right) {
            (Op::Eq, Operand::Value(value)) => value == "true",
            (Op::Ne, Operand::Value(value)) => value == "false",
            _ => return Said::Not("expected `true` or `false`"),
        };
        let path = expression(path);
        self.that(if wanted { format!("has({path})") } else { format!("!has({path})") })
    }
}

fn is_number(value: &str) -> bool {
    value.parse::<f64>().is_ok_and(f64::is_finite) && value.bytes().all(|b| b.is_ascii_digit() || b"-.".contains(&b))
}
