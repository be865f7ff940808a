//! The shape of a configuration file.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_saphyr::Spanned;
use watchpost_agent::{AgentSettings, GROUPS_MAX, PoolSettings};
use watchpost_model::{
    BastionGroup, BastionId, Check, CheckDocument, CheckType, HeaderName, Invalid, Password, Pattern, RunnerId,
    SubjectPrefix, Timeout, Token,
};
use watchpost_probe::{ProbeOptions, Redaction, Resolver};

use super::audit::AuditFile;
use super::contexts::Context;
use super::secrets::SecretsFile;
use super::trust::TrustFile;

/// How long a stop may take where nothing else is said.
const GRACE_DEFAULT: Duration = Duration::from_secs(5);
/// The largest pool and queue that a file may ask for.
const POOL_MAX: u64 = PoolSettings::SIZE_MAX as u64;
const QUEUE_MAX: u64 = 1_000_000;
/// The bucket of checks on NATS where nothing else is said.
pub const BUCKET_DEFAULT: &str = "WATCHPOST_CHECKS";

/// A configuration file.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[schemars(title = "Watchpost configuration")]
#[serde(deny_unknown_fields, default)]
pub struct FileConfig {
    /// The bastion's id; `local` if left out.
    pub bastion: Option<BastionId>,
    /// This process's Runner in results; the host's name if left out.
    pub runner: Option<RunnerId>,
    /// The first part of every subject on the bus; `watchpost` if left out.
    pub prefix: Option<SubjectPrefix>,
    /// How to reach NATS.
    pub bus: BusFile,
    /// Worker pools by check type.
    pub pools: BTreeMap<CheckType, PoolFile>,
    /// How long a task may wait for a free worker; `30s` if left out. Its own deadline bounds it further.
    pub wait_for_worker: Option<Timeout>,
    /// How long after a task's deadline its outcome is waited for before it counts as lost; `2s` if left out.
    pub answer_grace: Option<Timeout>,
    /// How long a stop may take; `5s` if left out.
    pub grace: Option<Timeout>,
    /// How names are resolved.
    pub dns: DnsFile,
    /// What results show of what targets said.
    pub evidence: EvidenceFile,
    /// Where the secrets are that checks refer to by `${secret:name}`.
    pub secrets: SecretsFile,
    /// The console.
    pub console: ConsoleFile,
    /// The bastion groups whose checks the bastion runs besides its own, in the order of their rank: at most 64.
    #[serde(deserialize_with = "groups")]
    #[schemars(length(max = 64))]
    pub groups: Vec<BastionGroup>,
    /// Where the bastion keeps its checks of the store, so that it can begin without the bus: a directory.
    pub state_dir: Option<PathBuf>,
    /// The file of the policy that says what checks may do here; `--policy` outranks it. Without one, what comes over a
    /// bus may not reach this machine itself, link-local and metadata addresses and the like.
    pub policy: Option<PathBuf>,
    /// The audit log: what was asked of this process, and what it did.
    pub audit: AuditFile,
    /// The checks on the bus.
    pub store: StoreFile,
    /// Whose checks of the store are run, where not everybody's are that can write to it.
    pub trust: Option<TrustFile>,
    /// The checks.
    #[schemars(with = "Vec<CheckDocument>")]
    pub checks: Vec<Spanned<ReadCheck>>,
}

/// A check of a file, valid or not. It is made as soon as it is read: as it was written it takes 3.5 KB, since it has a
/// place for each type, and there may be tens of thousands.
#[derive(Debug)]
pub struct ReadCheck(pub Result<Check, Invalid>);

impl<'de> Deserialize<'de> for ReadCheck {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        CheckDocument::deserialize(deserializer).map(|document| Self(Check::try_from(document)))
    }
}

