//! Conditions as expectations of our checks.

use watchpost_model::{CheckType, shorten};

use super::condition::{Condition, Op, Operand, regex_of};
use super::http::any_status;
use crate::duration;
use crate::keys::Keys;
use crate::notes::{Notes, Place};
use crate::out::{Fields, Out, one_or_many};
use crate::written::{literal, pattern};

/// What conditions come to.
#[derive(Debug, Default)]
pub(super) struct Expected {
    /// The short forms.
    pub(super) expect: Fields,
    pub(super) that: Vec<(Place, Out)>,
    /// What the type's own settings expect: a pattern for what the peer says.
    pub(super) answer: Option<String>,
    /// Of DNS: what the records and the code must be.
    pub(super) dns: Fields,
}

/// What is said of one condition.
pub(super) enum Said {
    /// It is among the expectations.
    Done,
    /// It cannot be said here, and why.
    Not(&'static str),
    /// Nor can anything else: the check would mean the opposite.
    Opposite,
}

const NO_SUCH: &str = "this check knows nothing of the kind";

/// Reads `conditions`. `None` where the check would mean the opposite of what it means there.
pub(super) fn read(keys: &Keys<'_>, check_type: CheckType, encrypted: bool, notes: &mut Notes) -> Option<Expected> {
    let mut expected = Expected::default();
    for (place, text) in keys.texts("conditions", notes) {
        let said = match Condition::parse(&text) {
            Some(condition) => {
                let mut one = One { check_type, encrypted, place: &place, expected: &mut expected };
                one.condition(&condition)
            }
            None => Said::Not("it is no condition that is known here"),
        };
        match said {
            Said::Done => {}
            Said::Not(why) => notes.not_translated(&place, format!("`{}`: {why}", shorten(&text, 120))),
            Said::Opposite => {
                let why = "it wants the target not to answer, and checks pass where it does: there is no check for it";
                notes.not_translated(&place, why);
                return None;
            }
        }
    }
    if check_type == CheckType::Http {
        any_status(&mut expected.expect);
    }
    if check_type == CheckType::Dns && !expected.dns.has("answers") {
        // There, an answer need not have a record.
        let mut none_needed = Fields::default();
        none_needed.set("min_count", 0_u64);
        expected.dns.set("answers", none_needed);
    }
    Some(expected)
}

pub(super) struct One<'a> {
    check_type: CheckType,
    encrypted: bool,
    place: &'a Place,
    pub(super) expected: &'a mut Expected,
}

