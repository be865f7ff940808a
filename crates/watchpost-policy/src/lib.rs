//! The customer's policy: what checks may do in their network, whatever the bus says.
//!
//! It owns the rules, how they are written, and the judgement of an address, a name, a method, a program. It does no
//! I/O, resolves nothing and reads no clock: whoever is about to connect asks it about the very address.
//!
//! Invariants:
//! - What is judged is the address that is dialled. What an address stands for (IPv4 within IPv6 in each of
//!   its disguises) is judged as well.
//! - What no rule speaks of is decided by the policy's own default, and a refusal names the rule.
//! - Whatever a task, a check or a name server says, the judgement of an address never becomes wider by it: names open
//!   rules only where this process itself has found the address.
//!
//! ```
//! use watchpost_model::CheckType;
//! use watchpost_policy::{Dial, Own, Policy, PolicyFile, Purpose, Transport};
//!
//! let written = r#"{"rules": [
//!     {"name": "no-payroll", "deny": {"networks": ["10.9.0.0/16"]}},
//!     {"name": "web", "allow": {"types": ["http"], "networks": ["10.0.0.0/8"], "ports": [443]}}
//! ]}"#;
//! let policy = Policy::try_from(serde_json::from_str::<PolicyFile>(written)?)?;
//! let judge = |address: &str| -> Result<Option<String>, std::net::AddrParseError> {
//!     let dial = Dial {
//!         check_type: CheckType::Http,
//!         host: None,
//!         address: address.parse()?,
//!         transport: Transport::Tcp,
//!         purpose: Purpose::Target,
//!         method: Some("GET"),
//!     };
//!     Ok(policy.judge_dial(&dial, &Own::default()).err().map(|denied| denied.rule))
//! };
//! assert_eq!(judge("10.1.2.3:443")?, None);
//! assert_eq!(judge("[::ffff:10.9.2.3]:443")?.as_deref(), Some("no-payroll"));
//! assert_eq!(judge("10.1.2.3:22")?.as_deref(), Some("default"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod denied;
mod dial;
mod disguise;
mod file;
mod guard;
mod host;
mod limits;
mod network;
mod own;
mod paths;
mod policy;
mod rule;
mod special;
mod text;

pub use denied::Denied;
pub use dial::{Dial, Lookup, Purpose, Transport};
pub use disguise::Faces;
pub use file::{
    ExecRules, FileRules, PolicyFile, ProxyRules, RULES_MAX, Sandbox, UnixRules, UserName, VariablePattern,
};
pub use guard::{Entering, Guard, Permit, Standing};
pub use host::{HostPattern, literal, told as told_host};
pub use limits::{Limits, Rate};
pub use network::Network;
pub use own::Own;
pub use paths::PathPattern;
pub use policy::{Errands, Explanation, PassedOver, Policy, Visit, server_name};
pub use rule::{Matcher, MethodName, Ports, Rule, RuleName};
pub use special::{Effect, Special};

/// What is wrong with a policy, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PolicyError {
    message: String,
    /// Below which key of the file.
    key: Option<String>,
}

impl PolicyError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), key: None }
    }

    pub(crate) fn at(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The key of the file that is at fault, as in `rules[3].allow`.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }
}