/// How to reach NATS.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BusFile {
    /// Servers, for example `nats://127.0.0.1:4222`.
    pub servers: Vec<String>,
    /// A file with a JWT and an nkey seed, as `nsc` writes it. It is read anew for each connection, like all files that
    /// say who we are.
    pub credentials_file: Option<PathBuf>,
    /// A file with the seed of an nkey.
    pub nkey_file: Option<PathBuf>,
    /// A user, with its password.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<Password>,
    /// A file with the user's password.
    pub password_file: Option<PathBuf>,
    /// A token.
    pub token: Option<Token>,
    /// A file with a token.
    pub token_file: Option<PathBuf>,
    /// A PEM file of certificate authorities to trust in place of those of the system.
    pub tls_ca_file: Option<PathBuf>,
    /// A PEM file with our certificate, for a server that asks for one.
    pub tls_certificate_file: Option<PathBuf>,
    /// A PEM file with its key.
    pub tls_key_file: Option<PathBuf>,
    /// What our inboxes begin with, `_INBOX` if left out: `_INBOX_site-1` where the server permits each user its own.
    pub inbox_prefix: Option<String>,
    /// Whether to refuse a server that does not offer TLS.
    pub require_tls: bool,
}

/// One worker pool.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolFile {
    /// How many checks of the type run at the same time: 1 to 10 000; 64 if left out.
    #[serde(default, deserialize_with = "pool_size")]
    #[schemars(range(min = 1, max = 10_000))]
    pub size: Option<usize>,
    /// How many tasks may wait for a worker: 0 to 1 000 000; 10 000 if left out.
    #[serde(default, deserialize_with = "queue_max")]
    #[schemars(range(max = 1_000_000))]
    pub queue: Option<usize>,
    /// How many workers one check may hold at a time: 1 to `size`; three quarters of them if left out.
    #[serde(default)]
    #[schemars(with = "Option<usize>", range(min = 1, max = 10_000))]
    pub per_check: Option<Spanned<u64>>,
}

impl PoolFile {
    /// How many workers the pool has.
    pub fn size(&self) -> usize {
        self.size.unwrap_or(PoolSettings::default().size)
    }

    fn settings(&self) -> PoolSettings {
        let default = PoolSettings::default();
        PoolSettings {
            size: self.size(),
            queue_max: self.queue.unwrap_or(default.queue_max),
            per_check_max: self.per_check.as_ref().and_then(|given| usize::try_from(given.value).ok()),
        }
    }
}

/// How names are resolved.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DnsFile {
    /// Name servers to ask in place of those of the system, for example `10.0.0.53:53`.
    #[schemars(with = "Vec<String>")]
    pub nameservers: Vec<SocketAddr>,
}

/// What results show of what targets said.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EvidenceFile {
    /// How much of an answer a result shows where a check did not pass: 0 to 65 536 bytes; 2 048 if left out.
    #[serde(deserialize_with = "excerpt_bytes")]
    #[schemars(range(max = 65_536))]
    pub excerpt_bytes: Option<usize>,
    /// What no result shows, besides what is known to be secret.
    pub redact: RedactFile,
}

/// What no result shows.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RedactFile {
    /// Headers whose values are hidden.
    pub headers: Vec<HeaderName>,
    /// Regular expressions: what they match in anything that a target said is hidden.
    pub patterns: Vec<Pattern>,
}

/// The checks on the bus.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StoreFile {
    /// The bucket that holds them, or `off`; on NATS `WATCHPOST_CHECKS` if left out.
    #[serde(deserialize_with = "bucket")]
    #[schemars(with = "Option<String>", regex(pattern = "^[A-Za-z0-9_-]{1,64}$"))]
    pub bucket: Option<BucketName>,
}

/// Where checks are kept on the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BucketName {
    /// Nowhere.
    Off,
    /// In this bucket.
    Named(String),
}

/// The console.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConsoleFile {
    /// Where it listens, for example `127.0.0.1:8627`.
    #[schemars(with = "Option<String>")]
    pub listen: Option<SocketAddr>,
}

impl FileConfig {
    /// How names are resolved.
    pub fn resolver(&self) -> Resolver {
        match self.dns.nameservers.as_slice() {
            [] => Resolver::system(),
            some => Resolver::with_nameservers(some.to_vec()),
        }
    }

