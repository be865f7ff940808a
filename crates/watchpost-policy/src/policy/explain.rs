//! Why something is decided as it is.

use std::net::IpAddr;

use serde::Serialize;

use super::compiled::{Fit, Question};
use super::{By, Policy, words};
use crate::denied::Denied;
use crate::dial::Dial;
use crate::disguise::Faces;
use crate::host;
use crate::own::Own;
use crate::special::Effect;

/// How one address came to be allowed or denied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The address itself, or one that it stands for.
    pub ip: IpAddr,
    /// The rules before the one that decided, which did not fit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub passed_over: Vec<PassedOver>,
    /// What decided: a rule, `default`, or for example `special.loopback`.
    pub rule: String,
    /// What it decided.
    pub effect: Effect,
    /// The sentence that a refusal would say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denied: Option<Denied>,
}

/// A rule that did not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PassedOver {
    /// Its name.
    pub rule: String,
    /// The key of it that did not.
    pub key: &'static str,
}

impl Policy {
    /// What [`Policy::judge_dial`] looks at, one address after the other; that one is denied where any of these is.
    pub fn explain(&self, dial: &Dial<'_>, own: &Own) -> Vec<Explanation> {
        let explain = |ip| {
            let (effect, by) = self.decide(dial, ip, own);
            let before = match by {
                By::Special(_) => 0,
                By::Rule(i) => i,
                By::Default => self.rules.len(),
            };
            let plain = dial.host.map(host::plain);
            let question = Question::of_dial(dial, ip, plain.as_deref());
            let key = |fit| if let Fit::No(key) = fit { key } else { "" };
            let passed_over = self
                .rules
                .iter()
                .take(before)
                .enumerate()
                .map(|(i, rule)| PassedOver { rule: self.rule_name(By::Rule(i)), key: key(rule.fits(&question)) });
            Explanation {
                ip,
                passed_over: passed_over.collect(),
                rule: self.rule_name(by),
                effect,
                denied: (effect == Effect::Deny).then(|| words::dial(self, dial, ip, by)),
            }
        };
        Faces::of(dial.address.ip(), &self.file.nat64).iter().map(explain).collect()
    }
}
