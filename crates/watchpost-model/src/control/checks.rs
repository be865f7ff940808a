//! Checks in the store: written, read, and how each stands on a bastion.

use serde::{Deserialize, Serialize};

use super::{Denial, RequestId};
use crate::check::CHECK_BYTES_MAX;
use crate::codec::Message;
use crate::document::CheckDocument;
use crate::id::{BastionGroup, BastionId, CheckId};
use crate::message::V1;
use crate::signature::SignerKey;
use crate::{Invalid, Timestamp};

/// Writes a check into the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PutCheck {
    /// The protocol version, 1.
    pub v: V1,
    /// What the requester calls this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
    /// The check.
    pub check: Box<CheckDocument>,
    /// Which bastions are to run it; those of the bastion's own group, which is itself, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<BastionGroup>,
    /// The revision that it is to replace, 0 where there must be none. If left out, it replaces whatever is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_revision: Option<u64>,
    /// Only say what would become of it.
    #[serde(default)]
    pub dry_run: bool,
}

/// Shows one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct GetCheck {
    /// The protocol version, 1.
    pub v: V1,
    /// Its id.
    pub check: CheckId,
}

/// Lists checks in the order of their ids, some at a time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ListChecks {
    /// The protocol version, 1. May be left out.
    #[serde(default)]
    pub v: V1,
    /// Only those after this one: the `next` of the answer before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<CheckId>,
    /// At most so many: 1 to 1 000; 500 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Deletes a check from the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DeleteCheck {
    /// The protocol version, 1.
    pub v: V1,
    /// What the requester calls this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
    /// Its id.
    pub check: CheckId,
    /// Whose check; that of the bastion's own group if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<BastionGroup>,
    /// The revision that is to be deleted. If left out, whatever is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_revision: Option<u64>,
}

/// Pauses a check, or lets it run again: writes its `paused` in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PauseCheck {
    /// The protocol version, 1.
    pub v: V1,
    /// What the requester calls this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
    /// Its id.
    pub check: CheckId,
    /// Whose check; that of the bastion's own group if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<BastionGroup>,
    /// The revision that is meant. If left out, whatever is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_revision: Option<u64>,
}

/// What became of a check that was written or deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CheckStored {
    /// The protocol version, 1.
    pub v: V1,
    /// Its id.
    pub check: CheckId,
    /// Whose check it is.
    pub group: BastionGroup,
    /// The revision that was written; the one that is there where nothing was, as in a dry run.
    pub revision: u64,
    /// How it stands on the bastion that answers; absent where the check is gone, or is of a group that the bastion
    /// does not belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<CheckReport>,
    /// What of the check that was put the policies of Runners will deny, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denied: Vec<Denial>,
    /// The generation of the configuration that is in force after it.
    pub config_generation: u64,
}

/// How one check stands on a bastion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CheckReport {
    /// Its id.
    pub check: CheckId,
    /// Where it comes from.
    pub source: CheckSource,
    /// Whose check it is; absent for one from a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<BastionGroup>,
    /// Its revision in the store; absent for one from a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// What the bastion does about it.
    pub standing: Standing,
    /// Why it is refused. Where an earlier revision could run, that one still does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// The revision that runs, where it is not `revision`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_revision: Option<u64>,
    /// By whom the revision that runs is signed; absent where the bastion does not ask for signatures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<SignedReport>,
    /// What of it the policies of Runners will deny, at most 16. It stays in force all the same: policies change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denied: Vec<Denial>,
}

/// What a bastion tells of the signature of a check that it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SignedReport {
    /// Who signed.
    pub by: SignerKey,
    /// The revision that was signed, which is not that of the store.
    pub revision: u64,
    /// When.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Whether that is longer ago than `trust.max_age` of the bastion: somebody may keep newer ones from it.
    #[serde(default)]
    pub old: bool,
}

/// Where a check comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckSource {
    /// The store on the bus.
    Store,
    /// The bastion's own configuration file, which outranks the store.
    File,
}

/// What a bastion does about a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is in force.
    Running,
    /// It is in force and paused.
    Paused,
    /// This revision is not in force.
    Refused,
    /// It is in force, but the store has lost it: neither is it there, nor was it deleted.
    Orphaned,
}

/// Why a bastion does not run a revision of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Refusal {
    /// Why, for machines.
    pub code: RefusalCode,
    /// Why, and what was expected, for people.
    pub message: String,
}

/// Why a revision is refused, for machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// It is not a check that this version understands.
    Invalid,
    /// Its id is not that of its key.
    WrongKey,
    /// Another group that the bastion belongs to, or its file, has a check of that id, and comes first.
    Duplicate,
    /// It does not fit with the others: a member is missing, groups form a circle or nest too deep.
    DoesNotFit,
    /// The bastion runs as many checks as it may.
    TooMany,
    /// The bastion runs signed checks only, and this one is not signed, or says what no signature covers.
    NotSigned,
    /// Its signature is not by somebody whom the bastion trusts, or not over this check of this group.
    SignatureInvalid,
    /// A later signature over a check of that id and group was seen before, or the check was deleted since.
    RolledBack,
}

