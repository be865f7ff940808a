//! Where a Runner has its secrets from, and how they get into what checks send.
//!
//! Invariant: a value lives in the store's cache, in the settings of the probe that sends it and in what hides it, each
//! overwritten when it is dropped; it is in no task, no log and no result.

mod bound;
mod resolving;
mod source;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use watchpost_model::{HostRule, SecretAllowance, SecretName};

pub(crate) use self::bound::Bounds;
pub(crate) use self::resolving::{Resolving, not_allowed};
use crate::secret::{Declared, Secrets};

/// The most values that are kept at a time.
const CACHED_MAX: usize = 1024;

/// Where secrets are.
#[derive(Debug, Clone)]
pub struct SecretOptions {
    /// A directory with a file for each secret, named as it is.
    pub directory: Option<PathBuf>,
    /// What the name of an environment variable begins with that holds a secret.
    pub prefix: Option<String>,
    /// Secrets that are elsewhere, or may not be sent anywhere.
    pub names: BTreeMap<SecretName, NamedSecret>,
    /// The environment variables that hold secrets, by their names.
    pub variables: HashMap<String, SecretString>,
    /// For how long a value is used before it is looked up again.
    pub cache: Duration,
}

impl SecretOptions {
    /// For how long a value is used where nothing is said.
    pub const CACHE_DEFAULT: Duration = Duration::from_secs(60);
    /// The largest value, in bytes.
    pub const VALUE_BYTES_MAX: usize = 64 * 1024;

    /// The name of the environment variable that holds the secret `name`, where such begin with `prefix`.
    pub fn variable(prefix: &str, name: &SecretName) -> String {
        format!("{prefix}{}", name.as_str().to_ascii_uppercase().replace(['-', '.'], "_"))
    }
}

impl Default for SecretOptions {
    fn default() -> Self {
        Self {
            directory: None,
            prefix: None,
            names: BTreeMap::new(),
            variables: HashMap::new(),
            cache: Self::CACHE_DEFAULT,
        }
    }
}

/// One secret of which something is said.
#[derive(Debug, Clone, Default)]
pub struct NamedSecret {
    /// Where it is; where all others are if left out.
    pub from: Option<SecretFrom>,
    /// The hosts to which it may be sent; anywhere if there are none.
    pub allow_hosts: Vec<HostRule>,
    /// What a check may do that sends it, beyond sending it to one of these hosts over verified TLS.
    pub allow: Vec<SecretAllowance>,
}

/// Where one secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretFrom {
    /// In this file.
    File(PathBuf),
    /// In this environment variable.
    Environment(String),
}

/// The secrets of a Runner. Clones share them.
#[derive(Clone, Default)]
pub struct SecretStore(Arc<Inner>);

#[derive(Default)]
struct Inner {
    options: SecretOptions,
    cached: Mutex<HashMap<SecretName, Cached>>,
    /// Those whose values may be in memory somewhere.
    live: Mutex<Vec<Weak<Known>>>,
}

struct Cached {
    known: Arc<Known>,
    until: Instant,
}

/// A secret that was looked up.
pub(crate) struct Known {
    value: SecretString,
    declared: Arc<Declared>,
}

impl Known {
    fn new(value: SecretString) -> Self {
        let declared = Arc::new(Declared::new(value.expose_secret()));
        Self { value, declared }
    }
}

/// Shows where secrets are, and none of them.
impl std::fmt::Debug for SecretStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let SecretOptions { directory, prefix, names, .. } = &self.0.options;
        let mut shown = f.debug_struct("SecretStore");
        shown.field("directory", directory).field("prefix", prefix).field("names", names).finish_non_exhaustive()
    }
}

impl SecretStore {
    /// The secrets that are where `options` say.
    pub fn new(options: SecretOptions) -> Self {
        Self(Arc::new(Inner { options, ..Inner::default() }))
    }

    /// The secrets of which something is said by name, each with what is wrong with it if something is: for whoever
    /// wants to know beforehand. No value is shown.
    pub async fn inspect(&self) -> Vec<(SecretName, Result<(), String>)> {
        let mut seen = Vec::new();
        for name in self.0.options.names.keys() {
            seen.push((name.clone(), self.get(name).await.map(drop)));
        }
        seen
    }

    /// `text` without any secret that is in use, for logs.
    pub fn hide_in(&self, text: String) -> String {
        let mut secrets = Secrets::default().brief();
        self.0.live.lock().iter().filter_map(Weak::upgrade).for_each(|known| secrets.declare(&known.declared));
        // What is logged of a result is cut after secrets are hidden in it.
        secrets.hide_whole_in(text)
    }

    /// The secret `name`.
    ///
    /// # Errors
    /// One sentence: that it is not there and where it was looked for, or what is wrong with it.
    pub(crate) async fn get(&self, name: &SecretName) -> Result<Arc<Known>, String> {
        if let Some(known) = self.cached(name) {
            return Ok(known);
        }
        let known = Arc::new(Known::new(source::look_up(&self.0.options, name).await?));
        let mut live = self.0.live.lock();
        live.retain(|known| known.strong_count() > 0);
        live.push(Arc::downgrade(&known));
        drop(live);
        let mut cached = self.0.cached.lock();
        if !self.0.options.cache.is_zero() && cached.len() < CACHED_MAX {
            let until = Instant::now() + self.0.options.cache;
            cached.insert(name.clone(), Cached { known: Arc::clone(&known), until });
        }
        Ok(known)
    }

    fn cached(&self, name: &SecretName) -> Option<Arc<Known>> {
        self.forget_old();
        self.0.cached.lock().get(name).map(|cached| Arc::clone(&cached.known))
    }

    /// Forgets every value whose time is over, whoever asks for whatever.
    pub(crate) fn forget_old(&self) {
        let mut cached = self.0.cached.lock();
        if !cached.is_empty() {
            let now = Instant::now();
            cached.retain(|_, cached| now < cached.until);
        }
    }

    /// What is said of the secret `name`, if anything is.
    pub(crate) fn named(&self, name: &SecretName) -> Option<&NamedSecret> {
        self.0.options.names.get(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> SecretName {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn a_value_is_kept_for_a_while_and_hidden_while_it_is_in_use() {
        let folder = std::env::temp_dir().join(format!("watchpost-secrets-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("token");
        std::fs::write(&file, "first-value\n").unwrap();
        let options = |cache| SecretOptions { directory: Some(folder.clone()), cache, ..SecretOptions::default() };
        let (keeping, fresh) =
            (SecretStore::new(options(Duration::from_secs(3600))), SecretStore::new(options(Duration::ZERO)));
        for store in [&keeping, &fresh] {
            let known = store.get(&name("token")).await.unwrap();
            assert_eq!(known.value.expose_secret(), "first-value");
            assert_eq!(store.hide_in("it is first-value".into()), "it is [redacted]");
        }
        std::fs::write(&file, "second-value\n").unwrap();
        assert_eq!(keeping.get(&name("token")).await.unwrap().value.expose_secret(), "first-value");
        assert_eq!(fresh.get(&name("token")).await.unwrap().value.expose_secret(), "second-value");
        // Nobody has it any more.
        assert_eq!(fresh.hide_in("it is second-value".into()), "it is second-value");
        keeping.0.cached.lock().values_mut().for_each(|cached| cached.until = Instant::now());
        keeping.forget_old();
        assert_eq!(keeping.hide_in("it is first-value".into()), "it is first-value");
        assert!(!format!("{keeping:?}").contains("value"));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