impl One<'_> {
    fn condition(&mut self, condition: &Condition) -> Said {
        let Condition { left, op, right } = condition;
        match left {
            Operand::Connected => match (op, right) {
                (Op::Eq, Operand::Value(value)) if value == "true" => Said::Done,
                (Op::Ne, Operand::Value(value)) if value == "false" => Said::Done,
                _ => Said::Opposite,
            },
            Operand::Status => self.status(*op, right),
            Operand::ResponseTime => self.response_time(*op, right),
            Operand::Ip => self.ip(*op, right),
            Operand::CertificateExpiration => self.certificate(*op, right),
            Operand::DnsRcode => self.rcode(*op, right),
            Operand::DomainExpiration => {
                Said::Not("checks do not ask who registered a domain: let a program do so, by an `exec` check")
            }
            Operand::Body(path) => match self.check_type {
                CheckType::Http => self.body(path, *op, right),
                CheckType::Dns if path.is_empty() => self.records(*op, right),
                CheckType::Grpc if path.is_empty() && *op == Op::Eq && *right == Operand::Value("SERVING".into()) => {
                    Said::Done
                }
                CheckType::Tcp | CheckType::Udp | CheckType::Websocket if path.is_empty() => self.answer(*op, right),
                _ => Said::Not(NO_SUCH),
            },
            Operand::Len(path) if self.check_type == CheckType::Http => self.length(path, *op, right),
            Operand::Has(path) if self.check_type == CheckType::Http => self.has(path, *op, right),
            _ => Said::Not(NO_SUCH),
        }
    }

    pub(super) fn that(&mut self, expression: impl Into<Out>) -> Said {
        self.expected.that.push((self.place.clone(), expression.into()));
        Said::Done
    }

    fn status(&mut self, op: Op, right: &Operand) -> Said {
        if self.check_type != CheckType::Http {
            return Said::Not(NO_SUCH);
        }
        let number = |value: &str| value.parse::<u64>().ok().filter(|status| (100..=999).contains(status));
        let range = match (op, right) {
            (Op::Eq, Operand::Value(value)) => number(value).map(Out::from),
            (Op::Eq, Operand::Any(values)) => {
                let values: Option<Vec<Out>> = values.iter().map(|value| number(value).map(Out::from)).collect();
                values.map(one_or_many)
            }
            (Op::Lt, Operand::Value(value)) => {
                number(value).filter(|n| *n > 100).map(|n| format!("100-{}", n - 1).into())
            }
            (Op::Le, Operand::Value(value)) => number(value).map(|n| format!("100-{n}").into()),
            (Op::Gt, Operand::Value(value)) => {
                number(value).filter(|n| *n < 999).map(|n| format!("{}-999", n + 1).into())
            }
            (Op::Ge, Operand::Value(value)) => number(value).map(|n| format!("{n}-999").into()),
            _ => None,
        };
        match (range, right) {
            (Some(range), _) if !self.expected.expect.has("status") => {
                self.expected.expect.set("status", range);
                Said::Done
            }
            (_, Operand::Value(value)) => match number(value) {
                Some(number) => self.that(format!("status {} {number}", op.as_str())),
                None => Said::Not("expected a status from 100 to 999"),
            },
            (_, Operand::Any(values)) => {
                let list = values.iter().filter_map(|value| number(value)).map(|n| n.to_string()).collect::<Vec<_>>();
                let count = list.len();
                let list = list.join(", ");
                match (count == values.len(), op) {
                    (true, Op::Eq) => self.that(format!("status in [{list}]")),
                    (true, Op::Ne) => self.that(format!("!(status in [{list}])")),
                    _ => Said::Not("expected a list of statuses"),
                }
            }
            (_, Operand::Pat(pat)) if matches!(op, Op::Eq | Op::Ne) => {
                let no = if op == Op::Ne { "!" } else { "" };
                self.that(format!("{no}string(status).matches({})", pattern(&regex_of(pat))))
            }
            _ => Said::Not("expected a status"),
        }
    }

    fn response_time(&mut self, op: Op, right: &Operand) -> Said {
        let Operand::Value(value) = right else { return Said::Not("expected a number of milliseconds") };
        let given =
            value.parse::<f64>().ok().and_then(|ms| duration::seconds(ms / 1e3)).or_else(|| duration::parse(value));
        let Some(given) = given else { return Said::Not("expected a number of milliseconds") };
        let short = matches!(op, Op::Lt | Op::Le) && !given.is_zero() && !self.expected.expect.has("max_latency");
        if short {
            self.expected.expect.set("max_latency", duration::shown(given));
            return Said::Done;
        }
        self.that(format!("phases.total_ms {} {}", op.as_str(), given.as_millis()))
    }

    fn ip(&mut self, op: Op, right: &Operand) -> Said {
        let addresses = match right {
            Operand::Value(value) => vec![value.clone()],
            Operand::Any(values) => values.clone(),
            _ => return Said::Not("expected addresses"),
        };
        let is = |address: &String| {
            let shown = if address.contains(':') { format!("[{address}]:") } else { format!("{address}:") };
            format!("address.startsWith({})", literal(&shown))
        };
        let any = addresses.iter().map(is).collect::<Vec<_>>().join(" || ");
        match op {
            Op::Eq => self.that(any),
            Op::Ne => self.that(format!("!({any})")),
            _ => Said::Not("addresses are the same or they are not"),
        }
    }

    fn certificate(&mut self, op: Op, right: &Operand) -> Said {
        let Operand::Value(value) = right else { return Said::Not("expected a duration") };
        let Some(left) = duration::parse(value) else { return Said::Not("expected a duration such as `48h`") };
        if !self.encrypted {
            return Said::Not("there is no certificate: the target is not reached by TLS");
        }
        let days = left.as_secs_f64() / 86_400.0;
        let whole = days.fract() == 0.0 && (1.0..=10_000.0).contains(&days);
        if matches!(op, Op::Gt | Op::Ge) && whole && !self.expected.expect.has("cert_days") {
            self.expected.expect.set("cert_days", left.as_secs() / 86_400);
            return Said::Done;
        }
        self.that(format!("tls.days_left {} {days}", op.as_str()))
    }

    fn rcode(&mut self, op: Op, right: &Operand) -> Said {
        if self.check_type != CheckType::Dns {
            return Said::Not(NO_SUCH);
        }
        let codes = match (op, right) {
            (Op::Eq, Operand::Value(value)) => vec![value],
            (Op::Eq, Operand::Any(values)) => values.iter().collect(),
            _ => return Said::Not("expected the codes that are good"),
        };
        let codes = codes.into_iter().map(|code| code.to_ascii_lowercase().into()).collect();
        self.expected.dns.set("rcode", one_or_many(codes));
        Said::Done
    }

    /// What the records of an answer must be: `[BODY]` is one of them there.
    fn records(&mut self, op: Op, right: &Operand) -> Said {
        let regex = match right {
            Operand::Value(value) => format!("^{}$", regex::escape(value)),
            Operand::Any(values) => any_of(values),
            Operand::Pat(pat) => regex_of(pat),
            _ => return Said::Not("expected what a record says"),
        };
        match (op, right) {
            (Op::Eq, Operand::Value(value)) if !self.expected.dns.has("answers") => {
                let mut answers = Fields::default();
                answers.set("contains", value.as_str());
                self.expected.dns.set("answers", answers);
                Said::Done
            }
            (Op::Eq, _) if !self.expected.dns.has("answers") => {
                let mut answers = Fields::default();
                answers.set("matches", regex);
                self.expected.dns.set("answers", answers);
                Said::Done
            }
            (Op::Eq, _) => self.that(format!("records.exists(r, r.matches({}))", pattern(&regex))),
            (Op::Ne, _) => self.that(format!("!records.exists(r, r.matches({}))", pattern(&regex))),
            _ => Said::Not("records are the same or they are not"),
        }
    }

    /// What a peer must say: `[BODY]` there.
    fn answer(&mut self, op: Op, right: &Operand) -> Said {
        let regex = match (op, right) {
            (Op::Eq, Operand::Value(value)) => trimmed(&regex::escape(value)),
            (Op::Eq, Operand::Any(values)) => trimmed(&alternatives(values)),
            (Op::Eq, Operand::Pat(pat)) => within(pat).map_or_else(|| regex_of(pat), regex::escape),
            _ => return Said::Not("what a peer says can be expected by a pattern only: write it as `expect`"),
        };
        match &self.expected.answer {
            None => {
                self.expected.answer = Some(regex);
                Said::Done
            }
            Some(_) => Said::Not("one pattern for what the peer says is there already: make one of both"),
        }
    }
}

/// What stands between two `*`, where there is no other pattern in it.
pub(super) fn within(pat: &str) -> Option<&str> {
    let inner = pat.strip_prefix('*')?.strip_suffix('*')?;
    (!inner.is_empty() && !inner.contains(['*', '?', '[', '\\'])).then_some(inner)
}

pub(super) fn alternatives(values: &[String]) -> String {
    format!("(?:{})", values.iter().map(|value| regex::escape(value)).collect::<Vec<_>>().join("|"))
}

fn any_of(values: &[String]) -> String {
    format!("^{}$", alternatives(values))
}

/// There, white space around a body does not count.
pub(super) fn trimmed(regex: &str) -> String {
    format!(r"^\s*{regex}\s*$")
}