/// Some of a bastion's checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CheckList {
    /// The protocol version, 1.
    pub v: V1,
    /// The bastion.
    pub bastion: BastionId,
    /// The generation of the configuration that is in force.
    pub config_generation: u64,
    /// How the store stands.
    pub store: StoreReport,
    /// The checks, in the order of their ids.
    pub checks: Vec<CheckReport>,
    /// There are more after this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<CheckId>,
}

/// One check as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CheckShown {
    /// The protocol version, 1.
    pub v: V1,
    /// How it stands.
    pub report: CheckReport,
    /// What is written; absent where that is not a check that this version can read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<Box<CheckDocument>>,
}

/// How the store of checks stands, as a bastion sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StoreReport {
    /// Whether it is followed.
    pub state: StoreState,
    /// One sentence on what is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The groups whose checks the bastion runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<BastionGroup>,
    /// The last revision of the store that was seen.
    pub revision: u64,
    /// When the store and what runs were last known to agree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub synced_at: Option<Timestamp>,
    /// Checks from the store that are in force.
    pub running: u64,
    /// Those of them that are paused.
    pub paused: u64,
    /// Checks of the store whose present revision is refused.
    pub refused: u64,
    /// Checks in force that the store has lost.
    pub orphaned: u64,
    /// Checks in force whose signature is older than the bastion's `trust.max_age`.
    #[serde(default)]
    pub signatures_old: u64,
}

/// Whether a bastion follows the store of checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StoreState {
    /// There is none: the checks come from a file alone.
    Off,
    /// It is being read for the first time.
    Starting,
    /// Every change is applied as it comes.
    Following,
    /// It cannot be read at present; the last good set runs.
    Unavailable,
    /// There is no such bucket. The last good set runs.
    NoBucket,
    /// The bucket was made anew, or emptied, without what the bastion runs. That runs on until each is deleted or put again.
    Lost,
}

/// A revision of a check was applied, refused or removed. Published on `{p}.{b}.event.{check}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CheckEvent {
    /// The protocol version, 1.
    pub v: V1,
    /// The bastion.
    pub bastion: BastionId,
    /// When.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// What happened.
    pub kind: CheckEventKind,
    /// To which check.
    pub check: CheckId,
    /// Whose check it is; absent for one from a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<BastionGroup>,
    /// The revision; absent for one from a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// The generation of the configuration that is in force after it.
    pub config_generation: u64,
}

/// What happened to a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckEventKind {
    /// A revision came into force.
    CheckApplied,
    /// A revision was refused.
    CheckRefused,
    /// The check is gone.
    CheckRemoved,
    /// The store has lost the check without deleting it; it runs on.
    CheckOrphaned,
    /// The signature of a check that runs has become older than the bastion's `trust.max_age`; it runs on.
    CheckSignatureOld,
}

/// What a request holds besides a check.
const REST_BYTES_MAX: usize = 4096;

impl Message for PutCheck {
    const NAME: &'static str = "check.put";
    const BYTES_MAX: usize = CHECK_BYTES_MAX + REST_BYTES_MAX;
}

impl Message for GetCheck {
    const NAME: &'static str = "check.get";
    const BYTES_MAX: usize = REST_BYTES_MAX;
}

impl Message for ListChecks {
    const NAME: &'static str = "check.list";
    const BYTES_MAX: usize = REST_BYTES_MAX;

    fn validate(&self) -> Result<(), Invalid> {
        match self.limit {
            Some(limit) if !(1..=Self::LIMIT_MAX).contains(&limit) => {
                Err(Invalid::new(format!("field `limit` is {limit}: expected 1 to {}", Self::LIMIT_MAX)))
            }
            _ => Ok(()),
        }
    }
}

impl ListChecks {
    /// The most checks of one answer.
    pub const LIMIT_MAX: u32 = 1_000;
    /// How many there are where nothing else is said.
    pub const LIMIT_DEFAULT: u32 = 500;
}

impl Refusal {
    /// The longest message, in bytes, so that a list of refused checks fits into an answer.
    pub const MESSAGE_BYTES_MAX: usize = 512;

    /// A refusal; what is too long of `message` is cut off.
    pub fn new(code: RefusalCode, message: &str) -> Self {
        Self { code, message: crate::shorten(message, Self::MESSAGE_BYTES_MAX).into_owned() }
    }
}

impl Message for DeleteCheck {
    const NAME: &'static str = "check.delete";
    const BYTES_MAX: usize = REST_BYTES_MAX;
}

impl Message for PauseCheck {
    const NAME: &'static str = "pause";
    const BYTES_MAX: usize = REST_BYTES_MAX;
}

impl Message for CheckStored {
    const NAME: &'static str = "stored check";
    const BYTES_MAX: usize = 16 * 1024;
}

impl Message for CheckList {
    const NAME: &'static str = "list of checks";
    const BYTES_MAX: usize = 1024 * 1024;
}

impl Message for CheckShown {
    const NAME: &'static str = "check and how it stands";
    const BYTES_MAX: usize = CHECK_BYTES_MAX + REST_BYTES_MAX;
}

impl Message for CheckEvent {
    const NAME: &'static str = "check event";
    const BYTES_MAX: usize = 16 * 1024;
}
