//! What is permitted to write, and probably not meant.

use watchpost_model::CheckType;

use super::Policy;
use crate::rule::{Matcher, Rule};
use crate::special::Effect;

impl Policy {
    /// What its rules say that is probably not what is meant, a sentence each.
    pub fn oddities(&self) -> Vec<String> {
        let mut oddities = Vec::new();
        let mut takes_all: Option<&Rule> = None;
        for rule in &self.file.rules {
            if let Some(before) = takes_all {
                oddities
                    .push(format!("rule `{}` never decides: `{}` before it fits everything", rule.name, before.name));
            }
            let (effect, matcher) = match (&rule.allow, &rule.deny) {
                (Some(matcher), _) => (Effect::Allow, matcher),
                (_, Some(matcher)) => (Effect::Deny, matcher),
                (None, None) => continue,
            };
            if takes_all.is_none() && *matcher == Matcher::default() {
                takes_all = Some(rule);
            }
            oddities.extend(of_rule(rule, effect, matcher));
        }
        oddities
    }
}

fn of_rule(rule: &Rule, effect: Effect, matcher: &Matcher) -> Option<String> {
    let name = &rule.name;
    let only = |types: &[CheckType]| matcher.types.as_ref().is_some_and(|of| of.iter().all(|one| types.contains(one)));
    if effect == Effect::Allow && only(&[CheckType::Exec, CheckType::Unix, CheckType::Heartbeat]) {
        return Some(format!(
            "rule `{name}` allows nothing: programs and sockets in the file system are permitted by `exec` and `unix`"
        ));
    }
    if matcher.hosts.is_some() && matcher.networks.is_none() {
        return Some(match effect {
            Effect::Allow => format!(
                "rule `{name}` allows names and no `networks`: whoever answers for these names decides which addresses are reached"
            ),
            Effect::Deny => format!(
                "rule `{name}` denies names and no `networks`: a check that gives the address itself is not among them"
            ),
        });
    }
    let has_methods = [CheckType::Http, CheckType::Steps, CheckType::Grpc, CheckType::Websocket, CheckType::Dns];
    let without = |types: &Vec<CheckType>| types.iter().find(|one| !has_methods.contains(one)).copied();
    let without = matcher.types.as_ref().and_then(without).filter(|_| matcher.methods.is_some())?;
    Some(format!("rule `{name}` names methods, which a check of the type {without} does not have: it never fits one"))
}
