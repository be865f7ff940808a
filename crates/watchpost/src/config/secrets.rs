//! Where this process has the secrets from that checks refer to.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use watchpost_model::{HostRule, SecretAllowance, SecretName, parse_duration};
use watchpost_probe::{NamedSecret, SecretFrom, SecretOptions, SecretStore};

/// The most secrets of which something can be said, and the most hosts of one.
const NAMES_MAX: usize = 1024;
const HOSTS_MAX: usize = 64;
/// The longest that a value may be used before it is looked up again.
const CACHE_MAX: Duration = Duration::from_secs(60 * 60);

/// Where the secrets are that checks refer to by `${secret:name}`.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SecretsFile {
    /// A directory that holds a file for each secret, named as it is: a Kubernetes mount, or `${CREDENTIALS_DIRECTORY}`
    /// of systemd.
    pub directory: Option<PathBuf>,
    /// What the names of environment variables begin with that hold secrets: with `WATCHPOST_SECRET_` the secret
    /// `api-key` is in `WATCHPOST_SECRET_API_KEY`. Looked at after the directory.
    #[serde(deserialize_with = "prefix")]
    #[schemars(regex(pattern = "^[A-Za-z_][A-Za-z0-9_]{0,63}$"))]
    pub environment: Option<String>,
    /// Secrets that are elsewhere, or may be sent to some hosts only: at most 1 024.
    #[serde(deserialize_with = "names")]
    pub names: BTreeMap<SecretName, NamedSecretFile>,
    /// For how long a value is used before it is looked up again: 0s to 1h; `60s` if left out.
    #[serde(deserialize_with = "cache")]
    #[schemars(with = "Option<String>")]
    pub cache: Option<Duration>,
}

/// One secret: where it is, and where it may be sent.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NamedSecretFile {
    /// The file that has it.
    pub file: Option<PathBuf>,
    /// The environment variable that has it.
    pub environment: Option<String>,
    /// The hosts to which it may be sent, at most 64: `vault.example`, `*.example`, `10.0.0.0/8`, `vault.example:8200`.
    /// Anywhere if there are none.
    #[schemars(length(max = 64))]
    pub allow_hosts: Vec<HostRule>,
    /// What a check may do that sends it, beyond sending it to one of these hosts over verified TLS: `plain`,
    /// `unverified`, `own_authority`, `server_name`, `address`.
    pub allow: Vec<SecretAllowance>,
}

impl SecretsFile {
    /// The secrets, those of the environment as they are now.
    pub fn store(&self) -> SecretStore {
        let named = self.names.values().filter_map(|named| named.environment.as_deref());
        let wanted: Vec<&str> = named.collect();
        let is_wanted = |name: &String| {
            let is_prefixed = self.environment.as_deref().is_some_and(|prefix| name.starts_with(prefix));
            is_prefixed || wanted.contains(&name.as_str())
        };
        let all = super::environment().into_iter().filter(|(name, _)| is_wanted(name));
        let variables: HashMap<_, _> = all.map(|(name, value)| (name, value.into_boxed_str().into())).collect();
        SecretStore::new(SecretOptions {
            directory: self.directory.clone(),
            prefix: self.environment.clone(),
            names: self.names.iter().map(|(name, named)| (name.clone(), named.secret())).collect(),
            variables,
            cache: self.cache.unwrap_or(SecretOptions::CACHE_DEFAULT),
        })
    }
}

impl NamedSecretFile {
    fn secret(&self) -> NamedSecret {
        let from = match (&self.file, &self.environment) {
            (Some(file), _) => Some(SecretFrom::File(file.clone())),
            (None, Some(variable)) => Some(SecretFrom::Environment(variable.clone())),
            (None, None) => None,
        };
        NamedSecret { from, allow_hosts: self.allow_hosts.clone(), allow: self.allow.clone() }
    }

    /// What is wrong with it, if something is.
    fn fault(&self) -> Option<String> {
        if self.file.is_some() && self.environment.is_some() {
            return Some("has `file` and `environment`: expected one of them".to_owned());
        }
        if self.allow_hosts.len() > HOSTS_MAX {
            return Some(format!("may be sent to {} hosts: expected at most {HOSTS_MAX}", self.allow_hosts.len()));
        }
        if self.allow_hosts.is_empty() && !self.allow.is_empty() {
            return Some(
                "has `allow` without `allow_hosts`, to which it belongs: expected both, or neither".to_owned(),
            );
        }
        None
    }
}

fn prefix<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let given = String::deserialize(deserializer)?;
    let permitted = given.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if (1..=64).contains(&given.len()) && permitted && !given.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(Some(given));
    }
    Err(D::Error::custom(format_args!(
        "`{}` cannot begin the name of an environment variable: expected letters, digits and _, for example \
         `WATCHPOST_SECRET_`",
        watchpost_model::shorten(&given, 80)
    )))
}

fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<SecretName, NamedSecretFile>, D::Error> {
    let given = BTreeMap::<SecretName, NamedSecretFile>::deserialize(deserializer)?;
    if given.len() > NAMES_MAX {
        let message = format!("something is said of {} secrets: expected at most {NAMES_MAX}", given.len());
        return Err(D::Error::custom(message));
    }
    match given.iter().find_map(|(name, named)| Some((name, named.fault()?))) {
        Some((name, fault)) => Err(D::Error::custom(format_args!("the secret `{name}` {fault}"))),
        None => Ok(given),
    }
}

fn cache<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let given = String::deserialize(deserializer)?;
    let duration = parse_duration(&given).map_err(D::Error::custom)?;
    match duration <= CACHE_MAX {
        true => Ok(Some(duration)),
        false => Err(D::Error::custom("a secret is kept for too long: expected 0s to 1h")),
    }
}
