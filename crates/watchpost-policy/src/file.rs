//! The shape of a policy file.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::Limits;
use crate::network::Network;
use crate::paths::PathPattern;
use crate::rule::Rule;
use crate::special::{Effect, Special};
use crate::{PolicyError, text};

/// The most rules of a policy.
pub const RULES_MAX: usize = 1_000;
/// The most directories and patterns of paths in each list.
pub(crate) const PATHS_MAX: usize = 64;
/// The most prefixes of translators.
const PREFIXES_MAX: usize = 16;
/// The most ports that programs may connect to.
const CONNECT_PORTS_MAX: usize = 1_024;

/// A policy file: what checks may do in this network, whoever sends them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(title = "Watchpost policy")]
#[serde(deny_unknown_fields, default)]
pub struct PolicyFile {
    /// Special addresses, which are denied before any rule is looked at, unless it says `allow`.
    pub special: Special,
    /// The rules: at most 1 000. The first that fits decides.
    #[serde(deserialize_with = "text::list::<_, _, RULES_MAX>")]
    #[schemars(length(max = 1_000))]
    pub rules: Vec<Rule>,
    /// What is decided where no rule fits; `deny` if left out.
    pub default: Effect,
    /// Which programs checks of the type `exec` may run, and as what; none if left out.
    pub exec: ExecRules,
    /// Which files checks may name (bodies, certificates, keys, lists of targets); none if left out.
    pub files: FileRules,
    /// Which sockets in the file system checks may connect to; none if left out.
    pub unix: UnixRules,
    /// What proxies may be given.
    pub proxies: ProxyRules,
    /// How much may be done at a time.
    pub limits: Limits,
    /// The prefixes of this network's own NAT64 translators, of 32, 40, 48, 56, 64 or 96 bits: at most 16. An address below
    /// one is judged as the IPv4 address that it leads to, too. 64:ff9b::/96 and 64:ff9b:1::/48 are known.
    #[serde(deserialize_with = "translators", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub nat64: Vec<Network>,
}

impl Default for PolicyFile {
    fn default() -> Self {
        Self {
            special: Special::default(),
            rules: Vec::new(),
            default: Effect::Deny,
            exec: ExecRules::default(),
            files: FileRules::default(),
            unix: UnixRules::default(),
            proxies: ProxyRules::default(),
            limits: Limits::default(),
            nat64: Vec::new(),
        }
    }
}

/// Which programs may be run, and as what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExecRules {
    /// Directories whose programs may be run, those below them included: at most 64, each absolute.
    #[serde(deserialize_with = "directories")]
    #[schemars(length(max = 64))]
    pub directories: Vec<PathBuf>,
    /// Programs that may be run, wherever they lie: at most 64, each absolute.
    #[serde(deserialize_with = "programs", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub programs: Vec<PathBuf>,
    /// The user to run them as, by name or number; the one that Watchpost runs as if left out. Needs Watchpost to run as
    /// root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserName>,
    /// Whether they are confined by what the kernel has for it (Landlock): `prefer` (default), `require`, which runs
    /// none where it cannot be, or `off`.
    pub sandbox: Sandbox,
    /// Files and directories that a confined program may read besides those of the system: at most 64, each absolute.
    #[serde(deserialize_with = "places", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub readable: Vec<PathBuf>,
    /// Files and directories that a confined program may write besides its own temporary directory: at most 64, each
    /// absolute.
    #[serde(deserialize_with = "places", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub writable: Vec<PathBuf>,
    /// The TCP ports that a confined program may connect to: at most 1 024; any if left out. UDP is not concerned.
    #[serde(deserialize_with = "connect_ports", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1_024))]
    pub connect_ports: Option<Vec<u16>>,
    /// Environment variables that checks may set although loaders and interpreters take them for more than data, such as
    /// `PERL5LIB`: at most 64. A `*` at the end stands for anything.
    #[serde(deserialize_with = "text::list::<_, _, PATHS_MAX>", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub environment: Vec<VariablePattern>,
}

impl ExecRules {
    /// Whether there is anything that may be run.
    pub fn is_none(&self) -> bool {
        self.directories.is_empty() && self.programs.is_empty()
    }
}

/// The name of an environment variable; with a `*` at the end, of all that begin so.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VariablePattern(Box<str>);

impl VariablePattern {
    /// Whether it stands for `name`.
    pub fn matches(&self, name: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == &*self.0,
        }
    }
}

impl FromStr for VariablePattern {
    type Err = PolicyError;

