//! What is written down.

use serde::Serialize;
use watchpost_model::{BastionGroup, CheckId, TaskId, shorten};

/// How many characters of a text are written down.
pub const TEXT_CHARS_MAX: usize = 1_000;
/// How many characters are written down of what others say of themselves.
const CLAIM_CHARS_MAX: usize = 200;

/// One thing that is written down, as the field `event` and its own fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum AuditEvent {
    /// A process of the bastion began its work.
    Started {
        /// `bastion`, `checker` or `runner`.
        role: String,
        /// Its version.
        version: String,
    },
    /// A process of the bastion stopped in order.
    Stopped,
    /// Somebody asked for something over the bus.
    ControlRequest {
        /// What was asked for, for example `check.put`.
        verb: String,
        /// Who asked.
        from: Requester,
        /// The id that the request carries, if any.
        #[serde(skip_serializing_if = "Option::is_none")]
        request: Option<String>,
        /// The check that it is about, if it is about one.
        #[serde(skip_serializing_if = "Option::is_none")]
        check: Option<CheckId>,
        /// `done`, or the code of the error reply.
        answer: String,
    },
    /// The checks that are in force as the process begins: of its file, and of the store as they were last known. When
    /// a revision came, `check_changed` said.
    ChecksLoaded {
        /// How many are of its file.
        of_file: u64,
        /// How many are of the store.
        of_store: u64,
        /// The SHA-256 of all of them, in hexadecimal: the same for the same checks.
        sha256: String,
    },
    /// A revision of a check came into force, was refused, or went.
    CheckChanged {
        /// `applied`, `refused`, `removed`, `orphaned` or `signature_old`.
        change: String,
        /// The bastion group that it belongs to; none for a check of the bastion's own file.
        #[serde(skip_serializing_if = "Option::is_none")]
        group: Option<BastionGroup>,
        /// The check.
        check: CheckId,
        /// Its revision in the store.
        #[serde(skip_serializing_if = "Option::is_none")]
        revision: Option<u64>,
        /// Why it was refused.
        #[serde(skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// The customer's policy was read.
    PolicyLoaded {
        /// The file, or what stands in its place.
        policy: String,
        /// The SHA-256 of the file, in hexadecimal.
        #[serde(skip_serializing_if = "Option::is_none")]
        sha256: Option<String>,
    },
    /// The customer's policy could not be read; the last good one stays in force.
    PolicyBroken {
        /// The file.
        policy: String,
        /// What is wrong with it.
        why: String,
    },
    /// The policy did not let a check do something.
    PolicyDenied {
        /// The check.
        check: CheckId,
        /// The task; none where targets were looked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        task: Option<TaskId>,
        /// What it was to check, or where targets were looked for.
        endpoint: String,
        /// The rule, and what it did not permit.
        why: String,
    },
    /// A task was not run for want of a good signature, or since its answer would go where none may go.
    TaskRefused {
        /// The check that it names.
        check: CheckId,
        /// The task.
        task: TaskId,
        /// The code of its reason.
        code: String,
        /// Why.
        why: String,
    },
    /// A program was run for a check.
    Exec {
        /// The check.
        check: CheckId,
        /// The task.
        task: TaskId,
        /// The program. Its arguments may hold secrets and are not written down.
        command: String,
        /// How it ended: an outcome, and the code of its reason.
        ended: String,
    },
    /// The log itself was not as it was left, or could not go on as it was.
    Repaired {
        /// What was found, and what was done about it.
        what: String,
    },
    /// What could not be written down since too much came at once, or since the disk did not take it.
    Dropped {
        /// How many entries are missing here.
        entries: u64,
    },
}

impl AuditEvent {
    /// With each text cut off that is too long.
    pub(crate) fn bounded(mut self) -> Self {
        let texts: Vec<&mut String> = match &mut self {
            Self::Started { role, version } => vec![role, version],
            Self::Stopped | Self::Dropped { .. } => Vec::new(),
            Self::ControlRequest { verb, from, request, answer, check: _ } => {
                let Requester { reply, claimed, connection } = from;
                let claims = [reply, claimed, connection, request];
                claims.into_iter().flatten().for_each(|text| bound(text, CLAIM_CHARS_MAX));
                vec![verb, answer]
            }
            Self::ChecksLoaded { sha256, .. } => vec![sha256],
            Self::CheckChanged { change, why, .. } => std::iter::once(change).chain(why).collect(),
            Self::PolicyLoaded { policy, sha256 } => std::iter::once(policy).chain(sha256).collect(),
            Self::PolicyBroken { policy, why } => vec![policy, why],
            Self::PolicyDenied { endpoint, why, .. } => vec![endpoint, why],
            Self::TaskRefused { code, why, .. } => vec![code, why],
            Self::Exec { command, ended, .. } => vec![command, ended],
            Self::Repaired { what } => vec![what],
        };
        texts.into_iter().for_each(|text| bound(text, TEXT_CHARS_MAX));
        self
    }
}

fn bound(text: &mut String, chars_max: usize) {
    // A byte is a character at most, which is quickly seen.
    if text.len() > chars_max {
        *text = shorten(text, chars_max).into_owned();
    }
}

/// Who asked. The bus does not vouch for it, unless the server adds it: see docs/security.md.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Requester {
    /// Where the answer goes; servers that are configured as in `deploy/nats` let each user have a prefix of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
    /// What the request itself says in `Watchpost-Sender`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claimed: Option<String>,
    /// What the server says of a request from another account (`Nats-Request-Info`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
}
