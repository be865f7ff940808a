//! Where the targets of a check come from, and what is known of each.

mod dns;
mod fixed;
mod found;
mod kubernetes;
mod labels;
mod settings;
mod source;

pub use dns::{DnsRecords, DnsTargets};
pub use fixed::StaticTarget;
pub use found::{FoundTarget, FoundTargets, TARGETS_MAX};
pub use kubernetes::{KubernetesPort, KubernetesTargets};
pub(crate) use labels::is_label_name;
pub use labels::{LABEL_NAME_BYTES_MAX, LABEL_VALUE_BYTES_MAX, LABELS_BYTES_MAX, LABELS_MAX, Labels};
pub use settings::{FILES_MAX, FileTargets, HttpTargets, TargetSource, Targets, TargetsDocument};
pub use source::{SourceReport, SourceState};