    fn from_str(given: &str) -> Result<Self, PolicyError> {
        let name = given.strip_suffix('*').unwrap_or(given);
        let permitted = |(at, b): (usize, u8)| b == b'_' || b.is_ascii_alphabetic() || (at > 0 && b.is_ascii_digit());
        match !name.is_empty() && name.bytes().enumerate().all(permitted) {
            true => Ok(Self(given.into())),
            false => Err(PolicyError::new(format!(
                "`{}` is not the name of an environment variable: expected for example `PERL5LIB`, or `JAVA_*`",
                watchpost_model::shorten(given, 80)
            ))),
        }
    }
}

impl fmt::Display for VariablePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text::by_text!(
    VariablePattern,
    "the name of an environment variable such as PERL5LIB, or JAVA_*",
    128,
    "^[A-Za-z_][A-Za-z0-9_]*[*]?$"
);

/// Whether programs are confined by the kernel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sandbox {
    /// No program runs that cannot be.
    Require,
    /// Where the kernel can.
    #[default]
    Prefer,
    /// They are not.
    Off,
}

/// Which files checks may name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FileRules {
    /// Directories whose files checks may name, those below them included: at most 64, each absolute.
    #[serde(deserialize_with = "directories")]
    #[schemars(length(max = 64))]
    pub directories: Vec<PathBuf>,
}

/// Which sockets in the file system checks may connect to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UnixRules {
    /// Their paths: at most 64. `*` stands for any part of a name, `**` as the last name for everything below.
    #[serde(deserialize_with = "text::list::<_, _, PATHS_MAX>")]
    #[schemars(length(max = 64))]
    pub paths: Vec<PathPattern>,
}

/// What proxies may be given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProxyRules {
    /// Whether a proxy may be given a name, which it resolves itself: no address can be judged then, and rules with
    /// `networks` permit nothing behind a proxy. If not, which is the default, the Runner resolves the name, judges the
    /// address, and names the address to the proxy.
    pub resolve: bool,
}

/// A user of this machine, by name or number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UserName(Box<str>);

impl UserName {
    /// The name or number.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserName {
    type Err = PolicyError;

    fn from_str(given: &str) -> Result<Self, PolicyError> {
        let permitted = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'$');
        match !given.is_empty() && given.len() <= 64 && !given.starts_with('-') && given.bytes().all(permitted) {
            true => Ok(Self(given.into())),
            false => Err(PolicyError::new(format!(
                "`{}` is not the name of a user: expected for example `nobody`",
                watchpost_model::shorten(given, 80)
            ))),
        }
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for UserName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UserName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrNumber;

        impl serde::de::Visitor<'_> for NameOrNumber {
            type Value = UserName;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name or number of a user")
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<UserName, E> {
                match u32::try_from(number) {
                    Ok(number) if number < u32::MAX => Ok(UserName(number.to_string().into())),
                    _ => {
                        Err(E::custom(format_args!("{number} is not the number of a user: expected less than 2^32-1")))
                    }
                }
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<UserName, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_any(NameOrNumber)
    }
}

impl schemars::JsonSchema for UserName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "UserName".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "the name or number of a user",
            "anyOf": [
                { "type": "string", "pattern": "^[A-Za-z0-9_.$][A-Za-z0-9_.$-]{0,63}$" },
                { "type": "integer", "minimum": 0 },
            ],
        })
    }
}

fn directories<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
    paths(deserializer, "a directory")
}

fn programs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
    paths(deserializer, "a program")
}

fn places<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
    paths(deserializer, "a file or directory")
}

fn paths<'de, D: Deserializer<'de>>(deserializer: D, of: &str) -> Result<Vec<PathBuf>, D::Error> {
    let given: Vec<String> = text::list::<_, _, PATHS_MAX>(deserializer)?;
    given
        .into_iter()
        .map(|path| match path.starts_with('/') && !path.contains('\0') && !path.split('/').any(|name| name == "..") {
            true => Ok(PathBuf::from(path)),
            false => Err(serde::de::Error::custom(format_args!(
                "`{}` is not the whole path of {of}: expected one that begins with `/` and has no `..`",
                watchpost_model::shorten(&path, 80)
            ))),
        })
        .collect()
}

fn connect_ports<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u16>>, D::Error> {
    text::list::<_, _, CONNECT_PORTS_MAX>(deserializer).map(Some)
}

fn translators<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Network>, D::Error> {
    let given: Vec<Network> = text::list::<_, _, PREFIXES_MAX>(deserializer)?;
    for prefix in &given {
        if !prefix.is_ipv6() || !matches!(prefix.prefix_len(), 32 | 40 | 48 | 56 | 64 | 96) {
            return Err(serde::de::Error::custom(format_args!(
                "`{prefix}` is not the prefix of a NAT64 translator: expected one of IPv6 with 32, 40, 48, 56, 64 or 96 bits"
            )));
        }
    }
    Ok(given)
}
