//! What `nsc` makes: operator, accounts and users as JWTs, with the permissions that `nsc.sh` hands to it.

use std::process::Command;

use data_encoding::BASE64URL_NOPAD;
use nkeys::KeyPair;
use serde_json::{Value, json};

use crate::rig::shipped;

/// Operator, system account, and one account with JetStream.
pub struct Authority {
    operator: KeyPair,
    system: KeyPair,
    pub account: KeyPair,
}

impl Authority {
    pub fn new() -> Self {
        Self { operator: KeyPair::new_operator(), system: KeyPair::new_account(), account: KeyPair::new_account() }
    }

    /// A server's configuration, as `nsc generate config --mem-resolver` writes it. Users of `revoked` are let in no more.
    pub fn config(&self, revoked: &[&KeyPair]) -> String {
        let (operator, system, account) =
            (self.operator.public_key(), self.system.public_key(), self.account.public_key());
        let unlimited = json!({"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
            "conn": -1, "leaf": -1});
        let mut limits = unlimited.clone();
        for (name, most) in [("mem_storage", -1), ("disk_storage", -1), ("streams", 8), ("consumer", 500)] {
            limits[name] = json!(most);
        }
        // Whatever was issued before 2100.
        let revocations: serde_json::Map<_, _> =
            revoked.iter().map(|user| (user.public_key(), json!(4_102_444_800_u64))).collect();
        let of_account = |limits: Value, revocations: Value| {
            json!({"limits": limits, "revocations": revocations, "default_permissions": {"pub": {}, "sub": {}},
                "type": "account", "version": 2})
        };
        let of_operator = json!({"type": "operator", "version": 2, "system_account": system});
        format!(
            "operator: {}\nsystem_account: {system}\nresolver: MEMORY\nresolver_preload: {{\n {system}: {}\n {account}: {}\n}}\n\
             jetstream {{ store_dir: \"jetstream\" }}\n",
            jwt(&self.operator, &operator, "watchpost", of_operator),
            jwt(&self.operator, &system, "SYS", of_account(unlimited, json!({}))),
            jwt(&self.operator, &account, "ACME", of_account(limits, Value::Object(revocations))),
        )
    }

    /// The credentials file of a user with the permissions of a role, `ROLE:NAME`; of somebody who may do everything
    /// without one.
    pub fn credentials(&self, user: &KeyPair, name: &str, role: Option<&str>) -> String {
        let mut claims = role.map_or_else(|| json!({"pub": {}, "sub": {}}), permissions);
        for (key, value) in [("subs", json!(-1)), ("data", json!(-1)), ("payload", json!(-1)), ("version", json!(2))] {
            claims[key] = value;
        }
        claims["type"] = json!("user");
        let jwt = jwt(&self.account, &user.public_key(), name, claims);
        format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             ************************* IMPORTANT *************************\nNKEY Seed printed below can be used to sign.\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            user.seed().unwrap()
        )
    }
}

/// The permissions in the commands that `nsc.sh` prints for a user.
fn permissions(role: &str) -> Value {
    let output = Command::new("sh").arg(shipped().join("nsc.sh")).args(["ACME", role]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let commands = String::from_utf8(output.stdout).unwrap();
    let all = |flag: &str| -> Vec<String> {
        let lines = commands.lines().filter_map(|line| line.trim().strip_prefix(flag));
        lines.map(|rest| rest.split('\'').nth(1).unwrap().to_owned()).collect()
    };
    let mut permissions = json!({"pub": {"allow": all("--allow-pub ")}, "sub": {"allow": all("--allow-sub ")}});
    if let Some(response) = commands.lines().find_map(|line| line.trim().strip_prefix("--allow-pub-response=")) {
        let max: i64 = response.split(' ').next().unwrap().parse().unwrap();
        let ttl = if response.contains("--response-ttl 1h") { 3_600_000_000_000_u64 } else { 60_000_000_000 };
        permissions["resp"] = json!({"max": max, "ttl": ttl});
    }
    permissions
}

fn jwt(signer: &KeyPair, subject: &str, name: &str, nats: Value) -> String {
    let header = json!({"typ": "JWT", "alg": "ed25519-nkey"});
    let claims = json!({"jti": subject, "iat": 1_700_000_000, "iss": signer.public_key(), "name": name, "sub": subject,
        "nats": nats});
    let encoded = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let signed = format!("{}.{}", encoded(&header), encoded(&claims));
    format!("{signed}.{}", BASE64URL_NOPAD.encode(&signer.sign(signed.as_bytes()).unwrap()))
}
