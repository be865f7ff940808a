//! Rules as they are asked.

use std::net::IpAddr;

use watchpost_model::CheckType;

use crate::PolicyError;
use crate::dial::{Dial, Lookup, Purpose};
use crate::host::HostPattern;
use crate::network::NetworkSet;
use crate::rule::{MethodName, Ports, Rule};
use crate::special::Effect;

/// A rule whose networks are found quickly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Compiled {
    pub(super) effect: Effect,
    types: Option<Vec<CheckType>>,
    networks: Option<NetworkSet>,
    ports: Option<Vec<Ports>>,
    hosts: Option<Vec<HostPattern>>,
    methods: Option<Vec<MethodName>>,
    purposes: Option<Vec<Purpose>>,
}

/// Whether one key of a rule holds; `None` where the rule does not have it.
type Holds = fn(&Compiled, &Question<'_>) -> Option<Told<bool>>;

/// Something about what is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told<T> {
    /// It is this.
    This(T),
    /// It has none.
    None,
    /// It is not known yet.
    NotYet,
}

impl<T> Told<T> {
    pub(super) fn of(given: Option<T>) -> Self {
        given.map_or(Self::None, Self::This)
    }

    fn fits(self, matches: impl FnOnce(T) -> bool) -> Told<bool> {
        match self {
            Self::This(given) => Told::This(matches(given)),
            Self::None => Told::This(false),
            Self::NotYet => Told::NotYet,
        }
    }
}

impl Told<u16> {
    pub(super) fn of_port(port: u16) -> Self {
        Self::of(Some(port).filter(|port| *port != 0))
    }
}

/// What rules are asked about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) check_type: CheckType,
    pub(super) ip: Option<IpAddr>,
    pub(super) host: Told<&'a str>,
    pub(super) port: Told<u16>,
    pub(super) method: Told<&'a str>,
    pub(super) purpose: Option<Purpose>,
}

impl<'a> Question<'a> {
    /// About one of the addresses that a dial's address stands for.
    pub(super) fn of_dial(dial: &Dial<'a>, ip: IpAddr, plain: Option<&'a str>) -> Self {
        Self {
            check_type: dial.check_type,
            ip: Some(ip),
            host: Told::of(plain),
            port: Told::of_port(dial.address.port()),
            method: Told::of(dial.method),
            purpose: Some(dial.purpose),
        }
    }

    /// About a name whose address is not known.
    pub(super) fn of_name(lookup: &Lookup<'a>, plain: &'a str) -> Self {
        Self {
            check_type: lookup.check_type,
            ip: None,
            host: Told::This(plain),
            port: Told::of_port(lookup.port),
            method: Told::of(lookup.method),
            purpose: Some(lookup.purpose),
        }
    }

    /// About anything that a check of the type may do over the network.
    pub(super) fn of_type(check_type: CheckType, purpose: Option<Purpose>) -> Self {
        Self { check_type, ip: None, host: Told::NotYet, port: Told::NotYet, method: Told::NotYet, purpose }
    }

    /// About what has no address.
    pub(super) fn without_address(check_type: CheckType) -> Self {
        let purpose = Some(Purpose::Target);
        Self { check_type, ip: None, host: Told::None, port: Told::None, method: Told::None, purpose }
    }
}

/// Whether a rule fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    Yes,
    /// That depends on what is not known.
    Maybe,
    /// This key of it does not.
    No(&'static str),
}

impl Compiled {
    pub(super) fn of(rule: &Rule) -> Result<Self, PolicyError> {
        let (effect, matcher) = match (&rule.allow, &rule.deny) {
            (Some(matcher), None) => (Effect::Allow, matcher),
            (None, Some(matcher)) => (Effect::Deny, matcher),
            (None, None) => {
                return Err(PolicyError::new(format!(
                    "rule `{}` says nothing: expected `allow: {{…}}` or `deny: {{…}}`",
                    rule.name
                )));
            }
            (Some(_), Some(_)) => {
                return Err(PolicyError::new(format!(
                    "rule `{}` has both `allow` and `deny`: expected one, and a rule of its own for the other",
                    rule.name
                )));
            }
        };
        Ok(Self {
            effect,
            types: matcher.types.clone(),
            networks: matcher.networks.as_deref().map(NetworkSet::new),
            ports: matcher.ports.clone(),
            hosts: matcher.hosts.clone(),
            methods: matcher.methods.clone(),
            purposes: matcher.purposes.clone(),
        })
    }

    /// Each key, and whether it holds, if the rule has it.
    const KEYS: [(&'static str, Holds); 6] = [
        ("types", |rule, asked| {
            let types = rule.types.as_ref()?;
            Some(Told::This(types.contains(&asked.check_type)))
        }),
        ("purposes", |rule, asked| {
            let purposes = rule.purposes.as_ref()?;
            Some(asked.purpose.map_or(Told::NotYet, |purpose| Told::This(purposes.contains(&purpose))))
        }),
        ("ports", |rule, asked| {
            let ports = rule.ports.as_ref()?;
            Some(asked.port.fits(|port| ports.iter().any(|range| range.contain(port))))
        }),
        ("networks", |rule, asked| {
            let networks = rule.networks.as_ref()?;
            Some(asked.ip.map_or(Told::NotYet, |ip| Told::This(networks.contains(ip))))
        }),
        ("methods", |rule, asked| {
            let methods = rule.methods.as_ref()?;
            Some(asked.method.fits(|method| methods.iter().any(|known| known.is(method))))
        }),
        ("hosts", |rule, asked| {
            let hosts = rule.hosts.as_ref()?;
            Some(asked.host.fits(|host| hosts.iter().any(|pattern| pattern.matches(host))))
        }),
    ];

    /// Whether everything that the rule has holds.
    pub(super) fn fits(&self, question: &Question<'_>) -> Fit {
        let mut fit = Fit::Yes;
        // What is quick to find out first.
        for (key, holds) in Self::KEYS {
            match holds(self, question) {
                None | Some(Told::This(true)) => {}
                Some(Told::This(false) | Told::None) => return Fit::No(key),
                Some(Told::NotYet) => fit = Fit::Maybe,
            }
        }
        fit
    }
}