    /// How probes work.
    pub fn probes(&self, resolver: &Resolver) -> ProbeOptions {
        let EvidenceFile { excerpt_bytes, redact } = &self.evidence;
        let mut options = ProbeOptions::new(resolver);
        options.redaction = Redaction::new(redact.headers.clone(), &redact.patterns);
        options.excerpt_bytes = excerpt_bytes.unwrap_or(ProbeOptions::EXCERPT_BYTES_DEFAULT);
        options.secrets = self.secrets.store();
        options
    }

    /// How long a stop may take.
    pub fn grace(&self) -> Duration {
        self.grace.map_or(GRACE_DEFAULT, Timeout::get)
    }

    /// The agent's settings for `bastion` and `runner`.
    pub fn agent(&self, bastion: BastionId, runner: RunnerId) -> AgentSettings {
        let mut settings = AgentSettings::new(bastion, runner);
        if let Some(prefix) = &self.prefix {
            settings.prefix = prefix.clone();
        }
        if let Some(wait) = self.wait_for_worker {
            settings.wait_max = wait.get();
        }
        if let Some(grace) = self.answer_grace {
            settings.answer_grace = grace.get();
        }
        settings.pools = self.pools();
        settings.trust = self.trust.as_ref().map(TrustFile::settings);
        settings
    }

    /// The bucket of checks on NATS; `None` where there is to be none.
    pub fn bucket(&self) -> Option<String> {
        match &self.store.bucket {
            None => Some(BUCKET_DEFAULT.to_owned()),
            Some(BucketName::Off) => None,
            Some(BucketName::Named(bucket)) => Some(bucket.clone()),
        }
    }

    /// The worker pools that differ from the default.
    pub fn pools(&self) -> BTreeMap<CheckType, PoolSettings> {
        self.pools.iter().map(|(check_type, pool)| (*check_type, pool.settings())).collect()
    }
}

impl BusFile {
    /// The same, as contexts have it.
    pub fn context(&self) -> Context {
        Context {
            servers: self.servers.clone(),
            credentials_file: self.credentials_file.clone(),
            nkey_file: self.nkey_file.clone(),
            user: self.user.clone(),
            password: self.password.clone(),
            password_file: self.password_file.clone(),
            token: self.token.clone(),
            token_file: self.token_file.clone(),
            tls_ca_file: self.tls_ca_file.clone(),
            tls_certificate_file: self.tls_certificate_file.clone(),
            tls_key_file: self.tls_key_file.clone(),
            require_tls: self.require_tls,
            inbox_prefix: self.inbox_prefix.clone(),
            prefix: None,
            bucket: None,
            group: None,
        }
    }
}

fn groups<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<BastionGroup>, D::Error> {
    let given = Vec::<BastionGroup>::deserialize(deserializer)?;
    if given.len() > GROUPS_MAX {
        let message = format!("there are {} bastion groups: expected at most {GROUPS_MAX}", given.len());
        return Err(serde::de::Error::custom(message));
    }
    Ok(given)
}

fn bucket<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<BucketName>, D::Error> {
    let given = String::deserialize(deserializer)?;
    let permitted = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    match given.as_str() {
        "off" => Ok(Some(BucketName::Off)),
        name if (1..=64).contains(&name.len()) && name.bytes().all(permitted) => Ok(Some(BucketName::Named(given))),
        _ => Err(serde::de::Error::custom(format_args!(
            "`{}` is not the name of a bucket: expected 1 to 64 of the characters A-Z a-z 0-9 _ -, or `off`",
            watchpost_model::shorten(&given, 80)
        ))),
    }
}

fn pool_size<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    bounded(deserializer, "a pool's size", 1, POOL_MAX)
}

fn queue_max<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    bounded(deserializer, "a pool's queue", 0, QUEUE_MAX)
}

fn excerpt_bytes<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    bounded(deserializer, "an excerpt", 0, ProbeOptions::EXCERPT_BYTES_MAX as u64)
}

fn bounded<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
    what: &str,
    min: u64,
    max: u64,
) -> Result<Option<usize>, D::Error> {
    let given = u64::deserialize(deserializer)?;
    match usize::try_from(given) {
        Ok(n) if (min..=max).contains(&given) => Ok(Some(n)),
        _ => Err(serde::de::Error::custom(format_args!("{what} of {given} is out of range: expected {min} to {max}"))),
    }
}
