//! The judgement against one that is written to be read and not to be quick: any policy, any address, in any disguise.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use proptest::prelude::*;
use watchpost_model::CheckType;
use watchpost_policy::{
    Dial, Effect, Faces, Lookup, Matcher, Network, Own, Policy, PolicyFile, Purpose, Rule, Special, Transport,
};

/// Few enough networks, names and ports that rules and dials often meet.
fn network() -> impl Strategy<Value = Network> {
    let v4 = (0..4_u8, 0..4_u8, 0..=32_u8).prop_map(|(a, d, len)| {
        let bits = u32::from(Ipv4Addr::new(10 + a, 0, 0, d));
        let mask = if len == 0 { 0 } else { u32::MAX << (32 - u32::from(len)) };
        format!("{}/{len}", Ipv4Addr::from(bits & mask))
    });
    let v6 = prop::sample::select(vec!["fd00::/8", "fd00::1", "64:ff9b::/96", "2002::/16", "::/0", "2001::/32"]);
    prop_oneof![3 => v4, 1 => v6.prop_map(str::to_owned)].prop_map(|text| text.parse().unwrap())
}

fn few<T: Clone + std::fmt::Debug + 'static>(from: &[T]) -> impl Strategy<Value = Option<Vec<T>>> + use<T> {
    prop::option::of(prop::sample::subsequence(from.to_vec(), 1..=from.len().min(2)))
}

fn matcher() -> impl Strategy<Value = Matcher> {
    let ports = ["80", "443", "8000-8999"].map(|text| text.parse().unwrap());
    let hosts = ["*.corp.example", "wiki.example"].map(|text| text.parse().unwrap());
    let methods = ["GET", "POST"].map(|text| text.parse().unwrap());
    (
        few(&[CheckType::Http, CheckType::Tcp, CheckType::Icmp]),
        prop::option::of(prop::collection::vec(network(), 1..4)),
        few(&ports),
        few(&hosts),
        few(&methods),
        few(&[Purpose::Target, Purpose::Proxy]),
    )
        .prop_map(|(types, networks, ports, hosts, methods, purposes)| Matcher {
            types,
            networks,
            ports,
            hosts,
            methods,
            purposes,
        })
}

fn effect() -> impl Strategy<Value = Effect> {
    prop_oneof![Just(Effect::Allow), Just(Effect::Deny)]
}

fn file() -> impl Strategy<Value = PolicyFile> {
    let rule = (matcher(), any::<bool>());
    (prop::collection::vec(rule, 0..6), effect(), effect(), effect()).prop_map(
        |(rules, default, loopback, metadata)| {
            let named = |(i, (matcher, allows)): (usize, (Matcher, bool))| {
                let (allow, deny) = if allows { (Some(matcher), None) } else { (None, Some(matcher)) };
                Rule { name: format!("r{i}").parse().unwrap(), allow, deny }
            };
            let rules = rules.into_iter().enumerate().map(named).collect();
            PolicyFile {
                rules,
                default,
                special: Special { loopback, metadata, ..Special::default() },
                ..PolicyFile::default()
            }
        },
    )
}

/// An IPv4 address, and one that leads to it.
fn ip() -> impl Strategy<Value = IpAddr> {
    let v4 = prop_oneof![
        4 => (10..14_u8, 0..4_u8).prop_map(|(a, d)| Ipv4Addr::new(a, 0, 0, d)),
        1 => prop::sample::select(vec![Ipv4Addr::LOCALHOST, Ipv4Addr::new(169, 254, 169, 254), Ipv4Addr::UNSPECIFIED]),
        1 => any::<u32>().prop_map(Ipv4Addr::from),
    ];
    (v4, 0..9_u8).prop_map(|(v4, form)| {
        let [a, b, c, d] = v4.octets();
        let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        match form {
            0 => v4.to_ipv6_mapped().into(),
            1 => Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low).into(),
            2 => Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low).into(),
            3 => Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1).into(),
            4 => Ipv6Addr::new(0x2001, 0, 0x0808, 0x0808, 0, 0, !high, !low).into(),
            5 => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0x5efe, high, low).into(),
            6 => Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low).into(),
            _ => v4.into(),
        }
    })
}

#[derive(Debug, Clone)]
struct Asked {
    check_type: CheckType,
    host: Option<&'static str>,
    address: SocketAddr,
    purpose: Purpose,
    method: Option<&'static str>,
}

