//! Policy files.

use std::fmt::Write as _;
use std::path::Path;

use sha2::{Digest, Sha256};
use watchpost_policy::{Policy, PolicyFile};

use super::error::ConfigError;
use super::read;

/// The largest policy file, in bytes.
const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A policy that was read, and is valid.
#[derive(Debug)]
pub struct LoadedPolicy {
    /// What it permits.
    pub policy: Policy,
    /// The SHA-256 of its file, in hexadecimal.
    pub sha256: String,
    /// What is permitted and probably not meant.
    pub warnings: Vec<String>,
}

/// Reads a policy file. Nothing of the environment is filled in: what it says is what everybody can read there.
///
/// # Errors
/// What is wrong with it, where, and what was expected.
pub fn load_policy(file: &Path) -> Result<LoadedPolicy, ConfigError> {
    let text = read::text(file)?;
    let mut loaded = parse(file, &text)?;
    loaded.warnings.extend(writable_by_others(file));
    Ok(loaded)
}

fn parse(file: &Path, text: &str) -> Result<LoadedPolicy, ConfigError> {
    if text.len() > FILE_BYTES_MAX {
        return Err(ConfigError::whole(file, format!("has more than {FILE_BYTES_MAX} bytes: expected at most that")));
    }
    if text.trim().is_empty() {
        // An empty file would deny everything, and is seldom meant to.
        return Err(ConfigError::whole(file, "is empty: expected for example `rules:`, or `default: deny` at least"));
    }
    let written: PolicyFile = read::document(file, text)?;
    let policy = Policy::try_from(written).map_err(|error| {
        let key = error.key().map(str::to_owned);
        let nothing = std::collections::HashMap::new();
        let place = key.as_deref().and_then(|key| read::find(text, &nothing, key, 0)).unwrap_or_default();
        ConfigError::at(file, text, place, key, error.to_string())
    })?;
    let warnings = policy.oddities().into_iter().map(|oddity| format!("{}: {oddity}", file.display())).collect();
    let sha256 = Sha256::digest(text).iter().fold(String::new(), |mut hex, byte| {
        let _written = write!(hex, "{byte:02x}");
        hex
    });
    Ok(LoadedPolicy { policy, sha256, warnings })
}

/// Whoever may write it decides what is permitted.
fn writable_by_others(file: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let mode = std::fs::metadata(file).ok()?.mode();
    (mode & 0o022 != 0).then(|| {
        let (file, mode) = (file.display(), mode & 0o777);
        format!("{file}: others than its owner may write to it (mode {mode:03o}), and so decide what is permitted: expected mode 644 or less")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_names_file_line_column_key_and_expectation() {
        for (text, parts) in [
            ("", &["p.yaml: is empty", "expected for example `rules:`"][..]),
            ("ruels: []\n", &["p.yaml:1:1", "did you mean `rules`?"]),
            ("default: maybe\n", &["p.yaml:1:10", "`default`", "maybe"]),
            ("special:\n  loopback: yes\n", &["p.yaml:2:13", "`special.loopback`"]),
            ("special: {gateway: deny}\n", &["p.yaml:1:11", "gateway"]),
            (
                "rules:\n- {name: a, allow: {networks: [10.0.0.1/8]}}\n",
                &["p.yaml:2:32", "`rules[0].allow.networks[0]`", "expected `10.0.0.0/8`, or `10.0.0.1` alone"],
            ),
            ("rules:\n- {name: a, allow: {networks: [corp]}}\n", &["p.yaml:2:32", "is not a network"]),
            ("rules:\n- {name: a, allow: {networks: []}}\n", &["p.yaml:2:", "the list is empty"]),
            ("rules:\n- {name: a, allow: {ports: [0]}}\n", &["p.yaml:2:29", "expected 1 to 65535"]),
            ("rules:\n- {name: a, allow: {ports: [90-80]}}\n", &["p.yaml:2:29", "is not a port"]),
            ("rules:\n- {name: a, allow: {types: [gopher]}}\n", &["p.yaml:2:29", "there is no check type `gopher`"]),
            ("rules:\n- {name: a, allow: {hosts: ['*']}}\n", &["p.yaml:2:29", "and `*.` in front only"]),
            ("rules:\n- {name: a, allow: {hosts: [10.0.0.1]}}\n", &["p.yaml:2:29", "matched by `networks`"]),
            ("rules:\n- {name: a b, allow: {}}\n", &["p.yaml:2:10", "is not the name of a rule"]),
            ("rules:\n- name: a\n", &["p.yaml:2:3", "`rules[0]`", "rule `a` says nothing"]),
            ("rules:\n- {name: a, allow: {}, deny: {}}\n", &["p.yaml:2:3", "has both `allow` and `deny`"]),
            (
                "rules:\n- {name: a, allow: {}}\n- {name: a, deny: {}}\n",
                &["p.yaml:3:10", "`rules[1].name`", "as rules[0]"],
            ),
            ("exec: {directories: [plugins]}\n", &["p.yaml:1:21", "expected one that begins with `/`"]),
            ("files: {directories: [/a/../b]}\n", &["p.yaml:1:22", "has no `..`"]),
            ("unix: {paths: ['/run/**/x']}\n", &["p.yaml:1:16", "as the last name only"]),
            ("limits: {overall: 10}\n", &["p.yaml:1:19"]),
            ("limits: {overall: 10/d}\n", &["p.yaml:1:19", "expected for example `10/s`"]),
            ("limits: {concurrency: 0}\n", &["p.yaml:1:23", "expected 1 to 1000000"]),
            ("nat64: [64:ff9b::/95]\n", &["p.yaml:1:8", "expected one of IPv6 with 32, 40, 48, 56, 64 or 96 bits"]),
            ("default: ${X}\n", &["p.yaml:1:10"]),
            ("default: deny\n---\ndefault: allow\n", &["p.yaml:3:1", "expected one in each file"]),
        ] {
            let error = parse(Path::new("p.yaml"), text).unwrap_err().to_string();
            for part in parts {
                assert!(error.contains(part), "{text}\n→ {error}\nlacks {part}");
            }
        }
    }

    #[test]
    fn an_alias_bomb_and_too_many_rules_are_refused() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for n in 1..12 {
            let before = format!("*a{}, ", n - 1).repeat(10);
            text += &format!("a{n}: &a{n} [{before}]\n");
        }
        assert!(parse(Path::new("p.yaml"), &text).is_err());
        let rules: String = (0..1_001).map(|n| format!("- {{name: r{n}, allow: {{}}}}\n")).collect();
        let error = parse(Path::new("p.yaml"), &format!("rules:\n{rules}")).unwrap_err().to_string();
        assert!(error.contains("expected at most 1000 entries"), "{error}");
    }

    #[test]
    fn the_hash_is_that_of_the_file() {
        let loaded = parse(Path::new("p.yaml"), "default: deny\n").unwrap();
        assert_eq!(loaded.sha256, "f9b0bb885f6b55d65039dbd21e2051b883c623db853bc5e127bed691dc799e60");
    }
}
