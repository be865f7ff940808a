//! The targets that a source found.

use std::collections::HashMap;

use uuid::Uuid;

use super::labels::Labels;
use crate::target::HostPort;

/// The most targets of one source.
pub const TARGETS_MAX: usize = 10_000;
/// How much of what a source gave as an address is kept, in characters.
const ADDRESS_CHARS_MAX: usize = 100;

/// One target that a source found: an address, labels, or why it cannot be checked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FoundTarget {
    /// The address as the source gave it, shortened.
    given: String,
    address: Result<HostPort, String>,
    labels: Labels,
}

impl FoundTarget {
    /// The target at `address`, which is to be `host:port`.
    pub fn new(address: &str, labels: impl IntoIterator<Item = (String, String)>) -> Self {
        let given = crate::shorten(address, ADDRESS_CHARS_MAX).into_owned();
        let (labels, fault) = match Labels::new(labels) {
            Ok(labels) => (labels, None),
            Err(fault) => (Labels::default(), Some(fault)),
        };
        let address = match (fault, crate::template::is_template(address)) {
            (Some(fault), _) => Err(fault),
            (None, true) => Err(format!("`{given}` is not host:port: expected an address, not a template")),
            // A program would take it for an option.
            (None, false) if address.starts_with('-') => Err(format!("`{given}` is not host:port: it begins with `-`")),
            (None, false) => address.parse().map_err(|e: crate::Invalid| e.to_string()),
        };
        Self { given, address, labels }
    }

    /// Where it is; `None` where the source gave no such thing.
    pub fn address(&self) -> Option<&HostPort> {
        self.address.as_ref().ok()
    }

    /// Why it cannot be checked.
    pub fn fault(&self) -> Option<&str> {
        self.address.as_ref().err().map(String::as_str)
    }

    /// What the source says of it.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    fn base_name(&self) -> String {
        self.address().map_or_else(|| self.given.clone(), HostPort::to_string)
    }
}

/// What a source found at one moment: each target once, with a name that no other one has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundTargets {
    named: Vec<(String, FoundTarget)>,
    repeated: usize,
}

impl FoundTargets {
    /// Takes what a source found. A target that is there twice, with the same labels, counts once. Those that
    /// have the same address and other labels are told apart by a digest of these after their name.
    pub fn new(found: Vec<FoundTarget>) -> Self {
        let given = found.len();
        let mut seen = std::collections::HashSet::with_capacity(given);
        let each: Vec<FoundTarget> = found.into_iter().filter(|target| seen.insert(target.clone())).collect();
        let mut addresses: HashMap<String, usize> = HashMap::with_capacity(each.len());
        for target in &each {
            *addresses.entry(target.base_name()).or_default() += 1;
        }
        let name = |target: FoundTarget| {
            let base = target.base_name();
            match addresses.get(&base) {
                Some(1) => (base, target),
                _ => (format!("{base}#{}", digest(&target)), target),
            }
        };
        let repeated = given - each.len();
        Self { named: each.into_iter().map(name).collect(), repeated }
    }

    /// Each target with its name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &FoundTarget)> {
        self.named.iter().map(|(name, target)| (name.as_str(), target))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.named.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    /// How many were there more than once.
    pub fn repeated(&self) -> usize {
        self.repeated
    }
}

/// The root of the digests of labels. Drawn once at random; never to be changed, since names of endpoints depend on it.
const DIGESTS: Uuid = Uuid::from_u128(0x3f1b_0c62_8d0e_4b7e_9a35_70f4_5be1_c2d8);

/// 48 bits of labels: ten thousand targets of one address share one with a probability below 1 in 5 million.
fn digest(target: &FoundTarget) -> String {
    let mut bytes = Vec::new();
    for (name, value) in target.labels.iter() {
        for part in [name, value] {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
    }
    bytes.extend_from_slice(target.fault().unwrap_or_default().as_bytes());
    let mut hex = Uuid::new_v5(&DIGESTS, &bytes).simple().to_string();
    hex.truncate(12);
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(address: &str, env: &str) -> FoundTarget {
        FoundTarget::new(address, [("env".to_owned(), env.to_owned())])
    }

    #[test]
    fn targets_of_one_address_are_told_apart_by_their_labels() {
        let found = FoundTargets::new(vec![
            target("a:1", "prod"),
            target("b:1", "prod"),
            target("a:1", "test"),
            target("b:1", "prod"),
            target("not an address", "prod"),
        ]);
        let names: Vec<&str> = found.iter().map(|(name, _)| name).collect();
        // Endpoints are known by these names: a change here breaks everybody who stored them.
        assert_eq!(names, ["a:1#2f19858c693b", "b:1", "a:1#5826318c87ae", "not an address"]);
        assert_eq!((found.len(), found.repeated()), (4, 1));
        assert!(found.iter().nth(3).unwrap().1.fault().unwrap().contains("is not host:port"));
    }

    #[test]
    fn what_cannot_be_checked_says_why() {
        for (address, told) in [
            ("", "is not host:port"),
            ("http://a/", "is not host:port"),
            ("a", "no port"),
            ("{{target.host}}:1", "not a template"),
            ("--help:1", "begins with `-`"),
        ] {
            let target = target(address, "x");
            assert!(target.fault().unwrap().contains(told), "{address}: {:?}", target.fault());
        }
        let long = FoundTarget::new("a:1", [("l".to_owned(), "x".repeat(5000))]);
        assert!(long.address().is_none() && long.fault().unwrap().contains("label `l` has 5000 bytes"));
    }
}
