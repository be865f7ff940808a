//! Where the audit log is written, as a file says it.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use watchpost_agent::Roles;
use watchpost_audit::{MAX_SIZE_DEFAULT, MAX_SIZE_MIN, ROTATED_DEFAULT, ROTATED_MAX};
use watchpost_model::BastionId;

/// The largest file.
const MAX_SIZE_MAX: u64 = 1 << 40;

/// The audit log: what was asked of this process, and what it did.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuditFile {
    /// The file, or `off`. If left out, one in `state_dir`, named after the bastion and what the process does; without
    /// a `state_dir` there is none.
    #[serde(deserialize_with = "place")]
    #[schemars(with = "Option<PathBuf>")]
    pub file: Option<AuditPlace>,
    /// From which size on it is put aside and another one begun: 64KiB to 1TiB; `16MiB` if left out.
    #[serde(deserialize_with = "size")]
    #[schemars(with = "Option<String>")]
    pub max_size: Option<u64>,
    /// How many files that were put aside are kept: 0 to 10 000; 15 if left out.
    #[serde(deserialize_with = "keep")]
    #[schemars(range(max = 10_000))]
    pub keep: Option<usize>,
}

/// Where the log is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditPlace {
    /// Nowhere.
    Off,
    /// In this file.
    File(PathBuf),
}

impl AuditFile {
    /// Where it is written; `None` where it is not.
    pub fn path(&self, state_dir: Option<&Path>, bastion: &BastionId, roles: Roles) -> Option<PathBuf> {
        match &self.file {
            Some(AuditPlace::Off) => None,
            Some(AuditPlace::File(file)) => Some(file.clone()),
            None => state_dir.map(|folder| folder.join(format!("{bastion}.{}.audit.jsonl", roles.name()))),
        }
    }

    /// From which size on it is put aside, in bytes.
    pub fn max_size(&self) -> u64 {
        self.max_size.unwrap_or(MAX_SIZE_DEFAULT)
    }

    /// How many files that were put aside are kept.
    pub fn keep(&self) -> usize {
        self.keep.unwrap_or(ROTATED_DEFAULT)
    }
}

fn place<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<AuditPlace>, D::Error> {
    let given = PathBuf::deserialize(deserializer)?;
    if given == Path::new("off") {
        return Ok(Some(AuditPlace::Off));
    }
    if given.file_name().is_none() {
        return Err(serde::de::Error::custom(format_args!(
            "`{}` does not name a file: expected a path such as /var/lib/watchpost/audit.jsonl, or `off`",
            given.display()
        )));
    }
    Ok(Some(AuditPlace::File(given)))
}

fn size<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let given = String::deserialize(deserializer)?;
    match watchpost_model::parse_bytes(&given) {
        Some(bytes) if (MAX_SIZE_MIN..=MAX_SIZE_MAX).contains(&bytes) => Ok(Some(bytes)),
        _ => Err(serde::de::Error::custom(format_args!(
            "`{}` is not the size of a file: expected 64KiB to 1TiB, for example `16MiB`",
            watchpost_model::shorten(&given, 40)
        ))),
    }
}

fn keep<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    let given = u64::deserialize(deserializer)?;
    match usize::try_from(given) {
        Ok(keep) if keep <= ROTATED_MAX => Ok(Some(keep)),
        _ => Err(serde::de::Error::custom(format_args!("{given} files are too many: expected 0 to {ROTATED_MAX}"))),
    }
}