impl Asked {
    fn dial(&self) -> Dial<'_> {
        let Self { check_type, host, address, purpose, method } = *self;
        Dial { check_type, host, address, transport: Transport::Tcp, purpose, method }
    }
}

fn asked() -> impl Strategy<Value = Asked> {
    (
        prop::sample::select(vec![CheckType::Http, CheckType::Tcp, CheckType::Icmp]),
        prop::sample::select(vec![None, Some("a.corp.example"), Some("WIKI.example."), Some("corp.example")]),
        ip(),
        prop::sample::select(vec![0, 80, 443, 8500]),
        prop::sample::select(vec![Purpose::Target, Purpose::Proxy, Purpose::Redirect]),
        prop::sample::select(vec![None, Some("GET"), Some("post"), Some("HEAD")]),
    )
        .prop_map(|(check_type, host, ip, port, purpose, method)| {
            let address = SocketAddr::new(ip, port);
            Asked { check_type, host, address, purpose, method }
        })
}

/// What is told of a rule by its text alone.
fn naive_fits(matcher: &Matcher, asked: &Asked, ip: IpAddr) -> bool {
    let port = asked.address.port();
    let holds = |given: &Option<Vec<String>>, fits: &dyn Fn(&str) -> bool| {
        given.as_ref().is_none_or(|entries| entries.iter().any(|entry| fits(entry)))
    };
    let types = matcher.types.as_ref().map(|all| all.iter().map(ToString::to_string).collect());
    let networks = matcher.networks.as_ref().map(|all| all.iter().map(ToString::to_string).collect());
    let ports = matcher.ports.as_ref().map(|all| all.iter().map(ToString::to_string).collect());
    let hosts = matcher.hosts.as_ref().map(|all| all.iter().map(ToString::to_string).collect());
    let methods = matcher.methods.as_ref().map(|all| all.iter().map(ToString::to_string).collect());
    holds(&types, &|entry| entry == asked.check_type.as_str())
        && holds(&networks, &|entry| naive_contains(entry, ip))
        && holds(&ports, &|entry| {
            let (first, last) = entry.split_once('-').unwrap_or((entry, entry));
            port != 0 && (first.parse().unwrap()..=last.parse().unwrap()).contains(&port)
        })
        && holds(&hosts, &|entry| {
            let Some(host) = asked.host else { return false };
            let host = host.to_lowercase();
            let host = host.trim_end_matches('.');
            match entry.strip_prefix('*') {
                Some(end) => host.ends_with(end) && host.len() > end.len(),
                None => host == entry,
            }
        })
        && holds(&methods, &|entry| asked.method.is_some_and(|method| method.to_uppercase() == entry))
        && matcher.purposes.as_ref().is_none_or(|purposes| purposes.contains(&asked.purpose))
}

/// Bit by bit.
fn naive_contains(network: &str, ip: IpAddr) -> bool {
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(v4) => format!("{:032b}", u32::from(v4)),
        IpAddr::V6(v6) => format!("{:0128b}", u128::from(v6)),
    };
    let (base, len) = match network.split_once('/') {
        Some((base, len)) => (base.parse::<IpAddr>().unwrap(), len.parse().unwrap()),
        None => (network.parse::<IpAddr>().unwrap(), 128),
    };
    base.is_ipv4() == ip.is_ipv4() && bits(base).chars().take(len).eq(bits(ip).chars().take(len))
}

/// What an address is, and leads to, by the text of the standards.
fn naive_faces(ip: IpAddr) -> Vec<IpAddr> {
    let IpAddr::V6(v6) = ip else { return vec![ip] };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return vec![v4.into()];
    }
    let s = v6.segments();
    let v4 = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    let mut faces = vec![ip];
    let mut push = |face| {
        if !faces.contains(&face) {
            faces.push(face)
        }
    };
    if s[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        push(v4(s[6], s[7]));
    }
    if s[..6] == [0; 6] && u128::from(v6) > 1 {
        push(v4(s[6], s[7]));
    }
    if s[..6] == [0, 0, 0, 0, 0xffff, 0] {
        push(v4(s[6], s[7]));
    }
    if s[0] == 0x2002 {
        push(v4(s[1], s[2]));
    }
    if s[..2] == [0x2001, 0] {
        push(v4(s[2], s[3]));
        push(v4(!s[6], !s[7]));
    }
    if (s[4] == 0 || s[4] == 0x200) && s[5] == 0x5efe {
        push(v4(s[6], s[7]));
    }
    faces
}

