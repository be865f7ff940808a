//! Whom a process trusts, as a configuration file says it.

use std::sync::Arc;

use serde::Deserialize;
use watchpost_agent::{FoundTargets, Signers, TrustSettings};
use watchpost_model::{Age, SignerKey};

/// Whose checks of the store are run.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustFile {
    /// The public nkeys of those whose signatures count, `U…` or `A…`: 1 to 64.
    #[serde(deserialize_with = "signers")]
    #[schemars(with = "Vec<SignerKey>", length(min = 1, max = 64))]
    pub signers: Arc<Signers>,
    /// How old a signature may become before that is told of, `1m` to `3650d`; any age if left out.
    #[serde(default)]
    pub max_age: Option<Age>,
    /// What is done about checks whose targets come from a source, which no signature covers: `refuse` if left out.
    #[serde(default)]
    pub found_targets: FoundTargetsFile,
}

/// What is done about checks whose targets come from a source.
#[derive(Debug, Clone, Copy, Default, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FoundTargetsFile {
    /// They are refused.
    #[default]
    Refuse,
    /// They run.
    Accept,
}

impl TrustFile {
    /// The agent's settings.
    pub fn settings(&self) -> TrustSettings {
        let found_targets = match self.found_targets {
            FoundTargetsFile::Refuse => FoundTargets::Refuse,
            FoundTargetsFile::Accept => FoundTargets::Accept,
        };
        TrustSettings { signers: Arc::clone(&self.signers), max_age: self.max_age.map(Age::get), found_targets }
    }
}

fn signers<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Arc<Signers>, D::Error> {
    let given = Vec::<SignerKey>::deserialize(deserializer)?;
    Signers::new(given).map(Arc::new).map_err(serde::de::Error::custom)
}
