//! What a judgement of the policy costs: each connection of each check waits for one.

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Instant;

use watchpost_model::CheckType;
use watchpost_policy::{Dial, Effect, Guard, Matcher, Own, Policy, PolicyFile, Purpose, Rule, Transport};

use crate::figures::Figures;

/// The most that one may cost, in nanoseconds.
const GOAL_NS: f64 = 1_000.0;
/// How many rules a long policy has, and how many networks each of them.
const RULES: usize = 100;
const NETWORKS: usize = 100;

/// Measures `rounds` judgements of each kind.
pub fn run(rounds: usize, figures: &mut Figures) {
    let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
    for (policy, name) in [(Policy::strict(), "built in"), (long(), "100 rules of 100 networks")] {
        let own = Own::default().with_bus(address("10.255.0.1:4222")).with_console(address("127.0.0.1:8627"));
        let guard = Guard::new(policy, own, name);
        for (to, kind) in [("10.1.2.3:443", "IPv4"), ("[64:ff9b::a01:203]:443", "NAT64")] {
            let dial = Dial {
                check_type: CheckType::Http,
                host: Some("api.corp.example"),
                address: address(to),
                transport: Transport::Tcp,
                purpose: Purpose::Target,
                method: Some("GET"),
            };
            assert!(guard.judge_dial(&dial).is_ok(), "{name}: {to} is permitted");
            let begun = Instant::now();
            for _ in 0..rounds {
                black_box(guard.judge_dial(black_box(&dial))).ok();
            }
            let ns = begun.elapsed().as_nanos() as f64 / rounds as f64;
            figures.goal(
                format!("one judgement, policy {name}, {kind}"),
                format!("{ns:.0} ns"),
                "≤ 1 µs",
                ns <= GOAL_NS,
            );
        }
    }
}

/// A policy whose last rule is the one that fits.
fn long() -> Policy {
    let rule = |n: usize| {
        let networks = (0..NETWORKS).map(|k| format!("172.{}.{k}.0/24", 16 + n % 16).parse().expect("a network"));
        let deny = Matcher { networks: Some(networks.collect()), ..Matcher::default() };
        Rule { name: format!("deny-{n}").parse().expect("a name"), allow: None, deny: Some(deny) }
    };
    let mut rules: Vec<Rule> = (0..RULES).map(rule).collect();
    let allow = Matcher {
        networks: Some(vec!["10.0.0.0/8".parse().expect("a network"), "64:ff9b::/96".parse().expect("a network")]),
        hosts: Some(vec!["*.corp.example".parse().expect("a pattern")]),
        ..Matcher::default()
    };
    rules.push(Rule { name: "corp".parse().expect("a name"), allow: Some(allow), deny: None });
    let file = PolicyFile { rules, default: Effect::Deny, ..PolicyFile::default() };
    Policy::try_from(file).expect("a policy")
}
