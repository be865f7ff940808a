//! Whose configuration a file is.

use std::fmt;
use std::str::FromStr;

use crate::tree::Node;

/// Whose configuration a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Modules of Prometheus' blackbox_exporter.
    Blackbox,
    /// Prometheus' own, for its scrape configurations.
    Prometheus,
    /// Gatus.
    Gatus,
    /// A backup of uptime-kuma.
    UptimeKuma,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Blackbox, Self::Prometheus, Self::Gatus, Self::UptimeKuma];

    /// The word by which people name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blackbox => "blackbox",
            Self::Prometheus => "prometheus",
            Self::Gatus => "gatus",
            Self::UptimeKuma => "uptime-kuma",
        }
    }

    /// The keys of which a file of the format has one at least.
    pub(crate) fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Blackbox => &["modules"],
            Self::Prometheus => &["scrape_configs", "scrape_config_files"],
            Self::Gatus => &["endpoints", "external-endpoints", "suites"],
            Self::UptimeKuma => &["monitorList"],
        }
    }

    /// Whose a file is by its content.
    pub(crate) fn guess(root: &Node) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.keys().iter().any(|key| root.get(key).is_some()))
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|known| known.as_str() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            format!("there is no format `{}`: expected one of {known}", watchpost_model::shorten(text, 40))
        })
    }
}
