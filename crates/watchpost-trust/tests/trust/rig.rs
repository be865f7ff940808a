//! Somebody who signs, and checks to be signed.

use watchpost_model::{BastionGroup, Check, CheckDocument, Firing, RunId, Task, TaskClass, Timestamp};
use watchpost_trust::{Signer, Signers};

/// A seed that is in this file, and signs nothing else.
pub const SEED: &str = "SUAB2DNF4DXGP5SXWWITX26YTQFRCRSIJNU6EGAENAGDSCX5B22JHV46OE";

/// A check that says as much as one can say.
pub const FULL: &str = r#"{
    "id": "shop-login",
    "http": {
        "url": "https://shop.example:8443/login?x=1", "method": "POST", "headers": {"X-Team": "web", "Accept": "*/*"},
        "body": "{\"name\": \"wörld\\u0000\"}", "max_redirects": 3, "auth": {"basic": {"username": "a", "password": "p\"w"}},
        "tls": {"server_name": "shop.example"}
    },
    "interval": "90s", "timeout": "7s", "overlap": "allow", "verdict": {"quorum": 1}, "parallel": 8,
    "addresses": ["10.0.0.1", "10.0.0.2:444"],
    "expect": {"status": ["2xx", 301], "that": ["status < 400", "body.text.contains(\"ok\")"], "max_latency": "1500ms"}
}"#;

pub fn signer() -> Signer {
    Signer::from_seed(SEED).unwrap()
}

pub fn trusted() -> Signers {
    Signers::new([signer().key().clone()]).unwrap()
}

pub fn at() -> Timestamp {
    "2026-11-21T20:00:00.5Z".parse().unwrap()
}

pub fn group(name: &str) -> BastionGroup {
    name.parse().unwrap()
}

pub fn document(json: &str) -> CheckDocument {
    serde_json::from_str(json).unwrap()
}

/// Signed for the group `site`.
pub fn signed(json: &str, revision: u64) -> Check {
    Check::try_from(signer().sign(document(json), &group("site"), revision, at()).unwrap()).unwrap()
}

/// A task of the `n`th endpoint of a check.
pub fn task(check: &Check, n: usize) -> Task {
    let probe = check.probe().unwrap();
    let endpoint = probe.target.static_endpoints().unwrap().swap_remove(n);
    Task::new(check.id(), probe, endpoint, &firing(check))
}

pub fn firing(check: &Check) -> Firing<'static> {
    let bastion = Box::leak(Box::new("b".parse().unwrap()));
    let deadline = at().checked_add(check.timeout().get()).unwrap();
    Firing {
        run: RunId::derive(bastion, check.id(), at()),
        bastion,
        scheduled_at: at(),
        deadline,
        answer_by: deadline,
        class: TaskClass::Scheduled,
        config_generation: 1,
    }
}