fn naive_special(special: &Special, ip: IpAddr) -> Option<Effect> {
    let metadata = [
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "169.254.0.23",
        "169.254.42.42",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "fd00:42::42",
        "fe80::a9fe:a9fe",
    ];
    let within = |networks: &[&str]| networks.iter().any(|network| naive_contains(network, ip));
    if within(&metadata) {
        return Some(special.metadata);
    }
    if within(&["127.0.0.0/8", "0.0.0.0/8", "::", "::1"]) {
        return Some(special.loopback);
    }
    if within(&["169.254.0.0/16", "fe80::/10"]) {
        return Some(special.link_local);
    }
    if within(&["224.0.0.0/4", "ff00::/8"]) {
        return Some(special.multicast);
    }
    within(&["255.255.255.255"]).then_some(special.broadcast)
}

fn naive(file: &PolicyFile, asked: &Asked) -> Effect {
    let judge = |ip: IpAddr| {
        if naive_special(&file.special, ip) == Some(Effect::Deny) {
            return Effect::Deny;
        }
        for rule in &file.rules {
            if rule.allow.as_ref().is_some_and(|matcher| naive_fits(matcher, asked, ip)) {
                return Effect::Allow;
            }
            if rule.deny.as_ref().is_some_and(|matcher| naive_fits(matcher, asked, ip)) {
                return Effect::Deny;
            }
        }
        file.default
    };
    match naive_faces(asked.address.ip()).into_iter().any(|ip| judge(ip) == Effect::Deny) {
        true => Effect::Deny,
        false => Effect::Allow,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    #[test]
    fn the_judgement_is_the_naive_one(file in file(), asked in asked()) {
        let policy = Policy::try_from(file.clone()).unwrap();
        let judged = policy.judge_dial(&asked.dial(), &Own::default());
        prop_assert_eq!(judged.is_ok(), naive(&file, &asked) == Effect::Allow, "{:?}", judged);
    }

    #[test]
    fn an_explanation_decides_as_the_judgement_does(file in file(), asked in asked()) {
        let policy = Policy::try_from(file).unwrap();
        let judged = policy.judge_dial(&asked.dial(), &Own::default());
        let explained = policy.explain(&asked.dial(), &Own::default());
        let denied = explained.into_iter().find_map(|one| one.denied);
        prop_assert_eq!(judged.err(), denied);
    }

    /// What is refused by name alone would be refused at every address.
    #[test]
    fn a_name_is_refused_only_where_each_address_is(file in file(), asked in asked()) {
        let policy = Policy::try_from(file).unwrap();
        if let Some(host) = asked.host {
            let Asked { check_type, purpose, method, address, .. } = asked;
            let lookup = Lookup { check_type, host, port: address.port(), transport: Transport::Tcp, purpose, method };
            if policy.judge_name(&lookup, &Own::default()).is_err() {
                prop_assert!(policy.judge_dial(&asked.dial(), &Own::default()).is_err());
            }
            if policy.judge_type(check_type).is_err() && purpose == Purpose::Target {
                prop_assert!(policy.judge_dial(&asked.dial(), &Own::default()).is_err());
            }
        }
    }

    #[test]
    fn faces_are_those_of_the_standards(ip in ip()) {
        let faces: Vec<IpAddr> = Faces::of(ip, &[]).iter().collect();
        prop_assert_eq!(faces, naive_faces(ip));
    }

    /// Whatever bits an address has, it is judged, and stands for itself at least.
    #[test]
    fn any_address_has_a_face(bits in any::<u128>(), prefix in prop::sample::select(vec![0, 0x0064_ff9b_0001_u128 << 80])) {
        let ip = IpAddr::V6(Ipv6Addr::from(bits >> 48 | prefix));
        let faces: Vec<IpAddr> = Faces::of(ip, &["64:ff9b:1::/48".parse().unwrap()]).iter().collect();
        prop_assert_eq!(faces[0], ip.to_canonical());
        prop_assert!(faces.len() <= 16);
    }

    /// What is written reads back as the same policy.
    #[test]
    fn a_policy_that_is_shown_reads_back(file in file()) {
        let text = serde_json::to_string(&file).unwrap();
        prop_assert_eq!(serde_json::from_str::<PolicyFile>(&text).unwrap(), file);
    }
}
