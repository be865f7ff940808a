//! Contexts: buses, and who we are to them, by name, in one file of the user's.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use watchpost_model::{BastionGroup, BastionId, Password, SubjectPrefix, Token};

use super::error::ConfigError;
use super::read;

/// What a context is called: 1 to 64 of `A-Z a-z 0-9 _ -`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ContextName(BastionId);

impl FromStr for ContextName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| "expected 1 to 64 of the characters A-Z a-z 0-9 _ -".to_owned())
    }
}

impl fmt::Display for ContextName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The file of contexts.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Contexts {
    /// The one that is used where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<ContextName>,
    /// All of them.
    pub contexts: BTreeMap<ContextName, Context>,
}

/// A bus, and who we are to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Context {
    /// Servers, for example `nats://127.0.0.1:4222`.
    pub servers: Vec<String>,
    /// A file with a JWT and an nkey seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_file: Option<PathBuf>,
    /// A file with the seed of an nkey.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nkey_file: Option<PathBuf>,
    /// A user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The user's password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Password>,
    /// A file with the user's password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// A token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
    /// A file with a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// A PEM file of certificate authorities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_ca_file: Option<PathBuf>,
    /// A PEM file with our certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_certificate_file: Option<PathBuf>,
    /// A PEM file with its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key_file: Option<PathBuf>,
    /// Whether to refuse a server that does not offer TLS.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub require_tls: bool,
    /// What our inboxes begin with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inbox_prefix: Option<String>,
    /// The first part of every subject.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "prefix")]
    pub prefix: Option<SubjectPrefix>,
    /// The bucket of checks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    /// The bastion group whose checks are meant where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<BastionGroup>,
}

impl Context {
    /// Whether what it says of who we are fits together.
    ///
    /// # Errors
    /// What does not, by its keys.
    pub fn validate(&self) -> Result<(), String> {
        let ways = [
            ("credentials_file", self.credentials_file.is_some()),
            ("nkey_file", self.nkey_file.is_some()),
            ("user", self.user.is_some()),
            ("token", self.token.is_some()),
            ("token_file", self.token_file.is_some()),
        ];
        let ways: Vec<_> = ways.into_iter().filter(|way| way.1).map(|way| format!("`{}`", way.0)).collect();
        if ways.len() > 1 {
            return Err(format!("{} say different things of who we are: expected one", ways.join(" and ")));
        }
        if self.password.is_some() && self.password_file.is_some() {
            return Err("`password` and `password_file` both say the password: expected one".to_owned());
        }
        if self.user.is_none() && (self.password.is_some() || self.password_file.is_some()) {
            return Err("there is a password and no user (--user, `user`): expected both".to_owned());
        }
        match (&self.tls_certificate_file, &self.tls_key_file) {
            (Some(_), None) => {
                Err("there is a certificate of ours (--tls-cert, `tls_certificate_file`) and no key to it (--tls-key, \
                 `tls_key_file`): expected both"
                    .to_owned())
            }
            (None, Some(_)) => {
                Err("there is a key of ours (--tls-key, `tls_key_file`) and no certificate to it (--tls-cert, \
                 `tls_certificate_file`): expected both"
                    .to_owned())
            }
            _ => Ok(()),
        }
    }

    /// As if nothing had been said of who we are.
    pub fn forget_who_we_are(&mut self) {
        (self.credentials_file, self.nkey_file) = (None, None);
        (self.user, self.password, self.password_file) = (None, None, None);
        (self.token, self.token_file) = (None, None);
    }
}

impl Contexts {
    /// Where they are kept: `watchpost/contexts.yaml` in `$XDG_CONFIG_HOME`, which is `~/.config` unless set. `None`
    /// where the environment names neither.
    pub fn file() -> Option<PathBuf> {
        let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let folder = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")))?;
        Some(folder.join("watchpost").join("contexts.yaml"))
    }

    /// Reads the file; none is as good as an empty one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn load() -> Result<Self, ConfigError> {
        let Some(file) = Self::file() else { return Ok(Self::default()) };
        let text = match read::text(&file) {
            Ok(text) if text.trim().is_empty() => return Ok(Self::default()),
            Ok(text) => text,
            Err(_) if !file.exists() => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let open = std::fs::metadata(&file).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0);
        let contexts: Self = read::document(&file, &text)?;
        if open && contexts.contexts.values().any(Context::has_secret) {
            tracing::warn!("others may read the secrets in {0}: chmod 600 {0}", file.display());
        }
        Ok(contexts)
    }

    /// Writes the file, which only its owner may read, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self) -> Result<(), ConfigError> {
        let Some(file) = Self::file() else {
            let message = "has no place: expected XDG_CONFIG_HOME or HOME in the environment";
            return Err(ConfigError::whole(Path::new("contexts.yaml"), message));
        };
        let mut options = serde_saphyr::SerializerOptions::default();
        // A password that looks like something else is still a password.
        options.quote_all = true;
        let text = serde_saphyr::to_string_with_options(self, options);
        let text = text.map_err(|e| ConfigError::whole(&file, e.to_string()))?;
        write_private(&file, &text).map_err(|e| ConfigError::whole(&file, format!("cannot be written: {e}")))
    }

    /// The context of that name.
    ///
    /// # Errors
    /// When there is none.
    pub fn get(&self, name: &ContextName) -> Result<&Context, String> {
        self.contexts.get(name).ok_or_else(|| {
            let known: Vec<_> = self.contexts.keys().map(ToString::to_string).collect();
            let known = if known.is_empty() { "there are none yet".to_owned() } else { known.join(", ") };
            format!("there is no context `{name}`: {known}; `watchpost context add` makes one")
        })
    }
}

impl Context {
    fn has_secret(&self) -> bool {
        self.password.is_some() || self.token.is_some() || self.servers.iter().any(|server| server.contains('@'))
    }
}

fn write_private(file: &Path, text: &str) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let new = file.with_extension(format!("yaml.{}", std::process::id()));
    let write = || {
        // One that is left over might be readable by others.
        std::fs::remove_file(&new)
            .or_else(|e| if e.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(e) })?;
        let mut open = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        open.write_all(text.as_bytes())?;
        open.sync_all()?;
        std::fs::rename(&new, file)
    };
    write().inspect_err(|_| {
        std::fs::remove_file(&new).ok();
    })
}

fn prefix<S: serde::Serializer>(prefix: &Option<SubjectPrefix>, serializer: S) -> Result<S::Ok, S::Error> {
    match prefix {
        Some(prefix) => serializer.serialize_str(&prefix.to_string()),
        None => serializer.serialize_none(),
    }
}
